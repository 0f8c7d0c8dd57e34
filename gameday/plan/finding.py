"""One thing that was looked at before a run: where, how it stands, and the cure.

`warn` means that a run works but may say less; `fail` that it must not begin. What is wrong with
a file or a command line ends with exit code 2; what is wrong with a stack with 4, or with 3 where
the stack is somebody else's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gameday.core.errors import GamedayError, StackError, UnknownError, UsageError
from gameday.core.messages import Message, templates

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check before a run: subject, status, what was found, and the cure ("" if none is needed).

    `usage` marks a failure that is not the stack's: a file, an option, or another run. What is
    well is a message; what is not may be an error's own words, which are English.
    """

    name: str
    status: Status
    what: Message | str
    remedy: Message | str = ""
    usage: bool = False

    @property
    def found(self) -> str:
        """The text in English."""
        return str(self.what)

    @property
    def cure(self) -> str:
        """The cure in English."""
        return str(self.remedy)

    @property
    def title(self) -> Message | str:
        """The subject in words; the name itself where it is a place in a file, or a setting."""
        id_ = f"finding.name.{self.name.replace(' ', '_').strip('-')}"
        return Message(id_) if id_ in templates() else self.name

    def as_json(self, *names: str) -> object:
        """For a program: the fields named, all where none is; texts in English."""
        every = ("name", "status", "found", "cure", "usage")
        return {name: getattr(self, name) for name in names or every}


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
