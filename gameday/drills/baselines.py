"""Baselines of a session: measured by real runs of its plan, or else simulated.

What is measured is the very plan of the sealed session: its experiment as it was run, its seed,
playbook, rules and system, out of the run directory. One run has nobody to respond, in the other
the bot works the playbook as soon as the alert fires. Who starts them is the command line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from gameday.core.errors import UnknownError, UsageError
from gameday.core.stack_registry import is_owned
from gameday.drills import simulation
from gameday.evidence import journal
from gameday.evidence.effective import Effective, dump
from gameday.evidence.events import DrillStarted
from gameday.evidence.model import Evidence
from gameday.evidence.read import read
from gameday.judge.baselines import (
    KINDS,
    Baseline,
    BaselineKind,
    Baselines,
    Made,
    read_baselines,
    write_baseline,
)
from gameday.judge.course import Course, course_of

RESPONDERS: Final[Mapping[BaselineKind, Sequence[str]]] = {
    "nothing": ["--responder", "none"],
    "perfect": ["--responder", "bot", "--responder-delay", "0s"],
}
_ABOUT: Final[Mapping[BaselineKind, str]] = {
    "nothing": "nobody responded",
    "perfect": "the bot worked the playbook without delay",
}


def of_run(run_dir: Path, evidence: Evidence, course: Course) -> Baselines:
    """The baselines of a run directory; those that it lacks are simulated, and nothing is written.

    The same directory gives the same ones. Raises UnknownError for one that cannot be read.
    """
    found = dict(read_baselines(run_dir))
    effective = evidence.effective
    if course.harm is None or effective is None or set(found) == set(KINDS):
        return found
    scene = simulation.run_scene(effective.experiment, effective.playbook, course)
    made: Made = "guessed" if simulation.is_guessed(effective.experiment) else "simulated"
    return {**simulation.baselines(scene, made), **found}


def settle(run_dir: Path) -> None:
    """Keep simulated baselines in a drill where none were measured. Raises OSError, UnknownError.

    Its draft shows the score, and is made of the run directory alone.
    """
    if not is_drill(run_dir):
        return
    evidence = read(run_dir)
    course = course_of(evidence)
    known = read_baselines(run_dir)
    for kind, baseline in of_run(run_dir, evidence, course).items():
        if kind not in known:
            write_baseline(run_dir, baseline)


def is_drill(run_dir: Path) -> bool:
    """True if the run directory is that of a session."""
    try:
        records = journal.read(run_dir / "journal.jsonl").records
    except FileNotFoundError:
        return False
    return journal.first(records, DrillStarted) is not None


def write_plan(run_dir: Path, folder: Path) -> Effective:
    """Write the experiment of a session as a file of its own into `folder`.

    Raises UsageError where it cannot be run again.
    """
    effective = read(run_dir).effective
    inputs = run_dir / "inputs"
    if effective is None or not (inputs / "system.yaml").is_file():
        raise UsageError(
            f"{run_dir}: what was run is not known", help="after the debrief it can be measured"
        )
    if not is_owned(effective.stack):
        raise UsageError(
            f"{run_dir}: it ran on a system that is not gameday's own",
            help="a baseline breaks the system for as long as nobody responds: it is simulated",
        )
    content = dict(dump(effective.experiment))
    for key in ("drill", "short"):
        content.pop(key, None)
    content["name"] = "baseline"
    content["seed"] = effective.seed
    rules = sorted((inputs / "rules").glob("*"))
    content["rules"] = [str(path.absolute()) for path in rules]
    if effective.playbook is not None:
        content["playbook"] = str((inputs / "playbook.md").absolute())
    (folder / "baseline.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return effective


def arguments(run_dir: Path, folder: Path, effective: Effective, kind: BaselineKind) -> list[str]:
    """The arguments of `gameday run` that measure a baseline."""
    return [
        "run",
        str(folder / "baseline.yaml"),
        *("--stack", effective.stack),
        *("--system", str(run_dir / "inputs" / "system.yaml")),
        *("--seed", str(effective.seed)),
        *("--runs", str(folder)),
        *RESPONDERS[kind],
    ]


def take_over(run_dir: Path, measured: Path, kind: BaselineKind) -> Baseline:
    """Copy what a run measured into the run directory. Raises UnknownError, OSError."""
    session, run = course_of(read(run_dir)), course_of(read(measured))
    if run.harm is None or run.fault_at_s is None:
        raise UnknownError(
            f"{measured}: the fault did not come, so nothing was measured",
            help="its result.json says why",
        )
    baseline = Baseline(
        kind=kind,
        made="measured",
        how=f"measured on the machine of the session with its seed: {_ABOUT[kind]}",
        seed=session.seed or 0,
        run=run.run,
        harm=run.harm,
    )
    write_baseline(run_dir, baseline)
    return baseline
