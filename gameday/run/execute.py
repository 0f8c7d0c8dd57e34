"""The part of a run between the first request and the last: faults, steps, guards.

Everything here runs as tasks beside one another, and ends in one of two ways: the traffic is
over and every fault proven out, or something aborted the run.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from gameday.core.clock import NS
from gameday.core.processes.deadlines import cancelled
from gameday.evidence.events import Phase
from gameday.injection.drivers.driver import Driver
from gameday.run import canary, guards
from gameday.run.child_config import follow_replicas
from gameday.run.context import Run, done_or_aborted
from gameday.run.fault_task import FaultTask
from gameday.run.teardown import OPEN_GRACE_S, traffic_over
from gameday.traffic.forecast import longest_start_s

# For a worker to tell of its last answer, on a machine that is too busy to be judged.
MARGIN_S = 30.0
LEAVING_S = 150.0  # for faults to come out, each by every step that its removal has


async def work(run: Run) -> None:
    """Run the method to its end, or to the abort; every fault is out when this returns."""
    watching = [
        guards.guards(run),
        guards.children(run),
        guards.parts(run),
        follow_replicas(run),
    ]
    if run.system.start is not None:  # else no path is declared that says whether it is healthy
        watching.append(canary.probe_health(run))
    if run.autoscaler is not None:
        watching.append(run.autoscaler.follow())
    watching += run.incident.tasks()
    if run.drill is not None:
        watching += run.drill.tasks(run)
    watchers = [asyncio.create_task(one) for one in watching]
    for watcher in watchers:
        watcher.add_done_callback(lambda task: _abort_if_failed(run, task))
    dismissing = asyncio.create_task(_dismiss_on_abort(run, watchers))
    try:
        await _until_abort(run, _method(run))
        if not run.abort.event.is_set():
            await _until_abort(run, _traffic_over(run))
    finally:
        await cancelled(dismissing, *watchers)
    for watcher in watchers:
        if watcher.done() and not watcher.cancelled() and (error := watcher.exception()):
            raise error


async def _dismiss_on_abort(run: Run, watchers: "Sequence[asyncio.Task[None]]") -> None:
    """No guard, and above all no further step of the playbook, while faults come out."""
    await run.abort.event.wait()
    for watcher in watchers:
        watcher.cancel()


async def _traffic_over(run: Run) -> None:
    """Wait for the last answer, but not for a worker that never tells of it."""
    end_ns = max(run.at_ns(run.traffic_end_s), run.clock.now_ns())
    limit_s = (
        (end_ns - run.clock.now_ns()) / NS + longest_start_s(run.system, run.experiment) + MARGIN_S
    )
    try:
        async with asyncio.timeout(limit_s):
            await traffic_over(run)
    except TimeoutError:
        run.abort("error", f"the {run.traffic.child.name} did not tell the end of the traffic")


def _abort_if_failed(run: Run, task: "asyncio.Task[None]") -> None:
    """A watcher that breaks must not leave the run unwatched."""
    if not task.cancelled() and task.exception() is not None:
        run.abort("error", repr(task.exception()))


async def _until_abort(run: Run, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`; on an abort stop the traffic, cancel the work and let it undo itself."""
    task = asyncio.create_task(work)
    await done_or_aborted(run.abort, task, _longest_s(run))
    if not task.done() and not run.abort.event.is_set():
        run.abort("error", "its faults and steps were not over long after their time")
    if run.abort.event.is_set():
        run.traffic.stop(OPEN_GRACE_S)
        leaving_s = _leaving_s(run)
        if not await cancelled(task, within_s=leaving_s):
            problem = f"not all faults were out within {leaving_s:g} s"
            run.journal.write(Phase(phase="removing", problem=problem))
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        raise error


def _longest_s(run: Run) -> float:
    """The longest time (s) that the faults of a run may take, their removal included."""
    ends = [(fault.at + fault.duration).total_seconds() for fault in run.experiment.method]
    end_ns = run.at_ns(max([run.traffic_end_s, *ends]))
    steps = run.playbook.steps if run.playbook is not None else ()
    # A step may have been worked, and its action done once more outside of the playbook.
    back_s = 2 * sum(step.block.within.total_seconds() + MARGIN_S for step in steps)
    rest_s = max(0.0, (end_ns - run.clock.now_ns()) / NS)
    return (
        rest_s + longest_start_s(run.system, run.experiment) + back_s + MARGIN_S + _leaving_s(run)
    )


def _leaving_s(run: Run) -> float:
    """The time (s) that the removal of the faults may take."""
    kinds = {change.kind for fault in run.experiment.method for change in fault.changes()}
    each_s = [run.drivers.undo_s(kind) for kind in kinds]
    return LEAVING_S + max((s for s in each_s if s > Driver.undo_s), default=0.0)


async def _method(run: Run) -> None:
    """The faults, and the taking back of steps once the last of them is proven out."""
    if not run.experiment.method:
        return
    await guards.steady_gate(run)
    if run.abort.event.is_set():
        return
    faults = [FaultTask(run, fault) for fault in run.experiment.method]
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            group.create_task(fault.work())
    run.journal.write(Phase(phase="recovering"))
    if run.drill is None:  # in a drill that would tell that the fault is out
        await run.incident.take_back()
