"""Witnesses say whether the dose was really there, and whether the service felt it.

A fault counts as injected when two kinds of witness agree. P is a probe through the proxy, by
gameday itself: a Redis PING (a NOAUTH answer counts), or PostgreSQL's SSLRequest, which every
PostgreSQL answers with one byte before asking for a password. S is the service's own metric of
the dependency, T the latency or the failures of the traffic. P alone is unknown: the fault was
there, but the service was not seen to pass by it.

A plain TCP connect proves nothing: Toxiproxy accepts at once whatever its toxics do.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from gameday.changes import Change
from gameday.clock import Clock
from gameday.readings import Felt

Protocol = Literal["redis", "postgres", "unknown"]
Answer = Literal["answered", "unanswered", "refused", "reset", "closed", "failed"]

PING = b"*1\r\n$4\r\nPING\r\n"
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
PROBES = 12
SILENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One question through a proxy: what came of it, and how long the answer took."""

    answer: Answer
    took_ms: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a witness says; `ok` is None when it cannot tell."""

    witness: Literal["P", "S", "T"]
    ok: bool | None
    asked: float | None
    measured: float | None
    unit: str
    n: int
    why: str

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


async def ask(
    address: tuple[str, int], question: bytes, clock: Clock, patience_s: float = SILENCE_S
) -> tuple[Probe, bytes]:
    """Connect, ask, and wait for the first bytes of an answer."""
    writer = None
    begun = sent = clock.now_ns()
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(*address)
            sent = clock.now_ns()
            writer.write(question)
            said = await reader.read(64)
        answer: Answer = "answered" if said else "closed"
    except TimeoutError:
        answer, said = "unanswered", b""
    except ConnectionRefusedError:
        answer, said = "refused", b""
    except (ConnectionResetError, BrokenPipeError):
        answer, said = "reset", b""
    except OSError:  # our own: no free port, no free file, no way there
        answer, said = "failed", b""
    finally:
        if writer is not None:
            writer.transport.abort()
    started = sent if answer == "answered" else begun
    return Probe(answer, (clock.now_ns() - started) / 1e6), said


async def speaks(address: tuple[str, int], clock: Clock) -> Protocol:
    """Which protocol answers at `address`."""
    probe, said = await ask(address, PING, clock)
    if said[:1] in (b"+", b"-"):
        return "redis"
    probe, said = await ask(address, SSL_REQUEST, clock)
    if probe.answer == "answered" and said[:1] in (b"N", b"S"):
        return "postgres"
    return "unknown"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where to probe one service: its proxy's address, its protocol, latency before the fault."""

    address: tuple[str, int]
    protocol: Protocol
    before_ms: float | None


async def look(spot_address: tuple[str, int], clock: Clock) -> Spot:
    """Find out what answers behind a proxy, and how fast it does when nothing is wrong."""
    protocol = await speaks(spot_address, clock)
    if protocol == "unknown":
        return Spot(spot_address, protocol, None)
    answered = [p.took_ms for p in await probe(spot_address, protocol, clock) if _came(p)]
    return Spot(spot_address, protocol, median(answered) if answered else None)


async def probe(
    address: tuple[str, int], protocol: Protocol, clock: Clock, patience_s: float = SILENCE_S
) -> list[Probe]:
    """A dozen probes, a few at a time so that they do not wait for one another."""
    question = PING if protocol == "redis" else SSL_REQUEST
    gate = asyncio.Semaphore(4)

    async def one() -> Probe:
        async with gate:
            return (await ask(address, question, clock, patience_s))[0]

    return list(await asyncio.gather(*(one() for _ in range(PROBES))))


def _came(one: Probe) -> bool:
    return one.answer == "answered"


def judge_probes(change: Change, probes: Sequence[Probe], before_ms: float | None) -> Sighting:
    """Witness P: whether what the probes saw is the dose that was asked for."""
    if change.kind == "proxy":
        return _share(probes, {"refused"}, "refused")
    kind, attributes = change.data["type"], change.data["attributes"]
    match kind:
        case "latency":
            return _latency(probes, attributes["latency"], before_ms)
        case "timeout":
            closes = 0 < attributes["timeout"] < SILENCE_S * 1000
            return _share(probes, {"closed", "reset"} if closes else {"unanswered"}, "unanswered")
        case "reset_peer":
            return _share(probes, {"reset"}, "reset")
        case _:
            why = "a probe is too small to show it; the toxic was read back"
            return Sighting("P", bool(probes), None, None, "", len(probes), why)


def _latency(probes: Sequence[Probe], asked_ms: float, before_ms: float | None) -> Sighting:
    """Median of the answered probes, less the latency before, within 20 % or 20 ms of asked."""
    came = [p.took_ms for p in probes if _came(p)]
    if len(came) < 10:
        why = f"only {len(came)} of {len(probes)} probes were answered"
        return Sighting("P", None, asked_ms, None, "ms", len(came), why)
    measured = median(came) - (before_ms or 0.0)
    ok = abs(measured - asked_ms) <= max(0.2 * asked_ms, 20.0)
    why = f"{measured:.0f} ms more than before through the proxy, {asked_ms:.0f} ms asked"
    return Sighting("P", ok, asked_ms, round(measured, 1), "ms", len(came), why)


def _share(probes: Sequence[Probe], wanted: set[Answer], word: str) -> Sighting:
    """At least 9 of 10 probes ended as the fault makes them end."""
    hits = sum(p.answer in wanted for p in probes)
    share = hits / len(probes) if probes else 0.0
    why = f"{hits} of {len(probes)} probes {word}"
    return Sighting("P", share >= 0.9, 1.0, round(share, 3), "share", len(probes), why)


def shifts(
    change: Change, before: Sequence[Felt], during: Sequence[Felt], *, dependency: bool
) -> list[Sighting]:
    """Witnesses S and T: whether a metric moved by at least half the dose while it lasted."""
    dose_s = _dose_s(change)
    seen = []
    if dependency:
        seen.append(
            _shift("S", dose_s, [f.dependency_s for f in before], [f.dependency_s for f in during])
        )
    seen.append(
        _shift("T", dose_s, [f.traffic_p95_s for f in before], [f.traffic_p95_s for f in during])
    )
    if change.kind == "proxy" or change.data.get("type") in ("timeout", "reset_peer"):
        seen.append(_failures(before, during))
    return seen


def _dose_s(change: Change) -> float | None:
    """The dose as a latency: asked for, or None when the fault is not a latency."""
    if change.kind == "toxic" and change.data["type"] == "latency":
        return float(change.data["attributes"]["latency"]) / 1000
    return None


def _shift(
    witness: Literal["S", "T"],
    dose_s: float | None,
    before: Sequence[float | None],
    during: Sequence[float | None],
) -> Sighting:
    calm = [value for value in before if value is not None]
    hit = [value for value in during if value is not None]
    what = "its own dependency metric" if witness == "S" else "the traffic's p95"
    if not calm or not hit:
        return Sighting(witness, None, dose_s, None, "s", len(hit), f"{what} has no data")
    base, peak = median(calm), max(hit)
    moved = peak - base
    enough = 0.5 * dose_s if dose_s is not None else max(base, 0.02)
    why = f"{what} moved from {base * 1000:.0f} to {peak * 1000:.0f} ms"
    return Sighting(witness, moved >= enough, dose_s, round(moved, 4), "s", len(hit), why)


def _failures(before: Sequence[Felt], during: Sequence[Felt]) -> Sighting:
    """The share of failed answers, worst stretch of two seconds, against the calm before."""
    calm = _worst_share(before)
    worst = _worst_share(during)
    if calm is None or worst is None:
        return Sighting("T", None, 1.0, None, "share", 0, "no answers to count failures in")
    moved = worst - calm
    why = f"the failed share of the traffic moved from {calm:.0%} to {worst:.0%}"
    return Sighting("T", moved >= 0.5, 1.0, round(moved, 3), "share", len(during), why)


def _worst_share(felt: Sequence[Felt]) -> float | None:
    shares = []
    for early, late in zip(felt, felt[2:], strict=False):
        ended = late.ended - early.ended
        if ended:
            shares.append((late.failed - early.failed) / ended)
    return max(shares, default=None)


def injected(
    p: Sighting | None, felt: Sequence[Sighting]
) -> tuple[Literal["yes", "no", "unknown"], str]:
    """The verdict of the witnesses, and why."""
    if p is None or p.ok is None:
        return "unknown", p.why if p else "no probe was made"
    if not p.ok:
        return "no", p.why
    seen = [s for s in felt if s.ok]
    if seen:
        return "yes", f"{p.why}; {seen[0].why}"
    told = "; ".join(s.why for s in felt)
    return "unknown", f"{p.why}, but the service was not seen to use this proxy ({told})"


def back_to_normal(probes: Sequence[Probe], before_ms: float | None) -> bool:
    """Latency through the proxy is what it was: median ≤ max(1.2 × before, before + 5 ms)."""
    came = [p.took_ms for p in probes if _came(p)]
    if before_ms is None or len(came) < 0.8 * len(probes):
        return False
    return median(came) <= max(1.2 * before_ms, before_ms + 5.0)


def dose(p: Sighting | None, felt: Sequence[Sighting]) -> Mapping[str, Any]:
    """What was measured, for the report."""
    return {"witnesses": [s.as_json() for s in ([p] if p else []) + list(felt)]}
