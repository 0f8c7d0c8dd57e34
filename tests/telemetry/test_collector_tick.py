"""One instant after another: a real server and a growing history, measured on a set grid."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from gameday.core.clock import NS, SystemClock
from gameday.core.json_objects import plain
from gameday.telemetry import samples
from gameday.telemetry.alerts.rules import load_rules
from gameday.telemetry.alerts.state import Evaluator
from gameday.telemetry.collector.settings import CollectorSettings, ScrapeTarget
from gameday.telemetry.collector.tick import Instants
from gameday.telemetry.promql import SeriesStore, label_set, parse, reading
from gameday.traffic.history import RECORD, HistoryHeader, HistoryWriter, Outcome

CLOCK = SystemClock()
Json = dict[str, Any]

RULES = """
groups:
  - name: drill
    rules:
      - alert: Broken
        expr: broken > 0.5
        for: 2s
"""


class Service:
    """A metrics target whose figures the test sets; `None` closes connections unanswered."""

    def __init__(self) -> None:
        self.body: str | None = "broken 0\n"
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    @property
    def target(self) -> Json:
        return {"name": "one", "url": f"http://127.0.0.1:{self.port}/metrics"}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n") and self.body is not None:
                raw = self.body.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


class Ticks:
    """Measures at one instant of the grid after another, a second apart, without waiting."""

    def __init__(self, instants: Instants) -> None:
        self._instants = instants
        self.t_ns = 100 * NS

    def retarget(self, *services: Service) -> None:
        named = [{**each.target, "name": f"s-{each.port}"} for each in services]
        self._instants.retarget([ScrapeTarget(**each) for each in named])

    async def open(self) -> None:
        await self._instants.open()

    async def __call__(self) -> Mapping[str, Any]:
        self.t_ns += NS
        line: Json = plain(await self._instants.measure(self.t_ns))
        return line


@asynccontextmanager
async def measuring(folder: Path, **settings: Any) -> AsyncIterator[Ticks]:
    (folder / "history").mkdir()
    base: Json = {
        "samples": folder / "samples.jsonl",
        "history_dir": folder / "history",
        "grid_start_ns": 0,
        "scenarios": ["drop", "spike-1"],
        "scrape_timeout_s": 2.0,
    }
    instants = Instants(CollectorSettings(**{**base, **settings}), CLOCK)
    try:
        yield Ticks(instants)
    finally:
        await instants.close()


def answered(k: int, outcome: Outcome, took_ms: int) -> bytes:
    """One record that has just been answered."""
    now_ns = CLOCK.now_ns()
    record = np.zeros(1, dtype=RECORD)
    record["k"], record["outcome"], record["remaining"] = k, int(outcome), -1
    record["intended_ns"] = record["sent_ns"] = now_ns - took_ms * 1_000_000
    record["ended_ns"] = record["first_byte_ns"] = now_ns
    return record.tobytes()


def header(scenario: str, worker: int = 0, workers: int = 1) -> HistoryHeader:
    spec = {"executor": "constant-arrival-rate", "rate": "100/s", "duration": "60s"}
    about = {"scenario": scenario, "worker": worker, "workers": workers, "seed": 7, "users": 10}
    return HistoryHeader.from_json({**about, "spec": spec, "t0_ns": CLOCK.now_ns()})


async def test_a_history_that_grows_is_counted_while_it_grows(tmp_path: Path) -> None:
    named = {"objective:three": 'sum(k6_http_reqs_total{outcome="issued"}) >= 3'}
    async with measuring(tmp_path, expressions=named) as tick:
        line = await tick()
        assert line["traffic"]["by_outcome"]["issued"] == 0
        assert line["readings"] == {"objective:three": False}
        (tmp_path / "history" / "half-made.bin").write_bytes(b"GDHI")
        history = HistoryWriter(tmp_path / "history" / "drop-0.bin", header("drop"))
        try:
            history.advance(4)
            records = b"".join(answered(k, Outcome.ISSUED, 20) for k in range(3))
            history.append(records[:-30])
            line = await tick()
            assert line["traffic"]["by_outcome"]["issued"] == 2
            assert line["traffic"]["open"] == 2
            history.append(records[-30:])
            line = await tick()
            assert line["readings"] == {"objective:three": True}
            assert line["figures"]["objective:three"] == 3
            history.append(answered(3, Outcome.UNKNOWN, 900))
            line = await tick()
            assert line["traffic"]["by_outcome"]["unknown"] == 1
            assert line["traffic"]["open"] == 0
            assert line["traffic"]["rate_per_s"] > 0
            assert 750 < line["traffic"]["p95_ms"] <= 1000
        finally:
            history.close()


async def test_workers_that_share_a_scenario_are_added_up(tmp_path: Path) -> None:
    async with measuring(tmp_path) as tick:
        histories = []
        for worker in range(2):
            path = tmp_path / "history" / f"drop-{worker}.bin"
            histories.append(HistoryWriter(path, header("drop", worker, 2)))
            histories[-1].advance(10)
            histories[-1].append(answered(worker, Outcome.ISSUED, 5))
        line = await tick()
        assert line["traffic"]["by_outcome"]["issued"] == 2
        assert line["traffic"]["open"] == 8
        for history in histories:
            history.close()


async def test_replicas_that_come_are_asked_and_those_that_go_are_forgotten_at_once(
    tmp_path: Path,
) -> None:
    named = {"objective:replicas": "count(broken) >= 2", "objective:up": "count(up) >= 2"}
    async with Service() as first, Service() as second:
        asked = [{**first.target, "name": f"s-{first.port}"}]
        async with measuring(tmp_path, targets=asked, expressions=named) as tick:
            line = await tick()
            assert set(line["readings"].values()) == {False}
            tick.retarget(first, second)
            line = await tick()
            assert set(line["readings"].values()) == {True}
            assert line["up"] == {f"s-{first.port}": True, f"s-{second.port}": True}
            tick.retarget(second)
            line = await tick()
            assert set(line["readings"].values()) == {False}
            assert line["figures"] == {"objective:replicas": 1, "objective:up": 1}
            assert line["up"] == {f"s-{second.port}": True}


async def test_an_alert_goes_from_pending_to_firing_on_the_grid_and_resolves(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    async with (
        Service() as service,
        measuring(tmp_path, targets=[service.target], rules=[rules]) as tick,
    ):
        states = []
        for broken in (0, 1, 1, 1, 1, 0):
            service.body = f"broken {broken}\n"
            alerts = (await tick())["alerts"]
            states.append([(a["state"], (tick.t_ns - a["active_at"]) // NS) for a in alerts])
            assert all(a["labels"] == {"alertname": "Broken", "instance": "one"} for a in alerts)
    pending, firing = [[("pending", s)] for s in (0, 1)], [[("firing", s)] for s in (2, 3)]
    assert states == [[], *pending, *firing, []]


async def test_the_recorded_series_replay_to_the_recorded_alerts_and_readings(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES + '      - {alert: Down, expr: "up == 0 or absent(broken)"}\n')
    named = {"objective:fine": "rate(broken[3s]) < 0.5"}
    async with (
        Service() as service,
        measuring(tmp_path, targets=[service.target], rules=[rules], expressions=named) as tick,
    ):
        for body in ("broken 0\n", "broken 1\n", None, "broken 1\n", "broken 3\n", "broken 5\n"):
            service.body = body
            await tick()
    store, alerts, query = (
        SeriesStore(),
        Evaluator([load_rules(rules)]),
        parse(named["objective:fine"]),
    )
    recorded = list(samples.read(tmp_path / "samples.jsonl"))
    firing = set()
    for scrape, seen in zip(recorded[::2], recorded[1::2], strict=True):
        assert isinstance(scrape, samples.Scrape)
        assert isinstance(seen, samples.Evaluation)
        series = [(label_set(labels), value) for labels, value in scrape.values]
        store.append(scrape.t_ns, series, source="samples")
        again = [
            samples.AlertLine(dict(a.labels), a.state, a.active_at_ns)
            for a in alerts.tick(store, scrape.t_ns)
        ]
        assert tuple(again) == seen.alerts
        assert seen.readings == {"objective:fine": reading(query, store, scrape.t_ns)}
        firing |= {a.name for a in seen.alerts if a.state == "firing"}
    assert firing == {"Broken", "Down"}


async def test_a_target_that_goes_silent_leaves_no_data_and_comes_back(tmp_path: Path) -> None:
    named = {
        "objective:fine": "broken < 0.5",
        "guard:0": 'sum(k6_http_reqs_total{outcome="unknown"}) > 5',
        "guard:1": "up == 0",
        "dependency:redis": "broken",
    }
    async with (
        Service() as service,
        measuring(tmp_path, targets=[service.target], expressions=named) as tick,
    ):
        for broken in (None, "<html>garbage</html>", "broken\n"):
            service.body = "broken 0\n"
            fine = await tick()
            assert fine["up"] == {"one": True}
            assert fine["readings"] == {"objective:fine": True, "guard:0": False, "guard:1": False}
            assert fine["figures"]["dependency:redis"] == 0
            service.body = broken
            gone = await tick()
            assert gone["up"] == {"one": False}
            assert gone["down"]["one"]
            assert gone["readings"] == {"objective:fine": None, "guard:0": False, "guard:1": True}
            assert gone["figures"]["dependency:redis"] is None


async def test_an_expression_that_cannot_be_evaluated_reads_no_data_and_says_why(
    tmp_path: Path,
) -> None:
    named = {"objective:odd": "b * on() a > 0", "objective:fine": "b == 1"}
    async with (
        Service() as service,
        measuring(tmp_path, targets=[service.target], expressions=named) as tick,
    ):
        service.body = 'a{x="1"} 1\na{x="2"} 1\nb 1\n'
        line = await tick()
        assert line["readings"] == {"objective:odd": None, "objective:fine": True}
        assert list(line["problems"]) == ["objective:odd"]
