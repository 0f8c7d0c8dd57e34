"""Rules about the `schedule` of a game day: what it asks can be asked, and its files can be read.

The models say already what a cron expression, a zone or a freeze is; here stands what needs the
system, or other files.
"""

from pathlib import Path
from typing import Final

from gameday.core.errors import excerpt
from gameday.plan.rules.expressions import of_question
from gameday.spec.calendars import CalendarError, read_calendar
from gameday.spec.day_files import LoadedDay
from gameday.spec.inputs import Findings
from gameday.spec.schedule import CALENDAR, Schedule, SkipWhen
from gameday.spec.system import System

_SKIP: Final = ("schedule", "skip_when")


def of_schedule(loaded: LoadedDay, system: System, *, by_file: bool = True) -> Findings:
    """Everything about the schedule of a day, where it has one.

    `by_file`: nothing but the file itself says which system it is for.
    """
    asked = loaded.day.schedule
    if asked is None:
        return
    if asked.skip_when.expr is not None:
        yield from of_question(loaded.document, (*_SKIP, "expr"), asked.skip_when.expr)
    yield from _command(loaded, asked.skip_when)
    if by_file:
        yield from _servers(loaded, asked.skip_when, system)
    yield from _calendars(loaded, asked)


def _command(loaded: LoadedDay, asked: SkipWhen) -> Findings:
    if asked.command and not asked.command[0].strip():
        problem = "'command': the program has no name"
        yield loaded.document.error((*_SKIP, "command", 0), problem)


def _servers(loaded: LoadedDay, asked: SkipWhen, system: System) -> Findings:
    """Without anybody to ask, no day would ever begin."""
    document = loaded.document
    if asked.expr is not None and system.prometheus is None:
        cure = "name `prometheus` in the system file"
        yield document.error((*_SKIP, "expr"), "'expr': the system has no Prometheus", help=cure)
    if asked.alerts is not None and not (system.prometheus or system.alertmanager):
        cure = "name `alertmanager` or `prometheus` in the system file"
        problem = "'alerts': the system has no Prometheus and no Alertmanager"
        yield document.error((*_SKIP, "alerts"), problem, help=cure)


def _calendars(loaded: LoadedDay, asked: Schedule) -> Findings:
    """A calendar that cannot be read freezes everything; so it is told before that happens."""
    for index, name in enumerate(asked.freeze):
        if name.endswith(CALENDAR) and (why := _unreadable(loaded.path.parent / name)):
            problem = f"'freeze': {excerpt(name)}: {why}, so that no day would begin"
            cure = "its path counts from this file"
            yield loaded.document.error(("schedule", "freeze", index), problem, help=cure)


def _unreadable(path: Path) -> str:
    """The reason why a calendar cannot be read; "" for one that can."""
    try:
        read_calendar(path)
    except CalendarError as error:
        return str(error)
    return ""
