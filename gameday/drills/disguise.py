"""An experiment as a drill runs it: stretched to the session, and under names that tell nothing.

The faults come at the drawn instant and stay for as long as the drill says; the traffic goes on
behind them, and there is stock for all of it. Deadlines are taken off: how quick somebody was is
the score's business. Then every name that the file has given is replaced by a letter and a number;
what they were is kept for the debrief.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from gameday.core.units import seconds
from gameday.spec.experiment import (
    AnyScenario,
    Campaign,
    ConstantArrivalRate,
    ConstantVus,
    Expect,
    Experiment,
    RampingArrivalRate,
    RampingVus,
    Stage,
    VuStage,
)
from gameday.spec.faults import AnyFault, Spike
from gameday.traffic.forecast import expected_starts, traffic_end_s

NAME: Final = "drill"
COUPON: Final = "DRILL"
TAIL_S: Final = 20.0  # of traffic after the last fault, to see that all is well
_LONG: Final = 0.8  # of the file's traffic: a scenario that lasts so long goes on to the end
_SPARE: Final = 1.1  # of the stock: a retry may take one more
_MOST_STOCK: Final = 100_000_000
SPARE_SCENARIOS: Final = 2
"""So many more are named to the collector: that a fault will add traffic is not told by a name."""


@dataclass(frozen=True, slots=True)
class Disguised:
    """The experiment as it is shown, the same with its own names, and those by what is shown.

    `scenarios` are all that its traffic may have, as many whether or not a fault adds one.
    """

    shown: Experiment
    real: Experiment
    names: Mapping[str, str]
    scenarios: Sequence[str]


def total_s(experiment: Experiment, window_s: float, lasts_s: float) -> float:
    """The length of the traffic, whether or not something comes, and whenever it does."""
    first_s = min((seconds(fault.at) for fault in experiment.method), default=0.0)
    spread_s = max((seconds(fault.at) - first_s for fault in experiment.method), default=0.0)
    return first_s + window_s + max(lasts_s, spread_s) + TAIL_S


def stretched(
    experiment: Experiment,
    *,
    fault_at_s: float | None,
    window_s: float,
    lasts_s: float,
    units: int = 1,
) -> Experiment:
    """The experiment for a session of that length; without faults where nothing comes.

    `units` is how much of the stock one issue takes.
    """
    end_s = total_s(experiment, window_s, lasts_s)
    begin_s = min((seconds(fault.at) for fault in experiment.method), default=0.0)
    old_end_s = traffic_end_s(experiment)
    traffic = {
        name: _longer(scenario, old_end_s, end_s, begin_s)
        for name, scenario in experiment.traffic.items()
    }
    at_s = begin_s if fault_at_s is None else fault_at_s
    method = _moved(experiment.method, at_s - begin_s, at_s + lasts_s)
    longer = experiment.model_copy(update={"traffic": traffic, "method": method})
    campaign = _enough(experiment, longer, units)
    expect = _without_deadlines(experiment.expect, lasts_s, nothing=fault_at_s is None)
    kept = method if fault_at_s is not None else []
    return longer.model_copy(update={"method": kept, "campaign": campaign, "expect": expect})


def _moved(method: Sequence[AnyFault], by_s: float, end_s: float) -> list[AnyFault]:
    """The faults so much later, each until the end; they keep their order."""
    moved = []
    for fault in method:
        at_s = seconds(fault.at) + by_s
        lasts_s = max(end_s - at_s, 1.0)
        times = {"at": timedelta(seconds=at_s), "duration": timedelta(seconds=lasts_s)}
        moved.append(fault.model_copy(update=times))
    return moved


def _longer(scenario: AnyScenario, old_end_s: float, end_s: float, fault_s: float) -> AnyScenario:
    """A scenario that goes on to the end, if it nearly did before; a short one stays short."""
    start_s = seconds(scenario.startTime)
    length_s = _length_s(scenario)
    more_s = end_s - start_s - length_s
    if start_s + length_s < _LONG * old_end_s or more_s <= 0:
        return scenario
    if isinstance(scenario, ConstantArrivalRate | ConstantVus):
        return scenario.model_copy(update={"duration": timedelta(seconds=length_s + more_s)})
    return scenario.model_copy(
        update={"stages": _with_level_held(scenario, fault_s - start_s, more_s)}
    )


def _length_s(scenario: AnyScenario) -> float:
    if isinstance(scenario, ConstantArrivalRate | ConstantVus):
        return seconds(scenario.duration)
    return sum(seconds(stage.duration) for stage in scenario.stages)


def _with_level_held(
    scenario: RampingArrivalRate | RampingVus, at_s: float, more_s: float
) -> Sequence[Stage | VuStage]:
    """The stages, with the level that is reached around an instant held for longer."""
    stages: list[Any] = []
    passed_s, held = 0.0, False
    for stage in scenario.stages:
        stages.append(stage)
        passed_s += seconds(stage.duration)
        if not held and passed_s >= at_s:
            stages.append(stage.model_copy(update={"duration": timedelta(seconds=more_s)}))
            held = True
    if not held:
        stages.append(stages[-1].model_copy(update={"duration": timedelta(seconds=more_s)}))
    return stages


def _enough(before: Experiment, after: Experiment, units: int) -> Campaign:
    """Users and stock for all of the traffic: the session must not end in a sell-out.

    For a coupon a request, so however many a user may hold.
    """
    campaign = before.campaign
    old, new = expected_starts(before), expected_starts(after)
    users = campaign.users
    if old > 0:
        users = max(users, math.ceil(users * min(new / old, 1000.0)))
    if campaign.stock is None:
        return campaign.model_copy(update={"users": users})
    issues = math.ceil(new * _SPARE) + 100
    stock = min(_MOST_STOCK, max(campaign.stock, issues * units))
    return campaign.model_copy(update={"users": users, "stock": stock})


def _without_deadlines(expect: Expect, lasts_s: float, *, nothing: bool) -> Expect:
    """The alerts are still known, and may come for as long as the fault lasts.

    Reactions are left out: what is read of them would stand among the readings, by its name.
    """
    open_end = {"fires_within": timedelta(seconds=lasts_s), "resolves_within": None}
    return expect.model_copy(
        update={
            "thresholds": {},
            "alerts": [] if nothing else [a.model_copy(update=open_end) for a in expect.alerts],
            "reactions": [],
            "logs": [],
            "other_alerts": "allowed",
            "recovers_within": None,
        }
    )


def disguised(experiment: Experiment, seed: int) -> Disguised:
    """The experiment under names that tell nothing; its traffic is drawn by `seed`."""
    scenarios = {name: f"s{n}" for n, name in enumerate(experiment.traffic, start=1)}
    faults = {fault.id or fault.fault: f"f{n}" for n, fault in enumerate(experiment.method, 1)}
    # What a fault adds to the traffic stands among the scenarios, and looks like one.
    spikes = [fault.id or fault.fault for fault in experiment.method if isinstance(fault, Spike)]
    faults |= {name: f"s{n}" for n, name in enumerate(spikes, start=len(scenarios) + 1)}
    known = len(scenarios) + max(len(spikes), SPARE_SCENARIOS)
    words = _telling(experiment)
    objectives = {
        one.name: f"o{n}"
        for n, one in enumerate(experiment.objectives, start=1)
        if any(word in one.name.lower() for word in words)
    }
    own = {NAME: experiment.name, COUPON: experiment.campaign.coupon}
    own |= {shown: name for each in (scenarios, faults, objectives) for name, shown in each.items()}
    # An objective keeps the name that its readings have.
    real = _renamed(experiment, {}, {}, objectives).model_copy(update={"seed": seed})
    shown = _renamed(experiment, scenarios, faults, objectives)
    plain = {"name": NAME, "title": "", "hypothesis": "", "seed": seed}
    campaign = experiment.campaign.model_copy(update={"coupon": COUPON})
    shown = shown.model_copy(update={**plain, "campaign": campaign})
    return Disguised(shown, real, own, [f"s{n}" for n in range(1, known + 1)])


def _telling(experiment: Experiment) -> set[str]:
    """Words that name what is broken."""
    texts = [experiment.name]
    for fault in experiment.method:
        texts += [fault.fault, fault.id or "", fault.on]
    words = {word for text in texts for word in re.split(r"[^a-z0-9]+", text.lower())}
    return {word for word in words if len(word) > 2}


def _renamed(
    experiment: Experiment,
    scenarios: Mapping[str, str],
    faults: Mapping[str, str],
    objectives: Mapping[str, str],
) -> Experiment:
    def of(id_: str | None) -> str | None:
        return None if id_ is None else faults.get(id_, id_)

    def expr(text: str) -> str:
        for name, shown in scenarios.items():
            text = re.sub(
                rf'(scenario\s*=~?\s*)(["\']){re.escape(name)}\2', rf"\1\2{shown}\2", text
            )
        return text

    expect = experiment.expect
    return experiment.model_copy(
        update={
            "traffic": {scenarios.get(k, k): each for k, each in experiment.traffic.items()},
            "objectives": [
                one.model_copy(
                    update={"name": objectives.get(one.name, one.name), "expr": expr(one.expr)}
                )
                for one in experiment.objectives
            ],
            "abort_if": [
                one.model_copy(update={"expr": expr(one.expr)}) for one in experiment.abort_if
            ],
            "method": [one.model_copy(update={"id": of(one.id)}) for one in experiment.method],
            "expect": expect.model_copy(
                update={
                    "alerts": [one.model_copy(update={"of": of(one.of)}) for one in expect.alerts]
                }
            ),
        }
    )
