"""Durations and rates, as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.units import Rate, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300ms", 0.3), ("15s", 15), ("1m30s", 90), ("1.5h", 5400), (0, 0), ("0s", 0)],
)
def test_a_duration_is_read(text: object, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", [300, "300", "-1s", "1d", "", None, True, "200h"], ids=repr)
def test_what_is_no_duration_is_refused_with_the_value(text: object) -> None:
    with pytest.raises(ValueError, match="duration|longer"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=86_400_000_000))
def test_a_duration_survives_being_written(microseconds: int) -> None:
    value = timedelta(microseconds=microseconds)
    assert parse_duration(format_duration(value)) == value


def test_rates_are_read_per_second() -> None:
    assert Rate.parse("300/m").per_s == 5
    assert str(Rate.parse("100/s")) == "100/s"
    with pytest.raises(ValueError, match="not a rate"):
        Rate.parse("100")


@pytest.mark.parametrize("text", ["100/s", "0/s", "0.3/s", "12345.67/s", "3600000/h", "0.001/m"])
def test_a_rate_survives_being_written(text: str) -> None:
    assert str(Rate.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["1000000001/s", "1000001/ms", "1" + "0" * 400 + "/s", "inf/s", "١/s", "0.0000000001/s"]
)
def test_a_rate_that_no_schedule_holds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"more than|is not a rate"):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["1s" * 500_000, "9" * 1_000_000 + "h", "1.1" * 300_000, "١s"])
def test_a_duration_is_short_and_so_is_its_error(text: str) -> None:
    with pytest.raises(ValueError, match="duration") as caught:
        parse_duration(text)
    assert len(str(caught.value)) < 300
