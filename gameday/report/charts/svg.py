"""A small writer of SVG that every reader of SVG can show.

The look stands in plain attributes, in the colours of a light page: librsvg, office programs and
most viewers of pictures know neither CSS variables nor media queries. The style sheet only refines:
a browser whose user prefers dark pages recolours what has a class.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

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
        self._parts.append(f"<{tag}{written}>{escape(one_line(content))}</{tag}>")

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
        title = f"<title>{escape(one_line(self._description))}</title><style>{DARK}</style>"
        return head + title + "\n".join(self._parts) + "</svg>\n"


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
    return "".join(f" {name}={quoteattr(_text(value))}" for name, value in values.items())


def _text(value: Attribute) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):g}"
