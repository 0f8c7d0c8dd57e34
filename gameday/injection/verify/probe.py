"""Probes: one question through a proxy, or past it, and how long the answer took.

What is asked stands in `protocols`; of what nobody knows, nothing is asked. A plain TCP connect
shows no more than that connections are taken or refused: Toxiproxy accepts at once whatever its
toxics do.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from gameday.core.clock import Clock
from gameday.injection.verify.protocols import CONVERSATIONS, Conversation, heard
from gameday.spec.proxies import Protocol as Known

Protocol = Known | Literal["unknown"]
Answer = Literal["answered", "unanswered", "accepted", "refused", "reset", "closed", "failed"]

PROBES = 12  # a median that a few bad ones of them cannot move
PROBES_BOTH_WAYS = 20  # the difference of two medians needs more than one of them
A_FEW = 4  # at once: more would wait for one another in the store
SILENCE_S = 1.0  # stores answer in a millisecond; silence this long is none of theirs
LISTEN_S: Final = 0.4  # a server that speaks first does so as soon as it is connected
KNOCK_S: Final = 0.15  # a proxy that cannot reach what is behind it hangs up at once
END_S: Final = 0.5  # for the end of a handshake, which nobody measures
_GREETING_BYTES: Final = 4096
_ANSWER_BYTES: Final = 512  # a refused login with the names in it is some 90


@dataclass(frozen=True, slots=True)
class Probe:
    """One question through a proxy: what came of it, and how long the answer took."""

    answer: Answer
    took_ms: float


def was_answered(one: Probe) -> bool:
    """True if an answer came."""
    return one.answer == "answered"


async def ask(
    address: tuple[str, int], protocol: Protocol, clock: Clock, patience_s: float = SILENCE_S
) -> tuple[Probe, bytes]:
    """Connect, ask in that protocol, and wait for the first bytes of an answer.

    Where nothing may be asked it is a knock: the connection is taken, refused, or closed at once.
    """
    conversation = CONVERSATIONS.get(protocol)
    if conversation is None:
        return await knock(address, clock, patience_s), b""
    return (await _converse(address, conversation, clock, patience_s))[:2]


async def knock(
    address: tuple[str, int], clock: Clock, patience_s: float = SILENCE_S, stay_s: float = KNOCK_S
) -> Probe:
    """Connect, and see whether the other side hangs up at once; nothing is said."""
    begun = clock.now_ns()
    writer = None
    answer: Answer = "accepted"
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(*address)
        took_ms = (clock.now_ns() - begun) / 1e6
        async with asyncio.timeout(stay_s):
            answer = "accepted" if await reader.read(1) else "closed"
        return Probe(answer, took_ms)
    except TimeoutError:
        answer = "unanswered" if writer is None else "accepted"
    except OSError as error:
        answer = _of(error)
    finally:
        if writer is not None:
            writer.transport.abort()
    return Probe(answer, (clock.now_ns() - begun) / 1e6)


def _of(error: OSError) -> Answer:
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    return "failed"  # our own: no free port, no free file, no way there


async def _converse(
    address: tuple[str, int], conversation: Conversation, clock: Clock, patience_s: float
) -> tuple[Probe, bytes, bytes]:
    """The probe, its answer, and the greeting before it."""
    writer = None
    said = greeting = b""
    begun = sent = over = clock.now_ns()
    answer: Answer
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(*address)
            sent = clock.now_ns()
            greeting = await _greeting(reader, conversation)
            said = greeting
            hung_up = conversation.greets and not greeting
            if question := b"" if hung_up else conversation.question(greeting):
                sent = clock.now_ns()
                writer.write(question)
                said = await reader.read(_ANSWER_BYTES)
        over = clock.now_ns()
        answer = "answered" if said else "closed"
        if said and question:
            await _say_goodbye(reader, writer, conversation, said)
    except TimeoutError:
        answer, said = "unanswered", b""
    except OSError as error:
        answer, said = _of(error), b""
    finally:
        if writer is not None:
            writer.transport.abort()
    took_ns = over - sent if answer == "answered" else clock.now_ns() - begun
    return Probe(answer, took_ns / 1e6), said, greeting


async def _greeting(reader: asyncio.StreamReader, conversation: Conversation) -> bytes:
    """The whole greeting of a server that speaks first; b"" where it ended before that."""
    greeting = b""
    while conversation.greets and not (greeting and conversation.is_whole(greeting)):
        more = await reader.read(_GREETING_BYTES)
        if not more or len(greeting) > _GREETING_BYTES:
            return b""
        greeting += more
    return greeting


async def _say_goodbye(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    conversation: Conversation,
    said: bytes,
) -> None:
    """Bring the exchange to its proper end; the answer was measured, so nothing here changes it."""
    try:
        async with asyncio.timeout(END_S):
            for _ in range(2):
                last = conversation.farewell(said)
                if not last:
                    return
                writer.write(last)
                said = await reader.read(_ANSWER_BYTES)
    except (TimeoutError, OSError):
        return


async def speaks(
    address: tuple[str, int], clock: Clock, guess: Protocol | None, *, declared: bool = False
) -> Protocol:
    """The protocol that answers at `address`: what is declared, what speaks first, or the guess.

    Nothing is sent to a server that nobody has told anything of.
    """
    if not declared:
        listening = CONVERSATIONS["greeting"]
        _, _, greeting = await _converse(address, listening, clock, LISTEN_S)
        if greeting:
            spoken = heard(greeting)
            return "smtp" if (spoken, guess) == ("greeting", "smtp") else spoken
    if guess == "tcp":
        return guess
    conversation = CONVERSATIONS.get(guess or "")
    if guess is None or conversation is None or (conversation.greets and not declared):
        return "unknown"
    probe, said = await ask(address, guess, clock)
    return guess if probe.answer == "answered" and conversation.is_answer(said) else "unknown"


@dataclass(frozen=True, slots=True)
class ExpectedProtocol:
    """Expectation of what stands behind a proxy; `declared` by the system file, else a guess."""

    protocol: Known | None = None
    declared: bool = False


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
    spot_address: tuple[str, int],
    clock: Clock,
    upstream: tuple[str, int] | None = None,
    expected: ExpectedProtocol | None = None,
) -> Spot:
    """Find out what answers behind a proxy, and how fast it does when nothing is wrong."""
    expected = expected or ExpectedProtocol()
    how = (clock, expected.protocol)
    protocol = await speaks(spot_address, *how, declared=expected.declared)
    if protocol in ("unknown", "tcp"):
        return Spot(spot_address, protocol, None)
    if upstream is None or await speaks(upstream, clock, protocol, declared=True) != protocol:
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
    gate = asyncio.Semaphore(A_FEW)

    async def one(address: tuple[str, int]) -> Probe:
        async with gate:
            return (await ask(address, protocol, clock))[0]

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
    gate = asyncio.Semaphore(at_once)

    async def one() -> Probe:
        async with gate:
            return (await ask(address, protocol, clock, patience_s))[0]

    return list(await asyncio.gather(*(one() for _ in range(PROBES))))
