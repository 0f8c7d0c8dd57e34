"""The first line a traffic worker hears: what to send, where to, and where to write."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
)

from gameday.core.errors import UsageError
from gameday.core.network.allow_list import Reach
from gameday.spec.request import BeforeStep, IssueRequest, longest_before_s
from gameday.spec.tls import Tls
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.schedule.scenario_json import from_json, to_json

# Run, scenario and key stand in requests unescaped, and scenario names become file names.
Plain = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


def scenario_name(text: object) -> str:
    """A name that may become a file's. Raises UsageError."""
    if isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        return text
    raise UsageError(f"{text!r} is no name for a scenario", help="write letters, digits and dashes")


def _scenario(given: object) -> Scenario:
    """A scenario, or the JSON of one. Raises ValueError for what cannot be scheduled."""
    scenario = given if isinstance(given, Scenario) else from_json(given)
    scenario.check()
    return scenario


class PinnedUsers(BaseModel):
    """The file of users that a worker reads: the one that was looked at before the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    sha256: str | None
    public: list[str] = Field(default_factory=list)


class Config(BaseModel):
    """The configuration of one worker of `workers`; header secrets are already resolved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worker: int = Field(ge=0)
    workers: int = Field(ge=1)
    history_dir: Path
    seed: int
    run: Plain
    coupon: int | str
    stock: int | None = None
    users: int = Field(ge=1, le=2**53)
    base_url: str
    request: IssueRequest
    before: dict[str, BeforeStep] = Field(default_factory=dict)
    mix: dict[Plain, dict[str, float]] = Field(default_factory=dict)
    cookies: bool = False
    users_file: PinnedUsers | None = None
    tls: Tls = Tls()
    replay: Literal["none", "idempotent"] = "none"
    scenarios: dict[
        Plain, Annotated[Scenario, PlainValidator(_scenario), PlainSerializer(to_json)]
    ] = Field(default_factory=dict)
    reach: Reach = Reach()

    @property
    def has_steps(self) -> bool:
        """True if a start is more than its issue, or has to remember something."""
        return bool(self.before) or self.cookies or self.request.poll is not None

    @property
    def longest_s(self) -> float:
        """The longest that a start may stay open, its poll left out."""
        before = longest_before_s(self.before, self.mix.values())
        return before + self.request.timeout.total_seconds()

    @property
    def line(self) -> bytes:
        """The line that a worker reads as this."""
        return json.dumps(self.model_dump(mode="json", by_alias=True, exclude_none=True)).encode()
