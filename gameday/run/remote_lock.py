"""The marker on a Toxiproxy of another host: what a file lock is to a target on this one.

Controllers on two hosts share no lock file, but they share the Toxiproxy. So a run holds a disabled
proxy named `gameday-lock` there, whose upstream text says which run on which host, and until when;
it is renewed once a lease and is stale three leases later. A disabled proxy listens nowhere.

Clocks of two hosts differ, so a marker that looks run out, or good for longer than anybody writes,
is watched for more than a lease before it is called stale: a live run would have renewed it.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from gameday.core.clock import NS, Clock, wall_time_ns
from gameday.core.errors import GamedayError, UsageError
from gameday.core.network.allow_list import Allowed, NoAddressError
from gameday.evidence.events import Phase
from gameday.injection.drivers.proxy import MARKER
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.run.context import Run
from gameday.run.reaper.lease import LEASE_S

STALE_AFTER_S = 3 * LEASE_S
WATCHED_S = 1.5 * LEASE_S
LOOK_S = 0.5  # ten looks in the time in which a live run would have renewed it
SETTLED_S = 1.0  # longer than anybody takes from a look at a stale marker to its removal
ATTEMPTS = 3  # two runs that begin at once can take turns in losing it twice
CREATED, EXISTS = 201, 409


@dataclass(frozen=True, slots=True)
class MarkerText:
    """Content of the marker's upstream; `until_s` is seconds since 1970."""

    run: str
    host: str
    until_s: int

    def __str__(self) -> str:
        return f"gameday/{self.run}/{self.host}/{self.until_s}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises UsageError for a text that gameday did not write."""
        try:
            word, run, host, until_s = text.split("/")
            if word == "gameday":
                return cls(run, host, int(until_s))
        except ValueError:
            pass
        raise UsageError(
            f"proxy {MARKER!r} leads to {text!r}, which no run of gameday has written",
            help=f"give that proxy another name: gameday marks its runs with {MARKER!r}",
        )


class Marker:
    """One run's marker on one server."""

    def __init__(self, server: Toxiproxy, run: str, clock: Clock) -> None:
        self._server = server
        self._run = run
        self._host = socket.gethostname().replace("/", "-")
        self._clock = clock
        self._until_s = 0

    async def take(self) -> None:
        """Mark the server. Raises UsageError naming the run that has marked it already."""
        for _ in range(ATTEMPTS):
            found = await self._read()
            if found is not None and await self._is_live(found):
                raise UsageError(
                    f"run {found.run} on host {found.host} already uses {self._server.url}",
                    help=f"there: gameday stop {found.run}",
                )
            if found is not None:
                await self._remove()
            if await self._create():
                await self._clock.sleep(SETTLED_S)
                if await self._is_mine():
                    return
        raise UsageError(
            f"{self._server.url}: proxy {MARKER!r} changes hands all the time",
            help="another run is about to begin there; try again when it is over",
        )

    async def renew(self) -> str:
        """Say that the run goes on; why the server is no longer its own, "" while it is."""
        try:
            found = await self._read()
            if found is None:  # a server that was restarted forgets its proxies
                await self._create()
                return ""
            if found.run != self._run:
                return f"run {found.run} on host {found.host} has taken {self._server.url} over"
            body = {"upstream": self._text(), "enabled": False}
            _must(await self._server.call("POST", f"/proxies/{MARKER}", body), 200)
        except ToxiproxyError as error:
            if wall_time_ns() > self._until_s * NS:
                return f"{MARKER} ran out, it cannot be renewed: {error.message}"
        except UsageError as error:
            return error.message
        return ""

    async def drop(self) -> None:
        """Remove it, if it is still this run's. Raises ToxiproxyError."""
        if await self._is_mine():
            await self._remove()

    def _text(self) -> str:
        self._until_s = wall_time_ns() // NS + round(STALE_AFTER_S)
        return str(MarkerText(self._run, self._host, self._until_s))

    async def _read(self) -> MarkerText | None:
        found = await self._server.proxy(MARKER)
        return None if found is None else MarkerText.parse(found.upstream)

    async def _is_mine(self) -> bool:
        found = await self._read()
        return found is not None and found.run == self._run

    async def _create(self) -> bool:
        """False when somebody else was quicker."""
        body = {"name": MARKER, "listen": "127.0.0.1:0", "upstream": self._text(), "enabled": False}
        answer = await self._server.call("POST", "/proxies", body)
        if answer[0] == EXISTS:
            return False
        _must(answer, CREATED)
        return True

    async def _remove(self) -> None:
        _must(await self._server.call("DELETE", f"/proxies/{MARKER}"), 204, 404)

    async def _is_live(self, found: MarkerText) -> bool:
        """True if a run stands behind it: by its text, else because it is renewed."""
        left_s = found.until_s - wall_time_ns() / NS
        if 0 < left_s <= STALE_AFTER_S:
            return True
        deadline_ns = self._clock.now_ns() + round(WATCHED_S * NS)
        while self._clock.now_ns() < deadline_ns:
            await self._clock.sleep(LOOK_S)
            now = await self._read()
            if now != found:
                return now is not None
        return False


def _must(answer: tuple[int, object], *expected: int) -> None:
    status, body = answer
    if status not in expected:
        raise ToxiproxyError(f"proxy {MARKER}: toxiproxy answered {status}: {body}")


@asynccontextmanager
async def marking(run: Run) -> AsyncIterator[None]:
    """Hold the run's marker where one is needed, renewed from entering to leaving."""

    def journal(problem: str) -> None:
        run.journal.write(Phase(phase="marker", problem=problem))

    url = run.system.toxiproxy
    if url is None or not await is_remote(url, run.options.allowed):
        yield
        return
    marker = Marker(run.injection.toxiproxy(), run.id, run.clock)
    try:
        await marker.take()
    except ToxiproxyError as problem:  # preflight refuses, if a fault needs that server
        journal(f"{MARKER} cannot be set: {problem.message}")
        yield
        return
    renewing = asyncio.create_task(_renew(run, marker))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        try:
            await marker.drop()
        except GamedayError as problem:
            journal(f"{MARKER} is left to run out in {STALE_AFTER_S:g} s: {problem.message}")


async def _renew(run: Run, marker: Marker) -> None:
    while not (why := await marker.renew()):
        await run.clock.sleep(LEASE_S)
    run.abort("interrupted", why)


async def is_remote(url: str, allowed: Allowed) -> bool:
    """True if the address is another host's; an invalid address is left to the caller."""
    try:
        return not await allowed.resolves_here(urlsplit(url).hostname or "")
    except NoAddressError:
        return False
