"""Rules about a drill: what a session of people can make sense of, and how much stock it takes.

The keys of the experiment that `drill:` replaces are judged as the file's own are.
"""

import math
from collections.abc import Iterator
from typing import Final

from gameday.core.units import format_duration, seconds
from gameday.spec.experiment import Experiment
from gameday.spec.faults import Spike
from gameday.spec.hypotheses import same
from gameday.spec.inputs import FileWarning, Findings, LoadedDrill
from gameday.spec.system import Semantics
from gameday.traffic.distinct_users import UserSources
from gameday.traffic.forecast import scenarios_of, scheduled, traffic_end_s
from gameday.traffic.schedule.arrival_rate import exactly_per_s
from gameday.traffic.schedule.scenario import Population

FEWEST_HYPOTHESES: Final = 2  # a choice of one is none
WINDOW_S: Final = 600.0
"""The fault comes within so long, where `--window` does not say otherwise."""
AFTER_S: Final = 120.0  # traffic goes on until the recovery was seen, and said
SPARE: Final = 1.05
"""A little more than is expected to go, as users are drawn by chance."""
_ONE_EACH: Final = Semantics()
_NEVER_S: Final = 1e9
_NEAR: Final = 1e-4


def stock_needed(
    experiment: Experiment, window_s: float, lasts_s: float, semantics: Semantics = _ONE_EACH
) -> int | None:
    """The stock that does not run out in a session, whenever the fault comes and goes.

    As many coupons as users are expected to take until the longest end, each as many as he may
    hold: at the mean rate of the traffic, with what spikes add for as long as they stay. Virtual
    users may all come; where they may hold any number, nobody knows how many they take: None.
    """
    starts = _mean_per_s(experiment) * session_s(experiment, window_s, lasts_s)
    spikes = (fault for fault in experiment.method if isinstance(fault, Spike))
    starts += sum(float(exactly_per_s(spike.rate)) * lasts_s for spike in spikes)
    users, most = experiment.campaign.users, semantics.most_each
    if any(not scenario.is_planned for scenario in scenarios_of(experiment).values()):
        return None if most is None else users * most * semantics.units
    issues = math.ceil(_taken(users, most, starts) * SPARE)
    return (issues if most is None else min(users * most, issues)) * semantics.units


def _mean_per_s(experiment: Experiment) -> float:
    starts = sum(line.starts_until(math.inf) for line in scheduled(experiment))
    return starts / traffic_end_s(experiment)


def _taken(users: int, most: int | None, starts: float) -> float:
    """The issues that so many starts of any users are expected to take."""
    if most is None:
        return starts
    return UserSources(users, (Population(),)).expected_up_to(most, [starts])


def session_s(experiment: Experiment, window_s: float, lasts_s: float) -> float:
    """The longest that traffic goes on in a session (s)."""
    first_s = min((seconds(fault.at) for fault in experiment.method), default=0.0)
    return first_s + window_s + lasts_s + AFTER_S


def minutes_needed(lasts_s: float, window_s: float = WINDOW_S) -> int:
    """Whole minutes that a session takes where the fault comes last and nobody mitigates it."""
    return math.ceil((window_s + lasts_s) / 60)


def of_drill(drilled: LoadedDrill, semantics: Semantics = _ONE_EACH) -> Findings:
    """Everything about the keys of a session, and the stock that it takes of such a system."""
    yield from _times(drilled)
    yield from _hypotheses(drilled)
    yield from _hints(drilled)
    yield from _injects(drilled)
    yield from _tells(drilled)
    yield from _stock(drilled, semantics)


def _times(drilled: LoadedDrill) -> Findings:
    drill, document = drilled.drill, drilled.document
    for key, value in (("lasts", drill.lasts), ("updates_every", drill.updates_every)):
        if not value:
            yield document.error((key,), f"{key!r}: must be longer than 0s")
    needed = minutes_needed(seconds(drill.lasts))
    if drill.minutes < needed:
        lasts = format_duration(drill.lasts)
        problem = f"'minutes': {drill.minutes} is less than what a session takes, {needed}"
        cure = f"the fault comes within 10m and stays {lasts}: write {needed}, or a shorter `lasts`"
        key = "minutes" if document.root.child("minutes") else "lasts"
        yield document.error((key,), problem, help=cure)
    if not drilled.loaded.experiment.method:
        text = "'method': nothing breaks in it, so a drill has nothing to find"
        yield FileWarning(drilled.loaded.document.place("method"), text)


def _hypotheses(drilled: LoadedDrill) -> Findings:
    texts, document = drilled.drill.hypotheses, drilled.document
    if 0 < len(texts) < FEWEST_HYPOTHESES:
        problem = "'hypotheses': one alone is no choice"
        yield document.error(("hypotheses",), problem, help="add what else it could look like")
    for index, text in enumerate(texts):
        twin = next((n for n, each in enumerate(texts[:index]) if same(each, text)), None)
        if twin is not None:
            problem = f"'hypotheses': {text!r:.80} is number {twin + 1} once more"
            yield document.error(("hypotheses", index), problem, help="let each say something else")


def _hints(drilled: LoadedDrill) -> Findings:
    drill, document = drilled.drill, drilled.document
    for index, hint in enumerate(drill.hints):
        at = ("hints", index, "after")
        after = format_duration(hint.after)
        if index and hint.after < drill.hints[index - 1].after:
            before = format_duration(drill.hints[index - 1].after)
            problem = f"'after': {after} is earlier than the hint before it, at {before}"
            yield document.error(at, problem, help="put them in the order of their times")
        if hint.after > drill.lasts:
            lasts = format_duration(drill.lasts)
            text = f"'after': at {after} nobody can have it: the fault stays {lasts} at most"
            yield FileWarning(document.place(*at), text)


def _injects(drilled: LoadedDrill) -> Findings:
    drill, document = drilled.drill, drilled.document
    for index, inject in enumerate(drill.injects):
        if (inject.at is None) == (inject.on is None):
            problem = f"inject {index + 1} has {'neither' if inject.at is None else 'both'}"
            cure = "write `at: 2m`, counted from the fault, or `on: alert`: one of them"
            yield document.error(("injects", index), f"{problem} of 'at' and 'on'", help=cure)
        if inject.at is not None and inject.at > drill.lasts:
            lasts = format_duration(drill.lasts)
            problem = f"'at': {format_duration(inject.at)} is after the fault, which stays {lasts}"
            yield document.error(("injects", index, "at"), problem, help="raise `lasts`")


def _tells(drilled: LoadedDrill) -> Findings:
    """A text that names what is to be found, as the file calls it."""
    experiment = drilled.loaded.experiment
    names = {experiment.title.casefold(), *(fault.fault for fault in experiment.method)} - {""}
    names |= {name.replace(".", " ") for name in names}
    if "-" in experiment.name:  # others are words that anybody uses, as `peak` is
        names.add(experiment.name)
    for loc, text in _texts(drilled):
        told = next((name for name in sorted(names) if name in text.casefold()), None)
        if told is not None:
            what = f"{loc[-1]!r}: it names {told!r:.80}, which is what people are to find"
            yield FileWarning(drilled.document.place(*loc), what)


def _texts(drilled: LoadedDrill) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Texts that people are told before the debrief, and their places."""
    drill = drilled.drill
    if drill.briefing is not None:
        yield ("briefing",), drill.briefing
    for index, hint in enumerate(drill.hints):
        yield ("hints", index, "text"), hint.text
    for index, inject in enumerate(drill.injects):
        yield ("injects", index, "text"), inject.text


def _stock(drilled: LoadedDrill, semantics: Semantics) -> Findings:
    """A stock that `drill:` states itself; where it states none, the drill brings its own."""
    experiment = drilled.loaded.experiment
    if not drilled.states("campaign") or experiment.campaign.stock is None:
        return
    lasts_s = seconds(drilled.drill.lasts)
    needed = stock_needed(experiment, WINDOW_S, lasts_s, semantics)
    if needed is not None and experiment.campaign.stock < needed:
        when = _gone_s(experiment, semantics)
        text = (
            f"'stock': {experiment.campaign.stock} coupons are expected to be gone {when:g} s after"
            f" the start, and a session may take {session_s(experiment, WINDOW_S, lasts_s):g} s:"
            f" {needed} would last"
        )
        if when < WINDOW_S:
            text += "; it may be before the fault"
        yield FileWarning(drilled.loaded.document.place("campaign", "stock"), text)


def _gone_s(experiment: Experiment, semantics: Semantics) -> float:
    """When the stock is expected to be gone if the traffic just went on."""
    rate, users = _mean_per_s(experiment), experiment.campaign.users
    most, issues = semantics.most_each, semantics.issues_of(experiment.campaign.stock or 0)
    if not rate or (most is not None and issues >= users * most):
        return math.inf
    low, high = 0.0, max(1.0, issues / rate)
    while _taken(users, most, rate * high) < issues and high < _NEVER_S:
        low, high = high, 2 * high
    while high - low > _NEAR * high:
        middle = (low + high) / 2
        few = _taken(users, most, rate * middle) < issues
        low, high = (middle, high) if few else (low, middle)
    return round(high)
