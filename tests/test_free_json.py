"""Annotations of a mapping to anything, counted: they do not become more.

A mapping to `Any` or `object` says nothing of its keys, so whoever reads it spells them, and mypy
finds no mistake. Records are dataclasses, made at the file; what is really free JSON is `Json`.
Aliases are resolved: a name that stands for such a mapping counts where it is made, and each time
that it is used.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text())
    for path in sorted((ROOT / "gameday").rglob("*.py"))
}
MAPPINGS = {"Mapping", "MutableMapping", "dict", "Dict", "defaultdict", "OrderedDict", "ChainMap"}
MOST = 60
# In these rooms only what reads or writes one format has any.
ROOMS = {"judge", "report", "run", "plan"}
CODECS = {"gameday.judge.result", "gameday.run.audit_file", "gameday.plan.audit_answer"}


def name_of(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node, those of annotations written as text too."""
    for node in ast.walk(tree):
        yield node
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and "[" in text and "\n" not in text:
            try:
                yield from ast.walk(ast.parse(text, mode="eval"))
            except (SyntaxError, ValueError):
                pass


def is_free(node: ast.AST) -> bool:
    """Tell a mapping to `Any` or `object`."""
    if not isinstance(node, ast.Subscript) or name_of(node.value) not in MAPPINGS:
        return False
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
    return len(parts) == 2 and name_of(parts[1]) in {"Any", "object"}


def names_in(tree: ast.Module, known: dict[str, set[str]]) -> set[str]:
    """Names of a module that stand for such a mapping: imported from where they are `known`."""
    return {
        each.asname or each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
        if each.name in known.get(node.module or "", ())
    }


def aliases() -> dict[str, set[str]]:
    """Names that stand for such a mapping, or for what is made of one, by their module."""
    found: dict[str, set[str]] = {module: set() for module in TREES}
    while True:
        before = sum(map(len, found.values()))
        for module, tree in TREES.items():
            names = found[module] | names_in(tree, found)
            for node in tree.body:
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
                    inside = ast.walk(node.value)
                    if any(is_free(each) or name_of(each) in names for each in inside):
                        found[module] |= {name_of(each) for each in node.targets}
        if sum(map(len, found.values())) == before:
            return found


def counted() -> Counter[str]:
    """How many there are in each module."""
    known, found = aliases(), Counter[str]()
    for module, tree in TREES.items():
        names = known[module] | names_in(tree, known)
        for node in nodes(tree):
            used = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            found[module] += is_free(node) or (used and name_of(node) in names)
    return +found


def test_annotations_of_a_mapping_to_anything_do_not_become_more() -> None:
    found = counted()
    assert sum(found.values()) <= MOST, found.most_common()


def test_rooms_of_records_have_free_json_where_a_format_is_read_or_written_alone() -> None:
    found = {module for module in counted() if module.split(".")[1] in ROOMS}
    assert found <= CODECS


def test_the_count_sees_aliases_texts_and_what_they_are_made_of() -> None:
    assert aliases()["gameday.core.json_objects"] == {"Json"}
    assert is_free(ast.parse("dict[str, Any]", mode="eval").body)
    assert any(map(is_free, nodes(ast.parse('x: "Mapping[str, object]"'))))
    assert not any(map(is_free, nodes(ast.parse("x: Mapping[str, int]"))))
