"""Forecast from an experiment's file: its times and amounts.

When the traffic ends, how much it asks for, and when the stock is expected to be gone: a user
gets one coupon at most, so that is when as many users as coupons have asked (`distinct_users`);
where the system lets users hold several, the requests of each count up to so many, and where it
lets them hold any number, when as many requests are due. A stock is counted in issues, of which one
may take several units.

Virtual users (constant-vus, ramping-vus) ask as fast as they are answered. So how many requests
they make, and when the stock is gone where they ask, nobody can say beforehand.
"""

from collections.abc import Mapping
from typing import Final

from gameday.core.units import nanoseconds
from gameday.spec.experiment import Experiment
from gameday.spec.faults import Spike
from gameday.spec.system import Semantics, System
from gameday.traffic.distinct_users import UserSources
from gameday.traffic.schedule.arrival_rate import RateLine, exactly_per_s
from gameday.traffic.schedule.scenario import Population, Scenario
from gameday.traffic.schedule.scenario_json import from_model
from gameday.traffic.schedule.virtual_users import VirtualUsers

_ONE_EACH: Final = Semantics()


def scenarios_of(experiment: Experiment) -> dict[str, Scenario]:
    """The scenarios of an experiment, by name."""
    return {name: from_model(model) for name, model in experiment.traffic.items()}


def planned_starts(scenarios: Mapping[str, Scenario]) -> dict[str, int]:
    """The number of starts of each scenario; virtual users are in no plan."""
    return {name: one.count for name, one in scenarios.items() if one.is_planned}


def closed(experiment: Experiment) -> list[str]:
    """The scenarios of virtual users, by name: how many requests they make is not known."""
    scenarios = scenarios_of(experiment).items()
    return [name for name, each in scenarios if isinstance(each, VirtualUsers)]


def scheduled(experiment: Experiment) -> list[RateLine]:
    """The straight lines of every scenario, without the faults'."""
    return [line for scenario in scenarios_of(experiment).values() for line in scenario.lines]


def everything(experiment: Experiment) -> list[RateLine]:
    """The scenarios and what spikes add."""
    return scheduled(experiment) + [_added(spike) for spike in _spikes(experiment)]


def _spikes(experiment: Experiment) -> list[Spike]:
    return [fault for fault in experiment.method if isinstance(fault, Spike)]


def _added(spike: Spike) -> RateLine:
    rate = exactly_per_s(spike.rate)
    return RateLine(nanoseconds(spike.at), nanoseconds(spike.duration), rate, rate)


def traffic_end_s(experiment: Experiment) -> float:
    """When the last scenario starts nothing more, from t = 0."""
    return max(scenario.end_s for scenario in scenarios_of(experiment).values())


def starts_until(experiment: Experiment, t_s: float) -> float:
    """The number of requests due up to an instant of the run, virtual users left out."""
    return sum(line.starts_until(t_s) for line in everything(experiment))


def expected_starts(experiment: Experiment) -> float:
    """The number of requests due in the whole run, virtual users left out."""
    return starts_until(experiment, traffic_end_s(experiment))


def distinct_users(experiment: Experiment, t_s: float, *, share: float = 1.0) -> float:
    """The expected number of distinct users who asked up to an instant of the run.

    `share` of the due starts are made. Virtual users are left out.
    """
    return _taken(experiment.campaign.users, _sources(experiment), t_s, share=share)


Source = tuple[Population, list[RateLine]]


def _sources(experiment: Experiment) -> list[Source]:
    """The population of each scenario by rate and each spike, and its straight lines."""
    by_rate = [
        one for one in scenarios_of(experiment).values() if not isinstance(one, VirtualUsers)
    ]
    sources = [(each.population, list(each.lines)) for each in by_rate]
    return sources + [(Population(), [_added(spike)]) for spike in _spikes(experiment)]


def _taken(
    users: int, sources: list[Source], t_s: float, most: int = 1, share: float = 1.0
) -> float:
    """The expected number of issues that users who may hold so many have asked for.

    Only a `share` of the requests is counted.
    """
    crowd = UserSources(users, tuple(population for population, _ in sources))
    starts = [share * sum(line.starts_until(t_s) for line in lines) for _, lines in sources]
    return crowd.expected_up_to(most, starts)


def sell_out_s(experiment: Experiment, semantics: Semantics = _ONE_EACH) -> float | None:
    """When the last coupon is expected to go, from t = 0.

    None if the traffic is not enough, or not known because virtual users ask.
    """
    users = experiment.campaign.users
    if experiment.campaign.stock is None or closed(experiment):
        return None
    stock, most = semantics.issues_of(experiment.campaign.stock), semantics.most_each
    if most is None:
        return _starts_s(experiment, stock)
    sources = _sources(experiment)
    is_sure = any(population.kind == "once" for population, _ in sources)
    if stock >= users * most and not is_sure:
        return None  # the last user of all is never sure to come, or as often as he may
    low, high = 0.0, traffic_end_s(experiment)
    if stock > 0 and _taken(users, sources, high, most) < stock:
        return None
    while high - low > 0.001:
        middle = (low + high) / 2
        few = _taken(users, sources, middle, most) < stock
        low, high = (middle, high) if few else (low, middle)
    return high


def _starts_s(experiment: Experiment, starts: int) -> float | None:
    """When so many requests are due; None if never."""
    low, high = 0.0, traffic_end_s(experiment)
    if starts_until(experiment, high) < starts:
        return None
    while high - low > 0.001:
        middle = (low + high) / 2
        low, high = (middle, high) if starts_until(experiment, middle) < starts else (low, middle)
    return high


def longest_start_s(system: System, experiment: Experiment) -> float:
    """The longest that a start can stay open, with all that it asks again."""
    requests = system.requests
    timeout_s = requests.issue.timeout.total_seconds()
    retries = [each.retries for each in scenarios_of(experiment).values()]
    again_s = max(each.at_most * (timeout_s + each.backoff_s) for each in retries)
    return requests.longest_asked_s(experiment.mixes.values()) + again_s + requests.longest_poll_s
