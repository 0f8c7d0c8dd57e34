"""One run's state: what every part of the controller works with."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from gameday.core.clock import NS, Clock
from gameday.core.network.allow_list import Allowed
from gameday.core.network.listen import Listen
from gameday.core.processes.deadlines import CANCEL_S, cancelled
from gameday.core.stack_registry import EMBEDDED
from gameday.evidence.journal import Journal
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.request import Sender
from gameday.injection.verify.probe import Spot
from gameday.run.autoscaler import ReplicaScaler
from gameday.run.children import Child, Traffic
from gameday.run.drill import DrillHooks
from gameday.run.readings import Readings
from gameday.run.reaper_client import Reaper
from gameday.run.responder.incident import Incident
from gameday.run.responder.orders import Responding
from gameday.spec.experiment import Experiment
from gameday.spec.playbook import Playbook
from gameday.spec.server import Server
from gameday.spec.system import System
from gameday.spec.users import UserTable

Ended = Literal[
    "completed",
    "not_steady",
    "guard",
    "operator",
    "signal",
    "interrupted",
    "unhealthy",
    "error",
]


T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish `work` even when this task is cancelled meanwhile; the cancellation comes after it.

    For what must not stop half-way: an undo, and the act that it takes back.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result


@dataclass(slots=True)
class Abort:
    """The one way a run ends early: the first reason counts, later ones are ignored.

    `over` is set when all is collected and only the stack is still to stop: too late to abort.
    """

    event: asyncio.Event = field(default_factory=asyncio.Event)
    ended: Ended = "completed"
    why: str = ""
    over: bool = False

    def __call__(self, ended: Ended, why: str) -> None:
        if not self.event.is_set():
            self.ended, self.why = ended, why
            self.event.set()


async def unless_aborted(
    abort: Abort,
    work: Coroutine[Any, Any, T],
    *,
    within_s: float | None = None,
    grace_s: float = 0.0,
    cancel_s: float = CANCEL_S,
) -> "asyncio.Task[T] | None":
    """Do `work` within `within_s`, from an abort on only for `grace_s` more, then cancel it.

    Returns its task where it came to an end, None where it was cancelled. Raises what it raised.
    """
    task = asyncio.create_task(work)
    try:
        await done_or_aborted(abort, task, within_s)
        if abort.event.is_set() and not task.done():
            await asyncio.wait({task}, timeout=grace_s)
        if not task.done():
            return None
        task.result()
        return task
    finally:
        await cancelled(task, within_s=cancel_s)


async def done_or_aborted(
    abort: Abort, task: "asyncio.Task[Any]", within_s: float | None = None
) -> None:
    """Wait until the task is done, the run is aborted, or the time is over."""
    aborted = asyncio.create_task(abort.event.wait())
    try:
        await asyncio.wait({task, aborted}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        aborted.cancel()


@dataclass(frozen=True, slots=True)
class Options:
    """Options from the command line, beyond the files."""

    stack: str = EMBEDDED
    runs_dir: Path = Path("runs")
    responder: Responding = field(default_factory=Responding)
    responder_delay_s: float = 1.0
    allowed: Allowed = field(default_factory=Allowed)
    webhook: Listen | None = None


@dataclass(slots=True, kw_only=True)
class Begun:
    """A run from its first moment on, before its stack is up."""

    id: str
    dir: Path
    clock: Clock
    journal: Journal
    traffic: Traffic
    collector: Child
    reaper: Reaper
    abort: Abort = field(default_factory=Abort)
    secrets: set[str] = field(default_factory=set)
    """Texts that must not be shown: of the system file, and of the stack, once it is up."""
    drill: DrillHooks | None = None
    """None in an ordinary run."""


@dataclass(slots=True, kw_only=True)
class Run(Begun):
    """A run under way."""

    options: Options
    experiment: Experiment
    system: System
    users: UserTable | None
    playbook: Playbook | None
    rules: list[Path]
    coupon: str
    stock: int | None
    traffic_end_s: float
    environment: Mapping[str, str]
    injection: InjectionContext
    sender: Sender
    admin: Sender
    readings: Readings
    incident: Incident
    ended_parts: Callable[[], list[str]]
    drivers: Drivers = field(default_factory=Drivers)
    spots: dict[str, Spot] = field(default_factory=dict)
    campaign_made: bool = False
    scrape_s: float = 1.0
    bridge: Server | None = None
    autoscaler: ReplicaScaler | None = None
    replicas: Callable[[], Mapping[str, str]] = field(default=dict)
    scales_kept: bool = False
    """True if what is scaled stays after the run: nothing else takes it back."""
    t0_ns: int = 0

    def at_ns(self, seconds: float) -> int:
        """An instant of the run, `seconds` after the start of the traffic."""
        return self.t0_ns + round(seconds * NS)

    def seconds(self, t_ns: int) -> float:
        """An instant in seconds from the start of the traffic."""
        return round((t_ns - self.t0_ns) / NS, 3)

    async def until(self, seconds: float) -> None:
        """Wait for an instant of the run."""
        await self.clock.sleep((self.at_ns(seconds) - self.clock.now_ns()) / NS)

    async def fault_over(self, end_s: float) -> None:
        """Wait for the end of a fault: in a drill until it is mitigated, if that is earlier."""
        if self.drill is None:
            await self.until(end_s)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout((self.at_ns(end_s) - self.clock.now_ns()) / NS):
                await self.drill.mitigated.wait()

    @property
    def history_dir(self) -> Path:
        return self.dir / "history"
