"""`label_replace` and `label_join`: a label made from others.

The replacement of `label_replace` is a template of Go's `regexp`: `$1` or `${1}` is a group, as
long as letters, digits and underscores go on, `$$` a dollar, and an unknown group nothing. The
pattern is RE2's and must match the whole value of the source, else the series stays as it is.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from gameday.telemetry.promql.errors import EvaluationError
from gameday.telemetry.promql.labels import Labels, label_set, value_of
from gameday.telemetry.promql.nodes import Node, Text
from gameday.telemetry.promql.patterns import compile_pattern, plain

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")
Relabel = Callable[[Labels], Labels]
LONGEST_VALUE: Final = 64 * 1024
"""Characters of a label: a chain of templates doubles them with each link."""


def relabelling(name: str, args: Sequence[Node]) -> Relabel:
    """The function from labels to labels that a call stands for. Raises ValueError."""
    texts = [arg.value for arg in args if isinstance(arg, Text)]
    return _join(*texts) if name == "label_join" else _replace(*texts)


def _replace(name: str, template: str, source: str, pattern: str) -> Relabel:
    compiled = compile_pattern(pattern, captures=True)
    _check_name(name)

    def replace(labels: Labels) -> Labels:
        found = compiled.groups(value_of(labels, source))
        if found is None:
            return labels
        value = _REFERENCE.sub(lambda reference: _referred(reference, found), template)
        return _with(labels, name, value)

    return replace


def _join(name: str, separator: str, *sources: str) -> Relabel:
    for each in (name, *sources):
        _check_name(each)

    def join(labels: Labels) -> Labels:
        return _with(labels, name, separator.join(value_of(labels, each) for each in sources))

    return join


def _with(labels: Labels, name: str, value: str) -> Labels:
    if len(value) > LONGEST_VALUE:
        raise EvaluationError(f"its label has more than {LONGEST_VALUE} characters", name)
    return label_set({**dict(labels), name: value})


def _check_name(name: str) -> None:
    if not name or plain(name) != name:
        raise ValueError(f"{name!r} is not a name for a label")


def _referred(reference: "re.Match[str]", found: Any) -> str:
    name = reference[1] or reference[2]
    if name is None:
        return "$"
    try:
        return found.group(int(name) if name.isdecimal() else name) or ""
    except (IndexError, KeyError):
        return ""
