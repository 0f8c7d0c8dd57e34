"""The request of one iteration of a script, as a request of gameday with its placeholders.

An iteration was run several times, each with one thing changed (`script`). A value that is the
same every time is written as it is; a number that follows chance, the virtual user or the
iteration is the user; other text that changes is the start's key. What follows something else,
such as the time of day, is noted.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import unquote

from gameday.core.json import MOST_DIGITS, JsonError, parse
from gameday.core.network.credentials import has_credentials
from gameday.traffic.k6.script import MARK, Call, Iteration, Notes, Script, readable
from gameday.traffic.k6.units import duration_of

_TELLING: Final = re.compile(r"authorization|cookie|token|secret|api-?key|password", re.IGNORECASE)
_WHY: Final = {"random": "Math.random", "vu": "__VU", "iter": "__ITER", "time": "the clock"}
_MOST_USERS: Final = 2**53  # whole numbers of JavaScript are exact up to here


@dataclass(slots=True)
class ScriptRequest:
    """One request, as `gameday traffic` takes it; `users` is how many different ones ask."""

    line: int
    method: str
    url: str
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    expect: list[tuple[int, int]] = field(default_factory=list)
    timeout: timedelta | None = None
    users: int | None = None


def sleep_of(runs: Mapping[str, Iteration], notes: Notes) -> timedelta:
    """The time an iteration sleeps in all; where that is left to chance, the middle."""
    totals = {cause: _slept(run) for cause, run in runs.items() if run.problem is None}
    first = totals.get("base", 0.0)
    others = [total for total in totals.values() if total != first]
    low, high = min([first, *others]), max([first, *others])
    calls = runs["base"].of("sleep")
    where = calls[0].line if calls else 0
    try:
        middle = duration_of(round((low + high) * 500) if others else first * 1000)
    except (ValueError, OverflowError):
        notes.add(where, f"the sleep of {high:g} s is left out: it is too long a duration")
        return timedelta(0)
    if not others:
        return middle
    text = f"the sleep is between {low:g} and {high:g} s; {middle.total_seconds():g} s is taken"
    notes.add(where, text)
    return middle


def _slept(run: Iteration) -> float:
    return sum(call.seconds for call in run.of("sleep") if call.seconds and call.seconds > 0)


def take_request(script: Script, functions: list[str], notes: Notes) -> ScriptRequest | None:
    """The request of the functions that scenarios run; None when they make none."""
    _refuse_credentials(script)
    found: list[ScriptRequest] = []
    for function in functions:
        runs = script.iterations.get(function)
        if runs is None:
            known = function in script.functions
            why = "one of too many to look at" if known else "not exported"
            notes.add(0, f"the function {function!r} is {why}")
            continue
        asked = _of_function(function, runs, notes)
        if asked is not None:
            found.append(asked)
    for other in found[1:]:
        if (other.method, other.url, other.json) != (found[0].method, found[0].url, found[0].json):
            text = f"{other.method} {other.url} is not sent: all scenarios share one request"
            notes.add(other.line, text)
    return found[0] if found else None


def _refuse_credentials(script: Script) -> None:
    """Raise FileError for an address that holds some; they are taken over nowhere."""
    for runs in script.iterations.values():
        for call in (call for run in runs.values() for call in run.of("http")):
            if has_credentials(call.url):
                shown = _excerpt(call.url)
                problem = f"{call.method} {shown}: its address holds credentials"
                help = "leave them out, and write {env: NAME} into the system file's headers"
                raise script.error(call.line, problem, help=help)


def _of_function(
    function: str, runs: Mapping[str, Iteration], notes: Notes
) -> ScriptRequest | None:
    base = runs["base"]
    _tell_problems(function, runs, notes)
    requests = base.of("http")
    if not requests:
        notes.add(0, f"the function {function!r} sends no request")
        return None
    chosen = next((n for n, call in enumerate(requests) if call.method != "GET"), 0)
    for n, call in enumerate(requests):
        if n != chosen:
            url = _excerpt(call.url)
            text = f"{call.method} {url} is not sent: an iteration is one request here"
            notes.add(call.line, text)
    methods = [call.method for call in requests]
    variants = {
        cause: run.of("http")[chosen]
        for cause, run in runs.items()
        if cause != "base" and [call.method for call in run.of("http")] == methods
    }
    for cause in runs.keys() - variants.keys() - {"base"}:
        notes.add(requests[0].line, f"what is asked depends on {_WHY.get(cause, cause)}")
    asked = _asked(requests[chosen], variants, notes)
    asked.expect = _expected(requests[chosen], base, notes)
    return asked


def _tell_problems(function: str, runs: Mapping[str, Iteration], notes: Notes) -> None:
    for run in runs.values():
        if run.problem is not None:
            text = f"the function {function!r} ends with {run.problem.text}"
            if "interrupted" in run.problem.text:
                text = f"the function {function!r} does not end within 0.5 s"
            notes.add(run.problem.where, text)
    for group in runs["base"].of("group"):
        notes.add(group.line, f"group {group.name!r}: groups are not told apart")


def _excerpt(url: str) -> str:
    return readable(url)[:200]


def _asked(call: Call, variants: Mapping[str, Call], notes: Notes) -> ScriptRequest:
    maker = _Maker(call.line, notes)
    asked = ScriptRequest(call.line, call.method, "")
    asked.url = maker.text(call.url, {cause: one.url for cause, one in variants.items()})
    asked.json = _body(call, variants, maker)
    for name, value in call.headers.items():
        others = {cause: str(one.headers.get(name)) for cause, one in variants.items()}
        if name.lower() == "content-type" and "json" in str(value):
            continue
        if _TELLING.search(name):
            text = f"header {name!r} may be a secret: write {{env: NAME}} in the system file"
            notes.add(call.line, text)
            continue
        asked.headers[name] = maker.text(str(value), others)
    if call.auth is not None:
        notes.add(call.line, f"auth {call.auth!r} has no counterpart")
    if call.timeout is not None:
        asked.timeout = _timeout(call, notes)
    asked.users = maker.users
    return asked


def _timeout(call: Call, notes: Notes) -> timedelta | None:
    try:
        return duration_of(call.timeout)
    except ValueError as error:
        notes.add(call.line, f"timeout: {error}")
        return None


def _body(call: Call, variants: Mapping[str, Call], maker: "_Maker") -> Any:
    """The JSON body with placeholders; None without one."""
    if call.body is None:
        return None
    if call.form:
        maker.note("the body is a form; gameday sends JSON, or nothing")
        return None
    try:
        base = parse(call.body.encode())
        others = {cause: parse((one.body or "").encode()) for cause, one in variants.items()}
    except (JsonError, UnicodeError):
        maker.note("the body is no JSON; gameday sends JSON, or nothing")
        return None
    return maker.value(base, others)


def _expected(call: Call, base: Iteration, notes: Notes) -> list[tuple[int, int]]:
    """The statuses that are no failure: those the script names, else those its checks let pass."""
    named = _statuses(call.expected)
    wanted = set(range(100, 600))
    for check in base.of("check"):
        every = [(100, 599)]
        if not check.statuses:
            notes.add(check.line, f"check {check.name!r} asks for more than a status")
        elif check.within is not None:
            text = f"check {check.name!r} asks for an answer within {check.within:g} ms"
            notes.add(check.line, f"{text}: write a threshold")
        elif [tuple(each) for each in check.statuses] != every:
            wanted &= {
                s for low, high in check.statuses for s in range(max(low, 100), min(high, 599) + 1)
            }
    if named:
        return named
    return [] if len(wanted) == len(range(100, 600)) else _ranges(sorted(wanted))


def _statuses(expected: Any) -> list[tuple[int, int]]:
    """The ranges of statuses in `http.expectedStatuses(200, {min: 300, max: 399})`."""
    found = []
    for each in expected if isinstance(expected, list) else []:
        low = each.get("min") if isinstance(each, dict) else each
        high = each.get("max") if isinstance(each, dict) else each
        if isinstance(low, int) and isinstance(high, int):
            found.append((low, high))
    return found


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


class _Maker:
    """Makes templates of the values of one request, and notes what it cannot know."""

    def __init__(self, line: int, notes: Notes) -> None:
        self._line = line
        self._notes = notes
        self.users: int | None = None

    def note(self, text: str) -> None:
        self._notes.add(self._line, text)

    def value(self, base: Any, others: Mapping[str, Any]) -> Any:
        """A JSON value with placeholders where it changes."""
        if isinstance(base, dict) and all(_keys(one) == _keys(base) for one in others.values()):
            return {
                self.text(key, {}): self.value(
                    inner, {cause: one[key] for cause, one in others.items()}
                )
                for key, inner in base.items()
            }
        if isinstance(base, list) and all(_length(one) == len(base) for one in others.values()):
            return [
                self.value(inner, {cause: one[n] for cause, one in others.items()})
                for n, inner in enumerate(base)
            ]
        if isinstance(base, str) and all(isinstance(one, str) for one in others.values()):
            return self.text(base, others)
        causes = [cause for cause, one in others.items() if one != base]
        if causes:
            return self._changing(base, others, causes)
        return base

    def _changing(self, base: Any, others: Mapping[str, Any], causes: list[str]) -> Any:
        numbers = [base, *(others[cause] for cause in causes)]
        if "time" in causes or not all(_is_whole(number) for number in numbers):
            why = ", ".join(_WHY.get(cause, cause) for cause in causes)
            self.note(f"a value that follows {why} stays {json.dumps(base)[:100]}")
            return base
        self._is_user(int(base), int(max(numbers)), causes)
        return "{user}"

    def _is_user(self, low: int, high: int, causes: list[str]) -> None:
        """The user is drawn by gameday: from as many as the script draws from."""
        if causes != ["random"]:
            why = " and ".join(_WHY[cause] for cause in causes)
            self.note(f"a number that follows {why} is {{user}} here: drawn, and from 0")
            return
        if low != 0:
            self.note(f"users are {low} to {high}; gameday counts them from 0")
        self.users = min(max(self.users or 1, high - low + 1), _MOST_USERS)

    def text(self, base: str, others: Mapping[str, str]) -> str:
        """Text with placeholders where it changes."""
        causes = [cause for cause, one in others.items() if one != base]
        if causes:
            return self._changing_text(base, others, causes)
        return self._unknown(base)

    def _changing_text(self, base: str, others: Mapping[str, str], causes: list[str]) -> str:
        if causes == ["time"]:
            self.note(f"text that follows the clock stays {base[:100]!r}")
            return self._unknown(base)
        texts = [base, *(others[cause] for cause in causes)]
        before = re.sub(r"(?<!\d)\d+$", "", os.path.commonprefix(texts))
        rest = [text[len(before) :] for text in texts]
        after = os.path.commonprefix([text[::-1] for text in rest])[::-1]
        after = re.sub(r"^\d+", "", after)
        middles = [text[: len(text) - len(after)] for text in rest]
        if all(_is_number(middle) for middle in middles) and "time" not in causes:
            numbers = [int(middle) for middle in middles]
            self._is_user(numbers[0], max(numbers), causes)
            return self._unknown(before) + "{user}" + self._unknown(after)
        self.note(f"text that changes, such as {unquote(middles[0])[:60]!r}, is {{key}} here")
        return self._unknown(before) + "{key}" + self._unknown(after)

    def _unknown(self, text: str) -> str:
        """Literal text, its braces doubled; what cannot be known is named, and the user's place."""
        parts = MARK.split(text)
        for label in parts[1::2]:
            self.note(f"what comes from {label} is not known: {{user}} stands for it")
        doubled = [part.replace("{", "{{").replace("}", "}}") for part in parts[::2]]
        return "{user}".join(doubled)


def _keys(value: Any) -> list[str] | None:
    return list(value) if isinstance(value, dict) else None


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else -1


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= MOST_DIGITS


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
