"""The texts of the page: each by its id, in one file of a language, and none left over."""

import json
import re
from typing import get_args

from gameday.console.app import ROUTES
from gameday.console.assets import LANGUAGES, PAGE, VENDOR, assets
from gameday.evidence.events import EVENTS
from gameday.spec.drill import Role

TEXTS: dict[str, str] = json.loads((PAGE / "locale" / "en.json").read_text())
SCRIPTS = {path.name: path.read_text() for path in (PAGE / "scripts").glob("*.js")}
SOURCE = "\n".join(SCRIPTS.values()) + (PAGE / "index.html").read_text()
PYTHON = "\n".join(path.read_text() for path in PAGE.parent.glob("*.py"))
MADE_OF = tuple(
    f"{area}."
    for area in (
        "timeline", "error", "team", "status", "figure", "mode", "role", "severity", "alert",
        "event", "theme", "charts", "lookup", "jump", "page", "banner", "work", "lead", "sound",
    )
)  # fmt: skip


def test_every_id_that_is_used_has_a_text() -> None:
    used = set(re.findall(r'\bt\("([\w.-]+)"', SOURCE)) | set(
        re.findall(r'data-t="([\w.]+)"', SOURCE)
    )
    used |= set(re.findall(r'"((?:lookup|keys|lead|banner|clock|jump|line)\.[\w.]+)"', SOURCE))
    assert used <= set(TEXTS), used - set(TEXTS)


def test_every_refusal_has_a_text() -> None:
    ids = set(re.findall(r'refusal\(\d+, "(\w+)"', PYTHON)) | {"bad", "too_large", "over", "line"}
    assert {f"error.{each}" for each in ids} <= set(TEXTS)


def test_every_role_of_a_team_has_a_name() -> None:
    assert {f"team.{role}" for role in (*get_args(Role), "all")} <= set(TEXTS)


def test_no_text_is_left_over() -> None:
    literal = set(re.findall(r"[\w-]+(?:\.[\w-]+)+", SOURCE))
    left = {each for each in TEXTS if each not in literal and not each.startswith(MADE_OF)}
    assert not left
    kinds = {each.removeprefix("timeline.") for each in TEXTS if each.startswith("timeline.")}
    sentences = {each for each in kinds if each in EVENTS}
    assert len(sentences) > 15


def test_a_language_is_one_file() -> None:
    known = sorted(p.stem for p in (PAGE / "locale").glob("*.json"))
    assert json.loads(assets()[LANGUAGES]) == {"known": known, "chosen": None}
    assert json.loads(assets("ko")[LANGUAGES])["chosen"] == "ko"
    for path in (PAGE / "locale").glob("*.json"):
        own = json.loads(path.read_text())
        assert set(own) == set(TEXTS), path.name
        for id_, text in own.items():
            values = [sorted(re.findall(r"\{(\w+)\}", each)) for each in (text, TEXTS[id_])]
            assert values[0] == values[1], f"{path.name}: {id_}"


def test_the_korean_page_is_korean() -> None:
    """A value stands where no particle has to fit it: the page has no rule for them."""
    for id_, text in json.loads((PAGE / "locale" / "ko.json").read_text()).items():
        bare = re.sub(r"\{\w+\}", "", text)
        assert re.search("[가-힣]", bare) or text == TEXTS[id_], id_
        assert not re.search(r"\}(?:이|가|을|를|은|는|과|와|으로|로)(?![가-힣])", text), id_


def test_no_script_makes_html_of_a_text() -> None:
    for name, text in SCRIPTS.items():
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, name
        assert 'setAttribute("style"' not in text, name
        assert "DOMParser" not in text, name


def test_nothing_is_loaded_from_outside() -> None:
    for path in PAGE.rglob("*"):
        if path.suffix in (".js", ".css", ".html") and "vendor" not in path.parts:
            found = re.findall(r"https?://[^\s\"')]+", path.read_text())
            assert not found, path
    assert "@import" not in (PAGE / "look.css").read_text()
    assert "url(" not in (PAGE / "look.css").read_text()


def test_what_is_vendored_says_its_version_and_licence() -> None:
    (chart,) = VENDOR.glob("uplot-*.js")
    version = chart.stem.removeprefix("uplot-")
    assert f"(v{version})" in chart.read_text()[:200]
    assert "MIT License" in (VENDOR / "uplot-LICENSE.txt").read_text()
    assert f"/static/vendor/{chart.name}" in (PAGE / "index.html").read_text()


def test_routes_are_under_api_or_the_session() -> None:
    assert all(each.path.startswith("/api/") or each.path == "/session" for each in ROUTES)
