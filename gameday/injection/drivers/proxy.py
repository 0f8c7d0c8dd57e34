"""Proxies switched off, or off and on in turns: connections are refused, open ones closed.

Off and on in turns is work of the process that acted. The one record, which switches the proxy
on, is there before the first time off and takes back every later one.

The same kind of record puts a whole proxy back (`whole`), toxics of others included, where
taking out a stuck fault had to touch more than the fault.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from itertools import count
from typing import Any, TypeVar

from gameday.core.clock import NS, Clock, boottime_ns
from gameday.core.network.event_loop import allowed_here
from gameday.injection import server_instance
from gameday.injection.context import InjectionContext
from gameday.injection.removal_proof import GONE, THERE, State, masked_name, was_masked
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.injection.upstream import refuse_foreign_upstream
from gameday.spec.changes import ProxyDown, ProxyFlap
from gameday.spec.undos import NetworkUndo, ProxyState, ProxyUndo, TokenFile

N = TypeVar("N", bound=NetworkUndo)

OWN_SERVER = "toxiproxy"  # the part of a stack that is its Toxiproxy
LIST_S = 1.0  # what is asked for only to be on the safe side must not hold up the fault
SWITCH_S = 1.0  # a switch that is later shows in the times down, and is told (LATE_S)
LATE_S = 2.5  # half of what a controller may be silent for before the reaper takes its faults out
MARKER = "gameday-lock"  # what a run on another host's server holds (`run.remote_lock`)


async def prepare(change: ProxyDown, context: InjectionContext) -> ProxyUndo:
    """Look whether the proxy is on; it is put back to what it was."""
    found, name = await context.proxy(change.proxy), context.proxy_name(change.proxy)
    if not found.enabled:
        url = context.toxiproxy().url
        raise ToxiproxyError(f"toxiproxy {url}: proxy {name!r} is already disabled")
    return await place(ProxyUndo, {name: found}, context, enabled=True)


async def place(
    undo: type[N], alone: Mapping[str, ProxyState], context: InjectionContext, **own: Any
) -> N:
    """Undo of a change on the proxy `alone`, with all that is needed if its undoing gets stuck."""
    server = context.toxiproxy()
    part = context.direct.parts.get(OWN_SERVER)
    (name,) = alone
    shown = await (server.proxies() if part is not None else _all_or(alone, server))
    kept = alone if part is None else shown
    token_file = server.token_file
    return undo(
        url=server.url,
        bearer=None if token_file is None else TokenFile(file=token_file),
        proxy=name,
        ours=context.toxic_prefix,
        part=part,
        instance=server_instance.of(part),
        project=context.direct.project,
        names=tuple(sorted(shown)),
        was={name: whole(each, context.toxic_prefix) for name, each in kept.items()},
        **own,
    )


async def _all_or(alone: Mapping[str, ProxyState], server: Toxiproxy) -> Mapping[str, ProxyState]:
    """All proxies of somebody's server; the one that is known where it does not list them soon."""
    try:
        return {**await server.within(LIST_S).proxies(), **alone}
    except ToxiproxyError:
        return alone


def restoring(record: NetworkUndo, proxy: str, wanted: ProxyState | None) -> ProxyUndo:
    """Undo that puts a proxy of the same server back whole, as `wanted`, or else switches it on."""
    return ProxyUndo(
        url=record.url,
        bearer=record.bearer,
        proxy=proxy,
        part=record.part,
        instance=record.instance,
        project=record.project,
        names=record.names,
        enabled=True if wanted is None else None,
        whole=wanted,
    )


def whole(shown: ProxyState, prefix: str) -> ProxyState:
    """A proxy as the server shows it, without this run's toxics: what must not get lost."""
    toxics = tuple(each for each in shown.toxics if not _is_ours(each.name, prefix))
    return replace(shown, toxics=toxics)


def _is_ours(name: str, prefix: str) -> bool:
    return prefix != "" and name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


async def act(change: ProxyDown, undo: ProxyUndo, context: InjectionContext) -> None:
    """Switch it off."""
    server = context.toxiproxy()
    await server.enable(undo.proxy, enabled=change.enabled)


async def flap(change: ProxyFlap, undo: ProxyUndo, seed: int, clock: Clock) -> None:
    """Switch a proxy that is off on and off in turns, until cancelled.

    A process that was stopped for long leaves off: by now somebody else has taken the fault out.
    """
    server = Toxiproxy.of(undo).within(SWITCH_S)
    for n in count():
        length_s = flap_ms(change, seed, n) / 1000
        due_ns = boottime_ns() + int(length_s * NS)
        await clock.sleep(length_s)
        if boottime_ns() - due_ns > LATE_S * NS:
            return
        switching = asyncio.create_task(_switch(server, undo.proxy, enabled=n % 2 == 0))
        try:
            await asyncio.shield(switching)
        except asyncio.CancelledError:
            await asyncio.wait({switching})  # what takes it back must come after what is on its way
            raise


async def _switch(server: Toxiproxy, name: str, *, enabled: bool) -> None:
    try:
        await server.enable(name, enabled=enabled)
    except ToxiproxyError:
        return  # the next turn tries again, and the witnesses will say what came of it


def flap_ms(change: ProxyFlap, seed: int, n: int) -> float:
    """The length of the `n`-th time, 0 the first one off; the same for the same seed."""
    digest = blake2b(f"{seed}/flap/{change.proxy}/{n}".encode(), digest_size=8).digest()
    shift = 2 * int.from_bytes(digest, "little") / 2**64 - 1
    return (change.up_ms if n % 2 else change.down_ms) + shift * change.jitter_ms


async def remove(record: ProxyUndo, server: Toxiproxy) -> None:
    """Switch it to what it was, or put it back whole. Raises ToxiproxyError."""
    if record.whole is not None:
        await put_back(server, record.proxy, record.whole)
    elif await server.proxy(record.proxy) is not None:  # else somebody has removed it
        await server.enable(record.proxy, enabled=record.on)


async def look(record: ProxyUndo, server: Toxiproxy | None = None) -> State:
    """State of the proxy: gone when it is as it was. Raises ToxiproxyError if it cannot be read."""
    server = server or Toxiproxy.of(record)
    found, wanted = await server.proxy(record.proxy), record.whole
    if wanted is None and found is None:
        return await not_shown(record, server)
    if found is None or found.enabled != record.on:
        return State(gone=False, why=THERE)
    if wanted is not None and not set(wanted.toxic_names) <= set(found.toxic_names):
        return State(gone=False, why=THERE)
    return unless_masked(record)


async def not_shown(record: NetworkUndo, server: Toxiproxy, toxic: str = "") -> State:
    """State for a server that shows no proxy of that name. Raises ToxiproxyError."""
    ended = await server_instance.ended(record)
    if ended:
        return State(gone=True, why=ended)
    shown = await server.proxies()
    for name, each in shown.items():
        if toxic and toxic in each.toxic_names:
            return State(gone=False, why=f"it is on proxy {name!r} of {server.url}")
    before = set(record.names or record.was or ())
    missing = f"{server.url} has no proxy {record.proxy!r}"
    if was_masked(record) or record.proxy not in before:
        return State(gone=None, why=f"{missing}, and is not known to have had it")
    others = shown.keys() - {MARKER}
    if others and not others & before:
        why = f"{missing} and none that it had before: it may be another server"
        return State(gone=None, why=why)
    return State(gone=True, why=f"{missing} any more, and nothing of this run")


def unless_masked(record: NetworkUndo) -> State:
    """Gone, unless a name in the record is not what it was: then it was not the thing itself."""
    return masked_name() if was_masked(record) else GONE


async def put_back(server: Toxiproxy, name: str, wanted: ProxyState) -> None:
    """Make the proxy unless it is there, with the toxics it lacks, and on or off as it was.

    A new one is switched on last, so that nobody passes through it without those toxics.
    """
    found = await server.proxy(name)
    if found is None:
        await refuse_foreign_upstream(name, wanted.upstream, server.url, allowed_here())
        found = replace(wanted, enabled=False, toxics=())
        await server.create(name, found)
    for toxic in wanted.toxics:
        if toxic.name not in found.toxic_names:
            await server.add_toxic(name, toxic)
    if found.enabled != wanted.enabled:
        await server.enable(name, enabled=wanted.enabled)
