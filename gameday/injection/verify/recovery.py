"""Recovery after a fault: latency now against latency before.

A machine that has become busy is slow with or without a proxy. So the way through the proxy is
compared with the direct one, probed in turns within the same second; where the upstream does not
answer from here, only the way through is left to compare.
"""

from collections.abc import Sequence

from gameday.core.clock import Clock
from gameday.core.network.allow_list import Allowed, NoAddressError, RefusedError
from gameday.injection.upstream import upstream_of
from gameday.injection.verify.probe import Probe, Spot, latency_ms, probe, probe_both, was_answered

ANSWERED_SHARE = 0.8  # a median of fewer says nothing of the others


async def direct_address(
    upstream: str, toxiproxy_url: str, allowed: Allowed
) -> tuple[str, int] | None:
    """Address of the `upstream` of a proxy for direct probes; None if there is none, or refused.

    An upstream on the loopback of another host is looked for on that host. Whatever is not
    loopback must have been allowed by name.
    """
    found = await upstream_of(upstream, toxiproxy_url, allowed)
    if found is None:
        return None
    try:
        await allowed.resolve(*found)
    except (RefusedError, NoAddressError):
        return None  # or a name that only the proxy's network knows
    return found


async def is_calm(spot: Spot, clock: Clock) -> bool:
    """True if latency at `spot` is what it was before the fault."""
    if spot.upstream is None or spot.extra_ms is None:
        return back_to_normal(await probe(spot.address, spot.protocol, clock), spot.before_ms)
    through, direct = await probe_both(spot.address, spot.upstream, spot.protocol, clock)
    return difference_is_back(through, direct, spot.extra_ms)


def back_to_normal(probes: Sequence[Probe], before_ms: float | None) -> bool:
    """Latency through the proxy is what it was: median ≤ max(1.2 × before, before + 5 ms)."""
    now_ms = _median_of_most(probes)
    if before_ms is None or now_ms is None:
        return False
    return now_ms <= _bound_ms(before_ms)


def difference_is_back(through: Sequence[Probe], direct: Sequence[Probe], extra_ms: float) -> bool:
    """True if the proxy adds as much latency as before, by the same bound."""
    through_ms, direct_ms = _median_of_most(through), _median_of_most(direct)
    if through_ms is None or direct_ms is None:
        return False
    return through_ms - direct_ms <= _bound_ms(extra_ms)


def _bound_ms(before_ms: float) -> float:
    """A fifth more, or 5 ms: of a latency of 1 ms a fifth is less than two medians differ by."""
    return max(1.2 * before_ms, before_ms + 5.0)


def _median_of_most(probes: Sequence[Probe]) -> float | None:
    """The median answer, None when too many of the probes were not answered."""
    came = sum(map(was_answered, probes))
    return latency_ms(probes) if probes and came >= ANSWERED_SHARE * len(probes) else None
