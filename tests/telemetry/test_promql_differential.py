"""Random expressions over random series, here and in the real Prometheus, of 2.42 and of 3.

Of 2.42 it is `promtool test rules`: one call evaluates many expressions at once, each written as
an expectation that holds nothing, and what promtool got instead is read from its complaint. Of 3
it is the engine itself in a small Go program, `tests/support/promql3`, which `GAMEDAY_PROMQL3`
names once it is built.
"""

import json
import math
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.core.clock import NS
from gameday.telemetry.promql import (
    PROMETHEUS_2,
    PROMETHEUS_3,
    EvaluationError,
    Labels,
    PromqlSemantics,
    SeriesStore,
    Vector,
    evaluate,
    label_set,
    labels,
    parse,
)

PROMTOOL = shutil.which("promtool")
ENGINE_3 = os.environ.get("GAMEDAY_PROMQL3", "")
STEPS = 40
FILES, CASES = 24, 420
Points = list[float | None]
Case = tuple[str, int]


def _random_series(rng: random.Random) -> dict[Labels, Points]:
    found: dict[Labels, Points] = {}
    for name in ("c_total", "d_total"):
        for job in ("a", "b"):
            for code in ("200", "500"):
                found[labels(name, job=job, code=code)] = _counter(rng)
    for job in ("a", "b", "c"):
        found[labels("g", job=job)] = _gauge(rng)
        found[labels("h", job=job, dc="x" if job == "a" else "y")] = _gauge(rng)
        sums = [0.0] * STEPS
        for le in ("0.1", "0.5", "1", "+Inf"):
            sums = [a + b for a, b in zip(sums, _steady(rng), strict=True)]
            found[labels("lat_bucket", job=job, le=le)] = list(sums)
    found[labels("one")] = _gauge(rng)
    return found


def _steady(rng: random.Random) -> list[float]:
    value, out = 0.0, []
    for _ in range(STEPS):
        value += rng.choice([0, 0, 1, 2, 5])
        out.append(value)
    return out


def _counter(rng: random.Random) -> Points:
    value, out = float(rng.choice([0, 0, 3, 1000])), list[float | None]()
    for _ in range(STEPS):
        value = 0.0 if rng.random() < 0.04 else value + rng.choice([0, 1, 2, 7.5])
        out.append(None if rng.random() < 0.12 else value)
    return out


def _gauge(rng: random.Random) -> Points:
    special = [math.nan, 0.0, math.inf]
    return [
        None
        if rng.random() < 0.1
        else rng.choice(special)
        if rng.random() < 0.04
        else round(rng.uniform(-5, 9), 3)
        for _ in range(STEPS)
    ]


_RANGED = (
    *("rate", "rate", "increase", "irate", "delta", "idelta", "changes", "resets"),
    *("avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time"),
    *("last_over_time", "stddev_over_time", "stdvar_over_time", "present_over_time"),
    *("deriv", "deriv"),
)
_ELEMENTWISE = (
    *("abs", "ceil", "floor", "round", "sgn", "sqrt", "exp", "ln", "log2", "log10"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh"),
    *("atanh", "deg", "rad", "sort", "sort_desc", "absent", "timestamp"),
    *("minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month"),
    *("month", "year"),
)


class _Grammar:
    """Makes expressions of what gameday evaluates; `is_3` takes in what 3 has changed."""

    def __init__(self, rng: random.Random, *, is_3: bool) -> None:
        self.rng = rng
        self.is_3 = is_3

    def vector(self, depth: int = 3) -> str:
        kinds: list[Callable[[int], str]] = [self.selector, self.ranged]
        if depth > 0:
            kinds += [self.aggregated, self.arithmetic, self.arithmetic, self.compared, self.sets]
            kinds += [self.called, self.quantile, self.grouped, self.scalars]
            kinds += [self.stepped, self.stepped, self.relabelled, self.applied, self.ranked]
        return self.rng.choice(kinds)(depth - 1)

    def matchers(self) -> str:
        pick = self.rng.choice
        return pick(
            ["", "", '{job="a"}', '{job!="a"}', '{job=~"a|b"}', '{code!~"5.."}', '{job=~"[bc]"}']
        )

    def selector(self, _: int = 0) -> str:
        name = self.rng.choice(["c_total", "d_total", "g", "h", "one", "lat_bucket", "nothing"])
        return name + self.matchers() + self.rng.choice(["", "", ""]) + self.moved()

    def moved(self) -> str:
        return self.rng.choice(
            [*[""] * 7, " offset 7s", " offset -3s", " @ 20", " @ 33.5 offset 5s", " @ start()"]
        )

    def ranged(self, _: int = 0) -> str:
        pick = self.rng.choice
        name = pick(["c_total", "d_total", "g", "lat_bucket"])
        length = pick(["5s", "10s", "12s", "30s"])
        return self.over_time(f"{name}{self.matchers()}[{length}]{self.moved()}")

    def stepped(self, depth: int) -> str:
        """A function of a subquery."""
        pick = self.rng.choice
        length, step = pick(["5s", "10s", "13s"]), pick(["1s", "2s", "3s", "2500ms", ""])
        return self.over_time(f"({self.vector(depth)})[{length}:{step}]{self.moved()}")

    def over_time(self, window: str) -> str:
        pick = self.rng.choice
        function = pick(_RANGED)
        if self.rng.random() < 0.1:
            return f"quantile_over_time({pick(['0.5', '0.9', '0', '1'])}, {window})"
        # Of a fixed time in a subquery, 2.42 gives it at no more steps than the range has samples.
        fixed = "@" in window.rpartition("]")[2]
        if self.rng.random() < 0.1 and (self.is_3 and not fixed or "@" not in window):
            return f"predict_linear({window}, {pick(['0', '10', '-3.5', 'scalar(one)'])})"
        return f"{pick(['absent_over_time', function, function, function])}({window})"

    def relabelled(self, depth: int) -> str:
        inner, pick = self.vector(depth), self.rng.choice
        name, source = pick(["job", "code", "new", "__name__"]), pick(["job", "code", "le", "none"])
        if self.rng.random() < 0.4:
            return f'label_join({inner}, "{name}", "-", "{source}", "job")'
        pattern, template = (
            pick(["(.*)", "(a|b)", "(.)(.*)", "5(?P<rest>.*)", ".+", ""]),
            pick(["$1", "x-$2", "${rest}x", "", "fixed", "$$1$"]),
        )
        return f'label_replace({inner}, "{name}", "{template}", "{source}", "{pattern}")'

    def applied(self, depth: int) -> str:
        pick = self.rng.choice
        if self.rng.random() < 0.1:
            return f"{pick(['hour', 'day_of_week', 'year', 'month'])}()"
        return f"{pick(_ELEMENTWISE)}({self.vector(depth)})"

    def ranked(self, depth: int) -> str:
        """Values that are nowhere equal: which of them counts, Prometheus leaves open."""
        pick = self.rng.choice
        by = pick(["", " by (job)", " without (dc)"])
        if self.rng.random() < 0.5:
            label = pick(["v", "job", "code"])
            return f'count_values{by}("{label}", round(clamp({self.vector(depth)}, -99, 99)))'
        values = pick(["one", "sum(g)", "(g != 0) < 100", "h < 100 != 0"])
        return f"{pick(['topk', 'bottomk'])}{by}({pick(['1', '2', '9', '0'])}, {values})"

    def aggregated(self, depth: int) -> str:
        pick = self.rng.choice
        by = pick(
            ["", " by (job)", " by (job, code)", " without (code)", " by (le)", " without (job)"]
        )
        op = pick(
            ["sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile"]
        )
        inner = self.vector(depth)
        if (
            op in {"stddev", "stdvar"} and not self.is_3
        ):  # 3 says NaN of a single infinity, and 2 says 0
            inner = f"(-1e9 < ({inner}) < 1e9)"
        return f"quantile{by}(0.7, {inner})" if op == "quantile" else f"{op}{by}({inner})"

    def arithmetic(self, depth: int) -> str:
        pick = self.rng.choice
        op = pick(["+", "-", "*", "/", "/", "%", "^", "atan2"])
        on = pick(["", "", " on (job)", " ignoring (code)", " on (job, code)"])
        if op == "atan2" and not self.is_3:  # whose results keep the metric's name in 2
            return f'label_replace({self.vector(depth)} atan2 0.5, "__name__", "", "", "")'
        if self.rng.random() < 0.4:
            return f"({self.vector(depth)} {op} {self.number(depth)})"
        return f"({self.vector(depth)} {op}{on} {self.vector(depth)})"

    def compared(self, depth: int) -> str:
        pick = self.rng.choice
        op = pick(["==", "!=", "<", "<=", ">", ">="]) + pick(["", "", " bool"])
        if self.rng.random() < 0.5:
            sides = [self.vector(depth), self.number(depth)]
            self.rng.shuffle(sides)
            return f"({sides[0]} {op} {sides[1]})"
        on = pick(["", " on (job)", " ignoring (code)"])
        return f"({self.vector(depth)} {op}{on} {self.vector(depth)})"

    def sets(self, depth: int) -> str:
        pick = self.rng.choice
        op = pick(["and", "or", "unless"]) + pick(["", " on (job)", " ignoring (code)", " on ()"])
        return f"({self.vector(depth)} {op} {self.vector(depth)})"

    def called(self, depth: int) -> str:
        inner = self.vector(depth)
        pick = self.rng.choice
        return pick(
            [
                f"abs({inner})",
                f"ceil({inner})",
                f"floor({inner})",
                f"round({inner})",
                f"round({inner}, 0.5)",
                f"clamp({inner}, -1, 4)",
                f"clamp_min({inner}, 1)",
                f"clamp_max({inner}, 2)",
                f"absent({inner})",
                f"timestamp({inner})",
                f"-{inner}",
                f"vector(scalar({inner}))",
            ]
        )

    def quantile(self, _: int) -> str:
        pick = self.rng.choice
        q = pick(["0.5", "0.95", "0.99", "1", "0", "1.5", "-1"])
        if self.is_3 and self.rng.random() < 0.3:
            edges = pick(["0, 0.5", "0.05, 0.7", "-1, 2", "0.5, Inf", "0.3, 0.2", "-Inf, 0.1"])
            return f"histogram_fraction({edges}, rate(lat_bucket{self.matchers()}[9]))"
        by = pick([" by (le)", " by (le, job)", " by (job)"])
        rates = f"rate(lat_bucket{self.matchers()}[{pick(['8s', '20s'])}])"
        return f"histogram_quantile({q}, sum{by} ({rates}))"

    def grouped(self, _: int) -> str:
        pick = self.rng.choice
        op = pick(["+", "/", ">", "== bool"])
        if self.rng.random() < 0.5:
            return f"(c_total {op} on (job) group_left ({pick(['', 'dc'])}) h)"
        return f"(h {op} on (job) group_right ({pick(['', 'dc'])}) c_total)"

    def scalars(self, depth: int) -> str:
        return f"vector({self.number(depth)})"

    def number(self, depth: int) -> str:
        pick = self.rng.choice
        if depth > 0 and self.rng.random() < 0.3:
            return f"({self.number(depth - 1)} {pick('+-*/%^')} {self.number(depth - 1)})"
        plain = pick(["0", "1", "2", "0.5", "-1", "3", "time()", "Inf", "1e3", "-2 ^ 2", "pi()"])
        return plain if self.rng.random() < 0.9 else f"scalar({self.selector()})"


def _written(points: Points) -> str:
    return " ".join("_" if point is None else _word(point) for point in points)


def _word(point: float) -> str:
    return "NaN" if math.isnan(point) else "Inf" if math.isinf(point) else repr(point)


def _promtool(folder: Path, series: dict[Labels, Points], cases: list[Case]) -> list[Vector | None]:
    """What promtool computes for each case; None where it ends with an error."""
    impossible = {"labels": "impossible", "value": 1}
    tests = [
        {"expr": text, "eval_time": f"{at}s", "exp_samples": [impossible]} for text, at in cases
    ]
    inputs = [{"series": _text(k), "values": _written(v)} for k, v in series.items()]
    test = {"interval": "1s", "input_series": inputs, "promql_expr_test": tests}
    path = folder / "test.yaml"
    path.write_text(json.dumps({"evaluation_interval": "1s", "tests": [test]}))
    command = [PROMTOOL or "", "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    parts = re.split(r'(?m)^    expr: "', done.stdout + done.stderr)[1:]
    assert len(parts) == len(cases), (done.stdout + done.stderr)[:2000]
    return [_read(part) for part in parts]


def _text(series: Labels) -> str:
    inside = ",".join(f'{k}="{v}"' for k, v in series if k != "__name__")
    return f"{dict(series)['__name__']}{{{inside}}}"


def _read(complaint: str) -> Vector | None:
    got = re.search(r"(?m)^        got: (.*)$", complaint)
    if got is None:
        assert "err: " in complaint, complaint
        return None
    samples = re.findall(r"\{(.*?)\} ([-+]?(?:\d\S*?|Inf|NaN))(?=, |$)", got[1])
    assert samples or got[1] == "nil", complaint
    return {label_set(re.findall(r'(\w+)="(.*?)"', inside)): float(v) for inside, v in samples}


def _engine_3(_: Path, series: dict[Labels, Points], cases: list[Case]) -> list[Vector | None]:
    """What the engine of Prometheus 3 computes for each case; None where it ends with an error."""
    asked = {
        "step_ms": 1000,
        "series": [
            {"labels": dict(k), "values": [None if v is None else _word(v) for v in points]}
            for k, points in series.items()
        ],
        "cases": [(text, at * 1000) for text, at in cases],
    }
    done = subprocess.run(
        [ENGINE_3], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    return [
        None if each is None else {label_set(labels): float(v) for labels, v in each}
        for each in answers
    ]


Oracle = Callable[[Path, dict[Labels, Points], list[Case]], list[Vector | None]]
ORACLES: dict[str, tuple[Oracle, PromqlSemantics]] = {
    "promtool": (_promtool, PROMETHEUS_2),
    "engine-3": (_engine_3, PROMETHEUS_3),
}


def _ours(text: str, store: SeriesStore, at: int, semantics: PromqlSemantics) -> Vector | None:
    try:
        value = evaluate(parse(text), store, at * NS, semantics)
    except EvaluationError:
        return None
    return value if isinstance(value, dict) else {(): value}


def _same(ours: Vector | None, theirs: Vector | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return ours.keys() == theirs.keys() and all(_close(v, theirs[k]) for k, v in ours.items())


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))


def mismatches(seed: int, cases: int, folder: Path, name: str = "promtool") -> list[str]:
    """The cases of one random file in which the two disagree."""
    oracle, semantics = ORACLES[name]
    rng = random.Random(seed)
    series = _random_series(rng)
    store = SeriesStore(retention_s=3600)
    for step in range(STEPS):
        there = [(k, v[step]) for k, v in series.items()]
        store.append(step * NS, [(k, v) for k, v in there if v is not None])
    grammar = _Grammar(rng, is_3=semantics is PROMETHEUS_3)
    asked = [(grammar.vector(), rng.randrange(3, STEPS)) for _ in range(cases)]
    asked[-1] = ("one", STEPS - 1)  # promtool loads no samples after the last instant asked for
    answers = oracle(folder, series, asked)
    return [
        f"seed {seed} at {at}: {text}\n  ours   {ours}\n  theirs {theirs}"
        for (text, at), theirs in zip(asked, answers, strict=True)
        if not _same(ours := _ours(text, store, at, semantics), theirs)
    ]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt: prometheus)")
@pytest.mark.parametrize("seed", range(FILES))
def test_random_expressions_have_the_value_that_prometheus_gives_them(
    seed: int, tmp_path: Path
) -> None:
    assert mismatches(seed, CASES, tmp_path) == []


@pytest.mark.skipif(not ENGINE_3, reason="GAMEDAY_PROMQL3 names no engine of Prometheus 3")
@pytest.mark.parametrize("seed", range(FILES))
def test_random_expressions_have_the_value_that_prometheus_3_gives_them(
    seed: int, tmp_path: Path
) -> None:
    assert mismatches(seed, CASES, tmp_path, "engine-3") == []
