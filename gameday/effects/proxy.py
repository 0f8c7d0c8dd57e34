"""Proxies switched off: whoever connects is refused, and open connections are closed.

The same kind of record puts a whole proxy back (`whole`), toxics of others included, where
taking out a stuck fault had to touch more than the fault.
"""

from collections.abc import Mapping
from typing import Any

from gameday.changes import Change, Undo
from gameday.core.loop import allowed_here
from gameday.effects.site import Site
from gameday.effects.toxiproxy import Toxiproxy, ToxiproxyError, ToxiproxyGoneError, names_of
from gameday.effects.upstream import refuse_foreign_upstream

OWN_SERVER = "toxiproxy"  # the part of a stack that is its Toxiproxy


async def prepare(change: Change, site: Site) -> Undo:
    """Look whether the proxy is on; it is put back to what it was."""
    found = await site.proxy(change.data["proxy"])
    url, name = site.toxiproxy().url, found["name"]
    if not found["enabled"]:
        raise ToxiproxyError(f"toxiproxy {url}: proxy {name!r} is already disabled")
    return Undo("proxy", {**await place(found, site), "enabled": True})


async def place(found: Mapping[str, Any], site: Site) -> dict[str, Any]:
    """Where a change is made, and what is needed should undoing it get stuck.

    `ours` begins the names of this run's toxics. `part` says how the server is started, where the
    stack started it; then `was` has all its proxies, which a new start would lose, else this one.
    """
    server = site.toxiproxy()
    part = site.direct.parts.get(OWN_SERVER)
    shown = {found["name"]: found} if part is None else await server.proxies()
    return {
        **server.place,
        "proxy": found["name"],
        "ours": site.ours,
        "part": None if part is None else str(part),
        "was": {name: whole(each, site.ours) for name, each in shown.items()},
    }


def whole(shown: Mapping[str, Any], ours: str) -> dict[str, Any]:
    """A proxy as the server shows it, without this run's toxics: what must not get lost."""
    toxics = [t for t in shown.get("toxics") or [] if not _is_ours(t["name"], ours)]
    kept = {key: shown.get(key, "") for key in ("listen", "upstream")}
    return {**kept, "enabled": shown["enabled"], "toxics": toxics}


def _is_ours(name: str, ours: str) -> bool:
    return ours != "" and name.startswith(ours) and name.removeprefix(ours).isdecimal()


async def act(change: Change, undo: Undo, site: Site) -> None:
    """Switch it off."""
    server = site.toxiproxy()
    await server.enable(undo.data["proxy"], enabled=change.data["enabled"])


async def undo(record: Undo) -> None:
    """Switch it on again, if it was on."""
    try:
        await remove(record, Toxiproxy.of(record.data))
    except ToxiproxyGoneError:
        return


async def read_back(record: Undo) -> bool:
    """Read back: the proxy is as it was before."""
    try:
        return await is_gone(record, Toxiproxy.of(record.data))
    except ToxiproxyGoneError:
        return True


async def remove(record: Undo, server: Toxiproxy) -> None:
    """Switch it to what it was, or put it back whole. Raises ToxiproxyError."""
    name = record.data["proxy"]
    if "whole" in record.data:
        await put_back(server, name, record.data["whole"])
    elif await server.proxy(name) is not None:  # else somebody has removed it
        await server.enable(name, enabled=record.data["enabled"])


async def is_gone(record: Undo, server: Toxiproxy) -> bool:
    """Whether the proxy is as it was. Raises ToxiproxyError."""
    found = await server.proxy(record.data["proxy"])
    if "whole" not in record.data:
        return found is None or found["enabled"] == record.data["enabled"]
    wanted = record.data["whole"]
    return (
        found is not None
        and found["enabled"] == wanted["enabled"]
        and set(names_of(wanted)) <= set(names_of(found))
    )


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
