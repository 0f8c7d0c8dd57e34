"""The chart of states over time: a lane for each alert and each objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gameday.report.plot import (
    LEFT,
    ROW,
    WIDTH,
    Mark,
    Scale,
    Words,
    draw_marks,
    draw_time_axis,
    place,
)
from gameday.report.plot import legend as draw_legend
from gameday.report.svg import Drawing, width_of

_LANE: Final = 24.0
_TOP: Final = 62.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of one lane."""

    start_s: float
    end_s: float
    colour: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A name and its bars."""

    name: str
    bars: Sequence[Bar]


def lanes_chart(
    words: Words,
    xs: Scale,
    lanes: Sequence[Lane],
    marks: Sequence[Mark],
    legend: Sequence[tuple[str, str]],
) -> str:
    """The chart as SVG; the names stand above their lanes, so that they may be long."""
    rows = place(marks, xs)
    top = _TOP + ROW * (max(rows, default=-1) + 1)
    bottom = top + max(2 * _LANE * len(lanes), _LANE)
    drawing = Drawing(WIDTH, int(bottom + 52), words.description)
    drawing.text(16, 24, words.title, "title")
    draw_legend(drawing, legend)
    draw_marks(drawing, marks, rows, (xs, top, bottom))
    draw_time_axis(drawing, xs, bottom, words.x)
    for i, lane in enumerate(lanes):
        _draw(drawing, lane, xs, top + 2 * _LANE * i)
    if not lanes:
        middle = (xs.start_px + xs.end_px) / 2
        drawing.text(middle, top + _LANE / 2 + 4, words.nothing, "mid soft")
    return str(drawing)


def _draw(drawing: Drawing, lane: Lane, xs: Scale, y: float) -> None:
    back = {"x": LEFT - 4, "y": y + 4, "width": width_of(lane.name) + 8, "height": 17}
    drawing.add("rect", {**back, "class": "page"})
    drawing.text(LEFT, y + 17, lane.name)
    drawing.line((LEFT, y + 34), (xs.end_px, y + 34), "grid")
    for bar in lane.bars:
        start, end = xs(max(bar.start_s, xs.low)), xs(min(bar.end_s, xs.high))
        box = {"x": start, "y": y + 26, "width": max(end - start, 2), "height": 16, "rx": 2}
        drawing.add("rect", {**box, "fill": bar.colour})
