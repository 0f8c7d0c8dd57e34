"""A removal that hangs or fails is pressed further, step by step, and ends in time either way.

Removed and read back, at once in nearly every case. Else, each step only after the one before it:
tried again; the proxy switched off, which drops the connections that hold the removal up, and on
again; the proxy deleted and made anew with the toxics that are not this run's; and, only on a
Toxiproxy that the run's stack started, `/reset`, then the server started anew and filled as it
was. If nothing helps, StuckFaultError says what to do.

A real Toxiproxy can wedge: `/version` answers, but nothing that touches the proxy's toxics does,
for good. Deleting such a proxy would hang the API of all the other proxies too, which may be
other people's. So that step, and `/reset`, need a server that still shows the proxy.

Whatever a step puts at risk is told with its own undo before it is taken, so that another process
can finish it.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar
from weakref import WeakValueDictionary

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import GamedayError, StuckFaultError
from gameday.injection import server_instance
from gameday.injection.drivers import proxy, service
from gameday.injection.removal_proof import State
from gameday.injection.toxiproxy_client import (
    Toxiproxy,
    ToxiproxyError,
    ToxiproxyGoneError,
    ToxiproxySilentError,
)
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.undos import NetworkUndo, ProxyState, ProxyUndo, ToxicUndo

REMOVE_S = 1.5  # at once, but for a server that waits for data that the toxic holds
READ_S = 0.8  # a list of proxies, which a server that is well answers at once
AGAIN_S = 1.0  # the server has had its time; what helps now helps soon
NUDGE_S = 0.6  # four of these steps fit into what is left of GONE_WITHIN_S
VERSION_S = 0.5  # `/version` takes no lock: it is answered by a wedged server too
RESTART_S = 3.0  # our own server, which is small
REFILL_S = 1.0  # all its proxies at once
_POLL_S = 0.2  # of a server that is being restarted

_CURES = {
    "answers": "look at {url}/proxies, and take out by hand what is there; then: gameday heal",
    "wedged": "restart the Toxiproxy at {url}, which takes its toxics with it, and make its "
    "proxies anew; then: gameday heal",
    "away": "see that the Toxiproxy at {url} answers again, or restart it, which takes its toxics "
    "with it; then: gameday heal",
}

Turns = WeakValueDictionary[str, asyncio.Lock]

R_contra = TypeVar("R_contra", bound=NetworkUndo, contravariant=True)


class Kind(Protocol[R_contra]):
    """Functions that take a kind of change on a Toxiproxy out, and look for it."""

    async def remove(self, record: R_contra, server: Toxiproxy) -> None: ...

    async def look(self, record: R_contra, server: Toxiproxy) -> State: ...


async def take_out(
    kind: Kind[R_contra], record: R_contra, policy: UndoPolicy, turns: Turns
) -> None:
    """Undo a change on a Toxiproxy, and read back that it is gone.

    Raises StuckFaultError with the cure when it is not. Takes some 9 s at most, `refused_s` aside.
    """
    await _Escalation(kind, record, policy, turns).run()


class _Escalation(Generic[R_contra]):
    """One removal, from the first attempt to the last resort."""

    def __init__(
        self, kind: Kind[R_contra], record: R_contra, policy: UndoPolicy, turns: Turns
    ) -> None:
        self._record = record
        self._kind = kind
        self._policy = policy
        self._clock = SystemClock()
        self._turns = turns
        self._server = Toxiproxy.of(record)
        self._proxy = record.proxy
        self._part = record.part
        self._switched = False
        self._problem = ""
        self._state: Literal["answers", "wedged", "away"] = "answers"

    async def run(self) -> None:
        if await self._first() or await self._gone_with_server():
            return
        if not self._policy.escalate or await self._is_lost():
            raise self._stuck()
        await self._policy.on_escalation("retry", self._problem, [])
        if await self._try(self._remove(AGAIN_S), NUDGE_S):
            return
        lock = self._turns.setdefault(self._server.url, asyncio.Lock())
        helped = lock.locked()  # by another fault on this server
        async with lock:
            if helped and await self._try(self._remove(AGAIN_S), NUDGE_S):
                return
            if await self._next_steps():
                return
        raise self._stuck()

    async def _first(self) -> bool:
        return await self._try(self._remove(REMOVE_S), READ_S)

    async def _next_steps(self) -> bool:
        """The steps that touch more than the fault itself."""
        for step in (self._switch, self._recreate, self._reset, self._restart):
            if await step():
                return True
        return False

    async def _try(self, act: Awaitable[None], read_s: float) -> bool:
        """Do it, and read back whether the fault is gone; `problem` says why it is not."""
        failed = await self._attempt(act)
        try:
            state = await self._look(self._server.within(read_s))
        except ToxiproxySilentError as error:
            self._problem = await self._diagnosis(error)
        except ToxiproxyError as error:
            self._state = "away" if isinstance(error, ToxiproxyGoneError) else "answers"
            self._problem = error.message
        else:
            self._state = "answers"
            slow = isinstance(failed, ToxiproxySilentError)
            why = failed.message if failed is not None else state.why
            self._problem = f"{why}; the server is slow, not wedged" if slow else why
            return state.gone is True
        return False

    async def _attempt(self, act: Awaitable[None]) -> GamedayError | None:
        """The error of the act, if any."""
        try:
            await act
        except GamedayError as error:
            return error
        return None

    async def _look(self, server: Toxiproxy) -> State:
        state = await self._kind.look(self._record, server)
        if not state.gone or not self._switched:
            return state
        found = await server.proxy(self._proxy)
        on = found is None or found.enabled
        return state if on else State(gone=False, why="its proxy is still switched off")

    async def _is_lost(self) -> bool:
        """True if there is nothing to press: the server answers, and shows no such proxy."""
        if self._state != "answers" or self._puts_back_whole():
            return False
        try:
            return await self._server.within(NUDGE_S).proxy(self._proxy) is None
        except ToxiproxyError:
            return False

    def _puts_back_whole(self) -> bool:
        return isinstance(self._record, ProxyUndo) and self._record.whole is not None

    async def _diagnosis(self, silent: ToxiproxySilentError) -> str:
        """A server that answers `/version` but not for its proxy is wedged; else it is away."""
        try:
            await self._server.within(VERSION_S).version()
        except ToxiproxyError:
            self._state = "away"
            return f"{silent.message}, nor for /version: it is stopped, overloaded or cut off"
        self._state = "wedged"
        return f"{silent.message}, though /version answers: it is wedged"

    async def _gone_with_server(self) -> bool:
        """True if it is known to have ended; waits for one that only refuses connections.

        Where its stack is gone, another server may listen at its address by now.
        """
        if await server_instance.gone_with(self._record.project):
            return True
        deadline_ns = self._clock.now_ns() + int(self._policy.refused_s * NS)
        while await self._refuses():
            if await server_instance.ended(self._record):
                return True
            if self._clock.now_ns() >= deadline_ns:
                return False
            await self._clock.sleep(_POLL_S)
            if await self._first():
                return True
        return False

    async def _refuses(self) -> bool:
        try:
            await self._server.within(VERSION_S).version()
        except ToxiproxyGoneError:
            return True
        except ToxiproxyError:
            return False
        return False

    async def _remove(self, timeout_s: float) -> None:
        await self._kind.remove(self._record, self._server.within(timeout_s))

    async def _switch(self) -> bool:
        """Off, removed, on again, even where one of the three fails."""
        was = (self._record.was or {}).get(self._proxy)
        if self._state == "away" or not (was is None or was.enabled):
            return False  # nobody would hear it, or its owner had it off
        if self._state == "wedged" and self._part is not None:
            return False  # it would only cost the time in which it is restarted
        on = proxy.restoring(self._record, self._proxy, None)
        await self._policy.on_escalation("switch", self._problem, [on])
        self._switched = True
        server = self._server.within(NUDGE_S)
        await self._attempt(server.enable(self._proxy, enabled=False))
        await self._attempt(self._remove(NUDGE_S))
        return await self._try(server.enable(self._proxy, enabled=True), NUDGE_S)

    async def _recreate(self) -> bool:
        """Deleted and made anew, where the server still shows what would be lost."""
        shown = await self._to_keep(alone=True)
        if self._proxy not in shown:
            return False
        await self._policy.on_escalation("recreate", self._problem, self._undos(shown))
        server = self._server.within(NUDGE_S)

        async def anew() -> None:
            await server.delete(self._proxy)
            await proxy.put_back(server, self._proxy, shown[self._proxy])

        return await self._try(anew(), NUDGE_S)

    async def _reset(self) -> bool:
        """Everything reset, and what was other people's put back; only on a server of ours."""
        shown = {} if self._part is None else await self._to_keep()
        if not shown:
            return False
        await self._policy.on_escalation("reset", self._problem, self._undos(shown))
        return await self._try(
            self._then_refill(self._server.within(REFILL_S).reset(), shown), READ_S
        )

    async def _restart(self) -> bool:
        """The server ended and started, and filled as it was; only one of ours."""
        if self._part is None:
            return False
        shown = await self._to_keep() or self._record.was or {}
        await self._policy.on_escalation("restart", self._problem, self._undos(shown))
        return await self._try(self._then_refill(self._start_anew(self._part), shown), READ_S)

    async def _start_anew(self, part: Path) -> None:
        try:
            async with asyncio.timeout(RESTART_S):
                await service.restart(part, self._clock)
        except TimeoutError as error:
            raise StuckFaultError(f"toxiproxy: not up again within {RESTART_S:g} s") from error

    async def _then_refill(self, act: Awaitable[None], shown: Mapping[str, ProxyState]) -> None:
        await act
        server = self._server.within(REFILL_S)
        await asyncio.gather(*(proxy.put_back(server, name, each) for name, each in shown.items()))

    async def _to_keep(self, *, alone: bool = False) -> Mapping[str, ProxyState]:
        """All proxies, or this one `alone`, without this run's toxics; none that is not shown."""
        if self._state != "answers":
            return {}
        server = self._server.within(NUDGE_S)
        try:
            found = await (server.proxy(self._proxy) if alone else server.proxies())
        except ToxiproxyError:
            return {}
        shown = {self._proxy: found} if isinstance(found, ProxyState) else found or {}
        return {name: self._whole(name, each) for name, each in shown.items()}

    def _whole(self, name: str, shown: ProxyState) -> ProxyState:
        """The proxy without this run's toxics; that of the fault itself is switched on again."""
        kept = proxy.whole(shown, self._record.ours or "")
        on = name == self._proxy and (self._switched or isinstance(self._record, ProxyUndo))
        return replace(kept, enabled=kept.enabled or on)

    def _undos(self, shown: Mapping[str, ProxyState]) -> list[ProxyUndo]:
        return [proxy.restoring(self._record, name, each) for name, each in shown.items()]

    def _stuck(self) -> StuckFaultError:
        record = self._record
        what = f"toxic {record.name!r}" if isinstance(record, ToxicUndo) else "its being off"
        left = "; the proxy may be switched off" if self._switched else ""
        return StuckFaultError(
            f"proxy {self._proxy!r}: {what} could not be read back as gone: {self._problem}{left}",
            help=_CURES[self._state].format(url=self._server.url),
        )
