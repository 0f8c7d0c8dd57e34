"""Random rules over random series: the same alerts, pending and firing, as in Prometheus.

`promtool test rules` runs the real rule manager; which alerts it had at each second is read
from its `ALERTS_FOR_STATE` and `ALERTS` series.
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
from gameday.telemetry.promql import Labels, SeriesStore, label_set, labels

PROMTOOL = shutil.which("promtool")
STEPS = 50
RULES = 12
Alerts = set[tuple[Labels, str]]


def _rules(rng: random.Random) -> dict[str, object]:
    lengths = ["0s", "1s", "2s", "3s", "2500ms", "5s"]
    templated = {"job": "s{{ $labels.job }}{{ $labels.i }}"}
    rules = [
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
    return {"groups": [{"name": "g", "interval": "1s", "rules": rules}]}


def _series(rng: random.Random) -> dict[Labels, list[float]]:
    found = {}
    for job, i in (("a", "1"), ("a", "2"), ("b", "3")):
        values = [float(rng.random() < 0.5)]
        while len(values) < STEPS:
            values.append(values[-1] if rng.random() < 0.75 else 1 - values[-1])
        found[labels("x", job=job, i=i)] = values
    return found


def _theirs(folder: Path, series: dict[Labels, list[float]]) -> list[Alerts]:
    inputs = [
        {
            "series": f'x{{job="{dict(k)["job"]}",i="{dict(k)["i"]}"}}',
            "values": " ".join(f"{value:g}" for value in values),
        }
        for k, values in series.items()
    ]
    nothing = [{"labels": "impossible", "value": 1}]
    asked = [
        {"expr": "ALERTS", "eval_time": f"{t_s}s", "exp_samples": nothing} for t_s in range(STEPS)
    ]
    test = {"interval": "1s", "input_series": inputs, "promql_expr_test": asked}
    path = folder / "test.yaml"
    whole = {"rule_files": ["alerts.yml"], "evaluation_interval": "1s", "tests": [test]}
    path.write_text(json.dumps(whole))
    command = [PROMTOOL or "", "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = re.findall(r"(?m)^        got: (.*)$", done.stdout + done.stderr)
    assert len(answers) == STEPS, (done.stdout + done.stderr)[:2000]
    return [_alerts(answer) for answer in answers]


def _alerts(answer: str) -> Alerts:
    found: Alerts = set()
    for inside in re.findall(r"\{(.*?)\}", answer):
        pairs = dict(re.findall(r'(\w+)="(.*?)"', inside))
        state = pairs.pop("alertstate")
        pairs.pop("__name__")
        found.add((label_set(pairs), state))
    return found


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt: prometheus)")
@pytest.mark.parametrize("seed", range(5))
def test_random_rules_have_the_alerts_that_prometheus_has(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = tmp_path / "alerts.yml"
    path.write_text(json.dumps(_rules(rng)))
    series = _series(rng)
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore()
    ours: list[Alerts] = []
    for t_s in range(STEPS):
        store.append(t_s * NS, [(k, values[t_s]) for k, values in series.items()], source="s")
        ours.append({(a.labels, a.state) for a in evaluator.tick(store, t_s * NS)})
    assert evaluator.problems == {}
    assert ours == _theirs(tmp_path, series)
