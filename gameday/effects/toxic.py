"""Toxics: latency, timeouts, slow links and resets on a proxy.

A toxic is named `gameday-<run>-<n>`, and an undo never touches another name.
"""

from collections.abc import Mapping
from typing import Any

from gameday.changes import Change, Undo
from gameday.effects.site import Site
from gameday.effects.toxiproxy import Toxiproxy, ToxiproxyGoneError
from gameday.errors import UsageError


async def prepare(change: Change, site: Site) -> Undo:
    """Look whether the proxy is there, and say how the toxic will be taken out."""
    found = await site.proxy(change.data["proxy"])
    _check(change.data["type"], change.data["attributes"])
    where = {"url": site.toxiproxy().url, "proxy": found["name"]}
    return Undo("toxic", {**where, "name": site.next_name()})


async def act(change: Change, undo: Undo, site: Site) -> None:
    """Add the toxic, under the name its undo knows."""
    toxic = {key: change.data[key] for key in ("type", "stream", "toxicity", "attributes")}
    server = site.toxiproxy()
    await server.add_toxic(undo.data["proxy"], {"name": undo.data["name"], **toxic})


async def undo(record: Undo) -> None:
    """Remove the toxic. A server that is not there any more has no toxics either."""
    data = record.data
    try:
        await Toxiproxy(data["url"]).remove_toxic(data["proxy"], data["name"])
    except ToxiproxyGoneError:
        return


async def read_back(record: Undo) -> bool:
    """Read back: no toxic of that name. Raises ToxiproxyError when it cannot be read."""
    try:
        names = await Toxiproxy(record.data["url"]).toxic_names(record.data["proxy"])
    except ToxiproxyGoneError:
        return True
    return names is None or record.data["name"] not in names


def _check(kind: str, attributes: Mapping[str, Any]) -> None:
    """Refuse what makes the real server panic: a rate below 0, a jitter of 2^62 and more."""
    for name, value in attributes.items():
        lowest = 1 if name == "rate" else 0
        if not lowest <= value < 2**53:
            raise UsageError(f"{kind} toxic: {name} = {value} is outside {lowest}..2^53")
