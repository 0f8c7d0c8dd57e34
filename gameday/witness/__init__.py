"""Witnesses say whether the dose was really there, who felt it, and whether it is gone again.

`place` reads back what is there, `probing` and `exchange` ask through a proxy, `doses` judges what
they saw, `traffic` and `feeling` what the service and its callers felt, `sightings` all together;
`calm` judges the removal.
"""

from gameday.witness.calm import back_to_normal, difference_is_back, direct_address, is_calm
from gameday.witness.doses import judge_exchanges, judge_probes, not_shown
from gameday.witness.exchange import Exchange
from gameday.witness.feeling import Felt, held, shifts
from gameday.witness.place import Proxy, in_place, proxy_of
from gameday.witness.probing import SILENCE_S, Answer, Probe, Spot, look, probe
from gameday.witness.showing import show
from gameday.witness.sightings import (
    BESIDE_ALL,
    BESIDE_PROXY,
    Certainty,
    Sighting,
    dose,
    injected,
    said,
)
from gameday.witness.traffic import Stretch, stretches, worst_lag_s

__all__ = [
    "BESIDE_ALL",
    "BESIDE_PROXY",
    "SILENCE_S",
    "Answer",
    "Certainty",
    "Exchange",
    "Felt",
    "Probe",
    "Proxy",
    "Sighting",
    "Spot",
    "Stretch",
    "back_to_normal",
    "difference_is_back",
    "direct_address",
    "dose",
    "held",
    "in_place",
    "injected",
    "is_calm",
    "judge_exchanges",
    "judge_probes",
    "look",
    "not_shown",
    "probe",
    "proxy_of",
    "said",
    "shifts",
    "show",
    "stretches",
    "worst_lag_s",
]
