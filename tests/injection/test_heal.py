"""Healing by hand: what a killed run left behind is taken out, from its journal alone."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from gameday.evidence.events import from_json
from gameday.evidence.journal import Journal, Record, RecordOf, read
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.heal import is_under_way, left_behind, take_back
from gameday.injection.process.process import record
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.undos import ToxicState
from tests.support.events import event_of
from tests.support.obstacles import SOMEBODYS, cache_behind_door
from tests.support.signed import heal, signed
from tests.support.toxics import toxic
from tests.support.toxiproxies import redis_like, toxic_names, toxiproxy

drivers = Drivers()


def records(*events: tuple[str, dict[str, Any]]) -> list[Record]:
    return [RecordOf(n, n, from_json(event, data)) for n, (event, data) in enumerate(events)]


TOXIC = {"kind": "toxic", "url": "http://127.0.0.1:1", "proxy": "p", "name": "gameday-r-1"}
PROCESS = {"kind": "process", "pid": 1, "start_time": "0@x", "name": "redis"}
LATENCY = toxic("redis", "latency", latency=20, jitter=0)
INJECTING = ("fault.injecting", {"id": "f", "undo": [TOXIC]})


def kinds(*events: tuple[str, dict[str, Any]]) -> list[str]:
    return [left.undo.kind for left in left_behind(records(*events))]


def test_a_fault_that_was_not_seen_gone_is_left_behind() -> None:
    assert kinds(INJECTING) == ["toxic"]
    assert kinds(INJECTING, ("fault.removed", {"id": "f", "gone": None})) == ["toxic"]
    assert kinds(INJECTING, ("fault.removed", {"id": "f", "gone": True})) == []


def test_a_stack_is_left_behind_unless_the_run_ended_and_comes_last() -> None:
    starting = ("stack.starting", {"name": "redis", "undo": [PROCESS]})
    assert kinds(starting, INJECTING) == ["toxic", "process"]
    assert kinds(starting, INJECTING, ("run.ended", {"ended": "completed"})) == ["toxic"]


def test_a_step_is_left_behind_until_it_is_taken_back() -> None:
    undo = {"kind": "request", "action": "back", "base_url": "http://x", "request": {}}
    started = ("step.started", {"step": 1, "undo": undo, "undoing": False})
    taken_back = ("step.done", {"step": 1, "undoing": True, "status": "done"})
    assert kinds(started) == ["request"]
    assert kinds(started, taken_back) == []


def test_what_was_done_is_taken_back_last_first_whoever_did_it() -> None:
    undo = {"kind": "request", "base_url": "http://x", "request": {}}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("step.started", {"step": 2, "undo": {**undo, "action": "a"}, "undoing": False}),
        ("action.started", {"do": "switch", "undo": {**undo, "action": "b"}, "undoing": False}),
        ("step.started", {"step": 1, "undo": {**undo, "action": "c"}, "undoing": False}),
        ("action.started", {"do": "other", "undo": {**undo, "action": "d"}, "undoing": False}),
        ("action.done", {"do": "other", "undoing": True, "status": "done"}),
        ("action.started", {"do": "plain", "undo": None, "undoing": False}),
    ]
    found = [(left.owner, left.name) for left in left_behind(records(*steps))]
    assert found == [("step", "1"), ("action", "switch"), ("step", "2")]


BLIND = {"id": "step.no_data_before", "values": {}}


@pytest.mark.parametrize(
    ("over", "left"),
    [
        ({"status": "not_applicable"}, []),
        ({"status": "placebo"}, []),
        ({"status": "needs_person"}, []),
        ({"status": "failed", "message": BLIND}, []),
        ({"status": "failed"}, ["request"]),  # it may have acted
        ({"status": "done"}, ["request"]),
        ({"status": "failed", "undoing": True}, ["request"]),
    ],
)
def test_a_step_that_never_acted_is_not_left_behind(over: dict[str, Any], left: list[str]) -> None:
    undo = {"kind": "request", "action": "back", "base_url": "http://x", "request": {}}
    started = ("step.started", {"step": 1, "undo": undo, "undoing": False})
    assert kinds(started, ("step.done", {"step": 1, "undoing": False, **over})) == left


@pytest.mark.parametrize("status", ["placebo", "not_applicable"])
def test_a_step_that_was_done_and_then_found_needless_is_left_behind(status: str) -> None:
    undo = {"kind": "request", "action": "back", "base_url": "http://x", "request": {}}
    begun = ("step.started", {"step": 1, "undo": undo, "undoing": False})
    done = ("step.done", {"step": 1, "undoing": False, "status": "done"})
    again = ("step.done", {"step": 1, "undoing": False, "status": status})
    taken_back = ("step.done", {"step": 1, "undoing": True, "status": "done"})
    assert kinds(begun, done, begun, again, begun, again) == ["request"]
    assert kinds(begun, begun, again) == ["request"]  # nobody saw the end of the first
    assert kinds(begun, done, begun, again, taken_back) == []
    assert kinds(begun, done, taken_back, begun, again) == []


def test_what_a_run_could_not_stop_is_left_behind() -> None:
    starting = ("stack.starting", {"name": "redis", "undo": [PROCESS]})
    left = ("phase", {"phase": "stack", "problem": "still there", "left": ["redis"]})
    assert kinds(starting, left, ("run.ended", {"ended": "completed"})) == ["process"]


def begun(folder: Path, controller: Any) -> Journal:
    journal = signed(folder / "journal.jsonl")
    journal.write(event_of("run.started", run="r", controller=controller))
    return journal


def test_a_run_whose_controller_lives_is_left_alone(tmp_path: Path) -> None:
    journal = begun(tmp_path, record(os.getpid(), "gameday run").as_json())
    assert is_under_way(tmp_path)
    journal.write(event_of("run.ended", ended="completed"))
    journal.close()
    assert not is_under_way(tmp_path)


def test_a_run_whose_pid_is_somebody_elses_now_is_not_under_way(tmp_path: Path) -> None:
    controller = record(os.getpid(), "gameday run").as_json() | {"start_time": "0@another"}
    begun(tmp_path, controller).close()
    assert not is_under_way(tmp_path)


async def test_a_step_goes_with_the_stack_that_its_run_started(tmp_path: Path) -> None:
    undo = {"kind": "request", "action": "back", "base_url": "http://127.0.0.1:1", "request": {}}
    folder = {"kind": "folder", "path": "/nowhere/gameday-x"}
    journal = begun(tmp_path, None)
    journal.write(event_of("stack.starting", name="folder", undo=[folder]))
    journal.write(event_of("step.started", step=1, undo=undo, undoing=False))
    journal.close()
    assert [one.gone for one in await heal(tmp_path, {})] == [True, True]


async def test_a_toxic_of_a_killed_run_is_removed_and_others_stay(tmp_path: Path) -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = Toxiproxy(url)
        body = {"name": "cache", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        await server.call("POST", "/proxies", body)
        await server.add_toxic("cache", ToxicState(type="noop", name="somebody-elses"))
        site = InjectionContext("r", url, {"redis": "cache"})
        change = toxic("redis", "latency", latency=50, jitter=0)
        undo = await drivers.prepare(change, site)
        journal = signed(tmp_path / "journal.jsonl")
        journal.write(event_of("fault.injecting", id="f", undo=[undo.as_json()]))
        journal.close()
        await drivers.act(change, undo, site)
        for _ in range(2):
            healed = await heal(tmp_path, {})
            assert [one.gone for one in healed] == [True]
        assert await toxic_names(server, "cache") == ["somebody-elses"]
    assert len(read(tmp_path / "journal.jsonl").records) == 1


async def test_a_server_that_answers_wrongly_is_not_called_healed(tmp_path: Path) -> None:
    async with redis_like(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n") as port:
        undo = {**TOXIC, "url": f"http://127.0.0.1:{port}"}
        journal = signed(tmp_path / "journal.jsonl")
        journal.write(event_of("fault.injecting", id="f", undo=[undo]))
        journal.close()
        healed = await heal(tmp_path, {})
    assert [one.gone for one in healed] == [None]  # it may be there: nobody could tell
    assert not healed[0].settled
    assert "500" in healed[0].why


BACK = {"post": "/back"}


@pytest.mark.parametrize(
    ("kind", "what"), [("step.started", {"step": 2}), ("action.started", {"do": "switch"})]
)
async def test_what_was_taken_back_once_is_not_taken_back_again(
    tmp_path: Path, kind: str, what: dict[str, Any]
) -> None:
    heads: list[str] = []
    statuses = [500, 200, 200]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        status = statuses[len(heads) - 1]
        told = f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(told.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    undo = {"kind": "request", "action": "back", "base_url": url, "request": BACK}
    journal = begun(tmp_path, None)
    journal.write(event_of(kind, undo=undo, undoing=False, **what))
    journal.close()
    try:
        assert [one.settled for one in await heal(tmp_path, {})] == [False]
        assert [one.settled for one in await heal(tmp_path, {})] == [True]
        for _ in range(2):
            assert [one.gone for one in await heal(tmp_path, {})] == [True]
        assert len(heads) == 2
    finally:
        server.close()
        await server.wait_closed()
    assert [each.name for each in tmp_path.glob("healed-*")] == ["healed-1.jsonl"]


async def test_what_pressing_put_at_risk_is_put_back_once_and_then_left_alone(
    tmp_path: Path,
) -> None:
    async with cache_behind_door() as one:
        undo = await drivers.prepare(LATENCY, InjectionContext("r", one.url, {"redis": "cache"}))
        journal = begun(tmp_path, None)
        journal.write(event_of("fault.injecting", id="f", undo=[undo.as_json()]))
        off = {"kind": "proxy", "url": one.url, "proxy": "cache", "enabled": True}
        journal.write(event_of("fault.escalated", id="f", step="switch", why="stuck", undo=[off]))
        journal.close()
        await one.behind.enable("cache", enabled=False)  # and there the controller was killed
        assert [each.gone for each in await heal(tmp_path, {})] == [True, True]
        found = await one.behind.proxy("cache")
        assert found is not None
        assert found.enabled
        await one.behind.enable("cache", enabled=False)  # by its owner, days later
        assert [each.gone for each in await heal(tmp_path, {})] == [True]
        found = await one.behind.proxy("cache")
        assert found is not None
        assert not found.enabled


async def test_healing_presses_a_stuck_removal_and_writes_it_down(tmp_path: Path) -> None:
    async with cache_behind_door() as one:
        site = InjectionContext("r", one.url, {"redis": "cache"})
        undo = await drivers.prepare(LATENCY, site)
        await drivers.act(LATENCY, undo, site)
        journal = begun(tmp_path, None)
        journal.write(event_of("fault.injecting", id="f", undo=[undo.as_json()]))
        journal.close()
        one.rule = lambda m, p: "fail" if m == "DELETE" and "/toxics/" in p else "pass"
        assert [each.gone for each in await heal(tmp_path, {})] == [True]
        assert await toxic_names(one.behind, "cache") == [SOMEBODYS]
    *steps, last = [each.data for each in read(tmp_path / "healed-1.jsonl").records]
    assert [each["step"] for each in steps] == ["retry", "switch", "recreate"]
    assert last == {"id": "f", "gone": True}


async def test_a_server_that_quotes_a_password_tells_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that knows no AUTH says with which words it was asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(b"-ERR unknown command 'AUTH', beginning with: 'hunter2hunter2' 'x'\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"redis://:hunter2hunter2@127.0.0.1:{port}/0"
    block = {"kind": "redis", "do": "block", "url": {"env": "A"}, "name": "gameday-r-1"}
    (left,) = left_behind(records(("fault.injecting", {"id": "f", "undo": [block]})))
    monkeypatch.setenv("A", url)
    for environment in ({"A": url}, {}):
        healed = await take_back(left, environment, UndoPolicy(refused_s=0), drivers)
        assert healed.gone is None
        assert "unknown command" in healed.why
        assert "hunter2" not in healed.why
    server.close()
