"""How fast rules are evaluated, beside the real Prometheus.

    python -m tests.benchmarks.bench_rules [--quick] [NAME…]

36,000 evaluations: 20 alert rules over 200 series at 1,800 steps of a second (300 with `--quick`),
once where the rules share parts, once where all are distinct, and once as recording rules whose
results others read, with subqueries. `promtool test rules` does the same with the same samples.
Each is measured in seconds of CPU, ours the best of three. Aim: at most half of promtool's.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gameday.core.clock import NS
from gameday.telemetry.alerts.rules import load_rules
from gameday.telemetry.alerts.state import Evaluator
from gameday.telemetry.promql import Labels, SeriesStore, labels

RULES, TIMES, AIM = 20, 3, 0.5
PROMTOOL = shutil.which("promtool")
BOUNDS = ("0.05", "0.1", "0.5", "1", "+Inf")
Rule = dict[str, object]


def series() -> dict[Labels, tuple[int, int]]:
    """200 counters: where each begins, and what it grows by each second."""
    found = {}
    for path in range(20):
        for at, le in enumerate(BOUNDS):
            found[labels("h_bucket", le=le, path=str(path))] = (path, 3 * (at + 1) + path % 3)
        for code in ("200", "404", "409", "429", "500"):
            found[labels("c_total", code=code, path=str(path))] = (path, 1 + int(code) % 7)
    return found


def shared() -> list[Rule]:
    """Few ratios and quantiles, each with several limits."""
    parts = [
        'sum(rate(c_total{code=~"5.."}[10s])) / sum(rate(c_total[10s]))',
        "histogram_quantile(0.95, sum by (le) (rate(h_bucket[10s])))",
        "sum by (path) (rate(c_total[30s]))",
        "max by (path) (increase(h_bucket[20s]))",
    ]
    return [alert(n, f"{parts[n % 4]} > {n / 4}") for n in range(RULES)]


def distinct() -> list[Rule]:
    """The same with a window of its own for each."""
    forms = [
        'sum(rate(c_total{{code=~"5.."}}[{n}s])) / sum(rate(c_total[{n}s])) > 0.2',
        "histogram_quantile(0.95, sum by (le) (rate(h_bucket[{n}s]))) > 0.5",
        "sum by (path) (rate(c_total[{n}s])) > 10",
        "max by (path) (increase(h_bucket[{n}s])) > 100",
    ]
    return [alert(n, forms[n % 4].format(n=10 + n)) for n in range(RULES)]


def recorded() -> list[Rule]:
    """Burn rates as people write them: recorded ratios, windows over them, and subqueries."""
    rules: list[Rule] = []
    for n in range(5):
        ratio = f"sum by (path) (rate(c_total{{code='500'}}[{10 + n}s]))"
        rules += [
            {"record": f"r:{n}", "expr": f"{ratio} / sum by (path) (rate(c_total[{10 + n}s]))"},
            {"record": f"m:{n}", "expr": f"avg_over_time(r:{n}[60s])"},
            alert(n, f"max_over_time(sum(rate(c_total[{10 + n}s]))[60s:5s]) > 1e6"),
            alert(n + 100, f"m:{n} > 0.5 and r:{n} > 0.5"),
        ]
    return rules


def alert(n: int, expr: str) -> Rule:
    return {"alert": f"A{n}", "expr": expr, "for": "5s"}


CASES = {"shared": shared, "distinct": distinct, "recorded": recorded}


def ours(path: Path, steps: int) -> float:
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore(400)
    every = series()
    began = time.process_time()
    for step in range(steps):
        t_ns = step * NS
        store.append(t_ns, [(k, a + b * step) for k, (a, b) in every.items()], source="s")
        evaluator.tick(store, t_ns)
    assert evaluator.problems == {}
    return time.process_time() - began


def theirs(folder: Path, path: Path, steps: int) -> float | None:
    if PROMTOOL is None:
        return None
    inputs = [{"series": text(k), "values": f"{a}+{b}x{steps}"} for k, (a, b) in series().items()]
    asked = [{"eval_time": f"{steps}s", "alertname": "A0", "exp_alerts": []}]
    tests = [{"interval": "1s", "input_series": inputs, "alert_rule_test": asked}]
    test = folder / "test.json"
    whole = {"rule_files": [str(path)], "evaluation_interval": "1s", "tests": tests}
    test.write_text(json.dumps(whole))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([PROMTOOL, "test", "rules", str(test)], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def text(of: Labels) -> str:
    inside = ",".join(f'{k}="{v}"' for k, v in of if k != "__name__")
    return f"{dict(of)['__name__']}{{{inside}}}"


def main() -> int:
    """Print each case's seconds; 1 when the aim is missed."""
    missed = False
    print("| rules | ours, CPU s | promtool, CPU s | ratio |\n|---|---:|---:|---:|")
    steps = 300 if "--quick" in sys.argv else 1_800
    for name in [each for each in sys.argv[1:] if each in CASES] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "rules.yml")
            group = {"name": "g", "interval": "1s", "rules": CASES[name]()}
            path.write_text(json.dumps({"groups": [group]}))
            we = min(ours(path, steps) for _ in range(TIMES))
            they = theirs(Path(folder), path, steps)
        if they is None:
            print(f"| {name} | {we:.2f} | - | - |")
            continue
        print(f"| {name} | {we:.2f} | {they:.2f} | {we / they:.2f} |", flush=True)
        missed |= we / they > AIM
    print(f"\naim: at most {AIM}: {'MISSED' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
