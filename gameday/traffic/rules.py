"""Rules about scenarios: rates, virtual users, lengths and populations that a worker can keep.

The models refuse what is wrong by itself (`spec.experiment`); here stands what is wrong together.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from gameday.core.errors import FileError
from gameday.core.units import format_duration
from gameday.spec.experiment import (
    MOST_VUS,
    AnyScenario,
    Bots,
    ByRate,
    ConstantArrivalRate,
    ConstantVus,
    Experiment,
    RampingArrivalRate,
    RampingVus,
    Same,
)
from gameday.spec.inputs import FileWarning, Findings, Inputs
from gameday.spec.yaml import Document
from gameday.traffic.forecast import expected_starts, scenarios_of, traffic_end_s
from gameday.traffic.schedule.scenario_json import from_model

MOST_STARTS = 50_000_000  # 100 bytes each, 5 GB of history: as much as judging has in memory
MOST_STEPS = 100_000  # each level of virtual users is one entry of a list
LONGEST_S = 24 * 3600.0  # a load test of a day is a mistake in the unit
SHORTEST = timedelta(seconds=1)
"""k6's shortest duration of an executor that goes on at one level."""


@dataclass(frozen=True, slots=True)
class _At:
    """One scenario's place in a document."""

    document: Document
    name: str

    def error(self, key: str, problem: str, help: str = "") -> FileError:
        return self.document.error(("traffic", self.name, key), f"{key!r}: {problem}", help=help)

    def warning(self, key: str, text: str) -> FileWarning:
        place = self.document.place("traffic", self.name, key)
        return FileWarning(place, f"{key!r}: {text}")


def of_experiment(inputs: Inputs) -> Findings:
    """Every scenario can be kept by itself, and the whole is not too large."""
    yield from of_traffic(inputs.experiment.document, inputs.experiment.experiment)
    yield from _retries_carry_a_key(inputs)


def of_traffic(document: Document, experiment: Experiment) -> Findings:
    """The rules of traffic, whether a file, a command line or an imported script asks for it.

    The rules of each scenario, which `document` has under `traffic`, and of all together.
    """
    traffic, users = experiment.traffic, experiment.campaign.users
    for name, scenario in traffic.items():
        at = _At(document, name)
        if isinstance(scenario, ConstantArrivalRate | ConstantVus):
            yield from _constant(at, scenario)
        else:
            yield from _ramp(at, scenario)
        if isinstance(scenario, ByRate):
            yield from _limit(at, scenario)
        yield from _population(at, scenario, users)
    yield from _together(document, experiment)


def _together(document: Document, experiment: Experiment) -> Findings:
    if traffic_end_s(experiment) > LONGEST_S:
        yield document.error(("traffic",), "'traffic': lasts longer than 24h")
    starts = expected_starts(experiment)
    if starts > MOST_STARTS:
        problem = f"'traffic': asks for {starts:.0f} requests, more than {MOST_STARTS}"
        yield document.error(("traffic",), problem, help="lower the rate or the duration")
    most = sum(scenario.most_vus for scenario in scenarios_of(experiment).values())
    if most > MOST_VUS:
        problem = f"'traffic': has up to {most} virtual users, more than {MOST_VUS}"
        yield document.error(("traffic",), problem, help="each holds a connection of its own")


def _constant(at: _At, scenario: ConstantArrivalRate | ConstantVus) -> Findings:
    if isinstance(scenario, ConstantArrivalRate) and scenario.rate.count == 0:
        yield at.error("rate", f"{scenario.rate} asks for nothing", "write more than 0")
    if scenario.duration < SHORTEST:
        problem = f"{format_duration(scenario.duration)} is shorter than 1s"
        yield at.error("duration", problem, "write 1s or more")


def _ramp(at: _At, scenario: RampingArrivalRate | RampingVus) -> Findings:
    if isinstance(scenario, RampingArrivalRate):
        levels = [scenario.startRate.count, *(stage.target.count for stage in scenario.stages)]
        nothing, help = "every rate is 0: nothing is asked for", "give one stage a rate"
    else:
        levels = [scenario.startVUs, *(stage.target for stage in scenario.stages)]
        nothing, help = "never has a virtual user", "give one stage a target of 1 or more"
    if not any(levels):
        yield at.error("stages", nothing, help)
    if not sum((stage.duration for stage in scenario.stages), timedelta(0)):
        yield at.error("stages", "together must be longer than 0s", "give one a duration")
    if isinstance(scenario, RampingVus):
        steps = sum(abs(after - before) for before, after in pairwise(levels))
        if steps > MOST_STEPS:
            problem = (
                f"the number of virtual users changes {steps:.0f} times, more than {MOST_STEPS}"
            )
            yield at.error("stages", problem, "let it rise and fall less often")


def _limit(at: _At, scenario: ByRate) -> Findings:
    """k6's rules about preAllocatedVUs and maxVUs."""
    first, most = scenario.preAllocatedVUs, scenario.maxVUs
    if first is None and most is not None:
        problem = f"{most} without 'preAllocatedVUs'"
        yield at.error("maxVUs", problem, f"add `preAllocatedVUs: {most}`, or leave both out")
    elif first is None and scenario.sleep:
        text = "no virtual user sleeps where their number has no limit"
        yield at.warning("sleep", f"{text}: add 'preAllocatedVUs', or leave it out")
    if first is None:
        return
    if most is not None and most < first:
        problem = f"{most} is less than 'preAllocatedVUs' ({first})"
        yield at.error("maxVUs", problem, f"write {first} or more")
    elif (first if most is None else most) == 0:
        key = "preAllocatedVUs" if most is None else "maxVUs"
        yield at.error(key, "0 virtual users can start nothing", "write 1 or more")


def _population(at: _At, scenario: AnyScenario, users: int) -> Findings:
    kind, key = scenario.population, "population"
    is_closed = isinstance(scenario, ConstantVus | RampingVus)
    if kind == "once" and is_closed:
        problem = "once needs a known number of starts, which virtual users do not have"
        yield at.error(key, problem, "use an arrival-rate executor")
    elif kind == "once":
        yield from _once(at, scenario, users)
    if isinstance(kind, Same) and is_closed:
        problem = "same needs starts that are due together; virtual users begin when they can"
        yield at.error(key, problem, "use an arrival-rate executor")
    if isinstance(kind, Bots) and kind.bots >= users and (kind.bots > users or kind.share < 1):
        problem = f"{kind.bots} bots leave nobody else of {users} users"
        yield at.error(key, problem, "raise 'users' of 'campaign', or name fewer bots")


def _once(at: _At, scenario: AnyScenario, users: int) -> Findings:
    """Each user at most once: there must be as many as starts."""
    made = from_model(scenario)
    try:
        made.check()
    except ValueError:
        return  # told as too many requests
    starts = made.count
    if starts > users:
        problem = f"once: {starts} starts are more than {users} users"
        yield at.error("population", problem, f"write `users: {starts}` or more under 'campaign'")


def _retries_carry_a_key(inputs: Inputs) -> Findings:
    """A retry without the key of its start is a second request, and the system cannot know."""
    document, system = inputs.experiment.document, inputs.system.system
    if "{key}" in system.requests.issue.model_dump_json(by_alias=True):
        return
    for name, scenario in inputs.experiment.experiment.traffic.items():
        if scenario.retries is not None:
            text = "the system's request carries no {key}: what is asked again is a new request"
            yield _At(document, name).warning("retries", text)
