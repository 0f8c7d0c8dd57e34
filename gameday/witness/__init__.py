"""Witnesses say whether the dose was really there, who felt it, and whether it is gone again.

`probing` asks through a proxy, `sightings` judges the dose, `calm` the removal.
"""

from gameday.witness.calm import back_to_normal, difference_is_back, direct_address, is_calm
from gameday.witness.probing import SILENCE_S, Answer, Probe, Spot, look, probe
from gameday.witness.sightings import Sighting, dose, injected, judge_probes, shifts

__all__ = [
    "SILENCE_S",
    "Answer",
    "Probe",
    "Sighting",
    "Spot",
    "back_to_normal",
    "difference_is_back",
    "direct_address",
    "dose",
    "injected",
    "is_calm",
    "judge_probes",
    "look",
    "probe",
    "shifts",
]
