"""JSON objects as dataclasses: each reader of a format takes its keys apart here, and only here.

The type of a field says how it is read, and whether it has to be there: one with a default may be
missing, null or "". `Annotated` holds a reader where a type alone does not say it: it returns the
value that a piece of JSON stands for, or raises ValueError for one that is never written there.
What is not known (None by default) is left out where an object is written, unless the field's
`metadata` says `null`. With a `key` there, the field has that name in the file.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]
Json = Mapping[str, Any]
"""An object of which nobody here knows the keys: somebody else's, kept or handed on as it is."""


def checked(fits: object, value: T) -> T:
    """The value, where it fits."""
    if not fits:
        raise ValueError(value)
    return value


def json_object(value: object) -> Json:
    """Any JSON object."""
    if isinstance(value, dict):
        return value
    raise ValueError(value)


Some = Annotated[T, "some"]
"""A list or an object that is not empty."""


def _key(each: "Field[Any]") -> str:
    return str(each.metadata.get("key", each.name))


def read_object(class_: type[T], value: object) -> T:
    """The dataclass that a JSON object stands for. Raises ValueError."""
    made: Any = class_
    record, found = json_object(value), {}
    for name, key, reader, default, kinds in _readers(made):
        given = record.get(key)
        if type(given) in kinds and given != "":  # nearly all are plain, and there
            found[name] = given
            continue
        if given in (None, "") and default is not MISSING:
            found[name] = default
            continue
        try:
            found[name] = reader(given)
        except ValueError:
            shown = f"{given!r:.80}" if key in record else "missing"
            raise ValueError(f"{key!r} is {shown}") from None
    return class_(**found)


@cache
def _readers(class_: Any) -> Sequence[tuple[str, str, Reader, Any, frozenset[type]]]:
    """The name, the key, the reader and the default of each field, and its plain types."""
    hints, found = get_type_hints(class_, include_extras=True), []
    for each in fields(class_):
        hint, default = hints[each.name], each.default
        if each.default_factory is not MISSING:
            default = each.default_factory()
        if default is MISSING and NoneType in get_args(hint):
            default = None
        reader = _reader(hint)
        kinds = reader.kinds - {NoneType} if isinstance(reader, _Plain) else frozenset()
        found.append((each.name, _key(each), reader, default, kinds))
    return found


class _Plain:
    """A reader of values that are what they are in JSON; many of them are looked at at once."""

    __slots__ = ("kinds",)

    def __init__(self, *kinds: type) -> None:
        self.kinds = frozenset(kinds)

    def __call__(self, value: object) -> object:
        if type(value) in self.kinds:
            return value
        raise ValueError(value)

    def fit_all(self, values: Iterable[object]) -> bool:
        return self.kinds.issuperset(map(type, values))


def _reader(hint: Any) -> Reader:
    """The reader that an annotation names, or that of a type."""
    kind, args = get_origin(hint), get_args(hint)
    if kind is Annotated:
        read = args[1] if callable(args[1]) else _reader(args[0])
        return _some(read) if args[1] == "some" else read
    return _of_class(hint) if kind is None else _OF_KIND[kind](*args)


def _some(read: Reader) -> Reader:
    return lambda value: checked(value, read(value))


def _of_class(class_: Any) -> Reader:
    if is_dataclass(class_) and isinstance(class_, type):
        return partial(read_object, class_)
    if issubclass(class_, tuple):
        each = [_reader(hint) for hint in get_type_hints(class_).values()]
        return lambda value: class_(*(one(v) for one, v in zip(each, value, strict=True)))
    if class_ is bytes:
        return lambda value: b64decode(checked(isinstance(value, str), value), validate=True)
    if class_ is Path:
        return lambda value: Path(checked(isinstance(value, str), value))
    return _Plain(int, float) if class_ is float else _Plain(class_)


def _union(*kinds: Any) -> Reader:
    readers = [_reader(each) for each in kinds if each is not NoneType]
    simple = [each.kinds for each in readers if isinstance(each, _Plain)]
    if len(simple) == len(readers):
        return _Plain(*frozenset().union(*simple), *({NoneType} & {*kinds}))

    def read(value: object) -> object:
        if value is None and NoneType in kinds:
            return None
        for each in readers[:-1]:
            with suppress(ValueError):
                return each(value)
        return readers[-1](value)

    return read


def _list(*kinds: Any) -> Reader:
    each = list(map(_reader, kinds[:1] if kinds[-1] is Ellipsis else kinds))
    if len(each) > 1:
        return lambda value: tuple(one(v) for one, v in zip(each, value, strict=True))
    return lambda value: tuple(map(each[0], checked(isinstance(value, list), value)))


def _mapping(_: Any, kind: Any) -> Reader:
    read = _reader(kind)
    if isinstance(read, _Plain):
        return lambda value: checked(read.fit_all(json_object(value).values()), value)
    return lambda value: {key: read(each) for key, each in json_object(value).items()}


def _one_of(*values: Any) -> Reader:
    return lambda value: checked(value in values, value)


_OF_KIND: Mapping[Any, Callable[..., Reader]] = {
    Union: _union,
    UnionType: _union,
    Literal: _one_of,
    Mapping: _mapping,
    tuple: _list,
    Sequence: _list,
}


_AS_THEY_ARE = frozenset({str, int, float, bool, NoneType})


def plain(value: Any) -> Any:
    """The JSON of a value; of a dataclass, an object."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if is_dataclass(kind):
        every = ((key, getattr(value, name), needed) for name, key, needed in _written(kind))
        return {key: plain(one) for key, one, needed in every if needed or one is not None}
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value) if isinstance(value, Path) else value


@cache
def _written(class_: Any) -> Sequence[tuple[str, str, bool]]:
    """The name and the key of each field, and whether it is written although it is None."""
    return [
        (each.name, _key(each), each.default is MISSING or "null" in each.metadata)
        for each in fields(class_)
    ]
