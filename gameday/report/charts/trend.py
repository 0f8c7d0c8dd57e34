"""A trend as SVG: a dot per run and clock, a line between runs that follow each other, verdicts.

Runs stand side by side in their order, as some days have ten of them and some months none. A
verdict has a letter and a colour, so that it can be told without colours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gameday.report.charts.plot import (
    BLUE,
    GREEN,
    GREY,
    LEFT,
    ORANGE,
    RED,
    RIGHT,
    WIDTH,
    Attribute,
    Drawing,
    Scale,
    fitted,
    place_swatches,
    width_of,
)
from gameday.report.messages import Messages

_COLOURS: Final = (ORANGE, BLUE, GREEN)
_VERDICTS: Final = {"passed": ("P", GREEN), "failed": ("F", RED), "unknown": ("?", GREY)}
_LEGEND_Y: Final = 46.0
_TOP, _BOTTOM = 66.0, 266.0
_VERDICT_Y, _DATE_Y, _AXIS_Y, _HEIGHT = 286.0, 312.0, 334.0, 350
_LARGEST_S: Final = 1e6  # a clock beyond it would press all others flat
_DATE_GAP: Final = 14.0
_MOST_LETTERS: Final = 60  # so many verdicts have room for their letter


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One run; seconds after the damage, None where it did not come to that."""

    label: str
    verdict: str
    detected_s: float | None
    mitigated_s: float | None
    recovered_s: float | None

    @property
    def clocks(self) -> Sequence[float | None]:
        """Those that are drawn, in the order of the legend."""
        return [_bounded(s) for s in (self.detected_s, self.mitigated_s, self.recovered_s)]


def draw_trend(experiment: str, points: Sequence[TrendPoint], say: Messages) -> str:
    """The whole chart."""
    drawing = Drawing(WIDTH, _HEIGHT, say.plain("trend.alt", experiment=experiment))
    title = say.plain("trend.title", experiment=experiment, count=str(len(points)))
    drawing.text(16, 24, fitted(title, RIGHT - 16), "title ink")
    names = [say.plain(f"trend.{name}") for name in ("detected", "mitigated", "recovered")]
    for slot, name, colour in zip(place_swatches(names), names, _COLOURS, strict=True):
        drawing.add("circle", {"cx": slot.x + 6, "cy": _LEGEND_Y - 4, "r": 4.5, "fill": colour})
        drawing.text(slot.x + 20, _LEGEND_Y, name)
    seen = [s for point in points for s in point.clocks if s is not None]
    xs = Scale(-0.5, max(len(points), 1) - 0.5, LEFT, RIGHT)
    if seen:
        ys = _seconds(max(seen))
        _draw_axis(drawing, ys, say.plain("trend.axis_y"))
        for turn, colour in enumerate(_COLOURS):
            _draw_clock(drawing, [point.clocks[turn] for point in points], (xs, ys), colour)
    else:
        middle = (_TOP + _BOTTOM) / 2
        drawing.text((LEFT + RIGHT) / 2, middle, say.plain("trend.nothing"), "mid soft")
    _draw_verdicts(drawing, points, xs, say)
    return str(drawing)


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), _LARGEST_S)


def _seconds(highest: float) -> Scale:
    rough = Scale(0, max(highest, 1.0), _BOTTOM, _TOP)
    ticks = rough.ticks()
    step = ticks[1] - ticks[0]
    return Scale(0, math.ceil(rough.high / step) * step, _BOTTOM, _TOP)


def _draw_axis(drawing: Drawing, ys: Scale, label: str) -> None:
    for tick in ys.ticks():
        drawing.line((LEFT, ys(tick)), (RIGHT, ys(tick)), "grid")
        drawing.text(LEFT - 8, ys(tick) + 4, f"{tick:,g}", "end soft")
    y = (_TOP + _BOTTOM) / 2
    turned: dict[str, Attribute] = {"x": 16, "y": y, "transform": f"rotate(-90 16 {y:.1f})"}
    drawing.add("text", turned, "mid soft", label)


def _draw_clock(
    drawing: Drawing, values: Sequence[float | None], scales: tuple[Scale, Scale], colour: str
) -> None:
    """A line through runs that follow each other, with a gap where one has no such clock."""
    xs, ys = scales
    pieces: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            pieces[-1].append((xs(place), ys(value)))
        elif pieces[-1]:
            pieces.append([])
    drawing.path(pieces, colour)
    for x, y in (point for piece in pieces for point in piece):
        drawing.add("circle", {"cx": x, "cy": y, "r": 3.5, "fill": colour})


def _draw_verdicts(
    drawing: Drawing, points: Sequence[TrendPoint], xs: Scale, say: Messages
) -> None:
    drawing.text(LEFT - 8, _VERDICT_Y + 4, say.plain("trend.verdict"), "end soft")
    width = min(max((RIGHT - LEFT) / max(len(points), 1) - 2, 1), 26)
    next_x, last = LEFT, ""
    for place, point in enumerate(points):
        x = xs(place)
        letter, colour = _VERDICTS.get(point.verdict, ("?", GREY))
        box = {"x": x - width / 2, "y": _VERDICT_Y - 10, "width": width, "height": 18, "rx": 2}
        drawing.add("rect", {**box, "fill": colour})
        if len(points) <= _MOST_LETTERS:
            at: dict[str, Attribute] = {
                "x": x,
                "y": _VERDICT_Y + 3.5,
                "fill": "#ffffff",
                "font-weight": 600,
            }
            drawing.add("text", {**at, "text-anchor": "middle"}, "", letter)
        length = width_of(point.label)
        start = min(max(x - length / 2, LEFT), RIGHT - length)
        if point.label != last and start >= next_x:
            drawing.text(start, _DATE_Y, point.label, "soft")
            next_x, last = start + length + _DATE_GAP, point.label
    drawing.text((LEFT + RIGHT) / 2, _AXIS_Y, say.plain("trend.axis_x"), "mid soft")
