"""A connection of a client: it asks, and reads, within a time, and one machine has only so many.

Whoever connects needs no token for it. Connections that ask for nothing, or for something letter by
letter, would otherwise keep everybody else out once there are as many as the server takes. And what
was sent to one who does not read it is held here, and takes memory.
"""

import asyncio
from typing import Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS: Final = 200
MOST_OF_ONE_PEER: Final = 100  # a tunnel is one peer, with all the pages of a team
ASKS_WITHIN_S: Final = 10.0  # a whole request, of 16 KiB at most
READS_WITHIN_S: Final = 30.0  # all that was sent; megabytes by a slow tunnel
_INCOMPLETE: Final = (h11.IDLE, h11.SEND_BODY)


class BoundedConnection(H11Protocol):
    """uvicorn's own, dropped when a request is not complete, or an answer not read, in time."""

    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    @property
    def peer(self) -> str:
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        ours = [each for each in self.connections if isinstance(each, BoundedConnection)]
        same = [each for each in ours if each.peer == self.peer]
        if len(same) > MOST_OF_ONE_PEER:
            self.transport.abort()
        else:
            self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(READS_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._all_is_read()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._all_is_read()
        super().connection_lost(exc)

    def _all_is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _look(self) -> None:
        """Begin to wait for the rest of a request, or end it; more of the same wins no time."""
        if self.conn.their_state not in _INCOMPLETE:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(ASKS_WITHIN_S, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
