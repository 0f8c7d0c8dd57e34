"""The collector as a process: its grid, its pipes, its signals and the file it leaves."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gameday.core.clock import NS, SystemClock
from gameday.core.json_objects import read_object
from gameday.telemetry import samples

PERIOD_NS = NS // 5
CLOCK = SystemClock()
COMMAND = (sys.executable, "-m", "gameday.telemetry.collector")
PIPE = asyncio.subprocess.PIPE
Json = dict[str, Any]


class Collector:
    """A running collector: its settings, and its lines as they come."""

    def __init__(self, process: asyncio.subprocess.Process, settings: Json) -> None:
        self.process = process
        self.settings = settings
        self.lines: list[Json] = []

    async def line(self) -> Json:
        assert self.process.stdout is not None
        async with asyncio.timeout(10):
            raw = await self.process.stdout.readline()
        line: Json = json.loads(raw)
        if "t" in line:
            self.lines.append(line)
        return line

    async def until(self, wanted: Callable[[Json], bool]) -> Json:
        for _ in range(60):
            line = await self.line()
            if wanted(line):
                return line
        raise AssertionError(f"not seen; the last line was {self.lines[-1]}")

    async def finish(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        async with asyncio.timeout(10):
            for raw in (await self.process.stdout.read()).splitlines():
                self.lines.append(json.loads(raw))
            return await self.process.wait()


@asynccontextmanager
async def collecting(folder: Path, stdout: int = PIPE, **settings: Any) -> AsyncIterator[Collector]:
    (folder / "history").mkdir(exist_ok=True)
    base: Json = {
        "samples": str(folder / "samples.jsonl"),
        "history_dir": str(folder / "history"),
        "grid_start_ns": CLOCK.now_ns(),
        "period_ns": PERIOD_NS,
        "scrape_timeout_s": 0.15,
        "scenarios": ["drop", "spike-1"],
        "clock": "test",
    }
    process = await asyncio.create_subprocess_exec(*COMMAND, stdin=PIPE, stdout=stdout)
    assert process.stdin is not None
    process.stdin.write(json.dumps({**base, **settings}).encode() + b"\n")
    collector = Collector(process, {**base, **settings})
    try:
        if stdout == PIPE:
            assert await collector.line() == {"event": "ready"}
        yield collector
        if process.returncode is None:
            assert await collector.finish() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_keeps_the_grid_through_signals_and_leaves_what_it_printed(
    tmp_path: Path,
) -> None:
    async with collecting(tmp_path, expressions={"drain": "sum(k6_vus) == 0"}) as collector:
        os.kill(collector.process.pid, signal.SIGINT)
        before = await collector.line()
        os.kill(collector.process.pid, signal.SIGSTOP)
        await CLOCK.sleep(0.7)
        os.kill(collector.process.pid, signal.SIGCONT)
        await collector.until(lambda line: line["t"] > before["t"] + 2 * PERIOD_NS)
        assert await collector.finish() == 0
    offsets = [line["t"] - collector.settings["grid_start_ns"] for line in collector.lines]
    assert all(offset % PERIOD_NS == 0 for offset in offsets)
    assert offsets == sorted(set(offsets))
    assert len(offsets) < offsets[-1] // PERIOD_NS
    assert all(line["readings"] == {"drain": True} for line in collector.lines)

    lines = list(samples.read(tmp_path / "samples.jsonl"))
    evaluations = [line for line in lines if isinstance(line, samples.Evaluation)]
    scrapes = [line for line in lines if isinstance(line, samples.Scrape)]
    assert evaluations == [read_object(samples.Evaluation, line) for line in collector.lines]
    assert [scrape.t_ns for scrape in scrapes] == [each.t_ns for each in evaluations]
    last = {series["__name__"] for series, _ in scrapes[-1].values}
    assert {"k6_http_reqs_total", "k6_http_req_duration_seconds_bucket"} <= last


async def test_a_reader_that_went_away_ends_it(tmp_path: Path) -> None:
    read, write = os.pipe()
    async with collecting(tmp_path, stdout=write) as collector:
        os.close(write)
        os.close(read)
        async with asyncio.timeout(10):
            assert await collector.process.wait() == 0


async def test_what_cannot_be_measured_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = {
        "samples": str(tmp_path / "s"),
        "history_dir": str(tmp_path),
        "grid_start_ns": 0,
        "expressions": {"objective:x": "rate(x"},
    }
    process = await asyncio.create_subprocess_exec(*COMMAND, stdin=PIPE, stderr=PIPE, stdout=PIPE)
    async with asyncio.timeout(20):
        _, said = await process.communicate(json.dumps(settings).encode() + b"\n")
    assert process.returncode == 2
    assert said.decode() == "error: 'rate(x': is not PromQL: unclosed left parenthesis\n"
    assert not (tmp_path / "s").exists()
