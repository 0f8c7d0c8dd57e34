"""Random rules over random series: the same alerts and recorded series as in Prometheus.

`promtool test rules` runs the real rule manager; which alerts it had at each second is read
from its `ALERTS` series.
"""

import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gameday.core.clock import NS
from gameday.telemetry.alerts.rules import load_rules
from gameday.telemetry.alerts.state import Evaluator
from gameday.telemetry.promql import (
    PROMETHEUS_2,
    InstantEvaluator,
    Labels,
    SeriesStore,
    Vector,
    label_set,
    labels,
    parse,
)

PROMTOOL = shutil.which("promtool")
STEPS = 50
RULES = 12
Alerts = set[tuple[Labels, str]]
Rule = dict[str, object]
RECORDED = '{__name__=~"x:.*"}'


def _rules(rng: random.Random) -> dict[str, object]:
    lengths = ["0s", "1s", "2s", "3s", "2500ms", "5s"]
    templated = {"job": "s{{ $labels.job }}{{ $labels.i }}"}
    rules: list[Rule] = [
        {
            "alert": f"A{n}",
            "expr": rng.choice(
                ["x > 0", f"sum by (job) (x) > {n % 3}", 'x{job="a"} > 0', "x == 1"]
            ),
            "for": rng.choice(lengths),
            "keep_firing_for": rng.choice(lengths),
            "labels": rng.choice([{}, templated, {"severity": "page"}]),
        }
        for n in range(RULES)
    ]
    rules += _recordings(rng)
    rng.shuffle(rules)
    return {"groups": [{"name": "g", "interval": "1s", "rules": rules}]}


def _recordings(rng: random.Random) -> list[Rule]:
    """Rules that record, and rules that read what others record: before or after them."""
    recordings: list[Rule] = [
        {
            "record": f"x:{n}",
            "expr": rng.choice(
                [
                    "sum by (job) (x)",
                    f"x:{(n + 5) % 6} + 1 > 2",
                    f"max_over_time(x:{(n + 5) % 6}[4s])",
                    f"avg_over_time(sum by (job) (x)[{rng.choice([3, 5])}s:1s])",
                    'ALERTS{alertstate="firing", alertname=~"A[0-3]"}',
                    f"count(x:{(n + 1) % 6}) or vector(1)",
                ]
            ),
            "labels": rng.choice([{}, {"kind": "made"}]),
        }
        for n in range(6)
    ]
    reading: list[Rule] = [
        {"alert": f"B{n}", "expr": rng.choice([f"x:{n} > 1", f"absent(x:{n})"]), "for": "1s"}
        for n in range(6)
    ]
    return [*recordings, *reading]


def _series(rng: random.Random) -> dict[Labels, list[float]]:
    found = {}
    for job, i in (("a", "1"), ("a", "2"), ("b", "3")):
        values = [float(rng.random() < 0.5)]
        while len(values) < STEPS:
            values.append(values[-1] if rng.random() < 0.75 else 1 - values[-1])
        found[labels("x", job=job, i=i)] = values
    return found


def _theirs(folder: Path, series: dict[Labels, list[float]]) -> tuple[list[Alerts], list[Vector]]:
    inputs = [
        {
            "series": f'x{{job="{dict(k)["job"]}",i="{dict(k)["i"]}"}}',
            "values": " ".join(f"{value:g}" for value in values),
        }
        for k, values in series.items()
    ]
    nothing = [{"labels": "impossible", "value": 1}]
    asked = [
        {"expr": expr, "eval_time": f"{t_s}s", "exp_samples": nothing}
        for t_s in range(STEPS)
        for expr in ("ALERTS", RECORDED)
    ]
    test = {"interval": "1s", "input_series": inputs, "promql_expr_test": asked}
    path = folder / "test.yaml"
    whole = {"rule_files": ["alerts.yml"], "evaluation_interval": "1s", "tests": [test]}
    path.write_text(json.dumps(whole))
    command = [PROMTOOL or "", "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = re.findall(r"(?m)^        got: (.*)$", done.stdout + done.stderr)
    assert len(answers) == 2 * STEPS, (done.stdout + done.stderr)[:2000]
    alerts, recorded = answers[::2], answers[1::2]
    return [_alerts(answer) for answer in alerts], [_vector(answer) for answer in recorded]


def _vector(answer: str) -> Vector:
    found = re.findall(r"\{(.*?)\} ([-+]?(?:\d\S*?|Inf|NaN))(?=, |$)", answer)
    return {label_set(re.findall(r'(\w+)="(.*?)"', inside)): float(v) for inside, v in found}


def _alerts(answer: str) -> Alerts:
    found: Alerts = set()
    for inside in re.findall(r"\{(.*?)\}", answer):
        pairs = dict(re.findall(r'(\w+)="(.*?)"', inside))
        state = pairs.pop("alertstate")
        pairs.pop("__name__")
        found.add((label_set(pairs), state))
    return found


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt: prometheus)")
@pytest.mark.parametrize("seed", range(10))
def test_random_rules_have_the_alerts_that_prometheus_has(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = tmp_path / "alerts.yml"
    path.write_text(json.dumps(_rules(rng)))
    series = _series(rng)
    recorded = parse(RECORDED)
    evaluator, store = Evaluator([load_rules(path)], [recorded]), SeriesStore()
    ours: tuple[list[Alerts], list[Vector]] = [], []
    for t_s in range(STEPS):
        store.append(t_s * NS, [(k, values[t_s]) for k, values in series.items()], source="s")
        moment = InstantEvaluator(store, t_s * NS, PROMETHEUS_2)
        ours[0].append({(a.labels, a.state) for a in evaluator.tick(store, t_s * NS, moment)})
        ours[1].append(moment.vector(recorded.node))
        assert evaluator.problems == {}
    alerts, recordings = _theirs(tmp_path, series)
    assert ours[0] == alerts
    assert ours[1] == [pytest.approx(each) for each in recordings]
