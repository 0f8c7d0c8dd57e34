"""The experiment file: what is asked of the system, what goes wrong, and what is expected.

The models here are the file, key by key (docs/files.md says the rest). Loading and
the rules between keys are elsewhere (`spec.inputs`, `plan.validate`).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal, get_args

from pydantic import Discriminator, Field, Tag

from gameday.core.json_objects import Json
from gameday.core.units import Duration, Rate
from gameday.spec.failures import FailuresOrWord
from gameday.spec.faults import AnyFault, Spike
from gameday.spec.request import MOST_OPEN, MOST_STEPS, MOST_WEIGHT
from gameday.spec.yaml import Model, Name, shape

MOST_VUS = MOST_OPEN
"""Each may have a request open (CONTRACTS.md, "Traffic limits")."""
MOST_PARTS = 200
"""Scenarios, faults, objectives, guards, alerts: more than anybody follows in one run."""
MOST_STAGES = 1000  # more than anybody writes; each is a line of the schedule
LONGEST_PATTERN = 500
STEADY_S = 5
"""Every objective must have held for so long before the first fault."""


class Campaign(Model):
    """The limited stock that the traffic is after; `{coupon}` becomes `<coupon>-<run id>`."""

    coupon: str = Field(
        default="none",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="The coupon code that is asked for; a system without `audit` needs none",
    )
    stock: int | None = Field(
        default=None, ge=0, le=100_000_000, description="How many coupons there are in all"
    )
    users: int = Field(
        default=100_000, ge=1, le=2**53, description="Users are drawn from 0..users-1"
    )


class Zipf(Model):
    """User n + 1 asks (n + 1)^-zipf times as often as the first: few ask often, most hardly."""

    zipf: float = Field(
        gt=0, le=10, description="The exponent; 1 is the classic one", examples=[1.1]
    )


class Bots(Model):
    """The first `bots` users make `share` of the starts, the other users the rest."""

    bots: int = Field(ge=1, description="How many users are bots")
    share: float = Field(gt=0, le=1, description="Their share of the starts")


class Same(Model):
    """So many starts in a row are one user's, all due at once: each has its own connection."""

    same: int = Field(ge=2, le=1000, description="How many times a user asks at once")


def _population(value: object) -> str | None:
    """Which kind of population a value is meant to be."""
    if isinstance(value, str):
        return "word"
    for kind in ("zipf", "bots", "same"):
        if (kind in value) if isinstance(value, Mapping) else hasattr(value, kind):
            return f"of {kind}"  # no key of the mapping: a place in the file is found by keys
    return None


Population = Annotated[
    Annotated[Literal["uniform", "once"], Tag("word")]
    | Annotated[Zipf, Tag("of zipf")]
    | Annotated[Bots, Tag("of bots")]
    | Annotated[Same, Tag("of same")],
    Discriminator(
        _population,
        custom_error_type="population",
        custom_error_message=(
            "write uniform, once, {zipf: 1.1}, {bots: 3, share: 0.9} or {same: 4}"
        ),
    ),
]


class Retries(Model):
    """A start that got no answer in time asks again, with the same `{key}`."""

    on: Literal["timeout"] = Field(default="timeout", description="After what it asks again")
    at_most: int = Field(ge=1, le=10, description="How many times it asks again", examples=[3])
    backoff: Duration = Field(
        default=timedelta(0),
        description="The wait before each, from the timeout",
        examples=["500ms"],
    )


class Stream(Model):
    """Keys that every scenario may have, whatever its executor."""

    startTime: Duration = Field(
        default=timedelta(0), description="When it begins, from t = 0", examples=["10s"]
    )
    gracefulStop: Duration = Field(
        default=timedelta(seconds=30),
        description="How long what is open may take at its end",
        examples=["5s"],
    )
    sleep: Duration = Field(
        default=timedelta(0),
        description="The pause of a virtual user after each request",
        examples=["1s"],
    )
    population: Population = Field(default="uniform", description="Which users ask")
    retries: Retries | None = Field(default=None, description="What is asked again, and how often")
    mix: Mapping[Name, Annotated[float, Field(ge=0, le=MOST_WEIGHT, allow_inf_nan=False)]] = Field(
        default_factory=dict,
        max_length=MOST_STEPS,
        description="How many of each request mixed in there are for each issue of this scenario,"
        " 0 for none; default: the `weight` that the system file gives it",
        examples=[{"browse": 10}],
    )


class ByRate(Stream):
    """The open model: starts are due by the clock, whether or not the system keeps up.

    Without the two limits there are as many virtual users as it takes. With them k6's rule holds:
    a start that finds none free is dropped, and one more is made, up to the most.
    """

    preAllocatedVUs: int | None = Field(
        default=None,
        ge=0,
        le=MOST_VUS,
        description="Virtual users at first; default: no limit",
        examples=[100],
    )
    maxVUs: int | None = Field(
        default=None,
        ge=0,
        le=MOST_VUS,
        description="Never more; default: preAllocatedVUs",
        examples=[500],
    )


class ConstantArrivalRate(ByRate):
    """k6's constant-arrival-rate: start k is due at k / rate."""

    executor: Literal["constant-arrival-rate"]
    rate: Rate = Field(description="Requests started in a unit of time, answered or not")
    duration: Duration = Field(description="How long requests are started")


class Stage(Model):
    """A straight line of the rate, from where the last one ended to `target`."""

    target: Rate = Field(description="The rate at the end of this stage")
    duration: Duration = Field(description="How long the rate takes to get there", examples=["30s"])


class RampingArrivalRate(ByRate):
    """k6's ramping-arrival-rate: start n is due when the integral of the rate reaches n."""

    executor: Literal["ramping-arrival-rate"]
    startRate: Rate = Field(default=Rate(0, timedelta(seconds=1)), description="The rate at first")
    stages: list[Stage] = Field(
        min_length=1, max_length=MOST_STAGES, description="Straight lines, one after the other"
    )


class ConstantVus(Stream):
    """k6's constant-vus: virtual users that ask, wait for the answer, and ask again."""

    executor: Literal["constant-vus"]
    vus: int = Field(
        default=1, ge=1, le=MOST_VUS, description="How many virtual users", examples=[20]
    )
    duration: Duration = Field(description="How long they begin again", examples=["60s"])


class VuStage(Model):
    """A straight line of the number of virtual users, in whole steps."""

    target: int = Field(ge=0, le=MOST_VUS, description="Virtual users at the end of this stage")
    duration: Duration = Field(
        description="How long the number takes to get there", examples=["30s"]
    )


class RampingVus(Stream):
    """k6's ramping-vus: a number of virtual users that goes up and down."""

    executor: Literal["ramping-vus"]
    startVUs: int = Field(
        default=1, ge=0, le=MOST_VUS, description="Virtual users at first", examples=[1]
    )
    stages: list[VuStage] = Field(
        min_length=1, max_length=MOST_STAGES, description="Straight lines, one after the other"
    )
    gracefulRampDown: Duration = Field(
        default=timedelta(seconds=30),
        description="How long a user who leaves may still take",
        examples=["10s"],
    )


AnyScenario = Annotated[
    ConstantArrivalRate | RampingArrivalRate | ConstantVus | RampingVus,
    Field(discriminator="executor"),
]


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
    labels: Mapping[str, str] = Field(
        default_factory=dict,
        description="Labels that it must have; it may have others",
        examples=[{"dependency": "redis"}],
    )
    from_: Literal["injection", "damage"] = Field(
        default="injection",
        alias="from",
        description="What `fires_within` and `not_before` count from",
    )
    fires_within: Duration = Field(description="Counted from the fault's injection, or the damage")
    not_before: Duration | None = Field(
        default=None,
        description="It must not fire sooner than this; counted as `fires_within`",
        examples=["3s"],
    )
    count: int | None = Field(
        default=None,
        ge=1,
        description="How many times it fires in the run; more is flapping",
        examples=[1],
    )
    receiver: str | None = Field(
        default=None,
        description="Who must be notified of it, as Alertmanager names the receiver",
        examples=["on-call"],
    )
    resolves_within: Duration | None = Field(
        default=None, description="Counted from the fault's removal or the recovery, the later one"
    )


class Reaction(Model):
    """A state that the system takes on by itself, and leaves again: more replicas, an open breaker.

    `of` names the fault that its deadlines count from, by default the first.
    """

    name: Name = Field(description="As in `scaled-out`")
    expr: str = Field(description="PromQL that is true in that state, and not before the fault")
    of: str | None = Field(
        default=None,
        description="The id of the fault that it answers",
        examples=["network-latency-1"],
    )
    within: Duration = Field(description="Counted from the fault's injection")
    back_within: Duration | None = Field(
        default=None, description="Until it is false again, counted from the fault's removal"
    )


class ExpectedLog(Model):
    """Lines that the service's JSON logs must have, or must not, from an instant on.

    A line is meant when `pattern` is found in its message and each of `fields` has a value of that
    form. At least one is expected, unless `at_least` or `at_most` says otherwise.
    """

    name: Name = Field(description="As in `failed-issues`")
    pattern: str = Field(
        default="",
        max_length=LONGEST_PATTERN,
        description="RE2, searched in the line's `message` (or `msg`); default: any line",
    )
    fields: Mapping[str, Annotated[str, Field(max_length=LONGEST_PATTERN)]] = Field(
        default_factory=dict,
        max_length=20,
        description="Field of the line, as `level` or `http.status`, to RE2 of its whole value",
    )
    of: str | None = Field(
        default=None, description="The id of the fault it is about", examples=["network-down-1"]
    )
    from_: Literal["injection", "damage", "start"] = Field(
        default="injection",
        alias="from",
        description="What `within` counts from: the fault, the damage, or the start of the traffic",
    )
    within: Duration | None = Field(
        default=None, description="Until when lines count; default: the end of the traffic"
    )
    at_least: int | None = Field(
        default=None, ge=1, le=100_000, description="So many lines; 1 where there is no `at_most`"
    )
    at_most: int | None = Field(
        default=None, ge=0, le=100_000, description="No more lines than this; 0: none at all"
    )

    @property
    def needed(self) -> int:
        """How many lines there must be; 0 where only too many are wrong."""
        if self.at_least is None:
            return 1 if self.at_most is None else 0
        return self.at_least


IssuanceCheck = Literal[
    "no_over_issuance",
    "one_per_user",
    "no_lost_issuance",
    "no_phantom",
    "no_premature_sold_out",
    "stores_agree",
]
CheckName = Literal[
    IssuanceCheck,
    "fault_injected",
    "fault_removed",
    "exercised",
    "generator",
    "thresholds",
    "objectives",
    "recovered",
    "reactions",
    "alerts",
    "routing",
    "logs",
    "playbook",
]

ISSUANCE: Final[frozenset[str]] = frozenset(get_args(IssuanceCheck))
"""The checks of what was issued, and to whom: they apply to a system with an `audit`."""

Checks = Annotated[
    Annotated[Literal["all"], Tag("one")] | Annotated[list[CheckName], Tag("list")],
    Discriminator(shape),
]
AlertPolicy = Annotated[
    Annotated[Literal["forbidden", "allowed"], Tag("one")] | Annotated[list[str], Tag("list")],
    Discriminator(shape),
]


class Threshold(Model):
    """A k6 threshold with what k6 lets it do besides judging."""

    threshold: str = Field(description="As `p(95)<200`", examples=["p(95)<200"])
    abortOnFail: bool = Field(default=False, description="End the run when it is crossed")
    delayAbortEval: Duration = Field(
        default=timedelta(0), description="From t = 0 until it may end the run", examples=["10s"]
    )


def _threshold(value: object) -> str:
    """Tag of the form in which a threshold is written: text or a mapping."""
    return "text" if isinstance(value, str) else "mapping"


ThresholdOrText = Annotated[
    Annotated[str, Tag("text")] | Annotated[Threshold, Tag("mapping")], Discriminator(_threshold)
]


class Expect(Model):
    """Observations that the hypothesis predicts."""

    checks: Checks = Field(default="all", description="All checks that apply, or some by name")
    thresholds: Mapping[str, list[ThresholdOrText]] = Field(
        default_factory=dict,
        max_length=MOST_PARTS,
        description="k6 thresholds for the traffic as a whole, by metric",
    )
    alerts: list[ExpectedAlert] = Field(
        default_factory=list, max_length=MOST_PARTS, description="Alerts that must fire"
    )
    other_alerts: AlertPolicy = Field(
        default="forbidden", description="Whether other alerts may fire, or which"
    )
    recovers_within: Duration | None = Field(
        default=None, description="Counted from the damage until every objective holds again"
    )
    reactions: list[Reaction] = Field(
        default_factory=list,
        max_length=MOST_PARTS,
        description="What the system is to do by itself, such as to scale out",
    )
    logs: list[ExpectedLog] = Field(
        default_factory=list,
        max_length=MOST_PARTS,
        description="Lines that the service's logs must have, or must not",
    )

    @property
    def threshold_texts(self) -> dict[str, list[str]]:
        """The thresholds of each metric, as text."""
        return {
            metric: [each if isinstance(each, str) else each.threshold for each in thresholds]
            for metric, thresholds in self.thresholds.items()
        }


Overlay = Json | None
"""Keys of the file that others stand in the place of; read again as those of an experiment."""


class Experiment(Model):
    """One experiment file, or its `short` form (`short` is then None)."""

    name: Name = Field(description="The name of the file without .yaml")
    title: str = Field(default="", description="One line: what happens")
    hypothesis: str = Field(default="", description="What you believe the system will do")
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="Fixes every random choice; default: random"
    )
    campaign: Campaign = Campaign()
    traffic: Mapping[Name, AnyScenario] = Field(
        min_length=1, max_length=MOST_PARTS, description="Scenarios by name"
    )
    objectives: list[Objective] = Field(
        default_factory=list, max_length=MOST_PARTS, description="The steady state"
    )
    failures: FailuresOrWord | None = Field(
        default=None,
        description="`expected`: failed answers are no damage by themselves. Default: more than"
        " 5 % are, where neither an objective nor a threshold speaks of failures",
        examples=["expected", {"above": 0.1}],
    )
    method: list[AnyFault] = Field(
        default_factory=list, max_length=MOST_PARTS, description="The faults"
    )
    expect: Expect = Expect()
    autoscaling: bool = Field(
        default=False, description="Whether gameday works the system's `autoscaler` in this run"
    )
    playbook: str | None = Field(default=None, description="The playbook that answers it, by name")
    abort_if: list[Guard] = Field(
        default_factory=list, max_length=MOST_PARTS, description="Stop conditions"
    )
    rules: list[str] | None = Field(
        default=None,
        max_length=MOST_PARTS,
        description="Alerting rules instead of the system's; paths from this file",
    )
    short: Overlay = Field(
        default=None, description="Top-level keys that replace those above with --short"
    )
    drill: Overlay = Field(
        default=None,
        description="Top-level keys that replace those above in a drill, and the session's own",
    )

    @property
    def mixes(self) -> Mapping[str, Mapping[str, float]]:
        """The `mix` of each scenario, those of spikes too, which have none of their own."""
        spikes = {
            str(fault.id): dict[str, float]() for fault in self.method if isinstance(fault, Spike)
        }
        return {**spikes, **{name: scenario.mix for name, scenario in self.traffic.items()}}
