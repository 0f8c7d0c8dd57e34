"""The page in a real browser: an incident worked by it alone, and hostile texts that stay texts."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gameday.console.launch import launch
from gameday.console.settings import ListenSettings
from gameday.evidence import events
from gameday.evidence.journal import every, first, read
from tests.support.consoles import RunFolder, console
from tests.support.pages import CHROMIUM, opened, sure, tell

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

HOSTILE = [
    '<img src=x onerror="document.title=1;window.hurt=1">',
    "<script>window.hurt=1</script>",
    '"><svg/onload=window.hurt=1>',
    "{{constructor.constructor('window.hurt=1')()}}",
    "javascript:window.hurt=1",
    "\u202egnp.exe <b>bold</b> &lt;i&gt;",
]


def with_a_phone(chromium: "Chromium", link: str, page: "Page") -> "Page":
    """Page of somebody who joins later, once `page` tells it."""
    other = opened(chromium, link, "Bo", viewport={"width": 360, "height": 740})
    page.wait_for_selector("#timeline >> text=Bo")
    return other


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_incident_is_worked_by_the_page_alone(chromium: "Chromium", tmp_path: Path) -> None:
    with running(tmp_path) as (process, links):
        page = opened(chromium, links["trainee"], "Ada")
        lead = opened(chromium, links["facilitator"], color_scheme="dark")
        page.wait_for_selector(".page.firing")
        assert "is firing" in page.inner_text("#announce")
        other = with_a_phone(chromium, links["trainee"], page)
        page.click("#do-ack")
        page.fill("#hypothesis", "Redis answers late")
        page.click("#do-declare")
        page.wait_for_selector("#belief .answer.good")
        page.click("[data-severity=sev2]")
        sure(page, '[data-step="redis-slow:1"]')
        page.wait_for_selector("#actions .answer.good")
        tell(page, "Redis is slow; next news in 5 minutes")
        page.reload()  # it loses nothing
        for each in (page, other, lead):
            each.wait_for_selector("#timeline >> text=Ada believes: Redis answers late")
            each.wait_for_selector("#incident >> text=Ada has it.")
        assert "network-latency" not in page.inner_text("body")
        lead.wait_for_selector("#truth >> text=network.latency")
        lead.wait_for_selector("#timeline >> text=network-latency-1: in")
        for each in (page, other, lead):
            assert each.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.wait_for_selector(".calm")
        sure(page, "#do-resolved")
        page.wait_for_selector(".banner.over")
        assert process.wait(60) == 0
        assert page.problems + other.problems + lead.problems == []  # type: ignore[attr-defined]
    records = read(next(tmp_path.glob("runs/*")) / "journal.jsonl").records
    orders = [each.event.order for each in every(records, events.OrderGiven)]
    assert orders[-6:] == ["ack", "declare", "severity", "act", "update", "resolved"]
    assert {each.event.by for each in every(records, events.OrderGiven)} == {"Ada", "Bo"}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_console_that_is_killed_touches_neither_run_nor_reaper(tmp_path: Path) -> None:
    with running(tmp_path) as (process, _links):
        import psutil

        (found,) = [
            each
            for each in psutil.Process(process.pid).children(recursive=True)
            if "gameday.console" in each.cmdline()
        ]
        found.send_signal(signal.SIGKILL)
        assert process.wait(90) == 1  # nobody worked on it
        folder = next(tmp_path.glob("runs/*"))
    records = read(folder / "journal.jsonl").records
    ended = first(records, events.RunEnded)
    assert ended is not None
    assert ended.event.ended == "completed"
    assert [each.event.gone for each in every(records, events.FaultRemoved)] == [True]
    assert not (folder / "reaper.jsonl").exists()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_abort_of_a_page_that_is_closed_at_once_is_heard(
    chromium: "Chromium", tmp_path: Path
) -> None:
    with running(tmp_path) as (process, links):
        lead = opened(chromium, links["facilitator"])
        lead.wait_for_selector("#timeline >> text=network-latency-1: in")
        sure(lead, "#do-abort")
        lead.close()  # the page alone, as a person closes it; without its context nothing is sent
        assert process.wait(60) == 5
    records = read(next(tmp_path.glob("runs/*")) / "journal.jsonl").records
    (order,) = [each for each in every(records, events.OrderGiven) if each.event.order == "abort"]
    (removed,) = every(records, events.FaultRemoved)
    assert removed.event.gone
    assert removed.t_ns - order.t_ns < 2_000_000_000


class running:
    """A short run with its console: its process, and its links by role. It is ended in the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> tuple["subprocess.Popen[str]", dict[str, str]]:
        argv = ["-m", "gameday", "run", "redis-slow", "--short", "--responder", "person"]
        argv += ["--console", "--runs", str(self._folder / "runs")]
        self._process = subprocess.Popen(
            [sys.executable, *argv], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env={**os.environ, "COLUMNS": "400"},
        )  # fmt: skip
        links: dict[str, str] = {}
        ready = threading.Event()
        self._reading = threading.Thread(target=self._read, args=(links, ready))
        self._reading.start()
        assert ready.wait(60)
        return self._process, links

    def _read(self, links: dict[str, str], ready: threading.Event) -> None:
        """Take the links from the lines, and read on so that the run never waits for us."""
        roles = {"who leads": "facilitator", "those who work": "trainee", "look on": "observer"}
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = re.search(r"(http\S+#\S+)", line)
            if found is not None:
                links[next(role for word, role in roles.items() if word in line)] = found[1]
            if len(links) == len(roles):
                ready.set()

    def __exit__(self, *_: object) -> None:
        import psutil

        consoles = [
            each
            for each in psutil.process_iter(["cmdline"])
            if "gameday.console" in (each.info["cmdline"] or ())
            and str(self._folder) in " ".join(file.path for file in _files(each))
        ]
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
        for each in consoles:
            each.terminate()
            each.wait(20)
        self._reading.join(20)
        assert self._process.stderr is not None
        self._process.stderr.close()


def _files(process: Any) -> list[Any]:
    import psutil

    try:
        return list(process.open_files())
    except psutil.Error:
        return []


@pytest.mark.parametrize("role", ["facilitator", "trainee", "observer"])
def test_hostile_texts_stay_texts(chromium: "Chromium", tmp_path: Path, role: str) -> None:
    run = RunFolder(tmp_path / "20261130T000000Z-drill-abcd")
    run.journal.write(
        events.DrillStarted(
            mode="live", briefing=HOSTILE[0], role="operations", window_s=1, lasts_s=1,
            updates_every_s=300, hypotheses=HOSTILE,
        )
    )  # fmt: skip
    run.traffic()
    for n, text in enumerate(HOSTILE):
        for order in ("note", "update", "declare", "hand-over"):
            run.journal.write(
                events.OrderGiven(order=order, by=text, through="person", text=text, to=text)
            )
        run.journal.write(events.DrillInject(to="all", text=text))
        run.journal.write(events.DrillHint(number=n, text=text, cost=0.1))
        run.journal.write(events.DrillJoined(by=text, role="scribe"))
        run.journal.write(
            events.DrillInjectPlanned(number=n, to="all", text=text, at_s=1), "facilitator"
        )
        run.sample(n, {"alertname": text, "severity": text, text: text})
    (run.dir / "logs" / "service.log").write_text("\n".join(HOSTILE))
    with console(run.dir) as served:
        link = served.base + "/#" + served.tokens[role]  # type: ignore[index]
        page = opened(chromium, link, HOSTILE[1][:70] if role == "trainee" else "")
        page.wait_for_selector(".page.firing")
        page.click("#tab-logs")
        page.wait_for_selector(".log mark, .log div")
        page.fill("#log-search", "<script>")
        page.wait_for_selector(".log mark")
        if role != "observer":
            page.click("#tab-query")
            page.fill(
                "#query", 'label_replace(vector(1), "x", "<img src=x onerror=hurt=1>", "", "")'
            )
            page.click("#do-query")
            page.wait_for_selector("#part-query table, #part-query .problem")
        assert page.evaluate("window.hurt") is None
        assert (
            page.evaluate("document.querySelectorAll('main img, main script, main svg').length")
            == 0
        )
        assert HOSTILE[0] in page.inner_text("#timeline")
        problems = [each for each in page.problems if "Content Security" in each]  # type: ignore[attr-defined]
        assert not problems


def test_the_page_says_when_it_is_not_connected_and_goes_on_by_itself(
    chromium: "Chromium", tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "20261130T000000Z-redis-slow-abcd")
    run.traffic()
    launched = launch(run.dir, ListenSettings(port=0))
    page = opened(chromium, launched.links.links["observer"])
    try:
        page.wait_for_selector("#line:not(.away)")
        page.wait_for_selector("#timeline")
        launched.process.send_signal(signal.SIGSTOP)
        page.wait_for_selector("#line.away")
        page.wait_for_selector(".banner.bad")
        run.journal.write(events.OrderGiven(order="note", by="Ada", through="person", text="later"))
        launched.process.send_signal(signal.SIGCONT)
        page.wait_for_selector("#timeline >> text=Ada notes: later")
        page.wait_for_selector("#line:not(.away)")
    finally:
        page.context.close()
        launched.process.kill()
        launched.process.wait(20)
        os.close(launched.pipe)


def test_the_keys_lead_to_the_parts(chromium: "Chromium", tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "20261130T000000Z-redis-slow-abcd")
    run.traffic()
    with console(run.dir) as served:
        page = opened(chromium, served.base + "/#" + served.tokens["trainee"], "Ada")  # type: ignore[index]
        page.wait_for_selector("#join", state="detached")
        for key, id_ in (("h", "hypothesis"), ("u", "update"), ("n", "note"), ("q", "query")):
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement.id") == id_
            page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.wait_for_selector("dialog kbd")
        page.keyboard.press("Escape")
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        assert page.evaluate("location.hash") == ""  # the token is gone from the address
        assert page.evaluate("document.cookie") == ""


def test_what_was_handed_over_can_be_acknowledged(chromium: "Chromium", tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "20261130T000000Z-redis-slow-abcd")
    run.traffic()
    run.journal.write(events.OrderGiven(order="hand-over", by="Ada", through="person", to="Bo"))
    with console(run.dir) as served:
        page = opened(chromium, served.base + "/#" + served.tokens["trainee"], "Ada")  # type: ignore[index]
        page.wait_for_selector("#incident >> text=Bo has it.")
        page.wait_for_selector("#do-ack:enabled")
        run.journal.write(events.AlertAcknowledged(by="Ada"))
        page.wait_for_selector("#do-ack:disabled")
        assert "Bo has it." in page.inner_text("#incident")


def test_another_link_in_an_open_tab_is_used_and_leaves_the_address(
    chromium: "Chromium", tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "20261130T000000Z-redis-slow-abcd")
    run.traffic()
    with console(run.dir) as served:
        page = opened(chromium, served.base + "/#" + served.tokens["observer"])  # type: ignore[index]
        page.wait_for_selector("#role >> text=observer")
        token = served.tokens["facilitator"]  # type: ignore[index]
        page.evaluate(f"location.hash = '{token}'")  # as one that is pasted
        page.wait_for_selector("#truth")
        assert page.evaluate("location.hash") == ""
        page.route("**/static/locale/**", lambda route: route.abort())
        page.goto(served.base + "/?again#" + token)  # its texts do not come
        page.wait_for_function("location.hash === ''")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("role", ["trainee", "facilitator"])
def test_the_page_is_accessible(
    chromium: "Chromium", tmp_path: Path, scheme: str, role: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe here")
    run = RunFolder(tmp_path / "20261130T000000Z-redis-slow-abcd")
    run.traffic()
    run.sample(1, {"alertname": "RedisSlow", "severity": "page"})
    run.journal.write(events.OrderGiven(order="note", by="Ada", through="person", text="hi"))
    with console(run.dir) as served:
        link = served.base + "/#" + served.tokens[role]  # type: ignore[index]
        page = opened(
            chromium, link, "Ada" if role == "trainee" else "", color_scheme=scheme, bypass_csp=True
        )
        page.wait_for_selector(".page.firing")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
