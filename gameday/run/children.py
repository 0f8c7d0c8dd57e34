"""The processes of a run that the controller starts: traffic workers and the collector.

Orders go down their standard input as JSON lines, readings come up their standard output. Each
ends by itself when its pipe closes, so a killed controller leaves none behind. A child that
dies before it was told to ends the run. What it says is read to the end whatever is wrong with it:
a reader that stops because of one line leaves the speaker waiting in its write.

One traffic worker is enough for most runs. A rate that one core cannot send is shared by several,
each of which takes every n-th start; they are started, told and ended as one.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core.clock import NS, Clock, SystemClock
from gameday.core.errors import StackError
from gameday.core.files import MIB, size
from gameday.core.files.logs import how_it_ended, last_lines, last_words
from gameday.core.network.allow_list import Reach
from gameday.core.processes import READY
from gameday.core.processes.deadlines import first_set
from gameday.injection.drivers.request import resolved, resolved_issue
from gameday.spec.changes import ExtraTraffic
from gameday.spec.experiment import Experiment
from gameday.spec.system import System
from gameday.spec.users import UsersFile
from gameday.traffic.forecast import scenarios_of
from gameday.traffic.worker import messages
from gameday.traffic.worker.config import Config, PinnedUsers

READY_S = 60.0  # it loads numpy, and a file of a million users; many on an overloaded machine
EXIT_S = 1.0  # between the end of its pipe and that of the process
KILLED_S = 5.0  # what is in the middle of a call of the kernel dies when that is over
POLL_S = 0.02  # asyncio tells the end of a process no sooner where its pipes stay open
PIECE_BYTES: Final = 64 * 1024  # what a pipe of Linux holds
LINE_LIMIT = 4 * MIB  # an evaluation with thousands of series; a longer line is a mistake


class Child:
    """One child process that speaks JSON lines."""

    def __init__(
        self, name: str, module: str, log: Path, left: Callable[[], None] = lambda: None
    ) -> None:
        self.name = name
        self._module = module
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._problem = ""  # what it said that nobody understands
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self._left = left  # called when it is gone
        self._finishing = False

    async def launch(self) -> None:
        """messages.Start the process; it waits for its configuration."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder gameday is called from must not shadow what a child imports
                "-m",
                self._module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    async def start(self, config: bytes, hear: Callable[[bytes], object]) -> None:
        """Hand it its configuration, and wait until it is ready. Raises StackError."""
        self._reader = asyncio.create_task(self._listen(hear))
        self.send(config)
        await first_set(self.ready, self.gone, within_s=READY_S)
        if not self.ready.is_set():
            why = f"it said nothing within {READY_S:g} s"
            if self.gone.is_set():
                await self._has_ended(EXIT_S)
                why = self.why()
            raise StackError(f"the {self.name} did not get ready: {why}\n{self.last_words()}")

    def send(self, order: bytes) -> None:
        """Send one line. A child that is gone hears nothing; `gone` says so."""
        process = self._running()
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(order + b"\n")

    async def finish(self, patience_s: float, clock: Clock) -> bool:
        """Close its pipe and wait; kill it when that takes too long. True if it ended by itself.

        Nothing of it is waited for longer: asyncio's own `wait` is over only when the pipes are
        closed too, which another process may hold open.
        """
        self._finishing = True
        if self._process is None:
            return True
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        by_itself = await self._has_ended(patience_s, clock)
        if not by_itself:
            process.kill()
            await self._has_ended(KILLED_S, clock)
        if self._reader is not None:
            await asyncio.wait({self._reader}, timeout=EXIT_S)
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        return by_itself

    @property
    def died(self) -> bool:
        """True if it ended without an order, or its output cannot be understood any more."""
        return self.gone.is_set() and not self._finishing

    async def was_killed(self) -> bool:
        """True if a signal ended it, which is no fault of its own; for one that has died."""
        if not await self._has_ended(EXIT_S):
            return False  # it has closed its pipe, and lives
        return (self._running().returncode or 0) < 0

    def why(self) -> str:
        """Why it is gone, in one line."""
        if self._problem:
            return self._problem
        said = last_lines(self._log, 1)
        status = self._process.returncode if self._process is not None else None
        return ": ".join([how_it_ended(status), *said])

    def last_words(self) -> str:
        """Output that nobody understood, or the end of its log."""
        return self._problem or last_words(self._log)

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise StackError(f"the {self.name} was not started")
        return self._process

    async def _has_ended(self, within_s: float, clock: Clock | None = None) -> bool:
        """True once the process itself ends, whoever holds its pipes; False after `within_s`."""
        clock, process = clock or SystemClock(), self._running()
        deadline_ns = clock.now_ns() + int(within_s * NS)
        while process.returncode is None and clock.now_ns() < deadline_ns:
            await clock.sleep(POLL_S)
        return process.returncode is not None

    async def _listen(self, hear: Callable[[bytes], object]) -> None:
        """Hear it to its end. What nobody understands is its end, and is read on all the same."""
        stdout = self._running().stdout
        if stdout is None:
            return
        try:
            await self._hear(stdout, hear)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a line ends the run
            long = isinstance(error, LongLineError)
            self._problem = str(error) if long else f"it said what is no answer: {error!r}"
        finally:
            self.gone.set()
            self._left()
        await drain(stdout)

    async def _hear(self, stdout: asyncio.StreamReader, hear: Callable[[bytes], object]) -> None:
        async for line in lines(stdout, LINE_LIMIT):
            if line == READY:
                self.ready.set()
            else:
                hear(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Where a worker writes, and for which run and campaign."""

    history_dir: Path
    run: str
    coupon: int | str
    stock: int | None


def worker_config(
    experiment: Experiment,
    system: System,
    environment: Mapping[str, str],
    reach: Reach,
    records: Records,
) -> Config:
    """The configuration of one worker alone; secrets of its headers are filled in."""
    users = system.users
    before = system.requests.before.items()
    return Config(
        worker=0,
        workers=1,
        history_dir=records.history_dir,
        seed=experiment.seed or 0,
        run=records.run,
        coupon=records.coupon,
        stock=records.stock,
        users=experiment.campaign.users,
        base_url=system.base_url,
        request=resolved_issue(system.requests.issue, environment),
        before={name: resolved(step, environment) for name, step in before},
        mix={name: dict(mix) for name, mix in experiment.mixes.items()},
        cookies=system.requests.cookies,
        users_file=None if users is None else _users_file(users),
        tls=system.tls,
        replay=system.semantics.replay,
        scenarios=scenarios_of(experiment),
        reach=reach,
    )


def _users_file(users: UsersFile) -> PinnedUsers:
    return PinnedUsers(path=Path(users.file), sha256=users.sha256, public=users.public)


class Workers:
    """The traffic workers of a run, which is what a `Child` is, for all of them."""

    def __init__(self, log: Path, count: int, left: Callable[[], None] = lambda: None) -> None:
        names = ["traffic worker"]
        if count > 1:
            names = [f"traffic worker {n + 1} of {count}" for n in range(count)]
        logs = [log, *(log.with_name(f"{log.stem}-{n}{log.suffix}") for n in range(1, count))]
        self._all = [
            Child(name, "gameday.traffic.worker", log, self._one_left)
            for name, log in zip(names, logs, strict=True)
        ]
        self.gone = asyncio.Event()  # all of them
        self._left = left  # called when one is gone

    def _one_left(self) -> None:
        if all(child.gone.is_set() for child in self._all):
            self.gone.set()
        self._left()

    @property
    def here(self) -> set[int]:
        """The numbers of those that are not gone."""
        return {n for n, child in enumerate(self._all) if not child.gone.is_set()}

    async def launch(self) -> None:
        """messages.Start the processes; they wait for their configuration."""
        await asyncio.gather(*(child.launch() for child in self._all))

    async def start(self, config: Config, hear: Callable[[int, messages.Event], None]) -> None:
        """Hand each its configuration, and wait until all are ready.

        What they say is heard with the number of the worker that said it.
        """

        def hear_from(worker: int) -> Callable[[bytes], object]:
            return lambda line: hear(worker, messages.event_in(line))

        stripes = [
            config.model_copy(update={"worker": n, "workers": len(self._all)})
            for n in range(len(self._all))
        ]
        starting = [
            child.start(stripe.line, hear_from(stripe.worker))
            for child, stripe in zip(self._all, stripes, strict=True)
        ]
        await asyncio.gather(*starting)

    def send(self, order: messages.Order) -> None:
        """Send one order to each."""
        for child in self._all:
            child.send(messages.order_line(order))

    async def finish(self, patience_s: float, clock: Clock) -> bool:
        """As a child's; True if all ended by themselves."""
        ended = [child.finish(patience_s, clock) for child in self._all]
        return all(await asyncio.gather(*ended))

    @property
    def _first_dead(self) -> Child:
        """One that died, or else the first."""
        return next((child for child in self._all if child.died), self._all[0])

    @property
    def name(self) -> str:
        return self._first_dead.name

    @property
    def died(self) -> bool:
        """True if any of them ended without an order."""
        return any(child.died for child in self._all)

    async def was_killed(self) -> bool:
        """True if a signal ended the one that died."""
        return await self._first_dead.was_killed()

    def why(self) -> str:
        """Why that one died, in one line."""
        return self._first_dead.why()

    def last_words(self) -> str:
        return self._first_dead.last_words()


class Traffic:
    """The traffic, as the controller sees it: scenarios on and off, and how far it is."""

    def __init__(self, log: Path, clock: Clock, workers: int = 1) -> None:
        self.child = Workers(log, workers, self._count)
        self._clock = clock
        self.scheduled = asyncio.Event()
        self.idle = asyncio.Event()
        self.done = asyncio.Event()
        self._events = {"scheduled": self.scheduled, "idle": self.idle, "done": self.done}
        self._said: dict[str, set[int]] = {name: set() for name in self._events}
        self.refused = ""

    def hear(self, worker: int, event: messages.Event) -> None:
        """What a worker says."""
        if isinstance(event, messages.Reached):
            self._said[event.event].add(worker)
            self._count()
        if isinstance(event, messages.Refused):
            self.refused = event.why

    def _count(self) -> None:
        """Set each event that all of the workers still here have reported."""
        for name, event in self._events.items():
            said = self._said[name]
            if said and said >= self.child.here:
                event.set()

    def begin(self, t0_ns: int) -> None:
        self.child.send(messages.StartTraffic(t0_ns))

    async def on(self, extra: ExtraTraffic) -> None:
        for name in ("scheduled", "idle"):
            self._events[name].clear()
            self._said[name].clear()
        more = messages.ExtraScenario(extra.scenario, extra.rate_per_s, extra.duration_s)
        self.child.send(messages.SwitchOn(more, self._clock.now_ns()))

    async def off(self, scenario: str) -> None:
        self.child.send(messages.SwitchOff(scenario))

    def stop(self, grace_s: float) -> None:
        self.child.send(messages.StopTraffic(grace_s))


class LongLineError(ValueError):
    """A line is longer than is read."""


async def lines(reader: asyncio.StreamReader, most_bytes: int) -> AsyncIterator[bytes]:
    """Each whole line, without its end; what is torn at the end is none.

    Raises LongLineError.
    """
    rest = bytearray()
    while piece := await reader.read(PIECE_BYTES):
        *whole, last = piece.split(b"\n")
        for line in whole:
            if len(rest) + len(line) > most_bytes:
                raise LongLineError(_too_long(most_bytes))
            yield bytes(rest) + line
            rest.clear()
        rest += last
        if len(rest) > most_bytes:
            raise LongLineError(_too_long(most_bytes))


async def drain(reader: asyncio.StreamReader) -> None:
    """Read to the end, and keep nothing."""
    while await reader.read(PIECE_BYTES):
        pass


def _too_long(most_bytes: int) -> str:
    return f"it said a line of more than {size(most_bytes)}"
