"""The JSON of answers, to the letter as Prometheus writes it.

Numbers stand in texts, because JSON has no NaN; a time is a number of seconds with three decimals
or none. Answers are put together as text: they have up to a million numbers.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from gameday.telemetry.promql import Labels

_MS: Final = 1_000_000
_SMALLEST, _LARGEST = 1e-6, 1e21  # outside of these Go writes an exponent
_NO_TIME: Final = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """The `data` of an answer as JSON, and warnings beside it."""

    data: str
    warnings: Sequence[str] = ()

    @property
    def text(self) -> str:
        """The whole answer."""
        extra = f',"warnings":{to_json(list(self.warnings))}' if self.warnings else ""
        return f'{{"status":"success","data":{self.data}{extra}}}'


def to_json(value: object) -> str:
    """The JSON of a plain value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def labels_json(labels: Labels) -> str:
    """The object of a label set."""
    return to_json(dict(labels))


def point_json(t_ms: int, value: float) -> str:
    """A sample: its time and its value."""
    return f'[{time_json(t_ms)},"{number_text(value)}"]'


def points_json(points: Iterable[tuple[int, float]]) -> str:
    """Samples, one after the other."""
    return f"[{','.join([point_json(t_ms, value) for t_ms, value in points])}]"


def time_json(t_ms: int) -> str:
    """Seconds, with three decimals where there are any."""
    seconds, fraction = divmod(abs(t_ms), 1000)
    sign = "-" if t_ms < 0 else ""
    return f"{sign}{seconds}.{fraction:03d}" if fraction else f"{sign}{seconds}"


def number_text(value: float) -> str:
    """A number as Go's `strconv.FormatFloat` writes it with all its digits, and no more."""
    if not math.isfinite(value):
        return _not_finite(value)
    text = repr(float(value))
    if "e" not in text:
        return text.removesuffix(".0")
    size = abs(value)
    if size < _SMALLEST or size >= _LARGEST:
        return text.replace(".0e", "e")
    return format(Decimal(text), "f")


def exponent_text(value: float) -> str:
    """The same with an exponent, as the values of alerts are written."""
    if not math.isfinite(value):
        return _not_finite(value)
    _, digits, shift = Decimal(repr(float(value))).normalize().as_tuple()
    mantissa = "".join(map(str, digits))
    exponent = len(digits) - 1 + int(shift) if value else 0
    fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    sign = "-" if math.copysign(1, value) < 0 else ""
    return f"{sign}{mantissa[0]}{fraction}e{exponent:+03d}"


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def rfc3339(wall_ns: int | None) -> str:
    """An instant as text; Go's zero time for none."""
    if wall_ns is None:
        return _NO_TIME
    seconds, fraction = divmod(wall_ns, 1_000_000_000)
    try:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return _NO_TIME
    decimals = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{text}{decimals}Z"
