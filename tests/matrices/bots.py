"""Six characters on every experiment and many seeds, in the simulation: their order, and scores.

`python -m tests.matrices.bots [--seeds 1000] [--experiments A,B]`.

On one seed, perfect is above slow, slow above acknowledges-only; acknowledges-only is at least
wrong-runbook, and that at least panic-restart, where "at least" leaves the noise that the score
itself states; and random is below perfect. Where the avoidable harm is within the noise there is no
score, and no order to be held. Exit code 1 when less
than 99 % of an experiment's seeds hold or are not scored.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from statistics import mean

from gameday.drills.bots.characters import CHARACTERS
from gameday.drills.simulation import baselines, scored, session_scene
from gameday.judge.score import Score
from gameday.spec.inputs import LoadedDrill, find_system, gather, load_drill, load_system
from gameday.spec.playbook import Playbook
from gameday.spec.shipped import all_experiments

ENOUGH = 0.99
STRICTLY = (("perfect", "slow"), ("slow", "acknowledges-only"), ("perfect", "random"))
AT_LEAST = (("acknowledges-only", "wrong-runbook"), ("wrong-runbook", "panic-restart"))


@cache
def loaded(name: str) -> tuple[LoadedDrill, Playbook | None]:
    """An experiment as it is drilled, and its playbook."""
    drilled = load_drill(name, 0)
    found = gather(drilled.loaded, load_system(find_system(None))).playbook
    return drilled, None if found is None else found.playbook


def scores(name: str, seed: int) -> Mapping[str, Score]:
    """The score of each character on one seed; of the perfect alone where there is none."""
    scene = session_scene(*loaded(name), seed)
    given = baselines(scene)
    first = scored(scene, "perfect", given)
    if first.status != "scored":
        return {"perfect": first}
    return {who: scored(scene, who, given) for who in CHARACTERS}


def broken(found: Mapping[str, Score]) -> Iterator[str]:
    """Each pair whose order is not as expected."""
    for above, below in STRICTLY:
        if not value(found[above]) > value(found[below]):
            yield f"{above} > {below}"
    for above, below in AT_LEAST:
        if value(found[above]) < value(found[below]) - tolerance(found[above]):
            yield f"{above} >= {below}"


def value(score: Score) -> float:
    assert score.score is not None
    return score.score


def tolerance(score: Score) -> float:
    """The noise as a share of the avoidable harm."""
    assert score.noise is not None
    return score.noise / (score.harm["nothing"].harm - score.harm["perfect"].harm)


def main() -> int:
    """Print a line an experiment, and what did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.bots", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--experiments", default=",".join(p.stem for p in all_experiments()))
    asked = parser.parse_args()
    begun, wrong, held, all_scored = time.monotonic(), 0, 0, 0
    print(f"{'experiment':24} scored holds   means: {' '.join(CHARACTERS)}")
    for name in asked.experiments.split(","):
        count, whole, why = 0, 0, Counter[str]()
        values: dict[str, list[float]] = {who: [] for who in CHARACTERS}
        for seed in range(asked.seeds):
            found = scores(name, seed)
            statuses = {score.status for score in found.values()}
            if statuses != {"scored"}:
                wrong += statuses != {"not scored"}
                continue
            count += 1
            faults = list(broken(found))
            why.update(faults)
            whole += not faults
            for who, score in found.items():
                values[who].append(value(score))
        share = 1 - (count - whole) / asked.seeds
        wrong += share < ENOUGH
        held, all_scored = held + whole, all_scored + count
        means = " ".join(f"{mean(each):6.2f}" if each else "     -" for each in values.values())
        print(f"{name:24} {count:6} {share:6.1%} {means}  {dict(why) or ''}", flush=True)
    took_s = time.monotonic() - begun
    print(f"{held} of {all_scored} scored seeds hold ({took_s:.0f} s), {wrong} went wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
