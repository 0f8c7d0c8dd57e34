"""A program as a responder: it is told the events of the run, and its lines are orders.

A team's own automation, or an agent, is thus drilled as a person is. Nothing that it does, or does
not do, ends or delays the run, or the removal of a fault: it is never waited for while the run goes
on. Its lines are taken at a pace; what it does not read is left out after a while; a line that is
too long, or too many that say nothing, end it. In the end it is told so, and killed if it stays,
with all that it started. A killed run leaves it a pipe that has closed, and the reaper its record.
"""

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gameday.core.clock import NS
from gameday.core.errors import StuckFaultError
from gameday.core.files import KIB, MIB, size
from gameday.core.files.logs import how_it_ended
from gameday.core.messages import Message
from gameday.core.processes.deadlines import cancelled, in_time
from gameday.evidence.events import ResponderEnded, ResponderLaunched, ResponderTrouble
from gameday.evidence.journal import Record
from gameday.injection.process import process
from gameday.run.children import LongLineError, drain, lines
from gameday.run.responder import protocol
from gameday.run.responder.incident import Incident
from gameday.run.responder.orders import Heard
from gameday.spec.undos import ProcessUndo

BY: Final = "command"
LONGEST_LINE: Final = 16 * KIB  # an order has some 100 bytes
LINES_PER_S: Final = 20  # faster than anybody acts; more wait in the program's pipe
MOST_STRANGE: Final = 50  # lines that are no orders: it speaks of something else
MOST_NOTED: Final = 5  # of those, in the journal
MOST_UNREAD: Final = MIB  # told and not read yet
LOG_BYTES: Final = MIB
LOG_PIECE, LOG_PAUSE_S = 64 * KIB, 0.25  # what it says beyond is read at this pace, and not kept
EXIT_S: Final = 0.5  # between the end of its output and its own
STOP_S: Final = 2.0  # to save what it has learned, once it was told that the run ends
LOOK_S: Final = 5.0
POLL_S: Final = 0.02
KILL_S: Final = 6.0  # longer than a killed process takes to go


@dataclass(frozen=True, slots=True)
class Program:
    """The program that is started, its run, and the file for what it says on stderr.

    `seconds` tells an instant of the run's clock in seconds from the start of the traffic.
    """

    argv: Sequence[str]
    run: str
    log: Path
    seconds: Callable[[int], float]


class Command:
    """The program that responds in one incident."""

    def __init__(self, incident: Incident, program: Program) -> None:
        self._incident = incident
        self._program = program
        self._journal = incident.hands.journal
        self._clock = incident.hands.clock
        self._process: asyncio.subprocess.Process | None = None
        self._record: ProcessUndo | None = None
        self._logging: asyncio.Task[None] | None = None
        self._alerts = protocol.Alerts()
        self._orders = 0
        self._strange = 0
        self._unread = 0
        self._left_ns = 0
        self._over = False

    def stand_back(self) -> None:
        """Go on: it is told who has taken the incident, and decides by itself."""

    async def respond(self) -> None:
        """Start it, tell it everything, and take its orders, until it ends or this is cancelled."""
        running = await self._launch()
        if running is None or running.stdout is None or running.stderr is None:
            return
        self._logging = asyncio.create_task(self._keep_log(running.stderr))
        self._write(
            protocol.line(protocol.hello(self._program.run, self._incident.hands, self._hide))
        )
        self._journal.listeners.append(self._tell_record)
        telling = asyncio.create_task(self._tell_readings())
        try:
            why = await self._hear(running.stdout)
            await self._gone(EXIT_S)
            self._ended(why or self._how_it_ended())
        finally:
            telling.cancel()
            self._let_go()
            await cancelled(telling)

    async def finish(self) -> None:
        """End it and all that it started. Bounded by `STOP_S` and the time that a kill takes."""
        if self._process is None or self._record is None:
            return
        self._let_go()
        by_itself = await self._gone(STOP_S - (self._clock.now_ns() - self._left_ns) / NS)
        if not by_itself:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        try:
            await in_time(process.undo(replace(self._record, signal="SIGKILL")), KILL_S, EXIT_S)
            await self._gone(EXIT_S)
        except (StuckFaultError, TimeoutError, OSError) as error:
            self._trouble(Message("responder.stays", why=str(error) or f"after {KILL_S:g} s"))
        await self._close_pipes()
        self._ended(Message("responder.done" if by_itself else "responder.killed", within_s=STOP_S))

    async def _close_pipes(self) -> None:
        """Read to its end what nobody hears any more; its end is near, as it was killed."""
        left = {task for task in (self._logging,) if task is not None}
        if self._process is not None and self._process.stdout is not None:
            left.add(asyncio.create_task(drain(self._process.stdout)))
        if left:
            await asyncio.wait(left, timeout=EXIT_S)
            await cancelled(*left)

    async def _launch(self) -> asyncio.subprocess.Process | None:
        token = f"gameday-{self._program.run}-responder"
        pipe, program = asyncio.subprocess.PIPE, shlex.join(self._program.argv)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._program.argv,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env={**os.environ, process.TOKEN_VARIABLE: token},
                start_new_session=True,
            )
        except OSError as error:
            self._ended(Message("responder.no_start", program=program, why=str(error)))
            return None
        self._record = process.record(self._process.pid, "responder", token=token)
        self._journal.write(ResponderLaunched(program=program, undo=[self._record]))
        return self._process

    async def _hear(self, stdout: asyncio.StreamReader) -> Message | None:
        """Take its lines as orders; why no more is taken, None when it has closed its output."""
        began_ns, taken = self._clock.now_ns(), 0
        try:
            async for raw in lines(stdout, LONGEST_LINE):
                if (now_ns := self._clock.now_ns()) - began_ns >= NS:
                    began_ns, taken = now_ns, 0
                taken += 1
                if taken > LINES_PER_S:
                    await self._clock.sleep((began_ns + NS - now_ns) / NS)
                if raw.strip() and (why := self._take(raw)) is not None:
                    return why
        except LongLineError:
            return Message("responder.long_line", most=size(LONGEST_LINE))
        return None

    def _take(self, raw: bytes) -> Message | None:
        """Hear one line; why it is the last one, None when others may follow."""
        try:
            order, own = protocol.order_in(raw)
        except ValueError as error:
            return self._take_strange(raw, str(error))
        heard = self._incident.give(order, BY, BY)
        self._orders += 1
        self._answer(own, heard)
        return None if heard.given is not None else Message("responder.too_many")

    def _take_strange(self, raw: bytes, why: str) -> Message | None:
        self._strange += 1
        if self._strange <= MOST_NOTED:
            told = raw.decode(errors="replace")
            self._trouble(Message("responder.no_order", line=f"{told:.80}", why=why))
        self._answer(None, Heard(ok=False, why=why))
        if self._strange > MOST_STRANGE:
            return Message("responder.strange", most=MOST_STRANGE)
        return None

    def _answer(self, own: str | int | None, heard: Heard) -> None:
        why = self._hide(heard.why)
        answer = protocol.AnswerShown(id=own, ok=heard.ok, why=why, given=heard.given)
        self._write(protocol.line(answer))

    async def _tell_readings(self) -> None:
        """Tell each evaluation, and first what it changes of the alerts."""
        readings = self._incident.hands.readings
        told = len(readings.all)
        while True:
            await readings.next(LOOK_S)
            fresh, told = readings.all[told:], len(readings.all)
            for seen in fresh:
                t_s = self._program.seconds(seen.t_ns)
                for alert in self._alerts.changes(seen, t_s, self._hide):
                    self._write(protocol.line(alert))
                self._write(protocol.line(protocol.sample(seen, t_s)))

    def _tell_record(self, record: Record) -> None:
        raw = protocol.record_line(record, self._program.seconds(record.t_ns), self._hide)
        if raw is not None:
            self._write(raw)

    def _hide(self, text: str) -> str:
        return self._journal.hide(text)

    def _write(self, raw: bytes) -> None:
        """Tell it a line, unless it is gone, or has not read much of what was told before."""
        stdin = None if self._process is None else self._process.stdin
        if stdin is None or stdin.is_closing():
            return
        if stdin.transport.get_write_buffer_size() > MOST_UNREAD:
            self._unread += 1
            if self._unread == 1:
                self._trouble(Message("responder.unread", most=size(MOST_UNREAD)))
            return
        stdin.write(raw)

    async def _keep_log(self, stderr: asyncio.StreamReader) -> None:
        """Keep the beginning of what it says to people."""
        left = LOG_BYTES
        with self._program.log.open("ab") as log:
            while piece := await stderr.read(LOG_PIECE):
                log.write(piece[:left])
                log.flush()
                left -= min(left, len(piece))
                if not left:
                    await self._clock.sleep(LOG_PAUSE_S)

    def _let_go(self) -> None:
        """Tell it that the run ends for it, and nothing more."""
        if self._tell_record in self._journal.listeners:
            self._journal.listeners.remove(self._tell_record)
        self._write(protocol.line(protocol.Bye()))
        self._left_ns = self._left_ns or self._clock.now_ns()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def _gone(self, within_s: float) -> bool:
        """True once it has ended by itself; False after `within_s`."""
        deadline_ns = self._clock.now_ns() + int(within_s * NS)
        while self._process is not None and self._process.returncode is None:
            if self._clock.now_ns() >= deadline_ns:
                return False
            await self._clock.sleep(POLL_S)
        return True

    def _how_it_ended(self) -> Message:
        code = None if self._process is None else self._process.returncode
        if code is None:
            return Message("responder.closed")
        return Message("responder.ended", how=how_it_ended(code))

    def _trouble(self, why: Message) -> None:
        self._journal.write(ResponderTrouble(why=why.text(), message=why))

    def _ended(self, why: Message) -> None:
        """Journal, once, that it is not heard any more."""
        if not self._over:
            self._over = True
            self._journal.write(ResponderEnded(why=why.text(), orders=self._orders, message=why))
