"""The histogram: HdrHistogram's buckets, three digits, merged exactly, in flat memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.traffic.metrics.hdr_histogram import HALF, LARGEST, Hdr, bounds, buckets_of

times = st.lists(st.integers(0, 2**45), min_size=1, max_size=300)


def hdr(*parts: list[int]) -> Hdr:
    found = Hdr()
    for part in parts:
        found.add(np.array(part, dtype=np.int64))
    return found


@given(st.integers(0, LARGEST))
def test_a_value_lies_in_its_bucket_which_is_a_thousandth_wide(value: int) -> None:
    low, high = bounds(int(buckets_of(np.array([value]))[0]))
    assert low <= value <= high
    assert (high - low) * HALF <= value


def test_the_buckets_are_those_of_hdr_histogram() -> None:
    # What hdrhistogram 0.10.8 says of HdrHistogram(1, 2**42, 3), by `_counts_index_for`.
    known = {0: 0, 5: 5, 1023: 1023, 1024: 1024, 2047: 2047, 2048: 2048, 2049: 2048, 4096: 3072}
    known |= {10**6: 11169, 10**9: 21363, 123456789: 18267}
    assert buckets_of(np.array([*known])).tolist() == [*known.values()]


def test_the_buckets_have_no_gap_and_no_overlap() -> None:
    last = -1
    for bucket in range(40 * HALF):
        low, high = bounds(bucket)
        assert low == last + 1
        last = high


@given(times, st.floats(0, 100))
def test_a_percentile_is_within_a_thousandth_of_the_exact_one(
    values: list[int], percentile: float
) -> None:
    exact = np.percentile(np.array(values, dtype=float), percentile)
    found = hdr(values).at(percentile / 100 * (len(values) - 1))
    assert found == pytest.approx(exact, rel=0.001, abs=1)


def test_a_value_below_zero_counts_as_zero_and_nothing_adds_nothing() -> None:
    found = hdr([-5, 7], [])
    assert (found.count, found.min, found.max) == (2, 0, 7)
    assert [found.nth(0), found.nth(1)] == [0, 7]


def test_memory_depends_on_the_magnitudes_and_not_on_the_samples() -> None:
    rng = np.random.default_rng(1)
    found = Hdr()
    for _ in range(20):
        found.add(rng.integers(100_000, 10_000_000_000, 50_000))
    assert found.count == 1_000_000
    assert len(found._counts) <= 18  # noqa: SLF001 - how much is held is what is tested
