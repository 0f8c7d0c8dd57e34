"""A game day as a file: who takes part, what is run in which order, and when not to begin.

The models here are the file, key by key (docs/game-days.md). It is found and read in
`spec.day_files`; the rules between its keys stand in `plan.rules.day`. Only `name` and `agenda` are
required. An experiment's name alone is a day of one (`day_of_one`).

Texts are written out, or named by their id, as those of a drill are.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Discriminator, Field, Tag

from gameday.core.units import Duration
from gameday.spec.drill import Text
from gameday.spec.schedule import Schedule
from gameday.spec.server import ServerOrAddress
from gameday.spec.yaml import Model, Name

MOST_ITEMS: Final = 50  # more than anybody does in a day
MOST_CONDITIONS: Final = 20
MOST_OBSERVERS: Final = 50
MOST_ANNOUNCEMENTS: Final = 20
LONGEST_NAME: Final = 200
LONGEST_COMMAND: Final = 100
"""Arguments of a command."""

StopOn = Literal["failed", "unknown", "never"]
"""The verdict of a run that ends the day; `unknown` means failed ones too."""
Moment = Literal["start", "break", "stopped", "end"]
Before = Literal["day", "each"]

Person = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


class Roles(Model):
    """Who does what on the day. Shipped files name nobody: one day is run by many teams."""

    owner: Person | None = Field(
        default=None,
        description="Decides: go, no go, and stop",
        examples=["the lead of the shop team"],
    )
    coordinator: Person | None = Field(
        default=None,
        description="Runs gameday and keeps the time",
        examples=["the lead of the shop team"],
    )
    reporter: Person | None = Field(
        default=None,
        description="Writes down what is seen and said",
        examples=["the lead of the shop team"],
    )
    observers: Sequence[Person] = Field(
        default=(),
        max_length=MOST_OBSERVERS,
        description="Watch, and do nothing",
        examples=[["the support team"]],
    )


class ExperimentItem(Model):
    """An item of the agenda: one experiment, as `gameday run` runs it."""

    experiment: str = Field(
        min_length=1,
        max_length=LONGEST_NAME,
        description="The name of an experiment, or a path from this file",
    )
    short: bool = Field(default=False, description="Its short form")
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="Instead of its own seed", examples=[7]
    )
    optional: bool = Field(
        default=False,
        description="Left out where the time is up (`within`), and with --skip-optional",
    )
    stop_on: StopOn | None = Field(
        default=None, description="Instead of that of the day", examples=["failed"]
    )
    note: Text | None = Field(default=None, description="What to watch for; told before it begins")


class BreakItem(Model):
    """An item of the agenda: a pause, with the stack as it is without a run."""

    break_: Duration = Field(alias="break", description="How long")
    note: Text | None = Field(default=None, description="What it is for; told when it begins")


def _item(value: object) -> str | None:
    """Tag of the kind of item that is meant; without either key it is an experiment."""
    if isinstance(value, BreakItem) or (isinstance(value, Mapping) and "break" in value):
        return "a break"
    return "an experiment"


AnyItem = Annotated[
    Annotated[ExperimentItem, Tag("an experiment")] | Annotated[BreakItem, Tag("a break")],
    Discriminator(_item),
]


class Condition(Model):
    """A go / no-go condition: PromQL that is true, or a command that ends with 0, means go.

    Whatever cannot be known means no go.
    """

    name: Name = Field(description="How the report calls it", examples=["no-incident"])
    expr: str | None = Field(
        default=None,
        description="PromQL; true = go",
        examples=["sum(ALERTS{alertstate='firing'} or vector(0)) == 0"],
    )
    prometheus: ServerOrAddress | None = Field(
        default=None, description="Where `expr` is asked; default the Prometheus of the system"
    )
    command: Sequence[str] | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_COMMAND,
        description="A program and its arguments, without a shell; exit status 0 = go",
        examples=[["./is-release-day"]],
    )
    timeout: Duration = Field(
        default=timedelta(seconds=30),
        description="No answer within it means no go",
        examples=["10s"],
    )
    before: Before = Field(
        default="day", description="Asked once before the first experiment, or before each"
    )


class Announcement(Model):
    """A text for those who should know: sent where notifications go, and shown."""

    at: Moment = Field(description="When it is sent")
    text: Text = Field(description="What they are told")


class Day(Model):
    """One game day."""

    name: Name = Field(description="The name of the file")
    title: Text | None = Field(default=None, description="What the day is about, in a line")
    roles: Roles = Roles()
    stack: Literal["embedded", "compose", "external"] | None = Field(
        default=None, description="Where the system runs; default as of `gameday run`"
    )
    system: str | None = Field(
        default=None,
        description="The system file; a path from this file",
        examples=["../my-system.yaml"],
    )
    go: Sequence[Condition] = Field(
        default=(), max_length=MOST_CONDITIONS, description="All must hold, or nothing begins"
    )
    agenda: Sequence[AnyItem] = Field(
        min_length=1, max_length=MOST_ITEMS, description="Experiments and breaks, in their order"
    )
    stop_on: StopOn = Field(
        default="failed",
        description="failed: a failed run ends the day; unknown: one without a verdict too",
    )
    within: Duration | None = Field(
        default=None,
        description="How long the day may take: what is optional must fit, or is left out",
    )
    announcements: Sequence[Announcement] = Field(
        default=(), max_length=MOST_ANNOUNCEMENTS, description="What is told, and when"
    )
    questions: Sequence[Text] = Field(
        default=(),
        max_length=MOST_ITEMS,
        description="Questions for the end of the day, beside those of every day",
    )
    schedule: Schedule | None = Field(default=None, description="When it is run by itself")

    @property
    def experiments(self) -> Sequence[ExperimentItem]:
        """The experiments of the agenda, in their order."""
        return [each for each in self.agenda if isinstance(each, ExperimentItem)]

    def stops_on(self, item: ExperimentItem) -> StopOn:
        """The verdict that ends the day after an item."""
        return item.stop_on or self.stop_on


def day_of_one(name: str, experiment: str, title: str = "", *, short: bool = False) -> Day:
    """The day that an experiment's name alone is."""
    item = ExperimentItem(experiment=experiment, short=short)
    return Day(name=name, title=title or None, agenda=[item])
