"""Times in flat memory: HdrHistogram's buckets with three significant digits, over numpy.

A value is counted in a bucket at most 1/1024 of itself wide, so whatever is read back is within
0.1 % of what was recorded, from one nanosecond up. The buckets are those of HdrHistogram (Gil
Tene; lowest value 1, three digits, 2,048 sub-buckets), so counts may be given to any of its
implementations. Count, sum, least and most are kept exactly.

The counts of a magnitude (1,024 buckets, 8 KB) are made when its first value comes. A thousand
million samples between 0.1 ms and 10 s take 140 KB, and so do a thousand.
"""

from abc import ABC, abstractmethod
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int64]

HALF: Final = 1024  # of the 2,048 sub-buckets
_DIGITS: Final = 10  # bits: 2**10 is HALF
# Up to 2^52 ns (52 days) a float64 holds a whole number exactly. Its bits are then the exponent
# and the number below the leading one: without the last 42 they count up bucket by bucket.
LARGEST: Final = 2**52 - 1
_MANTISSA: Final = 52  # bits of a double
_PIECE: Final = 1 << 16  # counted at a time, near the processor
_BIAS: Final = (1023 + _DIGITS - 1) * HALF


def buckets_of(samples: Samples) -> npt.NDArray[np.int64]:
    """The number of each sample's bucket; what is below 0 or too large counts at that end."""
    clipped = np.clip(samples, 0, LARGEST).astype(np.float64)
    counted = (clipped.view(np.int64) >> (_MANTISSA - _DIGITS)) - _BIAS
    small = clipped < HALF
    if small.any():
        counted[small] = clipped[small].astype(np.int64)
    return counted


def bounds(bucket: int) -> tuple[int, int]:
    """The least and the largest value that are counted in a bucket."""
    shift = max(0, bucket // HALF - 1)
    lowest = (bucket - shift * HALF) << shift
    return lowest, lowest + (1 << shift) - 1


class SampleStore(ABC):
    """Samples in order, exactly or in buckets."""

    count: int
    sum: int
    min: int
    max: int

    def at(self, position: float) -> float:
        """The sample at a position from 0 to count - 1 in order, between two in proportion."""
        below = int(position)
        part = position - below
        first = self.nth(below)
        return first if not part else first + (self.nth(below + 1) - first) * part

    @abstractmethod
    def nth(self, n: int) -> float:
        """The n-th sample, from 0."""


class Hdr(SampleStore):
    """A histogram of nanoseconds.

    A sample is read back as the middle of its bucket, never beyond the least or the most.
    """

    def __init__(self) -> None:
        self._counts: dict[int, npt.NDArray[np.int64]] = {}
        self.count = 0
        self.sum = 0
        self.min = LARGEST
        self.max = 0

    def add(self, samples: Samples) -> None:
        """Count all samples; one below 0 counts as 0."""
        if not len(samples):
            return
        least, most = (int(end) for end in (samples.min(), samples.max()))
        found = np.zeros(int(buckets_of(np.array([most]))[0]) + 1, dtype=np.int64)
        for begin in range(0, len(samples), _PIECE):
            part = np.bincount(buckets_of(samples[begin : begin + _PIECE]))
            found[: len(part)] += part
        first = int(found.nonzero()[0][0]) // HALF
        for magnitude in range(first, -(-len(found) // HALF)):
            part = found[magnitude * HALF : (magnitude + 1) * HALF]
            if part.any():
                self._row(magnitude)[: len(part)] += part
        self.count += len(samples)
        self.sum += int(samples.sum())
        self.min = min(self.min, max(0, least))
        self.max = max(self.max, most)

    def _row(self, magnitude: int) -> npt.NDArray[np.int64]:
        if magnitude not in self._counts:
            self._counts[magnitude] = np.zeros(HALF, dtype=np.int64)
        return self._counts[magnitude]

    def nth(self, n: int) -> float:
        if n <= 0:
            return float(self.min)
        if n >= self.count - 1:
            return float(self.max)
        before = 0
        for magnitude in sorted(self._counts):
            row = self._counts[magnitude]
            total = int(row.sum())
            if n < before + total:
                offset = int(np.searchsorted(np.cumsum(row), n - before, side="right"))
                low, high = bounds(magnitude * HALF + offset)
                return float(min(max((low + high) / 2, self.min), self.max))
            before += total
        return float(self.max)
