"""How fast a history is checked and summarised.

    python -m tests.benchmarks.bench_judge [REQUESTS]

A made-up run of two million requests by two workers: a stock of 1 in 20 is issued, the rest is
told so, one in a thousand gets no answer, and the audit has a row for each coupon. Then what
`gameday check` does: the seal of the run is verified (the SHA-256 of all its evidence), the
history is read and completed, all checks are run (the generator's among them), and the traffic is
summarised in k6's metrics, by outcome and window. Each part is measured in seconds of CPU, five
times; the medians are told. Aim: 1,000,000 requests a second.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gameday.evidence import seal
from gameday.evidence.model import Evidence
from gameday.evidence.read import read as read_evidence
from gameday.judge import checks, judge, result
from gameday.traffic.history import RECORD, HistoryHeader, HistoryWriter, Outcome
from gameday.traffic.schedule.scenario_json import from_json
from gameday.traffic.schedule.users import users_of
from tests.support.rundirs import EXPERIMENT, RUN, T0_NS, RunDir, evaluation

REQUESTS = 2_000_000
RATE_PER_S = 20_000
USERS = 10_000_000
WORKERS = 2
TIMES = 5
AIM_PER_S = 1_000_000
SEAL = "the seal alone, part of the next"


def spec(requests: int) -> dict[str, str]:
    return {
        "executor": "constant-arrival-rate",
        "rate": f"{RATE_PER_S}/s",
        "duration": f"{requests // RATE_PER_S}s",
        "startTime": "0s",
    }


def records(requests: int) -> Any:
    """A sale as it should be: the first users get one, who comes after the last is told so."""
    rng = np.random.default_rng(1)
    made = np.zeros(requests, dtype=RECORD)
    ks = np.arange(requests)
    made["k"], made["user"] = ks, users_of(7, "drop", ks, USERS)
    made["intended_ns"] = T0_NS + from_json(spec(requests)).due_ns(ks)
    made["sent_ns"] = made["intended_ns"] + rng.integers(1_000, 300_000, requests)
    made["ended_ns"] = made["sent_ns"] + rng.integers(200_000, 20_000_000, requests)
    made["first_byte_ns"] = made["ended_ns"] - 10_000
    made["connecting_ms"][::100], made["sending_ms"] = 0.1, 0.01
    made["attempts"], made["remaining"], made["bytes_received"] = 1, -1, 180
    _, first = np.unique(made["user"], return_index=True)
    issued = np.sort(first)[: requests // 20]
    made["outcome"], made["status"] = Outcome.SOLD_OUT, 409
    early = made["ended_ns"] <= made["ended_ns"][issued].max()
    made["outcome"][early], made["status"][early] = Outcome.REFUSED, 429
    made["outcome"][::1000], made["status"][::1000] = Outcome.UNKNOWN, 0
    made["outcome"][issued], made["status"][issued] = Outcome.ISSUED, 200
    made["issue_id"][issued] = [b"issue-%d" % user for user in made["user"][issued].tolist()]
    return made


def write(folder: Path, requests: int) -> Path:
    """The run directory."""
    made = records(requests)
    issued = made["user"][made["outcome"] == Outcome.ISSUED].tolist()
    length_s = requests / RATE_PER_S
    run = RunDir(stock=len(issued), answers=[], rows=[(user, f"issue-{user}") for user in issued])
    thresholds = {
        "http_req_failed": ["rate<0.2"],
        "http_req_duration": ["p(95)<200", "p(99)<500"],
        "http_req_duration{outcome:issued}": ["p(95)<200"],
    }
    run.experiment = {
        **EXPERIMENT,
        "traffic": {"drop": spec(requests)},
        "expect": {**EXPERIMENT["expect"], "thresholds": thresholds},
    }
    run.evaluations = [
        evaluation(
            at,
            fast=not 11 <= at < 18,
            firing=["RedisSlow"] if 13 <= at < 20 else (),
            active_s=11.0,
        )
        for at in range(int(length_s) + 6)
    ]
    run.effective = {"planned": {"drop": requests}, "traffic_end_s": length_s}
    path = run.write(folder / RUN)
    (path / "history" / "drop-0.bin").unlink()
    for worker in range(WORKERS):
        share = made[worker::WORKERS]
        header = {"scenario": "drop", "worker": worker, "workers": WORKERS, "seed": 7, "run": RUN}
        header |= {"users": USERS, "coupon": "c", "t0_ns": T0_NS, "clock": "host", "pid": 1}
        header |= {"spec": spec(requests)}
        writer = HistoryWriter(
            path / "history" / f"drop-{worker}.bin", HistoryHeader.from_json(header)
        )
        writer.advance(requests - WORKERS + 1 + worker)
        writer.append(share[np.argsort(share["ended_ns"], kind="stable")].tobytes())
        writer.close()
    (path / "journal.jsonl").unlink()
    run.sealed = seal.sums(path)
    run.write_journal(path / "journal.jsonl")
    return path


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    made = work()
    return time.process_time() - began, made


def once(path: Path) -> dict[str, float]:
    """The seconds of CPU of each part."""
    took: dict[str, float] = {}
    took[SEAL], _ = timed(lambda: seal.sums(path))
    took["read and complete"], read = timed(lambda: read_evidence(path))
    for name in checks.CHECKS:
        took[name], _ = timed(lambda name=name: checks.run(name, checks.CHECKS[name], read))  # type: ignore[misc]
    took["summary"], told = timed(lambda: result.traffic(read))
    assert told is not None
    return took


def verdict(read: Evidence) -> str:
    said = judge.judge(read)
    other = [f"{one.name} {one.verdict}" for one in said.checks if one.verdict != "valid"]
    return f"{said.verdict}, {len(read.attempts):,} requests; not valid: {', '.join(other) or '-'}"


def main() -> int:
    """Print each part's median; 1 when the aim is missed."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), requests)
        print(verdict(read_evidence(path)), flush=True)
        rounds = [once(path) for _ in range(TIMES)]
    print("\n| part | CPU s | requests a second |\n|---|---:|---:|")
    for name in rounds[0]:
        median = statistics.median(one[name] for one in rounds)
        if median > 0.005:
            print(f"| {name} | {median:.3f} | {requests / median:,.0f} |")
    whole = statistics.median(sum(one.values()) - one[SEAL] for one in rounds)
    met = requests / whole >= AIM_PER_S
    print(f"| **all** | {whole:.3f} | **{requests / whole:,.0f}** |\n")
    print(f"aim: {AIM_PER_S:,} a second: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
