"""Compose projects of a stack: taken down whole, by whoever must.

A journal is a file that anybody may have edited, and what is removed is gone for good. So only
what bears both labels of the record is removed, and nothing by its name alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from gameday.core.clock import SystemClock
from gameday.core.errors import StuckFaultError
from gameday.injection import engine
from gameday.injection.engine import EngineError
from gameday.injection.removal_proof import GONE, State, masked_name, was_masked
from gameday.spec.undos import ProjectUndo

_ATTEMPTS = 5
_BETWEEN_S = 0.5  # a network stays for a moment where a container of it could not be started


async def undo(record: ProjectUndo) -> None:
    """Remove its containers, networks, volumes, and what was built for it. Harmless when gone.

    Raises StuckFaultError for what does not go.
    """
    try:
        left = await asyncio.to_thread(_take_down, record)
    except EngineError as error:
        raise StuckFaultError(error.message, help=error.help) from error
    if left:
        raise StuckFaultError(_still_there(record, left), help=_cure(record))


async def look(record: ProjectUndo) -> State:
    """State of the project: gone when its engine shows nothing of it."""
    if was_masked(record):
        return masked_name()
    try:
        left = await asyncio.to_thread(_names, record)
    except EngineError as error:
        return State(gone=None, why=error.message)
    return State(gone=False, why=_still_there(record, left)) if left else GONE


def _still_there(record: ProjectUndo, left: Sequence[str]) -> str:
    return f"project {record.name} on {record.engine}: still there: {', '.join(left)}"


def _cure(record: ProjectUndo) -> str:
    return f"docker-compose -p {record.name} down --volumes, then gameday heal again"


def _take_down(record: ProjectUndo) -> list[str]:
    """Remove it, again where something came up meanwhile; what is left."""
    left: list[str] = []
    for attempt in range(_ATTEMPTS):
        if attempt:
            SystemClock().pause(_BETWEEN_S)
        with engine.of(record) as client:
            for each in (*_things(client, record), *_nameless(client, record)):
                _remove(each)
            left = [_name(each) for each in _things(client, record)]
        if not left:
            break
    return left


def _names(record: ProjectUndo) -> list[str]:
    with engine.of(record) as client:
        return [_name(each) for each in _things(client, record)]


def _name(thing: Any) -> str:
    from docker.models.images import Image

    if isinstance(thing, Image):
        return f"image {(thing.tags or [thing.short_id])[0]}"
    return str(thing.name or thing.id)


def _things(client: Any, record: ProjectUndo) -> list[Any]:
    """What there is of it, in the order in which it can be removed.

    Of images those that have a name of ours: one that somebody has built on it has our label too.
    """
    ours = engine.filters(record)
    return [
        *client.containers.list(all=True, filters=ours, sparse=True, ignore_removed=True),
        *client.networks.list(filters=ours),
        *client.volumes.list(filters=ours),
        *(each for each in _images(client, record) if any(map(_is_ours, each.tags))),
    ]


def _images(client: Any, record: ProjectUndo) -> list[Any]:
    found: list[Any] = client.images.list(filters={"label": f"{engine.LABEL}={record.token}"})
    return found


def _nameless(client: Any, record: ProjectUndo) -> list[Any]:
    """Images of a build that was cut off: removed where that can be, and no proof of anything."""
    return [each for each in _images(client, record) if not each.tags]


def _is_ours(tag: str) -> bool:
    return tag.startswith(engine.BUILT)


def _remove(thing: Any) -> None:
    """Remove one; whatever is refused is seen by what is still there."""
    import docker.errors
    from docker.models.containers import Container
    from docker.models.images import Image

    removing: Callable[[], None] = thing.remove
    with suppress(docker.errors.APIError):
        if isinstance(thing, Container):
            thing.remove(force=True, v=True)
        elif isinstance(thing, Image):
            # By its names that are ours: one that somebody has given it keeps it.
            for name in filter(_is_ours, thing.tags or ()):
                thing.client.images.remove(name)
            if not thing.tags:
                thing.client.images.remove(thing.id)
        else:
            removing()
