"""The page of a report: one file that loads nothing, says what the draft says, and stays text."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gameday.core.errors import UsageError
from gameday.report import write_report
from gameday.report.charts.thinning import COLUMNS, thinned
from gameday.report.formats import MAKERS
from gameday.report.html import write_html
from gameday.report.html.body import render
from gameday.report.html.pdf import find_chromium, printed
from gameday.report.messages import Messages
from tests.report.test_report import redis_slow_alerts, write_run, write_samples
from tests.support.pages import CHROMIUM, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium

SAY = Messages("en")
HOSTILE = [
    "<script>window.hurt=1</script>",
    '<img src=x onerror="window.hurt=1">',
    "[click](javascript:window.hurt=1)",
    "![x](https://example.org/x.png)",
    "<code><script>window.hurt=1</script></code>",
    "</script><script>window.hurt=1</script>",
    '<code>&lt;script&gt;window.hurt=1&lt;/script&gt;"</code>',
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = write_run(tmp_path_factory.mktemp("runs") / "20261123T083000Z-redis-slow-k3f9")
    write_report(found)
    write_html(found, "en")
    return found


@pytest.fixture(scope="module")
def chromium() -> Iterator["Chromium"]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_the_page_has_no_address_and_forbids_itself_to_load(run_dir: Path) -> None:
    text = (run_dir / "postmortem.html").read_text()
    assert "default-src 'none'; script-src 'sha256-" in text
    assert "unsafe" not in re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0]
    outside = re.findall(r'\b(?:src|href|action|data)="([^"]*)"', text)
    assert outside
    assert all(each.startswith("#") for each in outside if "/" in each or ":" in each)
    assert not re.search(r"\sstyle=|@import|url\(|<link|<iframe", text)
    assert '<html lang="en">' in text


def test_every_section_of_the_draft_is_on_the_page(run_dir: Path) -> None:
    text = (run_dir / "postmortem.html").read_text()
    heads = re.findall(r"^## (.+)$", (run_dir / "postmortem.md").read_text(), re.MULTILINE)
    assert len(heads) > 10
    for head in heads:
        assert re.search(rf'<h2 id="s\d+">{re.escape(head)}</h2>', text), head


def test_what_a_person_wrote_is_what_the_page_says(tmp_path: Path, run_dir: Path) -> None:
    copy = Path(shutil.copytree(run_dir, tmp_path / run_dir.name))
    draft = copy / "postmortem.md"
    draft.write_text(draft.read_text().replace("## Summary", "## Summary\n\nAda's <b>words</b>."))
    assert "Ada's &lt;b&gt;words&lt;/b&gt;." in write_html(copy, "en").read_text()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_a_text_says_becomes_markup(hostile: str) -> None:
    made = render(f"# {hostile}\n\n{hostile}\n\n| {hostile} |\n| :-: |\n| x |", str, SAY)
    assert not re.search(r"<(script|img|b)\b|<a\b|\sstyle=", made.html + made.contents)


def test_code_in_entities_is_read_back_as_code() -> None:
    made = render("<code>a&#60;b&#124;c</code> x@<!-- -->y", str, SAY)
    assert made.html == "<p><code>a&lt;b|c</code> x@y</p>\n"


def test_a_long_run_keeps_its_peaks() -> None:
    t_s = np.arange(36_000.0)
    values = np.zeros(len(t_s))
    values[12_345], values[20_001], values[30_000:31_000] = 99.0, -7.0, np.nan
    fewer, (curve,) = thinned(t_s, [values])
    assert len(fewer) == len(curve) == 2 * COLUMNS
    assert (np.diff(fewer) > 0).all()
    assert np.nanmax(curve) == 99.0
    assert np.nanmin(curve) == -7.0
    assert abs(fewer[np.nanargmax(curve)] - 12_345) < 40
    assert np.isnan(curve).any()


@pytest.mark.timeout(120)
def test_an_hour_is_a_page_of_less_than_one_and_a_half_megabytes(
    tmp_path: Path, run_dir: Path
) -> None:
    copy = Path(shutil.copytree(run_dir, tmp_path / run_dir.name))
    (copy / "samples.jsonl").unlink()
    write_samples(copy / "samples.jsonl", 3600, redis_slow_alerts)
    page = write_html(copy, "en")
    assert page.stat().st_size < 1_500_000
    assert "lowest and the highest value" in page.read_text()


def test_without_chromium_the_cure_is_said(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert find_chromium(nothing) is None
    with pytest.raises(UsageError, match="no Chromium") as error:
        printed(b"<p>x", nothing)
    assert "print it there" in str(error.value.help)


def test_a_chromium_that_fails_is_quoted(tmp_path: Path) -> None:
    fake = tmp_path / "chromium"
    fake.write_text(f"#!{sys.executable}\nraise SystemExit('no display')\n")
    fake.chmod(0o755)
    with pytest.raises(UsageError, match="no display"):
        printed(b"<p>x", {"PATH": str(tmp_path), "HOME": str(tmp_path)})


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.timeout(120)
def test_the_page_is_printed(run_dir: Path) -> None:
    made = MAKERS["pdf"](run_dir, []).raw
    assert made.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", made)) > 3


@pytest.mark.timeout(120)
def test_a_line_of_the_timeline_is_marked_and_charts_zoom(
    chromium: "Chromium", run_dir: Path
) -> None:
    page = opened(chromium, "about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    link = (run_dir / "postmortem.html").as_uri()
    page.goto(link)
    page.wait_for_selector(".figure[data-live] canvas")
    row = page.locator("tr[data-t]", has_text="is in place").first
    at = row.get_attribute("data-t")
    row.hover()
    assert page.evaluate("document.documentElement.dataset.marked") == at
    assert page.locator("svg .cursor").count() >= 1
    row.locator("button").focus()
    page.keyboard.press("Enter")
    page.mouse.move(0, 0)
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert row.locator("button").get_attribute("aria-pressed") == "true"
    assert asked == [link]
    assert page.problems == []  # type: ignore[attr-defined]


@pytest.mark.timeout(120)
def test_charts_zoom_by_button_and_by_drag(chromium: "Chromium", run_dir: Path) -> None:
    page = opened(chromium, (run_dir / "postmortem.html").as_uri())
    page.wait_for_selector(".figure[data-live] canvas")
    before = page.evaluate("document.documentElement.dataset.from")
    page.get_by_role("button", name="Zoom in").first.click()
    assert page.evaluate("document.documentElement.dataset.from") != before
    page.get_by_role("button", name="Show the whole run").first.click()
    box = page.locator(".figure .u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=4)
    page.mouse.up()
    root = page.evaluate("({...document.documentElement.dataset})")
    assert 5 < float(root["to"]) - float(root["from"]) < 40
    assert page.problems == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.timeout(120)
def test_the_page_is_accessible_and_fits_a_phone(
    chromium: "Chromium", run_dir: Path, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe here")
    link = (run_dir / "postmortem.html").as_uri()
    page = opened(chromium, link, color_scheme=scheme, viewport={"width": 360, "height": 740})
    page.wait_for_selector(".figure[data-live] canvas")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    found = axe.Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    assert page.problems == []  # type: ignore[attr-defined]


@pytest.mark.timeout(120)
def test_without_javascript_the_charts_are_drawn(chromium: "Chromium", run_dir: Path) -> None:
    link = (run_dir / "postmortem.html").as_uri()
    page = opened(chromium, link, java_script_enabled=False)
    assert page.locator(".static svg").count() >= 4
    assert all(each.is_visible() for each in page.locator(".static svg").all())
    assert not page.locator("button").count()
