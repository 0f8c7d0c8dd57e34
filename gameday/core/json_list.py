"""A JSON object one of whose lists is very long: read as it comes, with little of it in memory.

    {"stock": 5000000, "rows": [{"userId": 1, "issueId": "a"}, …], "views": {…}}

The list may also lie deeper, or be the whole text. Its elements are handed on in pieces of about a
megabyte and forgotten; the rest of the object is kept, up to a limit. The list must hold objects. A
piece ends where an element does: the last `}` before a comma is tried first, for in a list of flat
objects it nearly always is one, and what parses as whole elements is whole elements. Only else is
every bracket counted.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from gameday.core.json import DEEPEST, JsonError, must_be_few, parse

PIECE: Final = 1 << 20  # one parse a megabyte: its fixed cost no longer counts
LONGEST_ELEMENT: Final = 8 * PIECE  # a row has 100 bytes; this leaves room for very odd ones
MOST_OBJECTS: Final = 300_000  # in what waits for a cut, or else one in `_SPARSE` bytes
_SPARSE: Final = 8  # a row of one or two objects has 50 and more
MOST_BESIDE: Final = 64 * PIECE  # kept in memory whole, so it needs a bound

# Possessive: a way back is kept for each letter of a string otherwise, 32 bytes and more of each.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}"]', re.DOTALL)
_OPENS: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")
_OPENS_OBJECT: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\{")
_BEGINS: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*(\[|[^ \t\r\n])")
_GOES_ON: Final = re.compile(rb"[ \t\r\n]*,")
_UNSURE: Final = re.compile(rb"[ \t\r\n]*:?[ \t\r\n]*\Z")
_BLANK: Final = b" \t\r\n"


class _Cut(NamedTuple):
    """Offsets: the end of the whole elements, the begin of the rest; `over` at the list's end."""

    end: int
    next: int
    over: bool


class LongList:
    """Takes the bytes of an object; `took` is given the elements of its list `key`, in order.

    `key` may be a path of keys; of one without any the text is the list. What `took` raises ends
    the reading. An object that has the list twice is refused.
    """

    def __init__(self, key: str | Sequence[str], took: Callable[[list[Any]], None]) -> None:
        self._path = (key,) if isinstance(key, str) else tuple(key)
        self._key = ".".join(self._path)
        self._names = [b'"%s"' % each.encode() for each in self._path]
        self._matched = 0  # steps of the path that what is looked at lies below
        self._took = took
        self._waiting = bytearray()
        self._enough = PIECE
        self._beside = bytearray()  # the object without the elements of its list
        self._scanned = self._depth = 0
        self._state = "before"

    def feed(self, piece: bytes) -> None:
        """Take what came. Raises JsonError."""
        self._waiting += piece
        if len(self._waiting) >= self._enough:
            self._go_on()

    def end(self) -> Any:
        """All came: the object, in which the long list is empty. Raises JsonError."""
        self._go_on()
        if self._state == "in":
            raise JsonError(f"not JSON: `{self._key}` does not end")
        value = parse(self._beside + self._waiting)
        listed = self._listed(value)
        if self._state == "after" and listed != []:
            raise JsonError(f"`{self._key}` is there twice")
        if isinstance(listed, list) and listed:  # its key was written in an odd way
            self._took(listed.copy())
            listed.clear()
        return value

    def _listed(self, value: Any) -> Any:
        """What stands where the list should be, None for nothing."""
        for step in self._path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def _go_on(self) -> None:
        if self._state == "before":
            self._look_for_list()
        while self._state == "in" and self._hand_on():
            pass
        if self._state == "after":
            self._beside += self._waiting
            self._waiting = bytearray()
        if self._state != "in" and len(self._beside) + len(self._waiting) > MOST_BESIDE:
            raise JsonError(f"more than {MOST_BESIDE >> 20} MiB beside `{self._key}`")
        # Twice as much as there is, so that nothing is looked at more often than it doubles; but
        # never much more than is kept.
        self._enough = min(max(PIECE, 2 * len(self._waiting)), MOST_BESIDE + PIECE)

    def _look_for_list(self) -> None:
        """Count brackets up to the list; what was counted need not be looked at again."""
        raw = self._waiting
        if not self._names:
            begins = _BEGINS.match(raw)
            if begins and begins[1] == b"[":
                self._begin(begins.end())
            return
        for token in _TOKEN.finditer(raw, self._scanned):
            text = token.group()
            if text == b'"':  # a string that has not come whole
                return
            is_step = text == self._names[self._matched] and self._depth == self._matched + 1
            if is_step and self._is_found(token.end()):
                return
            self._depth = _deeper(self._depth, text)
            if text == b"}" and self._depth == self._matched > 0:
                self._matched -= 1
            self._scanned = token.end()

    def _is_found(self, end: int) -> bool:
        """True if the list begins behind a step of the path, or what follows has not come."""
        is_last = self._matched + 1 == len(self._names)
        if opens := (_OPENS if is_last else _OPENS_OBJECT).match(self._waiting, end):
            if is_last:
                self._begin(opens.end())
                return True
            self._matched += 1
            return False
        return _UNSURE.match(self._waiting, end) is not None

    def _begin(self, end: int) -> None:
        """The list begins here: what came before is put aside."""
        raw = self._waiting
        self._beside += raw[:end] + b"]"
        self._waiting = raw[end:]  # a match keeps `raw` as it is
        self._state = "in"

    def _hand_on(self) -> bool:
        """Take whole elements off what waits; False when there are none in it."""
        raw = self._waiting
        cut, elements = self._guess()
        if cut is None:
            # Now each bracket is looked at by itself, which takes seconds if there is nothing else.
            must_be_few(raw, max(MOST_OBJECTS, len(raw) // _SPARSE))
            cut = self._count()
            if cut is None:
                if len(raw) > LONGEST_ELEMENT:
                    raise JsonError(f"an element of `{self._key}` of over {len(raw) >> 20} MiB")
                return False
            elements = parse(b"[" + raw[: cut.end] + b"]")
        if elements:
            self._took(elements)
        self._waiting = raw[cut.next :]
        if cut.over:
            self._state = "after"
        return True

    def _guess(self) -> tuple[_Cut | None, list[Any]]:
        """The end of the list, or else of its last whole element, if the elements are flat."""
        raw = self._waiting
        if (closes := raw.find(b"]")) >= 0:
            end = len(raw[:closes].rstrip(_BLANK))
            cut = _Cut(end, closes + 1, over=True)
        else:
            at = raw.rfind(b"}") + 1
            goes_on = _GOES_ON.match(raw, at)
            if not at or not goes_on:
                return None, []
            cut = _Cut(at, goes_on.end(), over=False)
        try:
            return cut, parse(b"[" + raw[: cut.end] + b"]")
        except JsonError:
            return None, []

    def _count(self) -> _Cut | None:
        """The same, bracket by bracket."""
        raw, depth, found = self._waiting, 0, None
        for token in _TOKEN.finditer(raw):
            text = token.group()
            if text == b'"':  # a string that has not come whole
                break
            depth = _deeper(depth, text)
            if depth < 0:
                return _Cut(token.start(), token.end(), over=True)
            if depth == 0 and text == b"}" and (goes_on := _GOES_ON.match(raw, token.end())):
                found = _Cut(token.end(), goes_on.end(), over=False)
        return found


def _deeper(depth: int, token: bytes) -> int:
    depth += (token in b"[{") - (token in b"]}")
    if depth > DEEPEST:
        raise JsonError(f"not JSON: nested deeper than {DEEPEST}")
    return depth
