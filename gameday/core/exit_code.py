"""The exit codes of every command: their numbers, their meaning, and which of several counts."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """An exit code and its meaning. Where several apply, the first of this list is the one."""

    meaning: str

    STUCK = 6, "a fault's state could not be read back as gone: gameday heal"
    INVALID = 1, "a check is invalid: a weakness was found"
    UNHEALTHY = 4, "the stack did not become healthy, or was not steady"
    ABORTED = 5, "aborted by a guard, the operator or a signal; every fault is out"
    BUG = 70, "a bug in gameday"
    USAGE = 2, "bad usage or a bad file (before anything was touched)"
    UNKNOWN = 3, "unknown: not injected, generator limited, no data, not exercised"
    PASSED = 0, "the hypothesis held"

    def __new__(cls, number: int, meaning: str) -> Self:
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code
