"""One thing that was looked at before a run: where, how it stands, and the cure.

`warn` means that a run works but may say less; `fail` that it must not begin. What is wrong with
a file or a command line ends with exit code 2; what is wrong with a stack with 4, or with 3 where
the stack is somebody else's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gameday.core.errors import GamedayError, StackError, UnknownError, UsageError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check before a run: subject, status, text, and the cure ("" if none is needed).

    `usage` marks a failure that is not the stack's: a file, an option, or another run.
    """

    name: str
    status: Status
    found: str
    cure: str = ""
    usage: bool = False


def failures(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that forbid a run; bad files and options come before problems of the stack."""
    return sorted((f for f in findings if f.status == "fail"), key=lambda f: not f.usage)


def as_error(finding: Finding, *, owned: bool) -> GamedayError:
    """A failure as the error that ends a command with its exit code."""
    kind = UsageError if finding.usage else StackError if owned else UnknownError
    return kind(f"{finding.name}: {finding.found}", help=finding.cure)


def from_error(name: str, error: GamedayError) -> Finding:
    """An error as a finding that forbids a run."""
    usage = error.exit_code == UsageError.exit_code
    return Finding(name, "fail", error.message, error.help, usage=usage)
