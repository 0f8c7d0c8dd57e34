"""The traffic that witness T needs: how the time around a fault is cut, and what each piece needs.

The seconds before a fault and the fault itself are cut into short stretches. A stretch says
something if enough was sent in it; the calm needs two such in a row, the fault as many as
`held_for` says. `gameday plan` warns by the same figures before anything is run.
"""

from typing import Final

CALM_S: Final = 5.0  # the steady state is watched for as long before the first fault
STRETCH_S: Final = 0.5  # at 100 requests a second 50 in each: a p95 of fewer is one slow request
LEAST_S: Final = 0.1  # ten requests of the usual hundred a second
MOMENT_S: Final = 0.25  # of a fault that is over at once, a restart for instance
FEWEST: Final = 3  # of two the p95 is one request's own luck
CALM_COUNT: Final = 2  # stretches in a row: one alone is a hiccup
LEAST_COUNT: Final = 3  # stretches of a fault
HELD_SHARE: Final = 0.6  # of a short fault: its first and last stretch are mixed with the calm
LONG_ENOUGH: Final = 5  # 2.5 s in stretches of half a second: no hiccup lasts as long


def width_s(fault_s: float, *, lasts: bool = True) -> float:
    """The length of a stretch, in seconds, for a fault of this length.

    `lasts`: it is there for all of that time, not only at its beginning.
    """
    return min(STRETCH_S if lasts else MOMENT_S, max(LEAST_S, fault_s / LEAST_COUNT))


def held_for(stretches: int) -> int:
    """The number of stretches in a row that count: six tenths of a short fault, or five."""
    return max(2, min(LONG_ENOUGH, int(HELD_SHARE * stretches)))
