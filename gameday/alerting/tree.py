"""A rule file's YAML as nodes that know their place, so that an error can name line and column.

PyYAML builds plain values and forgets where they stood, and lets a key appear twice. Here the
composed nodes are walked instead: every key must be known, must appear once, and every value
must be of the kind that its place asks for.
"""

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

import yaml

from gameday.errors import FileError, Place, UsageError

LARGEST_FILE = 1_000_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Tree:
    """One node of a YAML file; `what` says in words where it stands."""

    __slots__ = ("_node", "file", "what")

    def __init__(self, node: yaml.Node, file: str, what: str) -> None:
        self._node = node
        self.file = file
        self.what = what

    @property
    def place(self) -> Place:
        """Where the node begins."""
        mark = self._node.start_mark
        return Place(self.file, mark.line + 1, mark.column + 1)

    def fail(self, problem: str, *, help: str = "") -> NoReturn:
        """Raise a FileError about this node."""
        raise FileError(self.place, f"{self.what}: {problem}" if self.what else problem, help=help)

    def fields(
        self, known: Collection[str], *, required: Collection[str] = ()
    ) -> "dict[str, Tree]":
        """The members of a mapping with known keys."""
        found = self.members()
        for key, (key_tree, _) in found.items():
            if key not in known:
                close = get_close_matches(key, known, 1)
                help = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
                key_tree.fail(f"unknown key {key!r}", help=help)
        for key in required:
            if key not in found:
                self.fail(f"{key!r} is missing")
        return {key: value for key, (_, value) in found.items()}

    def members(self) -> "dict[str, tuple[Tree, Tree]]":
        """Key and value of every member of a mapping."""
        if not isinstance(self._node, yaml.MappingNode):
            self.fail(f"a mapping is needed here, not {self._shown()}")
        found: dict[str, tuple[Tree, Tree]] = {}
        for key_node, value_node in self._node.value:
            key_tree = Tree(key_node, self.file, self.what)
            key = key_tree.text()
            if key in found:
                key_tree.fail(f"the key {key!r} appears twice")
            found[key] = (key_tree, Tree(value_node, self.file, self.what))
        return found

    def items(self) -> "list[Tree]":
        """The items of a list."""
        if not isinstance(self._node, yaml.SequenceNode):
            self.fail(f"a list is needed here, not {self._shown()}")
        return [Tree(node, self.file, self.what) for node in self._node.value]

    def text(self) -> str:
        """A scalar as it is written."""
        if not isinstance(self._node, yaml.ScalarNode):
            self.fail(f"a text is needed here, not {self._shown()}")
        return str(self._node.value)

    def about(self, what: str) -> "Tree":
        """The same node, described otherwise."""
        return Tree(self._node, self.file, what)

    def _shown(self) -> str:
        if isinstance(self._node, yaml.MappingNode):
            return "a mapping"
        return "a list" if isinstance(self._node, yaml.SequenceNode) else repr(self._node.value)


def read_tree(path: Path) -> Tree:
    """The root of a YAML file. Raises FileError, or UsageError where it cannot be read."""
    try:
        text = path.read_bytes()[: LARGEST_FILE + 1].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if len(text) > LARGEST_FILE:
        raise UsageError(f"{path}: larger than {LARGEST_FILE} bytes")
    start = Place(str(path), 1, 1)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_LOADER)):
            raise FileError(start, "aliases (*name) are not taken in a rule file")
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(str(path), mark.line + 1, mark.column + 1) if mark else start
        raise FileError(place, f"is not YAML: {error.problem or error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise FileError(start, f"is not YAML: {error}") from error
    if root is None:
        raise FileError(start, "the file is empty", help="write `groups:`")
    return Tree(root, str(path), "")
