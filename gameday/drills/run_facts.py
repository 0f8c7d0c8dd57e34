"""Facts of one run for readiness: who worked which step of which playbook, and what came of it.

Only what is proven counts. A run without a journal that holds together, without an end, with a file
that is not what it was when the run ended, or with records that somebody has altered is left out by
name, with the reason; so is one that is under way, and a drill whose debrief has not been. A run of
another machine or user counts as it does when it is judged, and is named.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from gameday.core import files
from gameday.core.clock import NS
from gameday.core.errors import GamedayError, UnknownError
from gameday.core.json import DAMAGED
from gameday.core.secrets.signing import SigningKey
from gameday.evidence import events, journal, provenance, seal
from gameday.evidence.drill_events import DETACHED
from gameday.evidence.effective import Effective
from gameday.evidence.journal import Record
from gameday.evidence.model import Part
from gameday.evidence.read import read_effective
from gameday.evidence.sealed_inputs import OFFERED
from gameday.injection.heal import controller_lives
from gameday.spec.playbook import StepBlock, read_markdown
from gameday.telemetry import samples

Worker = Literal["person", "bot"]
Why = Literal["damaged", "half-written", "under way", "sealed", "unsealed", "altered", "refused"]
REHEARSED: Final = "rehearsed"
_FIRING: Final = b'"firing"'
_LONGEST_PLAYBOOK: Final = 1_000_000
_LATEST_NS: Final = 86_400 * NS  # a clock that is wrong by an hour or by its zone is common
_FIRST_YEAR: Final = 2020


class LeftOutError(UnknownError):
    """The run does not count; `kind` is the class of reasons, the message the reason."""

    def __init__(self, kind: Why, why: str) -> None:
        super().__init__(why)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class StepText:
    """Everything of a step that evidence is about: when it changes, what was seen before is old.

    `is_journals`: its words and its action are all that is known of it.
    """

    number: int
    text: str
    do: str | None
    before: str | None = None
    after: str | None = None
    undo: str | None = None
    is_journals: bool = False

    @classmethod
    def of(cls, number: int, text: str, block: StepBlock) -> "StepText":
        return cls(number, text, block.do, block.before, block.after, block.undo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One step as somebody worked it; `step` is what it was then. `at_ns` is of the calendar.

    `verified`: its state was seen after it acted.
    """

    run: str
    at_ns: int
    playbook: str
    step: StepText
    worker: Worker
    by: str
    status: str
    verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Participation:
    """A person in a run or drill: the role, and how many orders came from there."""

    who: str
    run: str
    at_ns: int
    experiment: str
    mode: str
    role: str
    orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Everything that readiness takes from one run. `mode` is run, live, replay or tabletop."""

    run: str
    at_ns: int
    mode: str
    playbook: str
    work: Sequence[Work]
    alerts: frozenset[str]
    people: Sequence[Participation]
    foreign: str = ""


def facts(run_dir: Path, key: SigningKey | None, now_ns: int) -> RunFacts:
    """Read one run. Raises LeftOutError for one that does not count, and nothing else."""
    try:
        return _facts(run_dir, key, now_ns)
    except LeftOutError:
        raise
    except OSError as error:
        raise LeftOutError("damaged", f"cannot be read: {error.strerror}") from error
    except GamedayError as error:
        raise LeftOutError("damaged", error.message) from error
    except DAMAGED as error:
        raise LeftOutError("damaged", f"{type(error).__name__}: {error}"[:200]) from error


def _facts(run_dir: Path, key: SigningKey | None, now_ns: int) -> RunFacts:
    records = _intact(run_dir)
    foreign = _signer(run_dir, key)
    started = journal.first(records, events.RunStarted)
    drill = journal.first(records, events.DrillStarted)
    effective = read_effective(run_dir)
    if started is None or (effective is None and drill is None):
        raise LeftOutError("damaged", "nothing says what was run")
    run = run_dir.name
    begun_ns = _begun_ns(started.event, run, now_ns)
    if max(record.t_ns for record in records) - started.t_ns > now_ns + _LATEST_NS - begun_ns:
        raise LeftOutError("damaged", "a record of it is dated in the future")
    reading = _Reading(run, begun_ns - started.t_ns, drill.event.mode if drill else "run")
    return RunFacts(
        run=run,
        at_ns=begun_ns,
        mode=reading.mode,
        playbook=_name_of_playbook(effective),
        work=tuple(reading.work(records, _then(run_dir, effective))),
        alerts=_alerts(run_dir / "samples.jsonl"),
        people=tuple(reading.people(records, started.event.experiment)),
        foreign=foreign,
    )


def _intact(run_dir: Path) -> Sequence[Record]:
    """The records of a run whose evidence is whole. Raises LeftOutError for any other."""
    read = journal.read(run_dir / "journal.jsonl")
    ended = journal.first(read.records, events.RunEnded)
    if read.damage:
        raise LeftOutError("damaged", f"its journal: {read.damage}")
    if ended is None and controller_lives(read.records):
        raise LeftOutError("under way", "it has not ended")
    if ended is None:
        raise LeftOutError("half-written", "its journal has no end")
    if journal.first(read.records, events.RunRefused) is not None:
        raise LeftOutError("refused", "it was refused before anything was done")
    if _is_sealed(read.records):
        raise LeftOutError("sealed", "a drill without its debrief")
    if ended.event.evidence is None:
        raise LeftOutError("unsealed", "nothing says what its evidence was when it ended")
    broken: Mapping[Part, str] = seal.broken(run_dir, read.records)
    if broken:
        raise LeftOutError("altered", "; ".join(broken.values()))
    return read.records


def _is_sealed(records: Sequence[Record]) -> bool:
    """True for a drill of which only its facilitator can read what was true."""
    drill = journal.first(records, events.DrillStarted)
    debriefed = journal.first(records, events.DrillDebriefed)
    return drill is not None and debriefed is None


def _signer(run_dir: Path, key: SigningKey | None) -> str:
    """The signer of records that are not ours, "" for our own. Raises LeftOutError."""
    read = provenance.read_journal(run_dir, key)
    if read.altered:
        raise LeftOutError("altered", "records that our own key did not sign as they stand there")
    if not read.foreign:
        return ""
    return f"signed with the key {read.other_key}" if read.other_key else "not signed"


def _begun_ns(started: events.RunStarted, run: str, now_ns: int) -> int:
    """When it began, by the calendar. Raises LeftOutError where nobody can tell."""
    at_ns = started.wall_ns if started.wall_ns is not None else _stamp_ns(run)
    if at_ns is None or at_ns < _year_ns(_FIRST_YEAR):
        raise LeftOutError("damaged", "nothing says when it was")
    if at_ns > now_ns + _LATEST_NS:
        raise LeftOutError("damaged", "it is dated in the future")
    return at_ns


def _stamp_ns(run: str) -> int | None:
    """The instant in the name of a run, None where there is none."""
    try:
        stamp = datetime.strptime(f"{run.partition('-')[0]}+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        return None
    return round(stamp.timestamp()) * NS


def _year_ns(year: int) -> int:
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * NS


def _name_of_playbook(effective: Effective | None) -> str:
    book = None if effective is None else effective.playbook
    return "" if book is None else book.head.name


def _then(run_dir: Path, effective: Effective | None) -> Mapping[tuple[str, int], StepText]:
    """The steps as they were, by playbook and number: the run's own, and others it offered."""
    found: dict[tuple[str, int], StepText] = {}
    for path in sorted((run_dir / OFFERED).glob("*.md")):
        try:
            text = files.read_bytes(path, _LONGEST_PLAYBOOK).decode()
            book, _, _ = read_markdown(text, path.name)
        except (OSError, ValueError, GamedayError):
            continue  # its steps are known from the journal alone
        for step in book.steps:
            of = StepText.of(step.number, step.text, step.block)
            found[book.head.name, step.number] = of
    for planned in effective.steps if effective is not None else ():
        of = StepText.of(planned.number, planned.text, planned.block)
        found[_name_of_playbook(effective), planned.number] = of
    return found


def _alerts(path: Path) -> frozenset[str]:
    """The alerts that fired in it; none where there are no samples.

    The file is whole, so only the lines that tell of a firing alert are taken apart.
    """
    if not path.exists():
        return frozenset()
    with files.open_file(path, samples.LARGEST_BYTES) as file:
        lines = (line for _, line in files.lines(file, samples.LONGEST_LINE) if _FIRING in line)
        found = (samples.evaluation_of(line) for line in lines)
        return frozenset(
            a.name for each in found if each for a in each.alerts if a.state == "firing"
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A walk through the records of one run; `offset_ns` makes its clock that of the calendar."""

    run: str
    offset_ns: int
    mode: str

    def work(
        self, records: Sequence[Record], then: Mapping[tuple[str, int], StepText]
    ) -> Iterator[Work]:
        """Every step that was begun and came to an end, in their order; undos are none."""
        names = {name for name, _ in then}
        only = next(iter(names)) if len(names) == 1 else ""
        begun: dict[tuple[str, int], tuple[events.StepStarted, str]] = {}
        orders: list[events.OrderGiven] = []
        for record in records:
            event = record.event
            if isinstance(event, events.OrderGiven) and event.order == "act" and not event.undo:
                orders.append(event)
            elif isinstance(event, events.StepStarted) and not event.undoing:
                begun[event.playbook or "", event.step] = event, _through(event, orders)
            elif isinstance(event, events.StepDone) and not event.undoing:
                started, through = begun.pop((event.playbook or "", event.step), (None, ""))
                if started is None:
                    continue  # nobody saw it begin
                of = started.playbook or only
                journals = StepText(event.step, started.text, started.do, is_journals=True)
                step = then.get((of, event.step), journals)
                yield Work(
                    run=self.run,
                    at_ns=record.t_ns + self.offset_ns,
                    playbook=of,
                    step=step,
                    worker="person" if through == "person" else "bot",
                    by=started.by or "somebody",
                    status=REHEARSED if self.mode in DETACHED else event.status,
                    verified=event.verified is True,
                )

    def people(self, records: Sequence[Record], experiment: str) -> Iterator[Participation]:
        """Everybody who joined or gave an order from a terminal or the console."""
        planned = journal.first(records, events.DrillPlanned)
        roles = {
            each.event.by: each.event.role for each in journal.every(records, events.DrillJoined)
        }
        given = [each.event for each in journal.every(records, events.OrderGiven)]
        orders = Counter(each.by for each in given if each.through == "person" and each.by)
        first = journal.first(records, events.RunStarted)
        for who in dict.fromkeys([*roles, *orders]):
            yield Participation(
                who=who or "somebody",
                run=self.run,
                at_ns=(first.t_ns if first else 0) + self.offset_ns,
                experiment=planned.event.experiment if planned else experiment,
                mode=self.mode,
                role=roles.get(who, ""),
                orders=orders[who],
            )


def _through(started: events.StepStarted, orders: Sequence[events.OrderGiven]) -> str:
    """The way that the order for a step came; "" where nobody ordered it, as with the bot."""
    what = started.playbook, started.step, started.by
    found = (o.through for o in reversed(orders) if (o.playbook, o.step, o.by) == what)
    return next(found, None) or ""
