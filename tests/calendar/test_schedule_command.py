"""`gameday schedule` as people call it: the list, `ack`, `due`, and what is told of each."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.calendar.entries import load_entries
from gameday.calendar.state import ScheduleState
from gameday.cli import main
from gameday.core.clock import NS, wall_time_ns
from gameday.core.messages import Message
from gameday.plan.day_size import day_size
from gameday.run import hold
from gameday.spec.day_files import load_day

SYSTEM = """name: own
base_url: http://127.0.0.1:1
requests:
  issue: {get: /, outcomes: {issued: {status: 200}}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "gamedays").mkdir()
    (tmp_path / "system.yaml").write_text(SYSTEM)
    return tmp_path


def day(here: Path, name: str = "drop", **schedule: object) -> Path:
    """Write the file of a day that comes at midnight."""
    path = here / "gamedays" / f"{name}.yaml"
    document = {
        "name": name,
        "system": "../system.yaml",
        "agenda": [{"experiment": "redis-slow", "short": True}],
        "schedule": {"cron": "0 0 * * *", **schedule},
    }
    path.write_text(json.dumps(document))
    return path


def gameday(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def now() -> datetime:
    return datetime.fromtimestamp(wall_time_ns() // NS, UTC)


def midnight(days: int) -> date:
    """The day of the midnight that comes so many days from now."""
    return now().date() + timedelta(days=days)


def agreed(here: Path) -> list[str]:
    rows = ScheduleState.of_user().rows(path=str(here / "gamedays" / "drop.yaml"))
    return [f"{datetime.fromtimestamp(row.at_s, UTC):%Y-%m-%d}" for row in rows if row.acked_by]


def test_an_ack_passes_over_what_is_frozen_and_says_so(here: Path) -> None:
    frozen = f"{midnight(1)}..{midnight(3)}"
    day(here, notify_before="15m", requires_ack=True, freeze=[frozen])

    told = gameday("schedule", "ack", "drop", "--by", "kim")
    assert told.exit_code == 0
    assert told.stderr.count("is left out: frozen") == 3
    assert f"{midnight(4)} 00:00 UTC may begin, says kim" in told.stdout
    assert agreed(here) == [str(midnight(4))]
    assert "agreed by kim" in gameday("schedule").stdout


def test_an_ack_for_nothing_is_refused_with_the_reasons(here: Path) -> None:
    frozen = f"{midnight(0)}..{midnight(400)}"
    day(here, notify_before="15m", requires_ack=True, freeze=[frozen])

    told = gameday("schedule", "ack", "drop")
    assert told.exit_code == 2
    assert "nothing to agree to" in told.stderr
    assert agreed(here) == []


def test_an_ack_of_a_day_that_needs_none_is_refused(here: Path) -> None:
    day(here)
    told = gameday("schedule", "ack", "drop")
    assert told.exit_code == 2
    assert "requires_ack" in told.stderr


def test_an_ack_during_a_hold_counts_and_the_hold_is_told(here: Path) -> None:
    day(here, notify_before="15m", requires_ack=True)
    hold.put("Black Friday", "ops")

    told = gameday("schedule", "ack", "drop")
    assert told.exit_code == 0
    assert "Black Friday" in told.stderr
    assert agreed(here) == [str(midnight(1))]


def test_an_ack_passes_over_what_the_scheduler_has_left_out(here: Path) -> None:
    path = day(here, notify_before="15m", requires_ack=True)
    state = ScheduleState.of_user()
    entry = load_entries([str(path)]).good[0]
    at_s = int(datetime.combine(midnight(1), datetime.min.time(), UTC).timestamp())
    row = state.add(entry.key, ("drop", at_s, at_s))
    state.skip(row, Message("schedule.left_out.expr_seen", expr="up == 0", seen="0"))

    told = gameday("schedule", "ack", "drop")
    assert "is left out: true: up == 0" in told.stderr
    assert agreed(here) == [str(midnight(2))]


def test_the_first_due_says_what_it_passes_over_and_begins_nothing(here: Path) -> None:
    day(here, cron="* * * * *", misfire="run_within 30m")

    first = gameday("schedule", "due")
    assert first.exit_code == 0
    assert "before gameday knew of it: gameday day drop runs it now" in first.stderr
    assert "nothing is due" in first.stderr
    assert "before gameday knew of it" in gameday("schedule").stdout


def test_what_waits_for_its_target_is_told_and_listed(here: Path) -> None:
    path = day(here, misfire="run_within 30m")
    state = ScheduleState.of_user()
    entry = load_entries([str(path)]).good[0]
    at_s = int(now().timestamp()) - 60
    row = state.add(entry.key, ("drop", at_s, at_s))
    state.wait(row, Message("schedule.left_out.busy", by="another"))

    assert "its target is in use" in gameday("schedule").stdout


def test_the_past_of_a_file_that_is_gone_is_still_listed(here: Path) -> None:
    path = day(here, cron="* * * * *", misfire="run_within 30m")
    gameday("schedule", "due")
    path.unlink()

    told = gameday("schedule")
    assert "drop.yaml: is not there" in told.stdout
    assert "before gameday knew of it" in told.stdout


def test_the_list_says_how_long_a_day_takes_and_how_much_disk(here: Path) -> None:
    day(here)
    told = gameday("schedule").stdout
    assert "each takes 25s" in told
    assert "MB in runs" in told
    assert "free)" in told


def test_the_list_warns_of_a_day_that_could_not_be_run(here: Path) -> None:
    path = day(here)
    path.write_text(path.read_text().replace("redis-slow", "redis-slwo"))
    told = gameday("schedule")
    assert told.exit_code == 0
    assert "could not be run now" in told.stderr
    assert "redis-slwo" in told.stderr


def test_the_json_of_a_schedule_has_how_long_a_day_takes_and_how_much_disk(here: Path) -> None:
    path = day(here)
    (told,) = json.loads(gameday("schedule", "list", path, "--json").stdout)["days"]
    size = day_size(load_day(str(path)))
    assert told["disk_bytes"] == size.disk_bytes > 0
    assert told["length_s"] == size.length_s > 0
    assert told["disk_free_bytes"] > 0
