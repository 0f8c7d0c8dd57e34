"""Witness P of each toxic, in one table: which questions show it, and what must come of them.

Short questions show that answers come late or not at all; a slow link, a sliced or a cut answer
shows only on long ones, whose size fits the dose. Every judgement is of numbers that were
measured. What no probe can show is said to be read back, and not shown: a link faster than the
probe is long, or a toxic for some connections only, for a dozen connections cannot tell three
quarters from a half. PostgreSQL answers a stranger with one byte, too little for a rate or a slice,
and so do all others but Redis, or next to it.

That connections are refused shows on any service, whatever it speaks: a connection is made, and
nothing said.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from gameday.core.clock import Clock
from gameday.core.messages import Message, Value
from gameday.evidence.events import Observation
from gameday.injection.verify.injection_verdict import ComparedProbe, unmeasured
from gameday.injection.verify.long_probe import (
    MOST,
    PONG_BYTES,
    STRANGERS_MOST,
    Exchange,
    greeting,
    parting,
    pings,
)
from gameday.injection.verify.probe import (
    A_FEW,
    PROBES,
    SILENCE_S,
    Answer,
    Probe,
    Spot,
    ask,
    latency_ms,
    probe,
    was_answered,
)
from gameday.injection.verify.protocols import PING
from gameday.spec.changes import (
    Change,
    CommandChange,
    NetworkChange,
    ProxyFlap,
    ToxicChange,
)

BETWEEN_S = 0.02  # well below the shortest time down that is allowed, so each is met
LONG_PROBES = 6  # enough for a median that one hiccup does not move; each is up to 64 kB
LONG_PATIENCE_S = 4.0  # 20 times what the long questions are made to take (TARGET_MS)
LEAST_MS = 50.0  # less is told from no delay only on a quiet machine: hiccups of 20 ms are common
TARGET_MS = 4 * LEAST_MS  # so that a dose that is a quarter of what was asked still shows
HALF = 0.5  # of what was asked; nothing that is there by chance reaches it
NEAR_SHARE, NEAR_MS = 0.2, 20.0  # a busy machine adds some; so does each way through a proxy
# One probe of twelve may fail for reasons of the machine's own, and of six long ones too.
HIT_SHARE = 0.9
MOST_ANSWERED = 0.8  # a median of fewer says nothing of the others

_ENDS = ("redis", "postgres")  # whose end comes when ours has

Attributes = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ShortQuestions:
    """A dozen questions of one line, judged with the latency before."""

    judge: Callable[[Attributes, Sequence[Probe], float | None], Observation]
    at_once: int = A_FEW


@dataclass(frozen=True, slots=True)
class LongQuestions:
    """Questions whose answers are `wanted_bytes` long, of lines of so many bytes; judged likewise.

    `greeting_shows` says that PostgreSQL's one byte is enough to show it on the answers.
    """

    judge: Callable[[ToxicChange, Sequence[Exchange], float], Observation]
    wanted_bytes: Callable[[Attributes, int], float]
    greeting_shows: bool = False


@dataclass(frozen=True, slots=True)
class HeldEnds:
    """Short questions after which our end is closed, and theirs is waited for."""

    judge: Callable[[ToxicChange, Sequence[Exchange], float], Observation]
    delay: str


async def show(change: Change, spot: Spot | None, clock: Clock) -> Observation:
    """Witness P for a change that reads back as asked."""
    if not isinstance(change, NetworkChange):
        if isinstance(change, CommandChange):
            return not_shown("command")
        return unmeasured(Message("readback.in_place"), ok=True)
    if spot is None:
        return not_shown("no_proxy")
    if isinstance(change, ToxicChange):
        return await _show_toxic(change, spot, clock)
    if isinstance(change, ProxyFlap):
        return judge_flap(change, as_refused(spot, await _all_period(change, spot, clock)))
    return judge_probes(
        change, as_refused(spot, await probe(spot.address, spot.protocol, clock)), None
    )


async def _show_toxic(change: ToxicChange, spot: Spot, clock: Clock) -> Observation:
    if (unseen := _not_to_be_seen(change, spot)) is not None:
        return unseen
    match TOXICS.get(change.type):
        case ShortQuestions(at_once=at_once):
            return await _show_short(change, spot, clock, at_once)
        case LongQuestions() as long:
            return await _show_long(change, long, spot, clock)
        case HeldEnds() as held:
            patience_s = SILENCE_S + change.attributes[held.delay] / 500
            several = range(LONG_PROBES)
            seen = [parting(spot.address, spot.protocol, clock, patience_s) for _ in several]
            return held.judge(change, await asyncio.gather(*seen), spot.before_ms or 0.0)
        case None:
            return not_shown("no_probe", type=change.type)


def _not_to_be_seen(change: ToxicChange, spot: Spot) -> Observation | None:
    """Why no question to this service can show the toxic; None where one can."""
    if spot.protocol in ("unknown", "tcp"):
        return not_shown("no_protocol")
    if spot.protocol == "greeting" and change.stream == "upstream":
        return not_shown("only_heard")
    if change.toxicity < 1.0:
        return not_shown("toxicity", toxicity=change.toxicity)
    if isinstance(TOXICS.get(change.type), HeldEnds) and spot.protocol not in _ENDS:
        return not_shown("no_end")
    return None


async def _show_short(change: ToxicChange, spot: Spot, clock: Clock, at_once: int) -> Observation:
    """Through the proxy, and past it where that can be: a busy machine slows both alike."""
    patience_s = SILENCE_S + 2 * (change.latency_s or 0.0)
    through = probe(spot.address, spot.protocol, clock, patience_s, at_once)
    if spot.upstream is None or spot.extra_ms is None:
        return judge_probes(change, await through, spot.before_ms)
    past = probe(spot.upstream, spot.protocol, clock)
    probes, direct = await asyncio.gather(through, past)
    direct_ms = latency_ms(direct)
    if direct_ms is None:
        return judge_probes(change, probes, spot.before_ms)
    return ComparedProbe.of(judge_probes(change, probes, direct_ms + spot.extra_ms))


async def _show_long(
    change: ToxicChange, long: LongQuestions, spot: Spot, clock: Clock
) -> Observation:
    several = range(LONG_PROBES)
    if spot.protocol == "redis":
        line_bytes = await _line_bytes(spot, clock)
        count = _count(change, long, line_bytes)
        seen = [pings(spot.address, count, clock, LONG_PATIENCE_S) for _ in several]
    elif long.greeting_shows and (spot.protocol, change.stream) == ("postgres", "downstream"):
        seen = [greeting(spot.address, clock, SILENCE_S) for _ in several]
    else:
        return not_shown("too_little")
    return long.judge(change, await asyncio.gather(*seen), spot.before_ms or 0.0)


async def _all_period(change: ProxyFlap, spot: Spot, clock: Clock) -> list[Probe]:
    """One probe after the other, for as long as the longest time down and up together."""
    longest_ms = change.down_ms + change.up_ms + 2 * change.jitter_ms
    until_ns = clock.now_ns() + longest_ms * 1_000_000
    probes = []
    while clock.now_ns() < until_ns:
        probes.append((await ask(spot.address, spot.protocol, clock))[0])
        await clock.sleep(BETWEEN_S)
    return probes


async def _line_bytes(spot: Spot, clock: Clock) -> int:
    """Length of one answer in bytes; that of PONG if none comes now."""
    one: Exchange = await pings(spot.address, 1, clock, SILENCE_S)
    return one.received if one.ended == "whole" else PONG_BYTES


def _count(change: ToxicChange, long: LongQuestions, line_bytes: int) -> int:
    """The number of PINGs that make the toxic show, within what a stranger may ask for."""
    each = len(PING) if change.stream == "upstream" else line_bytes
    most = (MOST if line_bytes == PONG_BYTES else STRANGERS_MOST) // line_bytes
    return int(min(most, max(2, long.wanted_bytes(change.attributes, each) / each)))


def as_refused(spot: Spot, probes: Sequence[Probe]) -> list[Probe]:
    """The probes of a proxy that is down, as they would have ended without a relay before it."""
    cut = ("closed", "reset") if spot.relayed else ()
    return [replace(each, answer="refused") if each.answer in cut else each for each in probes]


def judge_probes(
    change: NetworkChange, probes: Sequence[Probe], before_ms: float | None
) -> Observation:
    """The verdict over short probes: they show the magnitude asked for, or they do not."""
    if not isinstance(change, ToxicChange):
        return _share(probes, {"refused"}, "refused")
    shown_by = TOXICS.get(change.type)
    if not isinstance(shown_by, ShortQuestions):
        return not_shown("no_short_probe", type=change.type)
    return shown_by.judge(change.attributes, probes, before_ms)


def judge_flap(change: ProxyFlap, probes: Sequence[Probe]) -> Observation:
    """The verdict over one whole period: the proxy was down for a part of it, and up for another.

    Unknown where it was not both for at least half of the time that was asked, for probes of a
    machine that stands still may all miss one of the two.
    """
    down = sum(p.answer == "refused" for p in probes)
    up = sum(was_answered(p) or p.answer == "accepted" for p in probes)
    shares = (down / len(probes), up / len(probes)) if probes else (0.0, 0.0)
    asked = change.share_of_time
    ok = (shares[0] >= HALF * asked and shares[1] >= HALF * (1 - asked)) or None
    n = len(probes)
    why = Message("verify.toxic.flap", down=down, n=n, up=up, asked=asked)
    return Observation("P", ok, round(asked, 3), round(shares[0], 3), "share", n, message=why)


def not_shown(why: str, **values: Value) -> Observation:
    """In place as asked, which is all that can be said; `why` is below `verify.not_shown`."""
    reason = Message(f"verify.not_shown.{why}", **values)
    return unmeasured(Message("verify.only_read_back", why=reason), ok=True, shown=False)


def _latency(
    attributes: Attributes, probes: Sequence[Probe], before_ms: float | None
) -> Observation:
    """Median of the answered probes, less the latency before, within 20 % or 20 ms of asked."""
    asked_ms = attributes["latency"]
    came = [p.took_ms for p in probes if was_answered(p)]
    if len(came) < MOST_ANSWERED * len(probes) or not came:
        why = Message("verify.toxic.few_answered", came=len(came), n=len(probes))
        return Observation("P", None, asked_ms, None, "ms", len(came), message=why)
    measured = median(came) - (before_ms or 0.0)
    ok = _about(measured, asked_ms) and measured >= HALF * asked_ms
    why = Message("verify.toxic.latency", more_ms=measured, asked_ms=asked_ms)
    return Observation("P", ok, asked_ms, round(measured, 1), "ms", len(came), message=why)


def _about(measured_ms: float, asked_ms: float) -> bool:
    """Within 20 % or 20 ms of it."""
    return abs(measured_ms - asked_ms) <= max(NEAR_SHARE * asked_ms, NEAR_MS)


def _timeout(attributes: Attributes, probes: Sequence[Probe], _: float | None) -> Observation:
    if 0 < attributes["timeout"] < SILENCE_S * 1000:
        return _share(probes, {"closed", "reset"}, "closed")
    return _share(probes, {"unanswered"}, "unanswered")


def _reset_peer(_: Attributes, probes: Sequence[Probe], __: float | None) -> Observation:
    return _share(probes, {"reset"}, "reset")


def _share(probes: Sequence[Probe], wanted: set[Answer], how: str) -> Observation:
    """At least 9 of 10 probes ended as the fault makes them end."""
    hits = sum(p.answer in wanted for p in probes)
    return _hits(hits, len(probes), f"probes_{how}")


def _hits(hits: int, n: int, what: str, **values: Value) -> Observation:
    share, why = hits / n if n else 0.0, Message(f"verify.toxic.{what}", hits=hits, n=n, **values)
    return Observation("P", share >= HIT_SHARE, 1.0, round(share, 3), "share", n, message=why)


def _whole(seen: Sequence[Exchange]) -> list[Exchange]:
    return [one for one in seen if one.ended == "whole"]


def _too_few(seen: Sequence[Exchange], asked_ms: float | None) -> Observation | None:
    whole = _whole(seen)
    if whole and len(whole) >= MOST_ANSWERED * len(seen):
        return None
    why = Message("verify.toxic.few_whole", whole=len(whole), n=len(seen))
    return Observation("P", None, asked_ms, None, "ms", len(whole), message=why)


def _carried(one: Exchange, change: ToxicChange) -> int:
    """The bytes that went the way the toxic is on."""
    return one.sent if change.stream == "upstream" else one.received


def _bandwidth(change: ToxicChange, seen: Sequence[Exchange], before_ms: float) -> Observation:
    """A known number of bytes takes as long as the rate says: kB of 1000 bytes, as Toxiproxy's."""
    rate_kb_per_s = change.attributes["rate"]
    if rate_kb_per_s == 0:
        silent = sum(one.ended == "silent" for one in seen)
        return _hits(silent, len(seen), "long_probes_stalled")
    few = _too_few(seen, None)
    if few is not None:
        return few
    whole = _whole(seen)
    size = median(_carried(one, change) for one in whole)
    asked_ms = size / rate_kb_per_s
    measured = median(one.took_ms for one in whole) - before_ms
    if asked_ms < LEAST_MS:
        return not_shown("too_quick", size=size, rate=rate_kb_per_s)
    why = Message(
        "verify.toxic.bandwidth", size=size, took_ms=measured, rate=rate_kb_per_s, asked_ms=asked_ms
    )
    return Observation(
        "P", _about(measured, asked_ms), asked_ms, round(measured, 1), "ms", len(whole), message=why
    )


def _slices_bytes(attributes: Attributes, _: int) -> float:
    """Enough for so many of the largest pieces that their pauses show."""
    delay_ms = max(0.001, attributes.get("delay", 0) / 1000)
    return _largest(attributes) * (TARGET_MS / delay_ms + 1)


def _largest(attributes: Attributes) -> int:
    return attributes["average_size"] + attributes.get("size_variation", 0)


def _slicer(change: ToxicChange, seen: Sequence[Exchange], before_ms: float) -> Observation:
    """Every piece is followed by the delay, and a piece is never longer than the sizes say."""
    attributes, whole = change.attributes, _whole(seen)
    size = median([_carried(one, change) for one in whole]) if whole else 0
    least_ms = (size / max(1, _largest(attributes)) - 1) * attributes.get("delay", 0) / 1000
    if whole and least_ms < LEAST_MS:
        return not_shown("pieces_too_quick")
    few = _too_few(seen, least_ms)
    if few is not None:
        return few
    measured = median(one.took_ms for one in whole) - before_ms
    reads = median(one.reads for one in whole)
    ok = measured >= HIT_SHARE * least_ms and reads >= 2
    why = Message(
        "verify.toxic.slicer", size=size, pieces=reads, took_ms=measured, least_ms=least_ms
    )
    return Observation(
        "P", ok, round(least_ms, 1), round(measured, 1), "ms", len(whole), message=why
    )


def _limit_data(change: ToxicChange, seen: Sequence[Exchange], _: float) -> Observation:
    """Exactly so many bytes came, and then the end."""
    limit = change.attributes["bytes"]
    if seen and all(one.ended == "whole" for one in seen):
        largest = max(_carried(one, change) for one in seen)
        if largest < limit:
            return not_shown("too_short", size=largest, limit=limit)
    hits = sum(_is_cut(one, limit, change) for one in seen)
    return _hits(hits, len(seen), "long_probes_cut", limit=limit)


def _is_cut(one: Exchange, limit: int, change: ToxicChange) -> bool:
    """The end came where it must; a cut question still has the answers to its first part."""
    if change.stream == "upstream":
        return one.ended in ("closed", "reset") and one.lines * len(PING) <= limit
    return one.ended == "closed" and one.received == limit


def _slow_close(change: ToxicChange, seen: Sequence[Exchange], _: float) -> Observation:
    """The end of the other side came so much later than ours."""
    asked_ms = change.attributes["delay"]
    ends = [one.end_ms for one in seen if one.end_ms is not None]
    if len(ends) < MOST_ANSWERED * len(seen) or not ends:
        why = Message("verify.toxic.few_ends", ends=len(ends), n=len(seen))
        return Observation("P", None, asked_ms, None, "ms", len(ends), message=why)
    measured = median(ends)
    if asked_ms < LEAST_MS:
        return not_shown("end_too_quick", held_ms=asked_ms)
    why = Message("verify.toxic.slow_close", took_ms=measured, asked_ms=asked_ms)
    ok = _about(measured, asked_ms)
    return Observation("P", ok, asked_ms, round(measured, 1), "ms", len(ends), message=why)


TOXICS: Mapping[str, ShortQuestions | LongQuestions | HeldEnds] = {
    "latency": ShortQuestions(_latency),
    # All at once: silence is no time to compare with others, and long to wait for.
    "timeout": ShortQuestions(_timeout, at_once=PROBES),
    "reset_peer": ShortQuestions(_reset_peer),
    "bandwidth": LongQuestions(_bandwidth, lambda dose, _: dose["rate"] * TARGET_MS),
    "slicer": LongQuestions(_slicer, _slices_bytes),
    "limit_data": LongQuestions(
        _limit_data, lambda dose, line: dose["bytes"] + 20 * line, greeting_shows=True
    ),
    "slow_close": HeldEnds(_slow_close, "delay"),
}
