"""JSON that somebody else wrote: read within bounds, strictly, with one kind of error.

What is not JSON by RFC 8259 is refused (NaN, Infinity, half a surrogate pair, other encodings than
UTF-8), and so is what nobody means: lists in lists without end, numbers that no machine can hold
(`1e999` would become infinity, a million digits would take minutes), and a text of nothing but
brackets, which takes thirty times its size in memory. Of a key that is there twice the last one
counts, as in nearly every other reader.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic_core import from_json

from gameday.core import files
from gameday.core.errors import UnknownError

T = TypeVar("T")

DEEPEST: Final = 200  # levels: what the parser (jiter) is built for
MOST_DIGITS: Final = 308  # what a double can hold
MOST_OBJECTS: Final = 1_000_000  # 70 MB empty, 240 MB with a key each
_TEXTS: Final = 4  # so many short ones take what an object does
_BOM: Final = b"\xef\xbb\xbf"
_EXPONENT: Final = re.compile(rb"[eE]\+?[0-9]{3}")
# Of a run of so many digits that `e99` behind it is too much, one such piece is all digits.
_RUN: Final = (MOST_DIGITS + 1 - 99) // 2

# What reading a value raises that is not of the form it should have.
DAMAGED: Final = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(ArithmeticError, RecursionError, MemoryError, UnknownError),
)


class JsonError(UnknownError):
    """A text that should be JSON is not, or holds a value that cannot be used."""


def parse(raw: bytes | bytearray, most_objects: int = MOST_OBJECTS) -> Any:
    """The value that `raw` holds. Raises JsonError."""
    must_be_few(raw, most_objects)
    try:
        value = from_json(raw.removeprefix(_BOM), allow_inf_nan=False)
    except ValueError as error:
        raise JsonError(f"not JSON: {_why(str(error))}") from error
    if _EXPONENT.search(raw) or _has_many_digits(raw):  # else no number can be too large
        _must_be_finite(value)
    return value


def must_be_few(raw: bytes | bytearray, most_objects: int = MOST_OBJECTS) -> None:
    """Refuse, before it is read, what would be more lists, objects and texts than can be meant.

    Bytes do not bound memory: `{},` is three of them and becomes 72, `{"a":1},` 240. A number
    takes at most ten times its bytes, and is not counted. Raises JsonError.
    """
    if len(raw) < 2 * most_objects:  # a bracket and its other half
        return
    if raw.count(b"{") + raw.count(b"[") + raw.count(b'"') // (2 * _TEXTS) > most_objects:
        few = f"{most_objects:,} lists and objects ({_TEXTS} texts count as one)"
        raise JsonError(f"not JSON: more than {few}")


def _has_many_digits(raw: bytes | bytearray) -> bool:
    return any(raw[at : at + _RUN].isdigit() for at in range(0, len(raw) - _RUN + 1, _RUN))


def _why(said: str) -> str:
    """The parser's words in ours, where they need it."""
    if said.startswith("recursion limit exceeded"):
        return f"nested deeper than {DEEPEST}"
    if said.startswith("number out of range"):
        return f"a number of more than {MOST_DIGITS} digits"
    if "hex escape" in said:
        return said + " (half a surrogate pair?)"
    return said


def _must_be_finite(value: Any) -> None:
    """Look at every number. Not by recursion: the nesting is somebody else's."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, float) and not math.isfinite(each):
            raise JsonError("not JSON: a number larger than 1.8e308")
        elif isinstance(each, int) and each.bit_length() > _MOST_BITS:
            raise JsonError(f"not JSON: a number of more than {MOST_DIGITS} digits")


def at_path(value: Any, steps: Sequence[str], missing: Any = None) -> Any:
    """The value at the steps of a path, `missing` for none; a number steps into a list."""
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdecimal() and len(step) < 10:
            if int(step) >= len(value):
                return missing
            value = value[int(step)]
        else:
            return missing
    return value


_MOST_BITS: Final = (10**MOST_DIGITS).bit_length()


def own(raw: bytes) -> Any:
    """What we wrote ourselves. The fast parser refuses some that Python writes: half a pair."""
    try:
        return from_json(raw)
    except ValueError:
        return json.loads(raw)


def read_lines(
    path: Path,
    most_bytes: int,
    decode: Callable[[Any], T],
    damaged: Callable[[str], None] | None,
    *,
    largest: int,
    end: bytes = b"",
) -> Iterator[T]:
    """The lines of a file of our own, as `decode` reads them, up to the first that it cannot read.

    A line has `most_bytes` at most, the file `largest`. `damaged` is told which line that is; one
    without its `end` is torn. NaN is taken, as Python writes it.
    """
    try:
        with files.open_file(path, largest) as file:
            for number, raw in files.lines(file, most_bytes):
                if not raw.endswith(end):
                    raise ValueError(f"line {number} is torn")
                try:
                    must_be_few(raw)
                    value = decode(own(raw))
                except DAMAGED as error:
                    raise ValueError(f"line {number} cannot be read") from error
                yield value
    except OSError as error:
        damage = f"cannot be read: {error.strerror}"
    except ValueError as error:
        damage = str(error)
    else:
        return
    if damaged is not None:
        damaged(damage)
