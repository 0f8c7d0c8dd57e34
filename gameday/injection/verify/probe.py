"""Probes: one question through a proxy, or past it, and how long the answer took.

A Redis PING (a NOAUTH answer counts), or PostgreSQL's SSLRequest, which every PostgreSQL answers
with one byte before asking for a password. A plain TCP connect proves nothing: Toxiproxy accepts
at once whatever its toxics do.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from gameday.core.clock import Clock

Protocol = Literal["redis", "postgres", "unknown"]
Answer = Literal["answered", "unanswered", "refused", "reset", "closed", "failed"]

PING = b"*1\r\n$4\r\nPING\r\n"
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
PROBES = 12  # a median that a few bad ones of them cannot move
PROBES_BOTH_WAYS = 20  # the difference of two medians needs more than one of them
A_FEW = 4  # at once: more would wait for one another in the store
SILENCE_S = 1.0  # stores answer in a millisecond; silence this long is none of theirs
QUESTIONS: Mapping[Protocol, bytes] = {
    "redis": PING,
    "postgres": SSL_REQUEST,
    "unknown": SSL_REQUEST,
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One question through a proxy: what came of it, and how long the answer took."""

    answer: Answer
    took_ms: float


def was_answered(one: Probe) -> bool:
    """True if an answer came."""
    return one.answer == "answered"


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
    """Addresses to probe for one service, and its latency before the fault.

    `address` is the proxy's. `upstream` is what stands behind it, None where it does not answer
    from here; `extra_ms` is what the way through the proxy costs more than the direct one.
    `relayed`: a container engine's port stands before it, which takes every connection, and closes
    those that the proxy refuses.
    """

    address: tuple[str, int]
    protocol: Protocol
    before_ms: float | None
    upstream: tuple[str, int] | None = None
    extra_ms: float | None = None
    relayed: bool = False


async def look(
    spot_address: tuple[str, int], clock: Clock, upstream: tuple[str, int] | None = None
) -> Spot:
    """Find out what answers behind a proxy, and how fast it does when nothing is wrong."""
    protocol = await speaks(spot_address, clock)
    if protocol == "unknown":
        return Spot(spot_address, protocol, None)
    if upstream is None or await speaks(upstream, clock) != protocol:
        through = latency_ms(await probe(spot_address, protocol, clock))
        return Spot(spot_address, protocol, through)
    through_probes, direct_probes = await probe_both(spot_address, upstream, protocol, clock)
    through, direct = latency_ms(through_probes), latency_ms(direct_probes)
    if through is None or direct is None:
        return Spot(spot_address, protocol, through)
    # A proxy takes nothing off: less than nothing is a direct way that stood still for a moment,
    # and against it no later latency would be as before.
    return Spot(spot_address, protocol, through, upstream, max(through - direct, 0.0))


def latency_ms(probes: Sequence[Probe]) -> float | None:
    """The median of those that were answered, None when none was."""
    answered = [p.took_ms for p in probes if was_answered(p)]
    return median(answered) if answered else None


async def probe_both(
    through: tuple[str, int], direct: tuple[str, int], protocol: Protocol, clock: Clock
) -> tuple[list[Probe], list[Probe]]:
    """Ask through the proxy and past it in turns, so that a busy machine slows both alike."""
    question = QUESTIONS[protocol]
    gate = asyncio.Semaphore(A_FEW)

    async def one(address: tuple[str, int]) -> Probe:
        async with gate:
            return (await ask(address, question, clock))[0]

    turns = [one(address) for _ in range(PROBES_BOTH_WAYS) for address in (through, direct)]
    probes = list(await asyncio.gather(*turns))
    return probes[::2], probes[1::2]


async def probe(
    address: tuple[str, int],
    protocol: Protocol,
    clock: Clock,
    patience_s: float = SILENCE_S,
    at_once: int = A_FEW,
) -> list[Probe]:
    """A dozen probes, a few at a time so that they do not wait for one another."""
    question = QUESTIONS[protocol]
    gate = asyncio.Semaphore(at_once)

    async def one() -> Probe:
        async with gate:
            return (await ask(address, question, clock, patience_s))[0]

    return list(await asyncio.gather(*(one() for _ in range(PROBES))))
