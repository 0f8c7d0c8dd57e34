"""Two runs of one experiment, figure by figure, with the noise between repeats respected.

Two runs of the same thing never measure quite the same. So a difference counts only when it is
larger than what repeats differ by without any reason. Repeats are earlier runs with the inputs of
one of the two, which went through. Of their figures comes a limit: the width of a 95 % prediction
interval for the difference of two single runs, t · s · √2, with s pooled within the groups of equal
inputs and Student's t of its degrees of freedom (NIST/SEMATECH e-Handbook of Statistical Methods,
7.3.1, with single runs in place of means); never less than the widest spread of one group, and
never less than what one run can tell at all. With fewer than three degrees of freedom nothing is
said of noise: a limit from two runs would be wider than any difference that matters.

Words are no figures: a verdict that repeats have had both ways is no difference either.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from gameday.judge.result import Result

Finding = Literal["same", "within", "differs", "unknown"]
Unit = Literal["s", "ms", "share", "number", "per_s"]

LEAST_FREEDOM: Final = 3
MOST_REPEATS: Final = 50  # the newest ones: what is older was of another machine or service
# Two-sided 95 % points of Student's t by degrees of freedom (NIST, 1.3.6.7.2); 1.96 in the end.
_T95: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_CLOCKS: Final = ("detected", "acknowledged", "mitigated", "recovered")
_DURATION: Final = "http_req_duration_intended"
_OLD_DURATION: Final = "http_req_duration"
_PERCENTILES: Final = {"p50": "med", "p90": "p(90)", "p95": "p(95)", "p99": "p(99)"}


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a run: its name, its unit, and how to read it from a result.

    `floor` is the least difference that two runs can show: clocks turn at evaluations, which are a
    second apart, and a timestamp of a request is good to a millisecond under load.
    """

    name: str
    unit: Unit
    read: Callable[[Result], float | None]
    floor: float
    lower_is_better: bool | None = True


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in both runs. `limit` is the noise, None where it is not known.

    `repeats` is how many earlier runs have the figure; `better` is None where nobody can say so.
    """

    name: str
    unit: Unit
    before: float | None
    after: float | None
    finding: Finding
    limit: float | None
    repeats: int
    better: bool | None = None

    @property
    def change(self) -> float | None:
        """After minus before, where both are known."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class WordDifference:
    """A verdict in both runs, None where the check did not apply, and the repeats by verdict."""

    name: str
    before: str | None
    after: str | None
    finding: Finding
    repeats: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it; `repeats` is the number of earlier runs that tell of the noise."""

    verdict: WordDifference
    checks: Sequence[WordDifference]
    clocks: Sequence[Difference]
    traffic: Sequence[Difference]
    repeats: int

    @property
    def every(self) -> Sequence[Difference | WordDifference]:
        """All lines in their order."""
        return [self.verdict, *self.checks, *self.clocks, *self.traffic]

    @property
    def differing(self) -> Sequence[Difference | WordDifference]:
        """The lines that differ by more than noise."""
        return [each for each in self.every if each.finding == "differs"]

    @property
    def unknown(self) -> Sequence[Difference | WordDifference]:
        """The lines that differ, where nobody knows the noise."""
        return [each for each in self.every if each.finding == "unknown"]


def clock_measures() -> Sequence[Measure]:
    """When the damage began, and how long after it each turn came."""
    turns = [Measure(name, "s", _clock(name), 1.0) for name in _CLOCKS]
    damage = Measure("damage", "s", lambda result: result.clocks.damage_at, 1.0, None)
    return [damage, *turns]


def traffic_measures(results: Sequence[Result]) -> Sequence[Measure]:
    """Latency, failures and rates of the traffic: in the whole, and within each window of a fault.

    The windows are those that one of the results has.
    """
    windows = dict.fromkeys(
        name.partition("{window:")[2].rstrip("}")
        for result in results
        for name in (result.traffic.metrics if result.traffic else ())
        if name.startswith(f"{_DURATION}{{window:") and name.endswith("}")
    )
    found = []
    for window in ("", *windows):
        tag, label = (f"{{window:{window}}}", f" {window}") if window else ("", "")
        found += [
            Measure(f"{short}{label}", "ms", _percentile(tag, figure), 1.0)
            for short, figure in _PERCENTILES.items()
        ]
        failed = _metric(f"http_req_failed{tag}", "rate")
        found.append(Measure(f"failed{label}", "share", failed, 0.001))
    found.append(Measure("requests", "per_s", _metric("http_reqs", "rate"), 0.1, None))
    found.append(Measure("dropped", "number", _dropped, 1.0))
    return found


def _clock(name: str) -> Callable[[Result], float | None]:
    return lambda result: result.clocks.after_s(name)


def _metric(name: str, figure: str) -> Callable[[Result], float | None]:
    def read(result: Result) -> float | None:
        return None if result.traffic is None else result.traffic.metrics.get(name, {}).get(figure)

    return read


def _percentile(tag: str, figure: str) -> Callable[[Result], float | None]:
    """From when a request was due; the first versions have it from the send alone."""
    due, sent = _metric(_DURATION + tag, figure), _metric(_OLD_DURATION + tag, figure)

    def read(result: Result) -> float | None:
        found = due(result)
        return sent(result) if found is None else found

    return read


def _dropped(result: Result) -> float | None:
    return None if result.traffic is None else result.traffic.dropped


def compare(before: Result, after: Result, groups: Sequence[Sequence[Result]]) -> Comparison:
    """Hold two results against each other.

    `groups` are earlier runs of the experiment, each group of equal inputs: those of `before`, and
    those of `after` where they have others.
    """
    repeats = [result for group in groups for result in group]
    names = dict.fromkeys(check.name for each in (before, after) for check in each.checks)
    return Comparison(
        verdict=_words("verdict", lambda result: result.verdict, (before, after), repeats),
        checks=[_words(name, _check(name), (before, after), repeats) for name in names],
        clocks=[difference(each, before, after, groups) for each in clock_measures()],
        traffic=[
            difference(each, before, after, groups) for each in traffic_measures([before, after])
        ],
        repeats=len(repeats),
    )


def _check(name: str) -> Callable[[Result], str | None]:
    def read(result: Result) -> str | None:
        return next((check.verdict for check in result.checks if check.name == name), None)

    return read


def _words(
    name: str,
    read: Callable[[Result], str | None],
    pair: tuple[Result, Result],
    repeats: Sequence[Result],
) -> WordDifference:
    before, after = map(read, pair)
    counted = Counter(word for each in repeats if (word := read(each)) is not None)
    finding: Finding = "differs"
    if before == after:
        finding = "same"
    elif len(repeats) <= LEAST_FREEDOM:
        finding = "unknown"
    elif before in counted and after in counted:
        finding = "within"
    return WordDifference(name, before, after, finding, dict(counted))


def difference(
    measure: Measure, before: Result, after: Result, groups: Sequence[Sequence[Result]]
) -> Difference:
    """One figure of both, beside what repeats of each differ by."""
    was, now = _finite(measure.read(before)), _finite(measure.read(after))
    read = [[_finite(measure.read(each)) for each in group] for group in groups]
    values = [[value for value in group if value is not None] for group in read]
    limit = noise(values, measure.floor)
    finding: Finding
    if was is None or now is None:
        finding = _absence(was, now, read)
    elif was == now:
        finding = "same"
    elif abs(now - was) <= measure.floor:
        finding = "within"
    elif limit is None:
        finding = "unknown"
    else:
        finding = "within" if abs(now - was) <= limit else "differs"
    return Difference(
        name=measure.name,
        unit=measure.unit,
        before=was,
        after=now,
        finding=finding,
        limit=limit,
        repeats=sum(map(len, values)),
        better=_better(measure, was, now) if finding == "differs" else None,
    )


def _absence(
    was: float | None, now: float | None, read: Sequence[Sequence[float | None]]
) -> Finding:
    """A figure that one of the two does not have: no difference where repeats lack it at times."""
    if was is None and now is None:
        return "same"
    every = [value for group in read for value in group]
    if len(every) <= LEAST_FREEDOM:
        return "unknown"
    lacking = sum(value is None for value in every)
    return "within" if 0 < lacking < len(every) else "differs"


def _better(measure: Measure, was: float | None, now: float | None) -> bool | None:
    if measure.lower_is_better is None or (was is None and now is None):
        return None
    if was is None or now is None:
        return now is not None  # a turn that never came is worse than any that did
    return (now < was) == measure.lower_is_better


def noise(groups: Sequence[Sequence[float]], floor: float) -> float | None:
    """The least difference that repeats do not explain; None where too few are known."""
    freedom = sum(len(group) - 1 for group in groups if group)
    if freedom < LEAST_FREEDOM:
        return None
    squares = sum(float(np.sum((np.array(g) - np.mean(g)) ** 2)) for g in groups if g)
    expected = student_t95(freedom) * math.sqrt(2 * squares / freedom)
    spread = max(max(group) - min(group) for group in groups if group)
    return max(floor, spread, expected)


def student_t95(freedom: int) -> float:
    """The two-sided 95 % point of Student's t."""
    return _T95[freedom - 1] if freedom <= len(_T95) else 1.96 * (1 + 1.25 / freedom)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
