"""Day directories of game days that are over, for the tests of everything that looks at them."""

from datetime import timedelta
from pathlib import Path

from gameday.calendar.day_journal import DAYS, DayEntry, DayJournal, DayPlan, PlannedItem
from gameday.calendar.day_report import write_day_report
from gameday.calendar.day_result import FILE, read_day
from gameday.core.files.private import make_folder
from tests.support.past_runs import FIRST


def past_day(runs_dir: Path, number: int, runs: list[Path], *, is_over: bool = True) -> Path:
    """Day `number` of a folder, over those runs, with its report."""
    began = FIRST + timedelta(days=number)
    at = began.isoformat()
    folder = make_folder(runs_dir / DAYS / f"{began:%Y%m%dT%H%M%SZ}-drop-d{number:03d}")
    items = tuple(PlannedItem(experiment="redis-slow", planned_s=60.0) for _ in runs)
    plan = DayPlan(name="drop", title="The rehearsal", stack="embedded", agenda=items)
    journal = DayJournal(folder, lambda text: text)
    journal.write(DayEntry(at=at, event="day.started", plan=plan))
    for index, run in enumerate(runs):
        told = {"at": at, "item": index, "run": run.name}
        journal.write(DayEntry(at=at, event="item.started", item=index))
        journal.write(DayEntry(event="run.begun", **told))  # type: ignore[arg-type]
        journal.write(DayEntry(event="item.ended", exit_code=0, ended="completed", **told))  # type: ignore[arg-type]
    if is_over:
        journal.write(DayEntry(at=at, event="day.ended", ended="completed", exit_code=0))
    journal.close()
    read = read_day(folder)
    (folder / FILE).write_bytes(read.result.to_bytes())
    write_day_report(read)
    return folder
