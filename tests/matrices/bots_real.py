"""Real runs of bots, and how far the simulation is off: `python -m tests.matrices.bots_real`.

Each experiment's short form is run with nobody, and with each character as `--responder`; one run
at a time, kept in `--runs`. What is there already is not run again, so that it can be continued.
With `--compare` the runs that there are are held against the simulation: per run the harm that was
measured and the one that was simulated, and when it was acknowledged and mitigated.
"""

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

from gameday.drills.bots.characters import CHARACTERS
from gameday.drills.simulation import run_scene, simulate
from gameday.evidence.read import read
from gameday.judge.baselines import Baseline, BaselineKind
from gameday.judge.course import Course, course_of
from gameday.judge.response_parts import first_mitigation
from gameday.judge.score import score

EXPERIMENTS = "redis-slow,redis-down,db-slow,redis-block"
PACE = 0.03  # a short run has 9 s of a fault: everybody is quicker
WRONG = {
    "redis-slow": "limit-users",
    "redis-block": "limit-users",
    "redis-full": "limit-users",
    "redis-flap": "limit-users",
    "redis-down": "widen-pools",
    "db-slow": "use-postgres",
}


def main() -> int:
    """Run what is not there yet, then compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.bots_real", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/bots"))
    parser.add_argument("--experiments", default=EXPERIMENTS)
    parser.add_argument("--who", default=",".join(["none", *CHARACTERS]))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="Run nothing")
    asked = parser.parse_args()
    for name in asked.experiments.split(","):
        for who in asked.who.split(","):
            folder = asked.runs / f"{name}.{who}.{asked.seed}"
            if asked.compare:
                continue
            if not list(folder.glob("*/result.json")):
                _run(name, who, asked.seed, folder)
    return _compare(asked.runs)


def _compare(folder: Path) -> int:
    """Print, for each run, how far the simulation is off, and the score with either baselines."""
    runs = {(name, who, seed): path for name, who, seed, path in run_dirs(folder)}
    courses = {key: course_of(read(path)) for key, path in runs.items()}
    ratios, late = [], []
    print(
        f"{'experiment':12} {'who':18} {'harm':>7} {'sim.':>7} ratio   ack sim.   mit. sim.  score"
    )
    kinds: Mapping[BaselineKind, str] = {"nothing": "none", "perfect": "perfect"}
    for (name, who, seed), course in courses.items():
        simulated = _simulated(runs[name, who, seed], course, name, who, seed)
        given: dict[str, Baseline] = {}
        if course.harm is None or simulated.harm is None:
            print(f"{name:12} {who:18} {course.why_no_harm}")
            continue
        for kind, character in kinds.items():
            other = courses.get((name, character, seed)) or courses.get((name, character, 1))
            if other is not None and other.harm is not None:
                given[kind] = Baseline(
                    kind=kind, made="measured", how="", seed=course.seed or 0, harm=other.harm
                )
        own, model = course.harm.curve.harm, simulated.harm.curve.harm
        ratio = model / own if own else float("nan")
        times = [_times(each) for each in (course, simulated)]
        shown = " ".join(f"{_s(a)} {_s(b)}  " for a, b in zip(*times, strict=True))
        late += [b - a for a, b in zip(*times, strict=True) if a is not None and b is not None]
        ratios.append((who, ratio))
        value = score(course, given)
        told = value.status if value.score is None else f"{value.score:6.2f}"
        print(f"{name:12} {who:18} {own:7.1f} {model:7.1f} {ratio:5.2f} {shown} {told}")
    print(
        f"{len(runs)} runs; times off by {median(map(abs, late)):.2f} s (median), "
        f"{max(map(abs, late)):.2f} s (most)"
    )
    for group in ("none", *CHARACTERS):
        found = sorted(ratio for who, ratio in ratios if who == group)
        if found:
            print(
                f"harm simulated / measured, {group}: {found[0]:.2f} to {found[-1]:.2f}, "
                f"median {median(found):.2f}"
            )
    return 0


def _simulated(path: Path, course: Course, name: str, who: str, seed: int) -> Course:
    """The course that the model gives for a run."""
    effective = read(path).effective
    assert effective is not None
    scene = run_scene(effective.experiment, effective.playbook, course)
    actions = sorted({*effective.system.actions, *effective.system.scale})
    scene = replace(
        scene, seed=seed, wrong=(WRONG[name],), restart=("pause", "resume"), actions=actions
    )
    return simulate(scene, next((each for each in CHARACTERS if each == who), None), pace=PACE)


def _times(course: Course) -> tuple[float | None, float | None]:
    """When it was acknowledged and mitigated, from the fault."""
    fault_s = course.fault_at_s or 0.0
    found = (course.acknowledged, first_mitigation(course))
    ack, mitigated = (None if each is None else each[1] - fault_s for each in found)
    return ack, mitigated


def _s(seconds: float | None) -> str:
    return "    -" if seconds is None else f"{seconds:5.2f}"


def _run(name: str, who: str, seed: int, folder: Path) -> None:
    begun = time.monotonic()
    command = [sys.executable, "-m", "gameday", "run", name, "--short", "--runs", str(folder)]
    ended = subprocess.run(
        [*command, "--responder", responder(name, who, seed)],
        check=False,
        capture_output=True,
        text=True,
    )
    took_s = time.monotonic() - begun
    print(f"{name:16} {who:18} exit {ended.returncode}, {took_s:.0f} s", flush=True)


def responder(name: str, who: str, seed: int) -> str:
    """The `--responder` of a run."""
    if who == "none":
        return who
    options = [who, "--seed", str(seed), "--pace", str(PACE), "--wrong", WRONG[name]]
    options += ["--restart", "pause", "--restart", "resume"]
    return shlex.join([sys.executable, "-m", "gameday.drills.bots", *options])


def run_dirs(folder: Path) -> Iterator[tuple[str, str, int, Path]]:
    """The runs that there are: experiment, who, the bot's seed, and the run directory."""
    for path in sorted(folder.glob("*.*.*/*/result.json")):
        name, who, seed = path.parent.parent.name.rsplit(".", 2)
        yield name, who, int(seed), path.parent


if __name__ == "__main__":
    sys.exit(main())
