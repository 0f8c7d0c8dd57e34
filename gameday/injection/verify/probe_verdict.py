"""Witness P: what a probe sees of each toxic, against what was asked for.

Every judgement is of numbers that were measured; what no probe can show (a link faster than the
probe is long, a toxic for some connections only) is said to be read back, and not shown.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from gameday.injection.verify.long_probe import Exchange
from gameday.injection.verify.observation import Sighting, unmeasured
from gameday.injection.verify.probe import PING, SILENCE_S, Answer, Probe, was_answered
from gameday.spec.changes import NetworkChange, ToxicChange

SHORT = frozenset({"latency", "timeout", "reset_peer"})
LONG = frozenset({"bandwidth", "slicer", "limit_data", "slow_close"})
LEAST_MS = 50.0
READ_BACK = "it reads back as asked"


def judge_probes(
    change: NetworkChange, probes: Sequence[Probe], before_ms: float | None
) -> Sighting:
    """The verdict over short probes: they show the magnitude asked for, or they do not."""
    if not isinstance(change, ToxicChange):
        return _share(probes, {"refused"}, "refused")
    attributes = change.attributes
    match change.type:
        case "latency":
            return _latency(probes, attributes["latency"], before_ms)
        case "timeout":
            closes = 0 < attributes["timeout"] < SILENCE_S * 1000
            if closes:
                return _share(probes, {"closed", "reset"}, "closed without an answer")
            return _share(probes, {"unanswered"}, "unanswered")
        case "reset_peer":
            return _share(probes, {"reset"}, "reset")
        case other:
            return not_shown(f"no probe shows a {other}")


def not_shown(why: str) -> Sighting:
    """In place as asked, which is all that can be said."""
    return unmeasured(f"{READ_BACK}; {why}", ok=True, shown=False)


def _latency(probes: Sequence[Probe], asked_ms: float, before_ms: float | None) -> Sighting:
    """Median of the answered probes, less the latency before, within 20 % or 20 ms of asked."""
    came = [p.took_ms for p in probes if was_answered(p)]
    if len(came) < 0.8 * len(probes) or not came:
        why = f"only {len(came)} of {len(probes)} probes were answered"
        return Sighting("P", None, asked_ms, None, "ms", len(came), why)
    measured = median(came) - (before_ms or 0.0)
    ok = _about(measured, asked_ms) and measured >= 0.5 * asked_ms
    why = f"{measured:.0f} ms more than before through the proxy, {asked_ms:.0f} ms asked"
    return Sighting("P", ok, asked_ms, round(measured, 1), "ms", len(came), why)


def _about(measured_ms: float, asked_ms: float) -> bool:
    """Within 20 % or 20 ms of it."""
    return abs(measured_ms - asked_ms) <= max(0.2 * asked_ms, 20.0)


def _share(probes: Sequence[Probe], wanted: set[Answer], word: str) -> Sighting:
    """At least 9 of 10 probes ended as the fault makes them end."""
    hits = sum(p.answer in wanted for p in probes)
    return _hits(hits, len(probes), f"{hits} of {len(probes)} probes {word}")


def _hits(hits: int, n: int, why: str) -> Sighting:
    share = hits / n if n else 0.0
    return Sighting("P", share >= 0.9, 1.0, round(share, 3), "share", n, why)


def judge_exchanges(change: ToxicChange, seen: Sequence[Exchange], before_ms: float) -> Sighting:
    """The verdict over longer exchanges: they show the magnitude asked for, or they do not."""
    attributes, upstream = change.attributes, change.stream == "upstream"
    match change.type:
        case "bandwidth":
            return _bandwidth(seen, attributes["rate"], before_ms, upstream=upstream)
        case "slicer":
            return _slicer(seen, attributes, before_ms, upstream=upstream)
        case "limit_data":
            return _limit(seen, attributes["bytes"], upstream=upstream)
        case _:
            return _slow_close(seen, attributes["delay"])


def _whole(seen: Sequence[Exchange]) -> list[Exchange]:
    return [one for one in seen if one.ended == "whole"]


def _too_few(seen: Sequence[Exchange], asked_ms: float | None) -> Sighting | None:
    whole = _whole(seen)
    if whole and len(whole) >= 0.8 * len(seen):
        return None
    why = f"only {len(whole)} of {len(seen)} long probes were answered whole"
    return Sighting("P", None, asked_ms, None, "ms", len(whole), why)


def _carried(one: Exchange, *, upstream: bool) -> int:
    """The bytes that went the way the toxic is on."""
    return one.sent if upstream else one.received


def _bandwidth(
    seen: Sequence[Exchange], rate_kb_per_s: int, before_ms: float, *, upstream: bool
) -> Sighting:
    """A known number of bytes takes as long as the rate says: kB of 1000 bytes, as Toxiproxy's."""
    if rate_kb_per_s == 0:
        silent = sum(one.ended == "silent" for one in seen)
        return _hits(silent, len(seen), f"{silent} of {len(seen)} long probes stalled")
    few = _too_few(seen, None)
    if few is not None:
        return few
    whole = _whole(seen)
    size = median(_carried(one, upstream=upstream) for one in whole)
    asked_ms = size / rate_kb_per_s
    measured = median(one.took_ms for one in whole) - before_ms
    if asked_ms < LEAST_MS:
        return not_shown(f"{size:.0f} bytes at {rate_kb_per_s} kB/s are too quick to be told")
    why = f"{size:.0f} bytes took {measured:.0f} ms, at {rate_kb_per_s} kB/s {asked_ms:.0f} ms"
    return Sighting(
        "P", _about(measured, asked_ms), asked_ms, round(measured, 1), "ms", len(whole), why
    )


def _slicer(
    seen: Sequence[Exchange], attributes: Mapping[str, int], before_ms: float, *, upstream: bool
) -> Sighting:
    """Every piece is followed by the delay, and a piece is never longer than the sizes say."""
    whole = _whole(seen)
    largest = attributes["average_size"] + attributes.get("size_variation", 0)
    size = median([_carried(one, upstream=upstream) for one in whole]) if whole else 0
    least_ms = (size / max(1, largest) - 1) * attributes.get("delay", 0) / 1000
    if whole and least_ms < LEAST_MS:
        return not_shown("its pieces follow one another too quickly to be told apart")
    few = _too_few(seen, least_ms)
    if few is not None:
        return few
    measured = median(one.took_ms for one in whole) - before_ms
    reads = median(one.reads for one in whole)
    ok = measured >= 0.9 * least_ms and reads >= 2
    why = (
        f"{size:.0f} bytes came in {reads:.0f} pieces over {measured:.0f} ms, "
        f"{least_ms:.0f} ms asked at least"
    )
    return Sighting("P", ok, round(least_ms, 1), round(measured, 1), "ms", len(whole), why)


def _limit(seen: Sequence[Exchange], limit: int, *, upstream: bool) -> Sighting:
    """Exactly so many bytes came, and then the end."""
    if seen and all(one.ended == "whole" for one in seen):
        largest = max(_carried(one, upstream=upstream) for one in seen)
        if largest < limit:
            return not_shown(f"a probe of {largest} bytes does not reach {limit}")
    hits = sum(_cut(one, limit, upstream=upstream) for one in seen)
    why = f"{hits} of {len(seen)} long probes were cut after {limit} bytes"
    return _hits(hits, len(seen), why)


def _cut(one: Exchange, limit: int, *, upstream: bool) -> bool:
    """The end came where it must; a cut question still has the answers to its first part."""
    if upstream:
        return one.ended in ("closed", "reset") and one.lines * len(PING) <= limit
    return one.ended == "closed" and one.received == limit


def _slow_close(seen: Sequence[Exchange], asked_ms: int) -> Sighting:
    """The end of the other side came so much later than ours."""
    ends = [one.end_ms for one in seen if one.end_ms is not None]
    if len(ends) < 0.8 * len(seen) or not ends:
        why = f"only {len(ends)} of {len(seen)} probes saw the end of the connection"
        return Sighting("P", None, asked_ms, None, "ms", len(ends), why)
    measured = median(ends)
    if asked_ms < LEAST_MS:
        return not_shown(f"an end that is held for {asked_ms} ms cannot be told")
    why = f"the end of a connection came after {measured:.0f} ms, {asked_ms} ms asked"
    ok = _about(measured, asked_ms)
    return Sighting("P", ok, asked_ms, round(measured, 1), "ms", len(ends), why)
