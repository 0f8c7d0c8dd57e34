"""Readiness: which playbooks and steps are proven, and how long ago; which alerts nobody has seen.

A pure fold of the facts of all runs over the playbooks and rules of today. A step `works` when the
last that came of it, within `max_age`, was its state seen after it acted. It has `failed` where the
last was a failure, is `changed` where it was worked only as it was before its text or its block was
altered, `old` where the last good work is older, `unproven` where it was begun and nothing shows
that it did anything (a placebo, not needed, not seen, or the last was interrupted), `never` else.
All but the first are not ready. What was done in a replay or at a tabletop is practice of people,
and no proof of a step.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from gameday.core.clock import NS
from gameday.core.secrets.signing import SigningKey
from gameday.drills.run_facts import (
    REHEARSED,
    LeftOutError,
    Participation,
    RunFacts,
    StepText,
    Work,
    Worker,
    facts,
)
from gameday.spec.playbook import Playbook

State = Literal["works", "failed", "changed", "old", "unproven", "never"]
Whose = Literal["anyone", "person", "bot"]
SCHEMA: Final = 1
_GOOD: Final = "done"
_BAD: Final = "failed"
_CUT: Final = "interrupted"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that does not count, with the class of reasons and the reason."""

    run: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class LastWork:
    """The last time that somebody worked a step. `changed`: the step was another then."""

    at: str
    age_s: int
    run: str
    by: str
    status: str
    changed: bool


@dataclass(frozen=True, slots=True)
class StepReadiness:
    """One step: `age_s` is since it was last seen to work as it stands, None for never."""

    step: int
    text: str
    do: str | None
    state: State
    ready: bool
    age_s: int | None
    person: LastWork | None
    bot: LastWork | None


@dataclass(frozen=True, slots=True)
class PlaybookReadiness:
    """One playbook. `age_s` is that of its oldest step; `problem` why it cannot be used."""

    name: str
    file: str
    ready: bool
    age_s: int | None
    last_used: str | None
    problem: str
    steps: Sequence[StepReadiness]


@dataclass(frozen=True, slots=True)
class AlertReadiness:
    """An alert of the rules, and where it last fired: None where it never did."""

    alert: str
    in_run: str | None
    in_drill: str | None


@dataclass(frozen=True, slots=True)
class PersonReadiness:
    """Runs and drills of one person, the newest first."""

    who: str
    took_part: Sequence["TookPart"]


@dataclass(frozen=True, slots=True)
class TookPart:
    """A run or drill that somebody took part in, in which role, and how many orders came of it."""

    run: str
    at: str
    experiment: str
    mode: str
    role: str
    orders: int


@dataclass(frozen=True, slots=True)
class Readiness:
    """The whole report. Instants are in UTC, ages in seconds; `ready` is the exit code's reason."""

    at: str
    max_age_s: int
    whose: Whose
    ready: bool
    read: int
    counted: int
    left_out: Sequence[LeftOut]
    foreign: Mapping[str, str]
    playbooks: Sequence[PlaybookReadiness]
    alerts: Sequence[AlertReadiness]
    people: Sequence[PersonReadiness]
    schema: int = SCHEMA

    @property
    def never_seen(self) -> Sequence[str]:
        """The alerts that fired in no run and no drill."""
        return [a.alert for a in self.alerts if a.in_run is None and a.in_drill is None]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A playbook of today: the file, and what it holds, or the problem why it cannot be used."""

    name: str
    file: str
    playbook: Playbook | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessQuestion:
    """The question that the runs are asked. `whose` work proves a step."""

    now_ns: int
    max_age_s: int
    whose: Whose = "anyone"
    anonymous: bool = False


@dataclass(slots=True)
class FactsOfRuns:
    """FactsOfRuns of all runs, oldest first, and the runs that have none."""

    runs: list[RunFacts] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def read_all(run_dirs: Iterable[Path], key: SigningKey | None, now_ns: int) -> FactsOfRuns:
    """Read every run directory; none of them can end it."""
    found = FactsOfRuns()
    for run_dir in run_dirs:
        try:
            found.runs.append(facts(run_dir, key, now_ns))
        except LeftOutError as error:
            found.left_out.append(LeftOut(run_dir.name, error.kind, error.message))
    found.runs.sort(key=lambda run: (run.at_ns, run.run))
    return found


def readiness(
    found: FactsOfRuns, shelf: Sequence[Shelf], alerts: Collection[str], question: ReadinessQuestion
) -> Readiness:
    """The report of what the runs prove today."""
    names = _Names(question.anonymous)
    work = sorted((w for run in found.runs for w in run.work), key=lambda w: w.at_ns)
    work = [replace(w, by=names.of(w.by) if w.worker == "person" else w.by) for w in work]
    books = [_playbook(each, found.runs, work, question) for each in shelf]
    return Readiness(
        at=instant(question.now_ns),
        max_age_s=question.max_age_s,
        whose=question.whose,
        ready=all(book.ready for book in books),
        read=len(found.runs) + len(found.left_out),
        counted=len(found.runs),
        left_out=found.left_out,
        foreign={run.run: run.foreign for run in found.runs if run.foreign},
        playbooks=books,
        alerts=[_alert(name, found.runs) for name in sorted(alerts)],
        people=_people(found.runs, names),
    )


def _playbook(
    shelf: Shelf, runs: Sequence[RunFacts], work: Sequence[Work], question: ReadinessQuestion
) -> PlaybookReadiness:
    name = shelf.name if shelf.playbook is None else shelf.playbook.head.name
    of_it = [each for each in work if each.playbook == name]
    used = {each.run for each in of_it}
    attended = {run.run for run in runs if run.playbook == name and run.people}
    last_ns = max((run.at_ns for run in runs if run.run in used | attended), default=None)
    steps = () if shelf.playbook is None else shelf.playbook.steps
    told = [_step(StepText.of(s.number, s.text, s.block), of_it, question) for s in steps]
    ages: list[int | None] = [step.age_s for step in told]
    if not told:  # all of it is for people: it counts by who took part
        at_ns = max((run.at_ns for run in runs if run.run in attended), default=None)
        ages = [None if at_ns is None else _age_s(at_ns, question)]
    known = [age for age in ages if age is not None]
    age_s = max(known) if len(known) == len(ages) else None
    is_fresh = age_s is not None and age_s <= question.max_age_s
    return PlaybookReadiness(
        name=name,
        file=shelf.file,
        ready=not shelf.problem and is_fresh and all(step.ready for step in told),
        age_s=age_s,
        last_used=None if last_ns is None else instant(last_ns),
        problem=shelf.problem,
        steps=told,
    )


def _step(now: StepText, work: Sequence[Work], question: ReadinessQuestion) -> StepReadiness:
    """One step of today by all that was ever done under its number or in its words."""
    same = [w for w in work if is_same(w.step, now)]
    before = [w for w in work if w.step.number == now.number and not is_same(w.step, now)]
    counted = [w for w in same if question.whose in ("anyone", w.worker)]
    good = _last((w for w in counted if w.verified or now.after is None), _GOOD)
    bad = _last(counted, _BAD)
    cut = _last(counted, _CUT)  # it acted, or not: what was so before it is not so any more
    age_s = None if good is None else _age_s(good.at_ns, question)
    state: State
    if bad is not None and (good is None or bad.at_ns > good.at_ns):
        state = "failed"
    elif cut is not None and (good is None or cut.at_ns > good.at_ns):
        state = "unproven"
    elif age_s is not None:
        state = "works" if age_s <= question.max_age_s else "old"
    elif any(w.status != REHEARSED for w in counted):
        state = "unproven"
    else:
        state = "changed" if before and not same else "never"
    every = sorted([*same, *before], key=lambda w: w.at_ns)
    return StepReadiness(
        step=now.number,
        text=now.text,
        do=now.do,
        state=state,
        ready=state == "works",
        age_s=age_s,
        person=_by("person", every, now, question),
        bot=_by("bot", every, now, question),
    )


def is_same(then: StepText, now: StepText) -> bool:
    """True if the step has not been altered since; one that only has another number is the same.

    A journal alone knows no more of a step than its words and its action.
    """
    if then.is_journals:
        return (then.text, then.do) == (now.text, now.do) and then.number == now.number
    return replace(then, number=now.number) == now


def _last(work: Iterable[Work], status: str) -> Work | None:
    return max((w for w in work if w.status == status), key=lambda w: w.at_ns, default=None)


def _by(
    worker: Worker, work: Sequence[Work], now: StepText, question: ReadinessQuestion
) -> LastWork | None:
    """The last work of one kind of worker, of the step as it stands where there is any."""
    mine = [w for w in work if w.worker == worker]
    last = next((w for w in reversed(mine) if is_same(w.step, now)), mine[-1] if mine else None)
    if last is None:
        return None
    return LastWork(
        at=instant(last.at_ns),
        age_s=_age_s(last.at_ns, question),
        run=last.run,
        by=last.by,
        status=last.status,
        changed=not is_same(last.step, now),
    )


def _age_s(at_ns: int, question: ReadinessQuestion) -> int:
    return max(0, (question.now_ns - at_ns) // NS)


def _alert(name: str, runs: Sequence[RunFacts]) -> AlertReadiness:
    seen = [run for run in runs if name in run.alerts]
    last = {run.mode == "run": run.run for run in seen}
    return AlertReadiness(name, in_run=last.get(True), in_drill=last.get(False))


@dataclass(slots=True)
class _Names:
    """Names of people, or numbers in their place, in the order in which they are met."""

    hidden: bool
    known: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        if not self.hidden:
            return name
        return self.known.setdefault(name, f"person {len(self.known) + 1}")


def _people(runs: Sequence[RunFacts], names: _Names) -> list[PersonReadiness]:
    """Everybody by name, or by number; what each took part in, the newest first."""
    found: dict[str, list[Participation]] = {}
    for each in (each for run in runs for each in run.people):
        found.setdefault(names.of(each.who), []).append(each)
    return [
        PersonReadiness(
            who,
            [
                TookPart(p.run, instant(p.at_ns), p.experiment, p.mode, p.role, p.orders)
                for p in reversed(several)
            ],
        )
        for who, several in sorted(found.items())
    ]


def instant(at_ns: int) -> str:
    """An instant as text, in UTC and whole seconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
