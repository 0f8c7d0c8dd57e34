"""One chart: axes with units, curves, a legend, shaded windows, and marks with labels.

Labels of windows and marks stand in rows above the plot, where none covers another or a curve.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gameday.report.curves import Curve
from gameday.report.svg import Drawing, width_of

WIDTH: Final = 900
LEFT, RIGHT = 80.0, 884.0
ROW: Final = 16.0
_LEGEND_Y: Final = 46.0
_BODY: Final = 200.0


@dataclass(frozen=True, slots=True)
class Line:
    """One curve over the chart's instants; NaN is a gap."""

    name: str
    colour: str
    values: Curve


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: an instant, or a window that ends."""

    label: str
    start_s: float
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What stands around a chart."""

    title: str
    description: str
    x: str
    y: str
    nothing: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to pixels; logarithmic where `log`."""

    low: float
    high: float
    start_px: float
    end_px: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (
            (math.log10(v) for v in (self.low, self.high, max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        share = (at - low) / (high - low)
        return self.start_px + (self.end_px - self.start_px) * share

    def ticks(self) -> list[float]:
        """Round values within the scale."""
        if self.log:
            decades = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [float(10**decade) for decade in decades]
        step = _round_step((self.high - self.low) / 7)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _round_step(rough: float) -> float:
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * step for step in (1, 2, 5, 10) if unit * step >= rough)


def chart(
    words: Words, t_s: Curve, lines: Sequence[Line], marks: Sequence[Mark], *, log: bool = False
) -> str:
    """The chart as SVG."""
    xs = time_scale(t_s)
    rows = place(marks, xs)
    top = _LEGEND_Y + 16 + ROW * (max(rows, default=-1) + 1)
    drawing = Drawing(WIDTH, int(top + _BODY + 52), words.description)
    drawing.text(16, 24, words.title, "title")
    legend(drawing, [(line.name, line.colour) for line in lines])
    ys = _value_scale(lines, top, log=log)
    draw_marks(drawing, marks, rows, (xs, top, top + _BODY))
    draw_time_axis(drawing, xs, top + _BODY, words.x)
    if ys is None:
        drawing.text((LEFT + RIGHT) / 2, top + _BODY / 2, words.nothing, "mid soft")
        return str(drawing)
    _draw_value_axis(drawing, ys, words.y)
    for line in lines:
        drawing.path(_pieces(t_s, line.values, xs, ys), line.colour)
    return str(drawing)


def time_scale(t_s: Curve) -> Scale:
    """From the first instant shown to the last."""
    low = float(t_s[0]) if len(t_s) else 0.0
    high = float(t_s[-1]) if len(t_s) else 1.0
    return Scale(low, max(high, low + 1), LEFT, RIGHT)


def place(marks: Sequence[Mark], xs: Scale) -> list[int]:
    """A row for each mark's label, so that no two labels of a row touch."""
    ends: list[float] = []
    rows = []
    for mark in marks:
        start = _label_x(mark, xs)
        row = next((i for i, end in enumerate(ends) if end < start), len(ends))
        ends[row : row + 1] = [start + width_of(mark.label) + 12]
        rows.append(row)
    return rows


def _label_x(mark: Mark, xs: Scale) -> float:
    """Right of the mark; where there is no room, left of it."""
    x, width = xs(max(mark.start_s, xs.low)), width_of(mark.label)
    return x if x + width + 3 <= RIGHT else max(x - width - 3, LEFT)


def draw_marks(
    drawing: Drawing, marks: Sequence[Mark], rows: Sequence[int], area: tuple[Scale, float, float]
) -> None:
    """Shade windows and draw instants from their label down to the bottom."""
    xs, top, bottom = area
    for mark, row in zip(marks, rows, strict=True):
        x, y = xs(max(mark.start_s, xs.low)), _LEGEND_Y + 22 + ROW * row
        if mark.end_s is not None:
            width = xs(min(mark.end_s, xs.high)) - x
            box = {"x": x, "y": top, "width": max(width, 1), "height": bottom - top}
            drawing.add("rect", {**box, "class": "fault"})
        drawing.line((x, y + 4), (x, bottom), "mark")
        drawing.text(_label_x(mark, xs) + 3, y, mark.label, "soft")


def draw_time_axis(drawing: Drawing, xs: Scale, bottom: float, label: str) -> None:
    """Ticks in seconds, and what they count."""
    for tick in xs.ticks():
        drawing.line((xs(tick), bottom), (xs(tick), bottom + 5), "grid")
        drawing.text(xs(tick), bottom + 19, f"{tick:g}", "mid soft")
    drawing.text((LEFT + RIGHT) / 2, bottom + 40, label, "mid soft")


def legend(drawing: Drawing, entries: Sequence[tuple[str, str]]) -> None:
    """A swatch and a name for each curve, in one row."""
    x = LEFT
    for name, colour in entries:
        swatch = {"x": x, "y": _LEGEND_Y - 8, "width": 14, "height": 8, "rx": 2}
        drawing.add("rect", {**swatch, "fill": colour})
        drawing.text(x + 20, _LEGEND_Y, name)
        x += 20 + width_of(name) + 18


def _value_scale(lines: Sequence[Line], top: float, *, log: bool) -> Scale | None:
    """None where there is nothing to show."""
    finite = [line.values[np.isfinite(line.values)] for line in lines]
    seen = np.concatenate(finite) if finite else np.empty(0)
    if log:
        seen = seen[seen > 0]
    if not len(seen):
        return None
    highest = float(seen.max())
    if log:
        low = 10.0 ** math.floor(math.log10(float(seen.min())))
        high = max(10.0 ** math.ceil(math.log10(highest)), low * 10)
        return Scale(low, high, top + _BODY, top, log=True)
    step = _round_step(max(highest, 1.0) / 7)
    return Scale(0, math.ceil(max(highest, 1.0) / step) * step, top + _BODY, top)


def _draw_value_axis(drawing: Drawing, ys: Scale, label: str) -> None:
    for tick in ys.ticks():
        drawing.line((LEFT, ys(tick)), (RIGHT, ys(tick)), "grid")
        drawing.text(LEFT - 8, ys(tick) + 4, f"{tick:,g}", "end soft")
    x, y = 16.0, (ys.start_px + ys.end_px) / 2
    turn = f"rotate(-90 {x} {y:.1f})"
    drawing.add("text", {"x": x, "y": y, "class": "mid soft", "transform": turn}, label)


def _pieces(t_s: Curve, values: Curve, xs: Scale, ys: Scale) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for t, value in zip(t_s, values, strict=True):
        if math.isfinite(value):
            pieces[-1].append((xs(float(t)), ys(float(value))))
        elif pieces[-1]:
            pieces.append([])
    return pieces
