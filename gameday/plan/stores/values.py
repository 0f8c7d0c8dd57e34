"""Values as databases have them, as what rows are made of."""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

from gameday.evidence.rows import RowError, quoted, whole_number


def user_value(value: object) -> object:
    """A user: a whole number as one of Python's, a UUID, a date or the like as its text."""
    if isinstance(value, Decimal | float) and not isfinite(value):
        raise RowError(f"a user is {value}, which names nobody")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, bytes):
        return text_of(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def id_value(value: object) -> object:
    """An id as text; it may be a UUID."""
    if isinstance(value, bytes):
        return text_of(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def text_of(raw: bytes | str) -> str:
    """A text; bytes that are none as escapes."""
    return raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")


def only_value(key: str, rows: Sequence[Any]) -> object:
    """The first value of the one row that a query of `key` yields. Raises RowError."""
    if len(rows) > 1:
        raise RowError(f"`{key}` yields more than one row: nobody can tell which is meant")
    return rows[0][0] if rows else None


def count_value(key: str, value: object) -> int:
    """A number that `key` should be: a stock, or what is left of one. Raises RowError."""
    if isinstance(value, Decimal) and isfinite(value) and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bytes):
        value = text_of(value)
    if value is None:
        raise RowError(f"`{key}` yields nothing")
    try:
        return whole_number(value)
    except RowError as error:
        raise RowError(f"`{key}` is {quoted(value)}, and no whole number") from error
