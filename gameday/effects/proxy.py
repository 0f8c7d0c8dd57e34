"""Proxies switched off: whoever connects is refused, and open connections are closed."""

from gameday.changes import Change, Undo
from gameday.effects.site import Site
from gameday.effects.toxiproxy import Toxiproxy, ToxiproxyError, ToxiproxyGoneError


async def prepare(change: Change, site: Site) -> Undo:
    """Look whether the proxy is on; it is put back to what it was."""
    found = await site.proxy(change.data["proxy"])
    url, name = site.toxiproxy().url, found["name"]
    if not found["enabled"]:
        raise ToxiproxyError(f"toxiproxy {url}: proxy {name!r} is already disabled")
    return Undo("proxy", {"url": url, "proxy": name, "enabled": True})


async def act(change: Change, undo: Undo, site: Site) -> None:
    """Switch it off."""
    server = site.toxiproxy()
    await server.enable(undo.data["proxy"], enabled=change.data["enabled"])


async def undo(record: Undo) -> None:
    """Switch it on again, if it was on."""
    try:
        server = Toxiproxy(record.data["url"])
        if await server.proxy(record.data["proxy"]) is None:
            return  # somebody has removed it: there is nothing to switch on
        await server.enable(record.data["proxy"], enabled=record.data["enabled"])
    except ToxiproxyGoneError:
        return


async def read_back(record: Undo) -> bool:
    """Read back: the proxy is as it was before."""
    try:
        found = await Toxiproxy(record.data["url"]).proxy(record.data["proxy"])
    except ToxiproxyGoneError:
        return True
    return found is None or found["enabled"] == record.data["enabled"]
