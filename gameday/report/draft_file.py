"""The draft as a file that people edit: its head with status, owner and date, and its action items.

A draft begins with front matter and holds an action item as a list item with a box, and a fenced
block that says what a machine must know of it:

    - [ ] Make `no_over_issuance` valid again.

      ```yaml action
      type: prevent
      owner: checkout team
      due: 2026-12-24
      experiment: redis-torn
      expect: no_over_issuance
      ```

People write in this file, so it is read with patience: what is wrong is a problem with its place,
and everything else still counts. An item without a block, as one writes it in a hurry, is one too.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gameday.core import files
from gameday.core.errors import FileError, Place, UsageError, excerpt, one_of_them
from gameday.core.language import languages
from gameday.report.messages import Messages
from gameday.spec.yaml import Document, compose

Status = Literal["draft", "in review", "final"]
Kind = Literal["mitigate", "prevent", "detect", "process"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DRAFT: Final = "postmortem.md"
LARGEST_BYTES: Final = 8 * files.MIB  # a draft of an hour has less than one
MOST_LINES: Final = 50_000
MOST_ITEMS: Final = 500  # of one draft; more than anybody will ever do
_RULE: Final = "---"
_BOX: Final = re.compile(r"\[([ xX])\]\s+")
_TODO: Final = "TODO(person):"
_NAMED: Final = re.compile(r"(?!www\.)[\w. -]+")
_WORDS: Final = {"true", "false", "null", "yes", "no", "on", "off"}
_MARKUP: Final = re.compile(r"[<>&`*_\[\]!:/~|#@$^{}()]|(?<=www)\.")
_BLOCKS: Final = MarkdownIt("commonmark").disable("reference")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_HEAD_KEYS: Final = {"status", "owner", "date"}
_ITEM_KEYS: Final = {"id", "type", "owner", "due", "experiment", "expect"}
T = TypeVar("T", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Front matter of the draft; `status` is None where nobody can tell."""

    status: Status | None = None
    owner: str = ""
    date: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionItem:
    """A thing to do, as it stands in a draft; `expect` names checks of `experiment`.

    `id` is what a ticket or a commit calls it by.
    """

    title: str
    line: int
    done: bool = False
    id: str = ""
    type: str = ""
    owner: str = ""
    due: date | None = None
    experiment: str = ""
    expect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftFile:
    """A draft that was read, and what could not be understood of it."""

    head: Head
    items: Sequence[ActionItem] = ()
    problems: Sequence[FileError] = ()
    to_do: int = 0


def read_draft(path: Path) -> DraftFile:
    """The draft at `path`. Raises UsageError where it cannot be read at all."""
    file = files.shown_path(path)
    return parse(files.decode(_bytes(path), file), file)


def _bytes(path: Path) -> bytes:
    try:
        return files.read_bytes(path, LARGEST_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", help=files.HELP) from error


def parse(text: str, file: str) -> DraftFile:
    """The draft that is the text of `file`. Raises FileError where it is no draft's length."""
    lines = re.split(r"\r\n?|\n", text)
    if len(lines) > MOST_LINES:
        raise FileError(Place(file, MOST_LINES + 1, 1), f"more than {MOST_LINES:,} lines")
    problems: list[FileError] = []
    head, start = _head(lines, file, problems)
    items = [*_Items(lines, start, file, problems).read()]
    if len(items) > MOST_ITEMS:
        where = Place(file, items[MOST_ITEMS].line, 1)
        problems.append(FileError(where, f"more than {MOST_ITEMS} action items"))
    return DraftFile(
        head=head, items=items[:MOST_ITEMS], problems=problems, to_do=text.count(_TODO)
    )


def front_matter(values: Mapping[str, str]) -> str:
    """Front matter of plain values, each on a line of its own."""
    lines = [_RULE, *(f"{key}: {scalar(value)}".rstrip() for key, value in values.items()), _RULE]
    return "\n".join(lines)


def set_head(path: Path, changes: Mapping[str, str]) -> None:
    """Change the front matter of the draft at `path`, and no other byte of it.

    Raises UsageError where it cannot be read, or somebody saves it at the same moment: what a
    person writes is never lost.
    """
    if path.is_symlink():
        raise UsageError(f"{path}: it is a link", help="change the file that it leads to")
    raw = _bytes(path)
    files.decode(raw, files.shown_path(path))
    changed = with_head(raw.decode(), changes).encode()
    if _bytes(path) != raw:
        raise UsageError(f"{path}: somebody has just saved it", help="do it again")
    if changed != raw:
        files.replace(path, [changed])


def with_head(text: str, changes: Mapping[str, str]) -> str:
    """The text with other values in its front matter, and every other byte as it was."""
    end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    lines = text.removeprefix(bom).split("\n")
    last = _end_of_head([line.rstrip() for line in lines])
    if last is None:
        return bom + front_matter(changes).replace("\n", end) + end + end + text.removeprefix(bom)
    head = lines[:last]
    for key, value in changes.items():
        line = f"{key}: {scalar(value, by_person=True)}".rstrip() + end[:-1]
        at = next((i for i, old in enumerate(head) if re.match(rf"{key}\s*:", old)), None)
        if at is None:
            head.append(line)
        else:
            comment = re.search(r"\s#.*", head[at])
            kept = comment[0].rstrip("\r") if comment and '"' not in head[at] else ""
            head[at] = line.rstrip("\r") + kept + end[:-1]
    return bom + "\n".join([*head, *lines[last:]])


def scalar(value: str, *, by_person: bool = False) -> str:
    """The text as a scalar of YAML that reads back as it.

    What a run was given is never markup, also where a viewer knows no front matter.
    """
    plain = _NAMED.fullmatch(value) and value == value.strip() and ": " not in value
    safe = plain and value.lower() not in _WORDS and value[0].isalnum() and not value.endswith(":")
    if not value or (safe and not _is_a_number(value)):
        return value
    shown = "".join(each if each.isprintable() else "\ufffd" for each in value)
    written = json.dumps(shown, ensure_ascii=False)  # which is YAML too
    return written if by_person else _MARKUP.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _is_a_number(value: str) -> bool:
    return re.fullmatch(r"[\d._:eExXoO+-]+", value) is not None and "-" not in value[1:]


def _end_of_head(lines: Sequence[str]) -> int | None:
    """The index of the line that ends the front matter, None where there is none."""
    if not lines or lines[0] != _RULE:
        return None
    return next((i for i, line in enumerate(lines[1:200], 1) if line == _RULE), None)


def _head(lines: Sequence[str], file: str, problems: list[FileError]) -> tuple[Head, int]:
    """The front matter, and the index of the first line after it."""
    last = _end_of_head([line.rstrip() for line in lines[:200]])
    if last is None:
        what = "the front matter has no end" if lines[0].rstrip() == _RULE else "no front matter"
        help = "gameday report RUN --status draft writes it"
        problems.append(FileError(Place(file, 1, 1), what, help=help))
        return Head(), 0
    try:
        document = compose("\n".join(lines[1:last]) + "\n", file, 2)
    except FileError as error:
        problems.append(error)
        return Head(), last + 1
    status = _one_of(document, "status", STATUSES, problems)
    _refuse_nearly(document, _HEAD_KEYS, problems)
    when = _text(document, "date", problems)
    if when and _date(document, "date", problems) is None:
        when = ""
    owner, language = _text(document, "owner", problems), _text(document, "language", problems)
    if status is None and document.root.child("status") is None:
        problems.append(document.error((), "no 'status'", help=one_of_them("", STATUSES)))
    language = language if language in languages() else "en"
    return Head(status=status, owner=owner, date=when, language=language), last + 1


@dataclass(slots=True)
class _Open:
    """A list item that is being read."""

    level: int
    line: int
    text: str | None = None
    block: Document | None = None
    headed: bool = False


class _Items:
    """The action items of a draft, in their order."""

    def __init__(
        self, lines: Sequence[str], start: int, file: str, problems: list[FileError]
    ) -> None:
        self._lines, self._start, self._file = lines, start, file
        self._problems = problems
        self._open: list[_Open] = []
        self._here = False  # under the heading of the action items
        self._heads = {Messages(language)("actions.head").lstrip("# ") for language in languages()}

    def read(self) -> Iterator[ActionItem]:
        """Each of them; what is wrong in one is a problem, and it stays one."""
        if not any("[" in line for line in self._lines):
            return
        heading = False
        for token in _BLOCKS.parse("\n".join(self._lines[self._start :])):
            if token.type == "heading_open":
                heading = True
                self._here = self._here and token.tag > "h2"
            elif token.type == "inline" and heading:
                heading = False
                self._here = self._here or token.content.strip() in self._heads
            elif token.type == "list_item_close" and self._open:
                yield from self._item(self._open.pop())
            else:
                self._into_item(token)

    def _into_item(self, token: Token) -> None:
        """Take what belongs to an item: its begin, its first paragraph, its block."""
        if token.type == "list_item_open":
            self._open.append(_Open(token.level, self._line(token), headed=self._here))
        elif token.type == "inline" and self._open and self._open[-1].text is None:
            self._open[-1].text = token.content
        elif token.type == "fence":
            self._fence(token, self._open)

    def _line(self, token: Token) -> int:
        assert token.map is not None
        return self._start + token.map[0] + 1

    def _item(self, item: _Open) -> Iterator[ActionItem]:
        box = _BOX.match(item.text or "")
        if item.block is None and (not item.headed or box is None):
            return
        text = (item.text or "")[box.end() if box else 0 :]
        title = " ".join(text.replace("**", "").split())
        if item.block is None and title.startswith(_TODO):
            return  # a question of the template, or an item of a draft of before
        found = ActionItem(title=title, line=item.line, done=bool(box) and box[1] in "xX")  # type: ignore[index]
        yield found if item.block is None else self._with_block(found, item.block)

    def _with_block(self, item: ActionItem, block: Document) -> ActionItem:
        if not isinstance(block.root.content, dict):
            self._problems.append(block.error((), "an action is a list of keys and values"))
            return item
        problems = self._problems
        _refuse_nearly(block, _ITEM_KEYS, problems)
        return replace(
            item,
            id=_text(block, "id", problems),
            type=_one_of(block, "type", KINDS, problems) or "",
            owner=_text(block, "owner", problems),
            due=_date(block, "due", problems),
            experiment=_text(block, "experiment", problems),
            expect=_texts(block, "expect", problems),
        )

    def _fence(self, token: Token, open_: Sequence[_Open]) -> None:
        if token.info.split() != ["yaml", "action"]:
            return
        line = self._line(token)
        place = Place(self._file, line, self._lines[line - 1].find(token.markup) + 1)
        if not open_:
            help = "put it under `- [ ] …`, indented as far as its text"
            self._problems.append(FileError(place, "an action must stand in a list", help=help))
        elif open_[-1].block is not None:
            help = "one block an item"
            self._problems.append(FileError(place, "this item has a block already", help=help))
        else:
            try:
                text = token.content or "\n"
                open_[-1].block = compose(text, self._file, line + 1, place.column)
            except FileError as error:
                self._problems.append(error)
                open_[-1].headed = True


def _text(document: Document, key: str, problems: list[FileError]) -> str:
    """The text under a key; "" where there is none."""
    value = _plain(document, key)
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    problems.append(document.error((key,), f"{key!r} is no text: {excerpt(str(value))}"))
    return ""


def _texts(document: Document, key: str, problems: list[FileError]) -> tuple[str, ...]:
    value = _plain(document, key)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    found = _text(document, key, problems)
    return (found,) if found else ()


def _one_of(
    document: Document, key: str, known: Sequence[T], problems: list[FileError]
) -> T | None:
    """The word under a key, however it is written."""
    given = _text(document, key, problems)
    wanted = re.sub(r"[\s_-]+", " ", given).strip().lower()
    found = next((each for each in known if each == wanted), None)
    if given and found is None:
        help = one_of_them(given, known)
        problems.append(document.error((key,), f"unknown {key} {excerpt(given)!r}", help=help))
    return found


def _date(document: Document, key: str, problems: list[FileError]) -> date | None:
    given = _text(document, key, problems)
    if not given:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        what = f"{key!r}: {excerpt(given)!r} is no date"
        problems.append(document.error((key,), what, help="write it as 2026-12-24"))
        return None


def _plain(document: Document, key: str) -> Any:
    step = document.root.child(key) if isinstance(document.root.content, dict) else None
    return None if step is None else step[1].plain()


def _refuse_nearly(document: Document, known: set[str], problems: list[FileError]) -> None:
    """Tell of a key that is nearly one of ours; people may keep keys of their own."""
    content = document.root.content
    for key in content if isinstance(content, dict) else ():
        help = "" if key in known else one_of_them(key, known)
        if help.startswith("did you mean"):
            problems.append(document.error((key,), f"unknown key {excerpt(key)!r}", help=help))
