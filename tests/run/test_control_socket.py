"""Orders from other terminals: heard from the first moment, answered at once, and proven."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.core.clock import SystemClock
from gameday.core.errors import UsageError
from gameday.evidence import journal
from gameday.evidence.sealed_box import Box
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.run import hold, locks, stop_and_wait
from gameday.run.context import Abort
from gameday.run.control_socket import MOST_JOINED, ControlSocket
from gameday.run.locks import Presence, RunCommand, TargetLock
from gameday.run.responder.orders import Heard, IncidentOrder
from gameday.spec.undos import ToxicState
from gameday.stacks.state import stack_file
from tests.support.events import event_of
from tests.support.incidents import Drill, admin, feed, step
from tests.support.signed import own_key, signed
from tests.support.toxiproxies import redis_like, toxiproxy

CLOCK = SystemClock()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own_key(tmp_path / "state")


@contextmanager
def desk(folder: Path) -> Iterator[tuple[ControlSocket, Abort]]:
    """Where the orders for run `r` arrive."""
    (folder / "r").mkdir()
    abort = Abort()
    book = signed(folder / "r" / "journal.jsonl")
    found = ControlSocket("r", book, abort)
    try:
        yield found, abort
    finally:
        found.close()
        book.close()


def events(folder: Path) -> list[tuple[str, Any]]:
    records = journal.read(folder / "r" / "journal.jsonl").records
    return [(record.event.kind, record.data.get("why")) for record in records]


async def test_a_run_is_stopped_before_its_stack_is_up(tmp_path: Path) -> None:
    with desk(tmp_path) as (orders, abort):
        await orders.open(tmp_path)
        (run,) = locks.running()
        stopped = await stop_and_wait.stop(run, "ann", CLOCK, {})
        assert (stopped.left, stopped.silent) == ((), False)
        assert (abort.ended, abort.why) == ("operator", "gameday stop by ann")
    assert locks.running() == []


async def test_the_first_reason_counts_and_a_second_order_is_heard_all_the_same(
    tmp_path: Path,
) -> None:
    with desk(tmp_path) as (orders, abort):
        orders.end("signal", "SIGTERM")
        assert orders.answer(RunCommand("stop", "ann")).ok
        orders.end("operator", "SIGINT")
        assert (abort.ended, abort.why) == ("signal", "SIGTERM")
        abort.over = True
        assert orders.answer(RunCommand("stop", "bob")).ok
    assert events(tmp_path) == [("operator.abort", "SIGTERM"), ("operator.stop", None)]


async def test_an_order_nobody_knows_is_refused_and_so_is_an_early_ack(tmp_path: Path) -> None:
    with desk(tmp_path) as (orders, abort):
        assert orders.answer(RunCommand("dance")).why == "unknown order 'dance'"
        assert "just beginning" in orders.answer(RunCommand("ack")).why
        assert not abort.event.is_set()


async def test_a_run_that_is_just_beginning_hears_no_order_but_the_one_to_end(
    tmp_path: Path,
) -> None:
    with desk(tmp_path) as (orders, abort):
        await orders.open(tmp_path)
        (run,) = locks.running()
        note = locks.RunCommand("order", "ann", IncidentOrder("note", text="x"))
        early = await locks.send_order(run, note)
        assert (early.ok, "just beginning" in early.why) == (False, True)
        assert (await locks.send_order(run, locks.RunCommand("order", "ann"))).why == (
            "unknown order 'order'"
        )
        assert (
            await locks.send_order(run, locks.RunCommand("order", "ann", IncidentOrder("abort")))
        ).ok
        assert (abort.ended, abort.why) == ("operator", "gameday incident abort by ann")


async def test_orders_of_another_terminal_reach_the_incident(tmp_path: Path) -> None:
    with desk(tmp_path) as (orders, _):
        await orders.open(tmp_path)
        async with admin() as (url, asked):
            drill = Drill(tmp_path / "r", url, step(1, do="switch"), bot=False)
            orders.run = SimpleNamespace(incident=drill.incident)
            async with drill.by_people():
                feeding = asyncio.create_task(feed(drill))
                said = [
                    await asyncio.to_thread(
                        CliRunner().invoke, main, ["incident", *each, "--by", "ann"]
                    )
                    for each in SAID_IN_AN_INCIDENT
                ]
                feeding.cancel()
        assert [(each.exit_code, each.stderr) for each in said if each.exit_code] == []
        assert asked == ["/switch", "/switch"]
        assert "act" not in said[0].stdout
        assert [order.order for order in drill.orders()] == [
            {"resolve": "resolved"}.get(each[0], each[0]) for each in SAID_IN_AN_INCIDENT
        ]
        assert {order.by for order in drill.orders()} == {"ann"}


SAID_IN_AN_INCIDENT = [
    ["ack"],
    ["declare", "Redis is slow"],
    ["severity", "sev2"],
    ["act", "1"],
    ["act", "switch"],
    ["note", "odd"],
    ["update", "we are on it"],
    ["hint"],
    ["mitigated"],
    ["resolve", "--text", "all is well"],
    ["hand-over", "bob"],
]


async def test_a_run_that_is_over_journals_no_more_orders(tmp_path: Path) -> None:
    with desk(tmp_path) as (orders, abort):
        drill = Drill(tmp_path / "r", "http://127.0.0.1:1", bot=False)
        orders.run = SimpleNamespace(incident=drill.incident)
        abort.over = True
        note = IncidentOrder("note", text="x")
        assert "it is over" in orders.answer(locks.RunCommand("order", "ann", note)).why
        assert orders.answer(locks.RunCommand("order", "ann", IncidentOrder("abort"))).ok
        assert events(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["act", "7"], 2, "no step 7"),
        (["act", "nothing"], 2, "no action nothing"),
        (["act", "broken"], 3, "404"),
        (["note", "x" * 1001], 2, "more than 1000"),
        (["severity", "sev9"], 2, "sev9"),
    ],
)
async def test_an_order_that_fails_is_an_error(
    tmp_path: Path, arguments: list[str], code: int, why: str
) -> None:
    with desk(tmp_path) as (orders, _):
        await orders.open(tmp_path)
        async with admin() as (url, _asked):
            drill = Drill(tmp_path / "r", url, step(1, do="switch"), bot=False)
            orders.run = SimpleNamespace(incident=drill.incident)
            async with drill.by_people():
                arguments = ["incident", *arguments]
                said = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        assert (said.exit_code, why in said.stderr) == (code, True), said.stderr


async def test_an_act_of_a_run_that_is_dead_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    book = signed(tmp_path / "r" / "journal.jsonl")
    orders = ControlSocket("r", book, Abort())

    def give(*_: object) -> Heard:
        orders.close()  # the last that it says
        return Heard(ok=True, given=0, pending=True)

    orders.run = SimpleNamespace(incident=SimpleNamespace(give=give))
    await orders.open(tmp_path)
    said = await asyncio.to_thread(CliRunner().invoke, main, ["incident", "act", "1"])
    book.close()
    assert (said.exit_code, "what came of it is not known" in said.stderr) == (3, True)


async def test_a_run_that_was_just_beginning_when_the_hold_came_ends(tmp_path: Path) -> None:
    with desk(tmp_path) as (orders, abort):
        hold.put("incident 7", "ann")
        await orders.open(tmp_path)
        assert abort.ended == "operator"
        assert "by ann: incident 7" in abort.why


def test_a_hold_says_why_by_whom_and_since_when() -> None:
    assert hold.current() is None
    hold.refuse()
    hold.put("incident 7", "ann")
    with pytest.raises(UsageError, match=r"on hold since 20.* by ann: incident 7") as caught:
        hold.refuse()
    assert "gameday release" in caught.value.help
    assert hold.release() is not None
    hold.refuse()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"reason": "x"}', '"x"', "\x00"])
def test_a_hold_that_makes_no_sense_holds(text: str) -> None:
    hold.hold_file().write_text(text)
    with pytest.raises(UsageError, match="cannot be read"):
        hold.refuse()


@asynccontextmanager
async def faulty(folder: Path) -> AsyncIterator[tuple[Presence, Toxiproxy]]:
    """A run that has a toxic in, and whose controller hears nothing."""
    async with redis_like() as upstream, toxiproxy() as url:
        server = Toxiproxy(url)
        proxy = {"name": "p", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        await server.call("POST", "/proxies", proxy)
        await server.add_toxic("p", ToxicState(type="noop", name="gameday-r-1"))
        (folder / "r").mkdir()
        book = signed(folder / "r" / "journal.jsonl")
        undo = {"kind": "toxic", "url": url, "proxy": "p", "name": "gameday-r-1"}
        book.write(event_of("fault.injecting", id="f", undo=[undo]))
        book.close()
        yield Presence("r", folder).take(), server


async def test_a_fault_that_nobody_took_out_is_named(tmp_path: Path) -> None:
    async with faulty(tmp_path) as (presence, _):
        (run,) = locks.running()
        stopped = asyncio.create_task(stop_and_wait.stop(run, "ann", CLOCK, {}))
        await CLOCK.sleep(0.3)
        assert not stopped.done()
        presence.drop()  # its controller ends, and no reaper is there
        assert (await stopped).left == ("f",)


async def test_what_reads_as_gone_is_gone_whatever_the_journal_lacks(tmp_path: Path) -> None:
    async with faulty(tmp_path) as (presence, server):
        (run,) = locks.running()
        await server.remove_toxic("p", "gameday-r-1")
        presence.drop()
        assert (await stop_and_wait.stop(run, "ann", CLOCK, {})).left == ()


@pytest.mark.parametrize("order", [["stop"], ["incident", "abort"]], ids=" ".join)
async def test_a_fault_that_stays_is_exit_code_6(tmp_path: Path, order: list[str]) -> None:
    async with faulty(tmp_path) as (presence, _):
        told = asyncio.create_task(
            asyncio.to_thread(CliRunner().invoke, main, [*order, "--by", "ann"])
        )
        await CLOCK.sleep(0.5)
        presence.drop()
        result = await told
        assert result.exit_code == 6
        assert "could not be read back as gone: f of run r" in result.stderr
        assert "gameday heal" in result.stderr


def test_stop_without_a_run_says_so() -> None:
    told = CliRunner().invoke(main, ["stop"])
    assert (told.exit_code, "no run is under way" in told.stderr) == (2, True)
    told = CliRunner().invoke(main, ["stop", "x9y8"])
    assert (told.exit_code, "named 'x9y8'" in told.stderr) == (2, True)


def test_down_is_refused_while_a_run_uses_the_stack(tmp_path: Path) -> None:
    kept = {
        "state": "running",
        "started_at": "2026-11-23T11:51:00+00:00",
        "name": "own",
        "system_file": "own.yaml",
        "start": {"argv": ["true"], "ready": "/healthz"},
        "addresses": {"port": 1, "admin_port": 2, "toxiproxy": "http://t", "proxies": {}},
        "base_url": "http://s",
    }
    stack_file().write_text(json.dumps(kept))
    with TargetLock("http://s", "http://t", "first", tmp_path):
        told = CliRunner().invoke(main, ["down"])
        assert told.exit_code == 2
        assert "run first " in told.stderr
        assert "gameday stop first" in told.stderr
        assert stack_file().exists()
    told = CliRunner().invoke(main, ["down"])
    assert (told.exit_code, told.stdout) == (0, "own is down\n")
    assert not stack_file().exists()


IDLE = 200
SAID = {
    "nothing": b"",
    "half a line": b'{"cmd": "st',
    "garbage": b"\x00\xff\xfe garbage\n",
    "no order": b"[1, 2]\n",
    "deep": b"[" * 15_000 + b"\n",
    "half an order": b'{"cmd": "order", "order": {"order": "dance"}}\n',
    "an endless line": b"x" * 200_000,
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
async def test_others_are_served_while_many_say_nothing_of_use(tmp_path: Path, said: bytes) -> None:
    with desk(tmp_path) as (orders, abort):
        await orders.open(tmp_path)
        (run,) = locks.running()
        idle = []
        for _ in range(IDLE):
            reader, writer = await asyncio.open_unix_connection(run.socket)
            writer.write(said)
            idle.append((reader, writer))
        answer = await locks.send_order(run, RunCommand("stop", "ann"))
        assert answer.ok
        assert abort.ended == "operator"
        still = sum(not reader.at_eof() and reader.exception() is None for reader, _ in idle)
        assert still <= locks.CONNECTIONS_MAX
        for _, writer in idle:
            writer.close()


def test_a_socket_whose_path_would_be_too_long_is_in_a_folder_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("long" * 30)))
    temporary = Path(mkdtemp(prefix="gd-"))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    found = Presence("r", tmp_path).socket.parent
    assert (found.parent, found.stat().st_mode & 0o777) == (temporary, 0o700)
    found.rmdir()
    found.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="symbolic link"):
        Presence("r", tmp_path)
    shutil.rmtree(temporary)


async def test_a_facilitators_command_takes_the_token_of_the_drill(tmp_path: Path) -> None:
    asked: list[str] = []

    def command(said: RunCommand, by: str) -> Heard | None:
        asked.append(f"{said.cmd} {said.number} by {by}")
        return Heard(ok=True, why="done")

    box = Box.new()
    with desk(tmp_path) as (orders, abort):
        for cmd in ("inject", "hint", "pause", "resume", "debrief", "abort"):
            assert "unknown order" in orders.answer(RunCommand(cmd)).why, "it is no drill"
        drill: Any = SimpleNamespace(box=box, command=command)
        orders = ControlSocket("r", signed(tmp_path / "r" / "other.jsonl"), abort, drill)
        for cmd in ("inject", "hint", "pause", "resume", "debrief", "abort"):
            for token in ("", "x", box.text):
                assert "facilitator" in orders.answer(RunCommand(cmd, token=token)).why
        assert not asked
        assert not abort.event.is_set()
        assert orders.answer(RunCommand("hint", "eve", token=box.token, number=2)).ok
        assert asked == ["hint 2 by eve"]
        assert orders.answer(RunCommand("debrief", "eve", token=box.token)).ok
        assert (abort.ended, abort.why) == ("completed", "gameday drill debrief by eve")


async def test_a_stop_never_says_that_nothing_is_in_while_the_journal_is_sealed(
    tmp_path: Path,
) -> None:
    with desk(tmp_path) as (orders, _):
        await orders.open(tmp_path)
        book = signed(tmp_path / "r" / "reaper.jsonl")
        book.box = Box.new()
        book.write(event_of("fault.removed", id="f1", gone=False))
        (run,) = locks.running()
        stopping = asyncio.create_task(stop_and_wait.stop(run, "ann", CLOCK, {}))
        while ("operator.stop", None) not in events(tmp_path):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert not stopping.done()
    assert (await stopping).left == (stop_and_wait.SEALED,)


async def test_who_has_the_key_aborts_a_drill_that_does_not_answer(tmp_path: Path) -> None:
    box = Box.new()
    (tmp_path / "key").write_text(box.text)
    (tmp_path / "r").mkdir()
    for name, told in (
        ("journal", [event_of("fault.injecting", id="f1", undo=[])]),
        ("reaper", [event_of("reaper.claimed", why="it hangs"), removed("f1")]),
    ):
        book = signed(tmp_path / "r" / f"{name}.jsonl")
        book.box = box
        for event in told:
            book.write(event)
        book.close()
    presence = Presence("r", tmp_path).take()
    words = ["drill", "abort", "--key-file", str(tmp_path / "key")]
    done = await asyncio.to_thread(CliRunner().invoke, main, words)
    presence.drop()
    assert (done.exit_code, "does not answer" in done.stderr) == (0, True), done.output
    assert "no fault is in" in done.stdout
    assert "by its reaper: its controller did not answer" in done.stdout


def removed(id_: str) -> Any:
    return event_of("fault.removed", id=id_, gone=True)


@contextmanager
def drill_desk(
    folder: Path, box: Box | None = None
) -> Iterator[tuple[ControlSocket, Abort, list[str]]]:
    """Where the orders for the drill `r` arrive, and what of them comes to the drill."""
    heard: list[str] = []

    def join(by: str, role: str) -> Heard:
        heard.append(f"{by}: {role}")
        return Heard(ok=role != "nobody")

    def command(said: RunCommand, by: str) -> Heard:
        heard.append(f"{by} {said.cmd}")
        return Heard(ok=True)

    drill: Any = SimpleNamespace(box=box or Box.new(), join=join, command=command)
    abort = Abort()
    (folder / "r").mkdir()
    book = signed(folder / "r" / "journal.jsonl")
    yield ControlSocket("r", book, abort, drill), abort, heard
    book.close()


def joining(by: str, role: str = "scribe") -> RunCommand:
    return RunCommand("join", by, to=role)


def test_who_joins_again_is_answered_without_a_record(tmp_path: Path) -> None:
    with drill_desk(tmp_path) as (orders, _, heard):
        for _ in range(3):
            assert orders.answer(joining("ann")).ok
        assert orders.answer(joining("ann", "commander")).ok
        assert not orders.answer(joining("ann", "nobody")).ok
        assert heard == ["ann: scribe", "ann: commander", "ann: nobody"]


def test_a_drill_is_joined_by_so_many_and_no_more(tmp_path: Path) -> None:
    with drill_desk(tmp_path) as (orders, _, heard):
        for number in range(MOST_JOINED + 5):
            assert orders.answer(joining(f"p{number}")).ok == (number < MOST_JOINED)
        assert len(heard) == MOST_JOINED
        assert orders.answer(joining("p1")).ok, "who is in stays in"


def test_a_drill_that_is_over_is_not_joined_and_not_led(tmp_path: Path) -> None:
    box = Box.new()
    token = box.token
    with drill_desk(tmp_path, box) as (orders, abort, heard):
        abort.over = True
        assert "it is over" in orders.answer(joining("ann")).why
        for cmd in ("inject", "hint", "pause", "resume"):
            assert "it is over" in orders.answer(RunCommand(cmd, token=token)).why
        for cmd in ("abort", "debrief"):
            assert orders.answer(RunCommand(cmd, token=token)).ok, "it comes by itself"
        assert (heard, events(tmp_path)) == ([], [])
