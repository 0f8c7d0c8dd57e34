"""A rule about evidence: there is enough traffic around each fault to tell that it was felt.

Whether a fault was felt is told by the traffic before it and in it, in short pieces of which each
needs some requests (`injection.verify.traffic_needed`). At a few requests a second a run ends as
*unknown*, and it takes the whole run to learn that. Where the service's own metric of a dependency
is named, it tells as well, and nothing is warned of; nor where virtual users ask, for nobody knows
how often they do.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from gameday.core.messages import Message, Value
from gameday.core.units import seconds
from gameday.injection.verify.traffic_needed import (
    CALM_COUNT,
    CALM_S,
    FEWEST,
    LEAST_S,
    STRETCH_S,
    held_for,
    width_s,
)
from gameday.spec.experiment import Experiment
from gameday.spec.faults import AnyFault, Spike
from gameday.spec.inputs import FileWarning, Findings, Inputs
from gameday.traffic.forecast import closed, starts_until

_SPARE: Final = 0.5  # a fault does not begin on the beat of the traffic: some pieces get one less
_ADVISED: Final = FEWEST + 1  # requests of each piece, so that all of them have enough
_LEAST_FAULT_S: Final = 2 * LEAST_S  # of two pieces, the fewest that hold
_WHOLE_S: Final = 3 * STRETCH_S  # of a fault whose pieces are no shorter than they must be


def of_experiment(inputs: Inputs) -> Findings:
    """A warning for each fault that nobody could be seen to feel."""
    experiment, dependencies = inputs.experiment.experiment, inputs.system.system.dependencies
    if closed(experiment):
        return
    for index, fault in enumerate(experiment.method):
        if isinstance(fault, Spike) or fault.on in dependencies or not fault.duration:
            continue
        found = _lack(experiment, fault)
        if found is not None:
            key, *said = found
            place = inputs.experiment.document.place("method", index, key)
            yield FileWarning.of(place, *said)


def _lack(experiment: Experiment, fault: AnyFault) -> tuple[str, Message, Message] | None:
    """The key, what is wrong, and the cure; None where the traffic is enough."""
    at_s, fault_s, name = seconds(fault.at), seconds(fault.duration), fault.id or fault.fault
    width = width_s(fault_s)
    needed_s = CALM_COUNT * width
    if at_s < needed_s:
        early = Message("finding.few_early", fault=name, at_s=at_s, needed_s=needed_s)
        return "at", early, Message("finding.cure_at", at_s=needed_s)
    if fault_s < _LEAST_FAULT_S:
        told: dict[str, Value] = {"fault": name, "duration_s": fault_s, "needed_s": _LEAST_FAULT_S}
        cure = Message("finding.cure_duration", duration_s=_WHOLE_S)
        return "duration", Message("finding.few_short", **told), cure
    calm_s = min(CALM_S, at_s)
    calm = _due(experiment, at_s - int(calm_s / width) * width, at_s, width)
    if (due := _most_in_a_row(calm, CALM_COUNT)) < FEWEST + _SPARE:
        few = _few("before", name, due, (width, CALM_COUNT))
        cure = _rate(width, at_s - calm_s, at_s + fault_s)
        return "at", Message(few.id, **few.values, calm_s=calm_s), cure
    during = _due(experiment, at_s, at_s + fault_s, width)
    count = held_for(len(during))
    if (due := _most_in_a_row(during, count)) < FEWEST + _SPARE:
        cure = _rate(width, at_s, at_s + fault_s)
        if width < STRETCH_S:
            longer = {"duration_s": _WHOLE_S, "slow": math.ceil(_ADVISED / STRETCH_S)}
            cure = Message("finding.cure_longer", **cure.values, **longer)
        return "duration", _few("during", name, due, (width, count)), cure
    return None


def _few(when: str, fault: str, due: float, pieces: tuple[float, int]) -> Message:
    width, count = pieces
    told: dict[str, Value] = {
        "fault": fault,
        "due": due,
        "width_s": width,
        "fewest": FEWEST,
        "count": count,
    }
    return Message(f"finding.few_{when}", **told)


def _rate(width: float, from_s: float, to_s: float) -> Message:
    rate = math.ceil(_ADVISED / width)
    return Message("finding.cure_few", rate=rate, from_s=from_s, to_s=to_s)


def _due(experiment: Experiment, begin_s: float, end_s: float, width: float) -> Sequence[float]:
    """The requests due in each piece; a short rest is left out."""
    count = int((end_s - begin_s) / width + 1e-6)
    edges = [starts_until(experiment, begin_s + n * width) for n in range(count + 1)]
    return [after - before for before, after in pairwise(edges)]


def _most_in_a_row(due: Sequence[float], count: int) -> float:
    """The most that so many in a row have, each."""
    ends = range(count, len(due) + 1)
    return max((min(due[end - count : end]) for end in ends), default=0.0)
