"""Which sockets have something to say: a poll of our own inside the event loop.

The event loop watches one descriptor, that of the poll, which can be read whenever a socket of
ours has something. One call then hands out what many sockets have, straight to their connections:
with transports of the event loop a request costs twice the time in this process. Everything else
(orders, timers) stays with the event loop.
"""

import asyncio
import select
import selectors
import socket
import sys
from collections.abc import Callable
from typing import Final, Protocol

READING: Final = selectors.EVENT_READ
WRITING: Final = selectors.EVENT_WRITE
# So many sockets are heard at once. More than the starts of a burst: a worker that is behind must
# read faster than it sends, or it would need a new connection for each start.
AT_ONCE: Final = 128


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
    """Calls the handler of each socket that is ready, then `after` when all were heard."""

    def __init__(self, after: Callable[[], None], poll: _Poll | None = None) -> None:
        self._after = after
        self._poll = poll or _best_poll()
        self._wait = self._poll.poll
        self._handlers: dict[int, Callable[[], None]] = {}
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
        self._handlers[sock.fileno()] = handler
        self._poll.modify(sock.fileno(), events)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching a socket, and close it.

        Within a turn its number is kept until the end: another socket that got it would be told
        what was meant for this one.
        """
        if self._handlers.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock.fileno())
        if self._turning:
            self._dead.append(sock)
        else:
            sock.close()

    def _turn(self) -> None:
        handlers = self._handlers
        self._turning = True
        ready = self._wait(0, AT_ONCE)
        for fd, _ in ready:
            handler = handlers.get(fd)
            if handler is not None:
                handler()
        self._turning = False
        while self._dead:
            self._dead.pop().close()
        if len(ready) < AT_ONCE:
            self._after()

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
