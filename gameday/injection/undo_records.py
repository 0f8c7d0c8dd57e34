"""Fields that an undo record of gameday must hold; checked before anything is done with it.

A record comes from a file, and not every file is what it should be. One that lacks what undoing
needs, or holds something else in its place, is no order that could be obeyed: what it stands for
is unknown, and no number in it is ever taken for a process that it does not mean.
"""

import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gameday.core.errors import UnknownError
from gameday.spec.changes import Undo

Check = Callable[[Any], bool]

LARGEST_PID = 2**22  # of Linux; others have fewer
_REFERENCES = ({"env"}, {"file"})


class NoRecordError(UnknownError):
    """An undo record that gameday has not written like that."""


def must_be_ours(record: Undo) -> None:
    """Raise NoRecordError for a record that lacks what undoing it needs, or mistakes it."""
    if record.kind not in _NEEDED:
        raise _not_ours(record, f"the kind {record.kind!r:.80} is not known")
    needed = _NEEDED[record.kind]
    if record.kind == "service" and record.data.get("what") == "continue":
        needed = {**needed, **_NEEDED["process"]}
    for name, check in needed.items():
        if not check(record.data.get(name)):
            value = f"{record.data[name]!r:.80}" if name in record.data else "missing"
            raise _not_ours(record, f"{name!r} is {value}")
    for name, check in _OPTIONAL.items():
        if record.data.get(name) not in (None, "") and not check(record.data[name]):
            raise _not_ours(record, f"{name!r} is {record.data[name]!r:.80}")


def references(value: object) -> Iterator[str]:
    """Every `{env: NAME}` and `{file: PATH}` in a record, as people write it."""
    if isinstance(value, Mapping):
        if value.keys() in _REFERENCES and all(isinstance(each, str) for each in value.values()):
            ((key, name),) = value.items()
            yield f"{{{key}: {name}}}"
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from references(each)


def _not_ours(record: Undo, what: str) -> NoRecordError:
    return NoRecordError(
        f"unknown: the record is not one of gameday's: {record.kind!s:.40}: {what}",
        help="look at the run's journal, and at what it was run on",
    )


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _url(value: Any) -> bool:
    try:
        return _text(value) and urlsplit(value).scheme in ("http", "https")
    except ValueError:
        return False


def _path(value: Any) -> bool:
    return _text(value) and Path(value).is_absolute() and ".." not in Path(value).parts


def _pid(value: Any) -> bool:
    return type(value) is int and 1 < value <= LARGEST_PID


def _start_time(value: Any) -> bool:
    return isinstance(value, str)  # "" where it had ended before it was journaled


def _signal(value: Any) -> bool:
    return isinstance(value, str) and value in signal.Signals.__members__


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _reference(value: Any) -> bool:
    """True for a reference that `references` knows; nothing else may stand beside its name."""
    return _object(value) and value.keys() in _REFERENCES and all(map(_text, value.values()))


def _token_file(value: Any) -> bool:
    return _object(value) and value.keys() == {"file"} and _path(value["file"])


def _one_of(*words: str) -> Check:
    return lambda value: value in words if isinstance(value, str) else False


def _proxies(value: Any) -> bool:
    """Proxies by name, each as a server would show it."""
    return _object(value) and all(_whole(each) for each in value.values())


def _whole(value: Any) -> bool:
    if not (_object(value) and isinstance(value.get("enabled"), bool)):
        return False
    toxics = value.get("toxics", [])
    return isinstance(toxics, list) and all(
        _object(toxic) and _text(toxic.get("name")) for toxic in toxics
    )


_NEEDED: Mapping[str, Mapping[str, Check]] = {
    "toxic": {"url": _url, "proxy": _text, "name": _text},
    "proxy": {"url": _url, "proxy": _text},
    "traffic": {"scenario": _text},
    "service": {"what": _one_of("continue", "start"), "part": _path},
    "process": {"pid": _pid, "start_time": _start_time, "name": _text},
    "folder": {"path": _path},
    "request": {"base_url": _url, "request": _object},
    "redis": {"do": _text, "url": _reference, "name": _text},
    "sql": {"do": _text, "dsn": _reference, "name": _text},
}


def _instance(value: Any) -> bool:
    fields: Mapping[str, Check] = {"pid": _pid, "start_time": _text, "seen_from": _start_time}
    return _object(value) and all(check(value.get(name)) for name, check in fields.items())


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _server(value: Any) -> bool:
    texts, times = ("at", "id"), ("began_s", "now_s")
    return (
        _object(value)
        and all(isinstance(value.get(name), str) for name in texts)
        and all(type(value.get(name)) in (int, float) for name in times)
    )


_OPTIONAL: Mapping[str, Check] = {
    "instance": _instance,
    "names": _names,
    "server": _server,
    "ours": _text,
    "part": _path,
    "was": _proxies,
    "whole": _whole,
    "enabled": _truth,
    "forget": _truth,
    "token": lambda value: isinstance(value, str) and "\0" not in value,
    "bearer": _token_file,
    "signal": _signal,
    "mark": _text,
    "seen_from": _text,
    "values": _object,
    "tls": _object,
    "keys": _object,
    "lasts": _truth,
}
