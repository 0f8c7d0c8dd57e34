"""Whether things are as they were before the fault."""

from collections.abc import Sequence
from statistics import median

from gameday.witness.probing import Probe, was_answered


def back_to_normal(probes: Sequence[Probe], before_ms: float | None) -> bool:
    """Latency through the proxy is what it was: median ≤ max(1.2 × before, before + 5 ms)."""
    came = [p.took_ms for p in probes if was_answered(p)]
    if before_ms is None or len(came) < 0.8 * len(probes):
        return False
    return median(came) <= max(1.2 * before_ms, before_ms + 5.0)
