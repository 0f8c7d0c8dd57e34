"""The part of a run between the first request and the last: faults, steps, guards.

Everything here runs as tasks beside one another, and ends in one of two ways: the traffic is
over and every fault proven out, or something aborted the run.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from gameday.clock import NS
from gameday.controller import canary, crossed, watch
from gameday.controller.ending import OPEN_GRACE_S, traffic_over
from gameday.controller.faults import FaultTask
from gameday.controller.run import Run

MARGIN_S = 30.0


async def work(run: Run) -> None:
    """Run the method to its end, or to the abort; every fault is out when this returns."""
    watching = [watch.guards(run), watch.children(run), watch.parts(run), canary.sing(run)]
    watching.append(crossed.thresholds(run))
    if run.bot is not None:
        watching.append(run.bot.respond())
    watchers = [asyncio.create_task(one) for one in watching]
    for watcher in watchers:
        watcher.add_done_callback(lambda task: _abort_if_failed(run, task))
    dismissing = asyncio.create_task(_dismiss_on_abort(run, watchers))
    try:
        await _until_abort(run, _method(run))
        if not run.abort.event.is_set():
            await _until_abort(run, _traffic_over(run))
    finally:
        for task in (dismissing, *watchers):
            task.cancel()
        await asyncio.gather(dismissing, return_exceptions=True)
        ended = await asyncio.gather(*watchers, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


async def _dismiss_on_abort(run: Run, watchers: "Sequence[asyncio.Task[None]]") -> None:
    """No guard, and above all no further step of the playbook, while faults come out."""
    await run.abort.event.wait()
    for watcher in watchers:
        watcher.cancel()


async def _traffic_over(run: Run) -> None:
    """Wait for the last answer, but not for a worker that never tells of it."""
    end_ns = max(run.at_ns(run.traffic_end_s), run.clock.now_ns())
    limit_s = (end_ns - run.clock.now_ns()) / NS + _longest_start_s(run) + MARGIN_S
    try:
        async with asyncio.timeout(limit_s):
            await traffic_over(run)
    except TimeoutError:
        run.abort("error", f"the {run.traffic.child.name} did not tell the end of the traffic")


def _longest_start_s(run: Run) -> float:
    """The longest that a start can stay open, with all that it asks again."""
    timeout_s = run.system.requests.issue.timeout.total_seconds()
    waits = [
        each.retries.at_most * (timeout_s + each.retries.backoff.total_seconds())
        for each in run.experiment.traffic.values()
        if each.retries is not None
    ]
    return timeout_s + max(waits, default=0.0)


def _abort_if_failed(run: Run, task: "asyncio.Task[None]") -> None:
    """A watcher that breaks must not leave the run unwatched."""
    if not task.cancelled() and task.exception() is not None:
        run.abort("error", repr(task.exception()))


async def _until_abort(run: Run, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`; on an abort stop the traffic, cancel the work and let it undo itself."""
    task = asyncio.ensure_future(work)
    aborted = asyncio.ensure_future(run.abort.event.wait())
    await asyncio.wait({task, aborted}, return_when=asyncio.FIRST_COMPLETED)
    if run.abort.event.is_set():
        run.traffic.stop(OPEN_GRACE_S)
        task.cancel()
    aborted.cancel()
    await asyncio.gather(task, aborted, return_exceptions=True)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def _method(run: Run) -> None:
    """The faults, and the taking back of steps once the last of them is proven out."""
    if not run.experiment.method:
        return
    await watch.steady_gate(run)
    if run.abort.event.is_set():
        return
    faults = [FaultTask(run, fault) for fault in run.experiment.method]
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            group.create_task(fault.work())
    run.journal.write("phase", phase="recovering")
    if run.bot is not None:
        await run.bot.take_back()
