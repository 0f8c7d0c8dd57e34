"""The schedules beside k6's: `python -m tests.matrices.k6_starts [N]`.

They are held against k6_recorded.json, whose vectors were made by k6's documented formulas in exact
arithmetic (`--record` makes them again), not by a run of k6: nobody kept what the real one told.

Where a real k6 is on the PATH or in GAMEDAY_K6 it runs N random scenarios, some at a time, which do
nothing but tell when they start. Ours are the same starts: as many (those at the very end race it,
in k6), none earlier, and k6's no later than k6 is anyway. Of virtual users it is how many of them
go on, wherever that does not just change.
"""

# ruff: noqa: T201  - a command, whose table is its result

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from gameday.traffic.schedule.scenario_json import from_json
from gameday.traffic.schedule.virtual_users import VirtualUsers
from tests.support.due_times import due_times
from tests.support.k6_formulas import k6_starts_us, k6_vu_steps

RECORDED = Path(__file__).with_name("k6_recorded.json")
SEED = 5
NEAR_US = 2.0  # ours are within 1 of the formulas, and the recorded ones are cut
EARLY_MS = 1.0  # k6 tells whole milliseconds
LATE_MS = 15.0  # in the median; a busy machine delays k6, not us
RACE_MS = 100.0  # what is due so shortly before the end may miss it
STILL_MS = 150.0
WINDOW_MS = 75.0
AT_A_TIME = 10
SCRIPT = """
import exec from 'k6/execution';
import { sleep } from 'k6';
const since = () => Date.now() - exec.scenario.startTime;
export const options = OPTIONS;
export function start() { console.log(`start ${exec.scenario.name} ${since()}`); }
export function round() {
  console.log(`round ${exec.scenario.name} ${exec.vu.idInTest} ${since()}`);
  sleep(0.02);
}
"""


def scenarios(seed: int, count: int) -> dict[str, dict[str, Any]]:
    """Scenarios of 3 to 8 seconds, in k6's words and at rates that k6 keeps on any machine."""
    draw = Random(seed)
    return {f"s{n}": _one(draw, n % 3) for n in range(count)}


def _one(draw: Random, kind: int) -> dict[str, Any]:
    unit = draw.choice(["1s", "1m"])
    scale = 60 if unit == "1m" else 1
    common = {"timeUnit": unit, "preAllocatedVUs": 20, "exec": "start", "gracefulStop": "0s"}
    if kind == 0:
        rate = draw.randint(1, 40) * scale + draw.randint(0, scale - 1)
        ms = draw.randint(3000, 8000)
        given = {"executor": "constant-arrival-rate", "rate": rate, "duration": f"{ms}ms"}
        return given | common
    if kind == 1:
        levels = [draw.choice([0, draw.randint(1, 40)]) * scale for _ in range(4)]
        stages = [_stage(draw, level) for level in levels[1:]]
        given = {"executor": "ramping-arrival-rate", "startRate": levels[0], "stages": stages}
        return given | common
    stages = [_stage(draw, draw.randint(0, 8)) for _ in range(3)]
    stages[0]["target"] = max(1, stages[0]["target"])
    more = {"exec": "round", "gracefulStop": "0s", "gracefulRampDown": "0s"}
    return {"executor": "ramping-vus", "startVUs": draw.randint(0, 3), "stages": stages} | more


def _stage(draw: Random, target: int) -> dict[str, Any]:
    return {"target": target, "duration": f"{draw.choice([0, *range(1000, 2600, 300)])}ms"}


def ours(given: dict[str, Any]) -> dict[str, Any]:
    """The same scenario in our words: a rate has its unit with it."""
    per = "s" if given.get("timeUnit") == "1s" else "m"
    spec = dict(given)
    for key in ("rate", "startRate"):
        if key in spec:
            spec[key] = f"{spec[key]}/{per}"
    if given["executor"] == "ramping-arrival-rate":
        stages = given["stages"]
        spec["stages"] = [{**stage, "target": f"{stage['target']}/{per}"} for stage in stages]
    return spec


def heard(k6: str, given: dict[str, dict[str, Any]]) -> str:
    """What k6 said while it ran them."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "starts.js")
        script.write_text(SCRIPT.replace("OPTIONS", json.dumps({"scenarios": given})))
        command = [k6, "run", "--quiet", "--no-usage-report", str(script)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout + done.stderr


def starts_differ(name: str, spec: dict[str, Any], text: str) -> str:
    """Why a scenario's starts are not k6's; "" when they are."""
    told = sorted(int(ms) for ms in re.findall(rf"start {name} (-?\d+)", text))
    due_ms = due_times(from_json(spec)) / 1e6
    sure = int((due_ms < from_json(spec).end_s * 1000 - RACE_MS).sum())
    if not sure <= len(told) <= len(due_ms):
        return f"k6 started {len(told)}, we {len(due_ms)}, {sure} of them well before the end"
    late_ms = np.array(told) - due_ms[: len(told)] if told else np.zeros(1)
    if late_ms.min() < -EARLY_MS or float(np.median(late_ms)) > LATE_MS:
        return f"k6 started {late_ms.min():.1f} to {late_ms.max():.1f} ms later than we"
    return ""


def users_differ(name: str, spec: dict[str, Any], text: str) -> str:
    """Why a scenario's virtual users are not k6's; "" when they are."""
    told = re.findall(rf"round {name} (\d+) (-?\d+)", text)
    plan = virtual_users(spec)
    for at_ms in np.arange(STILL_MS, plan.end_s * 1000 - STILL_MS, WINDOW_MS):
        near = {vus_at(plan, int(ms * 1e6)) for ms in (at_ms - STILL_MS, at_ms, at_ms + STILL_MS)}
        seen = {user for user, ms in told if abs(int(ms) - at_ms) <= WINDOW_MS}
        if len(near) == 1 and {len(seen)} != near:
            return f"at {at_ms:.0f} ms k6 had {len(seen)} virtual users, we {min(near)}"
    return ""


def virtual_users(spec: dict[str, Any]) -> VirtualUsers:
    """A scenario of virtual users."""
    made = from_json(spec)
    assert isinstance(made, VirtualUsers)
    return made


def vus_at(plan: VirtualUsers, ns: int) -> int:
    """How many virtual users may go on at an instant, in ns from t = 0 of the run."""
    return next((step.vus for step in reversed(plan.steps) if step.at_ns <= ns), 0)


def recorded() -> dict[str, Any]:
    """The recording: counts that real k6s told, documented shapes, vectors made by formulas."""
    return dict(json.loads(RECORDED.read_text()))


def vectors(count: int) -> list[dict[str, Any]]:
    """The random scenarios in our words, each with what k6's formulas make of it."""
    return [_vector(ours(given)) for given in scenarios(SEED, count).values()]


def _vector(spec: dict[str, Any]) -> dict[str, Any]:
    if spec["executor"] == "ramping-vus":
        return {"scenario": spec, "vus": [list(step) for step in k6_vu_steps(spec)]}
    return {"scenario": spec, "starts_us": k6_starts_us(spec)}


def record(count: int) -> None:
    """Make the vectors again, with today's date; the counts stay."""
    kept = recorded()
    kept["vectors_made"] = f"{datetime.now(UTC):%Y-%m-%d}"
    each = ",\n".join(json.dumps(vector, separators=(",", ":")) for vector in vectors(count))
    kept["vectors"] = []
    text = json.dumps(kept, indent=1).replace('"vectors": []', f'"vectors": [\n{each}\n]')
    RECORDED.write_text(text + "\n")


def differences(known: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Each recorded vector that ours differ from, and why."""
    for vector in known:
        spec = vector["scenario"]
        why = _vus_differ(vector) if "vus" in vector else _times_differ(vector)
        if why:
            yield f"{why}: {json.dumps(spec)}"


def _times_differ(vector: dict[str, Any]) -> str:
    expected = np.array(vector["starts_us"])
    due_us = due_times(from_json(vector["scenario"])) / 1000
    if len(expected) != len(due_us):
        return f"recorded are {len(expected)} starts, ours {len(due_us)}"
    off_us = float(np.abs(due_us - expected).max(initial=0))
    return f"up to {off_us:.0f} µs from the recorded starts" if off_us > NEAR_US else ""


def _vus_differ(vector: dict[str, Any]) -> str:
    plan, steps = virtual_users(vector["scenario"]), vector["vus"]
    for (at_ns, many), (next_ns, _) in zip(steps, [*steps[1:], [steps[-1][0] + 1, 0]], strict=True):
        seen = {vus_at(plan, at_ns), vus_at(plan, next_ns - 1)}
        if seen != {many}:
            return f"from {at_ns} ns on recorded are {many} virtual users, ours {sorted(seen)}"
    return ""


def beside(k6: str, count: int) -> list[str]:
    """Each scenario that a real k6 starts otherwise, and why."""
    given = scenarios(SEED, count)
    names, told = list(given), []
    parts = [names[at : at + AT_A_TIME] for at in range(0, count, AT_A_TIME)]
    text = "".join(heard(k6, {name: given[name] for name in part}) for part in parts)
    for name, scenario in given.items():
        differ = users_differ if scenario["executor"] == "ramping-vus" else starts_differ
        why = differ(name, ours(scenario), text)
        if why:
            told.append(f"{name}: {why}: {json.dumps(scenario)}")
    return told


def main() -> int:
    given = sys.argv[1:]
    count = int(next(iter(set(given) - {"--record"}), 60))
    if "--record" in given:
        record(count)
    known = recorded()
    wrong = list(differences(known["vectors"]))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    every = len(known["vectors"])
    print(
        f"{every - len(wrong)} of {every} as recorded on {known['vectors_made']} by k6's formulas"
    )
    k6 = os.environ.get("GAMEDAY_K6") or shutil.which("k6")
    if not k6:
        print("no k6 on PATH or in GAMEDAY_K6: nothing ran beside ours")
        return 1 if wrong else 0
    differing = beside(k6, count)
    print(*differing, sep="\n", end="\n" if differing else "")
    print(f"{count - len(differing)} of {count} scenarios start as those of {k6} do")
    return 1 if wrong or differing else 0


if __name__ == "__main__":
    sys.exit(main())
