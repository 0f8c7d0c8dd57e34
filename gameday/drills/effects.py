"""Effects of faults and acts in the simulation: constants, each measured in real runs.

They were read from runs of `tests/matrices/bots_real.py` (short forms, embedded stack, two cores):
the share of starts that are hurt while a fault is in and nobody acts, how long it takes to bite, to
page, to mend, and to be well again. A kind of
fault that was not run has the default, which is a guess: of kinds that were run later it was off by
half to five times, in harm and not in the order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Effect of one kind of fault on the starts that are due while it is in.

    `failed` and `slow` are shares of them; `mends` is the share of that harm that the playbook's
    steps take away, all of them together.
    """

    failed: float
    slow: float
    mends: float = 1.0
    onset_s: float = 0.01
    tail_s: float = 0.0  # where it ends by itself


DEFAULT: Final = Effect(failed=0.5, slow=0.3)
EFFECTS: Final[Mapping[str, Effect]] = {
    # Slow from the first start on; what was asked in its last 0.3 s was answered in time.
    "network.latency redis": Effect(failed=0.0, slow=1.0, tail_s=-0.2),
    "network.down redis": Effect(failed=1.0, slow=0.0),
    "network.partition redis": Effect(failed=1.0, slow=0.0),
    "network.flap redis": Effect(failed=0.56, slow=0.0),
    "redis.memory redis": Effect(failed=1.0, slow=0.0),
    # It blocks again and again, so that about half of the starts fall into a block.
    "redis.block redis": Effect(failed=0.0, slow=0.47, tail_s=0.2),
    # Neither limiting users nor wider pools helped: nothing in it can be avoided.
    "network.latency postgres": Effect(failed=0.0, slow=0.96, mends=0.0, tail_s=-0.2),
}
"""By kind of fault and its target."""

PAGE_S: Final = 2.0
"""From the fault to the first alert of the quick rules of short forms: 1.9 to 2.0 s."""
SLOW_PAGE_S: Final = 8.0
"""The same with the system's own rules, whose `for` is 5 s."""
TICK_S: Final = 1.0
"""Between two samples: a bot looks at its agenda when it is told one."""
MEND_S: Final = 0.05
"""From the order of a step to its effect on those who ask."""
ACT_S: Final = 1.0
"""From the order of a step to the sample that shows its state: 0.98 to 1.0 s."""
PAUSED_FAILED: Final = 1.0
"""Share of the starts that are refused while issuing is interrupted.

In real runs an interruption outlasts its end where the fault is still in, so panic is even worse.
"""
WRONG_ACT_FAILED: Final = 0.0
"""Share of the starts that an act of no use spoils, in the second in which it is done."""
SPREAD: Final = 0.0045
"""Deviation of the harm of runs of one seed with one outcome, as a share of it."""
