"""The canary asks for what changes nothing, and notes how the system was; workers' signs too."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from gameday.core.clock import NS, SystemClock
from gameday.run import canary
from gameday.run.context import Abort, Run
from gameday.spec.tls import Tls
from gameday.traffic import vitals
from gameday.traffic.vitals import Vitals
from gameday.traffic.worker.messages import Event, Reached


async def sung(folder: Path, url: str, enough: int) -> tuple[Vitals, Abort]:
    """What was noted when `enough` requests were over."""
    clock = SystemClock()
    run = SimpleNamespace(
        dir=folder,
        clock=clock,
        t0_ns=clock.now_ns(),
        abort=Abort(),
        system=SimpleNamespace(base_url=url, ready_path="/healthz", tls=Tls()),
    )
    singing = asyncio.create_task(canary.probe_health(cast("Run", run)))
    deadline_ns = clock.now_ns() + 20 * NS
    while not run.abort.event.is_set() and clock.now_ns() < deadline_ns:
        if singing.done() or len(vitals.read(folder / "vitals.jsonl").health_samples) >= enough:
            break
        await asyncio.sleep(0.02)
    singing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await singing  # an error of its own is this test's
    return vitals.read(folder / "vitals.jsonl"), run.abort


async def test_it_asks_five_times_a_second_for_the_health_and_nothing_else(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(head.split(b"\r\n")[0])
                writer.write(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found, _ = await sung(tmp_path, f"http://127.0.0.1:{port}", 4)
    server.close()
    assert set(asked) == {b"GET /healthz HTTP/1.1"}  # whatever it answers is an answer
    assert all(chirp.took_ms is not None for chirp in found.health_samples)
    first, *_, last = (chirp.t_s for chirp in found.health_samples)
    assert last - first >= 0.2 * (len(found.health_samples) - 1) - 0.05


async def test_no_answer_is_noted_as_none(tmp_path: Path) -> None:
    found, _ = await sung(tmp_path, "http://127.0.0.1:9", 2)
    assert {chirp.took_ms for chirp in found.health_samples} == {None}


async def test_a_run_that_cannot_write_its_evidence_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "vitals.jsonl").mkdir()
    run = SimpleNamespace(dir=tmp_path, abort=Abort())
    canary.append_vitals(cast("Run", run), vitals.HealthSample(t_s=1.0, took_ms=None))
    assert run.abort.ended == "interrupted"
    assert "vitals.jsonl cannot be written" in run.abort.why


def test_a_workers_signs_are_kept_and_its_line_is_passed_on(tmp_path: Path) -> None:
    heard: list[Any] = []
    hear = SimpleNamespace(hear=lambda _worker, event: heard.append(event))
    run = SimpleNamespace(dir=tmp_path, abort=Abort(), traffic=hear)
    said: list[Event] = [vitals.WorkerSample(who="worker-2", t_s=1.0, open=4), Reached("idle", 2.0)]
    for event in said:
        canary.on_worker_event(cast("Run", run), 2, event)
    assert heard == said
    (kept,) = vitals.read(tmp_path / "vitals.jsonl").worker_samples
    assert (kept.who, kept.t_s, kept.open) == ("worker-2", 1.0, 4)
