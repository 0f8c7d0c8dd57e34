"""The file of proxies to start with: a JSON array, each entry as `/populate` takes it.

Toxiproxy logs what is wrong with such a file and runs on without the proxies; a test bench that
lacks its proxies is worse than one that does not start. So here the whole file is read and every
address looked up before the first proxy listens, and a mistake ends the program with its place.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.core import files
from gameday.core.errors import FileError, Place, StackError
from gameday.core.json_objects import Json
from gameday.toxiproxy import address
from gameday.toxiproxy.errors import BODY_ERROR, ApiError
from gameday.toxiproxy.go_json import excerpt, read_fields
from gameday.toxiproxy.proxies import FIELDS, ProxyCollection, Wanted

log = logging.getLogger(__name__)

SHAPE = 'write an array: [{"name": "redis", "listen": "127.0.0.1:0", "upstream": "host:6379"}]'
_BETWEEN = " \t\r\n,:"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ProxyEntry:
    """A proxy that the file asks for, and where in the file it does."""

    wanted: Wanted
    place: Place


async def create_all(proxies: ProxyCollection, path: Path) -> None:
    """Make each proxy of the file at `path`.

    Raises UsageError for a file that cannot be read, FileError for a mistake in it, both before
    any proxy listens, and StackError for an address that cannot be had.
    """
    entries = list(read(path))
    for entry in entries:
        if entry.wanted.enabled:
            await _look_up(entry)
    for entry in entries:
        try:
            await proxies.create(entry.wanted)
        except ApiError as error:
            problem = f"{entry.place}: proxy {entry.wanted.name!r}: {error.message}"
            raise StackError(
                problem, help="choose another listen address, port 0 for any"
            ) from error


async def _look_up(entry: ProxyEntry) -> None:
    try:
        await address.resolve(entry.wanted.listen)
    except ApiError as error:
        problem = f"proxy {entry.wanted.name!r}: listen: {error.message}"
        raise FileError(entry.place, problem, help="write host:port, port 0 for any") from error


def read(path: Path) -> Iterator[ProxyEntry]:
    """The proxies that the file asks for. Raises UsageError or FileError."""
    text = files.decode(files.read(path, files.SETTING_BYTES), str(path))
    value = _parsed(path, text)
    if not isinstance(value, list):
        where = _place(path, text, len(text) - len(text.lstrip()))
        raise FileError(where, f"{excerpt(value)} is not an array of proxies", help=SHAPE)
    names: set[str] = set()
    for item, at in zip(value, _items(text, text.index("[")), strict=True):
        entry = _entry(path, text, at, item)
        if entry.wanted.name in names:
            problem = f"a second proxy is named {entry.wanted.name!r}"
            raise FileError(entry.place, problem, help="give it a name of its own")
        names.add(entry.wanted.name)
        yield entry


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg.lower()}"
        raise FileError(_place(path, text, error.pos), problem, help=SHAPE) from error
    except RecursionError as error:
        raise FileError(_place(path, text, 0), "nested too deep", help=SHAPE) from error
    except ValueError as error:
        raise FileError(_place(path, text, 0), f"not JSON: {error}", help=SHAPE) from error


def _entry(path: Path, text: str, at: int, item: Any) -> ProxyEntry:
    place = _place(path, text, at)
    if not isinstance(item, dict):
        raise FileError(place, f"{excerpt(item)} is not a proxy", help=SHAPE)
    fields: Json = {}
    for key, key_at, value, value_at in _members(text, at):
        if key.lower() not in FIELDS:
            log.warning("%s: %r is not read", _place(path, text, key_at), key)
        try:
            fields = {**fields, **read_fields({key: value}, FIELDS)}
        except ApiError as error:
            problem = error.message.removeprefix(BODY_ERROR)
            raise FileError(_place(path, text, value_at), problem, help=SHAPE) from error
    wanted = Wanted(**fields)
    try:
        wanted.check()
    except ApiError as error:
        raise FileError(place, error.message, help=SHAPE) from error
    return ProxyEntry(wanted, place)


def _items(text: str, at: int) -> Iterator[int]:
    """The offset of each item of the array that begins at `at`; `text` is known to be JSON."""
    at = _skip(text, at + 1)
    while text[at] != "]":
        yield at
        _, end = _DECODER.raw_decode(text, at)
        at = _skip(text, end)


def _members(text: str, at: int) -> Iterator[tuple[str, int, Any, int]]:
    """Each member of the object that begins at `at`: its key, where it is, its value, where."""
    key_at = _skip(text, at + 1)
    while text[key_at] != "}":
        key, end = _DECODER.raw_decode(text, key_at)
        value_at = _skip(text, end)
        value, end = _DECODER.raw_decode(text, value_at)
        yield key, key_at, value, value_at
        key_at = _skip(text, end)


def _skip(text: str, at: int) -> int:
    while text[at] in _BETWEEN:
        at += 1
    return at


def _place(path: Path, text: str, at: int) -> Place:
    before = text[:at]
    return Place(str(path), before.count("\n") + 1, at - before.rfind("\n"))
