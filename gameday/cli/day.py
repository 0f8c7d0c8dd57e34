"""`gameday day`: a game day from a file, each item of its agenda run as `gameday run` does it."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from gameday.cli.commands import must_agree
from gameday.cli.completion import complete_day
from gameday.cli.options import no_responder, responder_delay, where
from gameday.cli.run import RunOptions
from gameday.cli.terminal import echo, emit, print_error, tell_bug, warn
from gameday.core.errors import ExitCode, GamedayError, StuckFaultError, UsageError

if TYPE_CHECKING:
    from gameday.calendar.conditions import Answered
    from gameday.calendar.day_journal import DayEnded, DayEntry, DayJournal, DayPlan
    from gameday.calendar.day_result import ReadDay
    from gameday.calendar.day_run import RunEnd
    from gameday.core.secrets.redaction import Hidden
    from gameday.report.notify import Notice
    from gameday.spec.day import Condition, ExperimentItem, Moment
    from gameday.spec.day_files import LoadedDay
    from gameday.spec.inputs import LoadedExperiment, LoadedSystem

REPORT: Final = "day.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOptions(RunOptions):
    """The command line of `day`."""

    skip_breaks: bool = False
    skip_optional: bool = False


@click.command()
@click.argument("day", metavar="[DAY|EXPERIMENT|DIR]", shell_complete=complete_day)
@where
@click.option(
    "--responder",
    metavar="bot|none|person|CMD",
    help="Who works on the incidents: the bot (default), nobody, people, or a program.",
)
@no_responder
@responder_delay
@click.option("--force", is_flag=True, help="As of `gameday run`, for each experiment.")
@click.option("--skip-optional", is_flag=True, help="Leave out what the agenda calls optional.")
@click.option("--skip-breaks", is_flag=True, help="Go on at once where the agenda has a break.")
@click.option("--json", "as_json", is_flag=True, help="Print day.json on stdout.")
@click.pass_context
def day(ctx: click.Context, /, day: str, **options: Any) -> None:
    """Run a game day: DAY is its name or its file; an EXPERIMENT alone is a day of one.

    Each experiment leaves a run of its own, the day a report over all of them in RUNS/days/. The
    exit code is the worst of its runs. DIR is the directory of a day that is over, or was killed:
    its report is written again, and nothing is run.
    """
    from gameday.calendar.day_journal import is_day_dir

    asked = DayOptions(seed=None, **options)
    if is_day_dir(Path(day)):
        ctx.exit(_write_again(Path(day), as_json=asked.as_json))
    from gameday.core import settings
    from gameday.spec.day_files import load_day

    loaded = load_day(day, short=asked.short, language=settings.language())
    by_option = ctx.get_parameter_source("stack") is ParameterSource.COMMANDLINE
    if loaded.day.stack is not None and not by_option:
        asked = replace(asked, stack=loaded.day.stack)
    ctx.exit(conduct_day(loaded, asked))


def conduct_day(loaded: "LoadedDay", asked: DayOptions) -> int:
    """A day from its validation to its report; the exit code.

    Everything is checked before anything begins. Raises UsageError, and FileError at the first
    thing that is wrong.
    """
    from gameday.calendar import day_presence
    from gameday.calendar.day_run import DayRun
    from gameday.core.clock import SystemClock

    asked, system = _with_system(loaded, asked)
    plan = _checked(loaded, asked, system)
    folder, journal = _begin(loaded, asked, system)
    echo(f"day         {folder}", err=True)
    with day_presence.present(folder), _heeding() as stopping:
        hands = _Hands(loaded, asked, system, (folder, plan), stopping)
        try:
            run = DayRun(loaded.day, plan, hands, journal, SystemClock())
            code = run.conduct(breaks=not asked.skip_breaks, optional=not asked.skip_optional)
        finally:
            journal.close()
            read = _write_up(folder)
        hands.announce_end(read)
    return _show(folder, read, code, as_json=asked.as_json)


def _checked(loaded: "LoadedDay", asked: DayOptions, system: "LoadedSystem") -> "DayPlan":
    """The day as it is to be, once nothing is found wrong with it. Raises UsageError, FileError."""
    from gameday.cli.run import who_responds
    from gameday.plan.rules.day import experiments
    from gameday.plan.validate import validate_day
    from gameday.run import hold

    by_file = asked.system is None
    for warning in validate_day(loaded, system, by_file=by_file, short=asked.short):
        warn(str(warning))
    who_responds(asked.responder, asked.runs_dir, nobody=asked.no_responder)
    _allowed(loaded, system, asked)
    hold.refuse()
    _has_room(loaded, asked)
    must_agree(system)  # the system is that of every experiment of the day
    return _plan(loaded, asked, experiments(loaded, short=asked.short))


def _has_room(loaded: "LoadedDay", asked: DayOptions) -> None:
    """Raise UsageError for a disk that cannot hold the runs: before people hear of a beginning."""
    from gameday.cli.words import megabytes
    from gameday.plan.day_size import day_size, free_bytes

    needed = day_size(loaded, short=asked.short).least_bytes
    free = free_bytes(asked.runs_dir)
    if free < needed:
        told = (
            f"about {megabytes(needed)} are needed in {asked.runs_dir}, {megabytes(free)} are free"
        )
        cure = "make room (gameday runs prune), or name another folder: --runs DIR"
        raise UsageError(told, help=cure)


def _begin(
    loaded: "LoadedDay", asked: DayOptions, system: "LoadedSystem"
) -> "tuple[Path, DayJournal]":
    """The directory of the day with its file in it, and its journal. Raises UsageError."""
    from gameday.calendar.day_journal import DayJournal, new_day_dir
    from gameday.core import files

    hide = _hidden(loaded, system)
    try:
        folder = new_day_dir(asked.runs_dir, loaded.day.name)
        files.replace(folder / "gameday.yaml", [loaded.raw])
        return folder, DayJournal(folder, hide)
    except OSError as error:
        problem = f"no game day can be written to {asked.runs_dir}: {error.strerror}"
        raise UsageError(problem, help="make room, or name another folder: --runs DIR") from error


def _hidden(loaded: "LoadedDay", system: "LoadedSystem") -> "Hidden":
    """A function that masks the secrets of the system and of the conditions. Raises UsageError."""
    from gameday.core.secrets.redaction import Hidden
    from gameday.injection.drivers.request import authorization, secrets_of
    from gameday.spec.server import server

    secrets = secrets_of(system.system, os.environ)
    for condition in loaded.day.go:
        if (named := server(condition.prometheus)) is not None:
            secrets += authorization(named, os.environ).values()
    return Hidden(secrets)


def _with_system(loaded: "LoadedDay", asked: DayOptions) -> tuple[DayOptions, "LoadedSystem"]:
    """The system of the command line, else that of the day, else as of `gameday run`."""
    from gameday.spec.day_files import day_system
    from gameday.spec.inputs import find_system, load_system

    if asked.system is None and loaded.day.system is not None:
        path = day_system(loaded)
        return replace(asked, system=str(path)), load_system(path)
    return asked, load_system(find_system(asked.system))


def _allowed(loaded: "LoadedDay", system: "LoadedSystem", asked: DayOptions) -> None:
    """Raises UsageError where a condition asks a Prometheus that is not this machine's."""
    from urllib.parse import urlsplit

    from gameday.core.network.allow_list import RefusedError
    from gameday.spec.server import server

    for index, condition in enumerate(loaded.day.go):
        named = server(condition.prometheus) or server(system.system.prometheus)
        host = urlsplit(named.url).hostname if named is not None and condition.expr else None
        if host is None:
            continue
        try:
            asked.allowed.check(host)
        except RefusedError as error:
            text = f"{condition.name!r}: {error.message}"
            raise loaded.document.error(("go", index), text, help=error.help) from None


def _plan(loaded: "LoadedDay", asked: DayOptions, found: "Sequence[LoadedExperiment]") -> "DayPlan":
    """The day as it is to be, for its journal."""
    from gameday.calendar.day_journal import DayPlan, DayRoles, PlannedItem
    from gameday.plan.rules.day import planned_s
    from gameday.spec.day import BreakItem

    day, runs = loaded.day, iter(found)
    agenda = []
    for item in day.agenda:
        if isinstance(item, BreakItem):
            agenda.append(PlannedItem(planned_s=planned_s(item, None), note=item.note or ""))
            continue
        experiment = next(runs)
        agenda.append(
            PlannedItem(
                experiment=experiment.experiment.name,
                title=experiment.experiment.title,
                short=experiment.short,
                optional=item.optional,
                stop_on=day.stops_on(item),
                planned_s=planned_s(item, experiment),
                note=item.note or "",
            )
        )
    roles = day.roles
    return DayPlan(
        name=day.name,
        title=loaded.title,
        stack=asked.stack,
        agenda=tuple(agenda),
        roles=DayRoles(
            owner=roles.owner or "",
            coordinator=roles.coordinator or "",
            reporter=roles.reporter or "",
            observers=tuple(roles.observers),
        ),
        questions=tuple(day.questions),
        file=str(loaded.path),
    )


class _Stopping:
    """Ctrl-C, SIGTERM and a closed terminal between two runs: they end the day, in order."""

    def __init__(self) -> None:
        self.ended: DayEnded | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.ended is None:
            self.ended = "operator" if number == signal.SIGINT else "signal"


@contextmanager
def _heeding() -> "Iterator[_Stopping]":
    """Heed signals while no run does: a run has handlers of its own, and puts these back."""
    from gameday.run.control_socket import heeded

    stopping = _Stopping()
    before = {number: signal.signal(number, stopping) for number in heeded()}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


class _Hands:
    """Work of a day: runs by the code of `gameday run`, questions, and notifications."""

    def __init__(
        self,
        loaded: "LoadedDay",
        asked: DayOptions,
        system: "LoadedSystem",
        of: "tuple[Path, DayPlan]",
        stopping: _Stopping,
    ) -> None:
        self._loaded = loaded
        self._asked = asked
        self._system = system
        self._folder, self._plan = of
        self._stopping = stopping

    def run(self, index: int, item: "ExperimentItem", begun: Callable[[str], None]) -> "RunEnd":
        """Run an experiment and judge it. A bug in one run is told, and ends as one."""
        from gameday.calendar.day_result import result_of
        from gameday.calendar.day_run import RunEnd
        from gameday.cli.run import judge_run, run_experiment

        del index
        folders: list[Path] = []

        def on_begin(folder: Path) -> None:
            folders.append(folder)
            begun(folder.name)

        ref = self._loaded.experiment(item.experiment)
        try:
            folder = run_experiment(ref, self._options(item), on_begin)
            code = _code(judge_run(folder, as_json=False, quiet=self._asked.as_json))
        except GamedayError as error:
            print_error(error)
            run = folders[0].name if folders else ""
            stuck = isinstance(error, StuckFaultError)
            code = ExitCode.STUCK if stuck else error.exit_code
            return RunEnd(run=run, exit_code=code, why=error.message)
        except Exception as error:  # noqa: BLE001 - a bug in one run must not lose the day's report
            tell_bug()
            run = folders[0].name if folders else ""
            return RunEnd(run=run, exit_code=ExitCode.BUG, why=repr(error))
        result = result_of(folder.parent, folder.name)
        return RunEnd(run=folder.name, exit_code=code, ended="" if result is None else result.ended)

    def _options(self, item: "ExperimentItem") -> RunOptions:
        """The command line of `gameday run` for an item."""
        values = {each.name: getattr(self._asked, each.name) for each in fields(RunOptions)}
        values |= {"short": self._asked.short or item.short, "seed": item.seed, "as_json": False}
        return RunOptions(**values)

    def ask(self, condition: "Condition") -> "Answered":
        """Ask a condition, on a loop that connects only to what is allowed."""
        from gameday.calendar.conditions import Asker, ask
        from gameday.core.network import event_loop

        by = Asker(
            system=self._system.system,
            folder=self._loaded.path.absolute().parent,
            environment=_environment(),
            hide=_hidden(self._loaded, self._system),
            stopped=lambda: self.stopped() is not None,
        )
        return event_loop.run(ask(condition, by), self._asked.allowed)

    def announce(self, at: "Moment", text: str) -> None:
        """Tell people; the end is told with the verdicts, once they are known."""
        from gameday.report.notify import day_announced, day_started

        if at == "start":
            names = [each.experiment for each in self._plan.agenda if each.experiment]
            self._send(day_started(self._plan.title, names, text), shown=bool(text))
        elif text:
            self._send(day_announced(self._plan.title, text), shown=True)

    def announce_end(self, read: "ReadDay") -> None:
        """Tell those who were told of the beginning how it ended."""
        from gameday.report.notify import day_finished

        at = "end" if read.result.ended == "completed" else "stopped"
        texts = [each.text for each in self._loaded.day.announcements if each.at == at]
        verdicts = [
            (each.experiment, each.verdict or each.status)
            for each in read.result.agenda
            if each.experiment and each.started_at
        ]
        text = "\n".join(texts)
        self._send(day_finished(self._plan.title, verdicts, text), shown=bool(text))

    def _send(self, notice: "Notice", *, shown: bool) -> None:
        """Tell the channels there are; where there is none, those before this terminal."""
        from gameday.core import settings
        from gameday.report.notify import announce

        say, language = partial(echo, err=True), settings.language()
        if not announce(notice, self._folder, say=say, language=language) and shown:
            say(notice.plain(language))

    def stopped(self) -> "DayEnded | None":
        """A signal, or an order of another terminal."""
        from gameday.calendar.day_presence import stop_order

        if self._stopping.ended is not None:
            return self._stopping.ended
        with suppress(GamedayError):
            return None if stop_order(self._folder) is None else "operator"
        return None

    def show(self, entry: "DayEntry") -> None:
        """Show on stderr what was journaled, where people would wonder."""
        from gameday.cli.day_screen import lines_of

        for line in lines_of(entry, self._plan):
            echo(line, err=True)


def _environment() -> Mapping[str, str]:
    return dict(os.environ)


def _code(number: int) -> ExitCode:
    return next(code for code in ExitCode if code == number)


def _write_up(folder: Path) -> "ReadDay":
    """Read the day, and write `day.json` and its report; a failure is told."""
    from gameday.calendar.day_report import write_day_report
    from gameday.calendar.day_result import FILE, read_day
    from gameday.core import files, settings
    from gameday.core.errors import UnknownError

    read = read_day(folder)
    try:
        files.replace(folder / FILE, [read.result.to_bytes()])
        write_day_report(read, settings.language())
    except OSError as problem:
        text = f"the report of the day cannot be written: {problem}"
        print_error(UnknownError(text, help=f"make room, then: gameday day {folder}"))
    except Exception as problem:  # noqa: BLE001 - a bug in the report must not hide the exit code
        tell_bug()
        text = f"the report of the day cannot be written, the lines above say why: {problem}"
        print_error(UnknownError(text, help=f"gameday day {folder} writes it again"))
    return read


def _write_again(folder: Path, *, as_json: bool) -> int:
    """Write the report of a day directory again; the exit code of that day."""
    from gameday.calendar.day_presence import is_under_way

    if is_under_way(folder):
        problem = f"the game day {folder.name} is under way: it writes its own report when it ends"
        raise UsageError(problem, help="gameday stop ends it")
    read = _write_up(folder)
    return _show(folder, read, _code(read.result.exit_code), as_json=as_json)


def _show(folder: Path, read: "ReadDay", code: ExitCode, *, as_json: bool) -> int:
    """Print the day; its exit code."""
    from gameday.cli.day_screen import show_day
    from gameday.core import settings
    from gameday.core.messages import Message

    if as_json:
        emit(read.result.to_bytes().decode())
    else:
        show_day(read.result)
        for name, file in (("result", "day.json"), ("report", REPORT)):
            told = Message(f"day.screen.{name}", path=str(folder / file))
            echo(told.text(settings.language()))
    return int(code)
