"""Toxics: latency, timeouts, slow links and resets on a proxy.

A toxic is named `gameday-<run>-<n>`, and an undo never touches another name. What makes the real
server panic is refused where it is written, by the fields of `spec/faults/network.py`.
"""

from gameday.injection.context import InjectionContext
from gameday.injection.drivers import proxy
from gameday.injection.removal_proof import THERE, State
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.spec.changes import ToxicChange
from gameday.spec.undos import ToxicState, ToxicUndo


async def prepare(change: ToxicChange, context: InjectionContext) -> ToxicUndo:
    """Look whether the proxy is there, and say how the toxic will be taken out."""
    alone = {context.proxy_name(change.proxy): await context.proxy(change.proxy)}
    return await proxy.place(ToxicUndo, alone, context, name=context.next_name())


async def act(change: ToxicChange, undo: ToxicUndo, context: InjectionContext) -> None:
    """Add the toxic, under the name its undo knows."""
    toxic = ToxicState(
        name=undo.name,
        type=change.type,
        stream=change.stream,
        toxicity=change.toxicity,
        attributes=change.attributes,
    )
    await context.toxiproxy().add_toxic(undo.proxy, toxic)


async def look(record: ToxicUndo, server: Toxiproxy | None = None) -> State:
    """State of the toxic on its proxy. Raises ToxiproxyError when it cannot be read."""
    server = server or Toxiproxy.of(record)
    name = record.name
    found = await server.proxy(record.proxy)
    if found is None:
        return await proxy.not_shown(record, server, name)
    if name in found.toxic_names:
        return State(gone=False, why=THERE)
    return proxy.unless_masked(record)


async def elsewhere(record: ToxicUndo) -> str:
    """Another proxy of the server that has a toxic of that name, "" where none is seen soon."""
    try:
        shown = await Toxiproxy.of(record).within(proxy.LIST_S).proxies()
    except ToxiproxyError:
        return ""
    return next((name for name, each in shown.items() if record.name in each.toxic_names), "")


async def remove(record: ToxicUndo, server: Toxiproxy) -> None:
    """Remove the toxic. Raises ToxiproxyError."""
    await server.remove_toxic(record.proxy, record.name)
