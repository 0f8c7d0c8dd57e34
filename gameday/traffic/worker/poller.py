"""Which sockets have something to say: a poll of our own inside the event loop.

The event loop watches one descriptor, that of the poll, which can be read whenever a socket of
ours has something. One call then hands out what many sockets have, straight to their connections:
with transports of the event loop a request costs twice the time in this process. First all of
them are read, then what they said is looked at: a processor that goes back and forth between the
kernel and us for each answer takes half as long again. Everything else (orders, timers) stays
with the event loop.
"""

import asyncio
import select
import selectors
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Final, Protocol

READING: Final = selectors.EVENT_READ
WRITING: Final = selectors.EVENT_WRITE
# So many sockets are heard at once. More than the starts of a burst: a worker that is behind must
# read faster than it sends, or it would need a new connection for each start.
AT_ONCE: Final = 128


PIECE: Final = 16 * 1024  # most answers whole in one read
BROKEN: Final = -1

NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


Now = Callable[[], int]


class Listener(Protocol):
    """Who is told what a socket said."""

    closed: bool

    @property
    def read(self) -> Callable[[bytearray], int]:
        """`recv_into` of its socket."""
        ...

    def heard(self, piece: bytearray, size: int, now_ns: int) -> None:
        """`size` bytes were read into `piece`; 0 at the end of the stream, BROKEN for an error."""
        ...


class _Poll(Protocol):
    def fileno(self) -> int: ...

    def register(self, fd: int, events: int, /) -> object: ...

    def modify(self, fd: int, events: int, /) -> object: ...

    def unregister(self, fd: int, /) -> object: ...

    def poll(self, timeout: float, most: int, /) -> list[tuple[int, int]]: ...

    def close(self) -> None: ...


class SelectorPoll:
    """The best poll of any system, such as kqueue, with the methods of Linux' epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.register = self._selector.register
        self.modify = self._selector.modify
        self.unregister = self._selector.unregister
        self.close = self._selector.close

    def fileno(self) -> int:
        return self._selector.fileno()

    def poll(self, timeout: float, most: int, /) -> list[tuple[int, int]]:
        return [(key.fd, events) for key, events in self._selector.select(timeout)[:most]]


class Poller:
    """Reads for who listens, calls the handlers of others, then `after` when all is heard."""

    def __init__(self, after: Callable[[], None], now: Now, poll: _Poll | None = None) -> None:
        self._after = after
        self._now = now
        self._poll = poll or _best_poll()
        self._wait = self._poll.poll
        self._handlers: dict[int, Callable[[], None]] = {}
        self._listeners: dict[int, Listener] = {}
        self._pieces = [bytearray(PIECE) for _ in range(AT_ONCE)]
        self._own_piece = bytearray(PIECE)
        self._turning = False
        self._dead: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._poll.fileno(), self._turn)

    def watch(self, sock: socket.socket, events: int, handler: Callable[[], None]) -> None:
        """Call `handler` whenever one of `events` holds, or the socket broke."""
        self._handlers[sock.fileno()] = handler
        self._poll.register(sock.fileno(), events)

    def change(self, sock: socket.socket, events: int, handler: Callable[[], None]) -> None:
        """Wait for something else from now on."""
        self._listeners.pop(sock.fileno(), None)
        self._handlers[sock.fileno()] = handler
        self._poll.modify(sock.fileno(), events)

    def hear(self, sock: socket.socket, listener: Listener) -> None:
        """Read what a watched socket says from now on, and tell it to `listener`."""
        del self._handlers[sock.fileno()]
        self._listeners[sock.fileno()] = listener
        self._poll.modify(sock.fileno(), READING)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching a socket, and close it.

        Within a turn its number is kept until the end: another socket that got it would be told
        what was meant for this one.
        """
        fd = sock.fileno()
        if self._handlers.pop(fd, None) or self._listeners.pop(fd, None):
            self._poll.unregister(fd)
        if self._turning:
            self._dead.append(sock)
        else:
            sock.close()

    def read(self, listener: Listener) -> None:
        """Read for one listener, if there is something."""
        size = self._size(listener, self._own_piece)
        if size is not None:
            listener.heard(self._own_piece, size, self._now())

    def _size(self, listener: Listener, piece: bytearray) -> int | None:
        try:
            return listener.read(piece)
        except NOT_NOW:
            return None
        except OSError:
            return BROKEN

    def _turn(self) -> None:
        ready = self._wait(0, AT_ONCE)
        self._turning = True
        try:
            for listener, piece, size, now_ns in self._read_all(ready):
                if not listener.closed:
                    listener.heard(piece, size, now_ns)
            handlers = self._handlers
            for fd, _ in ready if handlers else ():
                handler = handlers.get(fd)
                if handler is not None:
                    handler()
        finally:  # else what is forgotten after an error would never be closed
            self._turning = False
            while self._dead:
                self._dead.pop().close()
        if len(ready) < AT_ONCE:
            self._after()

    def _read_all(self, ready: list[tuple[int, int]]) -> list[tuple[Listener, bytearray, int, int]]:
        """Read the ready sockets: each one's listener, bytes, their number, and instant."""
        now, listeners = self._now, self._listeners
        said = []
        for (fd, _), piece in zip(ready, self._pieces, strict=False):
            listener = listeners.get(fd)
            if listener is not None:
                size = self._size(listener, piece)
                if size is not None:
                    said.append((listener, piece, size, now()))
        return said

    def close(self) -> None:
        self._loop.remove_reader(self._poll.fileno())
        self._poll.close()


def _best_poll() -> _Poll:
    if sys.platform == "linux":
        return _Epoll()
    return SelectorPoll()


if sys.platform == "linux":

    class _Epoll:
        """Linux' own, without the objects that `selectors` makes for each event."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self.fileno = self._epoll.fileno
            self.poll = self._epoll.poll
            self.unregister = self._epoll.unregister
            self.close = self._epoll.close

        def register(self, fd: int, events: int, /) -> None:
            self._epoll.register(fd, _epoll_events(events))

        def modify(self, fd: int, events: int, /) -> None:
            self._epoll.modify(fd, _epoll_events(events))

    def _epoll_events(events: int) -> int:
        return select.EPOLLIN * bool(events & READING) | select.EPOLLOUT * bool(events & WRITING)
