"""Teardown of a run: in this order, and within bounded time.

Faults proven out, steps taken back, traffic ended, every request answered or timed out, the
campaign closed, the system drained, the stores audited. On an abort traffic stops and faults
come out at the same moment; what is not reached in its time is unknown, never assumed.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any

from gameday.core.clock import NS
from gameday.core.errors import GamedayError, UnknownError
from gameday.core.processes.background import run_in_thread
from gameday.core.processes.deadlines import first_set, in_time
from gameday.core.secrets.redaction import nothing
from gameday.evidence.events import AuditRead, Phase
from gameday.evidence.rows import Rows
from gameday.plan.audit_pages import PAGES_S
from gameday.plan.stores import STORE_S
from gameday.run import audit, standstill
from gameday.run.audit_file import AuditReading
from gameday.run.context import Run, to_the_end, unless_aborted
from gameday.run.hidden_ids import HiddenIds, nothing_hidden
from gameday.spec.audit import Audit, AuditRequest, AuditStore
from gameday.spec.users import id_column
from gameday.spec.users_hidden import cells_of
from gameday.stacks.supervisor import SERVICE
from gameday.telemetry.catalogue import key
from gameday.traffic.listed_ids import ListedIds, around, column_of_all
from gameday.traffic.user_ids import FOREIGN, UserIds

OPEN_GRACE_S = 2.0  # on an abort; what is not answered by then is unknown, and somebody waits
ABORT_STEP_S = 5.0  # on an abort each part of the ending has 5 s; somebody waits
ABORT_CLOSE_S = 2.0  # one request, which a healthy system answers in milliseconds
SETTLED_S = 0.2  # so that a settle of just 5 s is over within them
SLACK_S = 5.0  # beyond what the system file allows, for a busy machine
STEPS_S = 30.0  # to take back what the faults left no time for; a step has 10 s if it says nothing
STORES_S = 30.0  # two stores, which are read up to three times
CHILD_S = 5.0  # a child closes its files and ends
SCALE_S = 90.0  # the compose program, and the health of those that stay
WRITE_S = 60.0  # 20 M rows are some 1 GB


async def traffic_over(run: Run) -> None:
    """Every start was made and every request answered, timed out or given up."""
    await run.traffic.scheduled.wait()
    await run.traffic.idle.wait()


async def end(run: Run) -> None:
    """Everything after the faults are out. Bounded, and each part goes on when one fails."""
    aborted = run.abort.event.is_set()
    run.journal.write(Phase(phase="ending", aborted=aborted))
    run.incident.close()
    if run.incident.may_have_worked:
        hurried_s = _hurried_s(run)
        taken_back = run.incident.take_back(hurried_s if aborted else None)
        await _bounded(run, "steps", taken_back, STEPS_S, hurried_s)
    await _stop_traffic(run, aborted=aborted)
    hidden = await _hidden_ids(run) if run.t0_ns else None
    problem = ""
    if run.t0_ns or run.campaign_made:
        limit_s = _close_limit_s(run)
        problem = await _bounded(run, "close", _close(run), limit_s, ABORT_CLOSE_S)
    if run.t0_ns and run.system.audit is not None:  # else there is nothing to wait for
        await _bounded(run, "drain", _drain(run), _drain_limit_s(run))
        open_ = await _left_open(run)
        limit_s = _audit_limit_s(run.system.audit)
        if open_:
            hold_s = standstill.hold_s(run.system)
            limit_s += standstill.LONGEST_S + 2 * (hold_s + limit_s)
        problem = await _bounded(run, "audit", _audit(run, open_, hidden), limit_s) or problem
    if problem:  # a close or an audit that is not answered as expected ends the run
        run.abort("unhealthy", problem)
    if run.autoscaler is not None:
        taken_back = run.autoscaler.take_back()
        await _bounded(run, "autoscaler", taken_back, SCALE_S, _hurried_s(run))
    await run.collector.finish(CHILD_S, run.clock)


async def _bounded(
    run: Run,
    phase: str,
    work: Coroutine[Any, Any, None],
    calm_s: float,
    hurried_s: float = ABORT_STEP_S,
) -> str:
    """Do `work` within `calm_s`, or `hurried_s` from an abort on; what went wrong, or "".

    Without an abort it never has less time than with one.
    """
    calm_s = max(calm_s, hurried_s)
    limit_s = hurried_s if run.abort.event.is_set() else calm_s
    run.journal.write(Phase(phase=phase, at_most_s=limit_s))
    limits = {"within_s": calm_s, "grace_s": hurried_s + SETTLED_S}
    try:
        if await unless_aborted(run.abort, work, **limits) is None:
            run.journal.write(Phase(phase=phase, problem=f"not reached within {limit_s:g} s"))
    except (GamedayError, OSError) as error:
        run.journal.write(Phase(phase=phase, problem=str(error)))
        return str(error)
    return ""


def _hurried_s(run: Run) -> float:
    """The time to take back what was done to the stack, from an abort on."""
    return SCALE_S if run.scales_kept else ABORT_STEP_S


def _close_limit_s(run: Run) -> float:
    close = run.system.close
    return SLACK_S + (close.timeout if close is not None else timedelta(0)).total_seconds()


def _drain_limit_s(run: Run) -> float:
    drain = run.system.drain
    return SLACK_S + (drain.within if drain is not None else run.system.settle).total_seconds()


def _audit_limit_s(audit: Audit) -> float:
    """The system's answer, and then the stores, which are read up to three times.

    What comes in parts is read until two readings agree.
    """
    if isinstance(audit, AuditStore):
        return 2 * STORE_S + STORES_S
    whole_s = audit.timeout.total_seconds()
    paged = isinstance(audit, AuditRequest) and audit.paging is not None
    return (2 * max(PAGES_S, whole_s) if paged else whole_s) + STORES_S


async def _stop_traffic(run: Run, *, aborted: bool) -> None:
    """Aborted: open requests get 2 s. Otherwise the worker is idle already."""
    if not run.t0_ns:
        await run.traffic.child.finish(CHILD_S, run.clock)
        return
    run.traffic.stop(OPEN_GRACE_S if aborted else 0.0)
    done, gone = run.traffic.done, run.traffic.child.gone
    if not await first_set(done, gone, within_s=OPEN_GRACE_S + CHILD_S):
        run.journal.write(Phase(phase="traffic", problem="the worker did not end by itself"))
    await run.traffic.child.finish(CHILD_S, run.clock)


async def _close(run: Run) -> None:
    """Close the campaign: no issue can happen after this answered."""
    if run.system.close is not None:
        await run.sender.send(run.system.close)


async def _drain(run: Run) -> None:
    """Wait until nothing is under way any more."""
    drain = run.system.drain
    if drain is None:
        await run.clock.sleep(run.system.settle.total_seconds())
        return
    within_s = drain.within.total_seconds()
    quiet_since = 0
    begun_ns = after_ns = run.clock.now_ns()
    deadline = after_ns + int(within_s * NS)
    while (left_s := (deadline - run.clock.now_ns()) / NS) > 0:
        seen = await run.readings.until(
            lambda e: e.sampled_ns > begun_ns, after_ns=after_ns, within_s=left_s
        )
        if seen is None:
            break
        if SERVICE in run.ended_parts():
            run.journal.write(Phase(phase="drain", problem="the service has ended"))
            return
        after_ns = seen.t_ns
        if seen.readings.get(key("drain")) is not True:
            quiet_since = 0
            continue
        quiet_since = quiet_since or seen.t_ns
        if seen.t_ns - quiet_since >= drain.for_.total_seconds() * NS:
            return
    run.journal.write(Phase(phase="drain", problem=f"not drained within {within_s:g} s"))


def _ids(run: Run) -> UserIds | ListedIds:
    """How the audit calls the users: as a column of their file does, or by the request's form."""
    issue, named = run.system.requests.issue, run.system.users
    if named is not None and run.users is not None:
        column = id_column(named, issue, run.users.columns)
        if column is not None:
            also = [run.users.columns[name] for name in named.also]
            return ListedIds(run.users.columns[column], around(issue, column), also)
    users = run.experiment.campaign.users
    return UserIds.of(
        run.system.requests.naming, run.sender.values, users, run.experiment.seed or 0
    )


def _other_column(run: Run, ids: UserIds | ListedIds, rows: Rows) -> str | None:
    """The column of the users file that all rows name users by, where it is not the one meant."""
    users = [users for users, _ in rows.pieces]
    if run.users is None:
        return None
    for each in users:
        found = ids.read(each)
        if ((found != FOREIGN) & (found < ids.users)).any():
            return None
    return column_of_all(users, run.users.columns)


def _ask_about_column(run: Run, found: Sequence[str | None]) -> None:
    """Say which column the audit means. It is not taken: a key may look like somebody's id."""
    if found and (column := found[-1]) is not None:
        problem = f"no row names a user as was meant, and all stand in the column {column!r}"
        cure = f"are users called by it? users: {{id: {column}}}"
        run.journal.write(Phase(phase="audit", problem=problem, cure=cure))


async def _left_open(run: Run) -> int:
    """The number of requests that may still be at work, where the system does not say so."""
    if run.system.drain is not None:
        return 0
    try:
        now_ns = run.clock.now_ns()
        return await asyncio.to_thread(standstill.left_open, run.history_dir, now_ns)
    except (GamedayError, OSError, ValueError):  # a history that cannot be read is told elsewhere
        return 0


async def _hidden_ids(run: Run) -> HiddenIds | None:
    """Hide ids of issues that hold what a file of users has, in the histories before all else.

    None where there is no such file.
    """
    if run.users is None or run.system.users is None:
        return None
    hidden = HiddenIds(cells_of(run.system.users, run.users))
    work = asyncio.to_thread(hidden.hide_in, run.history_dir)
    await _bounded(run, "history", work, WRITE_S, WRITE_S)
    return hidden


async def _audit(run: Run, open_: int = 0, hidden: HiddenIds | None = None) -> None:
    """Beside the loop, as everything that takes longer the more was issued.

    With requests that may still be at work it is read until its rows have stood still.
    """
    if hidden is not None and not hidden.done:  # some ids would be compared with others' marks
        raise UnknownError("ids in the histories could not be hidden, so the audit is not read")
    hide = nothing if run.users is None else run.journal.hide
    ids = await asyncio.to_thread(_ids, run)
    other: list[str | None] = []

    async def read() -> AuditReading:
        return await run_in_thread(
            lambda: audit.read(
                *(run.system, run.sender, run.coupon, run.stock, run.clock),
                ids=ids,
                secrets=run.secrets,
                hide=hide,
                hide_ids=nothing_hidden if hidden is None else hidden,
                look=lambda rows: other.append(_other_column(run, ids, rows)),
            )
        )

    async def rest(seconds: float) -> bool:
        return await first_set(run.abort.event, within_s=seconds)

    found, why = await read(), ""
    if open_:
        still_s = standstill.hold_s(run.system)
        found, why = await standstill.stood_still(
            found, read, rest, run.clock, ids=ids, still_s=still_s
        )
    _ask_about_column(run, other)
    if why:
        why = f"{open_} requests were left without an answer and may still be at work: {why}"
        run.journal.write(Phase(phase="drain", problem=why))
    writing = asyncio.to_thread(found.write, run.dir / "audit.json")
    await to_the_end(in_time(writing, WRITE_S))
    answered = found.sources.get("audit")
    if answered is not None and answered.problem:
        run.journal.write(Phase(phase="audit", problem=answered.problem))
    run.journal.write(AuditRead(rows=len(found.rows), cut=found.cut, problem=found.problem))
    alone = isinstance(run.system.audit, AuditStore) and found.rows_from != "audit"
    if found.problem and found.answer is None and not alone:
        raise UnknownError(found.problem)
