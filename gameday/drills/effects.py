"""Effects of faults and acts in the simulation: constants, each measured in real runs.

They were read from runs of `tests/matrices/bots_real.py` (short forms, embedded stack, two cores):
the share of starts that are hurt while a fault is in and nobody acts, how long it takes to bite, to
page, to mend, and to be well again. A kind of fault that was not run has the cautious default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one kind of fault does to the starts that are due while it is in.

    `failed` and `slow` are shares of them; `mends` is the share of that harm that the playbook's
    steps take away, all of them together.
    """

    failed: float
    slow: float
    mends: float = 0.97
    onset_s: float = 0.3
    tail_s: float = 0.4


DEFAULT: Final = Effect(failed=0.5, slow=0.3)
EFFECTS: Final[Mapping[str, Effect]] = {
    "network.latency": Effect(failed=0.0, slow=0.97),
}
"""By kind of fault."""

PAGE_S: Final = 2.0
"""From the fault to the first alert of the quick rules of short forms: 2 to 3 s."""
SLOW_PAGE_S: Final = 8.0
"""The same with the system's own rules, whose `for` is 5 s."""
ACT_S: Final = 1.0
"""From the order of a step to the sample that shows its state."""
PAUSED_FAILED: Final = 1.0
"""Share of the starts that are refused while issuing is interrupted."""
WRONG_ACT_FAILED: Final = 0.02
"""Share of the starts that an act of no use spoils, in the second in which it is done."""
SPREAD: Final = 0.01
"""Deviation of the harm of two runs of one seed, as a share of it."""
