"""The experiment file: what is asked of the system, what goes wrong, and what is expected.

The models here are the file, key by key (CONTRIBUTING.md, "The experiment file"). Loading and
the rules between keys are in `loading/`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from gameday.documents import Model, Name, shape
from gameday.faults import AnyFault
from gameday.units import Duration, Rate


class Campaign(Model):
    """The limited stock that the traffic is after; `{coupon}` becomes `<coupon>-<run id>`."""

    coupon: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="The coupon code that is asked for"
    )
    stock: int | None = Field(
        default=None, ge=0, le=100_000_000, description="How many coupons there are in all"
    )
    users: int = Field(
        default=100_000, ge=1, le=2**53, description="Users are drawn uniformly from 0..users-1"
    )


class ConstantArrivalRate(Model):
    """k6's constant-arrival-rate: start k is due at k / rate."""

    executor: Literal["constant-arrival-rate"]
    rate: Rate = Field(description="Requests started in a unit of time, answered or not")
    duration: Duration = Field(description="How long requests are started")
    startTime: Duration = Field(default=timedelta(0), description="When it begins, from t = 0")


class Stage(Model):
    """A straight line of the rate, from where the last one ended to `target`."""

    target: Rate = Field(description="The rate at the end of this stage")
    duration: Duration = Field(description="How long the rate takes to get there")


class RampingArrivalRate(Model):
    """k6's ramping-arrival-rate: start n is due when the integral of the rate reaches n."""

    executor: Literal["ramping-arrival-rate"]
    startRate: Rate = Field(default=Rate(0, timedelta(seconds=1)), description="The rate at first")
    stages: list[Stage] = Field(min_length=1, description="Straight lines, one after the other")
    startTime: Duration = Field(default=timedelta(0), description="When it begins, from t = 0")


Scenario = Annotated[ConstantArrivalRate | RampingArrivalRate, Field(discriminator="executor")]


class Objective(Model):
    """A steady-state expression; true = healthy."""

    name: Name = Field(description="How reports call it")
    expr: str = Field(description="PromQL, evaluated every second; true = healthy")


class Guard(Model):
    """A stop condition: true for `for` (or blind for 5 s) aborts the run."""

    expr: str = Field(description="PromQL, evaluated every second; true = stop")
    for_: Duration = Field(
        default=timedelta(0), alias="for", description="How long it must be true without a break"
    )
    blind: Literal["abort", "ignore"] = Field(
        default="abort", description="What to do when there is no data for 5 s"
    )


class ExpectedAlert(Model):
    """An alert that must fire; `of` names the fault its deadline counts from, default the first."""

    alert: str = Field(description="The name of an alerting rule")
    of: str | None = Field(default=None, description="The id of the fault it is about")
    fires_within: Duration = Field(description="Counted from the fault's injection")
    resolves_within: Duration | None = Field(
        default=None, description="Counted from the fault's removal or the recovery, the later one"
    )


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

Checks = Annotated[
    Annotated[Literal["all"], Tag("one")] | Annotated[list[CheckName], Tag("list")],
    Discriminator(shape),
]
AlertPolicy = Annotated[
    Annotated[Literal["forbidden", "allowed"], Tag("one")] | Annotated[list[str], Tag("list")],
    Discriminator(shape),
]


class Expect(Model):
    """What the hypothesis says will be seen."""

    checks: Checks = Field(default="all", description="All checks that apply, or some by name")
    thresholds: Mapping[str, list[str]] = Field(
        default_factory=dict, description="k6 thresholds for the traffic as a whole, by metric"
    )
    alerts: list[ExpectedAlert] = Field(default_factory=list, description="Alerts that must fire")
    other_alerts: AlertPolicy = Field(
        default="forbidden", description="Whether other alerts may fire, or which"
    )
    recovers_within: Duration | None = Field(
        default=None, description="Counted from the damage until every objective holds again"
    )


class Experiment(Model):
    """One experiment file, or its `short` form (`short` is then None)."""

    name: Name = Field(description="The name of the file without .yaml")
    title: str = Field(default="", description="One line: what happens")
    hypothesis: str = Field(default="", description="What you believe the system will do")
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="Fixes every random choice; default: random"
    )
    campaign: Campaign
    traffic: Mapping[Name, Scenario] = Field(min_length=1, description="Scenarios by name")
    objectives: list[Objective] = Field(default_factory=list, description="The steady state")
    method: list[AnyFault] = Field(default_factory=list, description="The faults")
    expect: Expect = Expect()
    playbook: str | None = Field(default=None, description="The playbook that answers it, by name")
    abort_if: list[Guard] = Field(default_factory=list, description="Stop conditions")
    rules: list[str] | None = Field(
        default=None, description="Alerting rules instead of the system's; paths from this file"
    )
    short: Mapping[str, Any] | None = Field(
        default=None, description="Top-level keys that replace those above with --short"
    )
