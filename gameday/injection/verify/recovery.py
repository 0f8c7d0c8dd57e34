"""Recovery after a fault: latency now against latency before.

A machine that has become busy is slow with or without a proxy. So the way through the proxy is
compared with the direct one, probed in turns within the same second; where the upstream does not
answer from here, only the way through is left to compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class LatencyNow:
    """Latency now, None when too few probes were answered, and the most that is as before, in ms.

    Of the way through the proxy less the direct one, or of the way through alone.
    """

    now_ms: float | None
    most_ms: float

    @property
    def is_calm(self) -> bool:
        """True if latency is what it was before the fault."""
        return self.now_ms is not None and self.now_ms <= self.most_ms


async def compare(spot: Spot, clock: Clock) -> LatencyNow:
    """Latency at `spot`, whose latency before is known, beside what it was before the fault."""
    if spot.upstream is None or spot.extra_ms is None:
        return way_through(await probe(spot.address, spot.protocol, clock), spot.before_ms or 0.0)
    through, direct = await probe_both(spot.address, spot.upstream, spot.protocol, clock)
    return difference(through, direct, spot.extra_ms)


def way_through(probes: Sequence[Probe], before_ms: float) -> LatencyNow:
    """Latency through the proxy, by `_bound_ms`."""
    return LatencyNow(_median_of_most(probes), _bound_ms(before_ms))


def difference(through: Sequence[Probe], direct: Sequence[Probe], extra_ms: float) -> LatencyNow:
    """Latency that the proxy adds, by the same bound."""
    through_ms, direct_ms = _median_of_most(through), _median_of_most(direct)
    more_ms = None if through_ms is None or direct_ms is None else through_ms - direct_ms
    return LatencyNow(more_ms, _bound_ms(extra_ms))


def _bound_ms(before_ms: float) -> float:
    """A fifth more, or 5 ms: of a latency of 1 ms a fifth is less than two medians differ by."""
    return max(1.2 * before_ms, before_ms + 5.0)


def _median_of_most(probes: Sequence[Probe]) -> float | None:
    """The median answer, None when too many of the probes were not answered."""
    came = sum(map(was_answered, probes))
    return latency_ms(probes) if probes and came >= ANSWERED_SHARE * len(probes) else None
