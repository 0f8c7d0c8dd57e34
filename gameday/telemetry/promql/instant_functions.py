"""Functions of instant vectors and numbers."""

import math
from collections.abc import Callable, Sequence

from gameday.telemetry.promql import dates
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


def _real(function: Callable[[float], float], poles: dict[float, float]) -> Elementwise:
    """A function of real numbers with IEEE 754's answers where Python raises."""

    def real(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return poles.get(value, math.nan)
        except OverflowError:
            return -math.inf if function is math.sinh and value < 0 else math.inf

    return real


def _sign(value: float) -> float:
    return value if value == 0 or math.isnan(value) else math.copysign(1.0, value)


_REAL: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "ln": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sqrt": math.sqrt,
    "deg": lambda value: value * 180 / math.pi,
    "rad": lambda value: value * math.pi / 180,
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: getattr(math, name) for name in ("sinh", "cosh", "tanh", "asinh", "acosh", "atanh")},
}
_POLES: dict[str, dict[float, float]] = {
    **{name: {0.0: -math.inf} for name in ("ln", "log2", "log10")},
    "atanh": {1.0: math.inf, -1.0: -math.inf},
}
ELEMENTWISE: dict[str, Elementwise] = {
    "abs": abs,
    "ceil": _ceil,
    "floor": _floor,
    "round": _round,
    "clamp": _clamp,
    "clamp_min": _at_least,
    "clamp_max": _at_most,
    "sgn": _sign,
    **{name: _real(function, _POLES.get(name, {})) for name, function in _REAL.items()},
    **dates.PARTS,
}


Args = Sequence[float | Vector]


def _scalar(args: Args) -> float:
    """The value of the only element; NaN where there is none or more than one."""
    vector = _as_vector(args[0])
    return next(iter(vector.values())) if len(vector) == 1 else math.nan


def _vector(args: Args) -> Vector:
    return {EMPTY: _as_number(args[0])}


def _sort(args: Args) -> Vector:
    vector = _as_vector(args[0])
    return dict(sorted(vector.items(), key=lambda e: (math.isnan(e[1]), e[1])))


def _sort_desc(args: Args) -> Vector:
    vector = _as_vector(args[0])
    return dict(sorted(vector.items(), key=lambda e: (math.isnan(e[1]), -e[1])))


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
    "sort": _sort,
    "sort_desc": _sort_desc,
    "pi": lambda _: math.pi,
}
HISTOGRAM = frozenset({"histogram_quantile", "histogram_fraction"})
RELABELLING = frozenset({"label_join", "label_replace"})
NAMES = (*ELEMENTWISE, *WHOLE, *HISTOGRAM, *RELABELLING, "absent", "time", "timestamp")
"""Every function but those of ranges."""
