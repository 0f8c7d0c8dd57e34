"""`python -m tests.support.walk [ROOT] [--pairs N]`: the cost of reading `gameday run` as a story.

Follows the project's own calls from `cli/run.py:run` in the order of the code, each function once,
with the types that mypy finds, in this tree or in another one's root; a constructor that is
generated from fields has no code to read, and does not count. Prints how many files are
entered, how often the reader changes file, how often back up to a higher layer or into a file
that was left before, and how long modules and functions are. A layer is a row of the rooms'
import graph, the longest way down from it; so two trees with other rooms can be compared.

`--pairs N` also prints the N pairs of files between which the reader goes most often, each with
the returns and the climbs that it costs: those are the modules to join, or the calls to straighten.
"""

import argparse
import ast
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from mypy import build, nodes, types
from mypy.main import process_options
from mypy.traverser import NameAndMemberCollector

PACKAGE = "gameday"
ENTRY = f"{PACKAGE}.cli.run.run"
Types = Mapping[nodes.Expression, types.Type]


@dataclass(frozen=True)
class Function:
    """A function of the project: its full name, its file, and what it calls, in order."""

    name: str
    path: str
    calls: Sequence[str]


def _calls(body: nodes.Block, found: Types) -> Iterator[str]:
    """Names of the project's functions that a body refers to, in the order of the code."""
    seen = NameAndMemberCollector()
    body.accept(seen)
    for ref in sorted([*seen.name_exprs, *seen.member_exprs], key=lambda r: (r.line, r.column)):
        node = ref.node or _definition(found.get(ref))
        if isinstance(node, nodes.TypeInfo):
            made_by = ("__new__", "__init__", "__post_init__")
            yield from (f"{node.fullname}.{name}" for name in made_by if name in node.names)
        elif isinstance(node, nodes.FuncDef | nodes.Decorator | nodes.OverloadedFuncDef):
            yield node.fullname


def _definition(found: types.Type | None) -> nodes.SymbolNode | None:
    """The function that a method's type was made from."""
    proper = types.get_proper_type(found)
    if isinstance(proper, types.Overloaded):
        proper = proper.items[0]
    return proper.definition if isinstance(proper, types.CallableType) else None


def functions(root: Path) -> dict[str, Function]:
    """Every function of the package at `root`, by its full name."""
    os.chdir(root)
    sources, options = process_options(["-p", PACKAGE])
    options.export_types = options.preserve_asts = True
    options.incremental = False
    built = build.build(sources, options)
    ours = [file for file in built.files.values() if file.fullname.split(".")[0] == PACKAGE]
    return {
        found.name: found
        for file in ours
        for found in _of(file.defs, _place(file, root), built.types)
    }


def _place(file: nodes.MypyFile, root: Path) -> str:
    return str(Path(file.path).resolve().relative_to(root / PACKAGE))


def _of(defs: Sequence[nodes.Statement], path: str, found: Types) -> Iterator[Function]:
    for node in defs:
        if isinstance(node, nodes.ClassDef):
            yield from _of(node.defs.body, path, found)
        inner = node.func if isinstance(node, nodes.Decorator) else node
        if isinstance(inner, nodes.FuncDef) and not _is_generated(inner):
            yield Function(inner.fullname, path, list(_calls(inner.body, found)))


def _is_generated(function: nodes.FuncDef) -> bool:
    """True for a constructor that a plugin of mypy has made up: there is nothing to read."""
    named = function.info.names.get(function.name) if function.info else None
    return named is not None and named.plugin_generated


@dataclass
class Walk:
    """A reader's way: files entered in order, the stack of open functions, and the counts."""

    functions: Mapping[str, Function]
    rank: Mapping[str, int]
    at: str = ""
    moves: int = 0
    climbs: int = 0
    returns: int = 0
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Returns by the two files between which the reader goes, in the order of their names."""
    climbing: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._read: set[str] = set()
        self.files: list[str] = []

    def follow(self, name: str) -> None:
        """Read a function, and each that it calls where the call stands."""
        self._read.add(name)
        mine = self.functions[name]
        self._go_to(mine.path)
        for call in mine.calls:
            if call in self.functions and call not in self._read:
                self._go_to(mine.path)  # to read on up to the call
                self.follow(call)

    def _go_to(self, path: str) -> None:
        if path == self.at:
            return
        if self.at:
            pair = (min(path, self.at), max(path, self.at))
            self.moves += 1
            climbs = self.rank[room(path)] > self.rank[room(self.at)]
            self.climbs += climbs
            self.climbing[pair] += climbs
            self.pairs[pair] += path in self.files
        if path in self.files:
            self.returns += 1
        else:
            self.files.append(path)
        self.at = path

    @property
    def read(self) -> int:
        return len(self._read)


def room(path: str) -> str:
    """The name at the top of the package under which a file lies."""
    return Path(path).parts[0].removesuffix(".py")


def layers(root: Path) -> dict[str, int]:
    """The row of each room: one more than that of the highest room it imports."""
    imports: dict[str, set[str]] = defaultdict(set)
    for path in (root / PACKAGE).rglob("*.py"):
        mine = room(str(path.relative_to(root / PACKAGE)))
        imports[mine] |= set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                parts = f"{node.module}.{node.names[0].name}".split(".")
                imports[mine].add(parts[1])
    rows: dict[str, int] = {}

    def row(mine: str) -> int:
        if mine not in rows:
            rows[mine] = 0  # a circle ends here
            below = imports[mine] - {mine}
            rows[mine] = max((row(each) + 1 for each in below if each in imports), default=0)
        return rows[mine]

    for each in list(imports):
        row(each)
    return defaultdict(int, rows)


def lengths(root: Path) -> tuple[float, float]:
    """The median length of a module, and of a function."""
    trees = [path.read_text() for path in (root / PACKAGE).rglob("*.py")]
    inside = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for tree in trees
        for node in ast.walk(ast.parse(tree))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return median(len(tree.splitlines()) for tree in trees), median(inside)


def main() -> int:
    """Walk, and print the counts."""
    parser = argparse.ArgumentParser(description="The cost of reading `gameday run` as a story.")
    parser.add_argument("root", nargs="?", default=".")
    parser.add_argument("--pairs", type=int, default=0, metavar="N")
    asked = parser.parse_args()
    root = Path(asked.root).resolve()
    rank = layers(root)
    walk = Walk(functions(root), rank)
    sys.setrecursionlimit(10_000)
    walk.follow(ENTRY)
    module, function = lengths(root)
    print(
        f"{walk.read} functions read in {len(walk.files)} files, {walk.moves} changes of file,"
        f" {walk.climbs} up to a higher layer, {walk.returns} into a file left before;"
        f" {max(rank.values()) + 1} layers, median module {module:g} lines, function {function:g}"
    )
    for (one, other), returns in walk.pairs.most_common(asked.pairs):
        print(f"{returns:4} returns {walk.climbing[one, other]:3} climbs  {one}  {other}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
