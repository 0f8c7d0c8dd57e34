"""The playbook: Markdown that reads well, with steps that gameday can do or verify.

Front matter `name, alerts, severity`; every numbered item that holds a fenced block
```` ```yaml step ```` is a step. Loading is in `loading.py`.
"""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field

from gameday.documents import Model, Name
from gameday.units import Duration


class FrontMatter(Model):
    """The head of a playbook: the alerts it answers."""

    name: Name
    alerts: list[str] = Field(min_length=1)
    severity: str = "page"


class StepBlock(Model):
    """One fenced step: an action of the system file, what must hold before, and what proves it."""

    do: Name | None = None
    before: str | None = None
    after: str | None = None
    within: Duration = timedelta(seconds=10)
    undo: Name | None = None
    optional: bool = False
    refuses: bool = False


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
    markdown: str
