"""A program as the responder, each a real child: one that helps, and many that do not."""

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from gameday.core.clock import NS
from gameday.core.errors import UsageError
from gameday.core.secrets.redaction import Hidden
from gameday.evidence import journal
from gameday.evidence.events import (
    AlertAcknowledged,
    Event,
    FaultInjecting,
    OrderAnswered,
    OrderGiven,
    Phase,
    ResponderLaunched,
    StepStarted,
)
from gameday.evidence.journal import Journal
from gameday.injection.process import process
from gameday.run.responder import command
from gameday.run.responder.command import Command, Program
from gameday.run.responder.orders import IncidentOrder, RecordedOrder, Responding, responding
from gameday.run.responder.replay import Replay, recorded_orders
from gameday.spec.undos import ProcessUndo
from tests.support.incidents import Drill, admin, feed, step
from tests.support.rundirs import SetClock
from tests.support.signed import heal, signed

EXAMPLE = Path(__file__).parents[2] / "examples" / "responder.py"
READ = "import sys, json\nfor line in sys.stdin:\n    told = json.loads(line)\n"


class Programmed(Drill):
    """An incident that a program works on."""

    def __init__(self, folder: Path, url: str, source: str | Path, *steps: Any) -> None:
        super().__init__(folder, url, *steps, bot=False)
        told = [str(source)] if isinstance(source, Path) else ["-c", source]
        argv = [sys.executable, "-u", *told]
        program = Program(argv, folder / "responder.log", lambda t_ns: t_ns / 1e9)
        self.command = Command(self.incident, program)
        self.incident.responder = self.command

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events()]

    def whys(self, kind: str) -> list[str]:
        records = journal.read(self.journal.path).records
        return [str(r.data["why"]) for r in records if r.event.kind == kind]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(40):
            while not condition():
                await asyncio.sleep(0.02)

    @property
    def pid(self) -> int:
        records = journal.read(self.journal.path).records
        launched = next(r.event for r in records if isinstance(r.event, ResponderLaunched))
        (undo,) = launched.undo
        assert isinstance(undo, ProcessUndo)
        return undo.pid

    async def ended(self) -> None:
        """The end of the run: everything is cancelled, and the program must be gone."""
        await self.incident.finish()
        assert process.start_time(self.pid) is None


@asynccontextmanager
async def working(drill: Programmed) -> AsyncIterator[None]:
    """A run under way, with readings; in the end nothing of the program is left."""
    feeding = asyncio.create_task(feed(drill))
    try:
        async with drill.by_people():
            yield
    finally:
        feeding.cancel()
        await drill.ended()


async def test_the_example_takes_the_incident_and_works_the_playbook(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        steps = step(1, do="switch", undo="back"), step(2), step(3, do="back")
        drill = Programmed(tmp_path, url, EXAMPLE, *steps)
        async with working(drill):
            await drill.until(lambda: len(drill.statuses()) == 2)
            await drill.until(lambda: drill.orders()[-1].order == "update")
        await drill.incident.take_back()
    assert asked == ["/switch", "/back", "/back"]
    given = [order.order for order in drill.orders()]
    assert given[:4] == ["ack", "declare", "severity", "act"]
    assert {(order.by, order.through) for order in drill.orders()} == {("command", "command")}
    started = next(
        r for r in journal.read(drill.journal.path).records if "responder.started" == r.event.kind
    )
    assert (started.data["by"], started.data["alert"]) == ("command", "Slow")
    assert drill.whys("responder.ended") == ["the run is over"]


async def test_it_is_told_what_a_person_could_see_masked_and_nothing_of_faults(
    tmp_path: Path,
) -> None:
    copy = f"open({str(tmp_path / 'told')!r}, 'a').write(line)\n    sys.stdout.flush()\n"
    drill = Programmed(tmp_path, "http://127.0.0.1:1", READ + "    " + copy, step(1, do="switch"))
    drill.journal.hide = Hidden(["hunter2-secret"])
    (tmp_path / "told").touch()
    async with working(drill):
        await drill.until(lambda: "sample" in (tmp_path / "told").read_text())
        drill.journal.write(
            FaultInjecting(id="latency-1", fault="latency", target="redis", changes=[], undo=[])
        )
        drill.journal.write(Phase(phase="recovering"))
        drill.give(IncidentOrder("note", text="it said hunter2-secret"))
        await drill.until(lambda: "note" in (tmp_path / "told").read_text())
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    kinds = {each["event"] for each in told}
    assert told[0]["event"] == "hello"
    assert re.fullmatch("[0-9a-f]{16}", told[0]["run"])
    assert [each["step"] for each in told[0]["playbook"]["steps"]] == [1]
    assert told[0]["actions"] == sorted(["switch", "back", "broken", "locked"])
    assert kinds == {"hello", "alert", "sample", "order.given", "bye"}
    (note,) = [each for each in told if each["event"] == "order.given"]
    assert note["text"] == "it said ***"
    (alert,) = [each for each in told if each["event"] == "alert"]
    assert (alert["alert"], alert["state"]) == ("Slow", "firing")
    assert told[-1] == {"event": "bye"}


async def test_its_environment_is_that_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_USER", "yes")
    path = tmp_path / "environment"
    source = f"import os, json\nopen({str(path)!r}, 'w').write(json.dumps(dict(os.environ)))"
    drill = Programmed(tmp_path, "http://127.0.0.1:1", source)
    async with working(drill):
        await drill.until(lambda: "responder.ended" in drill.kinds())
    found = json.loads(path.read_text())
    assert re.fullmatch("gameday-[0-9a-f]{16}", found.pop("GAMEDAY_PART"))
    found.pop("LC_CTYPE", None)  # which Python itself may set
    assert found == {k: v for k, v in os.environ.items() if k != "LC_CTYPE"}


ENDS = {
    "death": ("import sys; sys.stderr.write('no'); sys.exit(7)", "exit code 7"),
    "closed": ("import os, time\nos.close(1)\ntime.sleep(60)", "closed its output"),
    "a line without an end": (
        "import sys\nwhile True: sys.stdout.write('x' * 1000)",
        "a line of more than 16",
    ),
    "garbage": (
        "import sys\nwhile True: print('{\"order\": [[')",
        "more than 3 of its lines were no orders",
    ),
}


@pytest.mark.parametrize(("source", "why"), ENDS.values(), ids=ENDS.keys())
async def test_a_program_that_is_no_responder_is_not_heard_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    monkeypatch.setattr(command, "MOST_STRANGE", 3)
    monkeypatch.setattr(command, "STOP_S", 0.3)
    drill = Programmed(tmp_path, "http://127.0.0.1:1", source)
    async with working(drill):
        await drill.until(lambda: "responder.ended" in drill.kinds())
        assert drill.give(IncidentOrder("note", text="people are still heard")).ok
    (ended,) = drill.whys("responder.ended")
    assert why in ended
    assert drill.aborted == []


@pytest.mark.parametrize(
    "line",
    [
        "x" * 73 + "hunter2-secret",
        json.dumps({"order": "note", "text": ["x" * 70 + "hunter2-secret"]}),
    ],
    ids=["no JSON", "no text"],
)
async def test_a_line_that_is_no_order_is_masked_before_it_is_cut(
    tmp_path: Path, line: str
) -> None:
    drill = Programmed(tmp_path, "http://127.0.0.1:1", f"print({line!r})")
    drill.journal.hide = Hidden(["hunter2-secret"])
    async with working(drill):
        await drill.until(lambda: "responder.trouble" in drill.kinds())
    (why,) = drill.whys("responder.trouble")
    assert "hunter" not in why


async def test_a_flood_of_orders_is_taken_at_a_pace(tmp_path: Path) -> None:
    source = 'while True: print(\'{"order": "note", "text": "x"}\')'
    drill = Programmed(tmp_path, "http://127.0.0.1:1", source)
    async with working(drill):
        await drill.until(lambda: len(drill.orders()) > command.LINES_PER_S)
        began = len(drill.orders())
    assert began <= 3 * command.LINES_PER_S
    assert drill.whys("responder.ended") != []


STAYS = {
    "silence": "import time\nwhile True: time.sleep(60)",
    "deaf": "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nwhile True: time.sleep(60)",
    "stopped": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "leaves a child": (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True)\n"
        "time.sleep(60)"
    ),
}


@pytest.mark.parametrize("source", STAYS.values(), ids=STAYS.keys())
async def test_a_program_that_stays_is_killed_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(command, "STOP_S", 0.3)
    drill = Programmed(tmp_path, "http://127.0.0.1:1", source)
    async with working(drill):
        await drill.until(lambda: "responder.launched" in drill.kinds())
        pid = drill.pid
        await drill.until(lambda: "exec_gate" not in " ".join(psutil.Process(pid).cmdline()))
        wanted = 1 if "subprocess" in source else 0
        await drill.until(lambda: len(psutil.Process(pid).children()) == wanted)
        children = psutil.Process(pid).children()
    assert [each for each in children if each.is_running() and each.status() != "zombie"] == []
    assert "it was killed" in drill.whys("responder.ended")[0]


async def test_what_it_leaves_when_it_ends_by_itself_is_killed(tmp_path: Path) -> None:
    """Neither its token nor its parent tells whose the child is: only the session does."""
    path = tmp_path / "child"
    line = f"env -i sleep 60 & echo $! > {path}; exec cat > /dev/null"
    drill = Programmed(tmp_path, "http://127.0.0.1:1", "")
    drill.command = Command(
        drill.incident, Program(["sh", "-c", line], tmp_path / "responder.log", float)
    )
    drill.incident.responder = drill.command
    async with working(drill):
        await drill.until(lambda: path.exists() and path.read_text().endswith("\n"))
        child = int(path.read_text())
        assert process.start_time(child) is not None
    assert process.start_time(child) is None
    assert drill.whys("responder.ended") == ["the run is over"]


async def test_it_runs_only_once_its_record_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "ran"
    drill = Programmed(tmp_path, "http://127.0.0.1:1", f"open({str(path)!r}, 'w')")
    writing, leave = asyncio.Event(), asyncio.Event()
    durably = drill.journal.write_durably

    async def slowly(event: Event) -> journal.Record:
        record = await durably(event)
        writing.set()
        await leave.wait()
        return record

    drill.journal.write_durably = slowly  # type: ignore[method-assign]
    responding = asyncio.create_task(drill.command.respond())
    async with asyncio.timeout(40):
        await writing.wait()
        waiting = drill.pid  # of the record; whoever finds that it has ended has seen all of it
        responding.cancel()
        await asyncio.gather(responding, return_exceptions=True)
        await drill.ended()
    assert process.start_time(waiting) is None
    assert not path.exists()


async def test_what_it_does_not_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MOST_UNREAD", 1000)
    monkeypatch.setattr(command, "STOP_S", 0.3)
    drill = Programmed(tmp_path, "http://127.0.0.1:1", STAYS["silence"])
    async with working(drill):
        await drill.until(lambda: drill.journal.listeners)
        for _ in range(100):
            drill.give(IncidentOrder("note", text="x" * 1000))
        await drill.until(lambda: "responder.trouble" in drill.kinds())
    assert len(drill.whys("responder.trouble")) == 1


async def test_its_log_is_kept_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOG_BYTES", 1000)
    source = "import sys\nfor _ in range(1000): sys.stderr.write('x' * 100)\nprint('', flush=True)"
    drill = Programmed(tmp_path, "http://127.0.0.1:1", source)
    async with working(drill):
        await drill.until(lambda: "responder.ended" in drill.kinds())
    assert (tmp_path / "responder.log").stat().st_size == 1000


async def test_a_program_that_cannot_be_started_ends_nothing(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:1", bot=False)
    program = Program([str(tmp_path / "none")], tmp_path / "log", float)
    drill.incident.responder = Command(drill.incident, program)
    async with drill.by_people():
        while not drill.events():
            await asyncio.sleep(0.01)
        assert drill.events()[0][0] == "responder.ended"
    await drill.incident.finish()


async def test_a_program_whose_controller_was_killed_is_ended_by_heal(tmp_path: Path) -> None:
    token = "gameday-r-responder"
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STAYS["deaf"],
        env={**os.environ, process.TOKEN_VARIABLE: token},
        start_new_session=True,
    )
    folder = tmp_path / "r"
    folder.mkdir()
    book = signed(folder / "journal.jsonl")
    undo = process.record(child.pid, "responder", token=token, stop_signal="SIGKILL")
    book.write(ResponderLaunched(program="agent", undo=[undo]))
    book.close()
    (healed,) = await heal(folder)
    assert (healed.gone, healed.what) == (True, "responder program: process responder")
    assert await child.wait() == -9


@pytest.mark.parametrize("kind", ["bot", "none", "person"])
def test_a_kind_of_responder_is_named(kind: str) -> None:
    assert responding(kind).kind == kind


def test_a_command_line_is_a_program_that_there_is() -> None:
    line = f"{shlex.quote(sys.executable)} -c 'a b'"
    assert responding(line) == Responding("command", (sys.executable, "-c", "a b"))
    for wrong in ("bott", "", "'", "/nowhere/at-all --x"):
        with pytest.raises(UsageError) as caught:
            responding(wrong)
        assert "bot, none, person" in caught.value.help


def test_a_recorded_run_is_replayed_order_by_order(tmp_path: Path) -> None:
    clock = SetClock()
    book = Journal(tmp_path / "journal.jsonl", clock, "m1")
    for at_s, event in enumerate(
        (
            Phase(phase="traffic", t0_ns=NS),
            AlertAcknowledged(by="bot"),
            StepStarted(step=1, text="", do="switch", by="bot", undoing=False),
            OrderGiven(order="hand-over", by="ann", through="person", to="bob"),
            OrderGiven(order="act", by="ann", through="person", action="back", undo=True),
            StepStarted(step=1, text="", do="back", by="bot", undoing=True),
        )
    ):
        clock.at_ns = at_s * NS
        book.write(event)
    book.close()
    assert recorded_orders(tmp_path) == [
        RecordedOrder(0.0, IncidentOrder("ack"), "bot"),
        RecordedOrder(1.0, IncidentOrder("act", step=1), "bot"),
        RecordedOrder(2.0, IncidentOrder("hand-over", to="bob"), "ann"),
        RecordedOrder(3.0, IncidentOrder("act", action="back", undo=True), "ann"),
    ]
    with pytest.raises(UsageError, match="nobody has ordered"):
        recorded_orders(tmp_path / "none")


def test_a_bot_is_replayed_beside_a_person_of_its_name(tmp_path: Path) -> None:
    book = Journal(tmp_path / "journal.jsonl", SetClock(), "m1")
    book.write(Phase(phase="traffic", t0_ns=NS))
    for through, number in (("bot", 1), ("person", 2)):
        if through == "person":
            book.write(OrderGiven(order="act", by="bot", through=through, step=number))
        book.write(AlertAcknowledged(by="bot", through=through))
        book.write(
            StepStarted(number, text="", do="switch", by="bot", undoing=False, through=through)
        )
    book.close()
    found = [(each.order.order, each.order.step) for each in recorded_orders(tmp_path)]
    assert found == [("ack", None), ("act", 1), ("act", 2)]


def test_what_was_refused_is_not_replayed(tmp_path: Path) -> None:
    book = Journal(tmp_path / "journal.jsonl", SetClock(), "m1")
    book.write(Phase(phase="traffic", t0_ns=NS))
    given = book.write(OrderGiven(order="act", by="ann", through="person", step=1)).seq
    book.write(OrderAnswered(given=given, order="act", status="refused"))
    book.write(OrderGiven(order="act", by="ann", through="person", step=2))
    book.close()
    assert [each.order.step for each in recorded_orders(tmp_path)] == [2]


async def test_a_replay_gives_the_orders_at_their_instants(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", undo="back"), bot=False)
        waited: list[float] = []

        async def until(at_s: float) -> None:
            waited.append(at_s)

        again = [
            RecordedOrder(1.5, IncidentOrder("act", step=1), "ann"),
            RecordedOrder(2.5, IncidentOrder("note", text="odd"), "ann"),
        ]
        drill.incident.responder = Replay(drill.incident, again, until)
        async with drill.by_people():
            while not asked:
                await asyncio.sleep(0.01)
        await drill.incident.take_back()
    assert waited == [1.5, 2.5]
    assert asked == ["/switch", "/back"]
    assert {(order.by, order.through) for order in drill.orders()} == {("ann", "replay")}
