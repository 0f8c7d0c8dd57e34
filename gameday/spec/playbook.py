"""The playbook: Markdown that reads well, with steps that gameday can do or verify.

Front matter `name, alerts, severity`; every numbered item that holds a fenced block
```` ```yaml step ```` is a step. Reading it is in `playbook_markdown`.
"""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field

from gameday.core.units import Duration
from gameday.spec.yaml import Model, Name


class FrontMatter(Model):
    """The head of a playbook: the alerts it answers."""

    name: Name = Field(description="The name of the file without .md")
    alerts: list[str] = Field(min_length=1, description="The alerts it answers")
    severity: str = Field(default="page", description="How urgent its alerts are")


class StepBlock(Model):
    """One fenced step: an action of the system file, what must hold before, and what proves it."""

    do: Name | None = Field(
        default=None, description="An action of the system file; without it a person acts"
    )
    before: str | None = Field(default=None, description="PromQL; false = the step is not needed")
    after: str | None = Field(default=None, description="PromQL; true = the step has worked")
    within: Duration = Field(default=timedelta(seconds=10), description="How soon `after` holds")
    undo: Name | None = Field(default=None, description="The action that takes the step back")
    optional: bool = Field(default=False, description="A failure does not stop the playbook")
    refuses: bool = Field(default=False, description="Requests are refused on purpose until undo")


@dataclass(frozen=True, slots=True)
class Step:
    """A step with its number in the playbook (from 1), and the words around it."""

    number: int
    text: str
    block: StepBlock
    line: int


@dataclass(frozen=True, slots=True)
class Playbook:
    """One playbook file."""

    head: FrontMatter
    steps: tuple[Step, ...]
