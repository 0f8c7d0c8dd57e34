"""Sends requests: a free connection or a new one for each, a time limit, a place in the books.

As many connections as open requests, one request at a time on each, the most recently used one
first. A connection that has idled for two seconds is closed (servers close at five; a request
that crosses such a close on the wire is a false unknown). A connection found broken before a byte
was written is replaced; once bytes were written the outcome is unknown and nothing is retried.
"""

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable

from gameday.clock import NS, Clock
from gameday.errors import UnknownError
from gameday.history import Outcome, Reason
from gameday.traffic.answers import Answers, Reading
from gameday.traffic.config import Origin
from gameday.traffic.connection import Connection
from gameday.traffic.stream import Stream

LONGEST_IDLE_NS = 2 * NS

_REFUSED = Reading(Outcome.REFUSED, Reason.CONNECT_REFUSED)
_NOT_CONNECTED = Reading(Outcome.REFUSED, Reason.CONNECT_FAILED)
_NOT_CONNECTED_IN_TIME = Reading(Outcome.REFUSED, Reason.TIMEOUT)
_TIMEOUT = Reading(Outcome.UNKNOWN, Reason.TIMEOUT)
_INTERRUPTED = Reading(Outcome.UNKNOWN, Reason.INTERRUPTED)
_WHY_NOT = {
    errno.EMFILE: Reading(Outcome.DROPPED, Reason.NO_FILES),
    errno.ENFILE: Reading(Outcome.DROPPED, Reason.NO_FILES),
    errno.EADDRNOTAVAIL: Reading(Outcome.DROPPED, Reason.NO_PORTS),
    errno.ECONNREFUSED: _REFUSED,
}


class Client:
    """All connections of one worker to one address."""

    def __init__(self, answers: Answers, timeout_s: float, clock: Clock) -> None:
        self.now: Callable[[], int] = clock.now_ns
        self.open: dict[Connection, None] = {}  # in the order of sending
        self._idle: deque[Connection] = deque()  # in the order of use
        self._answers = answers
        self._timeout_ns = round(timeout_s * NS)
        self._loop = asyncio.get_running_loop()
        self._expiry: asyncio.TimerHandle | None = None
        self._addresses: list[tuple[str, int]] = []

    async def resolve(self, origin: Origin) -> None:
        """Look the name up, once. Raises UnknownError when it has no address."""
        try:
            found = await self._loop.getaddrinfo(
                origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except OSError as error:
            raise UnknownError(f"{origin.host!r} has no address: {error}") from error
        self._addresses = [(str(address[0]), origin.port) for *_, address in found]

    def send(self, stream: Stream, start: tuple[int, int, int], request: bytes) -> None:
        """Send the request of one start, on an idle connection or on a new one."""
        connection = self._take()
        connection.begin(stream, *start)
        self.open[connection] = None
        if self._expiry is None:
            self._expiry = self._loop.call_later(self._timeout_ns / NS, self._expire)
        connection.sent_ns = self.now()
        if connection.transport is None:
            connection.request = request
            connection.bytes_sent = 0
            connection.connecting = self._loop.create_task(self._connect(connection))
        else:
            connection.send(request)

    def _take(self) -> Connection:
        oldest_ns = self.now() - LONGEST_IDLE_NS
        idle = self._idle
        while idle:
            connection = idle.pop()
            transport = connection.transport
            if connection.closed or transport is None or transport.is_closing():
                continue
            if connection.idle_since_ns >= oldest_ns:
                return connection
            connection.close()
        return Connection(self)

    async def _connect(self, connection: Connection) -> None:
        """Connect to the first address that accepts, or end the request with what went wrong."""
        problem = OSError()
        for address in self._addresses:
            try:
                await self._loop.create_connection(lambda: connection, *address)
            except OSError as error:
                problem = error
            else:
                break
        else:
            if connection.open:
                self.ended(connection, _WHY_NOT.get(problem.errno or 0, _NOT_CONNECTED))
        connection.connecting = None

    def answered(self, connection: Connection, body: bytes) -> None:
        self.ended(connection, self._answers.read(connection.status, body))

    def ended(self, connection: Connection, reading: Reading) -> None:
        """Record the end of the open request and free its connection."""
        now_ns = self.now()
        connection.open = False
        del self.open[connection]
        sent_ns = connection.sent_ns if connection.transport is not None else 0
        ended_ns = 0 if reading.reason is Reason.INTERRUPTED else now_ns
        connection.book.record(connection, reading, sent_ns, ended_ns)
        if not connection.closed and connection.transport is not None:
            connection.idle_since_ns = now_ns
            self._idle.append(connection)

    def _expire(self) -> None:
        """End what has been open for the whole time limit, then sleep until the next can be."""
        limit_ns = self.now() - self._timeout_ns
        late = []
        self._expiry = None
        for connection in self.open:
            if connection.sent_ns > limit_ns:
                wait_ns = connection.sent_ns - limit_ns
                self._expiry = self._loop.call_later(wait_ns / NS, self._expire)
                break
            late.append(connection)
        for connection in late:
            self._give_up(connection, _TIMEOUT, _NOT_CONNECTED_IN_TIME)

    def _give_up(self, connection: Connection, written: Reading, unwritten: Reading) -> None:
        """End an open request from our side: `written` if any byte of it may have gone out."""
        connected = connection.transport is not None
        connection.close()
        if connection.connecting is not None:
            connection.connecting.cancel()
        self.ended(connection, written if connected else unwritten)

    def close_idle(self) -> None:
        """Close the connections that have idled too long."""
        oldest_ns = self.now() - LONGEST_IDLE_NS
        idle = self._idle
        while idle and (idle[0].closed or idle[0].idle_since_ns < oldest_ns):
            idle.popleft().close()

    def interrupt(self) -> None:
        """End every open request, then every connection."""
        for connection in list(self.open):
            self._give_up(connection, _INTERRUPTED, _INTERRUPTED)
        while self._idle:
            self._idle.pop().close()
        if self._expiry is not None:
            self._expiry.cancel()
