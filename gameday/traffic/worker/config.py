"""The first line a traffic worker hears: what to send, where to, and where to write."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

from gameday.core.errors import UsageError
from gameday.core.network.allow_list import Reach
from gameday.core.network.urls import Base
from gameday.core.units import Rate
from gameday.spec.request import IssueRequest
from gameday.spec.tls import Tls
from gameday.traffic.schedule.arrival_rate import ArrivalRate
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.schedule.scenario_json import from_json, to_json

# Run, scenario and key stand in requests unescaped, and scenario names become file names.
Plain = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


def scenario_name(text: object) -> str:
    """A name that may become a file's. Raises UsageError."""
    if isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        return text
    raise UsageError(f"{text!r} is no name for a scenario", help="write letters, digits and dashes")


def _read_scenarios(given: Any) -> dict[str, Scenario]:
    """Scenarios by name, from a list of them. Raises UsageError for what cannot be scheduled."""
    found = {}
    for one in given:
        name = scenario_name(one.get("name"))
        try:
            found[name] = from_json(one)
        except ValueError as error:
            raise UsageError(f"scenario {name!r}: {error}") from error
    return found


def list_scenarios(scenarios: Mapping[str, Scenario]) -> list[dict[str, Any]]:
    """The list that a worker reads as those scenarios."""
    return [{"name": name, **to_json(one)} for name, one in scenarios.items()]


Scenarios = Annotated[dict[str, Scenario], PlainValidator(_read_scenarios)]


class Config(BaseModel):
    """The configuration of one worker of `workers`; header secrets are already resolved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worker: int = Field(ge=0)
    workers: int = Field(ge=1)
    history_dir: Path
    seed: int
    run: Plain
    coupon: str
    stock: int | None = None
    users: int = Field(ge=1, le=2**53)
    base_url: str
    request: IssueRequest
    tls: Tls = Tls()
    replay: Literal["none", "idempotent"] = "none"
    scenarios: Scenarios = Field(default_factory=dict)
    reach: Reach = Reach()


class ExtraScenario(BaseModel):
    """A scenario that a fault adds; without a duration it lasts until it is switched off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Plain
    rate_per_s: float = Field(gt=0, le=1_000_000)
    duration_s: float | None = Field(default=None, gt=0)

    def scenario(self, start_ns: int) -> ArrivalRate:
        """The scenario it is from `start_ns` on, to the digits that its history keeps."""
        whole_us = None if self.duration_s is None else round(self.duration_s * 1_000_000)
        return ArrivalRate(
            rate=Rate(round(self.rate_per_s, 6), timedelta(seconds=1)),
            duration_ns=None if whole_us is None else whole_us * 1000,
            start_ns=start_ns,
            by_fault=True,
        )


class Origin(BaseModel):
    """The destination of requests: the parts of `base_url`."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    authority: str
    prefix: str
    tls: bool = False

    @classmethod
    def parse(cls, base_url: str) -> "Origin":
        """The parts of an http or https URL. Raises UsageError for what a worker cannot send to."""
        base = Base.parse(base_url)
        return cls(
            host=base.host,
            port=base.port or (443 if base.scheme == "https" else 80),
            authority=base.authority,
            prefix=base.prefix,
            tls=base.scheme == "https",
        )
