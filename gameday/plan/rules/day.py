"""Rules about a game day: its experiments are there, its conditions can be asked, its times fit."""

from collections.abc import Sequence
from datetime import timedelta

from gameday.core.errors import FileError, UsageError
from gameday.core.network.credentials import has_credentials
from gameday.core.network.urls import Base
from gameday.core.units import format_duration
from gameday.plan.rules.expressions import of_question
from gameday.plan.rules.schedule import of_schedule
from gameday.spec.day import BreakItem, Condition, ExperimentItem
from gameday.spec.day_files import LoadedDay
from gameday.spec.inputs import FileWarning, Findings, LoadedExperiment, load_experiment
from gameday.spec.server import server
from gameday.spec.system import System
from gameday.traffic.forecast import traffic_end_s


def experiments(loaded: LoadedDay, *, short: bool = False) -> Sequence[LoadedExperiment]:
    """Every experiment of a day in its order; `short`: all in their short form.

    Raises FileError at the item whose experiment cannot be had.
    """
    return [
        _experiment(loaded, index, item, short=short)
        for index, item in enumerate(loaded.day.agenda)
        if isinstance(item, ExperimentItem)
    ]


def _experiment(
    loaded: LoadedDay, index: int, item: ExperimentItem, *, short: bool
) -> LoadedExperiment:
    ref = loaded.experiment(item.experiment)
    try:
        return load_experiment(ref, short=item.short or short, seed=item.seed)
    except FileError:
        raise  # it names a place in the experiment's own file
    except UsageError as error:
        place = ("agenda", index, "experiment")
        raise loaded.document.error(
            place, f"'experiment': {error.message}", help=error.help
        ) from None


def of_day(
    loaded: LoadedDay, found: Sequence[LoadedExperiment], system: System, *, by_file: bool = True
) -> Findings:
    """Everything about a day; `found` are its experiments.

    `by_file`: nothing but the file itself says which system it is for.
    """
    yield from _names(loaded)
    yield from _agenda(loaded)
    yield from _length(loaded, found)
    yield from _conditions(loaded, system, by_file=by_file)
    yield from of_schedule(loaded, system, by_file=by_file)
    yield from _no_credentials(loaded)


def _names(loaded: LoadedDay) -> Findings:
    document, day = loaded.document, loaded.day
    if day.name != loaded.path.stem:
        text = f"'name': {day.name!r} is not the name of the file"
        yield FileWarning(document.place("name"), text)
    names = [condition.name for condition in day.go]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield document.error(("go", index, "name"), f"'name': {name!r} is there twice")


def _agenda(loaded: LoadedDay) -> Findings:
    document, agenda = loaded.document, loaded.day.agenda
    if not loaded.day.experiments:
        yield document.error(("agenda",), "'agenda': no experiment is on it")
        return
    for index, item in enumerate(agenda):
        if not isinstance(item, BreakItem):
            continue
        if not item.break_:
            yield document.error(("agenda", index, "break"), "'break': must be longer than 0s")
        elif index in (0, len(agenda) - 1):
            when = "before the first" if index == 0 else "after the last"
            text = f"'break': it is {when} item, so nothing waits for it"
            yield FileWarning(document.place("agenda", index, "break"), text)


def planned_s(item: ExperimentItem | BreakItem, experiment: LoadedExperiment | None) -> float:
    """Seconds that an item takes at least: its break, or the traffic of its experiment."""
    if isinstance(item, BreakItem):
        return item.break_.total_seconds()
    return traffic_end_s(experiment.experiment) if experiment is not None else 0.0


def _length(loaded: LoadedDay, found: Sequence[LoadedExperiment]) -> Findings:
    """A day must have room for what is not optional."""
    day = loaded.day
    if day.within is None:
        return
    runs = iter(found)
    needed_s = 0.0
    for item in day.agenda:
        run = next(runs, None) if isinstance(item, ExperimentItem) else None
        is_optional = isinstance(item, ExperimentItem) and item.optional
        needed_s += 0.0 if is_optional else planned_s(item, run)
    if needed_s > day.within.total_seconds():
        needed = format_duration(timedelta(seconds=round(needed_s)))
        problem = (
            f"'within': {format_duration(day.within)} is less than what must be done, {needed}"
        )
        help = "without the starts of the stacks; write more, or make something optional"
        yield loaded.document.error(("within",), problem, help=help)


def _conditions(loaded: LoadedDay, system: System, *, by_file: bool) -> Findings:
    for index, condition in enumerate(loaded.day.go):
        if (condition.expr is None) == (condition.command is None):
            which = "neither" if condition.expr is None else "both"
            problem = f"{condition.name!r} has {which} of 'expr' and 'command'"
            yield loaded.document.error(("go", index), problem, help="write one of them")
        elif condition.expr is None:
            yield from _command(loaded, index, condition)
        else:
            yield from _expression(loaded, index, condition, system, by_file=by_file)
        if not condition.timeout:
            problem = "'timeout': must be longer than 0s"
            yield loaded.document.error(("go", index, "timeout"), problem)


def _command(loaded: LoadedDay, index: int, condition: Condition) -> Findings:
    if condition.prometheus is not None:
        problem = "'prometheus': a command does not ask it"
        yield loaded.document.error(("go", index, "prometheus"), problem)
    if condition.command and not condition.command[0].strip():
        problem = "'command': the program has no name"
        yield loaded.document.error(("go", index, "command", 0), problem)


def _expression(
    loaded: LoadedDay, index: int, condition: Condition, system: System, *, by_file: bool
) -> Findings:
    document = loaded.document
    if not (yield from of_question(document, ("go", index, "expr"), condition.expr or "")):
        return
    named = server(condition.prometheus)
    if named is None:
        if system.prometheus is None and by_file:
            problem = f"{condition.name!r}: no Prometheus to ask: the system names none"
            help = "add `prometheus:` to the condition, or to the system file"
            yield document.error(("go", index), problem, help=help)
        return
    where = ("go", index, "prometheus")
    try:
        Base.parse(named.url)
    except UsageError as error:
        yield document.error(where, f"'prometheus': {error.message}", help=error.help)


def _no_credentials(loaded: LoadedDay) -> Findings:
    """A secret in the file would stand in every report of the day."""
    for loc, _, node in loaded.document.root.walk():
        if isinstance(node.content, str) and has_credentials(node.content):
            key = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
            problem = f"{key!r}: an address with credentials in it"
            help = "take the secret from {env: NAME} or {file: PATH}"
            yield loaded.document.error(loc, problem, help=help)
