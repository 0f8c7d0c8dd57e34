"""Freezes: days, ranges, .ics files with repetitions and zones, and files that are none."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gameday.calendar.freezes import Freezes
from gameday.calendar.occurrences import Occurrence
from gameday.core.errors import FileError
from gameday.spec.schedule import Schedule
from gameday.spec.yaml import compose

EVENT = """BEGIN:VEVENT
UID:{uid}
SUMMARY:{uid}
{lines}
END:VEVENT
"""


def calendar(**events: str) -> str:
    told = "".join(EVENT.format(uid=uid, lines=lines) for uid, lines in events.items())
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//t//EN\n{told}END:VCALENDAR\n".replace(
        "\n", "\r\n"
    )


def why(folder: Path, freeze: list[str], at: datetime, zone: str = "Asia/Seoul") -> str:
    """The reason against an instant, "" for none."""
    schedule = Schedule(cron="0 0 * * *", timezone=zone, freeze=freeze)
    found = Freezes.load(schedule, folder).why(Occurrence(at, at))
    return found.text() if found else ""


def test_a_frozen_day_is_one_of_the_zone_of_the_schedule(tmp_path: Path) -> None:
    christmas = ["2026-12-25"]

    assert why(tmp_path, christmas, datetime(2026, 12, 24, 15, tzinfo=UTC))
    assert not why(tmp_path, christmas, datetime(2026, 12, 24, 14, 59, tzinfo=UTC))
    assert not why(tmp_path, christmas, datetime(2026, 12, 25, 15, tzinfo=UTC))


def test_a_range_holds_both_of_its_ends(tmp_path: Path) -> None:
    days = ["2026-12-31..2027-01-02"]
    frozen = [
        day.day
        for day in (datetime(2027, 1, n, 3, tzinfo=UTC) for n in range(1, 5))
        if why(tmp_path, days, day)
    ]

    assert frozen == [1, 2]


def test_an_event_that_repeats_freezes_each_of_its_days(tmp_path: Path) -> None:
    yearly = "DTSTART;VALUE=DATE:20201111\nDTEND;VALUE=DATE:20201112\nRRULE:FREQ=YEARLY"
    (tmp_path / "sale.ics").write_text(calendar(sale=yearly))

    assert "frozen by sale.ics: sale" in why(
        tmp_path, ["sale.ics"], datetime(2029, 11, 11, 3, tzinfo=UTC)
    )
    assert not why(tmp_path, ["sale.ics"], datetime(2029, 11, 12, 3, tzinfo=UTC))


def test_an_event_with_hours_freezes_those(tmp_path: Path) -> None:
    hours = "DTSTART:20261130T010000Z\nDTEND:20261130T020000Z"
    (tmp_path / "hours.ics").write_text(calendar(deploy=hours))
    frozen = [
        minute
        for minute in (0, 59, 60, 119, 120)
        if why(
            tmp_path, ["hours.ics"], datetime(2026, 11, 30, minute // 60, minute % 60, tzinfo=UTC)
        )
    ]

    assert frozen == [60, 119]


def test_what_is_cancelled_or_transparent_freezes_nothing(tmp_path: Path) -> None:
    day = "DTSTART;VALUE=DATE:20261130"
    told = {"off": f"{day}\nSTATUS:CANCELLED", "note": f"{day}\nTRANSP:TRANSPARENT"}
    (tmp_path / "notes.ics").write_text(calendar(**told))

    assert not why(tmp_path, ["notes.ics"], datetime(2026, 11, 30, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    "text", ["", "no calendar", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "\0" * 99]
)
def test_a_calendar_that_cannot_be_read_freezes_everything(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.ics").write_text(text)

    assert "cannot be read" in why(tmp_path, ["broken.ics"], datetime(2026, 11, 30, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("DTSTART;VALUE=DATE:20261224\r\nRRULE:FREQ=NEVER", "its RRULE makes no sense"),
        ("DTSTART;VALUE=DATE:20261224\r\nRRULE:FREQ=DAILY;UNTIL=x", "its RRULE makes no sense"),
        ("DTSTART;VALUE=DATE:20261224\r\nRRULE:FREQ=DAILY\r\nEXDATE:x", "EXDATE makes no sense"),
        ("DTSTART;VALUE=DATE:20261399", "its DTSTART makes no sense"),
        ("DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261220", "it ends before it begins"),
        ("X-NOTE:no time at all", "it has no DTSTART"),
    ],
)
def test_an_event_whose_time_nobody_knows_freezes_everything(
    tmp_path: Path, lines: str, problem: str
) -> None:
    whole = "BEGIN:VEVENT\r\nUID:2\r\nDTSTART;VALUE=DATE:20270101\r\nEND:VEVENT\r\n"
    broken = f"BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Release\r\n{lines}\r\nEND:VEVENT\r\n"
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n"
    (tmp_path / "a.ics").write_text(f"{head}{whole}{broken}END:VCALENDAR\r\n")

    told = why(tmp_path, ["a.ics"], datetime(2026, 11, 30, 3, tzinfo=UTC))
    assert "cannot be read" in told
    assert f"Release: {problem}" in told or f"Release: its {problem}" in told


def test_a_calendar_that_is_not_there_freezes_everything(tmp_path: Path) -> None:
    assert "No such file" in why(tmp_path, ["gone.ics"], datetime(2026, 11, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('cron: "0 10 * *"', "five fields"),
        ('cron: "61 10 * * *"', "bad minute"),
        ('cron: "0 0 30 2 *"', "bad day-of-month"),
        ('{cron: "0 0 * * *", timezone: Asia/Soeul}', "did you mean 'Asia/Seoul'"),
        ('{cron: "0 0 * * *", freeze: [2026-13-01]}', "month"),
        ('{cron: "0 0 * * *", freeze: [2026-12-02..2026-12-01]}', "ends before it begins"),
        ('{cron: "0 0 * * *", at_most: 1 a week}', "1 per 7d"),
        ('{cron: "0 0 * * *", misfire: later}', "run_within 30m"),
        ('{cron: "0 0 * * *", requires_ack: true}', "notify_before"),
        ('{cron: "0 0 * * *", window: 30h}', "24h"),
        ('{cron: "0 0 * * *", skip_wen: {}}', "skip_when"),
    ],
)
def test_a_mistake_in_a_schedule_is_told_with_its_place(line: str, told: str) -> None:
    with pytest.raises(FileError) as raised:
        compose(line, "day.yaml").parse(Schedule)

    assert told in f"{raised.value.message} {raised.value.help}"
    assert raised.value.message.startswith("day.yaml:1:")
