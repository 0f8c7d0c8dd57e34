"""A playbook's Markdown: front matter, numbered items, and the steps fenced inside them.

Only what gameday needs is looked at, and strictly: a step that a code host would not show inside
its numbered item is an error, not a guess. CommonMark's rule for lists is kept: what belongs to
an item is indented as far as the item's own text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from gameday.core.errors import FileError, Place
from gameday.spec.playbook import FrontMatter, Playbook, Step, StepBlock
from gameday.spec.yaml import Document, compose

_FENCE = re.compile(r"( *)(`{3,}|~{3,})([^`]*)")
_ITEM = re.compile(r" {0,3}(\d{1,9})[.)] +(?=\S)")
_OTHER_BLOCK = re.compile(r" {0,3}([-*+] |#{1,6} |>|\||---)")
_NEARLY = re.compile(r"ya?ml\W*steps?\b.*|steps?", re.IGNORECASE)


MOST_STEPS = 200
MOST_LINES = 100_000  # a megabyte of lines that a person writes; a line costs 2 µs


@dataclass(slots=True)
class _Item:
    """A numbered item: `indent` is the column of its text, `text` its first paragraph."""

    number: int
    line: int
    indent: int
    text: list[str] = field(default_factory=list)
    first_paragraph: bool = True
    step: Document | None = None


@dataclass(slots=True)
class _Fence:
    """A fenced block: `line` is its opening line, `body` what lies between the marks."""

    line: int
    indent: int
    mark: str
    info: str
    body: list[str] = field(default_factory=list)
    closed: bool = False


def read_markdown(text: str, file: str) -> tuple[Playbook, Document, dict[int, Document]]:
    """The playbook, its front matter, and each step's block by number. Raises FileError."""
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise FileError(Place(file, MOST_LINES + 1, 1), f"more than {MOST_LINES:,} lines")
    front, start = _front_matter(lines, file)
    head = front.parse(FrontMatter)
    items = []
    for item in _items(lines, start, file):
        if item.step is not None:
            items.append(item)
        if len(items) > MOST_STEPS:
            raise FileError(Place(file, item.line, 1), f"more than {MOST_STEPS} steps")
    _refuse_same_numbers(items, file)
    blocks = {item.number: item.step for item in items if item.step is not None}
    steps = tuple(
        Step(item.number, " ".join(item.text), blocks[item.number].parse(StepBlock), item.line)
        for item in items
    )
    return Playbook(head, steps, text), front, blocks


def _front_matter(lines: list[str], file: str) -> tuple[Document, int]:
    """The head, and the index of the first line after it."""
    if not lines or lines[0].rstrip() != "---":
        help = "begin with ---, `name`, `alerts`, `severity`, ---"
        raise FileError(Place(file, 1, 1), "a playbook begins with its front matter", help=help)
    for index, line in enumerate(lines[1:], 1):
        if line.rstrip() == "---":
            return compose("\n".join(lines[1:index]) + "\n", file, 2), index + 1
    raise FileError(Place(file, 1, 1), "the front matter has no end", help="end it with ---")


def _items(lines: list[str], start: int, file: str) -> Iterator[_Item]:
    """Every numbered item, with the step in it."""
    item: _Item | None = None
    index = start
    while index < len(lines):
        fence = _fence(lines, index)
        opens = None if fence else _ITEM.match(lines[index])
        if fence:
            _take_fence(fence, item, file)
            index += len(fence.body) + 1
        elif opens and (item is None or _indent(lines[index]) < item.indent):
            if item:
                yield item
            item = _Item(int(opens[1]), index + 1, opens.end(), [lines[index][opens.end() :]])
        elif item and _leaves(lines, index, item):
            yield item
            item = None
        elif item:
            _take_text(lines[index], item)
        index += 1
    if item:
        yield item


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _leaves(lines: list[str], index: int, item: _Item) -> bool:
    """Whether a line no longer belongs to the item; a paragraph's lines need no indent."""
    line = lines[index]
    if not line.strip() or _indent(line) >= item.indent:
        return False
    return not lines[index - 1].strip() or bool(_OTHER_BLOCK.match(line))


def _take_text(line: str, item: _Item) -> None:
    if not line.strip():
        item.first_paragraph = False
    elif item.first_paragraph:
        item.text.append(line.strip())


def _fence(lines: list[str], index: int) -> _Fence | None:
    """The fenced block that opens on this line, if one does."""
    opening = _FENCE.fullmatch(lines[index].rstrip())
    if opening is None:
        return None
    fence = _Fence(index + 1, len(opening[1]), opening[2], opening[3].strip())
    for at in range(index + 1, len(lines)):  # no slice: there may be as many fences as lines
        line = lines[at]
        mark = line.strip()
        if mark and set(mark) == {fence.mark[0]} and len(mark) >= len(fence.mark):
            fence.closed = True
            break
        fence.body.append(line[min(fence.indent, _indent(line)) :])
    return fence


def _take_fence(fence: _Fence, item: _Item | None, file: str) -> None:
    """Read a step's block into its item; other blocks are only for people."""
    place = Place(file, fence.line, fence.indent + 1)
    if item:
        item.first_paragraph = False
    if fence.info.split() != ["yaml", "step"]:
        if _NEARLY.fullmatch(fence.info):
            help = "did you mean 'yaml step'?"
            raise FileError(place, f"unknown block {fence.info!r}", help=help)
        return
    if not fence.closed:
        raise FileError(place, "the block has no end", help=f"end it with {fence.mark}")
    if item is None or fence.indent < item.indent:
        help = "indent it as far as the text of its item" if item else "put it under `1. …`"
        raise FileError(place, "a step must stand inside a numbered item", help=help)
    if item.step is not None:
        help = "one step an item"
        raise FileError(place, f"item {item.number} has a step already", help=help)
    item.step = compose("\n".join(fence.body) + "\n", file, fence.line + 1, fence.indent + 1)


def _refuse_same_numbers(items: list[_Item], file: str) -> None:
    """Reports speak of "step 3": numbers rise through the whole file."""
    for before, item in pairwise(items):
        if item.number <= before.number:
            problem = f"step {item.number} comes after step {before.number}"
            help = "number the steps through, also over headings"
            raise FileError(Place(file, item.line, 1), problem, help=help)
