"""Rows that gameday wrote, a line each, as columns: nearly all are what they look like in JSON.

`[7, "a-1"],` or `["ann", "a-1"],`: a number of few digits or a short text, and an id, printable
and with nothing escaped. Their places are found for some thousand lines at once. Where one line is
anything else, nothing is said of any: they are read as JSON, with the same result.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.evidence.rows import SHORT_USER, Piece, is_number, is_waste

Chars = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]
_LINE_FEED, _QUOTE, _COMMA, _MINUS, _OPEN, _CLOSE = map(ord, '\n",-[]')
_ZERO, _NINE, _SPACE, _DELETE = map(ord, "09 \x7f")
_MOST_DIGITS: Final = 18  # so many are a number of 64 bits, whatever they are
_LONGEST_NUMBER: Final = 20  # characters, its sign among them


def plain_rows(lines: bytes) -> Piece | None:
    """The users and the ids of whole lines, None where a line is not plain."""
    chars: Chars = np.frombuffer(lines, dtype=np.uint8)
    ends = np.flatnonzero(chars == _LINE_FEED)
    quotes = np.flatnonzero(chars == _QUOTE)
    each = 2 if len(quotes) == 2 * len(ends) else 4
    if len(quotes) != each * len(ends) or not _is_printable(chars, len(ends)) or b"\\" in lines:
        return None
    begins = np.concatenate([[0], ends[:-1] + 1])
    quote = [quotes[nth::each] for nth in range(each)]
    id_, id_end = quote[-2] + 1, quote[-1]
    user, user_end = (begins + 1, id_ - 3) if each == 2 else (begins + 2, quote[1])
    if (
        (id_end + 3 != ends).any()
        or not _stand(chars, (begins, _OPEN), (id_ - 3, _COMMA), (id_ - 2, _SPACE))
        or not _stand(chars, (id_end + 1, _CLOSE), (id_end + 2, _COMMA))
        or (each == 4 and ((quote[0] != begins + 1).any() or (quote[1] + 4 != id_).any()))
    ):
        return None
    ids = _texts(chars, id_, id_end)
    users = _numbers(chars, user, user_end) if each == 2 else _names(chars, user, user_end)
    return None if users is None or ids is None else (users, ids)


def _is_printable(chars: Chars, lines: int) -> bool:
    """True if all but the ends of so many lines is printable ASCII."""
    return bool(chars.max() < _DELETE) and int(np.count_nonzero(chars < _SPACE)) == lines


def _stand(chars: Chars, *wanted: tuple[Places, int]) -> bool:
    """True if each character is at its places."""
    return all((at >= 0).all() and bool((chars[at] == char).all()) for at, char in wanted)


def _numbers(chars: Chars, begins: Places, ends: Places) -> npt.NDArray[np.int64] | None:
    """Numbers of few digits."""
    lengths = ends - begins
    if lengths.min() < 1 or lengths.max() > _MOST_DIGITS:
        return None
    if ((chars[begins] == _ZERO) & (lengths > 1)).any():
        return None  # no number of JSON
    found = np.zeros(len(begins), dtype=np.int64)
    for place in range(int(lengths.max())):
        digits = chars[np.maximum(ends - 1 - place, 0)]
        inside = place < lengths
        if ((digits < _ZERO) | (digits > _NINE))[inside].any():
            return None
        found += np.where(inside, digits.astype(np.int64) - _ZERO, 0) * 10**place
    return found


def _names(chars: Chars, begins: Places, ends: Places) -> npt.NDArray[np.bytes_] | None:
    """Users that are called by a short text which is no number."""
    lengths = ends - begins
    if lengths.max() > SHORT_USER:
        return None
    found = _texts(chars, begins, ends)
    first, last = chars[begins], chars[np.maximum(ends - 1, 0)]
    maybe = (lengths <= _LONGEST_NUMBER) & ((first == _MINUS) | (first <= _NINE)) & (last <= _NINE)
    if found is None or any(is_number(text.decode()) for text in found[maybe].tolist()):
        return None
    return found


def _texts(chars: Chars, begins: Places, ends: Places) -> npt.NDArray[np.bytes_] | None:
    """A column of texts, None where one would make it much wider than what stands in it."""
    lengths = ends - begins
    width = int(lengths.max())
    if lengths.min() < 0 or is_waste(width, len(lengths), int(lengths.sum())):
        return None
    width = max(width, 1)
    padded = np.concatenate([chars, np.zeros(width, dtype=np.uint8)])
    found = np.lib.stride_tricks.sliding_window_view(padded, width)[begins]
    if lengths.min() < width:
        found[lengths[:, None] <= np.arange(width)] = 0
    return np.ascontiguousarray(found).view(f"S{width}").ravel()
