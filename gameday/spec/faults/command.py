"""Faults that gameday has no driver for: a command of the system file, and its undo."""

from typing import ClassVar, Literal

from pydantic import Field

from gameday.spec.changes import Change, CommandChange
from gameday.spec.faults.base import Fault
from gameday.spec.yaml import Name


class CommandRunFault(Fault):
    """A command under `commands` of the system file is run at `at`, and its undo at the end."""

    about: ClassVar[str] = "a command of the system file, taken back by its undo"

    fault: Literal["command.run"]
    command: Name = Field(
        description="Its name under `commands` of the system file", examples=["kill-cache"]
    )
    target: Name | None = Field(
        default=None,
        description="What it strikes, as reports and `dependencies` call it; default: its own name",
        examples=["cache"],
    )

    @property
    def on(self) -> str:
        return self.target or self.command

    def changes(self) -> list[Change]:
        return [CommandChange(self.command)]


CommandFaults = CommandRunFault
