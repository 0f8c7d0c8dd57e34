"""Functions of instant vectors and numbers."""

import math
from collections.abc import Callable, Sequence

from gameday.telemetry.promql.histograms import histogram_quantile
from gameday.telemetry.promql.labels import EMPTY, Labels

Vector = dict[Labels, float]
Elementwise = Callable[..., float | None]


def _round(value: float, to: float = 1.0) -> float:
    if to == 0 or math.isinf(to):
        return math.nan
    inverse = 1.0 / to
    scaled = value * inverse + 0.5
    return (math.floor(scaled) if math.isfinite(scaled) else scaled) / inverse


def _ceil(value: float) -> float:
    return float(math.ceil(value)) if math.isfinite(value) else value


def _floor(value: float) -> float:
    return float(math.floor(value)) if math.isfinite(value) else value


def _at_least(value: float, low: float) -> float:
    return math.nan if math.isnan(value) or math.isnan(low) else max(value, low)


def _at_most(value: float, high: float) -> float:
    return math.nan if math.isnan(value) or math.isnan(high) else min(value, high)


def _clamp(value: float, low: float, high: float) -> float | None:
    return None if low > high else _at_least(_at_most(value, high), low)


ELEMENTWISE: dict[str, Elementwise] = {
    "abs": abs,
    "ceil": _ceil,
    "floor": _floor,
    "round": _round,
    "clamp": _clamp,
    "clamp_min": _at_least,
    "clamp_max": _at_most,
}


Args = Sequence[float | Vector]


def _scalar(args: Args) -> float:
    """The value of the only element; NaN where there is none or more than one."""
    vector = _as_vector(args[0])
    return next(iter(vector.values())) if len(vector) == 1 else math.nan


def _vector(args: Args) -> Vector:
    return {EMPTY: _as_number(args[0])}


def _histogram_quantile(args: Args) -> Vector:
    return histogram_quantile(_as_number(args[0]), _as_vector(args[1]))


def _as_vector(value: float | Vector) -> Vector:
    if not isinstance(value, dict):
        raise TypeError(f"{value} is not a vector")
    return value


def _as_number(value: float | Vector) -> float:
    if isinstance(value, dict):
        raise TypeError("a vector is not a number")
    return value


WHOLE: dict[str, Callable[[Args], float | Vector]] = {
    "scalar": _scalar,
    "vector": _vector,
    "histogram_quantile": _histogram_quantile,
}
NAMES = (*ELEMENTWISE, *WHOLE, "absent", "time", "timestamp")
