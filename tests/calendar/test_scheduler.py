"""The scheduler on a clock of the test: ten years, jumps, sleep, a full disk, edited files, holds.

ScheduleState and files are real; a day is an object that ends when the test says so.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from gameday.calendar.entries import ScheduledDay, load_entries
from gameday.calendar.launch import main as launch
from gameday.calendar.launch import this_process
from gameday.calendar.occurrences import Occurrence, occurrences
from gameday.calendar.scheduler import Scheduler, next_of
from gameday.calendar.state import Look, OccurrenceRow, ScheduleState
from gameday.core.errors import UnknownError
from gameday.core.messages import Message
from gameday.run import hold
from tests.calendar.test_occurrences import BEGIN, END, by_others, in_zone
from tests.matrices.scheduler_kills import kill_many

__all__ = ["in_zone"]  # a fixture
MONDAY = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
SYSTEM = """name: own
base_url: http://127.0.0.1:1
requests:
  issue: {get: /, outcomes: {issued: {status: 200}}}
"""


@dataclass
class Day:
    """A day under way; `code` is set when it ends."""

    code: int | None = None

    def poll(self) -> int | None:
        return self.code


@dataclass
class Desk:
    """A scheduler, its files, and what it did."""

    folder: Path
    state: ScheduleState
    begun: list[tuple[str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    long: bool = False
    boot_s: float = 1000.0
    awake_s: float = 1000.0

    def __post_init__(self) -> None:
        self.scheduler = self.anew()

    def anew(self) -> Scheduler:
        """Another scheduler, as after the last one was killed."""
        self.scheduler = Scheduler(self.state, self._launch, self._say, self._notify)
        return self.scheduler

    def day(self, name: str = "drop", **schedule: object) -> ScheduledDay:
        """Write the file of a day."""
        path = self.folder / f"{name}.yaml"
        keys = {"cron": "0 10 * * *", **schedule}
        agenda = [{"experiment": "redis-slow"}]
        path.write_text(
            json.dumps({"name": name, "system": "system.yaml", "agenda": agenda, "schedule": keys})
        )
        return load_entries([str(path)]).good[0]

    def look(self, at: datetime, awake_s: float | None = None, boot_s: float | None = None) -> None:
        """Look at an instant; the machine was awake, and up, for so long since the last look."""
        last = self.state.last_look()
        gone_s = at.timestamp() - last.wall_s if last else 0.0
        self.boot_s += max(gone_s, 0) if boot_s is None else boot_s
        self.awake_s += max(gone_s, 0) if awake_s is None else awake_s
        files = [str(path) for path in sorted(self.folder.glob("*.yaml")) if path.stem != "system"]
        known = list(dict.fromkeys(row.path for row in self.state.rows("planned")))
        entries = load_entries(files, known, strict=False)
        self.scheduler.look(entries, Look(at.timestamp(), self.boot_s, self.awake_s, "boot"))

    def states(self) -> list[tuple[str, str]]:
        """What came of each occurrence, and why."""
        return [(row.state, str(row.why)) for row in self.state.rows()]

    def _launch(self, entry: ScheduledDay, row: OccurrenceRow, token: str) -> Day:
        self.begun.append((entry.name, row.at_s))
        assert self.state.begin(token, this_process(), row.start_s)
        if not self.long:
            self.state.end(token, 0, row.start_s + 60)
        return Day(None if self.long else 0)

    def _say(self, message: Message) -> None:
        self.said.append(message.text())

    def _notify(self, entry: ScheduledDay, one: Occurrence) -> None:
        self.told.append(f"{entry.name} {one.start:%H:%M}")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "gamedays"
    folder.mkdir()
    (folder / "system.yaml").write_text(SYSTEM)
    state = ScheduleState.of_user()
    yield Desk(folder, state)
    state.close()


@pytest.mark.parametrize(
    "zone",
    ["Asia/Seoul", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe",
     "America/Sao_Paulo", "Africa/Casablanca"],
)  # fmt: skip
def test_in_ten_years_each_occurrence_is_once_in_the_books(
    desk: Desk, zone: str, in_zone: Callable[[str], None]
) -> None:
    cron = "30 2 1,15,29 * SUN"  # leap days too, and the Sundays on which clocks are changed
    entry = desk.day(cron=cron, timezone=zone, misfire="run_within 3h", at_most="3 per 2w")
    at, end = BEGIN, END
    desk.state._db.execute("PRAGMA synchronous = OFF")  # noqa: SLF001 - nobody pulls the plug here
    entries = load_entries([str(entry.path)])
    number = 0
    while at < end:
        number += 1
        if number % 150 == 0:
            at += timedelta(days=17)  # nobody looked for so long
            desk.anew()
        desk.scheduler.look(entries, Look(at.timestamp(), at.timestamp(), at.timestamp(), "boot"))
        coming = next(occurrences(entry.schedule, at)).at
        at = max(at, coming) + timedelta(minutes=number * 53 % 400)  # some are too late

    in_zone(zone)
    wanted = [int(each.timestamp()) for each in by_others(cron)]  # another library, another clock
    rows = {row.at_s: row for row in desk.state.rows() if row.state != "planned"}
    begun = [at_s for _, at_s in desk.begun]
    assert set(wanted) - set(rows) <= {wanted[-1]}  # the last may not have been looked at
    assert {at_s for at_s in rows if at_s < END.timestamp()} <= set(wanted)
    local = {datetime.fromtimestamp(at_s, entry.schedule.zone).date() for at_s in rows}
    assert {date(year, 2, 29) for year in (2016, 2020, 2024)} <= local
    assert len(begun) == len(set(begun))
    assert {at_s for at_s, row in rows.items() if row.state == "finished"} == set(begun)
    assert all(str(row.why) for row in rows.values() if row.state == "skipped")
    assert {row.state for row in rows.values()} == {"finished", "skipped"}


def test_a_day_begins_at_its_time_and_once(desk: Desk) -> None:
    desk.day()
    for minutes in range(0, 120, 5):
        desk.look(MONDAY + timedelta(minutes=minutes))
        desk.anew()

    assert desk.begun == [("drop", int((MONDAY + timedelta(hours=1)).timestamp()))]


def test_a_machine_that_slept_too_long_says_so(desk: Desk) -> None:
    desk.day()
    desk.look(MONDAY)
    desk.look(MONDAY + timedelta(hours=3), awake_s=5.0)

    assert desk.states()[0][0] == "skipped"
    assert "the machine slept for 2h59m55s" in desk.states()[0][1]


def test_a_clock_that_jumps_forward_says_so_and_its_way_back_takes_nothing(desk: Desk) -> None:
    desk.day(cron="0 10 * * *")
    desk.look(MONDAY)
    desk.look(MONDAY + timedelta(days=365), boot_s=5.0, awake_s=5.0)
    assert not desk.begun
    assert "the clock was set forward by 364d" in desk.states()[0][1]

    desk.look(MONDAY + timedelta(minutes=1), boot_s=5.0, awake_s=5.0)
    for days in range(3):
        desk.look(MONDAY + timedelta(days=days, hours=1, minutes=1))

    assert len(desk.begun) == 3
    assert any("set back" in each for each in desk.said)


def test_what_has_begun_does_not_begin_again_when_the_clock_is_set_back(desk: Desk) -> None:
    desk.day()
    desk.look(MONDAY)
    for _ in range(3):
        desk.look(MONDAY + timedelta(hours=1, minutes=1))
        desk.look(MONDAY + timedelta(minutes=30))

    assert len(desk.begun) == 1


def test_a_year_of_minutes_that_were_missed_is_one_line_with_its_number(desk: Desk) -> None:
    desk.day(cron="* * * * *")
    desk.look(MONDAY)
    for _ in range(12):
        desk.look(MONDAY + timedelta(days=30))
    rows = desk.state.rows()
    first, until = (int((MONDAY + timedelta(days=days)).timestamp()) for days in (0, 30))

    assert sum(row.count for row in rows if first < row.at_s <= until) == 30 * 24 * 60
    assert len(rows) < 40


def test_a_hold_and_what_is_frozen_and_at_most_leave_out_with_their_reasons(desk: Desk) -> None:
    desk.day(at_most="1 per 2d", freeze=["2026-12-02"])
    desk.look(MONDAY)
    for days in range(4):
        if days == 3:
            hold.put("Black Friday", "ops")
        desk.look(MONDAY + timedelta(days=days, hours=1))

    words = [f"{state} {why}"[:35] for state, why in desk.states()[:4]]
    assert words == [
        "finished ",
        "skipped at most 1 per 2d, and 1 beg",
        "skipped frozen: 2026-12-02",
        "skipped on hold: on hold since 2026"[:35],
    ]


def test_nothing_begins_that_nobody_has_agreed_to(desk: Desk) -> None:
    entry = desk.day(notify_before="15m", requires_ack=True)
    desk.look(MONDAY + timedelta(minutes=46))
    desk.look(MONDAY + timedelta(minutes=50))
    desk.look(MONDAY + timedelta(minutes=60))
    assert desk.told == ["drop 10:00"]
    assert not desk.begun

    desk.look(MONDAY + timedelta(days=1, minutes=46))
    assert desk.state.ack(desk.state.rows("planned", entry.key)[0], "kim")
    desk.look(MONDAY + timedelta(days=1, minutes=60))

    assert [state for state, _ in desk.states()[:2]] == ["skipped", "finished"]


def test_what_was_due_before_a_file_was_known_is_told_and_does_not_begin(desk: Desk) -> None:
    desk.day(misfire="run_within 30m")
    desk.look(MONDAY + timedelta(minutes=61))
    desk.look(MONDAY + timedelta(minutes=62))

    assert not desk.begun
    told = "it was due 1m before gameday knew of it: gameday day drop runs it now"
    assert desk.states()[0] == ("skipped", told)
    assert len(desk.said) == 1
    assert [state for state, _ in desk.states()] == ["skipped", "planned"]


def test_what_is_long_over_when_a_file_becomes_known_is_no_matter(desk: Desk) -> None:
    desk.day(misfire="run_within 30m")
    desk.look(MONDAY + timedelta(minutes=95))

    assert [state for state, _ in desk.states()] == ["planned"]
    assert not desk.said


def test_looking_back_takes_what_was_due_before_the_file_was_known(desk: Desk) -> None:
    desk.day(misfire="run_within 30m")
    desk.scheduler.look_back = timedelta(minutes=10)
    desk.look(MONDAY + timedelta(minutes=61))

    assert len(desk.begun) == 1


def test_a_file_that_becomes_known_within_its_window_begins_at_its_minute(desk: Desk) -> None:
    entry = desk.day(window="2h", seed=4)
    one = next(occurrences(entry.schedule, MONDAY))
    assert one.start - one.at > timedelta(minutes=10)
    desk.look(one.at + timedelta(minutes=5))
    now_s = int((one.at + timedelta(minutes=5)).timestamp())
    assert next(next_of(entry, desk.state, now_s, 1))[0] == one

    desk.look(one.start)
    assert [at_s for _, at_s in desk.begun] == [one.at_s]


def test_one_target_has_one_day_at_a_time_and_the_other_waits_until_it_is_too_late(
    desk: Desk,
) -> None:
    desk.long = True
    desk.day("one")
    desk.day("two", misfire="run_within 30m")
    for minutes in (0, 60, 75, 91):
        desk.look(MONDAY + timedelta(minutes=minutes))

    assert [name for name, _ in desk.begun] == ["one"]
    assert ("skipped", "its target was in use until its time was over: one") in desk.states()


def test_a_day_whose_process_is_gone_is_interrupted_and_not_begun_again(desk: Desk) -> None:
    desk.long = True
    entry = desk.day(misfire="run_within 30m")
    desk.look(MONDAY)
    row = desk.state.rows("planned")[0]
    assert desk.state.claim(row, entry.target, "t", this_process()) is None
    assert desk.state.begin("t", (2**22 + 1, "never"), row.at_s)
    desk.anew()
    desk.look(MONDAY + timedelta(minutes=61))

    assert desk.states()[0][0] == "interrupted"
    assert not desk.begun


def test_a_claim_of_a_killed_scheduler_is_taken_back_and_its_late_child_does_nothing(
    desk: Desk,
) -> None:
    entry = desk.day()
    desk.look(MONDAY)
    row = desk.state.rows("planned")[0]
    desk.state.claim(row, entry.target, "old", (2**22 + 1, "gone"))
    desk.look(MONDAY + timedelta(minutes=61))

    assert not desk.state.begin("old", this_process(), row.at_s)
    assert len(desk.begun) == 1
    assert desk.states()[0][0] == "finished"


def test_a_launch_that_cannot_write_its_log_gives_the_claim_back(
    desk: Desk, tmp_path: Path
) -> None:
    entry = desk.day()
    desk.look(MONDAY)
    row = desk.state.rows("planned")[0]
    assert desk.state.claim(row, entry.target, "t", this_process()) is None
    log = tmp_path / "nowhere" / "log"
    argv = [sys.executable, "-m", "gameday.calendar.launch"]
    done = subprocess.run(
        [*argv, str(desk.state.path), "t", str(log), "--", "true"], check=False, capture_output=True
    )

    assert done.returncode not in (0, 75)
    assert desk.state.rows()[0].state == "claimed"  # the next look plans it again


def test_a_day_that_cannot_be_started_has_an_end_and_says_why(desk: Desk, tmp_path: Path) -> None:
    entry = desk.day()
    desk.look(MONDAY)
    row = desk.state.rows("planned")[0]
    assert desk.state.claim(row, entry.target, "t", this_process()) is None
    arguments = [str(desk.state.path), "t", str(tmp_path / "log"), "--", str(tmp_path / "none")]

    assert launch(arguments) == 3
    assert (desk.state.rows()[0].state, desk.state.rows()[0].exit_code) == ("finished", 3)
    assert "cannot be started" in (tmp_path / "log").read_text()


def test_a_state_that_was_removed_is_begun_anew_by_all_who_have_it_open(desk: Desk) -> None:
    desk.day()
    desk.look(MONDAY)
    other = ScheduleState(desk.state.path)
    assert not desk.state.is_anew()
    desk.state.path.unlink()

    assert desk.state.is_anew()
    assert not desk.state.is_anew()
    assert desk.state.rows() == []
    assert other.is_anew()
    desk.look(MONDAY + timedelta(minutes=50))
    assert [row.state for row in other.rows()] == ["planned"]
    desk.look(MONDAY + timedelta(minutes=61))
    assert len(desk.begun) == 1
    other.close()


def test_an_edited_file_counts_and_what_it_has_no_more_is_recorded(desk: Desk) -> None:
    desk.day()
    desk.look(MONDAY)
    desk.day(cron="0 11 * * *")
    desk.look(MONDAY + timedelta(minutes=30))
    desk.look(MONDAY + timedelta(minutes=61))
    assert desk.states()[0] == ("skipped", "the file was edited, and has it no more")
    desk.look(MONDAY + timedelta(minutes=121))

    assert [datetime.fromtimestamp(at_s, UTC).hour for _, at_s in desk.begun] == [11]


def test_an_edit_that_is_taken_back_before_its_time_takes_nothing(desk: Desk) -> None:
    desk.day()
    desk.look(MONDAY)
    desk.day(cron="0 11 * * *")
    desk.look(MONDAY + timedelta(minutes=30))
    desk.day()
    desk.look(MONDAY + timedelta(minutes=40))
    desk.look(MONDAY + timedelta(minutes=61))

    assert [datetime.fromtimestamp(at_s, UTC).hour for _, at_s in desk.begun] == [10]


@pytest.mark.parametrize(
    "text", ["name: [", "name: drop\nagenda: [{experiment: redis-slow}]\n", None]
)
def test_a_file_that_is_broken_or_gone_leaves_out_what_was_planned(
    desk: Desk, text: str | None
) -> None:
    path = desk.day().path
    desk.look(MONDAY)
    path.write_text(text) if text is not None else path.unlink()
    desk.look(MONDAY + timedelta(minutes=61))
    state, why = desk.states()[0]

    assert not desk.begun
    assert state == "skipped"
    assert why.startswith("the file cannot be used: ")


def test_with_a_full_disk_nothing_begins_and_with_room_again_it_does(desk: Desk) -> None:
    desk.day()
    desk.look(MONDAY)
    limit(desk.state, 1)  # no page more than there are
    row = desk.state.rows("planned")[0]
    big = Message("schedule.left_out.busy", by="x" * 100_000)
    for _ in range(2):
        with pytest.raises(UnknownError, match="full"):
            desk.state.wait(row, big)
    limit(desk.state, 2**30)
    desk.look(MONDAY + timedelta(minutes=61))

    assert len(desk.begun) == 1


def test_a_claim_that_cannot_be_written_begins_nothing(desk: Desk) -> None:
    desk.day()
    desk.look(MONDAY)
    desk.state._db.execute("PRAGMA query_only = ON")  # noqa: SLF001 - as a disk that is read-only
    with pytest.raises(UnknownError, match="readonly"):
        desk.look(MONDAY + timedelta(minutes=61))
    assert not desk.begun

    desk.state._db.execute("PRAGMA query_only = OFF")  # noqa: SLF001
    desk.look(MONDAY + timedelta(minutes=62))
    assert len(desk.begun) == 1


def limit(state: ScheduleState, pages: int) -> None:
    """SQLite's own full disk: so many pages and no more."""
    state._db.execute(f"PRAGMA max_page_count = {pages:d}")  # noqa: SLF001


def test_a_state_that_is_no_database_is_told_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "schedule.db").write_bytes(b"no database" * 1000)

    with pytest.raises(Exception, match="not a database"):
        ScheduleState(tmp_path / "schedule.db")


def test_the_list_has_the_reasons_of_those_to_come(desk: Desk) -> None:
    entry = desk.day(freeze=["2026-12-01"])
    coming = list(next_of(entry, desk.state, int(MONDAY.timestamp()), 3))

    assert [why.text() if why else "" for _, why in coming] == ["", "frozen: 2026-12-01", ""]


@pytest.mark.parametrize(("code", "begins"), [(0, False), (1, True), (2, False)])
def test_a_command_that_says_skip_or_cannot_say_keeps_the_day_from_beginning(
    desk: Desk, code: int, *, begins: bool
) -> None:
    desk.day(skip_when={"command": ["sh", "-c", f"exit {code}"]})
    desk.look(MONDAY)
    desk.look(MONDAY + timedelta(minutes=60))

    assert bool(desk.begun) == begins


@pytest.mark.timeout(120)
def test_schedulers_that_are_killed_account_for_each_occurrence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_STATE_HOME", "BRIEF_DAY_LOG", "BRIEF_DAY_SECONDS"):
        monkeypatch.setenv(name, "")
    account = kill_many(4, 3, tmp_path)

    assert not account.wrong
    assert account.states["finished"]
    assert not account.states["missing"]


def test_the_database_is_for_its_user_alone(desk: Desk) -> None:
    assert desk.state.path.stat().st_mode & 0o077 == 0
    assert sqlite3.connect(desk.state.path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
