"""Orders from outside: signals of the terminal, and what other terminals say over the socket.

Both are heard from the first moment of a run to its last, and answered at once: an order only
sets the run's abort, and nobody who gives one waits for what the run is doing just then.
"""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from gameday.core.clock import NS
from gameday.evidence.events import OperatorAbort, OperatorStop
from gameday.evidence.journal import Journal
from gameday.run import hold, locks
from gameday.run.context import Abort, Ended
from gameday.run.drill import DrillHooks
from gameday.run.responder.incident import Incident
from gameday.run.responder.orders import MOST_NAME, Heard, IncidentOrder, clipped

FACILITATORS = frozenset({"inject", "hint", "pause", "resume", "debrief", "abort"})
MOST_JOINED = 200  # names with their roles; no team is larger
OVER = "it is over: only its stack is still to stop"
IMPATIENT = 3  # so many Ctrl-C
IMPATIENT_S = 2.0  # nobody presses Ctrl-C three times in two seconds by mistake


class WithIncident(Protocol):
    """Whatever has an incident that orders are for: a run, or a session without one."""

    @property
    def incident(self) -> Incident: ...


class ControlSocket:
    """Answers the orders for one run; `run` is set once its stack is up."""

    def __init__(
        self, run_id: str, journal: Journal, abort: Abort, drill: DrillHooks | None = None
    ) -> None:
        self._id = run_id
        self._journal = journal
        self._abort = abort
        self._drill = drill
        self._presence: locks.Presence | None = None
        self._server: asyncio.Server | None = None
        self._joined: set[tuple[str, str]] = set()
        self.run: WithIncident | None = None

    async def open(self, runs_dir: Path) -> None:
        """Be found by other terminals, and listen to them."""
        self._presence = locks.Presence(self._id, runs_dir).take()
        self._server = await locks.serve(self._presence.socket, self.answer)
        found = hold.current()
        if found is not None:  # set since this run looked before it began
            self.end("operator", str(found))

    def close(self) -> None:
        """Not be found any more."""
        if self._server is not None:
            self._server.close()
        if self._presence is not None:
            self._presence.drop()

    def answer(self, command: locks.RunCommand) -> locks.Reply:
        """The reply to a command from another terminal."""
        by = clipped(command.by, MOST_NAME)
        match command:
            case locks.RunCommand(cmd="ack"):
                heard = self._order(IncidentOrder("ack"), by)
            case locks.RunCommand(cmd="order", order=IncidentOrder() as order):
                heard = self._order(order, by)
            case locks.RunCommand(cmd="stop"):
                heard = self._stop(by)
            case locks.RunCommand(cmd="join") if self._drill is not None:
                heard = self._join(self._drill, by, clipped(command.to, MOST_NAME))
            case _:
                heard = self._facilitate(command, by)
        return locks.Reply(heard.ok, self._id, heard.why, heard.given, heard.pending)

    def _join(self, drill: DrillHooks, by: str, role: str) -> Heard:
        """Note who takes part, once: nobody is asked for a token, and each note is a record."""
        if self._abort.over:
            return Heard(ok=False, why=OVER)
        if (by, role) in self._joined:
            return Heard(ok=True)
        if len(self._joined) >= MOST_JOINED:
            return Heard(ok=False, why=f"{MOST_JOINED} have joined, and no more can")
        heard = drill.join(by, role)
        if heard.ok:
            self._joined.add((by, role))
        return heard

    def _facilitate(self, command: locks.RunCommand, by: str) -> Heard:
        """A command of a drill's facilitator, who has the token; nobody else learns of any."""
        drill = self._drill
        if drill is None or command.cmd not in FACILITATORS:
            return Heard(ok=False, why=f"unknown order {command.cmd!r:.100}")
        if not compare_digest(command.token.encode(), drill.box.token.encode()):
            return Heard(ok=False, why="that is the facilitator's: it takes the token of the drill")
        if command.cmd == "abort":
            return self._stop(by)
        if command.cmd == "debrief":
            self.end("completed", f"gameday drill debrief by {by}")
            return Heard(ok=True)
        over = Heard(ok=False, why=OVER) if self._abort.over else None
        heard = over or drill.command(command, by)
        return heard or Heard(ok=False, why=f"unknown order {command.cmd!r:.100}")

    def _stop(self, by: str) -> Heard:
        if not self._abort.over:
            self._journal.write(OperatorStop(by=by))  # what whoever gave it waits to see
        self.end("operator", f"gameday stop by {by}")
        return Heard(ok=True)

    def end(self, ended: Ended, why: str) -> None:
        """End the run early, if that can still be done; the first reason counts."""
        if self._abort.over or self._abort.event.is_set():
            return
        self._journal.write(OperatorAbort(why=why))
        self._abort(ended, why)

    def _order(self, order: IncidentOrder, by: str) -> Heard:
        """Hand it to the incident; before and after there is one, a run can only be ended."""
        if self.run is not None and not self._abort.over:
            return self.run.incident.give(order, by, "person")
        if order.order == "abort":
            self.end("operator", f"gameday incident abort by {by}")
            return Heard(ok=True)
        if self._abort.over:
            return Heard(ok=False, why=OVER)
        return Heard(ok=False, why="it is just beginning: there is nothing to take yet")


@contextmanager
def signals(control: ControlSocket, leave: Callable[[], NoReturn]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the run in order; a second one changes nothing.

    A third Ctrl-C within `IMPATIENT_S` ends this process: see `on_third_ctrl_c`.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in heeded()}

    def heard(number: signal.Signals) -> None:
        control.end("operator" if number is signal.SIGINT else "signal", number.name)

    for number in before:
        loop.add_signal_handler(number, heard, number)
    on_third_ctrl_c(leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def on_third_ctrl_c(leave: Callable[[], NoReturn]) -> None:
    """Have `leave` called at the third Ctrl-C within `IMPATIENT_S`, whatever the process hangs in.

    It is the interpreter that counts, beside the loop, whose own handlers are heard only while it
    turns; they go on hearing each. To be called after those are set.
    """
    pressed_ns: deque[int] = deque(maxlen=IMPATIENT)

    def count(_number: int, _frame: FrameType | None) -> None:
        pressed_ns.append(time.monotonic_ns())
        if len(pressed_ns) == IMPATIENT and pressed_ns[-1] - pressed_ns[0] <= IMPATIENT_S * NS:
            leave()

    signal.signal(signal.SIGINT, count)


def heeded() -> list[signal.Signals]:
    """The signals that end a run; not SIGHUP under `nohup`, which asks to outlive the terminal."""
    stays = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if stays else [signal.SIGHUP])]
