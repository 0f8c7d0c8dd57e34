"""The text of a report in blocks: a row, a paragraph, an item, each with the references in it.

Markdown and HTML become the same blocks, so that one set of rules looks at both. What is not text
(scripts, styles, pictures) is left out.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN: Final = MarkdownIt("commonmark").enable("table").disable("reference")
_NOT_TEXT: Final = {"script", "style", "svg", "template", "noscript", "head"}
_INLINE: Final = {
    "a", "abbr", "b", "bdi", "button", "code", "em", "i", "kbd", "label", "mark", "small", "span",
    "strong", "sub", "sup", "time", "u", "td", "th", "br", "data", "input",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of text, its first line in the file, and what is set as code in it: references."""

    text: str
    line: int
    codes: Sequence[str]


def of_markdown(text: str) -> Iterator[Block]:
    """The blocks of a draft, its front matter among them, a block a line."""
    lines = text.split("\n")
    first = 0
    if lines[0].rstrip() == "---":
        first = next((i for i, each in enumerate(lines[1:], 2) if each.rstrip() == "---"), 0)
        for number, line in enumerate(lines[1 : max(1, first - 1)], 2):
            yield Block(line.strip(), number, ())
    row: list[str] | None = None  # of a table, or of a quotation, which is one block
    codes: list[str] = []
    line = begun = 1
    for token in _MARKDOWN.parse("\n".join(lines[first:])):
        if token.map is not None:
            line = first + token.map[0] + 1
        if token.type in {"tr_open", "blockquote_open"}:
            row, codes, begun = [], [], line
        elif token.type in {"tr_close", "blockquote_close"} and row is not None:
            yield _block(" | ".join(row), begun, codes)
            row, codes = None, []
        elif token.type == "inline":
            shown, found = _inline(token)
            if row is None:
                yield _block(shown, line, found)
            else:
                row.append(shown)
                codes += found
        elif token.type in {"fence", "code_block"}:
            for number, each in enumerate(token.content.splitlines(), line + 1):
                yield _block(each, number, [])


def of_html(text: str) -> Iterator[Block]:
    """The blocks of a page."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.end()
    yield from reader.blocks


def _block(text: str, line: int, codes: Sequence[str]) -> Block:
    return Block(" ".join(text.split()), line, tuple(codes))


def _inline(token: Token) -> tuple[str, list[str]]:
    """The text of a line as it is read, and its codes."""
    shown: list[str] = []
    codes: list[str] = []
    begun: int | None = None
    for child in token.children or ():
        if child.type == "code_inline":
            codes.append(child.content)
            shown.append(child.content)
        elif child.type in {"softbreak", "hardbreak"}:
            shown.append(" ")
        elif child.type == "html_inline" and child.content == "<code>":
            begun = len(shown)
        elif child.type == "html_inline" and child.content == "</code>" and begun is not None:
            codes.append(html.unescape("".join(shown[begun:])))
            begun = None
        elif child.type in {"text", "image"}:
            shown.append(child.content)
    return "".join(shown), codes


class _Reader(HTMLParser):
    """Gathers the text between two tags that part a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._shown: list[str] = []
        self._codes: list[str] = []
        self._hidden: list[str] = []
        self._code: int | None = None
        self._line = 1

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        if tag in _NOT_TEXT:
            self._hidden.append(tag)
        elif tag == "code":
            self._code = len(self._shown)
        elif tag in {"td", "th"}:
            self._shown.append(" | ")
        elif tag == "br":
            self._shown.append(" ")
        elif tag not in _INLINE:
            self.end()

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and tag == self._hidden[-1]:
            self._hidden.pop()
        elif tag == "code" and self._code is not None:
            self._codes.append("".join(self._shown[self._code :]))
            self._code = None
        elif tag not in _INLINE:
            self.end()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            if not self._shown:
                self._line = self.getpos()[0]
            self._shown.append(data)

    def end(self) -> None:
        """The block that was begun, if it has any text."""
        text = "".join(self._shown).strip().removeprefix("| ")
        if text:
            self.blocks.append(_block(text, self._line, self._codes))
        self._shown, self._codes, self._code = [], [], None
