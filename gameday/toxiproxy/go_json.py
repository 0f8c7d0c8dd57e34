"""JSON as Toxiproxy's clients send and expect it, which is JSON as Go reads and writes it.

Reading: the first value counts and what follows is ignored, keys match whatever their case,
unknown keys are dropped, `null` leaves the default, and an integer is written without a point or
an exponent. Writing: no spaces, and `<`, `>`, `&` are escaped.
"""

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

from gameday.core.json_objects import Json
from gameday.toxiproxy.errors import bad_body

_LONGEST_INTEGER = 1 << 63  # Go's int64
_LARGEST_FLOAT = 3.4028234663852886e38  # Go's float32
_WHITESPACE = " \t\r\n"


def _is_integer(value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and -_LONGEST_INTEGER <= int(str(value)) < _LONGEST_INTEGER


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= _LARGEST_FLOAT and value is not True


_KINDS: dict[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": lambda value: _is_number(value) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read_value(body: bytes) -> Any:
    """The first JSON value of `body`. Raises ApiError 400."""
    try:
        text = body.decode(errors="replace").lstrip(_WHITESPACE)
        if not text:
            raise bad_body("EOF")
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        truncated = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated")
        raise bad_body("unexpected EOF" if truncated else str(error)) from error
    except (ValueError, RecursionError) as error:
        raise bad_body(str(error)) from error
    return value


def read_fields(value: Any, kinds: Mapping[str, str]) -> Json:
    """The keys of `kinds` that the object `value` holds and that are not null.

    Raises ApiError 400 when `value` is not an object or a key has another type than `kinds` says.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_body(f"expected an object, got {excerpt(value)}")
    found = {}
    for key, item in value.items():
        name = key if key in kinds else key.lower()
        if name not in kinds or item is None:
            continue
        if not _KINDS[kinds[name]](item):
            raise bad_body(f"{name}: expected a value of type {kinds[name]}, got {excerpt(item)}")
        found[name] = item
    return found


def excerpt(value: object) -> str:
    """The beginning of a value, for an error."""
    return json.dumps(value)[:60]


def write_value(value: object) -> bytes:
    """`value` as the API answers it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode(errors="replace")


def single_precision(value: float) -> int | float:
    """The shortest number that is the same 32-bit float as `value`; toxicity is one."""
    (single,) = struct.unpack("f", struct.pack("f", value))
    for digits in range(1, 10):
        short = float(f"{single:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == single:
            return int(short) if short.is_integer() else short
    return float(single)
