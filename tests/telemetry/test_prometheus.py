"""A real Prometheus as the source of samples, readings and alerts, and servers that are none."""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import FileError
from gameday.core.json_objects import plain, read_object
from gameday.injection.drivers.request import authorization
from gameday.plan import prometheus_checks
from gameday.spec.server import Server
from gameday.spec.system import System
from gameday.spec.tls import Tls
from gameday.telemetry import samples
from gameday.telemetry.collector.settings import CollectorSettings
from gameday.telemetry.collector.tick import Instants
from gameday.telemetry.promql import parse
from gameday.telemetry.sources import source
from gameday.telemetry.sources.prometheus import asked_nodes
from gameday.telemetry.sources.prometheus_api import Prometheus, PrometheusError
from tests.attacks.server import Peer, answer
from tests.attacks.server import Server as Liar
from tests.support.plan_parts import inputs_of, slow
from tests.support.prometheus import needs_prometheus, prometheus
from tests.telemetry.test_collector_tick import RULES, Service

CLOCK = SystemClock()
Json = dict[str, Any]
NAMED = {
    "objective:whole": "broken < 0.5",
    "objective:nobody": "nothing_of_the_kind < 1",
    "objective:both": "broken > 0.2 and on () broken < 3",
    "guard:0": "sum(rate(k6_http_reqs_total[5s])) > 1e9",
    "objective:ours": "absent(k6_nothing)",
    "dependency:redis": "sum(broken) + 1",
    "step:1:after": "min(up) == 1",
}


class Grid:
    """Measures once a second until something is seen."""

    def __init__(self, instants: Instants) -> None:
        self._instants = instants
        self.lines: list[Mapping[str, Any]] = []

    async def open(self) -> None:
        await self._instants.open()

    async def once(self) -> Mapping[str, Any]:
        self.lines.append(plain(await self._instants.measure(CLOCK.now_ns())))
        return self.lines[-1]

    async def until(self, wanted: Callable[[Mapping[str, Any]], bool], within_s: float = 30) -> Any:
        deadline_ns = CLOCK.now_ns() + int(within_s * NS)
        while not wanted(line := await self.once()):
            assert CLOCK.now_ns() < deadline_ns, line
            await CLOCK.sleep(0.2)
        return line


@asynccontextmanager
async def collecting(folder: Path, url: str, **settings: Any) -> AsyncIterator[Grid]:
    (folder / "history").mkdir()
    base: Json = {
        "samples": folder / "samples.jsonl",
        "history_dir": folder / "history",
        "grid_start_ns": 0,
        "scenarios": ["drop"],
        "scrape_timeout_s": 2.0,
        "prometheus": {"url": url, "scrape_s": 1.0},
        "expressions": NAMED,
    }
    instants = Instants(CollectorSettings(**{**base, **settings}), CLOCK)
    try:
        yield Grid(instants)
    finally:
        await instants.close()


def states(line: Mapping[str, Any]) -> dict[str, str]:
    return {alert["labels"]["alertname"]: alert["state"] for alert in line["alerts"]}


@needs_prometheus
async def test_readings_alerts_and_samples_come_from_a_real_prometheus(tmp_path: Path) -> None:
    async with Service() as service:
        with prometheus(tmp_path / "p", [f"127.0.0.1:{service.port}"], rules=RULES) as url:
            async with collecting(tmp_path, url) as grid:
                line = await grid.until(lambda line: line["readings"]["objective:whole"] is True)
                line = await grid.until(lambda line: line["readings"]["guard:0"] is False)
                assert line["readings"] == {
                    "objective:whole": True,
                    "objective:nobody": None,
                    "objective:both": False,
                    "guard:0": False,
                    "objective:ours": True,
                    "step:1:after": True,
                }
                assert line["figures"]["dependency:redis"] == 1
                assert line["sampled"] == line["t"] - NS
                assert line["alerts"] == []
                broken_ns = CLOCK.now_ns()
                service.body = "broken 1\n"
                await grid.until(lambda line: states(line) == {"Broken": "pending"})
                line = await grid.until(lambda line: states(line) == {"Broken": "firing"})
                (alert,) = line["alerts"]
                assert broken_ns < alert["active_at"] < line["t"]
                assert line["t"] - alert["active_at"] >= 2 * NS - NS // 10
                assert line["readings"]["objective:whole"] is False
                assert line["readings"]["objective:both"] is True
                service.body = "broken 0\n"
                await grid.until(lambda line: states(line) == {})
    read = list(samples.read(tmp_path / "samples.jsonl"))
    evaluations = [one for one in read if isinstance(one, samples.Evaluation)]
    assert evaluations == [read_object(samples.Evaluation, line) for line in grid.lines]
    scrapes = [one for one in read if isinstance(one, samples.Scrape)]
    scraped = [series for one in scrapes for series, _ in one.values]
    assert any(each["__name__"] == "broken" and each["job"] == "service" for each in scraped)
    assert any(each["__name__"] == "k6_http_reqs_total" for each in scraped)


@needs_prometheus
async def test_one_that_goes_away_makes_everything_unknown_and_nothing_resolved(
    tmp_path: Path,
) -> None:
    async with Service() as service:
        service.body = "broken 1\n"
        with prometheus(tmp_path / "p", [f"127.0.0.1:{service.port}"], rules=RULES) as url:
            async with collecting(tmp_path, url) as grid:
                await grid.until(lambda line: states(line) == {"Broken": "firing"})
                before = grid.lines[-1]
        async with collecting_again(tmp_path, url) as grid:
            line = await grid.once()
    assert before["alerts"]
    assert line["alerts_problem"] == "connection refused"
    assert line["down"] == {"prometheus": "Prometheus: connection refused"}
    assert line["readings"]["objective:whole"] is None
    assert line["readings"]["objective:ours"] is True
    assert read_object(samples.Evaluation, line).why_blind


def collecting_again(folder: Path, url: str) -> Any:
    (folder / "again").mkdir()
    return collecting(folder / "again", url)


@needs_prometheus
async def test_it_shows_the_password_or_the_token_that_is_asked_for(tmp_path: Path) -> None:
    web = f"basic_auth_users: {{gameday: {BCRYPT}}}\n"
    system = {
        "prometheus": {"url": "http://127.0.0.1:1", "user": "gameday", "password": {"env": "PASS"}}
    }
    named = inputs_of(tmp_path, system).system.system.prometheus
    assert isinstance(named, Server)
    assert authorization(
        Server.model_validate({"url": "http://127.0.0.1:1", "bearer": {"env": "PASS"}}),
        {"PASS": "abcd"},
    ) == {"Authorization": "Bearer abcd"}
    with prometheus(tmp_path / "p", [], web=web) as url:
        right = await _version(url, authorization(named, {"PASS": "pass-word"}))
        wrong = await _version(url, authorization(named, {"PASS": "other"}))
    assert right.startswith(("2.", "3."))
    assert wrong == "status 401, and no JSON: is this a Prometheus?"


async def _version(url: str, headers: Mapping[str, str]) -> str:
    """What it says, once it says anything but that it is starting."""
    client = Prometheus(url, headers, 5, Tls())
    told = "status 503"
    deadline_ns = CLOCK.now_ns() + 20 * NS
    while "status 503" in told and CLOCK.now_ns() < deadline_ns:
        try:
            told = await client.version()
        except PrometheusError as error:
            told = error.message
    await client.close()
    return told


BCRYPT = "$2b$05$abcdefghijklmnopqrstuulQElbHkP7vjLqXxb3Lzm18cJsfRyGH6"  # of pass-word

EXPECTED: Json = {
    "alerts": [{"alert": "Broken", "fires_within": "9s", "resolves_within": "11s"}],
}


@needs_prometheus
async def test_a_deadline_shorter_than_two_scrapes_is_refused_with_its_place(
    tmp_path: Path,
) -> None:
    async with Service() as service:
        target = f"127.0.0.1:{service.port}"
        with prometheus(tmp_path / "p", [target], rules=RULES, every="5s") as url:
            looked = await _look(tmp_path, url, method=slow(), expect=EXPECTED)
            assert looked.scrape_s == 5
            (wrong,) = [each for each in looked.findings if each.status == "fail"]
            assert wrong.usage
            place = str(tmp_path / "drop.yaml")
            assert wrong.name.startswith(f"{place}:1:")
            assert wrong.found == "'fires_within': 9s is shorter than two scrapes of Prometheus"
            assert wrong.cure == "write 10s or more, or scrape more often than every 5 s"
            other = {"alerts": [{"alert": "Brokn", "fires_within": "10s"}], "recovers_within": "9s"}
            looked = await _look(tmp_path, url, method=slow(), expect=other)
            wrong_ones = [each for each in looked.findings if each.status == "fail"]
            assert [(each.found, each.cure) for each in wrong_ones] == [
                (
                    "'recovers_within': 9s is shorter than two scrapes of Prometheus",
                    "write 10s or more, or scrape more often than every 5 s",
                ),
                (
                    "'alert': Prometheus has no rule that raises 'Brokn'",
                    "did you mean 'Broken'?",
                ),
            ]


@needs_prometheus
async def test_what_prometheus_has_not_got_is_told_before_the_traffic(tmp_path: Path) -> None:
    async with Service() as service:
        with prometheus(tmp_path / "p", [f"127.0.0.1:{service.port}"], rules=RULES) as url:
            objective = {"name": "odd", "expr": "brokn < 1 and k6_vus < 9"}
            looked = await _look(tmp_path, url, objectives=[objective])
    told = {each.name: each for each in looked.findings}
    assert told["objective odd"].found == "Prometheus has no series brokn"
    assert told["prometheus"].status == "ok"
    assert "1 rules" in told["prometheus"].found


async def test_a_server_that_is_no_prometheus_is_refused_with_the_cure(tmp_path: Path) -> None:
    looked = await _look(tmp_path, "http://127.0.0.1:1")
    assert [(each.status, each.usage) for each in looked.findings] == [("fail", False)]
    assert "connection refused" in looked.findings[0].found
    assert looked.findings[0].cure


async def _look(folder: Path, url: str, **experiment: Any) -> prometheus_checks.Measured:
    inputs = inputs_of(folder, {"prometheus": url, "drain": None, "rules": []}, **experiment)
    server = Server(url=url)
    return await prometheus_checks.look(inputs, inputs.system.system, server, {}, CLOCK)


def test_operands_are_asked_for_and_what_is_our_own_is_not() -> None:
    texts = [
        "sum(rate(a[5s])) / sum(rate(b[5s])) > 0.5",
        "a > 1 and b < 2 unless k6_vus > 3",
        "k6_vus > bool 1",
        "(a > 1) * 2 > 1",
    ]
    asked = [node.text for node in asked_nodes([parse(text) for text in texts])]
    assert asked == ["sum(rate(a[5s])) / sum(rate(b[5s]))", "a", "b", "(a > 1) * 2"]


def test_a_server_may_be_an_address_or_say_how_it_knows_us(tmp_path: Path) -> None:
    both = {
        "url": "http://127.0.0.1:1",
        "bearer": {"env": "A"},
        "user": "x",
        "password": {"env": "B"},
    }
    for written, told in (
        (both, "`bearer`, or `user` and `password`"),
        ({"url": "http://127.0.0.1:1", "user": "x"}, "`user` and `password`, or neither"),
        ({"url": "http://127.0.0.1:1", "bearer": "written-out"}, "{env: NAME} or {file: PATH}"),
    ):
        with pytest.raises(FileError) as caught:
            inputs_of(tmp_path, {"prometheus": written})
        assert told in str(caught.value)
    text = {"prometheus": "http://127.0.0.1:1/p", "alertmanager": {"url": "http://127.0.0.1:2"}}
    system = inputs_of(tmp_path, text).system.system
    assert [each.url for each in system.servers("prometheus")] == ["http://127.0.0.1:1/p"]
    assert [each.url for each in system.servers("alertmanager")] == ["http://127.0.0.1:2"]
    assert System.model_validate(system.model_dump(by_alias=True)) == system


SAID: list[Json] = [
    {"metric": {"__name__": "broken"}, "value": [1.5, "1"]},
    {"metric": {"__name__": "k6_http_reqs_total", "outcome": "issued"}, "value": [1.5, "9e9"]},
    {"metric": {}, "value": [1.5, "1"]},
]


def telling(series: Callable[[], list[Json]]) -> Callable[[Peer], bool]:
    """A Prometheus that answers every query with these series, but the one for its clock."""

    def answers(peer: Peer) -> bool:
        data: Json = {"resultType": "vector", "result": series()}
        if "time%28%29" in peer.path or "time()" in peer.path:
            data = {"resultType": "scalar", "result": [1_790_000_000.0, "1"]}
        said = json.dumps({"status": "success", "data": data})
        peer.send(answer(said, 200, "Content-Type: application/json"))
        return True

    return answers


async def test_only_series_that_were_asked_for_are_recorded(tmp_path: Path) -> None:
    """Else a server could add to the traffic's own counts, which charts sum up."""
    with Liar({"/api/v1/query": telling(lambda: SAID)}) as liar:
        async with collecting(tmp_path, liar.url) as grid:
            await grid.once()
    (scrape,) = (
        each
        for each in samples.read(tmp_path / "samples.jsonl")
        if isinstance(each, samples.Scrape)
    )
    said = [series for series, _ in scrape.values if "scenario" not in series]
    assert said == [{"__name__": "broken"}]


async def test_series_that_change_each_time_are_no_longer_recorded_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_DIFFERENT", 5)
    asked = itertools.count()

    def another() -> list[Json]:
        each = {"__name__": "broken", "id": str(next(asked))}
        return [{"metric": each, "value": [1.5, "1"]}]

    with Liar({"/api/v1/query": telling(another)}) as liar:
        async with collecting(tmp_path, liar.url) as grid:
            lines = [await grid.once() for _ in range(7)]
    down = [(line.get("down") or {}).get("prometheus", "") for line in lines]
    assert not any(down[:5]), down
    assert all("more than 5 different series" in each for each in down[5:]), down
    ids = {
        series["id"]
        for each in samples.read(tmp_path / "samples.jsonl")
        if isinstance(each, samples.Scrape)
        for series, _ in each.values
        if "id" in series
    }
    assert len(ids) == 5
