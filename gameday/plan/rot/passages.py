"""The passages of a playbook: words, code and links, each with its place in the file.

Blocks are read as CommonMark has them; within them a code span, a link or an address is found by
its marks alone, from left to right, so that a hostile text costs no more than its length.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gameday.core.errors import Place

NEAR_BY: Final = 60  # characters before and behind a code span that say what it is
Kind = Literal["words", "code", "fence", "link"]
_BLOCKS: Final = MarkdownIt("commonmark").disable("reference")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_NEWLINE: Final = re.compile(r"\r\n?|\n")
_CODE: Final = re.compile(r"(?<!`)(`{1,3})(?!`)([^`]+)(?<!`)\1(?!`)")
_LINK: Final = re.compile(r"\]\(([^()\n]{0,2000})\)|<((?:https?|htt?ps?|ftp):[^<>\n]{0,2000})>")
_DEFINED: Final = re.compile(r"^ {0,3}\[[^\]\n]{1,200}\]:[ \t]*(\S{1,2000})", re.MULTILINE)
_BARE: Final = re.compile(r"(?<![<(\w])https?://[^\s<>()`\"']{1,2000}")
_HEADING_MARKS: Final = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a playbook: `text` stands from `offset` on in a block whose lines are `sources`.

    `info` is the language of a fence. A line break in a code span reads as a space.
    """

    kind: Kind
    text: str
    block: "TextBlock"
    offset: int = 0
    info: str = ""

    @property
    def is_step(self) -> bool:
        """True for the block of a step, which is read for itself."""
        return self.kind == "fence" and self.info.split() == ["yaml", "step"]

    @property
    def before(self) -> str:
        """The last words before it in its block."""
        return self.block.text[max(0, self.offset - NEAR_BY) : self.offset].rstrip("`")

    @property
    def behind(self) -> str:
        """The first words behind it in its block."""
        end = self.offset + len(self.text)
        return self.block.text[end : end + NEAR_BY].lstrip("`")

    def place(self, at: int = 0) -> Place:
        """The place of the character `at` in it."""
        return self.block.place(self.offset + at)


@dataclass(frozen=True, slots=True)
class TextBlock:
    """The text of a block, the line that it begins on, and the lines of the file that it is of."""

    file: str
    text: str
    line: int
    sources: Sequence[str]

    def place(self, at: int) -> Place:
        """The place of a character of the text, in the file."""
        before = self.text[:at]
        row = before.count("\n")
        column = at - (before.rfind("\n") + 1)
        end = self.text.find("\n", at)
        whole = self.text[at - column : len(self.text) if end < 0 else end]
        source = self.sources[row] if row < len(self.sources) else ""
        return Place(self.file, self.line + row, max(0, source.find(whole)) + column + 1)


@dataclass(frozen=True, slots=True)
class Pages:
    """A whole playbook: its passages, the numbers of its items, the anchors of its headings."""

    passages: Sequence[Passage]
    items: frozenset[int]
    anchors: frozenset[str]


def read(text: str, file: str) -> Pages:
    """Take a playbook, or another page, apart."""
    lines = _NEWLINE.split(text)
    start = _after_front_matter(lines)
    passages: list[Passage] = []
    items: set[int] = set()
    headings: list[str] = []
    is_heading = False
    for token in _BLOCKS.parse("\n".join(lines[start:])):
        if token.type == "list_item_open" and token.info.isdecimal():
            items.add(int(token.info))
        elif token.type == "inline":
            passages += _inline(_block(token, lines, start, file))
            headings += [token.content] * is_heading
        elif token.type == "fence":
            block = _block(token, lines, start, file, skipped=1)
            passages.append(Passage("fence", block.text, block, info=token.info.strip()))
        is_heading = token.type == "heading_open"
    return Pages(passages, frozenset(items), frozenset(_anchors(headings)))


def _after_front_matter(lines: Sequence[str]) -> int:
    if not lines or lines[0].rstrip() != "---":
        return 0
    ends = (n for n, line in enumerate(lines[1:], 1) if line.rstrip() == "---")
    return next(ends, -1) + 1


def _block(
    token: Token, lines: Sequence[str], start: int, file: str, skipped: int = 0
) -> TextBlock:
    first, end = token.map or (0, 0)
    begin = start + first + skipped
    return TextBlock(file, token.content, begin + 1, lines[begin : start + end])


def _inline(block: TextBlock) -> Iterator[Passage]:
    """Code spans and links of a paragraph, then its words with the code blanked out."""
    for match in _CODE.finditer(block.text):
        yield Passage("code", match[2].replace("\n", " "), block, match.start(2))
    words = _CODE.sub(lambda match: _blank(match[0]), block.text)
    for pattern in (_LINK, _DEFINED, _BARE):
        for match in pattern.finditer(words):
            group = next((n for n in range(1, pattern.groups + 1) if match[n] is not None), 0)
            target = match[group].rstrip(".,;:!?") if pattern is _BARE else match[group]
            yield Passage("link", target, block, match.start(group))
    yield Passage("words", words, block)


def _blank(code: str) -> str:
    """Code in words: as long, and a sign that something stands there."""
    return re.sub(r"[^\n]", "\x00", code)


def _anchors(headings: Sequence[str]) -> Iterator[str]:
    """The anchors that code hosts give to headings."""
    seen: dict[str, int] = {}
    for heading in headings:
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = _HEADING_MARKS.sub("", text).replace(" ", "-")
        again = seen.get(anchor, 0)
        seen[anchor] = again + 1
        yield f"{anchor}-{again}" if again else anchor
