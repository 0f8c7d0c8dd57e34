"""Every error gameday raises on purpose, and the exit codes that commands end with.

    GamedayError              BUG        a bug, unless a subclass says otherwise
    ├── UsageError            USAGE      bad usage or a bad file; nothing was touched
    │   └── FileError         USAGE      the same, with a place in a file
    ├── StackError            UNHEALTHY  the stack did not become healthy
    ├── UnknownError          UNKNOWN    no statement can be made: no data, not injected
    └── StuckFaultError       STUCK      a fault could not be read back as gone

The message says where, what and the offending value; `help` says what to do next. Errors are
raised where the cause is known and printed once, by the command line.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple, Self

_LONGEST = 4000
"""The offending value may be a megabyte; nobody reads more of it than this."""


class ExitCode(IntEnum):
    """An exit code and its meaning. Where several apply, the first of this list is the one.

    What a run ends with is decided in one place, `judge/exit_code.py`.
    """

    meaning: str

    STUCK = 6, "a fault's state could not be read back as gone: gameday heal"
    INVALID = 1, "a check is invalid: a weakness was found"
    UNHEALTHY = (
        4,
        (
            "a stack that gameday starts did not become healthy, or was not steady"
            " (on a system of yours: 3)"
        ),
    )
    ABORTED = 5, "aborted by a guard, the operator or a signal; every fault is out"
    BUG = 70, "a bug in gameday"
    USAGE = (
        2,
        "bad usage, a bad file, or a campaign that was used before (before anything was touched)",
    )
    UNKNOWN = (
        3,
        (
            "unknown: not injected, generator limited, no data, not exercised; a system of yours"
            " was not healthy, or not steady"
        ),
    )
    PASSED = 0, "the hypothesis held"

    def __new__(cls, number: int, meaning: str) -> Self:
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 4 :]}"


class GamedayError(Exception):
    """An error that gameday knows; `help` holds the cure, "" when there is none.

    `page` names the page of the documentation about it, "" where there is none.
    """

    exit_code: ExitCode = ExitCode.BUG
    page: str = ""

    def __init__(self, message: str, *, help: str = "") -> None:
        self.message = _short(message)
        super().__init__(self.message)
        self.help = _short(help)


class UsageError(GamedayError):
    """The command line or a file asks for something that cannot be done."""

    exit_code = ExitCode.USAGE


class Place(NamedTuple):
    """A position in a file, both counted from 1.

    No dataclass: those import 15 modules more, which the reaper and `gameday stop` start without.
    """

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class FileError(UsageError):
    """A file is wrong, at a place that the message names first."""

    def __init__(self, place: Place, problem: str, *, help: str = "", page: str = "") -> None:
        super().__init__(f"{place}: {problem}", help=help)
        self.place = place
        self.problem = problem
        self.page = page


class SilentRunError(UsageError):
    """A run that is under way does not answer, or has just ended."""


class StackError(GamedayError):
    """A part of the stack did not start, is not healthy, or is not there."""

    exit_code = ExitCode.UNHEALTHY


class UnknownError(GamedayError):
    """The evidence does not carry a statement."""

    exit_code = ExitCode.UNKNOWN


class StuckFaultError(GamedayError):
    """A fault's state could not be read back as gone."""

    exit_code = ExitCode.STUCK


def excerpt(text: str, most: int = 100) -> str:
    """The beginning of a value, enough to recognise it: so an error stays one line."""
    return text if len(text) <= most else f"{text[:most]}…"


def one_of_them(given: str, known: Iterable[str]) -> str:
    """The help for a wrong name: the nearest right one, else all of them, "" if there are none."""
    from difflib import get_close_matches  # only for who has mistaken a name

    names = sorted(set(known))
    near = get_close_matches(given, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"one of {', '.join(names)}" if names else ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, all that it came of, and the members of groups among them; the nearest first."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        yield one
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
