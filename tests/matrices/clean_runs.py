"""Run clean short runs, and count every alert that was pending or firing in them: a false alarm.

`python -m tests.matrices.clean_runs N [--jobs 2] [--faulted M] [--runs FOLDER]`.

A clean run is the short form of a shipped experiment with its faults taken out, at the rate of
ordinary traffic. It is measured by the rules of short forms; the two other shipped rule files are
then replayed over its samples, from its first scrape to its last. With `--faulted M`, M more runs
keep their faults, and what is pending or firing before the first injection counts. A run that did
not exit with 0, or has no evaluation, shows nothing: it is named and does not count as clean. Exit
code 1 where an alarm was false, or a run showed nothing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gameday.core.clock import NS
from gameday.judge.alert_replay import load_run, play
from gameday.judge.checks.alerts import Line, recorded_lines
from gameday.spec.shipped import all_experiments
from gameday.telemetry.alerts.rules import load_rules
from tests.matrices.kills import GAMEDAY

CLEAN = ("normal", "redis-slow", "redis-down", "db-slow", "postgres-index", "redis-evict")
FAULTED = ("redis-slow", "redis-down", "db-slow", "service-kill", "traffic-spike")
ROOT = Path(__file__).parents[2]
REPLAYED = (
    ROOT / "system_under_test" / "prometheus" / "alerts.yml",
    ROOT / "system_under_test" / "prometheus" / "alerts.production.yml",
)
RUN_S = 300.0


@dataclass(frozen=True)
class Alarm:
    """An alert that was on though nothing was wrong, by the rules of one file."""

    rules: str
    alert: str
    state: str
    first_s: float
    instants: int


@dataclass(frozen=True)
class Outcome:
    """One run: its alarms, at how many instants it was looked at, and why it shows nothing."""

    name: str
    instants: int = 0
    alarms: Sequence[Alarm] = ()
    nothing: str = ""


def experiments() -> dict[str, Path]:
    return {path.stem: path for path in all_experiments()}


def without_faults(name: str, folder: Path) -> Path:
    """The short form of a shipped experiment with its faults taken out, as a file of its own."""
    path = experiments()[name]
    given: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    keys = {**given, **given["short"]}
    kept = {key: keys[key] for key in ("name", "seed", "campaign", "traffic", "objectives")}
    kept["rules"] = [str((path.parent / each).resolve()) for each in keys["rules"]]
    kept["expect"] = {"checks": "all", "other_alerts": "forbidden"}
    written = folder / f"{name}.yaml"
    written.write_text(json.dumps(kept), encoding="utf-8")
    return written


def on(rules: str, lines: Sequence[Line], t0_ns: int) -> Iterator[Alarm]:
    """Each alert that is on at one of the instants, in its worst state."""
    for name in sorted({alert.name for _, alerts in lines for alert in alerts}):
        seen = [(t_ns, a.state) for t_ns, alerts in lines for a in alerts if a.name == name]
        state = "firing" if any(each == "firing" for _, each in seen) else "pending"
        first_s = (seen[0][0] - t0_ns) / NS
        yield Alarm(rules, name, state, first_s, len({t_ns for t_ns, _ in seen}))


def alarms_of(run_dir: Path, *, faulted: bool) -> tuple[int, list[Alarm]]:
    """At how many instants it was known which alerts are on, and the alarms."""
    run = load_run(run_dir)
    until_ns = run.evidence.anchors.first_injecting_ns if faulted else None

    def clean(lines: Sequence[Line]) -> list[Line]:
        return [line for line in lines if until_ns is None or line[0] < until_ns]

    live = clean(recorded_lines(run.evidence))
    found = list(on("as run", live, run.evidence.t0_ns))
    for path in REPLAYED:
        played = clean(play(run, [load_rules(path)]).lines)
        found += on(path.name, played, run.evidence.t0_ns)
    return len(live), found


def not_valid(run_dir: Path) -> list[str]:
    """The checks of a run that did not find that all is well."""
    path = run_dir / "result.json"
    checks = json.loads(path.read_bytes())["checks"] if path.exists() else []
    return [f"{each['name']} {each['verdict']}" for each in checks if each["verdict"] != "valid"]


def one(name: str, folder: Path, *, faulted: bool) -> Outcome:
    """Run it, and look."""
    runs = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    what = [name] if faulted else [str(without_faults(name, runs))]
    command = [*GAMEDAY, "run", *what, *(["--short"] if faulted else []), "--runs", str(runs)]
    ended = subprocess.run(command, capture_output=True, timeout=RUN_S, check=False)
    found = [each for each in runs.iterdir() if (each / "journal.jsonl").exists()]
    why = ""
    if not found:
        why = f"exit code {ended.returncode}: {ended.stderr.decode(errors='replace')[-300:]}"
    elif ended.returncode != 0 and not faulted:
        why = f"exit code {ended.returncode}: {', '.join(not_valid(found[0]))}"
    instants, alarms = alarms_of(found[0], faulted=faulted) if found else (0, [])
    if not why and not instants:
        why = "nothing was evaluated"
    if not alarms and not why:
        shutil.rmtree(runs)
    return Outcome(f"{name}{' (before its fault)' if faulted else ''}", instants, alarms, why)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--faulted", type=int, default=0)
    parser.add_argument("--runs", type=Path)
    asked = parser.parse_args()
    folder = asked.runs or Path(tempfile.mkdtemp(prefix="gameday-clean-"))
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(CLEAN[k % len(CLEAN)], False) for k in range(asked.count)]
    wanted += [(FAULTED[k % len(FAULTED)], True) for k in range(asked.faulted)]
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        todo = [pool.submit(one, name, folder, faulted=faulted) for name, faulted in wanted]
        for each in todo:
            outcomes.append(outcome := each.result())
            print(f"{len(outcomes):4} {line(outcome)}", flush=True)
    return summary(outcomes, folder)


def line(outcome: Outcome) -> str:
    said = [
        f"{a.alert} {a.state} at {a.first_s:.0f} s, {a.instants} instants ({a.rules})"
        for a in outcome.alarms
    ]
    told = "; ".join(said) or "no alarm"
    load = os.getloadavg()[0]
    nothing = f"; shows nothing: {outcome.nothing}" if outcome.nothing else ""
    return f"{outcome.name:36} load {load:4.1f}  {outcome.instants:3} instants  {told}{nothing}"


def summary(outcomes: Sequence[Outcome], folder: Path) -> int:
    """Print the counts; 1 where there is a false alarm, or a run that shows nothing."""
    alarms = [alarm for outcome in outcomes for alarm in outcome.alarms]
    fired = sum(alarm.state == "firing" for alarm in alarms)
    nothing = sum(bool(outcome.nothing) for outcome in outcomes)
    instants = sum(outcome.instants for outcome in outcomes)
    print(
        f"{len(outcomes)} runs, {instants} instants by three rule files: {fired} alerts fired,"
        f" {len(alarms) - fired} were pending; {nothing} runs show nothing"
    )
    if alarms or nothing:
        print(f"kept: {folder}")
    return int(bool(alarms or nothing))


if __name__ == "__main__":
    sys.exit(main())
