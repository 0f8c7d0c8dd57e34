"""Runs of before, as a comparison, a trend and a site read them: tolerant, and bounded.

Of a run directory only small files are read: the result, the journal, and `effective.json`. One
that was never judged, is damaged, or is a drill whose debrief has not been, is left out by name,
with the reason; none of them can end the reading of the others.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.errors import GamedayError, UnknownError
from gameday.core.json import DAMAGED
from gameday.evidence import journal
from gameday.evidence.drill_events import DrillDebriefed, DrillStarted
from gameday.evidence.effective import Effective, dump
from gameday.evidence.events import RunStarted
from gameday.evidence.read import read_effective
from gameday.judge.comparison import MOST_REPEATS
from gameday.judge.result import Result

LARGEST_RESULT: Final = 64 * files.MIB
SHOWN: Final = 12  # letters of a SHA-256: enough to tell files apart, and short enough to read
UNKNOWN: Final = "–"
INPUTS: Final = (
    "gameday",
    "stack",
    "seed",
    "stock",
    "short",
    "responder",
    "experiment",
    "system",
    "playbook",
    "rules",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run that was judged; `inputs` are what it was made of, by the names of `INPUTS`.

    Files stand there by the beginning of their SHA-256. `mode` is "run", or that of a drill.
    """

    dir: Path
    result: Result
    inputs: dict[str, str]
    mode: str = "run"
    signed_by: str = ""

    @property
    def name(self) -> str:
        return self.dir.name

    @property
    def experiment(self) -> str:
        return self.result.experiment

    @property
    def is_whole(self) -> bool:
        """True if it went through, so that its figures tell of the experiment."""
        return self.result.ended == "completed"


@dataclass(slots=True)
class PastRuns:
    """Runs in the order in which they began, and the reasons why others are left out, by name."""

    runs: list[PastRun] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def of(self, experiment: str) -> list[PastRun]:
        """The runs of one experiment; drills, in which people practise, are none."""
        return [each for each in self.runs if each.experiment == experiment and each.mode == "run"]


def read_past_runs(run_dirs: Iterable[Path]) -> PastRuns:
    """Read every run directory."""
    found = PastRuns()
    for run_dir in run_dirs:
        try:
            found.runs.append(read_past_run(run_dir))
        except GamedayError as error:
            found.left_out[run_dir.name] = error.message
    found.runs.sort(key=lambda run: (run.result.started_at or "", run.name))
    return found


def read_past_run(run_dir: Path) -> PastRun:
    """Read one. Raises UnknownError with the reason where it cannot be told of."""
    try:
        return _read(run_dir)
    except FileNotFoundError as error:
        name = Path(str(error.filename)).name
        raise UnknownError(
            f"no {name}: it was not judged", help="gameday report RUN judges it"
        ) from error
    except OSError as error:
        raise UnknownError(f"cannot be read: {error.strerror}", help=files.HELP) from error
    except DAMAGED as error:
        raise UnknownError(
            f"damaged: {str(error)[:200]}", help="gameday check RUN judges it again"
        ) from error


def _read(run_dir: Path) -> PastRun:
    raw = files.read_bytes(run_dir / "result.json", LARGEST_RESULT)
    try:
        records = journal.read(run_dir / "journal.jsonl").records
    except FileNotFoundError:
        records = ()
    drill = journal.first(records, DrillStarted)
    if drill is not None and journal.first(records, DrillDebriefed) is None:
        raise UnknownError("a drill without its debrief", help="gameday drill debrief ends it")
    started = journal.first(records, RunStarted)
    result = Result.from_bytes(raw)
    return PastRun(
        dir=run_dir,
        result=result,
        inputs=_inputs(result, read_effective(run_dir), started.event if started else None),
        mode="run" if drill is None else drill.event.mode,
    )


def _inputs(
    result: Result, effective: Effective | None, started: RunStarted | None
) -> dict[str, str]:
    """Everything that a run was made of; what is not known stands as a dash."""
    found = dict.fromkeys(INPUTS, UNKNOWN)
    found |= {"stack": result.stack, "seed": _text(result.seed)}
    if started is not None:
        sums = started.inputs or {}
        rules = {name: each for name, each in sums.items() if name.startswith("rules/")}
        found |= {
            "gameday": started.gameday or UNKNOWN,
            "system": sums.get("system.yaml", UNKNOWN)[:SHOWN],
            "playbook": sums.get("playbook.md", UNKNOWN)[:SHOWN],
            "rules": _sum(rules) if rules else UNKNOWN,
        }
    if effective is not None:
        found |= {
            "experiment": _sum(_without_seed_and_stock(effective)),
            "short": str(effective.short).lower(),
            "stock": _text(effective.stock),
            "responder": effective.responder or ("none" if effective.no_responder else "bot"),
        }
    return found


def _without_seed_and_stock(effective: Effective) -> object:
    """The experiment as it was run; the two have names of their own among the inputs."""
    content = dict(dump(effective.experiment))
    content.pop("seed", None)
    campaign = content.get("campaign")
    if isinstance(campaign, dict):
        content["campaign"] = {key: each for key, each in campaign.items() if key != "stock"}
    return content


def _text(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)


def _sum(content: object) -> str:
    raw = json.dumps(content, sort_keys=True).encode("utf-8", "backslashreplace")
    return hashlib.sha256(raw).hexdigest()[:SHOWN]


def different_inputs(before: PastRun, after: PastRun) -> Sequence[tuple[str, str, str]]:
    """The inputs that differ: name, before, after."""
    pairs = ((name, before.inputs[name], after.inputs[name]) for name in INPUTS)
    return [each for each in pairs if each[1] != each[2]]


def repeats_of(before: PastRun, after: PastRun, runs: Sequence[PastRun]) -> list[list[PastRun]]:
    """Earlier runs with the inputs of one of the two, each group of equal inputs.

    Earlier than the later one of the two, and neither of them; only runs that went through.
    """
    pair = {before.dir.resolve(), after.dir.resolve()}
    last = max(_began(before), _began(after))
    known = [
        each
        for each in runs
        if each.is_whole
        and each.mode == before.mode
        and each.experiment == before.experiment
        and _began(each) < last
        and each.dir.resolve() not in pair
    ]
    wanted = [before.inputs] if before.inputs == after.inputs else [before.inputs, after.inputs]
    groups = [[each for each in known if each.inputs == inputs] for inputs in wanted]
    return [group[-MOST_REPEATS:] for group in groups]


def _began(run: PastRun) -> tuple[str, str]:
    return run.result.started_at or "", run.name
