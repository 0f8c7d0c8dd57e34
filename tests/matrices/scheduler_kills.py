"""Kill a scheduler N times at random moments, and account for each occurrence.

`python -m tests.matrices.scheduler_kills N`.

The scheduler, its database, its launcher and the days are real processes; only the wall clock is
fast (a minute takes a second), and a day writes down that it began and sleeps. Four days come every
few minutes, three of them on one target. Each time, the scheduler is killed (SIGKILL) after a
random while, and in a third of the cases a day that is under way is killed with it. In the end each
occurrence of each file since its first must be there once: finished or interrupted, and begun at
most once, or left out with a reason, and never begun. Exit code 1 when one is not.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from gameday.calendar.entries import ScheduledDay, load_entries
from gameday.calendar.occurrences import occurrences
from gameday.calendar.state import ScheduleState
from tests.support.fast_scheduler import wall_s

DAYS = {
    "often": ("*/2 * * * *", "run_within 5m", "embedded"),
    "third": ("*/3 * * * *", "run_within 8m", "embedded"),
    "strict": ("1-59/4 * * * *", "skip", "embedded"),
    "apart": ("*/2 * * * *", "run_within 10m", "external"),
}
SYSTEM = """name: apart
base_url: http://127.0.0.1:1
requests:
  issue: {get: /, outcomes: {issued: {status: 200}}}
"""
SETTLE_S = 14.0  # longer than any day may be late on the fast clock


@dataclass
class Account:
    """The counts of one matrix, and everything that is wrong."""

    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def write_days(folder: Path) -> list[str]:
    """The files of the days."""
    (folder / "system.yaml").write_text(SYSTEM)
    for name, (cron, misfire, stack) in DAYS.items():
        day = {
            "name": name,
            "stack": stack,
            "system": "system.yaml",
            "agenda": [{"experiment": "redis-slow"}],
            "schedule": {"cron": cron, "misfire": misfire, "timezone": "Asia/Seoul"},
        }
        (folder / f"{name}.yaml").write_text(json.dumps(day))
    return [str(folder / f"{name}.yaml") for name in DAYS]


def kill_many(count: int, seed: int, folder: Path) -> Account:
    """Kill the scheduler `count` times, let it settle, and account for everything."""
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    os.environ["BRIEF_DAY_LOG"] = str(folder / "begun.log")
    os.environ["BRIEF_DAY_SECONDS"] = "0.4"
    files = write_days(folder)
    entries = load_entries(files).good
    state = ScheduleState.of_user()
    base_s = time.time()
    first_s: dict[str, int] = {}
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        one_life(files, base_s, draw.uniform(0.0, 2.5), state if draw.random() < 1 / 3 else None)
        for each in entries:
            rows = state.rows(path=each.key)
            if each.key not in first_s and rows:
                first_s[each.key] = rows[0].at_s
    one_life(files, base_s, SETTLE_S, None)
    for each in entries:
        first_s.setdefault(each.key, state.rows(path=each.key)[0].at_s)
    until_s = int(wall_s(base_s) - SETTLE_S * 60)
    time.sleep(1.0)  # for a day that outlives the last scheduler
    begun = Counter(Path(os.environ["BRIEF_DAY_LOG"]).read_text().splitlines())
    account = Account()
    for each in entries:
        add(account, each, state, (first_s[each.key], until_s), begun)
    return account


def one_life(files: list[str], base_s: float, for_s: float, state: ScheduleState | None) -> None:
    """Start a scheduler, let it live, kill it, and with a state the days under way too."""
    command = [sys.executable, "-m", "tests.support.fast_scheduler", str(base_s), *files]
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=quiet) as scheduler:
        assert scheduler.stdout is not None
        scheduler.stdout.readline()  # it has read its files, and looks from now on
        time.sleep(for_s)
        assert scheduler.poll() is None, "the scheduler ended by itself"
        scheduler.send_signal(signal.SIGKILL)
        scheduler.wait()
    for row in state.rows("running") if state else []:
        for pid in (row.pid, row.child):
            if pid is not None and psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


def add(
    account: Account,
    entry: ScheduledDay,
    state: ScheduleState,
    span: tuple[int, int],
    begun: Counter[str],
) -> None:
    """Account for the occurrences of one day."""
    rows = {row.at_s: row for row in state.rows(path=entry.key)}
    for one in occurrences(entry.schedule, datetime.fromtimestamp(span[0] - 1, UTC)):
        if one.at_s > span[1]:
            return
        row = rows.get(one.at_s)
        what = f"{entry.name} {one.at:%H:%M}"
        times = sum(
            count for line, count in begun.items() if line.endswith(f"{entry.name}.yaml {one.at_s}")
        )
        account.states[row.state if row else "missing"] += 1
        if row is None:
            account.wrong.append(f"{what}: was dropped")
        elif row.state == "finished" and times != 1:
            account.wrong.append(f"{what}: finished, and began {times} times")
        elif row.state == "interrupted" and times > 1:
            account.wrong.append(f"{what}: interrupted, and began {times} times")
        elif row.state == "skipped" and (times or not str(row.why)):
            account.wrong.append(f"{what}: left out ({row.why}), and began {times} times")
        elif row.state not in ("finished", "interrupted", "skipped"):
            account.wrong.append(f"{what}: is {row.state} for ever")


def main() -> int:
    """Kill, account, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.scheduler_kills")
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gameday-scheduler-"))
    account = kill_many(asked.kills, asked.seed, folder)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(account.states.items()))
    print(f"{asked.kills} kills, {account.states.total()} occurrences: {counted}")
    for each in account.wrong:
        print(each)
    if not account.wrong:
        shutil.rmtree(folder)
    return bool(account.wrong)


if __name__ == "__main__":
    sys.exit(main())
