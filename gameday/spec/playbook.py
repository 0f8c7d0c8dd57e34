"""The playbook: Markdown that reads well, with steps that gameday can do or verify.

Front matter `name, alerts, severity`; every numbered item that holds a fenced block
```` ```yaml step ```` is a step. markdown-it reads the blocks as CommonMark has them, which is how
a code host shows them. Only what gameday needs is looked at, and strictly: a step that would not
be shown inside its numbered item is an error, not a guess.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import Field

from gameday.core.errors import FileError, Place
from gameday.core.units import Duration
from gameday.spec.yaml import Document, Model, Name, compose

_NEARLY = re.compile(r"ya?ml\W*steps?\b.*|steps?", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(?:`{3,}|~{3,})([^`]*)")
_NEWLINE = re.compile(r"\r\n?|\n")
MOST_STEPS = 200  # more than anybody works through in an incident
MOST_LINES = 10_000  # more than any person writes; a hostile line costs up to 40 µs
_BLOCKS = MarkdownIt("commonmark").disable("reference")  # links mean nothing here, and cost much
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])


class FrontMatter(Model):
    """The head of a playbook: the alerts it answers."""

    name: Name = Field(description="The name of the file without .md")
    alerts: list[str] = Field(min_length=1, description="The alerts it answers")
    severity: str = Field(default="page", description="How urgent its alerts are")
    do_not: list[Name] = Field(
        default=[], description='The actions that its section "Do not" warns of: a wrong act'
    )


class StepBlock(Model):
    """One fenced step: an action of the system file, what must hold before, and what proves it."""

    do: Name | None = Field(
        default=None, description="An action of the system file; without it a person acts"
    )
    before: str | None = Field(default=None, description="PromQL; false = the step is not needed")
    after: str | None = Field(default=None, description="PromQL; true = the step has worked")
    within: Duration = Field(default=timedelta(seconds=10), description="How soon `after` holds")
    undo: Name | None = Field(default=None, description="The action that takes the step back")
    optional: bool = Field(default=False, description="A failure does not stop the playbook")
    refuses: bool = Field(default=False, description="Requests are refused on purpose until undo")


@dataclass(frozen=True, slots=True)
class Step:
    """A step with its number in the playbook (from 1), and the words around it.

    `book` is the name of its playbook where several are offered, "" where there is one.
    """

    number: int
    text: str
    block: StepBlock
    line: int
    book: str = ""

    @property
    def name(self) -> str:
        """The number, after the playbook where there are several: `3`, `redis-slow:3`."""
        return f"{self.book}:{self.number}" if self.book else str(self.number)


@dataclass(frozen=True, slots=True)
class Playbook:
    """One playbook file; `text` is all of it, as it was written."""

    head: FrontMatter
    steps: tuple[Step, ...]
    text: str = field(default="", repr=False)

    def among_others(self) -> "Playbook":
        """The same where several are offered: each step says whose it is."""
        return replace(self, steps=tuple(replace(s, book=self.head.name) for s in self.steps))


@dataclass(slots=True)
class _Item:
    """A numbered item: its number, its line from 1, its first paragraph, and its step if any."""

    number: int
    line: int
    text: str | None = None
    step: Document | None = None


def read_markdown(text: str, file: str) -> tuple[Playbook, Document, dict[int, Document]]:
    """The playbook, its front matter, and each step's block by number. Raises FileError."""
    lines = _NEWLINE.split(text)
    if len(lines) > MOST_LINES:
        raise FileError(Place(file, MOST_LINES + 1, 1), f"more than {MOST_LINES:,} lines")
    front, start = _front_matter(lines, file)
    head = front.parse(FrontMatter)
    items = []
    for item in _Reader(lines, start, file).items():
        if item.step is not None:
            items.append(item)
        if len(items) > MOST_STEPS:
            raise FileError(Place(file, item.line, 1), f"more than {MOST_STEPS} steps")
    _refuse_same_numbers(items, file)
    blocks = {item.number: item.step for item in items if item.step is not None}
    steps = tuple(
        Step(item.number, item.text or "", blocks[item.number].parse(StepBlock), item.line)
        for item in items
    )
    return Playbook(head, steps, text), front, blocks


def _front_matter(lines: list[str], file: str) -> tuple[Document, int]:
    """The head, and the index of the first line after it."""
    if lines[0].rstrip() != "---":
        help = "begin with ---, `name`, `alerts`, `severity`, ---"
        raise FileError(Place(file, 1, 1), "a playbook begins with its front matter", help=help)
    for index, line in enumerate(lines[1:], 1):
        if line.rstrip() == "---":
            return compose("\n".join(lines[1:index]) + "\n", file, 2), index + 1
    raise FileError(Place(file, 1, 1), "the front matter has no end", help="end it with ---")


class _Reader:
    """The blocks of a playbook after its front matter, in their order."""

    def __init__(self, lines: Sequence[str], start: int, file: str) -> None:
        self._lines = lines
        self._start = start
        self._file = file

    def items(self) -> Iterator[_Item]:
        """Every numbered item that stands in no other, with the step in it. Raises FileError."""
        item: _Item | None = None
        last: _Item | None = None
        ends_at = 0
        for token in _BLOCKS.parse("\n".join(self._lines[self._start :])):
            if item is not None and token.type == "list_item_close" and token.level == ends_at:
                yield item
                item, last = None, item
            elif item is None and token.type == "list_item_open" and token.info:
                item, ends_at = _Item(int(token.info), self._line(token)), token.level
            elif token.type == "inline" and item is not None and item.text is None:
                item.text = " ".join(line.strip() for line in token.content.splitlines())
            elif token.type == "fence":
                self._take_fence(token, item, last)
            elif token.type == "code_block":
                self._refuse_hidden_step(token)

    def _line(self, token: Token) -> int:
        """Its first line in the file, from 1."""
        assert token.map is not None
        return self._start + token.map[0] + 1

    def _take_fence(self, token: Token, item: _Item | None, last: _Item | None) -> None:
        """Read a step's block into its item; other blocks are only for people."""
        line, info = self._line(token), token.info.strip()
        place = Place(self._file, line, self._lines[line - 1].find(token.markup) + 1)
        if item is not None and item.text is None:
            item.text = ""
        if info.split() != ["yaml", "step"]:
            if _NEARLY.fullmatch(info):
                help = "did you mean 'yaml step'?"
                raise FileError(place, f"unknown block {info!r}", help=help)
            return
        if item is None:
            help = "indent it as far as the text of its item" if last else "put it under `1. …`"
            raise FileError(place, "a step must stand inside a numbered item", help=help)
        if not self._is_closed(token):
            help = f"end it with {token.markup}, all its lines indented as far as the item's text"
            raise FileError(place, "the block has no end", help=help)
        if item.step is not None:
            help = "one step an item"
            raise FileError(place, f"item {item.number} has a step already", help=help)
        item.step = compose(token.content or "\n", self._file, line + 1, place.column)

    def _is_closed(self, token: Token) -> bool:
        """True if its last line is its end, not just the last one that belongs to the item."""
        assert token.map is not None
        first, end = token.map
        mark = self._lines[self._start + end - 1].strip().lstrip("> ")
        return end - first > 1 and len(mark) >= len(token.markup) and not mark.strip(token.markup)

    def _refuse_hidden_step(self, token: Token) -> None:
        """Refuse a step that is indented so far that it is shown as a sample of text."""
        for line, text in enumerate(token.content.splitlines(), self._line(token)):
            opening = _FENCE.fullmatch(text)
            if opening is not None and _NEARLY.fullmatch(opening[1].strip()):
                place = Place(self._file, line, self._lines[line - 1].find(text.strip()) + 1)
                help = "indent it as far as the text of its item, and no further"
                raise FileError(place, "a step that is shown as text", help=help)


def _refuse_same_numbers(items: list[_Item], file: str) -> None:
    """Reports speak of "step 3": numbers rise through the whole file."""
    for before, item in pairwise(items):
        if item.number <= before.number:
            problem = f"step {item.number} comes after step {before.number}"
            help = "number the steps through, also over headings"
            raise FileError(Place(file, item.line, 1), problem, help=help)
