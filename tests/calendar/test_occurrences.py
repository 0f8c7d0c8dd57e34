"""Ten years of occurrences, held against an independent library and an independent clock.

The oracle is `croniter` on the bare wall clock, put into the zone by the C library's `localtime`;
neither is used by gameday. The years hold both directions of daylight saving in both hemispheres,
half an hour of it, one that begins at midnight, leap days, and zones whose rules changed.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.calendar.occurrences import Occurrence, occurrences
from gameday.spec.schedule import Schedule

BEGIN = datetime(2016, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = {
    "Asia/Seoul": "no daylight saving",
    "America/New_York": "an hour of it",
    "Europe/Berlin": "an hour of it",
    "Australia/Lord_Howe": "half an hour, in the south",
    "America/Sao_Paulo": "at midnight, and abolished in 2019",
    "Africa/Casablanca": "rules of 2018 that follow Ramadan",
    "Europe/Istanbul": "stayed on summer time in 2016",
}
CRONS = [
    "30 2 * * *",
    "0 10 * * TUE",
    "15,45 0-3 * * SUN",
    "0 0 * * SUN",
    "30 1 29 2 *",
    "59 23 28-31 * *",
    "0 3 1,15 * *",
]


def found(schedule: Schedule) -> list[Occurrence]:
    """The occurrences of the ten years."""
    return list(takewhile(lambda one: one.at < END, occurrences(schedule, BEGIN)))


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the zone of the C library, and sets it back."""

    def put(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


def instants_of(wall: datetime) -> list[datetime]:
    """The instants at which clocks of the zone show that time of day: none, one or two."""
    naive_s = int(wall.replace(tzinfo=UTC).timestamp())
    offsets = {time.localtime(naive_s + hours * 3600).tm_gmtoff for hours in (-24, 24)}
    found = {naive_s - offset for offset in offsets}
    return [
        datetime.fromtimestamp(at, UTC)
        for at in sorted(found)
        if time.localtime(at)[:6] == wall.timetuple()[:6]
    ]


def by_others(cron: str) -> Iterator[datetime]:
    """The instants by the others: a gap is left at its end, the first of two counts."""
    walls: Any = croniter(cron, BEGIN.replace(tzinfo=None) - timedelta(days=2))
    last = BEGIN
    while True:
        wall = walls.get_next(datetime)
        while not (at := instants_of(wall)):
            wall += timedelta(minutes=1)
        if at[0] >= END:
            return
        if at[0] > last:
            yield at[0]
            last = at[0]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", CRONS)
def test_ten_years_are_as_other_libraries_have_them(
    cron: str, zone: str, in_zone: Callable[[str], None]
) -> None:
    in_zone(zone)
    ours = [one.at for one in found(Schedule(cron=cron, timezone=zone))]

    assert ours == list(by_others(cron))
    assert ours


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_of_daylight_saving_is_said_in_words(
    zone: str, in_zone: Callable[[str], None]
) -> None:
    in_zone(zone)
    notes = 0
    for one in found(Schedule(cron="15 0-3 * * SUN", timezone=zone)):
        local = datetime(*time.localtime(one.at.timestamp())[:6])  # noqa: DTZ001 - a wall clock
        text = one.note.text() if one.note else ""
        assert ("twice" in text) == (len(instants_of(local)) > 1)
        if "does not exist" in text:
            assert not instants_of(local - timedelta(minutes=1))
        notes += bool(text)

    assert bool(notes) == (zone != "Asia/Seoul")


def test_half_past_two_does_not_exist_when_the_clocks_go_forward() -> None:
    schedule = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
    one = next(occurrences(schedule, datetime(2027, 3, 28, tzinfo=UTC)))

    assert one.at == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
    assert one.note is not None
    assert one.note.text() == "02:30 does not exist on that day: 03:00"


def test_two_times_that_fall_into_the_gap_are_one() -> None:
    schedule = Schedule(cron="0,30 2 * * *", timezone="America/New_York")
    every = found(schedule)

    assert all(a.at < b.at for a, b in pairwise(every))
    assert [one.at for one in every].count(datetime(2024, 3, 10, 7, tzinfo=UTC)) == 1


def test_every_quarter_of_an_hour_is_one_whatever_the_clock_shows() -> None:
    asked = Schedule(cron="*/15 * * * *", timezone="Europe/Berlin")
    every = list(islice(occurrences(asked, BEGIN), 36_000))

    assert {b.at - a.at for a, b in pairwise(every)} == {timedelta(minutes=15)}


def test_a_leap_day_comes_every_four_years() -> None:
    every = found(Schedule(cron="0 12 29 2 *", timezone="Asia/Seoul"))

    assert [one.at.year for one in every] == [2016, 2020, 2024]


instants = st.datetimes(min_value=datetime(2016, 1, 1), max_value=datetime(2030, 1, 1))  # noqa: DTZ001


@given(
    cron=st.sampled_from(CRONS),
    zone=st.sampled_from([*ZONES]),
    moments=st.lists(instants, min_size=2, max_size=2),
)
@settings(max_examples=40)
def test_it_does_not_matter_from_when_one_looks(
    cron: str, zone: str, moments: list[datetime]
) -> None:
    schedule = Schedule(cron=cron, timezone=zone)
    early, late = (each.replace(tzinfo=UTC) for each in sorted(moments))
    last = late + timedelta(days=40)
    after = [each.at for each in takewhile(lambda one: one.at < last, occurrences(schedule, late))]
    early = max(early, late - timedelta(days=900))
    whole = [each.at for each in takewhile(lambda one: one.at < last, occurrences(schedule, early))]

    assert [at for at in whole if at > late] == after


@given(seed=st.integers(0, 2**31 - 1), minutes=st.integers(1, 1440))
@settings(max_examples=40)
def test_the_minute_of_a_window_is_by_seed_and_within_it(seed: int, minutes: int) -> None:
    schedule = Schedule(cron="0 10 * * *", window=timedelta(minutes=minutes), seed=seed)
    begin = [list(islice(occurrences(schedule, BEGIN), 20)) for _ in range(2)]
    for one, again in zip(*begin, strict=True):
        assert one == again
        assert timedelta(0) <= one.start - one.at < timedelta(minutes=minutes)
        assert (one.start - one.at) % timedelta(minutes=1) == timedelta(0)


def test_the_minutes_of_a_window_are_spread_over_it() -> None:
    schedule = Schedule(cron="0 10 * * *", window=timedelta(hours=2), seed=3)
    minutes = [(one.start - one.at) // timedelta(minutes=1) for one in found(schedule)]

    assert set(minutes) == set(range(120))
    assert 55 < sum(minutes) / len(minutes) < 64
