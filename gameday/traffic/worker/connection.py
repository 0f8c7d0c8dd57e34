"""One keep-alive connection, and the one request that may be open on it.

The fields of the open request live on the connection, so a request costs no object of its own.
The socket is used directly: connect, perhaps a TLS handshake, write, read, each as far as it goes
without waiting. Once it is up the poller does the reading. Whatever goes wrong ends in exactly
one call of `Owner.ended`.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from gameday.traffic.history import Outcome, Reason
from gameday.traffic.worker.classify import Reading
from gameday.traffic.worker.http1 import Framing, Heads
from gameday.traffic.worker.poller import BROKEN, NOT_NOW, READING, WRITING, Poller
from gameday.traffic.worker.tls import TlsClient

if TYPE_CHECKING:
    from gameday.traffic.worker.client import StartSource
    from gameday.traffic.worker.vu_pool import Vu

# A server may have closed a connection that has idled this long, and nobody looked yet.
SUSPECT_NS: Final = 20_000_000

_NOTHING = memoryview(b"")
_RESET = Reading(Outcome.UNKNOWN, Reason.RESET)
_GARBAGE = Reading(Outcome.UNKNOWN, Reason.GARBAGE)
_TOO_LARGE = Reading(Outcome.UNKNOWN, Reason.TOO_LARGE)
_NOT_CONNECTED = Reading(Outcome.REFUSED, Reason.CONNECT_FAILED)
_WHY_NOT = {
    errno.EMFILE: Reading(Outcome.DROPPED, Reason.NO_FILES),
    errno.ENFILE: Reading(Outcome.DROPPED, Reason.NO_FILES),
    errno.EADDRNOTAVAIL: Reading(Outcome.DROPPED, Reason.NO_PORTS),
    errno.ECONNREFUSED: Reading(Outcome.REFUSED, Reason.CONNECT_REFUSED),
}


class Address(NamedTuple):
    """One address of the system: a family of sockets, and what `connect` takes."""

    family: int
    at: tuple[Any, ...]


class Owner(Protocol):
    """The client of some connections: their shared state, and the callbacks of each request."""

    now: Callable[[], int]
    poller: Poller
    addresses: list[Address]
    tls: TlsClient | None
    heads: Heads

    def answered(
        self,
        connection: "Connection",
        status: int,
        body: bytes | bytearray,
        headers: Mapping[str, str],
    ) -> None:
        """A whole answer came."""
        ...

    def ended(self, connection: "Connection", reading: Reading) -> None:
        """The open request is over."""
        ...


class Connection:
    """One TCP connection, from before it is made until after it is closed."""

    __slots__ = (
        "_at_ns",
        "_failed",
        "_fed",
        "_framing",
        "_next",
        "_owner",
        "_rest",
        "_send",
        "_sock",
        "attempt",
        "begun_ns",
        "book",
        "bytes_received",
        "bytes_sent",
        "closed",
        "connecting_ms",
        "first_byte_ns",
        "first_ns",
        "idle_since_ns",
        "intended_ns",
        "k",
        "maybe_done",
        "open",
        "read",
        "read_ns",
        "sending_ms",
        "status",
        "tls_ms",
        "up",
        "user",
        "vu",
    )

    book: "StartSource"
    vu: "Vu | None"
    k: int
    user: int
    intended_ns: int
    begun_ns: int  # of this attempt
    first_ns: int  # of the first attempt, 0 if this is the first
    attempt: int
    maybe_done: bool  # an earlier attempt may have worked
    first_byte_ns: int
    read_ns: int  # when something was read last
    bytes_received: int
    bytes_sent: int
    connecting_ms: float
    tls_ms: float
    sending_ms: float
    status: int

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._sock: socket.socket | None = None
        self._framing: Framing | None = None
        self._fed = False  # the parser has part of an answer
        self._rest = _NOTHING  # what is still to be written
        self._next = 0  # the address that is tried next
        self._failed: OSError | None = None
        self.up = False  # requests can be written
        self.closed = False
        self.open = False
        self.idle_since_ns = 0

    def take_over(self, other: "Connection") -> None:
        """Go on with the request of a connection that proved broken before it took any of it."""
        self.book, self.vu = other.book, other.vu
        self.k, self.user, self.intended_ns = other.k, other.user, other.intended_ns
        self.begun_ns, self.first_ns = other.begun_ns, other.first_ns
        self.attempt, self.maybe_done = other.attempt, other.maybe_done
        self.first_byte_ns = self.bytes_received = self.bytes_sent = self.status = 0
        self.connecting_ms = self.tls_ms = self.sending_ms = 0.0
        self.open = True

    @property
    def sent_ns(self) -> int:
        """When the first attempt was sent, 0 while none was."""
        return (self.first_ns or self.begun_ns) if self.up or self.maybe_done else 0

    # The way up.

    def connect(self, request: bytes) -> None:
        """Connect to the first address that accepts, then write `request`."""
        self._rest = memoryview(request)
        self._at_ns = self.begun_ns
        self._try_next()

    def _try_next(self) -> None:
        while self._next < len(self._owner.addresses):
            address = self._owner.addresses[self._next]
            self._next += 1
            try:
                self._begin_connecting(address)
            except OSError as error:
                self._failed = error
            else:
                return
        why = (self._failed and self._failed.errno) or 0
        self._fail(_WHY_NOT.get(why, _NOT_CONNECTED))

    def _begin_connecting(self, address: Address) -> None:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            problem = sock.connect_ex(address.at)
            if problem not in (0, errno.EINPROGRESS):
                raise OSError(problem, os.strerror(problem))
            self._owner.poller.watch(sock, WRITING, self._connected)
        except OSError:
            sock.close()
            raise
        self._sock = sock

    def _connected(self) -> None:
        sock = self._socket()
        problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._failed = OSError(problem, os.strerror(problem))
            self._owner.poller.forget(sock)
            self._sock = None
            self._try_next()
            return
        self.connecting_ms = self._lap_ms()
        if self._owner.tls is None:
            self._begin_requests()
            return
        try:
            self._sock = self._owner.tls.wrap(sock)  # the same descriptor
        except OSError:
            self._fail(_NOT_CONNECTED)
            return
        self._owner.poller.change(self._sock, READING | WRITING, self._shake)
        self._shake()

    def _shake(self) -> None:
        sock = self._socket()
        assert isinstance(sock, ssl.SSLSocket)
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            self._owner.poller.change(sock, READING, self._shake)
        except ssl.SSLWantWriteError:
            self._owner.poller.change(sock, WRITING, self._shake)
        except OSError:
            self._fail(_NOT_CONNECTED)
        else:
            self.tls_ms = self._lap_ms()
            self._begin_requests()

    def _lap_ms(self) -> float:
        """The time since the last step."""
        now_ns = self._owner.now()
        took_ns, self._at_ns = now_ns - self._at_ns, now_ns
        return took_ns / 1e6

    def _begin_requests(self) -> None:
        sock = self._socket()
        self.read, self._send = sock.recv_into, sock.send
        self._owner.poller.hear(sock, self)
        self.up = True
        request, self._rest = bytes(self._rest), _NOTHING
        if not self.write(request):
            self._fail(_RESET)

    def _socket(self) -> socket.socket:
        assert self._sock is not None
        return self._sock

    # Writing.

    def write(self, request: bytes) -> bool:
        """Write a request; False when the connection proves broken and no byte was written."""
        self.bytes_sent = len(request)
        try:
            written = self._send(request)
        except NOT_NOW:
            written = 0
        except OSError:
            return False
        now_ns = self._owner.now()
        if written == len(request):
            self.sending_ms = (now_ns - self.begun_ns) / 1e6 - self.connecting_ms - self.tls_ms
        else:
            self._rest = memoryview(request)[written:]
            self._owner.poller.change(self._socket(), READING | WRITING, self._writable)
        return True

    def _writable(self) -> None:
        """Write what is left, and read: a server may answer before it has read everything."""
        try:
            self._rest = self._rest[self._send(self._rest) :]
        except NOT_NOW:
            pass
        except OSError:
            self._fail(_RESET)
            return
        if not self._rest:
            past_ms = self.connecting_ms + self.tls_ms
            self.sending_ms = (self._owner.now() - self.begun_ns) / 1e6 - past_ms
            self._owner.poller.hear(self._socket(), self)
        self._owner.poller.read(self)

    # Reading.

    def heard(self, piece: bytearray, size: int, now_ns: int) -> None:
        """Take the `size` bytes that were read; 0 for the end, BROKEN for an error."""
        if size <= 0:
            self._broken(ended=size != BROKEN)
            return
        if not self.open:  # nobody asked for this
            self.close()
            return
        self.read_ns = now_ns
        if not self.first_byte_ns:
            self.first_byte_ns = now_ns
        self.bytes_received += size
        plain = None
        if not self._fed and not self._rest:
            plain = self._owner.heads.latest
            if size != plain.whole or not piece.startswith(plain.head):
                plain = self._owner.heads.find(piece, size)
        if plain is None:
            self._parse(bytes(piece[:size]))
        else:
            self.status = plain.status
            self._owner.answered(self, plain.status, piece[plain.end : size], plain.headers)

    def _parse(self, data: bytes) -> None:
        """Let the parser see what the shortcut does not know."""
        framing = self._framing
        if framing is None:
            framing = self._framing = Framing()
        first = not self._fed
        if first:
            framing.begin()
            self._fed = True
        sound = framing.feed(data)
        self.status = framing.status
        if not sound:
            self._fail(_TOO_LARGE if framing.large else _GARBAGE)
        elif framing.whole:
            if first:
                framing.remember(data, self._owner.heads)
            self._answered(framing)
        elif isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            self._owner.poller.read(self)  # decrypted already, so no poll tells of it

    def _answered(self, framing: Framing) -> None:
        self._fed = False
        if framing.last or self._rest:  # an answer to half a request leaves the rest unread
            self.close()
        self._owner.answered(self, framing.status, framing.body, framing.headers)

    def _broken(self, *, ended: bool) -> None:
        """The server closed (`ended`), or the connection broke."""
        framing = self._framing
        self.close()
        if not self.open:
            return
        if ended and self._fed and framing and framing.head_read and not framing.framed:
            self._answered(framing)  # this is how a body without a length ends
        else:
            self._owner.ended(self, _RESET)

    def _fail(self, reading: Reading) -> None:
        self.close()
        self._owner.ended(self, reading)

    # Between requests.

    def is_stale(self) -> bool:
        """True if the server closed an idle connection, and nobody has looked yet."""
        if isinstance(self._sock, ssl.SSLSocket):
            return False
        try:
            self._socket().recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def remember_session(self) -> None:
        """Offer the TLS session of this connection to those to come."""
        if self.up and self._owner.tls and isinstance(self._sock, ssl.SSLSocket):
            self._owner.tls.remember(self._sock)

    def close(self) -> None:
        self.closed = True
        self.remember_session()
        if self._sock is not None:
            self._owner.poller.forget(self._sock)
            self._sock = None
