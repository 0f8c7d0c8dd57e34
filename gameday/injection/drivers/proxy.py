"""Proxies switched off: whoever connects is refused, and open connections are closed.

The same kind of record puts a whole proxy back (`whole`), toxics of others included, where
taking out a stuck fault had to touch more than the fault.
"""

from collections.abc import Mapping
from typing import Any

from gameday.core.network.event_loop import allowed_here
from gameday.injection import server_instance
from gameday.injection.context import InjectionContext
from gameday.injection.proof import GONE, THERE, State, masked_name, was_masked
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError, names_of
from gameday.injection.upstream import refuse_foreign_upstream
from gameday.spec.changes import ProxyDown, Undo

OWN_SERVER = "toxiproxy"  # the part of a stack that is its Toxiproxy
LIST_S = 1.0
MARKER = "gameday-lock"  # what a run on another host's server holds (`controller.marker`)


async def prepare(change: ProxyDown, context: InjectionContext) -> Undo:
    """Look whether the proxy is on; it is put back to what it was."""
    found = await context.proxy(change.proxy)
    url, name = context.toxiproxy().url, found["name"]
    if not found["enabled"]:
        raise ToxiproxyError(f"toxiproxy {url}: proxy {name!r} is already disabled")
    return Undo("proxy", {**await place(found, context), "enabled": True})


async def place(found: Mapping[str, Any], context: InjectionContext) -> dict[str, Any]:
    """Address of a change on a proxy, with all that is needed if its undoing gets stuck.

    `ours` begins the names of this run's toxics. `part` says how the server is started, where the
    stack started it; then `was` has all its proxies, which a new start would lose, else this one.
    `names` are all its proxies, and `instance` its process where it is ours: by them a server that
    was restarted since is known.
    """
    server = context.toxiproxy()
    part = context.direct.parts.get(OWN_SERVER)
    alone = {found["name"]: found}
    shown = await (server.proxies() if part is not None else _all_or(alone, server))
    kept = alone if part is None else shown
    return {
        **server.place,
        "proxy": found["name"],
        "ours": context.toxic_prefix,
        "part": None if part is None else str(part),
        **server_instance.of(part),
        "names": sorted(shown),
        "was": {name: whole(each, context.toxic_prefix) for name, each in kept.items()},
    }


async def _all_or(alone: Mapping[str, Any], server: Toxiproxy) -> Mapping[str, Any]:
    """All proxies of somebody's server; the one that is known where it does not list them soon."""
    try:
        return {**await server.within(LIST_S).proxies(), **alone}
    except ToxiproxyError:
        return alone


def identity(data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a record that identify its server, for another record of the same one."""
    return {key: data[key] for key in ("part", "instance", "names") if key in data}


def whole(shown: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """A proxy as the server shows it, without this run's toxics: what must not get lost."""
    toxics = [t for t in shown.get("toxics") or [] if not _is_ours(t["name"], prefix)]
    kept = {key: shown.get(key, "") for key in ("listen", "upstream")}
    return {**kept, "enabled": shown["enabled"], "toxics": toxics}


def _is_ours(name: str, prefix: str) -> bool:
    return prefix != "" and name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


async def act(change: ProxyDown, undo: Undo, context: InjectionContext) -> None:
    """Switch it off."""
    server = context.toxiproxy()
    await server.enable(undo.data["proxy"], enabled=change.enabled)


async def remove(record: Undo, server: Toxiproxy) -> None:
    """Switch it to what it was, or put it back whole. Raises ToxiproxyError."""
    name = record.data["proxy"]
    if "whole" in record.data:
        await put_back(server, name, record.data["whole"])
    elif await server.proxy(name) is not None:  # else somebody has removed it
        await server.enable(name, enabled=record.data["enabled"])


async def look(record: Undo, server: Toxiproxy | None = None) -> State:
    """State of the proxy: gone when it is as it was. Raises ToxiproxyError if it cannot be read."""
    data = record.data
    server = server or Toxiproxy.of(data)
    found = await server.proxy(data["proxy"])
    wanted = data.get("whole")
    if wanted is None and found is None:
        return await not_shown(data, server)
    if found is None or found["enabled"] != (wanted or data)["enabled"]:
        return State(gone=False, why=THERE)
    if wanted is not None and not set(names_of(wanted)) <= set(names_of(found)):
        return State(gone=False, why=THERE)
    return unless_masked(data)


async def not_shown(data: Mapping[str, Any], server: Toxiproxy, toxic: str = "") -> State:
    """State for a server that shows no proxy of that name. Raises ToxiproxyError."""
    ended = server_instance.ended(data)
    if ended:
        return State(gone=True, why=ended)
    shown = await server.proxies()
    for name, each in shown.items():
        if toxic and toxic in names_of(each):
            return State(gone=False, why=f"it is on proxy {name!r} of {server.url}")
    before = set(data.get("names") or data.get("was") or ())
    missing = f"{server.url} has no proxy {data['proxy']!r}"
    if was_masked(data) or data["proxy"] not in before:
        return State(gone=None, why=f"{missing}, and is not known to have had it")
    others = shown.keys() - {MARKER}
    if others and not others & before:
        why = f"{missing} and none that it had before: it may be another server"
        return State(gone=None, why=why)
    return State(gone=True, why=f"{missing} any more, and nothing of this run")


def unless_masked(data: Mapping[str, Any]) -> State:
    """Gone, unless a name in the record is not what it was: then it was not the thing itself."""
    return masked_name() if was_masked(data) else GONE


async def put_back(server: Toxiproxy, name: str, wanted: Mapping[str, Any]) -> None:
    """Make the proxy unless it is there, with the toxics it lacks, and on or off as it was.

    A new one is switched on last, so that nobody passes through it without those toxics.
    """
    found = await server.proxy(name)
    if found is None:
        await refuse_foreign_upstream({**wanted, "name": name}, server.url, allowed_here())
        where = {key: wanted[key] for key in ("listen", "upstream")}
        await server.create({"name": name, **where, "enabled": False})
        found = {"enabled": False}
    present = set(names_of(found))
    for toxic in wanted["toxics"]:
        if toxic["name"] not in present:
            await server.add_toxic(name, toxic)
    if found["enabled"] != wanted["enabled"]:
        await server.enable(name, enabled=wanted["enabled"])
