"""The experiment file: what is asked of the system, what goes wrong, and what is expected.

The models here are the file, key by key (CONTRIBUTING.md, "The experiment file"). Loading and
the rules between keys are in `loading.py`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from gameday.documents import Model, Name
from gameday.faults import AnyFault
from gameday.units import Duration, Rate


class Campaign(Model):
    """The limited stock that the traffic is after; `{coupon}` becomes `<coupon>-<run id>`."""

    coupon: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    stock: int | None = Field(default=None, ge=0, le=100_000_000)
    users: int = Field(default=100_000, ge=1, le=2**53)


class ConstantArrivalRate(Model):
    """k6's constant-arrival-rate: start k is due at k / rate."""

    executor: Literal["constant-arrival-rate"]
    rate: Rate
    duration: Duration
    startTime: Duration = timedelta(0)


class Stage(Model):
    """A straight line of the rate, from where the last one ended to `target`."""

    target: Rate
    duration: Duration


class RampingArrivalRate(Model):
    """k6's ramping-arrival-rate: start n is due when the integral of the rate reaches n."""

    executor: Literal["ramping-arrival-rate"]
    startRate: Rate = Rate(0, timedelta(seconds=1))
    stages: list[Stage] = Field(min_length=1)
    startTime: Duration = timedelta(0)


Scenario = Annotated[ConstantArrivalRate | RampingArrivalRate, Field(discriminator="executor")]


class Objective(Model):
    """A steady-state expression; true = healthy."""

    name: Name
    expr: str


class Guard(Model):
    """A stop condition: true for `for` (or blind for 5 s) aborts the run."""

    expr: str
    for_: Duration = Field(default=timedelta(0), alias="for")
    blind: Literal["abort", "ignore"] = "abort"


class ExpectedAlert(Model):
    """An alert that must fire; `of` names the fault its deadline counts from, default the first."""

    alert: str
    of: str | None = None
    fires_within: Duration
    resolves_within: Duration | None = None


CheckName = Literal[
    "no_over_issuance",
    "one_per_user",
    "no_lost_issuance",
    "no_phantom",
    "no_premature_sold_out",
    "stores_agree",
    "fault_injected",
    "fault_removed",
    "exercised",
    "generator",
    "thresholds",
    "objectives",
    "recovered",
    "alerts",
    "playbook",
]


class Expect(Model):
    """What the hypothesis says will be seen."""

    checks: Literal["all"] | list[CheckName] = "all"
    thresholds: Mapping[str, list[str]] = Field(default_factory=dict)
    alerts: list[ExpectedAlert] = Field(default_factory=list)
    other_alerts: Literal["forbidden", "allowed"] | list[str] = "forbidden"
    recovers_within: Duration | None = None


class Experiment(Model):
    """One experiment file, or its `short` form (`short` is then None)."""

    name: Name
    title: str = ""
    hypothesis: str = ""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    campaign: Campaign
    traffic: Mapping[Name, Scenario] = Field(min_length=1)
    objectives: list[Objective] = Field(default_factory=list)
    method: list[AnyFault] = Field(default_factory=list)
    expect: Expect = Expect()
    playbook: str | None = None
    abort_if: list[Guard] = Field(default_factory=list)
    rules: list[str] | None = None
    short: Mapping[str, Any] | None = None
