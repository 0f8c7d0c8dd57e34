"""Mutants of alert rules: each the rule with one thing wrong that people get wrong.

A threshold ten times too high or low, a comparison the wrong way round, a window or a `for` that
is too long or too short, a `keep_firing_for` that nobody wanted, a metric or a label value that is
named otherwise now, a label of the alert itself that is another or gone, a rule that is not loaded.
Whoever tests alerts must notice them; which mutants nobody notices tells what is not tested.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from gameday.core.clock import NS
from gameday.telemetry.alerts.rules import AlertRule
from gameday.telemetry.promql import PromqlError, parse

Kind = Literal[
    "threshold", "comparison", "window", "for", "keep", "label", "metric", "matcher", "removed"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_FACTOR: Final = 10
_ABOVE_ZERO: Final = 1000  # a threshold of 0 has no tenfold
_FOR_MORE_NS: Final = 60 * NS  # longer than a fault of a short drill
_WINDOW: Final = 6
_RENAMED: Final = "renamed"
_NUMBER: Final = r"(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_COMPARED: Final = re.compile(rf"(?P<op>==|!=|<=|>=|<|>)(?P<gap>\s*(?:bool\s+)?){_NUMBER}")
_COMPARISON: Final = re.compile(r"==|!=|<=|>=|<|>")
_RANGE: Final = re.compile(r"\[(?P<number>\d+)(?P<unit>ms|s|m|h|d)(?=[\]:])")
_QUOTED: Final = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`")
_OPPOSITE: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "!=", "!=": "=="}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule that is wrong in one thing; None for one that is not loaded. `change` says in what."""

    of: AlertRule
    kind: Kind
    change: str
    rule: AlertRule | None


def mutants(rule: AlertRule) -> list[Mutant]:
    """The mutants of a rule: each differs from it, and can be evaluated."""
    removed = Mutant(rule, "removed", "not loaded", None)
    found = [removed, *_of_for(rule), *_of_keep(rule), *_of_labels(rule)]
    text = rule.query.text
    for kind, change, changed in _of_text(rule):
        if changed == text:
            continue
        try:
            query = parse(changed)
        except PromqlError:
            continue  # a window too short for its step, say: nobody could load that
        found.append(Mutant(rule, kind, change, replace(rule, query=query)))
    return sorted(found, key=lambda each: KINDS.index(each.kind))


def _of_for(rule: AlertRule) -> Iterator[Mutant]:
    longer = rule.for_ns * _FACTOR + _FOR_MORE_NS
    yield Mutant(rule, "for", f"for: {_seconds(longer)}", replace(rule, for_ns=longer))
    if rule.for_ns:
        yield Mutant(rule, "for", "for: 0s", replace(rule, for_ns=0))


def _of_keep(rule: AlertRule) -> Iterator[Mutant]:
    longer = rule.keep_firing_ns * _FACTOR + _FOR_MORE_NS
    change = f"keep_firing_for: {_seconds(longer)}"
    yield Mutant(rule, "keep", change, replace(rule, keep_firing_ns=longer))
    if rule.keep_firing_ns:
        yield Mutant(rule, "keep", "keep_firing_for: 0s", replace(rule, keep_firing_ns=0))


def _of_labels(rule: AlertRule) -> Iterator[Mutant]:
    """Each label with another value, and without it: whoever is routed by it is not reached."""
    for n, (name, value) in enumerate(rule.labels):
        others = rule.labels[:n], rule.labels[n + 1 :]
        renamed = (*others[0], (name, _RENAMED), *others[1])
        change = f"{name}: {value} → {_RENAMED}"
        yield Mutant(rule, "label", change, replace(rule, labels=renamed))
        gone = replace(rule, labels=(*others[0], *others[1]))
        yield Mutant(rule, "label", f"no label {name}", gone)


def _of_text(rule: AlertRule) -> Iterator[tuple[Kind, str, str]]:
    text = rule.query.text
    bare = _QUOTED.sub(lambda m: " " * len(m[0]), text)
    outside = re.sub(r"\{[^{}]*\}", lambda m: " " * len(m[0]), bare)
    for found in _COMPARED.finditer(outside):
        for number in _other_numbers(found["number"]):
            changed = text[: found.start("number")] + number + text[found.end() :]
            yield "threshold", f"{found['op']} {found['number']} → {number}", changed
    for found in _COMPARISON.finditer(outside):
        other = _OPPOSITE[found[0]]
        yield (
            "comparison",
            f"{found[0]} → {other}",
            text[: found.start()] + other + text[found.end() :],
        )
    yield from _of_windows(text, outside)
    for name in sorted(rule.query.metric_names()):
        changed = re.sub(rf"(?<![\w:]){re.escape(name)}(?![\w:])", f"{name}_{_RENAMED}", text)
        yield "metric", f"{name} → {name}_{_RENAMED}", changed
    for found in re.finditer(r"(?P<name>\w+)\s*=~?\s*(?P<value>\"[^\"\\]+\")", text):
        changed = text[: found.start("value")] + f'"{_RENAMED}"' + text[found.end() :]
        yield "matcher", f'{found["name"]}={found["value"]} → "{_RENAMED}"', changed


def _of_windows(text: str, outside: str) -> Iterator[tuple[Kind, str, str]]:
    ranges = list(_RANGE.finditer(outside))
    for longer in (True, False):
        changed, shown = text, ""
        for found in reversed(ranges):  # all windows of a rule are of one length, as a rule
            number = int(found["number"])
            other = number * _WINDOW if longer else max(1, number // _WINDOW)
            changed = changed[: found.start("number")] + str(other) + changed[found.end("number") :]
            shown = f"[{found['number']}{found['unit']}] → [{other}{found['unit']}]"
        if ranges:
            yield "window", shown, changed


def _other_numbers(written: str) -> list[str]:
    value = float(written)
    if value == 0:
        return [str(_ABOVE_ZERO)]
    return [f"{value * _FACTOR:g}", f"{value / _FACTOR:g}"]


def _seconds(time_ns: int) -> str:
    return f"{time_ns / NS:g}s"
