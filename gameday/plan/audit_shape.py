"""An audit in a system's own shape, as the rows that everything else works with.

Dotted paths say where the list of issues is, what of each is the user and its id, and where numbers
stand. A path that leads nowhere is an error that says what there is instead; it is never "no rows",
for that would say that everything issued was lost.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gameday.core.errors import UnknownError, excerpt
from gameday.core.files import MIB, size
from gameday.core.json import at_path, parse
from gameday.core.json_list import LongList
from gameday.evidence.rows import RowError, Rows, quoted, whole_number
from gameday.spec.audit import Shaped
from gameday.spec.request import path_of

LARGEST_WHOLE: Final = 64 * MIB  # of an answer that must be taken apart as a whole
_NAMES: Final = 8  # keys that an error lists
_AT_ONCE: Final = 4_000  # lines of CSV
_NOTHING: Final = object()


class ShapeError(UnknownError):
    """An audit is not of the shape that the system file tells."""


class ShapedReader:
    """Takes the bytes of one answer; its rows go into `rows` as they come.

    A list that lies in lists, or whose elements are no objects, is taken apart when all has come.
    """

    def __init__(self, shape: Shaped, rows: Rows) -> None:
        self._shape = shape
        self._rows = rows
        self._path = path_of(shape.rows_path)
        self._user = path_of(shape.user_path)
        self._id = None if shape.id_path is None else path_of(shape.id_path)
        streams = self._user and not self._user[0].isdecimal()
        streams = streams and not any(step.isdecimal() for step in self._path)
        self._list = LongList(self._path, self._take) if streams else None
        self._whole = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take what came. Raises JsonError, RowError or ShapeError."""
        if self._list is not None:
            self._list.feed(piece)
            return
        self._whole += piece
        if len(self._whole) > LARGEST_WHOLE:
            raise ShapeError(f"it is larger than {size(LARGEST_WHOLE)}, which must be read whole")

    def end(self) -> Any:
        """All came: the answer, without the rows. Raises JsonError, RowError or ShapeError."""
        if self._list is not None:
            value = self._list.end()
        else:
            value = parse(self._whole)
            self._whole.clear()
        listed = at_path(value, self._path, _NOTHING)
        if listed is _NOTHING or not isinstance(listed, list):
            raise nowhere("rows", self._shape.rows_path, value, listed, "a list")
        if listed:
            self._take(listed)
            listed.clear()
        return value

    def _take(self, told: Sequence[Any]) -> None:
        """Rows of some elements."""
        users = _picked("user", self._shape.user_path, self._user, told)
        ids: Sequence[Any] = [None] * len(told)
        if self._id is not None:
            ids = _picked("id", self._shape.id_path or "", self._id, told)
        self._rows.add(users, ids)


def _picked(key: str, path: str, steps: Sequence[str], told: Sequence[Any]) -> Sequence[Any]:
    """The value at a path of each element. Raises ShapeError for one that has none there."""
    if not steps:
        return told
    if len(steps) == 1:
        try:
            return [each[steps[0]] for each in told]
        except (KeyError, TypeError):
            pass  # told below, or a list in which a number steps
    found = [at_path(each, steps, _NOTHING) for each in told]
    if _NOTHING in found:
        raise nowhere(key, path, told[found.index(_NOTHING)], _NOTHING)
    return found


def nowhere(key: str, path: str, value: Any, listed: Any, wanted: str = "") -> ShapeError:
    """The error for a path that leads nowhere, with what is there as far as it leads."""
    if listed is not _NOTHING:
        what = quoted(listed) if not isinstance(listed, dict) else "an object"
        return ShapeError(f"`{key}: {path}` is not {wanted} but {what}{_has(listed)}")
    at, steps = value, path_of(path)
    walked: list[str] = []
    for step in steps:
        inner = at_path(at, (step,), _NOTHING)
        if inner is _NOTHING:
            break
        at = inner
        walked.append(step)
    where = (
        f"`{'.'.join(walked)}`" if walked else ("it" if key != "user" and key != "id" else "one")
    )
    return ShapeError(
        f"`{key}: {path}` leads nowhere: {where} {_has(at).lstrip(', ') or 'is ' + quoted(at)}"
    )


def _has(value: Any) -> str:
    """The names in an object, "" where there are none to tell."""
    if isinstance(value, list):
        return f", is a list of {len(value)}"
    if not isinstance(value, Mapping):
        return ""
    names = [quoted(name) for name in list(value)[:_NAMES]]
    more = ", …" if len(value) > _NAMES else ""
    return f", has {', '.join(names)}{more}" if names else ", is empty"


def number_at(key: str, path: str | None, value: Any) -> int | None:
    """The number at a path of an answer, None where none is asked for. Raises ShapeError."""
    if path is None:
        return None
    found = at_path(value, path_of(path), _NOTHING)
    if found is _NOTHING:
        raise nowhere(key, path, value, _NOTHING)
    try:
        return whole_number(found)
    except RowError as error:
        raise ShapeError(f"`{key}: {path}`: {error.message}") from error


def must_be_all(rows: Rows, total: int | None) -> None:
    """Raise ShapeError where the audit tells of other than the rows that came."""
    if total is not None and total != len(rows):
        raise ShapeError(f"it tells of {total} issues in all, and {len(rows)} came")


# Keys that APIs write beside one page of a list, without case, dashes and underscores.
_ONWARD: Final = frozenset(
    {"next", "nextpage", "nexturl", "nextlink", "nextcursor", "nexttoken", "nextpagetoken"}
)
_MORE: Final = frozenset({"hasmore", "hasnext", "hasnextpage"})
_PAGES: Final = frozenset({"totalpages", "pagecount", "pagestotal", "lastpage"})
_ALL: Final = frozenset({"totalelements", "totalcount", "totalitems", "totalrows", "totalresults"})
_ABOUT: Final = frozenset(
    {"links", "meta", "metadata", "page", "pageinfo", "paging", "pagination", "pageable"}
)


def must_be_one_page(
    shape: Shaped, answer: Any, rows: Rows, headers: Mapping[str, str] | None = None
) -> None:
    """Raise ShapeError where an answer says itself that it is one page of several.

    Whoever has not noticed that would be told that all other issues were lost. A `total` that is
    named settles it.
    """
    if shape.total is not None:
        return
    found = _sign(answer, shape.rows_path, len(rows)) or _header(headers or {}, len(rows))
    if found:
        raise ShapeError(
            f"it says that it is not all there is ({found}): name `paging`, or `total` if it is"
        )


def _sign(answer: Any, path: str, count: int) -> str:
    """Sign that there is more, "" for none: at the root, beside the list, or below them."""
    beside = at_path(answer, path_of(path)[:-1])
    places = [each for each in (answer, beside) if isinstance(each, dict)]
    for place in [*places]:
        places += [each for key, each in place.items() if _is_about(key, each)]
    for place in places:
        for key, each in place.items():
            if _tells_more(_plain(key), each, count):
                return f"`{key}` is {quoted(each)}"
    return ""


def _is_about(key: str, value: Any) -> bool:
    return isinstance(value, dict) and _plain(key) in _ABOUT


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


def _tells_more(key: str, value: Any, count: int) -> bool:
    if key in _ONWARD:
        return value not in (None, "", False, 0, [], {})
    if key in _MORE:
        return value is True
    if key == "last":
        return value is False
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return value > 1 if key in _PAGES else key in _ALL and value > count


def _header(headers: Mapping[str, str], count: int) -> str:
    if 'rel="next"' in headers.get("link", "").replace("'", '"').replace("rel=next", 'rel="next"'):
        return "its header Link has a next page"
    total = headers.get("x-total-count", "")
    if total.isdecimal() and len(total) < 20 and int(total) > count:
        return f"its header X-Total-Count is {total}"
    return ""


def take_csv(raw: bytes, shape: Shaped, rows: Rows) -> None:
    """Rows of CSV, whose first line names its columns. Raises ShapeError or RowError."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ShapeError(f"byte {error.start + 1} of its CSV is not UTF-8") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(lines, [])
        wanted = {"user": shape.user_path, "id": shape.id_path}
        at = {key: _column(key, name, names) for key, name in wanted.items() if name is not None}
        some: list[list[str]] = []
        for line in lines:
            if not line:
                continue
            if len(line) != len(names):
                what = f"has {len(line)} values, and the first line has {len(names)}"
                raise ShapeError(f"line {lines.line_num} of its CSV {what}")
            some.append(line)
            if len(some) == _AT_ONCE:
                _add(some, at, rows)
                some = []
        _add(some, at, rows)
    except csv.Error as error:
        raise ShapeError(f"line {lines.line_num} of its CSV: {error}") from None


def _add(lines: Sequence[Sequence[str]], at: Mapping[str, int], rows: Rows) -> None:
    ids = [line[at["id"]] for line in lines] if "id" in at else [""] * len(lines)
    rows.add([line[at["user"]] for line in lines], ids)


def _column(key: str, name: str, names: Sequence[str]) -> int:
    named = [each.strip() for each in names]
    if named.count(name) != 1:
        there = ", ".join(quoted(each) for each in named[:_NAMES]) or "nothing"
        what = "twice" if name in named else "not there"
        raise ShapeError(
            f"`{key}: {excerpt(name)}`: that column is {what}; its first line has {there}"
        )
    return named.index(name)
