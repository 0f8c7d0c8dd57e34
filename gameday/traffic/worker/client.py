"""Sends requests: a free connection or a new one for each, a time limit, a place in the books.

As many connections as open requests, one request at a time on each, the most recently used one
first; a virtual user keeps his own. A connection that has idled for two seconds is closed
(servers close at five; a request that crosses such a close on the wire is a false unknown). A
connection found broken before a byte was written is replaced.

Once bytes were written the outcome is unknown, and nothing is asked again unless the scenario has
`retries`: then a start that got no answer in time asks again with the same key. What came of its
first attempt is still unknown: only an answer that says it was issued, or one to the same key of
a system that answers a key alike each time, settles it. A refusal settles nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gameday.core.clock import NS, Clock
from gameday.core.errors import UnknownError
from gameday.core.network.allow_list import Allowed, NoAddressError
from gameday.core.network.urls import Base
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.worker.classify import Reading
from gameday.traffic.worker.connection import SUSPECT_NS, Address, Connection
from gameday.traffic.worker.http1 import Heads
from gameday.traffic.worker.poller import Poller
from gameday.traffic.worker.recorder import Start
from gameday.traffic.worker.tls import TlsClient
from gameday.traffic.worker.vu_pool import Vu

LONGEST_IDLE_NS: Final = 2 * NS  # servers close at five seconds

_NOT_CONNECTED_IN_TIME = Reading(Outcome.REFUSED, Reason.TIMEOUT)
_TIMEOUT = Reading(Outcome.UNKNOWN, Reason.TIMEOUT)
_INTERRUPTED = Reading(Outcome.UNKNOWN, Reason.INTERRUPTED)
# The members of an enum take long to find: a tenth of a microsecond each.
_TIMED_OUT = Reason.TIMEOUT
_LEFT_OPEN = Reason.INTERRUPTED
_UNMATCHED = Reason.UNMATCHED
_SETTLED = (Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.ACCEPTED)


class RequestNotes(Protocol):
    """Who renders the requests of starts, and notes how each ended."""

    name: str
    scenario: Scenario
    most_attempts: int

    def request(self, k: int, user: int, attempt: int, /) -> bytes: ...

    def record(self, c: Connection, reading: Any, sent_ns: int, ended_ns: int, /) -> None: ...

    def left_open(self, start: Start, sent_ns: int, attempts: int, /) -> None: ...


class Reads(Protocol):
    """Who says what an answer means: a `Reading`, or what begins as one."""

    def read(self, status: int, body: bytes | bytearray, headers: Mapping[str, str], /) -> Any: ...


class Sends(Protocol):
    """Who sends starts, as the loops of scenarios see him."""

    now: Callable[[], int]
    most_open: int

    @property
    def open(self) -> Sized: ...

    def send(self, book: "StartSource", starts: Iterable[Start], /) -> None: ...

    def send_by(self, vu: Vu, book: "StartSource", start: Start, /) -> None: ...

    def interrupt(self, book: "StartSource", vus: Collection[Vu] | None = None, /) -> None: ...


class StartSource(Protocol):
    """A scenario whose starts are sent."""

    @property
    def recorder(self) -> RequestNotes: ...

    def over(self, vu: Vu) -> None:
        """The request of a virtual user is over."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Attempt:
    """A start that waits to ask again.

    `begun_ns` is when its first attempt began; `sent_ns` is 0 while no attempt of it was sent.
    """

    book: StartSource
    start: Start
    vu: Vu | None
    number: int
    begun_ns: int
    sent_ns: int


OnUnmatched = Callable[[Connection, int, bytes | bytearray], None]
"""Hears of answers that no outcome describes: their status and body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Settings of a client: the reading of answers, and the longest wait for one."""

    answers: Reads
    timeout_s: float
    idempotent: bool = False  # the same key gets the same answer
    tls: TlsClient | None = None
    on_unmatched: OnUnmatched | None = None


class Client:
    """All connections of one worker to one system."""

    def __init__(self, settings: ClientSettings, clock: Clock, after: Callable[[], None]) -> None:
        self.now: Callable[[], int] = clock.now_ns
        self.poller = Poller(after, self.now)
        self.addresses: list[Address] = []
        self.tls = settings.tls
        self.heads = Heads()
        self.open: dict[Connection, None] = {}  # in the order of sending
        self.most_open = 1
        self._idle: deque[Connection] = deque()  # in the order of use
        self._homes: dict[Connection, None] = {}  # idle too, each a virtual user's own
        self._waiting: dict[_Attempt, asyncio.TimerHandle] = {}
        self._read = settings.answers.read
        self._on_unmatched = settings.on_unmatched
        self._idempotent = settings.idempotent
        self._timeout_ns = round(settings.timeout_s * NS)
        self._loop = asyncio.get_running_loop()
        self._expiry: asyncio.TimerHandle | None = None

    async def resolve(self, origin: Base, allowed: Allowed) -> None:
        """Find where to connect to, once: no connection goes anywhere else.

        Raises UnknownError when the name has no address, RefusedError when it may not be used.
        """
        try:
            found = await allowed.resolve(
                origin.host, origin.port or (443 if origin.is_tls else 80)
            )
        except NoAddressError as error:
            raise UnknownError(error.message) from error
        self.addresses = [Address(family, at) for family, at in found]

    @property
    def busy(self) -> bool:
        """True if some start is not over: open, or about to ask again."""
        return bool(self.open or self._waiting)

    def send(self, book: StartSource, starts: Iterable[Start]) -> None:
        """Send starts, each on an idle connection or on a new one.

        First everything is made ready, then it is written: a processor that goes back and forth
        between us and the kernel for each request takes half as long again.
        """
        self._write([self._begin(self._take(None), book, start) for start in starts])

    def send_by(self, vu: Vu, book: StartSource, start: Start) -> None:
        """Send the start of a virtual user, on his own connection."""
        self._write([self._begin(self._take(vu), book, start)])

    def _begin(
        self, c: Connection, book: StartSource, start: Start, before: _Attempt | None = None
    ) -> tuple[Connection, bytes]:
        """Open a request on a connection; `before` tells of a start that asks again."""
        c.book = book
        c.k, c.user, c.intended_ns = start
        c.attempt, c.first_ns, c.maybe_done = 1, 0, False
        if before is not None:
            c.attempt, c.first_ns, c.maybe_done = before.number, before.begun_ns, before.sent_ns > 0
        c.first_byte_ns = c.bytes_received = c.bytes_sent = c.status = 0
        c.connecting_ms = c.tls_ms = c.sending_ms = 0.0
        c.open = True
        self.open[c] = None
        return c, book.recorder.request(c.k, c.user, c.attempt)

    def _write(self, batch: Iterable[tuple[Connection, bytes]]) -> None:
        now = self.now
        for c, request in batch:
            c.begun_ns = now()
            if not c.up:
                c.connect(request)
            elif not c.write(request):
                self._replace(c, request)
        if self._expiry is None:
            self._expiry = self._loop.call_later(self._timeout_ns / NS, self._expire)

    def _replace(self, broken: Connection, request: bytes) -> None:
        """Send on a new connection what a broken one did not take."""
        del self.open[broken]
        broken.open = False
        broken.close()
        new = Connection(self)
        new.vu = broken.vu
        new.take_over(broken)
        self.open[new] = None
        new.connect(request)

    def _take(self, vu: Vu | None) -> Connection:
        """A connection that can be used, or a new one."""
        now_ns = self.now()
        while (connection := self._next_idle(vu)) is not None:
            if connection.closed:
                continue
            idle_ns = now_ns - connection.idle_since_ns
            if idle_ns < SUSPECT_NS:
                return connection
            if idle_ns <= LONGEST_IDLE_NS and not connection.is_stale():
                return connection
            connection.close()
        connection = Connection(self)
        connection.vu = vu
        return connection

    def _next_idle(self, vu: Vu | None) -> Connection | None:
        if vu is None:
            return self._idle.pop() if self._idle else None
        connection, vu.connection = vu.connection, None
        if connection is not None:
            self._homes.pop(connection, None)
        return connection

    def answered(
        self,
        connection: Connection,
        status: int,
        body: bytes | bytearray,
        headers: Mapping[str, str],
    ) -> None:
        reading = self._read(status, body, headers)
        if reading.reason is _UNMATCHED and self._on_unmatched is not None:
            self._on_unmatched(connection, status, body)
        self._over(connection, reading, connection.read_ns)

    def ended(self, connection: Connection, reading: Reading) -> None:
        self._over(connection, reading, self.now())

    def _over(self, c: Connection, reading: Reading, now_ns: int) -> None:
        """Record the end of the open request, or ask again, and free its connection."""
        c.open = False
        del self.open[c]
        book = c.book
        reason = reading.reason
        if reason is _TIMED_OUT and c.attempt < book.recorder.most_attempts:
            self._ask_again(c)
            return
        if c.maybe_done:
            reading = self._after_maybe_done(reading)
        ended_ns = 0 if reason is _LEFT_OPEN else now_ns
        book.recorder.record(c, reading, c.sent_ns, ended_ns)
        if not c.closed:
            self._park(c, now_ns)
        if c.vu is not None:
            book.over(c.vu)

    def _park(self, connection: Connection, now_ns: int) -> None:
        connection.idle_since_ns = now_ns
        if connection.tls_ms:
            connection.remember_session()
        if connection.vu is None:
            self._idle.append(connection)
        else:
            connection.vu.connection = connection
            self._homes[connection] = None

    # Asking again.

    def _ask_again(self, c: Connection) -> None:
        start = (c.k, c.user, c.intended_ns)
        begun_ns = c.first_ns or c.begun_ns
        again = _Attempt(c.book, start, c.vu, c.attempt + 1, begun_ns, c.sent_ns)
        backoff_s = c.book.recorder.scenario.retries.backoff_s
        self._waiting[again] = self._loop.call_later(backoff_s, self._resend, again)

    def _resend(self, again: _Attempt) -> None:
        del self._waiting[again]
        connection = self._take(again.vu)
        self._write([self._begin(connection, again.book, again.start, again)])

    def _after_maybe_done(self, reading: Reading) -> Reading:
        """The reading of an answer to a start whose earlier attempt may have worked."""
        if reading.outcome is Outcome.ISSUED or reading.reason is _LEFT_OPEN:
            return reading
        if self._idempotent and reading.outcome in _SETTLED:
            return reading
        return _TIMEOUT

    # The time limit, and the end.

    def _expire(self) -> None:
        """End what has been open for the whole time limit, then sleep until the next can be."""
        limit_ns = self.now() - self._timeout_ns
        late = []
        self._expiry = None
        for connection in self.open:
            if connection.begun_ns > limit_ns:
                wait_ns = connection.begun_ns - limit_ns
                self._expiry = self._loop.call_later(wait_ns / NS, self._expire)
                break
            late.append(connection)
        for connection in late:
            if connection.open:
                self._give_up(connection, _TIMEOUT, _NOT_CONNECTED_IN_TIME)

    def _give_up(self, connection: Connection, written: Reading, unwritten: Reading) -> None:
        """End an open request from our side: `written` if any byte of it may have gone out."""
        connection.close()
        self.ended(connection, written if connection.up else unwritten)

    def close_idle(self) -> None:
        """Close the connections that have idled too long."""
        oldest_ns = self.now() - LONGEST_IDLE_NS
        idle, homes = self._idle, self._homes
        while idle and (idle[0].closed or idle[0].idle_since_ns < oldest_ns):
            idle.popleft().close()
        while homes and (first := next(iter(homes))).idle_since_ns < oldest_ns:
            del homes[first]
            first.close()

    def interrupt(self, book: StartSource, vus: Collection[Vu] | None = None) -> None:
        """End the open requests of one scenario, or of some of its virtual users."""

        def meant(other: StartSource, vu: Vu | None) -> bool:
            return other is book and (vus is None or vu in vus)

        for connection in [c for c in self.open if meant(c.book, c.vu)]:
            self._give_up(connection, _INTERRUPTED, _INTERRUPTED)
        for again in [a for a in self._waiting if meant(a.book, a.vu)]:
            self._leave_open(again)

    def _leave_open(self, again: _Attempt) -> None:
        self._waiting.pop(again).cancel()
        again.book.recorder.left_open(again.start, again.sent_ns, again.number - 1)
        if again.vu is not None:
            again.book.over(again.vu)

    def close(self) -> None:
        """End every open request, then every connection."""
        for connection in list(self.open):
            self._give_up(connection, _INTERRUPTED, _INTERRUPTED)
        for again in list(self._waiting):
            self._leave_open(again)
        for connection in (*self._idle, *self._homes):
            connection.close()
        if self._expiry is not None:
            self._expiry.cancel()
        self.poller.close()
