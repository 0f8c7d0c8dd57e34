"""`gameday run`: put an experiment on a stack, watch it, judge it, and write it up."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.commands import ask_about_commands
from gameday.cli.completion import complete_experiment
from gameday.cli.console import console_options, open_console
from gameday.cli.options import WhereOptions, no_responder, on_stack, responder_delay, where
from gameday.cli.terminal import echo, emit, print_error, tell_bug, warn
from gameday.cli.words import say
from gameday.core.errors import GamedayError, UsageError
from gameday.core.stack_registry import STACKS, new_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import timedelta

    from gameday.console.settings import ListenSettings
    from gameday.core.network.allow_list import Allowed
    from gameday.judge.result import Result
    from gameday.plan.finding import Finding
    from gameday.plan.offline_checks import RunConditions
    from gameday.run.drill import DrillHooks
    from gameday.run.lifecycle import Conducted
    from gameday.run.responder.orders import Responding
    from gameday.spec.inputs import Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(WhereOptions):
    """The command line of `run`."""

    seed: int | None
    responder: str | None
    no_responder: bool
    responder_delay: "timedelta"
    force: bool
    as_json: bool
    listen: "ListenSettings | None" = None
    query_port: int | None = None


@click.command()
@click.argument("experiment", shell_complete=complete_experiment)
@where
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Instead of the file's seed.")
@click.option(
    "--responder",
    metavar="bot|none|person|replay:RUN|CMD",
    help="Who works on it: the bot (default), nobody, people, a recorded run, or a program.",
)
@no_responder
@responder_delay
@click.option(
    "--force",
    is_flag=True,
    help="Run it even if its traffic generator cannot keep the schedule; it ends as unknown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print result.json on stdout.")
@click.option(
    "--query-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Answer Prometheus' HTTP API here, on this machine alone, while it runs; 0: any port.",
)
@console_options
@click.pass_context
def run(ctx: click.Context, /, experiment: str, **options: Any) -> None:
    """Run EXPERIMENT (a name, or the path of a file) and judge it.

    The live screen is on stderr, the verdict on stdout; the exit code says what was found.
    """
    asked = RunOptions(**options)
    folder = run_experiment(experiment, asked)
    ctx.exit(judge_run(folder, as_json=asked.as_json))


def run_experiment(
    experiment: str, asked: RunOptions, on_begin: "Callable[[Path], None] | None" = None
) -> Path:
    """Run an experiment, not judged yet: where its evidence is, which `on_begin` is told at once.

    Raises UsageError before anything is touched.
    """
    from gameday.plan import generator  # before the file is read, which then is refused at once
    from gameday.spec.inputs import load_inputs

    responding = who_responds(asked.responder, asked.runs_dir, nobody=asked.no_responder)
    inputs = load_inputs(experiment, asked.system, short=asked.short, seed=asked.seed)
    refuse(list(generator.checks(inputs, force=asked.force)), owned=True)
    kept_per_s = _measured(inputs, shared=STACKS[asked.stack].shares_machine)
    return conduct_run(inputs, asked, responding, kept_per_s, on_begin=on_begin)


def who_responds(
    asked: str | None, runs_dir: Path, *, nobody: bool = False, default: str = "bot"
) -> "Responding":
    """The responder that is meant. Raises UsageError where there is no such run or program."""
    from gameday.run.responder.orders import REPLAY, Responding, responding

    text = asked or default
    if nobody:
        if asked not in (None, "none"):
            problem = f"--responder {text} and --no-responder exclude each other"
            raise UsageError(problem, help="give one of them")
        text = "none"
    if not text.startswith(REPLAY):
        return responding(text)
    from gameday.cli.find_run import find_run
    from gameday.run.responder.replay import recorded_orders

    found = find_run(text.removeprefix(REPLAY), runs_dir)
    return Responding("replay", recorded=recorded_orders(found))


def conduct_run(
    inputs: "Inputs",
    asked: "RunOptions",
    responding: "Responding",
    kept_per_s: float | None,
    drill: "DrillHooks | None" = None,
    *,
    on_begin: "Callable[[Path], None] | None" = None,
) -> Path:
    """The run, from a last look to its end: where its evidence is.

    A drill does not tell what is only odd: it might name the fault. The parts of a run are imported
    here: they take longer than it takes to refuse a file.
    """
    from gameday.core.clock import SystemClock
    from gameday.plan.offline_checks import RunConditions
    from gameday.run.context import Options
    from gameday.run.lifecycle import conduct
    from gameday.telemetry.failures import filled_inputs

    if drill is None:  # the experiment of a drill is disguised, and filled in before that
        inputs = filled_inputs(inputs)
    inputs, project = on_stack(inputs, asked)
    ask_about_commands(inputs.system)
    stack = new_stack(asked.stack, reuse=asked.reuse, project=project)
    about = (asked.reuse, kept_per_s, asked.force, asked.webhook_listen, project)
    _look_first(
        inputs,
        RunConditions(asked.stack, asked.runs_dir, asked.allowed, *about),
        quiet=drill is not None,
    )
    options = Options(
        asked.stack,
        asked.runs_dir,
        responding,
        asked.responder_delay.total_seconds(),
        asked.allowed,
        asked.webhook_listen,
    )
    beside, folders = _Beside(inputs, asked, drill), list[Path]()

    def begun(folder: Path) -> None:
        folders.append(folder)
        if on_begin is not None:
            on_begin(folder)
        beside.begin(folder)

    running = conduct(inputs, stack, options, SystemClock(), begun, drill=drill)
    try:
        conducted = _on_loop(running, asked.allowed, folders)
    finally:
        beside.close()
    if conducted.error is not None:
        print_error(conducted.error)
    return conducted.dir


class _Beside:
    """What goes on beside a run: its console, its query API, notifications, the screen."""

    def __init__(self, inputs: "Inputs", asked: "RunOptions", drill: "DrillHooks | None") -> None:
        from gameday.cli.notify import ToldRun
        from gameday.cli.query_api import QueryApiBeside
        from gameday.cli.screen import Screen

        self._listen, self._box = asked.listen, getattr(drill, "box", None)
        self._query_api = QueryApiBeside(inputs, asked.query_port)
        self._told = ToldRun(inputs, asked.stack, is_drill=drill is not None)
        self._screen = Screen()

    def begin(self, folder: Path) -> None:
        """Begin with a run, whose folder is there."""
        open_console(folder, self._listen, self._box)
        self._query_api.open(folder)
        self._told.begin(folder)
        self._screen.open(folder)

    def close(self) -> None:
        """End with it."""
        self._screen.close()
        self._told.finish()
        self._query_api.close()


def _on_loop(
    running: "Coroutine[Any, Any, Conducted]", allowed: "Allowed", folders: "Sequence[Path]"
) -> "Conducted":
    """Conduct a run on a loop that connects only to what is allowed."""
    from gameday.core.network import event_loop

    try:
        return event_loop.run(running, allowed)
    except Exception as error:
        _must_be_out(folders)  # a bug must not hide a fault that may still be in
        if folders and isinstance(error, OSError):
            raise RuntimeError("the run was under way: this is no bad usage") from error
        raise


def _must_be_out(folders: "Sequence[Path]") -> None:
    """Raises StuckFaultError, beside the bug that is under way, for a fault nobody saw gone."""
    from gameday.core.errors import StuckFaultError
    from gameday.evidence.read import read

    for folder in folders:
        if any(fault.left_behind for fault in read(folder).timeline.faults):
            tell_bug()
            raise StuckFaultError(
                "gameday failed, the lines above say where, and a fault was not seen gone",
                help=f"gameday heal {folder}",
            )


def _measured(inputs: "Inputs", *, shared: bool) -> float | None:
    """Requests a second that all workers keep on this machine, measured now if it matters; or None.

    Half of the cores are theirs where the system is on this machine too (`shared`).
    """
    from gameday.plan import generator
    from gameday.traffic.capacity import calibration
    from gameday.traffic.capacity.shortfalls import WARNED_ABOVE

    demand = generator.demand(inputs)
    peak_per_s = demand.reachable_per_s
    known = calibration.kept_by_all(demand, shared=shared)
    workers = calibration.workers_at_hand(demand, shared=shared)
    if peak_per_s <= generator.UNMEASURED_PER_S:
        return known
    if known is None or peak_per_s > WARNED_ABOVE * known:
        echo("measuring what the generator keeps on this machine (5 s)", err=True)
    try:
        return workers * calibration.kept_per_s(peak_per_s / workers, WARNED_ABOVE)
    except GamedayError as error:
        warn(error.message)
        return None


def _look_first(inputs: "Inputs", question: "RunConditions", *, quiet: bool) -> None:
    """Run the checks of `gameday plan` that need no stack: print warnings, raise a failure."""
    from gameday.plan.offline_checks import before

    findings = before(inputs, question)
    for each in findings:
        if each.status == "warn" and not quiet:
            warn(f"{each.name}: {each.found}")
    refuse(findings, owned=question.entry.owned)


def refuse(findings: "Sequence[Finding]", *, owned: bool) -> None:
    """Raise the first failure, the others told before it."""
    from gameday.plan.finding import as_error, failures

    wrong = failures(findings)
    for each in wrong[1:]:
        print_error(as_error(each, owned=owned))
    if wrong:
        raise as_error(wrong[0], owned=owned)


def judge_run(run_dir: Path, *, as_json: bool, quiet: bool = False) -> int:
    """Judge the evidence, write it up, show the verdict unless `quiet`; the exit code."""
    from gameday.cli.notify import summarise_step, tell_verdict
    from gameday.cli.runs import show_result
    from gameday.evidence.read import read
    from gameday.judge.judge import judge

    evidence = read(run_dir)
    result = judge(evidence)
    report = _written(run_dir, result)
    if as_json:
        emit(result.to_bytes().decode())
    elif not quiet:
        show_result(result, why=evidence.timeline.ended_why)
        echo(say("result", path=run_dir / "result.json"))
        echo(say("postmortem", path=report or say("not_written")))
    summarise_step(result, evidence)
    tell_verdict(run_dir, result, evidence)
    return int(result.exit_code)


def _written(run_dir: Path, result: "Result") -> Path | None:
    """Write the result and the draft; path of the draft, None where it cannot be written."""
    from gameday.cli.find_run import RESULT
    from gameday.core import files
    from gameday.core.errors import UnknownError
    from gameday.drills.baselines import settle

    report = None
    try:
        files.replace(run_dir / RESULT, [result.to_bytes()])
        settle(run_dir)
        report = _write_reports(run_dir)
    except OSError as problem:  # the verdict stands, and is shown, all the same
        text = f"the result and its report cannot be written: {problem}"
        print_error(UnknownError(text, help=f"make room, then: gameday report {run_dir}"))
    except Exception as problem:  # noqa: BLE001 - a bug in the report must not hide the verdict
        tell_bug()
        text = f"the report cannot be written, the lines above say why: {problem}"
        print_error(UnknownError(text, help=f"gameday report {run_dir} writes it again"))
    return report


def _write_reports(run_dir: Path) -> Path:
    """Write the draft and its page; where the draft went."""
    from gameday.report import write_report
    from gameday.report.html import write_html

    draft = write_report(run_dir)
    write_html(run_dir)
    return draft
