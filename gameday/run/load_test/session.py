"""Workers without a controller: started, followed once a second, and ended whatever happens.

Each worker is a process of its own and ends by itself when its pipe closes, so a command that is
killed leaves none behind. The traffic ends when every start was made and answered, when somebody
asks for it (Ctrl-C), when a threshold that may end it is crossed, or when a worker dies.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError
from gameday.core.files.logs import hide_in_file
from gameday.core.network.event_loop import allowed_here
from gameday.core.processes.deadlines import first_set
from gameday.run.children import Records, Traffic, worker_config
from gameday.run.hidden_ids import HiddenIds
from gameday.run.load_test.request import Load
from gameday.spec.users_hidden import cells_of
from gameday.telemetry.collector.abort_thresholds import Aborting, Thresholds, aborting
from gameday.telemetry.samples import Evaluation
from gameday.traffic.forecast import longest_start_s, traffic_end_s
from gameday.traffic.metrics import About, LiveTraffic, Moment, request_tags
from gameday.traffic.vitals import Vitals, WorkerSample
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.filled_request import FilledRequest, columns_of, requests_of
from gameday.traffic.worker.messages import Event
from gameday.traffic.worker.request import RequestBytes

LEAD_NS: Final = NS // 2
BEAT_S: Final = 0.05  # what is asked is only a flag; the end is seen within 50 ms
LOOK_NS: Final = NS
EVALUATE_NS: Final = 2 * NS
"""k6 looks at its thresholds as often."""
GRACE_S: Final = 2.0  # as long as the open requests of an aborted run get
PATIENCE_S: Final = 10.0  # to write what it holds; then it is killed
MARGIN_S: Final = 30.0  # a worker that is late by more is not coming back

Ending = Literal["completed", "interrupted", "threshold", "worker"]
Show = Callable[[float, Moment], None]


@dataclass(frozen=True, slots=True)
class OutputDirs:
    """Paths of the records and of the workers' log."""

    history_dir: Path
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """End of the sending; `until_ns` is when the traffic was stopped, None: it came to its end."""

    run: str
    t0_ns: int
    ended: Ending
    why: str = ""
    until_ns: int | None = None
    vitals: Vitals = field(default_factory=Vitals)


async def send(load: Load, dirs: OutputDirs, clock: Clock, show: Show, stop: asyncio.Event) -> Sent:
    """Send the load. `show` is called once a second, with the second; setting `stop` ends it early.

    What is kept and told of it shows no secret, and nothing of a users file.

    Raises UsageError for a request that cannot be made, and StackError when a worker does not get
    ready.
    """
    _must_be_possible(config(load, dirs, "check"))
    session = _Session(load, dirs, clock)
    try:
        return await session.run(show, stop)
    except GamedayError as error:
        error.message = load.hide(error.message)
        raise
    finally:
        await session.close()
        await asyncio.to_thread(_hide, load, dirs)


def _must_be_possible(asked: Config) -> None:
    """Make every request once. Raises UsageError for one that cannot be."""
    columns, captured = (
        columns_of(asked),
        {name for s in asked.before.values() for name in s.capture},
    )
    if not columns and not asked.has_steps:
        RequestBytes(asked)
        return
    for each in requests_of(asked):
        known = {*captured, *asked.request.capture} if each is asked.request.poll else captured
        FilledRequest(asked, each, columns=columns, captured=known)


def _hide(load: Load, dirs: OutputDirs) -> None:
    """Take secrets out of what the workers left behind."""
    for path in sorted(dirs.log.parent.glob(f"{dirs.log.stem}*{dirs.log.suffix}")):
        hide_in_file(path, load.hide)
    if load.users is not None and load.system.users is not None:
        HiddenIds(cells_of(load.system.users, load.users)).hide_in(dirs.history_dir)


class _Session:
    def __init__(self, load: Load, dirs: OutputDirs, clock: Clock) -> None:
        self._load, self._dirs, self._clock = load, dirs, clock
        self._run = f"load-{clock.now_ns():x}"
        self._thresholds = Thresholds(aborting(load.experiment), about(load).tags)
        self._live = LiveTraffic(dirs.history_dir, self._thresholds.totals)
        self._traffic = Traffic(dirs.log, clock, load.workers)
        self._samples: list[WorkerSample] = []
        longest_s = traffic_end_s(load.experiment) + longest_start_s(load.system, load.experiment)
        self._longest_ns = round((longest_s + MARGIN_S) * NS)

    def _hear(self, worker: int, event: Event) -> None:
        self._traffic.hear(worker, event)
        if isinstance(event, WorkerSample):
            self._samples.append(event)

    async def run(self, show: Show, stop: asyncio.Event) -> Sent:
        workers = self._traffic.child
        await workers.launch()
        await workers.start(config(self._load, self._dirs, self._run), self._hear)
        t0_ns = self._clock.now_ns() + LEAD_NS
        self._traffic.begin(t0_ns)
        ended, why = await self._follow(t0_ns, show, stop)
        until_ns = None if ended == "completed" else self._clock.now_ns()
        await self._end(GRACE_S if until_ns is not None else 0.0)
        self._show(t0_ns, show)
        return Sent(
            run=self._run,
            t0_ns=t0_ns,
            ended=ended,
            why=self._load.hide(why),
            until_ns=until_ns,
            vitals=Vitals(self._samples),
        )

    async def _follow(self, t0_ns: int, show: Show, stop: asyncio.Event) -> tuple[Ending, str]:
        """Until it is over: why it is."""
        look_ns, evaluate_ns = t0_ns + LOOK_NS, t0_ns + EVALUATE_NS
        watched = list(aborting(self._load.experiment, t0_ns))
        while True:
            over = self._over(stop)
            if over is not None:
                return over
            await self._clock.sleep(BEAT_S)
            now_ns = self._clock.now_ns()
            if now_ns > t0_ns + self._longest_ns:
                return "worker", "no worker told of the end of the traffic"
            if now_ns >= look_ns:
                look_ns += LOOK_NS
                self._show(t0_ns, show)
            if now_ns >= evaluate_ns and watched:
                evaluate_ns += EVALUATE_NS
                self._live.read(now_ns)
                if why := crossed(watched, self._thresholds, now_ns):
                    return "threshold", why

    def _over(self, stop: asyncio.Event) -> tuple[Ending, str] | None:
        if stop.is_set():
            return "interrupted", "Ctrl-C"
        if self._traffic.refused:
            return "worker", self._traffic.refused
        if self._traffic.child.died:
            return "worker", self._traffic.child.why()
        return ("completed", "") if self._traffic.idle.is_set() else None

    def _show(self, t0_ns: int, show: Show) -> None:
        now_ns = self._clock.now_ns()
        self._live.read(now_ns)
        show((now_ns - t0_ns) / NS, self._live.moment())

    async def _end(self, grace_s: float) -> None:
        """Have every worker write what it still holds. One that does not is killed later."""
        if not self._traffic.child.here:
            return
        self._traffic.stop(grace_s)
        await first_set(self._traffic.done, within_s=grace_s + PATIENCE_S)

    async def close(self) -> None:
        """End every process that was started."""
        self._live.close()
        await self._traffic.child.finish(PATIENCE_S, self._clock)


def crossed(watched: Sequence[Aborting], thresholds: Thresholds, now_ns: int) -> str:
    """The first threshold that may end the traffic by now, and its figure; "" where none does."""
    readings, figures = thresholds.read(now_ns)
    seen = Evaluation(t_ns=now_ns, readings=readings, figures=figures, alerts=())
    return next((f"{one.text}: {figures[one.name]:.6g}" for one in watched if one.trips(seen)), "")


def about(load: Load) -> About:
    """The tags that all requests share: there is one kind of request."""
    issue = load.system.requests.issue
    return About(tags=request_tags(issue.method, issue.path))


def config(load: Load, dirs: OutputDirs, run: str) -> Config:
    """The first line that a worker of this load reads."""
    campaign = load.experiment.campaign
    records = Records(
        history_dir=dirs.history_dir, run=run, coupon=campaign.coupon, stock=campaign.stock
    )
    reach = allowed_here().reach()
    return worker_config(load.experiment, load.system, os.environ, reach, records)
