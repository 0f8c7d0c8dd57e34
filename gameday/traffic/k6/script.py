"""A k6 script, read without trusting it: what it exports, and what its functions would send.

The script runs in a process of its own (`sandbox`), which is stopped after `LONGEST_S` whatever
it does. Each of its functions is run a few times with one thing changed at a time (`Math.random`,
`__VU`, `__ITER`, the clock), so that what varies in a request shows, and why. What comes back is
checked like any other text from outside.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gameday.core.errors import FileError, Place, UsageError
from gameday.core.json import JsonError, parse
from gameday.core.json_objects import Json
from gameday.core.network.credentials import without_credentials
from gameday.spec.yaml import decode, read_bytes, shown_path
from gameday.traffic.k6.source import line_of, rewrite

LONGEST_S: Final = 20.0  # above CPU_S of the sandbox, on a loaded machine
LARGEST_ANSWER: Final = 8 * 1024 * 1024  # a script's calls in JSON take some KiB
_LINES_ABOVE: Final = 10_000  # as in stubs.js
_AT: Final = re.compile(r"<input>:(\d{1,9})(?::(\d+))?")
_PLAINLY: Final = {
    "interrupted": ("it did not end within 2 s", "is there a loop without an end?"),
    "out of memory": ("it wanted more than 64 MB", "does it make data of its own?"),
}


MARK: Final = re.compile("(?:\ue000|\\\\ue000)((?:(?!\ue000|\\\\ue000).)*?)(?:\ue001|\\\\ue001)")
"""A placeholder of the sandbox for a value unknown there: its name between two signs."""


def readable(text: str) -> str:
    """The text, with what cannot be known named."""
    return without_credentials(MARK.sub(lambda match: f"<{match[1]}>", text))


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """A part that could not be taken over, or was changed; line 0 is the script as a whole."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass(slots=True)
class Notes:
    """Everything said so far; nothing is said twice."""

    said: set[Note] = field(default_factory=set)

    def add(self, line: int, text: str) -> None:
        self.said.add(Note(line, without_credentials(" ".join(text.split()))))

    @property
    def in_order(self) -> list[Note]:
        return sorted(self.said)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Problem(_Told):
    """An error that stopped the script, or one of its functions."""

    name: str = ""
    message: str = ""
    line: int = 0

    @property
    def where(self) -> int:
        """The line of the script, 0 when none is known."""
        lines = (int(at[1]) - _LINES_ABOVE for at in _AT.finditer(self.message))
        return self.line or next((line for line in lines if line > 0), 0)

    @property
    def text(self) -> str:
        told = self.message.split("\n    at ")[0].strip()
        return f"{self.name}: {told}" if self.name else told


class Call(_Told):
    """One thing a function did: a request, a sleep, a check or a group."""

    kind: str
    line: int = 0
    method: str = ""
    url: str = ""
    body: str | None = None
    form: bool = False
    headers: Json = Field(default_factory=dict)
    timeout: Any = None
    auth: str | None = None
    expected: Any = None
    seconds: float | None = None
    name: str = ""
    statuses: list[tuple[int, int]] = Field(default_factory=list)
    within: float | None = None


class Iteration(_Told):
    """The calls of one run of one function, and the problem that stopped it."""

    calls: list[Call] = Field(default_factory=list)
    problem: Problem | None = None

    def of(self, kind: str) -> list[Call]:
        return [call for call in self.calls if call.kind == kind]


class Noted(_Told):
    """Something the script asked for, and the line where it did."""

    what: str
    line: int = 0


class Facts(_Told):
    """Things the script asked for that gameday does not provide."""

    env: list[Noted] = Field(default_factory=list)
    refused: list[Noted] = Field(default_factory=list)
    modules: list[Noted] = Field(default_factory=list)
    metrics: list[Noted] = Field(default_factory=list)


class _Answer(_Told):
    problem: Problem | None = None
    options: Any = None
    functions: list[str] = Field(default_factory=list)
    facts: Facts = Facts()
    iterations: Mapping[str, Mapping[str, Iteration]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as read. `iterations` is by function, and by what was changed: `base` is nothing."""

    file: str
    text: str
    options: Json
    facts: Facts
    functions: tuple[str, ...]
    iterations: Mapping[str, Mapping[str, Iteration]]

    def line_of(self, *keys: str) -> int:
        """The line of the last of these keys, each within the one before; 0 for none."""
        return line_of(self.text, *keys)

    def error(self, line: int, problem: str, *, help: str = "") -> FileError:
        """A complaint about a line of the script."""
        return FileError(Place(self.file, max(line, 1), 1), readable(problem), help=help)

    def error_at(self, keys: tuple[str, ...], problem: str, *, help: str = "") -> FileError:
        """A complaint about what stands at these keys."""
        return self.error(self.line_of(*keys), problem, help=help)


def read_script(path: Path, env: Mapping[str, str]) -> Script:
    """Read the script at `path`; `env` is its `__ENV`. Raises FileError."""
    if find_spec("_quickjs") is None:
        help = "pip install quickjs-ng, on a platform it has a wheel for"
        raise UsageError("no JavaScript engine is installed to read scripts with", help=help)
    file = shown_path(path)
    text = decode(read_bytes(path), file)
    job = json.dumps({"text": rewrite(text, file), "env": dict(env)})
    answer = _ask(job.encode(), Place(file, 1, 1))
    if answer.problem is not None:
        raise _failed(answer.problem, file)
    options = answer.options
    if not isinstance(options, dict):
        what = "no `options`" if options is None else f"`options` that are no object: {options!r}"
        help = "gameday takes scenarios, stages, vus and duration from there"
        raise FileError(Place(file, 1, 1), f"the script exports {what}", help=help)
    functions = tuple(answer.functions)
    return Script(file, text, options, answer.facts, functions, answer.iterations)


def _failed(problem: Problem, file: str) -> FileError:
    said = (plainly for sign, plainly in _PLAINLY.items() if sign in problem.text)
    what, cure = next(said, (problem.text, ""))
    place = Place(file, max(problem.where, 1), 1)
    return FileError(place, readable(f"the script cannot be loaded: {what}"), help=cure)


def _ask(job: bytes, place: Place) -> _Answer:
    """Have the sandbox run the script. Raises FileError."""
    command = [sys.executable, "-P", "-m", "gameday.traffic.k6.sandbox"]
    try:
        done = subprocess.run(
            command,
            input=job,
            capture_output=True,
            timeout=LONGEST_S,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        problem = f"the script was stopped after {LONGEST_S:g} s"
        raise FileError(place, problem, help="is there a loop without an end?") from None
    if done.returncode != 0 or len(done.stdout) > LARGEST_ANSWER:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no word"]
        problem = f"the script ended the engine ({done.returncode}): {said[0][:200]}"
        raise FileError(place, problem, help="it wants more time or memory than it may have")
    try:
        return _Answer.model_validate(parse(done.stdout))
    except (ValidationError, JsonError) as error:
        why = error.message if isinstance(error, JsonError) else f"{error.error_count()} values"
        problem = f"the script spoiled its own account: {why}"
        raise FileError(place, problem, help="does it change the engine's own objects?") from None
