"""The effective run: its files with all defaults, addresses and ids (`effective.json`).

Judging and reporting read this and never the YAML, so a run means the same a year later, whatever
has become of the files, the defaults, or the machine.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from gameday.core.json_objects import Json
from gameday.spec.experiment import Experiment
from gameday.spec.playbook import FrontMatter, Playbook, StepBlock
from gameday.spec.system import System
from gameday.telemetry.failures import FAILED, FailedOutcome

_LARGEST_SETTING = 1e9  # of the generator: milliseconds, or shares of 1


class _Record(BaseModel):
    """Fields that a run wrote; keys of later versions are ignored."""

    model_config = ConfigDict(
        extra="ignore", strict=True, allow_inf_nan=False, frozen=True, defer_build=True
    )


class PlannedStep(_Record):
    """A step of the playbook, with its number (from 1) and the words around it."""

    number: int
    text: str
    block: StepBlock


class PlannedPlaybook(_Record):
    """The head and the steps; the Markdown itself is among the run's inputs."""

    head: FrontMatter
    steps: Sequence[PlannedStep]

    @classmethod
    def of(cls, playbook: Playbook) -> Self:
        steps = [PlannedStep(number=s.number, text=s.text, block=s.block) for s in playbook.steps]
        return cls(head=playbook.head, steps=steps)


class PlannedUsers(_Record):
    """The file of users that was used, of which nothing else is kept.

    `id` is the column that the audit told users by: it has their rows instead. Without one it is
    by the template of the request.
    """

    sha256: str
    rows: int = Field(ge=1)
    columns: Sequence[str]
    id: str | None = None


class Effective(_Record):
    """The experiment as it was run; `traffic_end_s` counts from t = 0.

    `coupon` is the real code, `planned` the starts by scenario. `stock` is None until the campaign
    was looked at, where the file does not tell it. Runs of before have no settings, and do not
    say that the responder waits for `responder_delay_s`: it was a second. `responder` is the kind
    of who responds, "" in runs of before, which had a bot or `no_responder`. `failed` are the
    outcomes that reports count as failed, with "unreached" but in runs of before; nor
    was `experiment.failures` there in those, which had no objective but those of their file.
    `left_over` is true where it is asked who kept the coupons that were left when people were told
    that all are gone; runs of before are not asked.
    """

    run: str
    stack: str
    seed: int
    coupon: str
    stock: int | None
    short: bool
    experiment: Experiment
    system: System
    playbook: PlannedPlaybook | None
    traffic_end_s: float
    no_responder: bool
    responder: str = ""
    responder_delay_s: float = Field(default=1.0, ge=0, le=_LARGEST_SETTING)
    planned: Mapping[str, int]
    users: PlannedUsers | None = None
    failed: Sequence[FailedOutcome] = FAILED
    left_over: bool = False
    settings: Mapping[str, Json] = Field(default_factory=dict)

    @property
    def steps(self) -> Sequence[PlannedStep]:
        return self.playbook.steps if self.playbook else ()

    @property
    def tells_unreached(self) -> bool:
        """False for a run of before failures were damage; it is judged as it was then."""
        return "unreached" in self.failed

    @property
    def generator(self) -> Mapping[str, float]:
        """Settings of when a traffic generator kept its schedule; empty: the defaults."""
        names = ("limited_below", "kept_from", "lag_ms", "lag_share")
        found = {name: self.settings.get(f"generator.{name}") for name in names}
        return {
            name: _positive(each.get("value")) for name, each in found.items() if each is not None
        }

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        dict(self.generator)  # raises for settings that nobody can judge by
        return self

    @field_serializer("experiment", "system", "playbook")
    def _without_nulls(self, model: BaseModel | None) -> object:
        return None if model is None else dump(model)

    def as_json(self) -> object:
        """The content of the file. The system has the stack's addresses, secrets are references."""
        told = self.model_dump(mode="json")
        if self.users is None:
            del told["users"]
        return {"schema": 1, **told}


def _positive(number: Any) -> float:
    if type(number) not in (int, float) or not 0 < number < _LARGEST_SETTING:
        raise ValueError(f"{number!r} is not a setting of the generator")
    return float(number)


def dump(model: BaseModel) -> Json:
    """A model as its file would say it, with every default; it validates again to the same."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
