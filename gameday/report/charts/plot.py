"""One chart as SVG: curves over axes with units, or lanes of states; a legend, windows, marks.

Labels of windows and marks stand in rows above the plot, where none covers another or a curve.
How it looks is said by plain attributes, which every program that shows SVG understands; where
media queries are known too, a dark page gets a dark chart.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Final

import numpy as np

from gameday.report.charts.series import Curve
from gameday.report.markdown import one_line

Attribute = str | float

FONT: Final[Mapping[str, Attribute]] = {
    "font-family": 'system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif',
    "font-size": 12,
}
LOOKS: Final[Mapping[str, Mapping[str, Attribute]]] = {
    "page": {"fill": "#ffffff"},
    "ink": {"fill": "#1f2328"},
    "soft": {"fill": "#59636e"},
    "title": {"font-size": 15, "font-weight": 600},
    "end": {"text-anchor": "end"},
    "mid": {"text-anchor": "middle"},
    "grid": {"stroke": "#d1d9e0"},
    "mark": {"stroke": "#59636e", "stroke-dasharray": "3 3"},
    "fault": {"fill": "#d1242f", "fill-opacity": 0.13},
    "line": {
        "fill": "none",
        "stroke-width": 2,
        "stroke-linejoin": "round",
        "stroke-linecap": "round",
    },
}
DARK: Final = """
@media(prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e6edf3}.soft{fill:#9198a1}
.grid{stroke:#2f353d}.mark{stroke:#9198a1}.fault{fill:#f85149}}
"""
WIDTH: Final = 900  # about the width of the text on a page of a code host
LEFT, RIGHT = 80.0, 884.0
_ROW: Final = 16.0
_LEGEND_Y: Final = 46.0
_SWATCH: Final = 20.0
_BODY: Final = 200.0  # height of the plot: 4.5 to 1, the slope of a spike can be read
_FURTHEST: Final = 1e100  # values beyond are drawn there: what is measured is nowhere near
_MOST_DECADES: Final = 20
_LANE: Final = 24.0  # a line of text, and a line of bars as high
# The hues of Okabe and Ito, told apart by people with any colour vision; lighter or darker than
# theirs until each has a contrast of 3 to the light page and to the dark one (WCAG 2.2, 1.4.11).
BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY = (
    "#0067b8",
    "#c98500",
    "#008a64",
    "#c73a10",
    "#cc6fa8",
    "#2f9bd8",
    "#6e757d",
)
# Letters in pixels at 12, rounded up from DejaVu Sans: it is what Linux shows for `system-ui`, and
# wider than the fonts of other systems. Letters above U+2E80 (Korean, Chinese …) are squares.
_WIDTH_PX: Final = {**dict.fromkeys("mMwW@%", 12.0), **dict.fromkeys("fijlrtIJ.,:;/|!'()[]- ", 4.9)}
_LETTER_PX, _SQUARE_PX, _SQUARES_FROM = 8.0, 12.0, "\u2e80"


class Drawing:
    """A drawing of a fixed size, in the order in which its elements are added."""

    def __init__(self, width: int, height: int, description: str) -> None:
        self._size = (width, height)
        self._description = description
        self._parts: list[str] = []
        self.add("rect", {"width": width, "height": height, "rx": 6}, "page")

    def add(
        self, tag: str, attributes: Mapping[str, Attribute], kind: str = "", content: str = ""
    ) -> None:
        """One element that looks as the words of `kind` say; its text is escaped."""
        looks = {name: value for word in kind.split() for name, value in LOOKS[word].items()}
        named = {"class": kind} if kind else {}
        written = _attributes({**attributes, **looks, **named})
        self._parts.append(f"<{tag}{written}>{escape(one_line(content), quote=False)}</{tag}>")

    def text(self, x: float, y: float, content: str, kind: str = "ink") -> None:
        """Words, by their left end unless `kind` says `end` or `mid`."""
        self.add("text", {"x": x, "y": y}, kind, content)

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self.add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2}, kind)

    def path(self, pieces: Sequence[Sequence[tuple[float, float]]], colour: str) -> None:
        """A line through points, with gaps between its pieces."""
        steps = ["M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in piece) for piece in pieces if piece]
        if steps:
            self.add("path", {"d": "".join(steps), "stroke": colour}, "line")

    def __str__(self) -> str:
        width, height = self._size
        size: dict[str, Attribute] = {
            "viewBox": f"0 0 {width} {height}",
            "width": width,
            "height": height,
        }
        head = f'<svg xmlns="http://www.w3.org/2000/svg"{_attributes({**size, **FONT})} role="img">'
        title = escape(one_line(self._description), quote=False)
        head += f"<title>{title}</title><style>{DARK}</style>"
        return head + "\n".join(self._parts) + "</svg>\n"


def width_of(content: str) -> float:
    """About how wide words are, rather too wide than too narrow."""
    return sum(
        _SQUARE_PX if letter >= _SQUARES_FROM else _WIDTH_PX.get(letter, _LETTER_PX)
        for letter in content
    )


def fitted(content: str, width: float) -> str:
    """The words, or as many letters of them as fit, and an ellipsis."""
    content = one_line(content)
    if width_of(content) <= width:
        return content
    while content and width_of(content) > width - _SQUARE_PX:
        content = content[:-1]
    return content + "…"


def _attributes(values: Mapping[str, Attribute]) -> str:
    return "".join(f' {name}="{escape(_text(value))}"' for name, value in values.items())


def _text(value: Attribute) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):g}"


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
    """Texts around a chart."""

    title: str
    description: str
    x: str
    y: str
    nothing: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The left end of a label or of an entry of a legend, and its row from above."""

    x: float
    row: int


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
            every = len(decades) // _MOST_DECADES + 1  # else no label could be read
            return [float(10**decade) for decade in decades[::every]]
        step = _round_step((self.high - self.low) / 7)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _round_step(rough: float) -> float:
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * step for step in (1, 2, 5, 10) if unit * step >= rough)


class Frame:
    """Drawing around the curves or lanes of a chart; they go between `top` and `bottom`.

    From above: the title, a swatch and a name for each of `legend`, the labels of `marks`, room of
    `height` pixels with their windows and lines, and the axis of time.
    """

    def __init__(
        self,
        words: Words,
        xs: Scale,
        *,
        legend: Sequence[tuple[str, str]],
        marks: Sequence[Mark],
        height: float,
    ) -> None:
        self.xs = xs
        marks = [replace(mark, label=fitted(mark.label, RIGHT - LEFT - 8)) for mark in marks]
        swatches = place_swatches([name for name, _ in legend])
        labels = place_labels(marks, xs)
        self._labels_y = _LEGEND_Y + _ROW * swatches[-1].row + 22 if swatches else _LEGEND_Y
        lowest = max((label.row for label in labels), default=-1)
        self.top = self._labels_y - 6 + _ROW * (lowest + 1)
        self.bottom = self.top + height
        self.drawing = Drawing(WIDTH, int(self.bottom + 52), words.description)
        self.drawing.text(16, 24, words.title, "title ink")
        for (name, colour), place in zip(legend, swatches, strict=True):
            self._draw_swatch(name, colour, place)
        self._draw_marks(marks, labels)
        self._draw_time_axis(words.x)

    @property
    def middle(self) -> float:
        """The middle of the axis of time."""
        return (self.xs.start_px + self.xs.end_px) / 2

    def _draw_swatch(self, name: str, colour: str, place: Slot) -> None:
        y = _LEGEND_Y + _ROW * place.row
        swatch = {"x": place.x, "y": y - 8, "width": 14, "height": 8, "rx": 2}
        self.drawing.add("rect", {**swatch, "fill": colour})
        self.drawing.text(place.x + _SWATCH, y, fitted(name, RIGHT - LEFT - _SWATCH))

    def _draw_marks(self, marks: Sequence[Mark], labels: Sequence[Slot]) -> None:
        """Windows, then a line down from each label, then the labels: they cover other lines."""
        begins = [self.xs(max(mark.start_s, self.xs.low)) for mark in marks]
        for mark, x in zip(marks, begins, strict=True):
            if mark.end_s is not None:
                width = max(self.xs(min(mark.end_s, self.xs.high)) - x, 1)
                box = {"x": x, "y": self.top, "width": width, "height": self.bottom - self.top}
                self.drawing.add("rect", box, "fault")
        for place, x in zip(labels, begins, strict=True):
            self.drawing.line((x, self._y(place) + 4), (x, self.bottom), "mark")
        for mark, place in zip(marks, labels, strict=True):
            self.covering(place.x + 3, self._y(place), mark.label, "soft")

    def _y(self, label: Slot) -> float:
        return self._labels_y + _ROW * label.row

    def covering(self, x: float, y: float, content: str, kind: str) -> None:
        """Words on a piece of the page, so that no line runs through them."""
        back = {"x": x - 2, "y": y - 12, "width": width_of(content) + 4, "height": _ROW}
        self.drawing.add("rect", back, "page")
        self.drawing.text(x, y, content, kind)

    def _draw_time_axis(self, label: str) -> None:
        for tick in self.xs.ticks():
            x = self.xs(tick)
            self.drawing.line((x, self.bottom), (x, self.bottom + 5), "grid")
            self.drawing.text(x, self.bottom + 19, f"{tick:g}", "mid soft")
        self.drawing.text(self.middle, self.bottom + 40, label, "mid soft")


def chart(
    words: Words, t_s: Curve, lines: Sequence[Line], marks: Sequence[Mark], *, log: bool = False
) -> str:
    """The chart as SVG."""
    lines = [replace(line, values=_clipped(line.values)) for line in lines]
    legend = [(line.name, line.colour) for line in lines]
    frame = Frame(words, time_scale(t_s), legend=legend, marks=marks, height=_BODY)
    ys = _value_scale(lines, frame, log=log)
    if ys is None:
        y = (frame.top + frame.bottom) / 2
        frame.covering(frame.middle - width_of(words.nothing) / 2, y, words.nothing, "soft")
        return str(frame.drawing)
    _draw_value_axis(frame.drawing, ys, words.y)
    for line in lines:
        frame.drawing.path(_pieces(t_s, line.values, frame.xs, ys), line.colour)
    return str(frame.drawing)


def _clipped(values: Curve) -> Curve:
    """The values no further out than an axis can go; what is not finite stays a gap."""
    return np.where(np.isfinite(values), np.clip(values, -_FURTHEST, _FURTHEST), values)


def time_scale(t_s: Curve) -> Scale:
    """From the first instant shown to the last."""
    low = float(t_s[0]) if len(t_s) else 0.0
    high = float(t_s[-1]) if len(t_s) else 1.0
    return Scale(low, max(high, low + 1), LEFT, RIGHT)


def place_labels(marks: Sequence[Mark], xs: Scale) -> list[Slot]:
    """A place for each mark's label, so that no two labels of a row touch."""
    ends: list[float] = []
    places = []
    for mark in marks:
        start = _label_x(mark, xs)
        row = next((i for i, end in enumerate(ends) if end < start), len(ends))
        ends[row : row + 1] = [start + width_of(mark.label) + 12]
        places.append(Slot(start, row))
    return places


def _label_x(mark: Mark, xs: Scale) -> float:
    """Right of the mark; where there is no room, left of it."""
    x, width = xs(max(mark.start_s, xs.low)), width_of(mark.label)
    return x if x + width + 3 <= RIGHT else max(x - width - 8, LEFT)


def place_swatches(names: Sequence[str]) -> list[Slot]:
    """A place for each entry of a legend, in as many rows as they need."""
    x, row, places = LEFT, 0, []
    for name in names:
        width = _SWATCH + width_of(name)
        if x > LEFT and x + width > RIGHT:
            x, row = LEFT, row + 1
        places.append(Slot(x, row))
        x += width + 18
    return places


def _value_scale(lines: Sequence[Line], frame: Frame, *, log: bool) -> Scale | None:
    """None where there is nothing to show."""
    finite = [line.values[np.isfinite(line.values)] for line in lines]
    seen = np.concatenate(finite) if finite else np.empty(0)
    if log:
        seen = seen[seen >= 1 / _FURTHEST]
    if not len(seen):
        return None
    highest = float(seen.max())
    if log:
        low = 10.0 ** math.floor(math.log10(float(seen.min())))
        high = max(10.0 ** math.ceil(math.log10(highest)), low * 10)
        return Scale(low, high, frame.bottom, frame.top, log=True)
    step = _round_step(max(highest, 1.0) / 7)
    return Scale(0, math.ceil(max(highest, 1.0) / step) * step, frame.bottom, frame.top)


def _draw_value_axis(drawing: Drawing, ys: Scale, label: str) -> None:
    for tick in ys.ticks():
        drawing.line((LEFT, ys(tick)), (RIGHT, ys(tick)), "grid")
        drawing.text(LEFT - 8, ys(tick) + 4, f"{tick:,g}", "end soft")
    x, y = 16.0, (ys.start_px + ys.end_px) / 2
    turn = f"rotate(-90 {x} {y:.1f})"
    drawing.add("text", {"x": x, "y": y, "transform": turn}, "mid soft", label)


def _pieces(t_s: Curve, values: Curve, xs: Scale, ys: Scale) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for t, value in zip(t_s, values, strict=True):
        if math.isfinite(value):
            pieces[-1].append((xs(float(t)), ys(float(value))))
        elif pieces[-1]:
            pieces.append([])
    return pieces


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
        _draw_lane(frame, lane, frame.top + 2 * _LANE * i)
    if not lanes:
        frame.drawing.text(frame.middle, frame.top + _LANE / 2 + 4, words.nothing, "mid soft")
    return str(frame.drawing)


def _draw_lane(frame: Frame, lane: Lane, y: float) -> None:
    xs, drawing = frame.xs, frame.drawing
    frame.covering(LEFT, y + 17, fitted(lane.name, RIGHT - LEFT), "ink")
    drawing.line((LEFT, y + 34), (xs.end_px, y + 34), "grid")
    for bar in lane.bars:
        start, end = xs(max(bar.start_s, xs.low)), xs(min(bar.end_s, xs.high))
        box = {"x": start, "y": y + 26, "width": max(end - start, 2), "height": 16, "rx": 2}
        drawing.add("rect", {**box, "fill": bar.colour})
