"""Verification that a fault was really in effect, who felt it, and whether it is gone again.

`readback` reads back what is there, `probe` and `long_probe` ask through a proxy, `toxics` says
what shows which toxic and judges it, `traffic_windows` and `service_impact` what the service and
its callers felt, `observation` all together; `recovery` judges the removal.
"""

from gameday.injection.verify.long_probe import Exchange
from gameday.injection.verify.observation import (
    BESIDE_ALL,
    BESIDE_PROXY,
    Certainty,
    Sighting,
    dose,
    injected,
    unmeasured,
)
from gameday.injection.verify.probe import SILENCE_S, Answer, Probe, Spot, look, probe
from gameday.injection.verify.readback import in_place, proxy_of
from gameday.injection.verify.recovery import (
    back_to_normal,
    difference_is_back,
    direct_address,
    is_calm,
)
from gameday.injection.verify.service_impact import Felt, lasting_level, shifts
from gameday.injection.verify.toxics import judge_probes, show
from gameday.injection.verify.traffic_windows import Stretch, stretches, worst_lag_s

__all__ = [
    "BESIDE_ALL",
    "BESIDE_PROXY",
    "SILENCE_S",
    "Answer",
    "Certainty",
    "Exchange",
    "Felt",
    "Probe",
    "Sighting",
    "Spot",
    "Stretch",
    "back_to_normal",
    "difference_is_back",
    "direct_address",
    "dose",
    "in_place",
    "injected",
    "is_calm",
    "judge_probes",
    "lasting_level",
    "look",
    "probe",
    "proxy_of",
    "shifts",
    "show",
    "stretches",
    "unmeasured",
    "worst_lag_s",
]
