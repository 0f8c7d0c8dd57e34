"""Probes: one question through a proxy, or past it, and how long the answer took.

A Redis PING (a NOAUTH answer counts), or PostgreSQL's SSLRequest, which every PostgreSQL answers
with one byte before asking for a password. A plain TCP connect proves nothing: Toxiproxy accepts
at once whatever its toxics do.
"""

import asyncio
from dataclasses import dataclass
from statistics import median
from typing import Literal

from gameday.clock import Clock

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


def was_answered(one: Probe) -> bool:
    """Whether an answer came."""
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
    """Where to probe one service: its proxy's address, its protocol, latency before the fault."""

    address: tuple[str, int]
    protocol: Protocol
    before_ms: float | None


async def look(spot_address: tuple[str, int], clock: Clock) -> Spot:
    """Find out what answers behind a proxy, and how fast it does when nothing is wrong."""
    protocol = await speaks(spot_address, clock)
    if protocol == "unknown":
        return Spot(spot_address, protocol, None)
    answered = [p.took_ms for p in await probe(spot_address, protocol, clock) if was_answered(p)]
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
