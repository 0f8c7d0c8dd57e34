"""YAML text becomes a tree that knows where every key and value stands.

The tree is built from PyYAML's events, without recursion, so that a hostile file costs little:
its size, its depth and what its aliases expand to are counted while it is read. Scalars read
as YAML 1.2 does: only `true` and `false` are booleans (a key `on`, a value `no` are text), only
plain decimal numbers are numbers (`010`, `1:30` and `.inf` are text), and one that no machine can
hold is refused: it would be infinity without a word. So are merge keys and tags.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import yaml

from gameday.core.errors import FileError, Place

LARGEST_BYTES = 1_000_000  # the longest shipped file has 3 KB; bounds memory
DEEPEST = 50  # an experiment nests 6 deep
MOST_VALUES = 10_000  # aliases may expand to billions of them

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,29})")
_FLOAT = re.compile(r"[-+]?([0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_CURES = {
    "mapping values are not allowed": "put text that holds ': ' in quotes",
    "cannot start any token": "put text that begins with a sign in quotes",
    "expected ',' or": "close what was opened, and put text that holds { } [ ] or , in quotes",
    "unknown escape": "in single quotes a backslash is just a backslash",
}


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """A key of a mapping with its value; `place` is the key's."""

    place: Place
    node: "Node"


@dataclass(frozen=True, slots=True)
class Node:
    """A value at `place`: a scalar, a list of nodes, or entries by key.

    `size` counts the values in it with every alias written out, `depth` the lists and mappings
    that lie one in the other, itself among them; `written` is a scalar as it stands in the file,
    for formats in which 1.10 and 010 are texts.
    """

    place: Place
    content: str | int | float | bool | None | list["Node"] | dict[str, MappingEntry]
    size: int = 1
    written: str = ""
    depth: int = 0

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.content, dict):
            return {key: entry.node.plain() for key, entry in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content

    def child(self, key: str | int) -> "tuple[Place, Node] | None":
        """The value at a key or an index, with the place to point at; None if it is not there."""
        if isinstance(self.content, dict) and isinstance(key, str) and key in self.content:
            entry = self.content[key]
            return entry.place, entry.node
        if isinstance(self.content, list) and isinstance(key, int) and key < len(self.content):
            return self.content[key].place, self.content[key]
        return None

    def walk(self, *loc: str | int) -> "Iterator[tuple[tuple[str | int, ...], Place, Node]]":
        """Every value below, depth first, with its path and the place to point at."""
        children: list[tuple[str | int, Place, Node]] = []
        if isinstance(self.content, dict):
            children = [(key, entry.place, entry.node) for key, entry in self.content.items()]
        elif isinstance(self.content, list):
            children = [(index, node.place, node) for index, node in enumerate(self.content)]
        for key, place, node in children:
            yield (*loc, key), place, node
            yield from node.walk(*loc, key)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read."""

    node: Node
    anchor: str | None
    size: int = 1
    depth: int = 1
    key: tuple[str, Place] | None = None
    merges: bool = False


@dataclass(slots=True)
class _Builder:
    """Takes events in the order of the file and leaves the tree in `root`."""

    file: str
    first_line: int = 1
    first_column: int = 1
    lenient: bool = False
    most_values: int = MOST_VALUES
    root: Node | None = None
    roots: list[Node] = field(default_factory=list)
    documents: int = 0
    closed_size: int = 0
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)

    def place(self, mark: Any) -> Place:
        """Position of a mark of PyYAML (Python's or libyaml's); None is the beginning."""
        line, column = (mark.line, mark.column) if mark else (0, 0)
        return self.at(line, column)

    def at(self, line: int, column: int) -> Place:
        return Place(self.file, self.first_line + line, self.first_column + column)

    def take(self, event: yaml.Event) -> None:
        place = self.place(event.start_mark)
        match event:
            case yaml.DocumentStartEvent():
                self._document(place)
            case yaml.ScalarEvent():
                _check_tag(place, event.tag)
                node = Node(place, _scalar(event, place), written=event.value)
                self._merge(event, place)
                self._add(node, event.value, event.anchor)
            case yaml.AliasEvent():
                self._alias(place, event.anchor)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                _check_tag(place, event.tag)
                self._begin(place, event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end()
            case _:
                pass

    def _document(self, place: Place) -> None:
        self.documents += 1
        self.anchors.clear()
        if self.documents > 1 and not self.lenient:
            raise FileError(place, "a second document begins here", help="one document a file")

    def _alias(self, place: Place, anchor: str | None) -> None:
        if anchor is None or anchor not in self.anchors:
            raise FileError(place, f"alias '*{anchor}' names nothing that stands before it")
        target = self.anchors[anchor]
        if len(self.open) + target.depth > DEEPEST:
            raise FileError(place, f"is nested deeper than {DEEPEST}, aliases written out")
        self._add(replace(target, place=place), None, None)

    def _begin(self, place: Place, event: yaml.CollectionStartEvent) -> None:
        if len(self.open) >= DEEPEST:
            raise FileError(place, f"is nested deeper than {DEEPEST}")
        content: list[Node] | dict[str, MappingEntry]
        content = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        self.open.append(_Open(Node(place, content), event.anchor))

    def _end(self) -> None:
        done = self.open.pop()
        whole = replace(done.node, size=done.size, depth=done.depth)
        if isinstance(whole.content, dict) and done.merges:
            whole = replace(whole, content=_merged(whole.content))
        self._add(whole, None, done.anchor)

    def _merge(self, event: yaml.ScalarEvent, place: Place) -> None:
        """Take note of a merge key; one in quotes or with a tag is a key as any other."""
        top = self.open[-1] if self.open else None
        if top is None or not isinstance(top.node.content, dict) or top.key is not None:
            return
        if event.value != "<<" or event.style not in (None, "") or event.tag is not None:
            return
        if not self.lenient:
            raise FileError(place, "merge keys are not supported", help="write the keys out")
        top.merges = True

    def _add(self, node: Node, text: str | None, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        size = self.closed_size + sum(each.size for each in self.open) + node.size
        if size > self.most_values:
            problem = f"more than {self.most_values} values, aliases written out"
            raise FileError(node.place, problem)
        if not self.open:
            self.root = node
            self.roots.append(node)
            self.closed_size += node.size
            return
        top = self.open[-1]
        top.size += node.size
        top.depth = max(top.depth, 1 + node.depth)
        if isinstance(top.node.content, list):
            top.node.content.append(node)
        elif top.key is None:
            top.key = (_key(node, text, top.node), node.place)
        elif isinstance(top.node.content, dict):
            top.node.content[top.key[0]] = MappingEntry(top.key[1], node)
            top.key = None


def _merged(content: dict[str, MappingEntry]) -> dict[str, MappingEntry]:
    """A mapping with those under its merge key below it: its own keys win, then the first's."""
    under = content["<<"].node
    whole = {key: entry for key, entry in content.items() if key != "<<"}
    for each in under.content if isinstance(under.content, list) else [under]:
        if not isinstance(each.content, dict):
            raise FileError(each.place, "a merge key needs a mapping, or a list of them")
        whole = {**each.content, **whole}
    return whole


def _key(node: Node, text: str | None, mapping: Node) -> str:
    """The text of a key; refuses what is not text, and a key that is there already."""
    if text is None:
        raise FileError(node.place, "a key must be text", help="put '{…}' in quotes")
    first = mapping.child(text)
    if first is not None:
        line = first[0].line
        raise FileError(node.place, f"key {text!r} stands here twice: the first is on line {line}")
    return text


def _check_tag(place: Place, tag: str | None) -> None:
    if tag not in _TAGS:
        raise FileError(place, f"tag {tag!r} is not supported", help="write the value without it")


def _scalar(event: yaml.ScalarEvent, place: Place) -> str | int | float | bool | None:
    """The value of a scalar: text in quotes is text."""
    text: str = event.value
    if event.style not in (None, "") or event.tag is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    if not math.isfinite(number):
        problem = f"{text} is too large: the largest number is 1.8e308"
        raise FileError(place, problem, help="put it in quotes if it is text")
    return number


def grow(text: str, file: str, first_line: int = 1, first_column: int = 1) -> Node:
    """The tree of a text whose top is a mapping. Raises FileError.

    `first_line` and `first_column` say where the text stands in its file.
    """
    builder = _Builder(file, first_line, first_column)
    _build(text, builder)
    if builder.root is None or builder.root.content is None:
        raise FileError(builder.place(None), "is empty", help="`gameday schema` says what it holds")
    if not isinstance(builder.root.content, dict):
        kind = "a list" if isinstance(builder.root.content, list) else "a single value"
        raise FileError(builder.root.place, f"is {kind}, not a mapping", help="write `key: value`")
    return builder.root


def grow_documents(text: str, file: str, most_values: int = MOST_VALUES) -> list[Node]:
    """The trees of all documents of a text, whatever they hold. Raises FileError.

    Merge keys (`<<`) are taken: formats of other programs have them.
    """
    builder = _Builder(file, lenient=True, most_values=most_values)
    _build(text, builder)
    return builder.roots


def _build(text: str, builder: _Builder) -> None:
    _refuse_unprintable(text, builder)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        _not_yaml(error, text, builder)


def _refuse_unprintable(text: str, builder: _Builder) -> None:
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd is None:
        return
    before = text[: odd.start()]
    place = builder.at(before.count("\n"), len(before) - before.rfind("\n") - 1)
    raise FileError(place, f"character {odd[0]!r} cannot stand in YAML")


def _not_yaml(error: yaml.MarkedYAMLError, text: str, builder: _Builder) -> NoReturn:
    mark = error.problem_mark or error.context_mark
    told = ", ".join(part for part in (error.context, error.problem) if part)
    cure = next((cure for sign, cure in _CURES.items() if sign in told), "")
    lines = text.splitlines()
    if mark and mark.line < len(lines) and lines[mark.line][mark.column :].startswith("\t"):
        cure = "indent with spaces, not with tabs"
    raise FileError(builder.place(mark), f"not YAML: {told}", help=cure) from error
