"""`label_replace` and `label_join`: a label made from others.

The replacement of `label_replace` is a template of Go's `regexp`: `$1` or `${1}` is a group, as
long as letters, digits and underscores go on, `$$` a dollar, and an unknown group nothing; `01`
is no number, so nothing, too. The pattern is RE2's and must match the whole value of the source,
else the series stays as it is.

Both can cost much for one series: a pattern takes time by its own size for each character, and a
template can repeat a group hundreds of times. So the cost is told before it is paid.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from gameday.core.patterns import compile_pattern, plain
from gameday.telemetry.promql.errors import EvaluationError
from gameday.telemetry.promql.labels import Labels, label_set, value_of
from gameday.telemetry.promql.nodes import Node, Relabel, Text

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")
_NUMBER = re.compile("0|[1-9][0-9]{0,7}")
Spend = Callable[[int], None]
LONGEST_VALUE: Final = 64 * 1024
"""Characters of a label: a chain of templates doubles them with each link."""
_STEPS_A_VALUE: Final = 64  # of RE2, which needs some 10 ns for each: a value takes half a µs
_CHARACTERS_A_VALUE: Final = 16  # of labels made: a budget of them comes to 64 MB at most


def relabelling(name: str, args: Sequence[Node]) -> Relabel:
    """The function from labels to labels that a call stands for. Raises ValueError."""
    texts = [arg.value for arg in args if isinstance(arg, Text)]
    return _join(*texts) if name == "label_join" else _replace(*texts)


def _replace(name: str, template: str, source: str, pattern: str) -> Relabel:
    compiled = compile_pattern(pattern, captures=True)
    _check_name(name)
    parts = tuple(_parts(template))

    def replace(labels: Labels, spend: Spend) -> Labels:
        value = value_of(labels, source)
        spend(1 + len(value) * compiled.size // _STEPS_A_VALUE)
        found = compiled.groups(value)
        if found is None:
            return labels
        pieces = (part if is_plain else _group(found, part) for part, is_plain in parts)
        return _with(labels, name, pieces, spend)

    return replace


def _join(name: str, separator: str, *sources: str) -> Relabel:
    for each in (name, *sources):
        _check_name(each)

    def join(labels: Labels, spend: Spend) -> Labels:
        spend(1)
        pieces = (piece for each in sources for piece in (separator, value_of(labels, each)))
        next(pieces, None)  # between them, not before the first
        return _with(labels, name, pieces, spend)

    return join


def _with(labels: Labels, name: str, pieces: Iterable[str], spend: Spend) -> Labels:
    """The labels with one made of these pieces, which are added up no further than they may."""
    made, length = [], 0
    for piece in pieces:
        made.append(piece)
        length += len(piece)
        if length > LONGEST_VALUE:
            raise EvaluationError(f"its label has more than {LONGEST_VALUE} characters", name)
    spend(length // _CHARACTERS_A_VALUE)
    return label_set({**dict(labels), name: "".join(made)})


def _check_name(name: str) -> None:
    if not name or plain(name) != name:
        raise ValueError(f"{name!r} is not a name for a label")


def _parts(template: str) -> Iterator[tuple[str, bool]]:
    """The parts of a template in their order: text as it stands (True), or the name of a group."""
    at = 0
    for reference in _REFERENCE.finditer(template):
        yield template[at : reference.start()], True
        name = reference[1] or reference[2]
        yield ("$", True) if name is None else (name, False)
        at = reference.end()
    yield template[at:], True


def _group(found: Any, name: str) -> str:
    try:
        return found.group(int(name) if _NUMBER.fullmatch(name) else name) or ""
    except (IndexError, KeyError):
        return ""
