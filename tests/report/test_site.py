"""The site: whole, escaped, relative, in a folder of its own, and readable by everybody."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gameday.core.clock import SystemClock
from gameday.core.errors import UsageError
from gameday.core.files.private import state_dir
from gameday.core.secrets.signing import read_or_make_key
from gameday.evidence.journal import Journal
from gameday.report.messages import Messages
from gameday.report.past_runs import read_past_runs
from gameday.report.site.build import Built, build_site
from gameday.report.site.days import read_days
from gameday.report.site.draft import draft_html
from gameday.report.site.folder import MARKER, site_folder
from gameday.report.site.html import element, text
from gameday.report.site.pages import ReadinessLine, SiteReadiness
from tests.support.events import event_of
from tests.support.pages import CHROMIUM
from tests.support.past_runs import past_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium

READINESS = SiteReadiness(
    [ReadinessLine("redis-slow", "", "ready"), ReadinessLine("redis-slow", "1. Switch", "works")],
    1,
    1,
    90,
    "2026-11-30",
)


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for number in range(3):
        past_run(folder, number)
    past_run(folder, 3, experiment="db-slow", recovered_s=None)
    return folder


def built(runs_dir: Path, place: Path, **given: Any) -> Built:
    found = read_past_runs(sorted(each for each in runs_dir.iterdir() if each.name != "days"))
    return build_site(place, found, Messages(), readiness=READINESS, **given)


class Links(HTMLParser):
    """Every address of a page, and every element that could run something."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.active: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [named[key] or "" for key in ("href", "src") if key in named]
        if tag in {"script", "iframe", "object", "embed", "form", "base"}:
            self.active.append(tag)
        self.active += [key for key in named if key.startswith("on")]


def pages(place: Path) -> Iterator[tuple[Path, Links]]:
    for path in place.rglob("*.html"):
        links = Links()
        links.feed(path.read_text())
        yield path, links


def test_every_link_leads_to_a_file_of_the_site(runs_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    assert built(runs_dir, place) == Built(4, 4)
    seen = 0
    for path, links in pages(place):
        assert links.active == []
        for address in links.addresses:
            if address.startswith("#"):
                continue
            assert not re.match(r"[a-z]+:|/", address), address
            target = (path.parent / address).resolve()
            assert target.is_relative_to(place)
            assert target.is_file(), (path, address)
            seen += 1
    assert seen >= 30


def test_a_run_has_its_verdict_checks_figures_and_postmortem(
    runs_dir: Path, tmp_path: Path
) -> None:
    built(runs_dir, tmp_path / "site")
    run = min((tmp_path / "site" / "runs").iterdir())
    page = (run / "index.html").read_text()
    for words in (
        "passed",
        "no_over_issuance",
        "recovered after",
        "300 ms",
        "Postmortem",
        "RedisSlow",
    ):
        assert words in page
    assert "<!-- gameday draft" not in page


def test_runs_that_have_not_changed_are_taken_over(runs_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    built(runs_dir, place)
    first = min(runs_dir.iterdir())
    kept = place / "runs" / first.name / "index.html"
    kept.write_text("taken over as it was")
    assert built(runs_dir, place).made == 0
    assert kept.read_text() == "taken over as it was"
    (first / "postmortem.md").write_text("# What we learned\n\nTo look *twice*.\n")
    assert built(runs_dir, place).made == 1
    assert "<em>twice</em>" in kept.read_text()


def test_a_run_that_is_gone_is_gone_from_the_site(runs_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    built(runs_dir, place)
    gone = min(runs_dir.iterdir())
    shutil.rmtree(gone)
    built(runs_dir, place)
    assert not (place / "runs" / gone.name).exists()
    assert gone.name not in (place / "index.html").read_text()


@pytest.mark.parametrize("content", [{"notes.txt": "mine"}, {MARKER: "{}"}, {MARKER: "[" * 9999}])
def test_a_folder_that_is_no_site_is_left_as_it_is(
    runs_dir: Path, tmp_path: Path, content: dict[str, str]
) -> None:
    place = tmp_path / "precious"
    place.mkdir()
    for name, words in content.items():
        (place / name).write_text(words)
    with pytest.raises(UsageError, match="left as it is"):
        built(runs_dir, place)
    assert {each.name: each.read_text() for each in place.iterdir()} == content


def test_a_link_in_its_place_is_not_followed(runs_dir: Path, tmp_path: Path) -> None:
    real, place = tmp_path / "real", tmp_path / "site"
    real.mkdir()
    place.symlink_to(real)
    with pytest.raises(UsageError, match="link"):
        built(runs_dir, place)
    assert list(real.iterdir()) == []


def test_a_build_that_fails_leaves_the_old_site(runs_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    built(runs_dir, place)
    before = (place / "index.html").read_bytes()
    with pytest.raises(UsageError, match="No space left"), site_folder(place) as site:
        site.write("index.html", b"half")
        raise OSError(28, "No space left on device", "index.html")
    assert (place / "index.html").read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["runs", "site"]


def test_a_web_server_may_read_it(runs_dir: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        built(runs_dir, tmp_path / "site")
    finally:
        os.umask(before)
    for path in (tmp_path / "site").rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, path


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> javascript:alert(3) \u202e'


def test_whatever_a_run_holds_is_text(tmp_path: Path) -> None:
    def change(result: dict[str, Any]) -> None:
        result["experiment"] = HOSTILE
        result["stack"] = result["ended"] = result["verdict_"] = HOSTILE
        del result["verdict_"]
        result["checks"][0] |= {"name": HOSTILE, "summary": HOSTILE, "message": None}
        result["faults"][0] |= {"id": HOSTILE, "target": HOSTILE}
        result["alerts"][0]["alert"] = HOSTILE
        result["not_applicable"] = [{"name": HOSTILE, "lacks": HOSTILE}]

    runs = tmp_path / "runs"
    folder = past_run(runs, 0, change=change)
    (folder / "postmortem.md").write_text(
        f"---\nstatus: draft\n---\n# {HOSTILE}\n\n[a](javascript:alert(1)) [b](https://evil.example/x)"
        "\n\n![c](https://evil.example/y.png) ![d](../../../../etc/passwd)\n\n<b onclick=x>e</b>\n"
    )
    days = runs / "days" / "20261123T083000Z-day-abcd"
    days.mkdir(parents=True)
    plan = {"event": "day.started", "plan": {"title": HOSTILE}}
    ran = {"event": "run.begun", "run": HOSTILE}
    (days / "day.jsonl").write_text(json.dumps(plan) + "\n" + json.dumps(ran) + "\n{broken")
    (days / "day.md").write_text(HOSTILE)
    built(runs, tmp_path / "site", days=read_days(runs))
    count = 0
    for path, links in pages(tmp_path / "site"):
        count += 1
        assert links.active == [], path
        assert not any("evil" in each or "javascript" in each for each in links.addresses)
        assert not any("passwd" in each for each in links.addresses)
    assert count == 5


def test_damaged_runs_cost_their_own_page_alone(runs_dir: Path, tmp_path: Path) -> None:
    first, second, third, _ = sorted(runs_dir.iterdir())
    (first / "result.json").write_text("{" * 100_000)
    (second / "samples.jsonl").write_bytes(b'{"t": NaN}\n' * 10)
    (third / "result.json").unlink()
    (third / "result.json").symlink_to(runs_dir)
    assert built(runs_dir, tmp_path / "site").runs == 2
    index = (tmp_path / "site" / "index.html").read_text()
    assert "Runs that are not shown" in index
    assert first.name in index
    page = (tmp_path / "site" / "runs" / second.name / "index.html").read_text()
    assert "no_over_issuance" in page


def test_a_page_with_a_script_is_copied_of_ones_own_runs_alone(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The literal runs of this test are signed by nobody, until one is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    key = read_or_make_key(state_dir())
    for folder in runs_dir.iterdir():
        (folder / "postmortem.html").write_text("<script>alert(1)</script>")
    own = min(runs_dir.iterdir())
    (own / "journal.jsonl").unlink()
    journal = Journal(own / "journal.jsonl", SystemClock(), "host")
    journal.key = key
    journal.write(event_of("run.started", run=own.name, experiment="redis-slow", stack="embedded"))
    journal.close()
    built(runs_dir, tmp_path / "site")
    copied = list((tmp_path / "site").rglob("postmortem.html"))
    assert [path.parent.name for path in copied] == [own.name]


def test_the_newest_runs_alone_have_pages_where_there_are_too_many(
    runs_dir: Path, tmp_path: Path
) -> None:
    assert built(runs_dir, tmp_path / "site", most=2).runs == 2
    assert "2 oldest runs" in (tmp_path / "site" / "index.html").read_text()


def test_days_are_listed_with_their_runs_and_report(runs_dir: Path, tmp_path: Path) -> None:
    run = min(runs_dir.iterdir()).name
    folder = runs_dir / "days" / "20261123T083000Z-friday-abcd"
    folder.mkdir(parents=True)
    lines = [
        {"at": "2026-11-23T08:30:00Z", "event": "day.started", "plan": {"title": "A Friday"}},
        {"at": "2026-11-23T08:31:00Z", "event": "item.ended", "run": run, "exit_code": 0},
        {"at": "2026-11-23T08:32:00Z", "event": "day.ended", "exit_code": 1, "ended": "completed"},
    ]
    (folder / "day.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "day.md").write_text("# A Friday\n\nWe learned **much**.\n")
    (runs_dir / "days" / "nonsense").mkdir()
    built(runs_dir, tmp_path / "site", days=read_days(runs_dir))
    index = (tmp_path / "site" / "index.html").read_text()
    assert "A Friday" in index
    page = (tmp_path / "site" / "days" / folder.name / "index.html").read_text()
    assert "<strong>much</strong>" in page
    assert f"../../runs/{run}/index.html" in page
    assert "failed" in page


def test_code_that_the_draft_writes_as_html_is_code_and_no_other_html_is() -> None:
    shown = draft_html("<code>&#64;x&#42;</code> and <b>bold</b> &#60;i&#62;", ())
    assert "<code>@x*</code>" in shown
    assert "&lt;b&gt;bold&lt;/b&gt;" in shown
    assert "&lt;i&gt;" in shown


def test_text_keeps_its_outer_spaces_and_loses_what_cannot_be_seen() -> None:
    assert text(" a\u202e & b ") == " a &amp; b "
    assert element("p", "<", title='"') == '<p title="&quot;">&lt;</p>'


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Chromium]":
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright here")
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with sync.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_fit_a_phone_and_ask_nobody(
    chromium: "Chromium", runs_dir: Path, tmp_path: Path, scheme: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe here")
    place = tmp_path / "site"
    built(runs_dir, place)
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": 390, "height": 800}, bypass_csp=True
    )
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    run = min((place / "runs").iterdir()).name
    for path in ("index.html", f"runs/{run}/index.html", "experiments/redis-slow/index.html",
                 "readiness.html"):  # fmt: skip
        page.goto((place / path).as_uri())
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(url.startswith("file:") for url in asked)
    context.close()


def test_the_filter_works_without_any_script(
    chromium: "Chromium", runs_dir: Path, tmp_path: Path
) -> None:
    built(runs_dir, tmp_path / "site")
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "site" / "index.html").as_uri())
    rows = page.locator("tbody tr")
    assert [rows.nth(n).is_visible() for n in range(4)] == [True] * 4
    page.get_by_role("radio", name="db-slow").check()
    assert [rows.nth(n).is_visible() for n in range(4)] == [True, False, False, False]
    page.get_by_role("radio", name="all experiments").check()
    assert [rows.nth(n).is_visible() for n in range(4)] == [True] * 4
    context.close()
