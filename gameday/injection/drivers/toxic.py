"""Toxics: latency, timeouts, slow links and resets on a proxy.

A toxic is named `gameday-<run>-<n>`, and an undo never touches another name. What makes the real
server panic, or what it would ignore in silence, is never sent.
"""

from collections.abc import Mapping

from gameday.core.errors import UsageError
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import proxy
from gameday.injection.proof import THERE, State
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError, names_of
from gameday.spec.changes import ToxicChange
from gameday.spec.undos import ToxicUndo

_MOST = 2**31 - 1  # the server counts nanoseconds in 64 bits, and draws from twice a jitter
_MOST_BYTES = 2**53
# Each type's attributes, and the least and the most of each.
_ATTRIBUTES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "latency": {"latency": (0, _MOST), "jitter": (0, _MOST)},
    "bandwidth": {"rate": (1, _MOST)},
    "slow_close": {"delay": (0, _MOST)},
    "timeout": {"timeout": (0, _MOST)},
    "reset_peer": {"timeout": (0, _MOST)},
    "slicer": {"average_size": (1, _MOST), "size_variation": (0, _MOST), "delay": (0, _MOST)},
    "limit_data": {"bytes": (0, _MOST_BYTES)},
    "noop": {},
}


async def prepare(change: ToxicChange, context: InjectionContext) -> ToxicUndo:
    """Look whether the proxy is there, and say how the toxic will be taken out."""
    check(change)
    found = await context.proxy(change.proxy)
    return await proxy.place(ToxicUndo, found, context, name=context.next_name())


async def act(change: ToxicChange, undo: ToxicUndo, context: InjectionContext) -> None:
    """Add the toxic, under the name its undo knows."""
    body = {
        "name": undo.name,
        "type": change.type,
        "stream": change.stream,
        "toxicity": change.toxicity,
        "attributes": change.attributes,
    }
    await context.toxiproxy().add_toxic(undo.proxy, body)


async def look(record: ToxicUndo, server: Toxiproxy | None = None) -> State:
    """State of the toxic on its proxy. Raises ToxiproxyError when it cannot be read."""
    server = server or Toxiproxy.of(record)
    name = record.name
    found = await server.proxy(record.proxy)
    if found is None:
        return await proxy.not_shown(record, server, name)
    if name in names_of(found):
        return State(gone=False, why=THERE)
    return proxy.unless_masked(record)


async def elsewhere(record: ToxicUndo) -> str:
    """Another proxy of the server that has a toxic of that name, "" where none is seen soon."""
    try:
        shown = await Toxiproxy.of(record).within(proxy.LIST_S).proxies()
    except ToxiproxyError:
        return ""
    return next((name for name, each in shown.items() if record.name in names_of(each)), "")


async def remove(record: ToxicUndo, server: Toxiproxy) -> None:
    """Remove the toxic. Raises ToxiproxyError."""
    await server.remove_toxic(record.proxy, record.name)


def check(change: ToxicChange) -> None:
    """Refuse what the real server panics on or leaves out in silence. Raises UsageError."""
    kind, attributes = change.type, change.attributes
    known = _ATTRIBUTES.get(kind)
    if known is None:
        raise UsageError(f"{kind!r} is no toxic", help=f"there are {', '.join(_ATTRIBUTES)}")
    for name, value in attributes.items():
        if name not in known:
            told = ", ".join(known) or "none"
            raise UsageError(f"{kind} toxic: it has no {name!r}", help=f"its attributes: {told}")
        lowest, highest = known[name]
        if type(value) is not int or not lowest <= value <= highest:
            raise UsageError(f"{kind} toxic: {name} = {value} is no integer {lowest}..{highest}")
    if kind == "slicer":
        _check_slices(attributes)
    _check_share(change)


def _check_share(change: ToxicChange) -> None:
    if change.stream not in ("upstream", "downstream"):
        raise UsageError(f"stream {change.stream!r} is neither 'upstream' nor 'downstream'")
    if not 0 < change.toxicity <= 1:
        raise UsageError(f"toxicity = {change.toxicity} is no share of the connections, 0 to 1")


def _check_slices(attributes: Mapping[str, int]) -> None:
    average, variation = attributes.get("average_size", 0), attributes.get("size_variation", 0)
    if variation >= average:
        raise UsageError(
            f"slicer toxic: size_variation = {variation} is not below average_size = {average}",
            help="a Toxiproxy server may end with a panic over it",
        )
