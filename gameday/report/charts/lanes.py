"""The chart of states over time: a lane for each alert and each objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gameday.report.charts.plot import LEFT, RIGHT, Frame, Mark, Scale, Words
from gameday.report.charts.svg import fitted

_LANE: Final = 24.0


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
    height = max(2 * _LANE * len(lanes), _LANE)
    frame = Frame(words, xs, legend=legend, marks=marks, height=height)
    for i, lane in enumerate(lanes):
        _draw(frame, lane, frame.top + 2 * _LANE * i)
    if not lanes:
        frame.drawing.text(frame.middle, frame.top + _LANE / 2 + 4, words.nothing, "mid soft")
    return str(frame.drawing)


def _draw(frame: Frame, lane: Lane, y: float) -> None:
    xs, drawing = frame.xs, frame.drawing
    frame.covering(LEFT, y + 17, fitted(lane.name, RIGHT - LEFT), "ink")
    drawing.line((LEFT, y + 34), (xs.end_px, y + 34), "grid")
    for bar in lane.bars:
        start, end = xs(max(bar.start_s, xs.low)), xs(min(bar.end_s, xs.high))
        box = {"x": start, "y": y + 26, "width": max(end - start, 2), "height": 16, "rx": 2}
        drawing.add("rect", {**box, "fill": bar.colour})
