"""The query API beside a real Prometheus 2.42: the same samples, the same questions, the same JSON.

The samples are backfilled into the real one by `promtool tsdb create-blocks-from openmetrics`, and
stand in a run's `samples.jsonl` here. What is compared is the parsed answer, its numbers to 1e-9
relative, and the type and the status of errors.
"""

import json
import math
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gameday.core.clock import NS, SystemClock
from gameday.telemetry.promql import Labels, labels
from tests.support.prometheus import needs_prometheus, prometheus
from tests.support.query_apis import WALL_NS, SampleFile, openmetrics, serving

pytestmark = [needs_prometheus, pytest.mark.timeout(300)]  # two servers, many questions
PROMTOOL = shutil.which("promtool")
SECONDS = 300
BEGIN, END = WALL_NS / NS, WALL_NS / NS + SECONDS - 1
MIDDLE = BEGIN + 150


@dataclass(frozen=True)
class Pair:
    """Both, asked the same."""

    ours: str
    theirs: str

    def ask(
        self, path: str, fields: Mapping[str, Any] | Sequence[tuple[str, Any]], method: str = "GET"
    ) -> tuple[httpx.Response, httpx.Response]:
        with httpx.Client(trust_env=False, timeout=60) as client:
            told = []
            for url in (self.ours, self.theirs):
                if method == "POST":
                    data: dict[str, Any] = {}
                    for key, value in fields.items() if isinstance(fields, Mapping) else fields:
                        data.setdefault(key, []).append(value)
                    told.append(client.post(f"{url}{path}", data=data))
                else:
                    params: Any = fields
                    told.append(client.get(f"{url}{path}", params=params))
        return told[0], told[1]


def series() -> dict[Labels, list[float]]:
    rng = random.Random(16)
    found: dict[Labels, list[float]] = {}
    for path in ("/a", "/b", "/c"):
        for code in ("200", "500"):
            value, points = 0.0, []
            for _ in range(SECONDS):
                value = 0.0 if rng.random() < 0.01 else value + rng.choice([0, 1, 2, 7.5])
                points.append(value)
            found[labels("http_total", path=path, code=code)] = points
        sums = [0.0] * SECONDS
        for le in ("0.1", "0.5", "1", "+Inf"):
            grown = 0.0
            steps = []
            for _ in range(SECONDS):
                grown += rng.choice([0, 0, 1, 3])
                steps.append(grown)
            sums = [a + b for a, b in zip(sums, steps, strict=True)]
            found[labels("lat_bucket", path=path, le=le)] = list(sums)
    special = [math.nan, math.inf, -math.inf, 1e-7, 1.5e-9, 1e21, 2.5e22, 0.1, -0.0, 123456789.25]
    for name in ("x", "y"):
        found[labels("g", job=name)] = [
            rng.choice(special) if rng.random() < 0.1 else rng.uniform(-50, 50)
            for _ in range(SECONDS)
        ]
    for name in ("a", "b", "c"):
        found[labels("r", job=name)] = [rng.uniform(0, 100) for _ in range(SECONDS)]
    found[labels("up", instance='quo"te\\d\n')] = [1.0] * SECONDS
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    every = series()
    file = SampleFile(folder / "run")
    for n in range(SECONDS):
        file.append(n, {key: points[n] for key, points in every.items()})
    (folder / "samples.om").write_text(openmetrics(every))
    (folder / "prometheus").mkdir()
    db = folder / "prometheus" / "db"
    made = [str(PROMTOOL), "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*made, str(folder / "samples.om"), str(db)], check=True, capture_output=True)
    keeps = ["--storage.tsdb.retention.time=20y"]
    with (
        serving(file.settings(prometheus="2")) as ours,
        prometheus(folder / "prometheus", [], more=keeps) as theirs,
    ):
        yield Pair(ours, theirs)


EXPRESSIONS = [
    "1", "1 + 1", "-3.5", "1e21", "1e-7", "NaN", "Inf", "-Inf", "vector(1)", "time()", '"a text"',
    "up", "http_total", 'http_total{code="500"}', 'http_total{path=~"/a|/b"}', "nothing", "g",
    '{__name__=~"http.*"}', 'up{instance!=""}', "http_total[10s]", "g[5s]", "g[5s] offset 3s",
    "sum(rate(http_total[30s]))", "sum by (path) (rate(http_total[30s]))",
    "sum without (code) (increase(http_total[1m]))", "irate(http_total[10s])",
    "delta(g[20s])", "idelta(g[20s])", "deriv(g[20s])", "resets(http_total[2m])",
    "changes(g[1m])", "predict_linear(g[30s], 60)", "avg_over_time(g[15s])",
    "max_over_time(g[15s])", "quantile_over_time(0.9, g[15s])", "stddev_over_time(g[15s])",
    "last_over_time(g[15s])", "count_over_time(g[15s])", "present_over_time(g[15s])",
    "histogram_quantile(0.95, sum by (le) (rate(lat_bucket[30s])))",
    "histogram_quantile(0.5, sum by (le, path) (rate(lat_bucket[1m])))",
    'sum(rate(http_total{code="500"}[30s])) / sum(rate(http_total[30s]))',
    'sum by (path) (rate(http_total{code="500"}[9s])) / on (path) sum by (path) (up)',
    'sum by (path) (http_total{code="500"}) / on (path) group_right () http_total',
    "http_total > 100", "http_total > bool 100", "g == g", "g and on () up", "g unless g > 0",
    "g or http_total", 'http_total{code="200"} - ignoring (code) http_total{code="500"}',
    "topk(1, r)", "bottomk(2, r)", 'count_values("v", up)', "quantile(0.5, http_total)",
    "count(http_total)", "max(g)", "min by (path) (http_total)", "stdvar(g)", "group(up)",
    "absent(nothing)", 'absent(nothing{a="b"})', "absent(up)", "absent_over_time(nothing[1m])",
    "scalar(up)", "abs(g)", "ceil(g)", "floor(g)", "round(g, 0.5)", "clamp(g, 0, 10)",
    "clamp_max(g, 3)", "clamp_min(g, 3)", "exp(g)", "ln(abs(g))", "sqrt(abs(g))", "sgn(g)",
    "sort(http_total)", "sort_desc(http_total)", "timestamp(up)", "hour()", "minute(vector(0))",
    'label_replace(g, "a", "$1-z", "job", "(.*)")', 'label_join(g, "z", "-", "job", "job")',
    "max_over_time(sum(rate(http_total[10s]))[1m:5s])", "avg_over_time(g[1m:7s])[30s:10s]",
    "rate(http_total[1m] @ 1700000100)", "g @ end()", "g @ start()", "sum(g @ 1700000060)",
    "http_total offset 1m", "http_total offset -1m", "http_total / 0", "http_total % 7",
    "2 ^ up", "g atan2 up", "-g", "+g", "count({__name__=~\".+\"})", "g[1m:10s]",
]  # fmt: skip
BAD = [
    ("/api/v1/query", {}),
    ("/api/v1/query", {"query": ""}),
    ("/api/v1/query", {"query": "rate(("}),
    ("/api/v1/query", {"query": "rate(up)"}),
    ("/api/v1/query", {"query": "up", "time": "yesterday"}),
    ("/api/v1/query", {"query": "up", "time": "2023-13-40T00:00:00Z"}),
    ("/api/v1/query", {"query": "up", "timeout": "long"}),
    ("/api/v1/query", {"query": '{__name__=~".*"}'}),
    ("/api/v1/query", {"query": "{}"}),
    ("/api/v1/query", {"query": "http_total + on (path) http_total", "time": MIDDLE}),
    ("/api/v1/query_range", {"query": "up", "end": END, "step": 1}),
    ("/api/v1/query_range", {"query": "up", "start": BEGIN, "step": 1}),
    ("/api/v1/query_range", {"query": "up", "start": BEGIN, "end": END}),
    ("/api/v1/query_range", {"query": "up", "start": END, "end": BEGIN, "step": 1}),
    ("/api/v1/query_range", {"query": "up", "start": BEGIN, "end": END, "step": 0}),
    ("/api/v1/query_range", {"query": "up", "start": BEGIN, "end": END, "step": -5}),
    ("/api/v1/query_range", {"query": "up", "start": BEGIN, "end": END, "step": "1 s"}),
    ("/api/v1/query_range", {"query": "up", "start": 0, "end": 11002, "step": 1}),
    ("/api/v1/query_range", {"query": "up[5s]", "start": BEGIN, "end": END, "step": 1}),
    ("/api/v1/query_range", {"query": '"a"', "start": BEGIN, "end": END, "step": 1}),
    ("/api/v1/series", {}),
    ("/api/v1/series", {"match[]": "rate(up[5s])"}),
    ("/api/v1/series", {"match[]": "up", "start": "x"}),
    ("/api/v1/series", {"match[]": "{}"}),
    ("/api/v1/labels", {"match[]": "{{"}),
    ("/api/v1/labels", {"end": "x"}),
    ("/api/v1/label/job/values", {"match[]": "up["}),
    ("/api/v1/rules", {"type": "odd"}),
]


def same(a: Any, b: Any) -> bool:
    """The same JSON; what looks like a number may differ in its last digits."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if a == b:
        return True
    try:
        return math.isclose(float(a), float(b), rel_tol=1e-9) and math.isfinite(float(a))
    except (TypeError, ValueError):
        return False


def data_of(response: httpx.Response, *, is_sorted: bool) -> Any:
    """The data; a vector that nothing has sorted is put in order."""
    told = json.loads(response.content)
    assert told["status"] == "success", told
    data = told["data"]
    if isinstance(data, dict) and data.get("resultType") == "vector" and not is_sorted:
        data["result"].sort(key=lambda each: json.dumps(each["metric"], sort_keys=True))
    return data


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_instant_queries_are_answered_as_by_prometheus(pair: Pair, method: str) -> None:
    wrong = []
    for expr in EXPRESSIONS:
        ours, theirs = pair.ask("/api/v1/query", {"query": expr, "time": f"{MIDDLE:.3f}"}, method)
        assert ours.headers["content-type"] == theirs.headers["content-type"]
        is_sorted = expr.startswith(("sort", "topk", "bottomk"))
        got = [data_of(each, is_sorted=is_sorted) for each in (ours, theirs)]
        if not same(*got):
            wrong.append((expr, *got))
    assert wrong == []


@pytest.mark.parametrize("step", ["3.5", "7s", "20", "1m"])
def test_ranges_are_answered_as_by_prometheus(pair: Pair, step: str) -> None:
    wrong = []
    for expr in EXPRESSIONS:
        if "[" in expr and expr.endswith("]") or expr.startswith(('"', "g[5s] offset")):
            continue
        fields = {"query": expr, "start": BEGIN - 10, "end": END + 10, "step": step}
        got = [data_of(each, is_sorted=True) for each in pair.ask("/api/v1/query_range", fields)]
        if not same(*got):
            wrong.append((expr, *(str(each)[:3000] for each in got)))
    assert wrong == []


def test_the_text_of_numbers_and_times_is_that_of_prometheus(pair: Pair) -> None:
    """Raw samples are not computed with, so every digit is the same."""
    fields = {"query": 'g{job="x"}', "start": BEGIN, "end": END, "step": "1s"}
    ours, theirs = pair.ask("/api/v1/query_range", fields)
    assert ours.content == theirs.content
    for at in ("1700000100", "1700000100.5", "1700000100.029", "2023-11-14T22:15:00Z",
               "2023-11-14T23:15:00.25+01:00", "1.7000001e9"):  # fmt: skip
        ours, theirs = pair.ask("/api/v1/query", {"query": 'g{job="y"}', "time": at})
        assert ours.content == theirs.content


def test_series_and_labels_are_those_of_prometheus(pair: Pair) -> None:
    span = [("start", BEGIN), ("end", END)]
    asked: list[tuple[str, list[tuple[str, Any]]]] = [
        ("/api/v1/labels", []),
        ("/api/v1/labels", span),
        ("/api/v1/labels", [*span, ("match[]", "up")]),
        ("/api/v1/labels", [*span, ("match[]", "up"), ("match[]", "g")]),
        ("/api/v1/label/__name__/values", span),
        ("/api/v1/label/path/values", [*span, ("match[]", 'http_total{code="200"}')]),
        ("/api/v1/label/none/values", span),
        ("/api/v1/label/job/values", [("start", 0), ("end", 1)]),
        ("/api/v1/series", [*span, ("match[]", "up"), ("match[]", 'g{job="x"}')]),
        ("/api/v1/series", [*span, ("match[]", '{__name__=~"http.+",code!="200"}')]),
        ("/api/v1/series", [*span, ("match[]", "none")]),
    ]
    for method in ("GET", "POST"):
        for path, fields in asked:
            if method == "POST" and path.startswith("/api/v1/label/"):
                continue  # a Prometheus answers them to GET alone
            ours, theirs = (
                json.loads(each.content)["data"] for each in pair.ask(path, fields, method)
            )
            if path.endswith("series"):
                ours, theirs = (sorted(each, key=json.dumps) for each in (ours, theirs))
            assert ours == theirs, (path, fields)


@pytest.mark.parametrize(("path", "fields"), BAD, ids=[f"{p} {f}" for p, f in BAD])
def test_errors_have_the_type_and_the_status_of_prometheus(
    pair: Pair, path: str, fields: dict[str, Any]
) -> None:
    ours, theirs = pair.ask(path, fields)
    assert ours.status_code == theirs.status_code
    told, real = json.loads(ours.content), json.loads(theirs.content)
    assert (told["status"], told["errorType"]) == (real["status"], real["errorType"])
    assert told["error"]


RULES = """
groups:
  - name: shop
    interval: 1s
    limit: 7
    rules:
      - record: job:one
        expr: vector(1)
        labels: {team: shop}
      - alert: Fires
        expr: vector(4.5) > 1
        labels: {severity: page, of: "{{ $value }}"}
        annotations: {summary: "{{ $value }} of {{ $labels.severity }}"}
      - alert: Waits
        expr: |
          vector(1)   >
            0
        for: 90m
        keep_firing_for: 1m30s
      - alert: Never
        expr: vector(1) > 2
      - alert: Fails
        expr: label_replace(vector(1), "a", "$1", "b", "(.*)") * on (a) group_left () job:pair
      - record: job:bare
        expr: sum(job:one) by (team)
  - name: pairs
    interval: 1s
    rules:
      - {record: job:pair, expr: vector(1), labels: {side: left}}
      - {record: job:pair, expr: vector(1), labels: {side: right}}
  - name: printed
    interval: 1s
    rules:
%s
"""
PRINTED = (
    "sum(x) by (a,b)", "rate(x{a='b'}[5m:1m] offset 3s)>bool 1e3", "-x", "(x+y)*z", "x @ end()",
    "topk(3,x) without()", "x and ignoring(a) y", "x offset -5m", "time()", "0x1f", "NaN",
    "histogram_quantile(0.95, sum by(le)(rate(x[90s])))>0.1", "x ^ -y", "x==2",
    '{__name__=~"x.*"}', r'x{a=~"b\\.c", d!="\"q"}', "count_values('v', x)",
    "x * on(a) group_right(b) y", "quantile without(a,b) (.5, x)", "x @ 1609746000.5",
    "max_over_time(x[1d:])", "x == bool on() y",
)  # fmt: skip
RULES %= "\n".join(
    f"      - {{record: job:printed{n}, expr: {json.dumps(text)}}}"
    for n, text in enumerate(PRINTED)
)
OURS = ("file", "lastError")  # a name without its place, and words of our own
TIMED = ("evaluationTime", "lastEvaluation", "activeAt")


def without_times(told: Any) -> Any:
    """The same, with the kind of what differs by the clock, and in the order of names."""
    if isinstance(told, Mapping):
        return {
            key: type(value).__name__ if key in TIMED else without_times(value)
            for key, value in sorted(told.items())
            if key not in OURS
        }
    return [without_times(each) for each in told] if isinstance(told, list) else told


def test_rules_and_alerts_are_told_as_by_prometheus(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "run", RULES)
    clock = SystemClock()
    with (
        serving(file.settings(is_over=False)) as ours,
        prometheus(tmp_path / "prometheus", [], rules=RULES) as theirs,
    ):
        for second in range(3):
            file.append(second, {})
        pair = Pair(ours, theirs)
        deadline_ns = clock.now_ns() + 30 * NS
        while True:
            answers = [each.json() for each in pair.ask("/api/v1/rules", {})]
            here, there = (without_times(each) for each in answers)
            if here == there or clock.now_ns() > deadline_ns:
                break
            clock.pause(0.1)
        assert here == there
        rules = [rule for group in answers[0]["data"]["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok", "err"}
        assert all(0 < rule["evaluationTime"] < 5 for rule in rules)
        for kind in ("alert", "record"):
            told = [each.json()["data"] for each in pair.ask("/api/v1/rules", {"type": kind})]
            # Prometheus 2.42, Debian's, tells of groups without rules too.
            with_rules = [[g for g in each["groups"] if g["rules"]] for each in told]
            assert len(told[0]["groups"]) == len(with_rules[0])
            assert without_times(with_rules[0]) == without_times(with_rules[1])
        here, there = (without_times(each.json()) for each in pair.ask("/api/v1/alerts", {}))
        assert sorted(map(str, here["data"]["alerts"])) == sorted(map(str, there["data"]["alerts"]))


def test_promtool_asks_it_as_it_asks_a_prometheus(pair: Pair) -> None:
    begin, end = f"{BEGIN:.3f}", f"{END:.3f}"
    asked = [
        ["instant", "--time", f"{MIDDLE:.3f}", "URL", "sort(http_total)"],
        ["range", "--start", begin, "--end", end, "--step", "30s", "URL", 'g{job="x"}'],
        ["series", "--start", begin, "--end", end, "--match", "http_total", "URL"],
        ["labels", "--start", begin, "--end", end, "URL", "path"],
    ]
    for words in asked:
        told = []
        for url in (pair.ours, pair.theirs):
            argv = [str(PROMTOOL), "query", *(url if word == "URL" else word for word in words)]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
            told.append(sorted(done.stdout.splitlines()))
        assert told[0] == told[1], words
        assert told[0]
