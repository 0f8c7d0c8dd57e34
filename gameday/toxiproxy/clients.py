"""The clients of the API: each is answered in order, and none at the cost of the others.

Bytes are parsed and requests answered a little at a time, and between two answers every other
client has its turn. A client that does not read its answers is not read from either, and is gone
after a while, as is one that takes too long over a request or sends none (Toxiproxy's own limits).
Where there are too many, whoever was of no use for the longest time makes room.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from gameday.core.clock import Clock
from gameday.toxiproxy.http import (
    MESSAGE_BYTES_MAX,
    PLAIN,
    HttpRequest,
    HttpResponse,
    Parser,
    framed,
)

log = logging.getLogger(__name__)

READ_LIMIT_S = 15.0  # a request of loopback takes ms; a slow sender must not hold a place
WRITE_LIMIT_S = 30.0  # longer than for reading: an answer may be a megabyte
IDLE_LIMIT_S = 60.0  # kept-alive clients come back within seconds; the rest free their place
LEAVE_LIMIT_S = 2.0  # for a client that was refused to read why
CLOSE_LIMIT_S = 0.5  # at the end of the server: an answer on its way may still go out
PARSED_AT_ONCE = 4096  # a short turn of the loop, so that the proxies' bytes are not late
UNREAD_BYTES_MAX = 64 * 1024  # a socket's buffer; beyond it the sender waits
HELD_BYTES_MAX = 64 * 1024 * 1024  # of all clients together: bounds the server's memory
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


class Clients:
    """All clients at the moment, at most `most`: the one of use least recently comes first."""

    def __init__(self, handler: Handler, clock: Clock, most: int) -> None:
        self.handler = handler
        self.clock = clock
        self._most = most
        self._clients: dict[ApiClient, None] = {}

    def __call__(self) -> "ApiClient":
        """Make the protocol of a client that has just connected."""
        return ApiClient(self)

    def admit(self, client: "ApiClient") -> None:
        """Count a new client in, in the place of another where there are too many."""
        if len(self._clients) >= self._most:
            spare = (each for each in self._clients if not each.is_asking)
            self._drop(next(spare, next(iter(self._clients))))
        self._clients[client] = None

    def was_of_use(self, client: "ApiClient") -> None:
        """Note that a request of it has been answered."""
        if self._clients.pop(client, client) is None:
            self._clients[client] = None

    def make_room(self) -> None:
        """Drop whoever holds most while all together hold too much."""
        while sum(each.held_bytes for each in self._clients) > HELD_BYTES_MAX:
            self._drop(max(self._clients, key=lambda each: each.held_bytes))

    def forget(self, client: "ApiClient") -> None:
        self._clients.pop(client, None)

    async def close(self) -> None:
        """Close all; a request that is being answered has a moment to end."""
        until_ns = self.clock.now_ns() + int(CLOSE_LIMIT_S * 1e9)
        for client in list(self._clients):
            if not client.is_asking:
                self._drop(client)
        while self._clients and self.clock.now_ns() < until_ns:
            await self.clock.sleep(0.02)
            for client in [each for each in self._clients if not each.is_asking]:
                client.leave(CLOSE_LIMIT_S)
        for client in list(self._clients):
            self._drop(client)

    def _drop(self, client: "ApiClient") -> None:
        self.forget(client)
        client.abort()


class ApiClient(asyncio.Protocol):
    """One client, from its connection to its end."""

    def __init__(self, clients: Clients) -> None:
        self.is_asking = False
        self._clients = clients
        self._parser = Parser()
        self._unread = bytearray()
        self._paused = False
        self._ended = False
        self._leaving = False
        self._thrown_away_bytes = 0
        self._reading = True  # the first request is due from the start
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of this client that are kept because they are not handled yet."""
        return len(self._unread) + self._parser.held_bytes

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._clients.admit(self)
        self._within(READ_LIMIT_S)

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            self._thrown_away_bytes += len(data)
            if self._thrown_away_bytes > MESSAGE_BYTES_MAX:
                self.abort()
            return
        self._unread += data
        if len(self._unread) > UNREAD_BYTES_MAX and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if self.held_bytes > UNREAD_BYTES_MAX:
            self._clients.make_room()
        self._go_on()

    def eof_received(self) -> bool:
        """It sends no more, but may still read: its requests are answered first."""
        self._ended = True
        if self._leaving:
            self._transport.close()
        else:
            self._go_on()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.forget(self)
        self._unread.clear()
        self._has_room.set()
        self._stop_timer()

    def pause_writing(self) -> None:
        self._has_room.clear()
        self._within(WRITE_LIMIT_S)

    def resume_writing(self) -> None:
        self._has_room.set()
        self._stop_timer()
        if self._leaving:
            self._within(LEAVE_LIMIT_S)
        else:
            self._reading = False
            self._go_on()

    # What the others call.

    def leave(self, limit_s: float) -> None:
        """End the connection after what was written; what still comes is thrown away."""
        if self._leaving or self._transport.is_closing():
            return
        self._leaving = True
        self._unread.clear()
        self._resume()
        self._within(limit_s)
        if self._ended:
            self._transport.close()
        else:  # closed at once, a client that still sends would see a reset and no answer
            self._transport.write_eof()

    def abort(self) -> None:
        """End the connection at once."""
        self._stop_timer()
        self._transport.abort()

    # Answering.

    def _go_on(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    async def _answer_all(self) -> None:
        while not self._leaving and not self._transport.is_closing():
            request = self._next()
            if request is None:
                self._wait_for_more()
                return
            await self._answer(request)
            await self._has_room.wait()
            await self._clients.clock.sleep(0)

    def _next(self) -> HttpRequest | HttpResponse | None:
        complete = self._parser.complete
        while not complete and self._unread:
            piece = bytes(self._unread[:PARSED_AT_ONCE])
            del self._unread[:PARSED_AT_ONCE]
            self._parser.feed(piece)
        return complete.popleft() if complete else None

    async def _answer(self, request: HttpRequest | HttpResponse) -> None:
        self._stop_timer()
        self._reading = False
        if isinstance(request, HttpResponse):
            self._transport.write(framed(request, HttpRequest("", "")))
            self.leave(LEAVE_LIMIT_S)
            return
        self.is_asking = True
        try:
            response = await self._clients.handler(request)
        except Exception:  # one request must not silence the server, whatever is wrong with it
            log.exception("api: %s %s", request.method, request.path[:200])
            response = HttpResponse(500, b"500 Internal Server Error", PLAIN)
        finally:
            self.is_asking = False
        if self._transport.is_closing():
            return
        self._transport.write(framed(response, request))
        self._clients.was_of_use(self)
        if not request.keep_alive:
            self.leave(WRITE_LIMIT_S)

    def _wait_for_more(self) -> None:
        if self._ended:
            self.leave(WRITE_LIMIT_S)
            return
        if self._parser.take_expectation():
            self._transport.write(CONTINUE)
        if self._parser.inside and not self._reading:
            self._reading = True
            self._within(READ_LIMIT_S)
        elif self._timer is None:
            self._within(IDLE_LIMIT_S)
        self._resume()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _within(self, limit_s: float) -> None:
        """End the connection after `limit_s` unless something happens before."""
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(limit_s, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
