"""Rule files that people publish, held to promtool: which load, and whether values are the same.

    python -m tests.matrices.public_rules FOLDER [--values]

FOLDER holds rule files that somebody has fetched: of node_exporter, kube-prometheus, the exporters
of Redis and PostgreSQL, awesome-prometheus-alerts, sloth. None of them is ours to commit. A file
that `promtool check rules` refuses is rightly refused here. With `--values` every rule is evaluated
over made-up series of the metrics that it names, and beside it by `promtool test rules`. Exit code
1 when fewer than 95 % of the rules that promtool takes load here, or a value differs.
"""

import json
import math
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from gameday.core.clock import NS
from gameday.core.errors import GamedayError
from gameday.telemetry.alerts.rules import RuleFile, load_rules
from gameday.telemetry.promql import (
    PROMETHEUS_2,
    EvaluationError,
    InstantEvaluator,
    Labels,
    Query,
    SeriesStore,
    label_set,
)
from gameday.telemetry.promql.nodes import Aggregation, BinaryExpression, Node, children, selectors

PROMTOOL = shutil.which("promtool")
AIM: Final = 0.95
STEP_S, STEPS, AT_S = 15, 60, 840
MOST_SERIES: Final = 40  # of one rule
OF_PROMETHEUS_3: Final = ("labels", "query_offset")  # keys of a group that Debian's promtool lacks
_RULE = re.compile(r"^\s*-?\s*['\"]?(?:alert|record)['\"]?\s*:", re.MULTILINE)
_PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
IMPOSSIBLE: Final = {"labels": "impossible", "value": 4711}
Series = dict[Labels, list[float]]
# As promtool's own tests have it: without a step, a subquery has that of the evaluation.
SEMANTICS: Final = replace(PROMETHEUS_2, evaluation_s=60.0)


@dataclass
class Tally:
    """What became of the rules of one repository."""

    files: int = 0
    rules: int = 0
    loaded: int = 0
    refused_by_both: int = 0
    values: int = 0
    empty: int = 0
    wrong: list[str] = field(default_factory=list)


def rule_files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The files that have rules in them, and how many."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in {".yml", ".yaml", ".rules"}:
            count = len(_RULE.findall(path.read_text("utf-8", "replace")))
            if count:
                yield path, count


def promtool_takes(path: Path) -> bool:
    """Whether promtool takes the file as it is, or the `spec` of its Kubernetes objects."""
    try:
        documents = [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each]
    except (yaml.YAMLError, ValueError):
        return False
    if not documents or not all(isinstance(each, dict) for each in documents):
        return False
    specs = [each.get("spec") for each in documents if each.get("kind") == "PrometheusRule"]
    if not specs:
        return _takes(documents[0], OF_PROMETHEUS_3)
    return all(_takes(each, (*OF_PROMETHEUS_3, "partial_response_strategy")) for each in specs)


def _takes(document: Any, passed_over: Sequence[str]) -> bool:
    groups = document.get("groups") if isinstance(document, dict) else None
    for group in groups or []:
        for key in passed_over if isinstance(group, dict) else ():
            group.pop(key, None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rules.yml")
        path.write_text(yaml.safe_dump(document))
        argv = [str(PROMTOOL), "check", "rules", "--lint=none", str(path)]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    return done.returncode == 0 and b" 0 rules found" not in done.stdout


def made_up(query: Query, rng: random.Random) -> Series:
    """Series that the selectors of an expression find, with labels that its matching needs."""
    names = sorted(_names(query.node))[:8]
    found: Series = {}
    for selector in selectors(query.node):
        for n in range(2):
            pairs = {name: f"v{n}" for name in names}
            for matcher in selector.matchers:
                pairs[matcher.name] = _accepted(matcher.name, matcher.op, matcher.value, n)
            pairs.setdefault("__name__", "some_metric")
            if "le" in pairs or pairs["__name__"].endswith("_bucket"):
                total = [0.0] * STEPS
                for le in ("0.1", "1", "+Inf"):
                    total = [a + b for a, b in zip(total, _points(rng, "x_total"), strict=True)]
                    _add(found, {**pairs, "le": le}, total)
            else:
                _add(found, pairs, _points(rng, pairs["__name__"]))
    return found


def _add(found: Series, pairs: dict[str, str], points: list[float]) -> None:
    labels = label_set(pairs)
    if len(found) < MOST_SERIES and labels not in found:
        found[labels] = list(points)


def _names(node: Node) -> set[str]:
    """The labels that aggregations and matching speak of."""
    own: set[str] = set()
    if isinstance(node, Aggregation):
        own = set(node.names)
    if isinstance(node, BinaryExpression):
        own = {*node.matching.names, *node.matching.include}
    return own.union(*(_names(child) for child in children(node))) - {"__name__", "le"}


def _accepted(name: str, op: str, value: str, n: int) -> str:
    """A value that a matcher accepts, as far as that is easily found."""
    if op == "=":
        return value
    if op == "=~":
        first = re.split(r"[|]", re.sub(r"[\^$()?:]", "", value))
        text = re.sub(r"\.[*+]|\[[^]]*\][*+]?|\\.", "a", first[min(n, len(first) - 1)])
        return text or ("a_metric" if name == "__name__" else "")
    return "a_metric" if name == "__name__" else f"other{n}"


def _points(rng: random.Random, name: str) -> list[float]:
    if re.search("_(total|count|sum|bucket)$", name):
        value, out = 0.0, []
        for _ in range(STEPS):
            value += rng.choice([0, 1, 2, 30])
            out.append(value)
        return out
    low, high = rng.choice([(0, 1), (0, 100), (0, 3)])
    return [float(rng.randint(low, high)) for _ in range(STEPS)]


def ours(query: Query, series: Series) -> dict[Labels, float] | float | str:
    """The value here, or why there is none."""
    store = SeriesStore(retention_s=1e8)
    for n in range(STEPS):
        store.append(n * STEP_S * NS, [(k, points[n]) for k, points in series.items()])
    moment = InstantEvaluator(store, AT_S * NS, SEMANTICS)
    try:
        return moment.value(query.node)
    except EvaluationError as error:
        return f"error: {error.message}"


def theirs(queries: Sequence[Query], series: Sequence[Series]) -> list[dict[Labels, float] | str]:
    """What promtool has for each: one call for a whole file."""
    tests = [
        {
            "interval": f"{STEP_S}s",
            "input_series": [
                {"series": _text(k), "values": " ".join(f"{v:g}" for v in points)}
                for k, points in each.items()
            ],
            "promql_expr_test": [
                {"expr": query.text, "eval_time": f"{AT_S}s", "exp_samples": [IMPOSSIBLE]}
            ],
        }
        for query, each in zip(queries, series, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test.json")
        path.write_text(json.dumps({"evaluation_interval": "1m", "tests": tests}))
        argv = [str(PROMTOOL), "test", "rules", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    said = done.stdout + done.stderr
    parts = re.split(r'(?m)^    expr: "', said)[1:]
    if len(parts) != len(queries):
        raise SystemExit(f"promtool does not say as much as it was asked: {said[:2000]}")
    return [_parsed(part) for part in parts]


def _text(labels: Labels) -> str:
    inside = ", ".join(
        f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in labels if k != "__name__"
    )
    return f"{dict(labels).get('__name__', '')}{{{inside}}}"


def _parsed(complaint: str) -> dict[Labels, float] | str:
    got = re.search(r"(?m)^        got: (.*)$", complaint)
    if got is None:
        return complaint.strip()[-300:]
    samples = re.findall(r"\{(.*?)\} ([-+]?(?:\d\S*?|Inf|NaN))(?=, |$)", got[1])
    return {
        label_set({k: json.loads(f'"{v}"') for k, v in _PAIR.findall(inside)}): float(value)
        for inside, value in samples
    }


def same(a: dict[Labels, float] | float | str, b: dict[Labels, float] | str) -> bool:
    """Equal to 1e-9 relative; two errors are equal."""
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str)
    mine: dict[Labels, float] = a if isinstance(a, dict) else {(): a}
    return mine.keys() == b.keys() and all(
        mine[key] == b[key]
        or math.isclose(mine[key], b[key], rel_tol=1e-9)
        or (math.isnan(mine[key]) and math.isnan(b[key]))
        for key in b
    )


def compare(file: RuleFile, tally: Tally) -> None:
    """Evaluate every rule of a file here and by promtool."""
    queries = file.queries
    rng = random.Random(len(queries))
    series = [made_up(query, rng) for query in queries]
    for query, each, real in zip(queries, series, theirs(queries, series), strict=True):
        mine = ours(query, each)
        tally.values += 1
        tally.empty += real == {}
        if not same(mine, real):
            tally.wrong.append(f"{file.path}: {query.text}\n  ours {mine}\n  theirs {real}")


def tallied(folder: Path, *, with_values: bool) -> dict[str, Tally]:
    """The tally of each folder in the folder."""
    found: dict[str, Tally] = {}
    for path, count in rule_files(folder):
        tally = found.setdefault(path.relative_to(folder).parts[0], Tally())
        try:
            file = load_rules(path)
        except GamedayError as error:
            if promtool_takes(path):
                tally.files += 1
                tally.rules += count
                print(f"refused: {error.message}")
            else:
                tally.refused_by_both += 1
            continue
        loaded = sum(len(group.rules) for group in file.groups)
        tally.files += 1
        tally.rules += loaded
        tally.loaded += loaded
        if with_values and loaded:
            compare(file, tally)
    return found


def main(argv: Sequence[str]) -> int:
    """Print a table; 1 where too few load, or a value differs."""
    words = [each for each in argv if not each.startswith("-")]
    if PROMTOOL is None or len(words) != 1:
        print(__doc__)
        return 2
    found = tallied(Path(words[0]), with_values="--values" in argv)
    print("| rules of | files | rules | loaded | refused as by promtool | values | empty | wrong |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, each in found.items():
        print(
            f"| {name} | {each.files} | {each.rules} | {each.loaded} | {each.refused_by_both}"
            f" | {each.values} | {each.empty} | {len(each.wrong)} |"
        )
    for line in [line for each in found.values() for line in each.wrong]:
        print(line)
    rules, loaded = (sum(getattr(t, key) for t in found.values()) for key in ("rules", "loaded"))
    print(f"{loaded} of {rules} rules load: {100 * loaded / max(rules, 1):.2f} %")
    return int(loaded < AIM * rules or any(each.wrong for each in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
