"""A small writer of SVG: escaped elements, and colours that read on light and on dark pages."""

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

STYLE: Final = """
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:var(--ink)}
.title{font-size:15px;font-weight:600}.soft{fill:var(--soft)}.end{text-anchor:end}
.mid{text-anchor:middle}.grid{stroke:var(--rule);stroke-width:1}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.fault{fill:var(--hurt);fill-opacity:.13}.mark{stroke:var(--soft);stroke-dasharray:3 3}
.page{fill:var(--page)}
svg{--page:#fff;--ink:#1f2328;--soft:#59636e;--rule:#d1d9e0;--hurt:#d1242f}
@media(prefers-color-scheme:dark){
svg{--page:#0d1117;--ink:#e6edf3;--soft:#9198a1;--rule:#2f353d;--hurt:#f85149}}
"""
# Okabe and Ito's palette, told apart by people with any colour vision.
BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY = (
    "#3b82c4",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#8b949e",
)
_LETTER_PX: Final = 6.6

Attribute = str | float


class Drawing:
    """A drawing of a fixed size, in the order in which its elements are added."""

    def __init__(self, width: int, height: int, description: str) -> None:
        self._size = (width, height)
        self._description = description
        self._parts: list[str] = []
        self.add("rect", {"class": "page", "width": width, "height": height, "rx": 6})

    def add(self, tag: str, attributes: dict[str, Attribute], content: str = "") -> None:
        """One element; its text is escaped."""
        shown = "".join(f" {name}={quoteattr(_text(v))}" for name, v in attributes.items())
        self._parts.append(f"<{tag}{shown}>{escape(content)}</{tag}>")

    def text(self, x: float, y: float, content: str, kind: str = "") -> None:
        """Words, by their left end unless `kind` says `end` or `mid`."""
        self.add("text", {"x": x, "y": y, "class": kind}, content)

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self.add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})

    def path(self, pieces: Sequence[Sequence[tuple[float, float]]], colour: str) -> None:
        """A line through points, with gaps between its pieces."""
        steps = ["M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in piece) for piece in pieces if piece]
        if steps:
            self.add("path", {"d": "".join(steps), "class": "line", "stroke": colour})

    def __str__(self) -> str:
        width, height = self._size
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        head += f'width="{width}" height="{height}" role="img">'
        title = f"<title>{escape(self._description)}</title><style>{STYLE}</style>"
        return head + title + "\n".join(self._parts) + "</svg>\n"


def width_of(content: str) -> float:
    """About how wide words are; letters of wide scripts count double."""
    return sum(_LETTER_PX * (2 if ord(letter) > 0x2E80 else 1) for letter in content)


def _text(value: Attribute) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
