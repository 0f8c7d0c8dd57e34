"""The text of a report in blocks: a row, a paragraph, an item, each with the references in it.

Markdown and HTML become the same blocks, so that one set of rules looks at both. What is not text
(scripts, styles, pictures) is left out.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN: Final = MarkdownIt("commonmark").enable("table").disable("reference")
_NOT_TEXT: Final = {"script", "style", "svg", "template", "noscript", "head"}
_CELLS: Final = {"cell", "columnheader", "rowheader"}
_INLINE: Final = {
    "a", "abbr", "b", "bdi", "button", "code", "em", "i", "kbd", "label", "mark", "small", "span",
    "strong", "sub", "sup", "time", "u", "td", "th", "br", "data", "input",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DraftBlock:
    """A piece of text, its first line in the file, and what is set as code in it: references.

    A row has those of the sentence above its table too, and its number in the table, from 1.
    """

    text: str
    line: int
    codes: Sequence[str]
    above: Sequence[str] = ()
    row: int = 0


def of_markdown(text: str) -> Iterator[DraftBlock]:
    """The blocks of a draft, its front matter among them, a block a line."""
    lines = text.split("\n")
    first = 0
    if lines[0].rstrip() == "---":
        first = next((i for i, each in enumerate(lines[1:], 2) if each.rstrip() == "---"), 0)
        for number, each in enumerate(lines[1 : max(1, first - 1)], 2):
            yield DraftBlock(each.strip(), number, ())
    yield from _Walk(first).blocks("\n".join(lines[first:]))


class _Walk:
    """Goes through the tokens of Markdown; a row is one block, and a quotation is too."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._line = self._begun = 1
        self._row: list[str] | None = None
        self._codes: list[str] = []
        self._above: Sequence[str] = ()
        self._nth = 0

    def blocks(self, text: str) -> Iterator[DraftBlock]:
        """The blocks of a text that begins at a line of the file."""
        for token in _MARKDOWN.parse(text):
            if token.map is not None:
                self._line = self._first + token.map[0] + 1
            if token.type in {"tbody_open", "tr_open", "blockquote_open"}:
                self._nth = 0 if token.type == "tbody_open" else self._nth
                self._row, self._codes, self._begun = [], [], self._line
            elif token.type in {"tr_close", "blockquote_close"}:
                yield self._ended(token)
            elif token.type == "inline":
                yield from self._inline(token)
            elif token.type in {"fence", "code_block"}:
                for number, each in enumerate(token.content.splitlines(), self._line + 1):
                    yield _block(each, number, [])

    def _ended(self, token: Token) -> DraftBlock:
        """The row, or the quotation, that ends here."""
        self._nth += 1
        block = _block(" | ".join(self._row or ()), self._begun, self._codes)
        self._row = None
        if token.type == "blockquote_close":
            return block
        return replace(block, above=self._above, row=self._nth)

    def _inline(self, token: Token) -> Iterator[DraftBlock]:
        shown, found = _inline(token)
        if self._row is None:
            self._above = found
            yield _block(shown, self._line, found)
        else:
            self._row.append(shown)
            self._codes += found


def of_html(text: str) -> Iterator[DraftBlock]:
    """The blocks of a page."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.end()
    yield from reader.blocks


def _block(text: str, line: int, codes: Sequence[str]) -> DraftBlock:
    return DraftBlock(" ".join(text.split()), line, tuple(codes))


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
        self.blocks: list[DraftBlock] = []
        self._shown: list[str] = []
        self._codes: list[str] = []
        self._hidden: list[str] = []
        self._code: int | None = None
        self._begun = False
        self._in_row = False
        self._nth = 0
        self._above: Sequence[str] = ()
        self._line = 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        role = dict(attrs).get("role") or ""
        if role == "row":
            self.end()
        if role in _CELLS:
            self._shown.append(" | ")
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
        self._nth = 0 if tag == "tbody" else self._nth + (tag == "tr")
        self._in_row = self._in_row or tag == "tr"

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and tag == self._hidden[-1]:
            self._hidden.pop()
        elif tag == "code" and self._code is not None:
            self._codes.append("".join(self._shown[self._code :]))
            self._code = None
        elif tag not in _INLINE:
            self.end()
        self._in_row = self._in_row and tag != "tr"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            if not self._begun and data.strip():
                self._begun = True
                self._line = self.getpos()[0] + data[: len(data) - len(data.lstrip())].count("\n")
            self._shown.append(data)

    def end(self) -> None:
        """The block that was begun, if it has any text."""
        text = "".join(self._shown).strip().removeprefix("| ")
        if text:
            block = _block(text, self._line, self._codes)
            if self._in_row:
                block = replace(block, above=self._above, row=self._nth)
            else:
                self._above = block.codes
            self.blocks.append(block)
        self._shown, self._codes, self._code, self._begun = [], [], None, False
