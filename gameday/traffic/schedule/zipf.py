"""Zipf's law without a table: rank n is drawn n^-z times as often as the first.

Rejection-inversion (W. Hörmann, G. Derflinger: "Rejection-inversion to generate variates from
monotone discrete distributions", 1996): invert the integral of x^-z, round, and accept unless the
point lies above the bar of its rank. It needs no memory, whatever the number of ranks, and four of
five draws are accepted at once. Each draw of a start is numbered, so the rank of start k
is a function of k alone.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_ROUNDS = 64
"""After so many rejections the last point is taken; it happens once in 10^40 draws."""
_SMALL = 1e-8  # below it the series' first terms are exact to a double

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class _Law:
    """The integral of x^-z over x, from 1, and its inverse; exact near z = 1, too."""

    def __init__(self, ranks: int, exponent: float) -> None:
        self.ranks = ranks
        self.exponent = exponent
        self.first = float(self.integral(np.array([1.5]))[0]) - 1.0
        self.last = float(self.integral(np.array([ranks + 0.5]))[0])
        two = np.array([2.5])
        bar = self.integral(two) - self.bar(np.array([2.0]))
        self.sure = 2.0 - float(self.inverse(bar)[0])

    def bar(self, x: Floats) -> Floats:
        height: Floats = np.exp(-self.exponent * np.log(x))
        return height

    def integral(self, x: Floats) -> Floats:
        log = np.log(x)
        t = (1.0 - self.exponent) * log
        near = np.abs(t) < _SMALL
        grown = np.expm1(t) / np.where(near, 1.0, t)
        area: Floats = log * np.where(near, 1.0 + t / 2, grown)
        return area

    def inverse(self, area: Floats) -> Floats:
        t = np.maximum(area * (1.0 - self.exponent), -1.0 + 1e-16)
        near = np.abs(t) < _SMALL
        slowed = np.log1p(t) / np.where(near, 1.0, t)
        x: Floats = np.exp(area * np.where(near, 1.0 - t / 2, slowed))
        return x


def ranks(draw: Callable[[Ints], npt.NDArray[np.uint64]], ks: Ints, most: int, z: float) -> Ints:
    """The ranks, from 1 to `most`, of the starts `ks`; `draw` gives the random word of a number."""
    law = _Law(most, z)
    found = np.ones(len(ks), dtype=np.int64)
    left = np.arange(len(ks))
    for turn in range(_ROUNDS):
        words = draw(ks[left] * _ROUNDS + turn) >> np.uint64(11)
        area = law.last + words.astype(np.float64) / 2**53 * (law.first - law.last)
        x = law.inverse(area)
        rank = np.clip(np.rint(x), 1, most)
        found[left] = rank.astype(np.int64)
        accepted = (rank - x <= law.sure) | (area >= law.integral(rank + 0.5) - law.bar(rank))
        left = left[~accepted]
        if not len(left):
            break
    return found


_EXACT = 1000
"""Up to this rank weights are summed; beyond, the integral is as good to one part in a million."""


def weights(edges: Ints, z: float) -> Floats:
    """The sum of n^-z over the ranks after each edge up to the next; edges count from 0."""
    small = np.arange(1, min(int(edges[-1]), _EXACT) + 1, dtype=float) ** -z
    sums = np.concatenate([[0.0], np.cumsum(small)])
    exact = sums[np.minimum(edges, len(small))]
    law = _Law(max(int(edges[-1]), 1), z)
    tail = law.integral(np.maximum(edges, _EXACT) + 0.5) - law.integral(np.array([_EXACT + 0.5]))
    total: Floats = np.diff(exact + tail)
    return total
