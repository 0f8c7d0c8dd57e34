"""Fields of a record that somebody may have forged: read from JSON with their checks, and written.

The type of a field says how it is read: `Annotated` holds its reader, which returns the value that
a piece of JSON stands for, or raises ValueError for one that gameday never writes there.
"""

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints
from urllib.parse import urlsplit

T = TypeVar("T")
Reader = Callable[[Any], Any]

LARGEST_PID = 2**22  # of Linux; others have fewer
_REFERENCES = ({"env"}, {"file"})


def checked(fits: object, value: T) -> T:
    """The value, where it fits."""
    if not fits:
        raise ValueError(value)
    return value


def _string(value: Any) -> Any:
    return checked(isinstance(value, str) and "\0" not in value, value)


def _text(value: Any) -> Any:
    return checked(value != "", _string(value))


def _url(value: Any) -> Any:
    return checked(urlsplit(_text(value)).scheme in ("http", "https"), value)


def _path(value: Any) -> Path:
    path = Path(_text(value))
    return checked(path.is_absolute() and ".." not in path.parts, path)


def _pid(value: Any) -> Any:
    return checked(type(value) is int and 1 < value <= LARGEST_PID, value)


def _number(value: Any) -> Any:
    return checked(type(value) is int, value)


def _seconds(value: Any) -> Any:
    return checked(type(value) in (int, float), value)


def _truth(value: Any) -> Any:
    return checked(isinstance(value, bool), value)


def signal_name(value: Any) -> Any:
    """The name of a signal."""
    return checked(_string(value) in signal.Signals.__members__, value)


def json_object(value: Any) -> Any:
    """Any JSON object."""
    return checked(isinstance(value, dict), value)


def expiries(value: Any) -> Mapping[str, int]:
    """Expiry of each key, in ms since 1970; -1 never."""
    return {key: _number(each) for key, each in json_object(value).items()}


def _reference(value: Any) -> Any:
    """One that `references` knows: nothing else may stand beside its name."""
    return checked(
        json_object(value).keys() in _REFERENCES and all(map(_text, value.values())), value
    )


def text_list(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(map(_string, checked(isinstance(value, list), value)))


def text_by_text(value: Any) -> Mapping[str, str]:
    """An object of texts, with one at least."""
    found = {_text(key): _text(each) for key, each in json_object(value).items()}
    return checked(found, found)


def toxic_list(value: Any) -> tuple[Any, ...]:
    """Toxics, each with its name, as the server takes and shows them."""
    for toxic in checked(isinstance(value, list), value):
        _text(json_object(toxic).get("name"))
    return tuple(value)


def one_of(*words: str) -> Reader:
    """A reader of one of these words."""
    return lambda value: checked(_string(value) in words, value)


String = Annotated[str, _string]
Text = Annotated[str, _text]
Url = Annotated[str, _url]
AbsolutePath = Annotated[Path, _path]
Pid = Annotated[int, _pid]
Number = Annotated[int, _number]
Seconds = Annotated[float, _seconds]
Truth = Annotated[bool, _truth]
Reference = Annotated[Mapping[str, str], _reference]
Json = Annotated[Mapping[str, Any], json_object]


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


def read_object(class_: type[T], record: Mapping[str, Any]) -> T:
    """The dataclass that a JSON object stands for. Raises ValueError."""
    make: Any = class_
    values: dict[str, Any] = {f.name: None for f in fields(make) if f.default is MISSING}
    for name, (reader, needed) in _readers(make).items():
        value = record.get(name)
        if value in (None, "") and not needed:
            continue
        try:
            values[name] = reader(value)
        except ValueError:
            shown = f"{value!r:.80}" if name in record else "missing"
            raise ValueError(f"{name!r} is {shown}") from None
    return class_(**values)


@cache
def _readers(class_: type[Any]) -> Mapping[str, tuple[Reader, bool]]:
    """The reader of each field, and whether the field has to be there."""
    hints = get_type_hints(class_, include_extras=True)
    found = {}
    for field in fields(class_):
        hint = hints[field.name]
        needed = field.default is MISSING and type(None) not in get_args(hint)
        found[field.name] = next(filter(None, map(_reader, (hint, *get_args(hint))))), needed
    return found


def _reader(hint: Any) -> Reader | None:
    """The reader that an annotation names, or that of a dataclass."""
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value: read_object(hint, json_object(value))
    return getattr(hint, "__metadata__", (None,))[0]


def plain(value: Any) -> Any:
    """The JSON of it; what is not known (None by default) is left out of an object."""
    if is_dataclass(value):
        every = {field: getattr(value, field.name) for field in fields(value)}
        known = {
            f.name: each for f, each in every.items() if each is not None or f.default is MISSING
        }
        return plain(known)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
