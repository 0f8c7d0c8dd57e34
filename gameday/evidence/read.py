"""Reading a run directory, whatever state it was left in.

What is absent, torn or altered is noted, by part, and never taken for what it was: the checks
that need it are unknown, and the result names it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.json import DAMAGED
from gameday.evidence import journal, seal
from gameday.evidence.attempts import Attempts, table
from gameday.evidence.audit import Audit, audit_of
from gameday.evidence.audit_questions import questioned
from gameday.evidence.drill_names import names_of, with_own_names
from gameday.evidence.effective import Effective
from gameday.evidence.journal import Journaled, Record
from gameday.evidence.log_file import log_evidence_of
from gameday.evidence.model import Evidence, Part
from gameday.evidence.number_users import reading_of, readings
from gameday.evidence.outages import anchors
from gameday.evidence.step_evidence import read_logs
from gameday.evidence.timeline import NO_END, Timeline, timeline
from gameday.evidence.users import Users
from gameday.evidence.wrong_answers import CampaignPromise, first_wrong_ns
from gameday.telemetry import samples
from gameday.traffic import history, vitals
from gameday.traffic.rules import MOST_STARTS
from gameday.traffic.step_log import StepLog
from gameday.traffic.user_ids import NUMBERS, UserIds, is_as_ever, names_somebody

T = TypeVar("T")
Problems = dict[Part, str]
ABSENT = "not there"

LONGEST_RUN_NS = 8 * 86_400 * 10**9
"""A day longer than any duration may be."""


def read(run_dir: Path, evaluated: Sequence[samples.Evaluation] | None = None) -> Evidence:
    """Everything a run directory holds. Raises UsageError when it is not one.

    `evaluated` are its evaluations where somebody has read them already: the samples of an hour
    are the largest file there is.
    """
    if not any((run_dir / name).exists() for name in ("journal.jsonl", "inputs", "history")):
        raise UsageError(f"{run_dir} is not a run", help="gameday runs lists them")
    journaled = _journal(run_dir / "journal.jsonl")
    names = names_of(journaled.records)
    journaled = replace(journaled, records=tuple(with_own_names(journaled.records, names)))
    problems: Problems = seal.broken(run_dir, journaled.records)
    effective = read_effective(run_dir, problems)
    if journaled.damage:
        problems["journal"] = journaled.damage
    reaped = _journal(run_dir / "reaper.jsonl")
    if reaped.damage not in ("", ABSENT):
        problems["reaper"] = reaped.damage
    line = _timeline(journaled.records, with_own_names(reaped.records, names), problems)
    histories = _histories(run_dir / "history", problems, names)
    steps = _steps(run_dir / "history", problems, names)
    attempts, audit = _asked_and_stored(run_dir, effective, (histories, steps), problems)
    whole = None if "history" in problems else attempts
    evaluations = _evaluations(run_dir / "samples.jsonl", problems, evaluated)
    line = _cut_by_a_kill(line, histories, evaluations)
    signs = _vitals(run_dir / "vitals.jsonl", problems)
    logs = None
    if effective is not None and effective.experiment.expect.logs:  # else nothing was looked for
        logs = _load(run_dir / "logs.json", log_evidence_of, problems, "logs")
    if audit is not None and line.unsettled:
        audit = replace(audit, problem="; ".join(filter(None, (audit.problem, line.unsettled))))
    if audit is not None and attempts is not None:
        audit = questioned(audit, attempts, None if effective is None else effective.stock)
    return Evidence(
        name=_name(line, effective) or run_dir.name,
        effective=effective,
        journal=journaled.records,
        timeline=line,
        anchors=anchors(effective, line, evaluations, _wrong_coupon(effective, whole, audit)),
        histories=histories,
        attempts=attempts,
        step_logs=tuple(steps),
        evaluations=evaluations,
        audit=audit,
        vitals=signs,
        problems=problems,
        folder=run_dir,
        logs=logs,
    )


def _cut_by_a_kill(
    line: Timeline, histories: Sequence[history.History], evaluations: Sequence[samples.Evaluation]
) -> Timeline:
    """The timeline of a run that was killed: its traffic ended with the last sign of life.

    What was due after that nobody was there to send: it is no lateness of the generator.
    """
    if line.ended_why != NO_END or line.t0_ns is None or line.cut_ns is not None:
        return line
    signs = [line.last_ns or 0, *(each.t_ns for each in evaluations[-1:])]
    signs += [int(each.records["ended_ns"].max()) for each in histories if len(each.records)]
    return replace(line, cut_ns=max(signs))


def _name(line: Timeline, effective: Effective | None) -> str:
    """As its journal calls it, or else what was run; "" where neither says."""
    named = line.started.run if line.started else ""
    return named or (effective.run if effective else "")


def _load(path: Path, parse: Callable[[BinaryIO], T], problems: Problems, part: Part) -> T | None:
    """A file as `parse` makes of it, or None with the problem noted."""
    if part in problems:
        return None
    try:
        with files.open_file(path, seal.LARGEST_BYTES[part]) as file:
            return parse(file)
    except FileNotFoundError:
        problems[part] = ABSENT
    except OSError as error:
        problems[part] = f"cannot be read: {error.strerror}"
    except DAMAGED as error:
        problems[part] = f"cannot be read: {_first_line(error)}"
    return None


def read_effective(run_dir: Path, problems: Problems | None = None) -> Effective | None:
    """`inputs/effective.json`, None where it cannot be read; the reason goes into `problems`."""
    path = run_dir / "inputs" / "effective.json"
    return _load(path, _effective, {} if problems is None else problems, "effective")


def _effective(file: BinaryIO) -> Effective:
    return Effective.model_validate(json.loads(file.read(seal.LARGEST_BYTES["effective"])))


def _timeline(records: Sequence[Record], reaped: Sequence[Record], problems: Problems) -> Timeline:
    """The timeline; an empty one where records are not what they should be."""
    try:
        return timeline(records, reaped)
    except DAMAGED as error:
        problems["journal"] = f"a record cannot be read: {_first_line(error)}"
        return timeline((), ())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _journal(path: Path) -> Journaled:
    try:
        return journal.read(path)
    except FileNotFoundError:
        return Journaled((), ABSENT)


def _histories(
    folder: Path, problems: Problems, names: Mapping[str, str]
) -> tuple[history.History, ...]:
    """The histories as far as they can be read; their scenarios under the names of the file."""
    found = []
    for path in sorted(folder.glob("*.bin")):
        try:
            one = history.read(path)
            planned = one.header.spec.count
            if one.header.spec.is_planned and planned > MOST_STARTS:
                raise ValueError(f"{planned} starts are planned in it, more than {MOST_STARTS}")
            if one.dispatched > planned:
                raise ValueError(f"it tells of {one.dispatched} starts, more than were planned")
            _must_be_of_one_run(one)
            shown = one.header.scenario
            own = replace(one.header, scenario=names.get(shown, shown))
            found.append(replace(one, header=own) if names else one)
        except OSError as error:
            problems.setdefault("history", f"{path.name} cannot be read: {error.strerror}")
        except (*DAMAGED, UsageError) as error:
            problems.setdefault("history", f"{path.name} cannot be read: {_first_line(error)}")
    return tuple(found)


def _must_be_of_one_run(one: history.History) -> None:
    """Raise ValueError for a time that no run can last to: all between is looked at, in windows."""
    times = ("intended_ns", "sent_ns", "first_byte_ns", "ended_ns")
    for name in times if len(one.records) else ():
        column, begun_ns = one.records[name], one.header.t0_ns
        if column.min() < 0 or column.max() > begun_ns + LONGEST_RUN_NS:
            raise ValueError(f"{name!r} of a start is beyond any run")


def _asked_and_stored(
    run_dir: Path,
    effective: Effective | None,
    asked: tuple[tuple[history.History, ...], Sequence[StepLog]],
    problems: Problems,
) -> tuple[Attempts, Audit | None]:
    """The attempts, and the audit in the end, with users by the same index."""
    histories, steps = asked
    choices = _readings(effective, histories)
    users = Users(choices[0])
    attempts = _table(histories, problems, users, steps, effective)
    if effective is not None and not effective.system.issues:  # there is nothing to be read
        return attempts, None

    audit = _load(run_dir / "audit.json", partial(audit_of, users=users), problems, "audit")
    if audit is None or len(choices) == 1:
        return attempts, audit
    chosen = reading_of(attempts, audit, choices)
    if chosen is choices[0]:
        return attempts, audit
    users = Users(chosen)
    return replace(attempts, names=users), audit.with_users(users)


def _readings(
    effective: Effective | None, histories: Sequence[history.History]
) -> Sequence[UserIds]:
    """Ids as the issue request made them; by index where nobody knows the request any more."""
    if effective is None:
        return [NUMBERS]
    system, request = effective.system, effective.system.requests.naming
    has_steps = effective.users is not None or bool(system.requests.before)
    if not has_steps and system.semantics.is_of_before and is_as_ever(request):
        return [NUMBERS]  # a run of a version that knew no other users
    asked = [each.header.users for each in histories] or [effective.experiment.campaign.users]
    if effective.users is not None and effective.users.id is not None:
        return [UserIds(users=max(asked))]  # the audit has the rows that users stand in
    values: dict[str, int | str] = {"coupon": effective.coupon, "run": effective.run}
    if effective.stock is not None:
        values["stock"] = effective.stock
    ids = UserIds.of(request, values, max(asked), effective.seed)
    as_ever = is_as_ever(request) and system.semantics.has_nothing_new
    return readings(ids, as_ever=as_ever and names_somebody(request))


def _steps(folder: Path, problems: Problems, names: Mapping[str, str]) -> Sequence[StepLog]:
    """The step logs; without one the times of its starts are not known."""
    try:
        return read_logs(folder, names)
    except OSError as error:
        problems.setdefault("history", f"a step log cannot be read: {error.strerror}")
    except DAMAGED as error:
        problems.setdefault("history", f"a step log cannot be read: {_first_line(error)}")
    return ()


def _table(
    histories: tuple[history.History, ...],
    problems: Problems,
    users: Users,
    steps: Sequence[StepLog],
    effective: Effective | None,
) -> Attempts:
    requests = None if effective is None else effective.system.requests
    try:
        return table(histories, users, steps, requests)
    except DAMAGED as error:
        problems.setdefault("history", f"cannot be completed: {_first_line(error)}")
        return table(())


def _evaluations(
    path: Path, problems: Problems, evaluated: Sequence[samples.Evaluation] | None
) -> tuple[samples.Evaluation, ...]:
    """The evaluation lines in order; what comes after a damaged line is left out."""
    if not path.exists():
        problems.setdefault("samples", ABSENT)
        return ()
    if evaluated is not None:
        return tuple(evaluated)
    lines = samples.read(path, _noting(problems, "samples"))
    return tuple(line for line in lines if isinstance(line, samples.Evaluation))


def _vitals(path: Path, problems: Problems) -> vitals.Vitals:
    """Vital signs of the workers. A run that kept no such file is not damaged."""
    return vitals.read(path, _noting(problems, "vitals"))


def _noting(problems: Problems, part: Part) -> Callable[[str], None]:
    def note(damage: str) -> None:
        problems.setdefault(part, damage)

    return note


def _wrong_coupon(
    effective: Effective | None, attempts: Attempts | None, audit: Audit | None
) -> int | None:
    if effective is None or effective.stock is None or attempts is None:
        return None
    if not effective.system.issues:
        return None
    semantics = effective.system.semantics
    promise = CampaignPromise(
        semantics.issues_of(effective.stock), semantics, effective.experiment.expect.checks
    )
    return first_wrong_ns(attempts, audit, promise)
