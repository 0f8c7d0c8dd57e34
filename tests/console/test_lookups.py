"""What is looked up: queries with bounds, the service's logs alone, playbooks without any HTML."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gameday.console.access import ConsoleRole
from gameday.console.feed import Feed
from gameday.console.playbook_text import blocks
from gameday.console.queries import MOST_POINTS, MOST_SERIES, MOST_TEXT, QueryAnswer, answer
from gameday.console.service_logs import LONGEST, MOST_LINES, search
from gameday.console.workbench import workbench
from gameday.core.clock import NS, SystemClock
from gameday.drills.live import LiveDrill
from gameday.drills.scenario import Setting
from gameday.evidence.journal import Journal
from gameday.evidence.service_logs import log_names
from gameday.run.run_dir import lay_out
from gameday.spec.inputs import find_system, load_drill, load_system
from gameday.spec.shipped import all_experiments, all_playbooks
from gameday.telemetry.promql import SeriesStore, labels
from tests.support.consoles import ConsoleUnderTest

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[a](javascript:alert(1))",
    "![a](http://evil.example/a.png)",
    "<a href='http://evil.example'>x</a>",
]


@pytest.fixture
def store() -> SeriesStore:
    found = SeriesStore(3600)
    for second in range(600):
        series = [(labels("up", job=f"j{n}"), float(second)) for n in range(MOST_SERIES + 10)]
        found.append(second * NS, series)
    return found


async def asked(text: str, store: SeriesStore, range_s: float = 0, **how: Any) -> QueryAnswer:
    """The answer of the query box at the end of that store."""
    how = {"clock": SystemClock(), "reading": asyncio.Lock(), **how}
    return await answer(text, store, at_ns=599 * NS, began_ns=0, range_s=range_s, **how)


async def test_a_query_at_an_instant(store: SeriesStore) -> None:
    found = await asked('up{job="j3"}', store)
    assert [(each.name, list(each.values)) for each in found.series] == [('up{job="j3"}', [599.0])]
    assert list(found.times) == [599.0]


async def test_a_query_over_a_range_has_so_many_points_and_series(store: SeriesStore) -> None:
    found = await asked("up", store, 599)
    assert len(found.series) == MOST_SERIES
    assert found.left_out == 10
    assert 2 < len(found.times) <= MOST_POINTS
    assert not found.cut_short


async def test_a_query_that_takes_too_long_is_cut_short(store: SeriesStore) -> None:
    class Hurried(SystemClock):
        def __init__(self) -> None:
            self.looks = 0

        def now_ns(self) -> int:
            self.looks += 1
            return self.looks * NS

    found = await asked("up", store, 599, clock=Hurried())
    assert found.cut_short
    assert 0 < len(found.times) < 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "up{",
        "sum(",
        "up / on() up",
        "x" * (MOST_TEXT + 1),
        "(" * 1500,
        "rate(up)",
    ],
)
async def test_what_is_wrong_with_a_query_is_told(store: SeriesStore, text: str) -> None:
    found = await asked(text, store)
    assert found.problem
    assert not found.series


async def test_the_feed_is_read_between_the_instants_of_a_query(store: SeriesStore) -> None:
    reading = asyncio.Lock()
    query = asyncio.create_task(asked("up", store, 599, reading=reading))
    while not reading.locked():
        await asyncio.sleep(0)
    async with reading:
        assert not query.done()
    assert not (await query).cut_short


def test_there_is_one_query_at_a_time_and_who_leads_has_one_beside(
    served: ConsoleUnderTest,
) -> None:
    trainee, leader = served.browser("trainee"), served.browser("facilitator")
    under_way = served.server.console.querying[ConsoleRole.TRAINEE]
    asyncio.run(under_way.acquire())
    refused = trainee.ask("POST", "/api/query", {"query": "1"})
    assert (refused.status_code, refused.json()) == (429, {"error": "busy"})
    assert leader.ask("POST", "/api/query", {"query": "1"}).status_code == 200
    under_way.release()
    assert trainee.ask("POST", "/api/query", {"query": "1"}).status_code == 200


def test_the_query_box_answers_over_the_line(served: ConsoleUnderTest) -> None:
    browser = served.browser("observer")
    assert browser.ask("POST", "/api/query", {"query": "1 + 1"}).json()["series"] == [
        {"name": "", "values": [2.0]}
    ]
    assert browser.ask("POST", "/api/query", {"query": "1 +"}).json()["problem"]
    for wrong in (
        {"query": 5},
        {},
        {"query": "1", "range_s": "x"},
        {"query": "1", "range_s": True},
    ):
        assert browser.ask("POST", "/api/query", wrong).status_code == 400


def test_only_the_service_has_logs_here(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("service", "service-1", "collector", "reaper", "toxiproxy", "traffic", "console"):
        (tmp_path / "logs" / f"{name}.log").write_text(f"{name} says\n")
    assert log_names(tmp_path) == ["service-1.log", "service.log"]
    for name in ("collector.log", "../journal.jsonl", "/etc/passwd", "reaper.log", "x"):
        assert search(tmp_path, name, "").lines == ()


def test_a_log_is_searched_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    lines = [f"line {n} {'Timeout' if n % 2 else 'ok'}" for n in range(MOST_LINES * 4)]
    (tmp_path / "logs" / "service.log").write_text("\n".join([*lines, "x" * 5000]))
    found = search(tmp_path, "", "timeout")
    assert (found.matched, len(found.lines)) == (MOST_LINES * 2, MOST_LINES)
    assert found.lines[-1].startswith(f"line {MOST_LINES * 4 - 1} ")
    assert len(search(tmp_path, "service.log", "xxx").lines[0]) == LONGEST


def test_a_log_that_leads_elsewhere_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "service.log").mkdir()
    found = search(tmp_path, "service.log", "")
    assert found.problem
    assert not found.lines


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_playbook_holds_is_told_as_text(text: str) -> None:
    found = blocks(
        f"---\nname: x\n---\n# {text}\n\n{text}\n\n1. {text}\n\n| {text} |\n|--|\n| b |\n"
    )
    kinds = {each.kind for each in found}
    assert kinds <= {"heading", "paragraph", "item", "code", "row"}
    for each in found:
        assert set(asdict(each)) == {"kind", "runs", "level", "mark", "cells", "step"}
        for run in each.runs:
            assert run.look in ("", "strong", "code")


@pytest.mark.parametrize("path", all_playbooks(), ids=lambda p: p.stem)
def test_every_shipped_playbook_is_told_with_its_steps(path: Path) -> None:
    found = blocks(path.read_text())
    told = [each.runs for each in found] + [cell for each in found for cell in each.cells]
    words = " ".join(run.text for runs in told for run in runs)
    assert sum(each.step for each in found) == path.read_text().count("```yaml step")
    assert len(words) > 500
    assert "**" not in words.replace("**/", "")


def test_a_playbook_of_any_size_has_an_end() -> None:
    assert len(blocks("---\n---\n" + "# a\n\n" * 5000)) == 600


@pytest.mark.parametrize("name", ["only-here", "db-slow"])
def test_a_playbook_of_ones_own_looks_like_every_other_in_a_drill(
    tmp_path: Path, name: str
) -> None:
    shipped = {path.stem: path for path in all_experiments()}["redis-slow"].read_text()
    path = tmp_path / "own.yaml"
    path.write_text(shipped.replace("playbook: redis-slow", f"playbook: ./{name}.md"))
    book = {path.stem: path for path in all_playbooks()}["redis-slow"].read_text()
    text = book.replace("name: redis-slow", f"name: {name}") + "\nOurs alone.\n"
    (tmp_path / f"{name}.md").write_text(text)
    setting = Setting(mode="live", window_s=60)
    system = load_system(find_system(None))
    drill = LiveDrill(load_drill(str(path), seed=5), system, setting, SystemClock())
    folder, _ = lay_out(tmp_path / "runs", "drill-abcd", drill.inputs, drill)
    drill.begin(Journal(folder / "journal.jsonl", SystemClock(), "m1"))
    feed = Feed(folder)
    feed.read()

    told = {each.name: each for each in workbench(feed).playbooks}

    assert feed.drill is not None
    assert list(told) == list(feed.drill.playbooks)
    assert name in told
    assert all(each.steps and each.blocks and not each.own for each in told.values())
    assert told[name].blocks == blocks(text)
