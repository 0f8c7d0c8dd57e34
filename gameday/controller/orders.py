"""Orders from outside: signals of the terminal, and what other terminals say over the socket.

Both are heard from the first moment of a run to its last, and answered at once: an order only
sets the run's abort, and nobody who gives one waits for what the run is doing just then.
"""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from gameday.clock import NS
from gameday.controller import hold, target
from gameday.controller.run import Abort, Ended, Run
from gameday.journal import Journal

IMPATIENT = 3  # so many Ctrl-C
IMPATIENT_S = 2.0


class Desk:
    """Answers the orders for one run; `run` is set once its stack is up."""

    def __init__(self, run_id: str, journal: Journal, abort: Abort) -> None:
        self._id = run_id
        self._journal = journal
        self._abort = abort
        self._presence: target.Presence | None = None
        self._server: asyncio.Server | None = None
        self.run: Run | None = None

    async def open(self, runs_dir: Path) -> None:
        """Be found by other terminals, and listen to them."""
        self._presence = target.Presence(self._id, runs_dir).take()
        self._server = await target.serve(self._presence.socket, self.answer)
        found = hold.held()
        if found is not None:  # set since this run looked before it began
            self.end("operator", str(found))

    def close(self) -> None:
        """Not be found any more."""
        if self._server is not None:
            self._server.close()
        if self._presence is not None:
            self._presence.drop()

    def answer(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """What another terminal is told."""
        by = str(order.get("by", "person"))
        match order.get("cmd"):
            case "ack":
                why = self._acknowledge(by)
            case "stop":
                why = self._stop(by)
            case unknown:
                why = f"unknown order {unknown!r:.100}"
        return {"ok": not why, "run": self._id, "why": why}

    def _stop(self, by: str) -> str:
        if not self._abort.over:
            self._journal.write("operator.stop", by=by)  # what whoever gave it waits to see
        self.end("operator", f"gameday stop by {by}")
        return ""

    def end(self, ended: Ended, why: str) -> None:
        """End the run early, if that can still be done; the first reason counts."""
        if self._abort.over or self._abort.event.is_set():
            return
        self._journal.write("operator.abort", why=why)
        self._abort(ended, why)

    def _acknowledge(self, by: str) -> str:
        if self.run is None:
            return "it is just beginning: there is nothing to take yet"
        bot = self.run.bot
        if bot is None:
            self._journal.write("alert.acknowledged", by=by)
        elif not bot.taken_by_person:
            bot.take(by)
        return ""


class Signals:
    """Ctrl-C, SIGTERM and a closed terminal end the run in order; a second one changes nothing.

    A third Ctrl-C within `IMPATIENT_S` ends this process, whatever it hangs in: `leave` is called,
    outside of the event loop, and must not return. The handlers are the interpreter's own, because
    the loop's are heard only while it turns.
    """

    def __init__(self, desk: Desk, leave: Callable[[], NoReturn]) -> None:
        self._desk = desk
        self._leave = leave
        self._loop = asyncio.get_running_loop()
        self._pressed_ns: deque[int] = deque(maxlen=IMPATIENT)
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in heeded():
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        sent = signal.Signals(number)
        if sent is signal.SIGINT and self._is_third():
            self._leave()
        ended: Ended = "operator" if sent is signal.SIGINT else "signal"
        try:
            self._loop.call_soon_threadsafe(self._desk.end, ended, sent.name)
        except RuntimeError:
            return  # the loop has ended: so has the run

    def _is_third(self) -> bool:
        self._pressed_ns.append(time.monotonic_ns())
        lasted_ns = self._pressed_ns[-1] - self._pressed_ns[0]
        return len(self._pressed_ns) == IMPATIENT and lasted_ns <= IMPATIENT_S * NS


def heeded() -> list[signal.Signals]:
    """The signals that end a run; not SIGHUP under `nohup`, which asks to outlive the terminal."""
    stays = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if stays else [signal.SIGHUP])]
