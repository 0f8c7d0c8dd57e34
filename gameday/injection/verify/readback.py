"""Read-back of a change: it must be in place in all its fields, not only by its name.

Another tool may have taken the toxic out, switched it off for every connection, turned it round
or moved the proxy; its name would still be there.
"""

from collections.abc import Mapping

from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.injection.drivers import Drivers
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyGoneError
from gameday.spec.changes import Change, ToxicChange
from gameday.spec.undos import NetworkUndo, ProxyState, ToxicUndo, Undo

Place = tuple[bool | None, Message]
IN_PLACE = (True, Message("readback.in_place"))


async def in_place(
    drivers: Drivers,
    change: Change,
    undo: Undo,
    before: ProxyState | None = None,
    environment: Mapping[str, str] | None = None,
) -> Place:
    """True if it is there, None when that cannot be read; and why it is not.

    `before` is the proxy as it was when the fault began; a store's secrets are in `environment`.
    """
    try:
        if isinstance(undo, NetworkUndo):
            there, why = _as_asked(change, undo, await proxy_of(undo), before)
            if not there or isinstance(undo, ToxicUndo):
                return there, why
        back = await drivers.read_back(undo, environment)
    except ToxiproxyGoneError:
        return False, Message("readback.no_toxiproxy")
    except GamedayError as error:
        return None, Message("readback.failed", error=error.message)
    if back is None:
        return None, Message("readback.nothing_tells")
    return (False, Message("readback.not_there")) if back else IN_PLACE


async def proxy_of(undo: NetworkUndo) -> ProxyState | None:
    """The proxy that a change of the network is on, as its server shows it now."""
    return await Toxiproxy.of(undo).proxy(undo.proxy)


def _as_asked(
    change: Change, undo: NetworkUndo, found: ProxyState | None, before: ProxyState | None
) -> Place:
    """True if the proxy is the same, and a toxic on it as it was asked for."""
    if found is None:
        return False, Message("readback.no_proxy", proxy=repr(undo.proxy))
    for key in ("listen", "upstream"):
        was, now = getattr(before or found, key), getattr(found, key)
        if now != was:
            return False, Message(f"readback.proxy_{key}", now=now, was=was)
    if not (isinstance(change, ToxicChange) and isinstance(undo, ToxicUndo)):
        return IN_PLACE
    if not found.enabled:
        return False, Message("readback.proxy_disabled")
    return _toxic(change, undo.name, found)


def _toxic(change: ToxicChange, name: str, found: ProxyState) -> Place:
    mine = [toxic for toxic in found.toxics if toxic.name == name]
    if not mine:
        return False, Message("readback.no_toxic")
    there = mine[0]
    if there.type != change.type:
        return False, _other("type", there.type)
    if there.stream.lower() != change.stream:
        return False, _other("stream", there.stream)
    # The real server keeps the toxicity as a 32-bit number.
    if abs(there.toxicity - change.toxicity) > 1e-6:
        return False, _other("toxicity", there.toxicity)
    for key, asked in change.attributes.items():
        has = there.attributes.get(key)
        if has != asked:
            return False, Message("readback.attribute", name=key, now=str(has), asked=asked)
    return IN_PLACE


def _other(name: str, now: object) -> Message:
    """The toxic has another value of that name."""
    return Message("readback.other", name=name, now=str(now))
