"""The stream of a page: server-sent events from a cursor on, a batch at a time.

An event has what is new since the last one: records, samples, and the state of the session; its id
is the cursor, which a browser sends again when it comes back. A page that reads slowly is behind,
and costs nothing more: what it gets is taken from the feed when it can take it.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import StreamingResponse

from gameday.console.access import BrowserSession, ConsoleRole
from gameday.core.clock import NS
from gameday.core.json_objects import plain

if TYPE_CHECKING:
    from gameday.console.app import Console

MOST_STREAMS: Final = 64  # pages of all sessions together; who leads may always have one more
MOST_STREAMS_EACH: Final = 8
BEAT_S: Final = 2.0  # a page that hears nothing for some of these says so
LOOK_S: Final = 0.25  # for the end of the console
MOST_AT_ONCE: Final = 300  # records, and samples, of an event
LONGEST_S: Final = 1800.0  # a stream; the browser goes on with another one
_CURSOR: Final = re.compile(r"(-?\d{1,15})\.(\d{1,17})\.([01])", re.ASCII)


class Cursor(NamedTuple):
    """The last record that a page has, and how far in the samples it is.

    `whole` says that nothing was hidden from it up to there.
    """

    seq: int = -1
    at: int = 0
    whole: bool = False

    @classmethod
    def of(cls, text: str) -> "Cursor":
        """The cursor of an event's id; the beginning for what is none."""
        found = _CURSOR.fullmatch(text)
        return cls(int(found[1]), int(found[2]), found[3] == "1") if found else cls()

    def __str__(self) -> str:
        return f"{self.seq}.{self.at}.{self.whole:d}"


def stream(console: "Console", request: Request, session: BrowserSession) -> StreamingResponse:
    """The answer to a page that wants to hear what happens."""
    text = request.headers.get("last-event-id") or request.query_params.get("from", "")
    return StreamingResponse(
        _events(console, session, Cursor.of(text)), media_type="text/event-stream"
    )


async def _events(
    console: "Console", session: BrowserSession, cursor: Cursor
) -> AsyncIterator[bytes]:
    console.streams += 1
    session.streams += 1
    began_ns = console.clock.now_ns()
    yield b"retry: 1000\n\n"
    try:
        while not console.closing() and console.clock.now_ns() - began_ns < LONGEST_S * NS:
            changed = console.changed
            text, after = _batch(console, session, cursor)
            more = after != cursor
            cursor = after
            yield text
            if not more:
                await _changes(console, changed)
    finally:
        console.streams -= 1
        session.streams -= 1
        console.left_ns = console.clock.now_ns()


async def _changes(console: "Console", changed: asyncio.Event) -> None:
    """Wait until there is something new, or a beat is due, or the console ends."""
    until_ns = console.clock.now_ns() + int(BEAT_S * NS)
    while console.clock.now_ns() < until_ns and not console.closing():
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), LOOK_S)
            return


def _batch(console: "Console", session: BrowserSession, cursor: Cursor) -> tuple[bytes, Cursor]:
    """The next event, and the cursor after it."""
    from gameday.console.app import finite

    feed = console.feed
    leads = session.role is ConsoleRole.FACILITATOR
    looks = session.role is ConsoleRole.OBSERVER
    whole = feed.hides_nothing(leads=leads)
    if whole and not cursor.whole:
        cursor = Cursor(-1, cursor.at)  # what was hidden is told now, from the beginning
    last = feed.items[-1].seq if feed.items else cursor.seq
    items = list(feed.items_after(cursor.seq, leads=leads, looks=looks))
    ticks = feed.ticks_after(cursor.at)
    if len(items) > MOST_AT_ONCE:
        items = items[:MOST_AT_ONCE]
        last = items[-1].seq
    ticks = ticks[:MOST_AT_ONCE]
    after = Cursor(max(last, cursor.seq), ticks[-1].at if ticks else cursor.at, whole)
    data = json.dumps(
        finite(
            {
                "items": [plain(each) for each in items],
                "ticks": [plain(each) for each in ticks],
                "state": plain(feed.state()),
            }
        ),
        allow_nan=False,
    )
    return f"id: {after}\ndata: {data}\n\n".encode(), after
