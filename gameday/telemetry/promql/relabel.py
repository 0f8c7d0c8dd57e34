"""`label_replace` and `label_join`: a label made from others.

The replacement of `label_replace` is a template of Go's `regexp`: `$1` or `${1}` is a group, as
long as letters, digits and underscores go on, `$$` a dollar, and an unknown group nothing. The
pattern is RE2's and must match the whole value of the source, else the series stays as it is.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gameday.telemetry.promql.labels import Labels, label_set, value_of
from gameday.telemetry.promql.nodes import FunctionCall, Text
from gameday.telemetry.promql.patterns import compile_pattern, plain

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")
Relabel = Callable[[Labels], Labels]


def relabelling(call: FunctionCall) -> Relabel:
    """The function from labels to labels that a call stands for. Raises ValueError."""
    texts = [arg.value for arg in call.args if isinstance(arg, Text)]
    return _join(*texts) if call.name == "label_join" else _replace(*texts)


@lru_cache(maxsize=256)
def _replace(name: str, template: str, source: str, pattern: str) -> Relabel:
    compiled = compile_pattern(pattern, captures=True)
    _check_name(name)

    def replace(labels: Labels) -> Labels:
        found = compiled.groups(value_of(labels, source))
        if found is None:
            return labels
        value = _REFERENCE.sub(lambda reference: _referred(reference, found), template)
        return label_set({**dict(labels), name: value})

    return replace


@lru_cache(maxsize=256)
def _join(name: str, separator: str, *sources: str) -> Relabel:
    for each in (name, *sources):
        _check_name(each)

    def join(labels: Labels) -> Labels:
        value = separator.join(value_of(labels, source) for source in sources)
        return label_set({**dict(labels), name: value})

    return join


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
