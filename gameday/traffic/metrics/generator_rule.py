"""When a traffic generator has kept its schedule: thresholds that can be set, and are recorded."""

from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 5  # a shorter one has too few starts for a p95, a longer one hides a stall


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The thresholds, which are settings: shares of what was due, and how late it may be sent.

    The lag may be `lag_share` of the tightest latency bound, `lag_ms` where there is none.
    """

    limited_below: float = 0.95
    kept_from: float = 0.99
    lag_ms: float = 50.0
    lag_share: float = 0.25

    def stood_ms(self, share: float) -> float:
        """The time an event loop may stand still in a window, `share` of which must be sent."""
        return (1 - share) * WINDOW_S * 1000
