"""A longer exchange through a proxy: how much was answered, in how many pieces, and when.

A latency shows on one short answer. A slow link, a sliced or a cut answer shows only on a longer
one, and a held end only when we end our side. Redis answers each of many PINGs with one line,
whether it wants a password or not, so the number of lines says when an answer is whole. The
answer is kept below 12 kB where it wants one: newer servers cut off strangers who ask for more.
"""

import asyncio
from dataclasses import dataclass
from typing import Literal

from gameday.core.clock import Clock
from gameday.injection.verify.probe import Protocol
from gameday.injection.verify.protocols import PING, SSL_REQUEST

Ended = Literal["whole", "closed", "reset", "refused", "silent", "failed"]

LINE = b"\r\n"
PONG_BYTES = 7  # `+PONG` and its line end
STRANGERS_MOST = 12_000
MOST = 64_000  # one send buffer: the question itself must not wait
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Exchange:
    """Outcome of one exchange: how it ended, and the bytes that were read until then.

    `took_ms` is from the question to the last byte, `end_ms` from our end to theirs, None where
    theirs did not come.
    """

    ended: Ended
    sent: int
    lines: int
    received: int
    reads: int
    took_ms: float
    end_ms: float | None


@dataclass(slots=True)
class _Tally:
    """Bytes and times of an exchange so far."""

    lines: int = 0
    received: int = 0
    reads: int = 0
    last_ns: int = 0
    carriage: bool = False

    def add(self, piece: bytes, now_ns: int) -> None:
        self.lines += piece.count(LINE) + (self.carriage and piece.startswith(b"\n"))
        self.carriage = piece.endswith(b"\r")
        self.received += len(piece)
        self.reads += 1
        self.last_ns = now_ns


async def pings(
    address: tuple[str, int], count: int, clock: Clock, patience_s: float, *, end: bool = False
) -> Exchange:
    """Send `count` PINGs at once and read their answers; with `end`, then our end, and theirs."""
    return await _exchange(address, PING * count, count, (clock, patience_s), end=end)


async def greeting(
    address: tuple[str, int], clock: Clock, patience_s: float, *, end: bool = False
) -> Exchange:
    """PostgreSQL's one byte before any password; with `end`, then our end, and theirs."""
    return await _exchange(address, SSL_REQUEST, 0, (clock, patience_s), end=end)


async def parting(
    address: tuple[str, int], protocol: Protocol, clock: Clock, patience_s: float
) -> Exchange:
    """A short question, its answer, and then how long the end takes to come back."""
    if protocol == "redis":
        return await pings(address, 1, clock, patience_s, end=True)
    return await greeting(address, clock, patience_s, end=True)


async def _exchange(
    address: tuple[str, int],
    question: bytes,
    lines: int,
    waiting: tuple[Clock, float],
    *,
    end: bool,
) -> Exchange:
    """`lines` make an answer whole; 0: its first byte does."""
    clock, patience_s = waiting
    tally = _Tally()
    writer = None
    sent_ns = clock.now_ns()
    end_ms = None
    ended: Ended
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(*address)
            sent_ns = clock.now_ns()
            writer.write(question)
            ended = await _read(reader, lines, tally, clock)
            if end and ended == "whole":
                end_ms = await _part(reader, writer, clock)
    except TimeoutError:
        ended = "silent"
    except ConnectionRefusedError:
        ended = "refused"
    except (ConnectionResetError, BrokenPipeError):
        ended = "reset"
    except OSError:  # our own: no free port, no free file, no way there
        ended = "failed"
    finally:
        if writer is not None:
            writer.transport.abort()
    took_ms = max(0.0, (tally.last_ns - sent_ns) / 1e6)
    sent = len(question) if writer is not None else 0
    return Exchange(ended, sent, tally.lines, tally.received, tally.reads, took_ms, end_ms)


async def _read(reader: asyncio.StreamReader, lines: int, tally: _Tally, clock: Clock) -> Ended:
    while piece := await reader.read(_PIECE):
        tally.add(piece, clock.now_ns())
        if tally.lines >= lines and tally.received:
            return "whole"
    return "closed"


async def _part(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: Clock
) -> float | None:
    """End our side, and wait for the end of theirs."""
    begun_ns = clock.now_ns()
    writer.write_eof()
    while await reader.read(_PIECE):
        pass
    return (clock.now_ns() - begun_ns) / 1e6
