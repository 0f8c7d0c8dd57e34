"""`histogram_quantile` and `histogram_fraction` of classic histograms, as Prometheus has them.

Buckets are cumulative counts up to `le`. Within the bucket in which the rank falls, values are
taken to be spread evenly. Rates of buckets scraped at different moments may decrease with
`le`; then the greatest count so far stands in.
"""

import math

from gameday.telemetry.promql.arithmetic import divide
from gameday.telemetry.promql.labels import Labels, drop, value_of

Vector = dict[Labels, float]
Bucket = tuple[float, float]

CLOSE = 1e-12
"""Of a count: a difference below it is rounding."""

_DROPPED = frozenset({"le"})


def histograms(vector: Vector) -> dict[Labels, list[Bucket]]:
    """The buckets of each histogram, by its labels without `le`."""
    found: dict[Labels, list[Bucket]] = {}
    for labels, count in vector.items():
        bound = upper_edge(value_of(labels, "le"))
        if bound is not None:
            found.setdefault(drop(labels, _DROPPED), []).append((bound, count))
    return found


def upper_edge(text: str) -> float | None:
    """The number that a label `le` says; None where it says none."""
    try:
        return None if "_" in text or text != text.strip() else float(text)
    except ValueError:
        return None


def bucket_fraction(lower: float, upper: float, buckets: list[Bucket]) -> float:
    """The share of observations between two values; NaN without a +Inf bucket."""
    merged = _coalesced(sorted(buckets, key=lambda bucket: bucket[0]))
    everything = merged[-1][1]
    if merged[-1][0] != math.inf or everything == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    return divide(_rank(upper, merged) - _rank(lower, merged), everything)


def _rank(value: float, buckets: list[Bucket]) -> float:
    """The number of observations below a value, spread evenly within its bucket."""
    start, below = (0.0 if buckets[0][0] > 0 else -math.inf), 0.0
    everything = buckets[-1][1]
    for end, count in buckets:
        if start >= value:
            return min(below, everything)
        if end > value:
            if start == -math.inf:
                return min(count, everything)
            return min(below + (count - below) * ((value - start) / (end - start)), everything)
        start, below = end, count
    return everything


def bucket_quantile(q: float, buckets: list[Bucket]) -> float:
    """The φ-quantile of one histogram; NaN without a +Inf bucket or without observations."""
    if math.isnan(q) or q < 0 or q > 1:
        return q if math.isnan(q) else math.copysign(math.inf, q)
    merged = _monotonic(_coalesced(sorted(buckets, key=lambda bucket: bucket[0])))
    if merged[-1][0] != math.inf or len(merged) < 2 or merged[-1][1] == 0:
        return math.nan
    rank = q * merged[-1][1]
    at = next((i for i, (_, c) in enumerate(merged[:-1]) if c >= rank), len(merged) - 1)
    if at == len(merged) - 1:
        return merged[-2][0]
    start, below = merged[at - 1] if at else (0.0, 0.0)
    end, count = merged[at]
    if at == 0 and end <= 0:
        return end
    if count == below:
        return math.nan
    return start + (end - start) * ((rank - below) / (count - below))


def _coalesced(buckets: list[Bucket]) -> list[Bucket]:
    """Buckets with the same bound, written differently, count together."""
    merged: list[Bucket] = []
    for bound, count in buckets:
        if merged and merged[-1][0] == bound:
            merged[-1] = (bound, merged[-1][1] + count)
        else:
            merged.append((bound, count))
    return merged


def _monotonic(buckets: list[Bucket]) -> list[Bucket]:
    """Counts that never decrease."""
    out = buckets[:1]
    for bound, count in buckets[1:]:
        before = out[-1][1]
        close = abs(count - before) <= CLOSE * max(abs(count), abs(before))
        out.append((bound, before if count < before or close else count))
    return out
