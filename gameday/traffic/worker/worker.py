"""The worker itself: hears orders, sends every start when it is due, and reports once a second.

The pace is kept by an alarm set to the next due time. When it rings, every start that is due by
then goes out (in bursts, with answers read between them), however late that is: the schedule is
never stretched. Between answers, too, it is looked whether something is due, which costs no
waking up.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from math import ceil, inf
from typing import Any, Final, Literal

from gameday.core.clock import NS, Clock
from gameday.core.errors import UsageError
from gameday.core.network.allow_list import Allowed
from gameday.core.network.urls import Base
from gameday.core.processes import READY
from gameday.core.timer import alarm
from gameday.spec.request import MOST_OPEN
from gameday.spec.template import placeholders_in
from gameday.traffic.schedule.scenario import Scenario, VuLimit
from gameday.traffic.schedule.virtual_users import VirtualUsers, share_of
from gameday.traffic.worker import messages
from gameday.traffic.worker.answer_mask import AnswerMask
from gameday.traffic.worker.classify import Answers
from gameday.traffic.worker.client import Client, ClientSettings, OnUnmatched
from gameday.traffic.worker.closed_loop import ClosedLoop
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.filled_request import Columns, FilledRequest, columns_of
from gameday.traffic.worker.open_loop import OpenLoop
from gameday.traffic.worker.recorder import Recorder, Renders
from gameday.traffic.worker.request import RequestBytes
from gameday.traffic.worker.self_metrics import SelfMetrics, since_s
from gameday.traffic.worker.step_recorder import StepRecorder
from gameday.traffic.worker.stepped_client import SteppedClient
from gameday.traffic.worker.tls import TlsClient
from gameday.traffic.worker.unmatched_answers import UnmatchedAnswers
from gameday.traffic.worker.vu_pool import Pool

FLUSH_S: Final = 0.04  # how old the file's last record may be, and how finely stalls are seen
# The higher the rate, the longer until it is looked again whether something is due: what is due
# together is sent together, for two thirds of the time of sending one by one. That costs 0.3 ms
# of lag at 10,000/s and grows with the square of the rate, so that lower ones pay nothing; no
# start waits for it as long as a millisecond.
WAIT_NS_AT_1000: Final = 3_000
LONGEST_WAIT_NS: Final = 900_000


def _renderer(config: Config, columns: Columns) -> Renders:
    """The issue's bytes; those without a column are made in half the time."""
    if config.users_file is None:
        return RequestBytes(config)
    if columns.keys().isdisjoint(placeholders_in(config.request)):
        return RequestBytes(config)
    return FilledRequest(config, config.request, columns=columns)


Say = Callable[[bytes], None]
"""Takes a line without its end."""


def _unmatched(config: Config, columns: Columns, say: Say) -> OnUnmatched:
    """Tells of answers that no outcome describes; the row of a user may be quoted there."""
    told = UnmatchedAnswers(AnswerMask(config, columns), say)
    return lambda connection, status, body: told.note(connection.user, status, body)


class Worker:
    """One worker's whole life, from `ready` to `done`."""

    def __init__(self, config: Config, clock: Clock, say: Say) -> None:
        self._config = config
        self._clock = clock
        self._say = say
        self._origin = Base.parse(config.base_url)
        self._timeout_s = config.longest_s
        tls = TlsClient(self._origin.host, config.tls) if self._origin.is_tls else None
        self._client: Client | SteppedClient
        if config.has_steps:
            self._client = SteppedClient(config, clock, self._look, tls, say)
            self._request: Renders = self._client.issue
        else:
            columns = columns_of(config)
            settings = ClientSettings(
                answers=Answers(config.request),
                timeout_s=self._timeout_s,
                idempotent=config.replay == "idempotent",
                tls=tls,
                on_unmatched=_unmatched(config, columns, say),
            )
            self._client = Client(settings, clock, self._look)
            self._request = _renderer(config, columns)
        self._alarm = alarm(self._rang, clock)
        self._alarm_ns = 0  # when it rings; 0: it is not set
        self._streams: dict[str, OpenLoop | ClosedLoop] = {}
        self._t0_ns = 0
        self._next_ns: float = inf  # when it is looked again what is due
        self._wait_ns = 0
        self._announced = {"scheduled": False, "idle": False}
        self._loop_lag_ns = 0
        self._pulse = SelfMetrics(clock)
        self._tasks: list[asyncio.Task[None]] = []
        self.finished = asyncio.Event()
        self.problem: BaseException | None = None

    async def prepare(self) -> None:
        """Look the address up and say `ready`.

        Raises UnknownError when there is none, UsageError for one that may not be used, or a
        certificate nobody believes.
        """
        await self._client.resolve(self._origin, Allowed.of(self._config.reach))
        if self._client.tls is not None:
            host, port = self._client.addresses[0].at[:2]
            await self._client.tls.check(host, port)
        self._say(READY)

    def obey(self, order: messages.Order) -> None:
        """Do what somebody orders. Raises UsageError."""
        match order:
            case messages.StartTraffic(t0_ns):
                self._start(t0_ns)
            case messages.SwitchOn(scenario, at_ns):
                self._on(scenario, at_ns)
            case messages.SwitchOff(name):
                self._off(name)
            case messages.StopTraffic(grace_s):
                self.stop(grace_s)

    def _start(self, t0_ns: int) -> None:
        if self._t0_ns:
            raise UsageError("the traffic was started before")
        self._t0_ns = t0_ns
        now_ns = self._clock.now_ns()
        self._pulse.stood_still(now_ns, now_ns - t0_ns)  # an order heard late
        for name, scenario in self._config.scenarios.items():
            self._add(name, scenario)
        self._spawn(self._keep_house())
        self._tick()

    def _on(self, spike: messages.ExtraScenario, at_ns: int) -> None:
        if not self._t0_ns:
            raise UsageError("the traffic was not started yet")
        self._add(spike.name, spike.scenario(at_ns - self._t0_ns))
        self._tick()

    def _add(self, name: str, scenario: Scenario) -> None:
        if name in self._streams:
            raise UsageError(f"there is a scenario {name!r} already")
        self._streams[name] = self._stream(name, scenario)
        self._announced = {"scheduled": False, "idle": False}
        self._set_limits()

    def _stream(self, name: str, scenario: Scenario) -> OpenLoop | ClosedLoop:
        """A scenario with its file begun, by its executor."""
        if isinstance(self._client, SteppedClient):
            steps = self._client.names
            recorder: Recorder = StepRecorder(self._config, name, scenario, self._request, steps)
        else:
            recorder = Recorder(self._config, name, scenario, self._request)
        recorder.open(self._t0_ns)
        if isinstance(scenario, VirtualUsers):
            return ClosedLoop(recorder, scenario, self._client, self._hurry)
        return OpenLoop(recorder, self._client, self._pool(scenario))

    def _pool(self, scenario: Scenario) -> Pool | None:
        """A worker's share of the virtual users that limit a scenario of a set rate."""
        limit = scenario.limit
        if limit is None:
            return None
        stripe = self._config.worker, self._config.workers
        mine = VuLimit(share_of(limit.first, *stripe), share_of(limit.most, *stripe))
        return Pool(mine, scenario.sleep_ns)

    def _off(self, name: str) -> None:
        if name not in self._streams:
            raise UsageError(f"there is no scenario {name!r}")
        self._streams[name].end()

    def _set_limits(self) -> None:
        """Set the most open requests, and the longest wait of a due start for a free place.

        Open requests: 1.1 × rate × timeout and 10,000, of which this worker has its share.
        """
        now_ns = self._clock.now_ns()
        rate = sum(one.rate(now_ns) for one in self._streams.values())
        self._wait_ns = min(round((rate / 1000) ** 2 * WAIT_NS_AT_1000), LONGEST_WAIT_NS)
        wanted = [one.most_open(now_ns, self._timeout_s) for one in self._streams.values()]
        self._client.most_open = min(ceil(sum(wanted)) + 1, MOST_OPEN // self._config.workers)

    def _tick(self) -> None:
        """Send whatever is due, and set the alarm for what comes next."""
        if self.finished.is_set():
            return
        now_ns = self._clock.now_ns()
        next_ns = inf
        for stream in self._streams.values():
            due_ns = stream.dispatch(now_ns)
            if due_ns is not None and due_ns < next_ns:
                next_ns = due_ns
        self._next_ns = max(next_ns, now_ns + self._wait_ns)
        self._set_alarm()

    def _set_alarm(self) -> None:
        # To be woken too early costs less than to set it.
        if self._next_ns < inf and not 0 < self._alarm_ns <= self._next_ns:
            self._alarm_ns = int(self._next_ns)
            self._alarm.set(self._alarm_ns)

    def _rang(self) -> None:
        self._alarm_ns = 0
        self._look()
        self._set_alarm()

    def _look(self) -> None:
        """Send if it is time to: when the alarm rang, and between answers, which take a while."""
        if self._clock.now_ns() >= self._next_ns:
            self._tick()

    def _hurry(self) -> None:
        """Something is due at once that was not when the alarm was set."""
        if self._next_ns > 0:
            self._next_ns = 0
            asyncio.get_running_loop().call_soon(self._tick)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self.watch)
        self._tasks.append(task)

    def watch(self, task: asyncio.Task[None]) -> None:
        """End when a task of ours failed: a done callback."""
        if not task.cancelled() and task.exception() is not None:
            self.problem = task.exception()
            self.finished.set()

    def crash(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End with a problem that no one caught: an event loop's exception handler."""
        loop.default_exception_handler(context)
        self.problem = context.get("exception") or RuntimeError(context["message"])
        self.finished.set()

    async def _keep_house(self) -> None:
        """Write records, close idle connections, follow the limit; say how things are."""
        next_beat_ns = self._clock.now_ns() + NS
        self._beat(self._clock.now_ns(), "vitals")
        now_ns = self._clock.now_ns()
        while True:
            before_ns = now_ns  # what follows the sleep holds the loop up as well
            await self._clock.sleep(FLUSH_S)
            now_ns = self._clock.now_ns()
            late_ns = now_ns - before_ns - round(FLUSH_S * NS)
            self._loop_lag_ns = max(self._loop_lag_ns, late_ns)
            self._pulse.stood_still(now_ns, late_ns)
            for stream in self._streams.values():
                stream.recorder.flush()
            self._client.close_idle()
            self._set_limits()
            for stream in self._streams.values():
                stream.interrupt_overdue(now_ns)
            self._announce()
            if now_ns >= next_beat_ns:
                next_beat_ns += NS
                self._beat(now_ns)

    def _beat(self, now_ns: int, event: Literal["beat", "vitals"] = "beat") -> None:
        """Say how things are: each second, and as `vitals` before the first and after the last."""
        sample = replace(
            self._pulse.sample(self._t0_ns, now_ns),
            worker=self._config.worker,
            who=f"worker-{self._config.worker}",
            open=len(self._client.open),
            loop_lag_ms=round(self._loop_lag_ns / 1e6, 3),
        )
        self._say(messages.event_line(sample, event))
        self._loop_lag_ns = 0

    def _announce(self) -> None:
        """Say once that all is dispatched, and once that then nothing is open any more."""
        t_s = since_s(self._t0_ns, self._clock.now_ns())
        ended = all(stream.ended for stream in self._streams.values())
        for event, reached in (
            (messages.Reached("scheduled", t_s), ended),
            (messages.Reached("idle", t_s), not self._client.busy),
        ):
            if not reached:
                return
            if not self._announced[event.event]:
                self._announced[event.event] = True
                self._say(messages.event_line(event))

    def stop(self, grace_s: float) -> None:
        """messages.Start nothing more; open requests get `grace_s`, then they are interrupted."""
        for stream in self._streams.values():
            stream.end()
        self._spawn(self._finish(grace_s))

    async def _finish(self, grace_s: float) -> None:
        until_ns = self._clock.now_ns() + round(grace_s * NS)
        while self._client.busy and self._clock.now_ns() < until_ns:
            await self._clock.sleep(0.01)
        if self.finished.is_set():  # an earlier stop, with a shorter grace, has done all this
            return
        self.finished.set()
        self._client.close()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._alarm.close()
        self._beat(self._clock.now_ns(), "vitals")
        self._pulse.close()
        never = {stream.name: stream.never_started() for stream in self._streams.values()}
        for stream in self._streams.values():
            stream.recorder.close()
        self._say(messages.event_line(messages.Reached("done", never_started=never)))
