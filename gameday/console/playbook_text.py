"""A playbook as blocks of plain text, which a page can build without reading any HTML.

Markdown may hold HTML, links and pictures. Of all that only the words are told: a link says its
text, HTML is shown as it was typed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

BlockKind = Literal["heading", "paragraph", "item", "code", "row"]
MOST_BLOCKS: Final = 600
LONGEST: Final = 4000
_MARKDOWN: Final = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class TextRun:
    """Words of one look: "", "strong" or "code"."""

    text: str
    look: str = ""


@dataclass(slots=True)
class ShownBlock:
    """A piece of a playbook; `level` is the depth of a heading or item, `mark` its number.

    A `row` has its `cells` in place of runs; the `level` of the first of a table is 1.
    """

    kind: BlockKind
    runs: Sequence[TextRun] = ()
    level: int = 0
    mark: str = ""
    cells: list[Sequence[TextRun]] = field(default_factory=list)
    step: bool = False


def blocks(text: str) -> list[ShownBlock]:
    """The blocks of a playbook, without its front matter."""
    return _Blocks().of(_MARKDOWN.parse(_body(text)))[:MOST_BLOCKS]


def _body(text: str) -> str:
    lines = text.splitlines()
    if lines and lines[0].rstrip() == "---":
        for index, line in enumerate(lines[1:], 1):
            if line.rstrip() == "---":
                return "\n".join(lines[index + 1 :])
    return text


class _Blocks:
    """The walk through the tokens."""

    def __init__(self) -> None:
        self._found: list[ShownBlock] = []
        self._marks: list[str] = []
        self._fresh = False
        self._head = False

    def of(self, tokens: Sequence[Token]) -> list[ShownBlock]:
        """All of them."""
        for before, token in zip([None, *tokens], tokens, strict=False):
            self._take(token, before)
        return self._found

    def _take(self, token: Token, before: Token | None) -> None:
        match token.type:
            case "list_item_open":
                self._marks.append(f"{token.info}." if token.info else "•")
                self._fresh = True
            case "list_item_close":
                self._marks.pop()
            case "thead_open":
                self._head = True
            case "tr_open":
                self._found.append(ShownBlock("row", level=1 if self._head else 0))
                self._head = False
            case "inline":
                self._take_inline(token, before)
            case "fence" | "code_block" | "html_block":
                step = token.info.split() == ["yaml", "step"]
                text = token.content.rstrip()[:LONGEST]
                self._found.append(
                    ShownBlock("code", [TextRun(text, "code")], len(self._marks), step=step)
                )
            case _:
                pass

    def _take_inline(self, token: Token, before: Token | None) -> None:
        runs = _runs(token.children or [])
        kind = before.type if before is not None else ""
        if kind in ("td_open", "th_open"):
            self._found[-1].cells.append(runs)
        elif kind == "heading_open" and before is not None:
            self._found.append(ShownBlock("heading", runs, int(before.tag[1:])))
        elif self._marks:
            mark, self._fresh = self._marks[-1] if self._fresh else "", False
            self._found.append(ShownBlock("item", runs, len(self._marks), mark))
        else:
            self._found.append(ShownBlock("paragraph", runs))


def _runs(children: Sequence[Token]) -> list[TextRun]:
    found: list[TextRun] = []
    strong = 0
    for child in children:
        match child.type:
            case "strong_open" | "strong_close":
                strong += child.nesting
            case "code_inline":
                found.append(TextRun(child.content[:LONGEST], "code"))
            case "softbreak" | "hardbreak":
                found.append(TextRun(" "))
            case "text" | "html_inline" | "image":
                found.append(TextRun(child.content[:LONGEST], "strong" if strong else ""))
            case _:
                pass
    return found
