"""The right probe for each toxic: short questions, or long ones whose size fits the dose.

A toxic for some connections only is not probed: a dozen connections cannot tell three quarters
from a half. PostgreSQL answers a stranger with one byte, too little for a rate or a slice.
"""

import asyncio
from collections.abc import Mapping

from gameday.core.clock import Clock
from gameday.injection.verify.long_probe import (
    MOST,
    PONG_BYTES,
    STRANGERS_MOST,
    Exchange,
    greeting,
    parting,
    pings,
)
from gameday.injection.verify.observation import Sighting
from gameday.injection.verify.probe import A_FEW, PING, PROBES, SILENCE_S, Spot, latency_ms, probe
from gameday.injection.verify.probe_verdict import (
    LEAST_MS,
    LONG,
    SHORT,
    judge_exchanges,
    judge_probes,
    not_shown,
)
from gameday.spec.changes import NetworkChange, ToxicChange

LONG_PROBES = 6
TARGET_MS = 4 * LEAST_MS
LONG_PATIENCE_S = 4.0


async def show(change: NetworkChange, spot: Spot, clock: Clock) -> Sighting:
    """Witness P for a change that reads back as asked."""
    if spot.protocol == "unknown":
        return not_shown("no probe speaks this service's protocol")
    if not isinstance(change, ToxicChange):
        return judge_probes(change, await probe(spot.address, spot.protocol, clock), None)
    kind, attributes = change.type, change.attributes
    if change.toxicity < 1.0:
        return not_shown(f"a dozen probes cannot show a toxicity of {change.toxicity:g}")
    if kind in SHORT:
        patience_s = SILENCE_S + attributes.get("latency", 0) / 500
        return await _show_short(change, spot, clock, patience_s)
    if kind in LONG:
        return await _show_long(change, spot, clock)
    return not_shown(f"no probe shows a {kind}")


async def _show_short(change: ToxicChange, spot: Spot, clock: Clock, patience_s: float) -> Sighting:
    """Through the proxy, and past it where that can be: a busy machine slows both alike."""
    # What is never answered is told by silence: that is no time to compare, and long to wait for.
    at_once = PROBES if change.type == "timeout" else A_FEW
    through = probe(spot.address, spot.protocol, clock, patience_s, at_once)
    if spot.upstream is None or spot.extra_ms is None:
        return judge_probes(change, await through, spot.before_ms)
    past = probe(spot.upstream, spot.protocol, clock)
    probes, direct = await asyncio.gather(through, past)
    direct_ms = latency_ms(direct)
    before_ms = spot.before_ms if direct_ms is None else direct_ms + spot.extra_ms
    return judge_probes(change, probes, before_ms)


async def _show_long(change: ToxicChange, spot: Spot, clock: Clock) -> Sighting:
    kind, attributes = change.type, change.attributes
    if kind == "slow_close":
        patience_s = SILENCE_S + attributes["delay"] / 500
        seen = [parting(spot.address, spot.protocol, clock, patience_s) for _ in range(LONG_PROBES)]
    elif spot.protocol == "redis":
        line_bytes = await _line_bytes(spot, clock)
        count = _count(kind, attributes, line_bytes, upstream=change.stream == "upstream")
        several = range(LONG_PROBES)
        seen = [pings(spot.address, count, clock, LONG_PATIENCE_S) for _ in several]
    elif kind == "limit_data" and change.stream == "downstream":
        seen = [greeting(spot.address, clock, SILENCE_S) for _ in range(LONG_PROBES)]
    else:
        return not_shown("a stranger is answered too little to show it")
    return judge_exchanges(change, await asyncio.gather(*seen), spot.before_ms or 0.0)


async def _line_bytes(spot: Spot, clock: Clock) -> int:
    """Length of one answer in bytes; that of PONG if none comes now."""
    one: Exchange = await pings(spot.address, 1, clock, SILENCE_S)
    return one.received if one.ended == "whole" else PONG_BYTES


def _count(kind: str, attributes: Mapping[str, int], line_bytes: int, *, upstream: bool) -> int:
    """The number of PINGs that make the toxic show, within what a stranger may ask for."""
    each = len(PING) if upstream else line_bytes
    most = (MOST if line_bytes == PONG_BYTES else STRANGERS_MOST) // line_bytes
    match kind:
        case "bandwidth":
            wanted = attributes["rate"] * TARGET_MS
        case "slicer":
            largest = attributes["average_size"] + attributes.get("size_variation", 0)
            delay_ms = max(0.001, attributes.get("delay", 0) / 1000)
            wanted = largest * (TARGET_MS / delay_ms + 1)
        case _:
            wanted = attributes["bytes"] + 20 * each
    return int(min(most, max(2, wanted / each)))
