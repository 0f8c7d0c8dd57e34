"""Hold the parts of the time to detect against what real runs recorded: they must add up.

`python -m tests.matrices.detection RUN ...`: run directories, or folders of them.

Of each expected alert that fired, the whole is measured here without gameday's own reckoning: from
the record `fault.injected` of the journal to the first evaluation in the samples in which it fires,
or to the first notification of it. Impact lag, expression lag, pending and routing, as the result
of the run judged anew has them, must be known and add up to that within one scrape, and no part
but the expression lag may be negative by more than one. Exit code 1 where one does not.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.core.clock import NS
from gameday.core.errors import GamedayError
from gameday.evidence.model import Evidence
from gameday.evidence.read import read
from gameday.judge.judge import judge
from gameday.judge.result import AlertOutcome, Result
from gameday.spec.experiment import ExpectedAlert

PARTS = ("impact", "expression", "pending", "routing")
SCRAPE_S = 1.0


@dataclass(frozen=True)
class Detected:
    """One alert of one run: the whole as recorded, the parts as judged, and what is wrong."""

    run: str
    stack: str
    alert: str
    whole_s: float
    parts: dict[str, float | None]
    wrong: str

    def __str__(self) -> str:
        parts = " + ".join(
            f"{name} {value:.3f}" for name, value in self.parts.items() if value is not None
        )
        return f"{self.run:44} {self.stack:9} {self.alert:16} {self.whole_s:7.3f} = {parts}"


def lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        yield from map(json.loads, file)


def injected_s(run_dir: Path, fault: str) -> float | None:
    found = (r["t"] for r in lines(run_dir / "journal.jsonl")
             if r["event"] == "fault.injected" and r["id"] == fault)  # fmt: skip
    t_ns = next(found, None)
    return None if t_ns is None else t_ns / NS


def told_s(run_dir: Path, alert: str, since_s: float, receiver: str | None) -> tuple[float, bool]:
    """When it first fires after an instant, or is first notified of, and whether it was."""
    fires_s: float | None = None
    for line in lines(run_dir / "samples.jsonl"):
        if fires_s is None:
            firing = [a for a in line.get("alerts", ()) if a["state"] == "firing"]
            if line.get("t", 0) / NS >= since_s and alert in {
                a["labels"]["alertname"] for a in firing
            }:
                fires_s = line["t"] / NS
        for one in (line.get("routing") or {}).get("notified") or ():
            is_it = one["state"] == "firing" and one["labels"]["alertname"] == alert
            if is_it and one["at"] / NS >= since_s and receiver in (None, one["receiver"]):
                return one["at"] / NS, True
    assert fires_s is not None
    return fires_s, False


def detected(run_dir: Path) -> Iterator[Detected]:
    """Each expected alert that fired after its fault."""
    evidence = read(run_dir)
    result = judge(evidence)
    expected = evidence.experiment.expect.alerts
    for alert, asked in zip(result.alerts, expected, strict=False):
        injected_at = alert.injected_at
        if alert.fired_at is None or injected_at is None or alert.fired_at < injected_at:
            continue  # it did not fire, or did before its fault
        yield one(run_dir, evidence, result, alert, asked)


def one(
    run_dir: Path,
    evidence: Evidence,
    result: Result,
    alert: AlertOutcome,
    asked: ExpectedAlert,
) -> Detected:
    first = min(evidence.experiment.method, key=lambda fault: fault.at)
    begun_s = injected_s(run_dir, asked.of or str(first.id))
    if begun_s is None:  # a drill names its faults otherwise
        raise ValueError("no such fault in the journal")
    end_s, is_notified = told_s(run_dir, alert.alert, begun_s, asked.receiver)
    parts = dict(alert.delays(result.clocks.damage_at))
    total = parts.pop("total")
    whole_s = end_s - begun_s
    wrong = []
    needed = [name for name in PARTS if name != "routing" or is_notified]
    if result.clocks.damage_at is None:
        needed.remove("impact")
    wrong += [f"{name} is not known" for name in needed if parts[name] is None]
    known = [value for value in parts.values() if value is not None]
    if abs(sum(known) - whole_s) > SCRAPE_S:
        wrong.append(f"the parts make {sum(known):.3f} s")
    if total is None or abs(total - whole_s) > SCRAPE_S:
        wrong.append(f"the whole is told as {total}")
    wrong += [
        f"{name} is negative"
        for name in ("impact", "pending", "routing")
        if (parts[name] or 0.0) < -SCRAPE_S
    ]
    return Detected(run_dir.name, result.stack, alert.alert, whole_s, parts, "; ".join(wrong))


def run_dirs(path: Path) -> Iterator[Path]:
    if (path / "journal.jsonl").exists():
        yield path
    elif path.is_dir():
        yield from (e.parent for e in sorted(path.rglob("journal.jsonl")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    asked = parser.parse_args()
    found: list[Detected] = []
    unread = 0
    for run_dir in (each for path in asked.runs for each in run_dirs(path)):
        try:
            found += detected(run_dir)
        except (GamedayError, OSError, ValueError, KeyError):
            unread += 1  # torn, killed or not of gameday's: nothing was detected there
    for each in found:
        print(f"{each}{f'  WRONG: {each.wrong}' if each.wrong else ''}")
    bad = sum(bool(each.wrong) for each in found)
    worst = max((abs(sum(v for v in e.parts.values() if v is not None) - e.whole_s) for e in found),
                default=0.0)  # fmt: skip
    runs = len({each.run for each in found})
    print(
        f"{len(found)} alerts of {runs} runs; the parts differ from the whole by {worst:.3f} s at"
        f" most; {bad} wrong; {unread} folders without a whole run"
    )
    return int(bad > 0 or not found)


if __name__ == "__main__":
    sys.exit(main())
