"""`gameday traffic`: load alone, without a stack, faults or an audit; and k6's scripts, both ways.

The first word may be `import` or `export`; anything else belongs to the sending itself.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gameday.cli.options import DURATION, RATE, allow_target
from gameday.cli.scripts import export, import_
from gameday.cli.terminal import echo, emit, exit_codes, output, warn
from gameday.core.errors import ExitCode, UsageError
from gameday.core.files.private import as_asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gameday.core.network.allow_list import Allowed
    from gameday.core.units import Rate
    from gameday.run.load_test.request import Load
    from gameday.run.load_test.result import LoadResult
    from gameday.run.load_test.session import OutputDirs, Sent
    from gameday.spec.experiment import Experiment
    from gameday.spec.inputs import LoadedExperiment, LoadedSystem
    from gameday.spec.system import System

DEFAULT_USERS: Final = 100_000  # as an experiment file's `users`
DEFAULT_TIMEOUT: Final = timedelta(seconds=10)

EXIT_CODES: Final = {
    ExitCode.ABORTED: "interrupted (Ctrl-C); the summary is of what was sent",
    ExitCode.INVALID: "a threshold was crossed",
    ExitCode.UNKNOWN: "unknown: the generator was limited, or a threshold had no sample",
    ExitCode.USAGE: "bad usage or a bad file; nothing was sent",
    ExitCode.PASSED: "every threshold was kept",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOptions:
    """The command line of `send`."""

    file: str | None
    url: str | None
    rate: "Rate | None"
    duration: timedelta | None
    vus: int | None
    sleep: timedelta | None
    body: str | None
    get: bool
    method: str | None
    headers: "Sequence[str]"
    expect: str | None
    timeout: timedelta | None
    insecure: bool
    users: int | None
    seed: int | None
    system: str | None
    short: bool
    thresholds: "Sequence[str]"
    abort_on_fail: bool
    delay_abort: timedelta
    workers: int | None
    out: Path | None
    summary_export: Path | None
    handle_summary: Path | None
    own: Path | None
    force: bool
    allowed: "Allowed"


class NamelessContext(click.Context):
    """The context of the nameless command: its usage line has no gap where its name would be."""

    @property
    def command_path(self) -> str:
        return super().command_path.rstrip()


class TrafficGroup(click.Group):
    """A group whose nameless command sends."""

    default_command = "send"

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == self.default_command else name, command, rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)


@click.group(cls=TrafficGroup)
def traffic() -> None:
    """Send traffic alone, and take k6's scripts over."""


@traffic.command(epilog=exit_codes(EXIT_CODES), options_metavar="[OPTIONS]")
@click.argument("file", required=False, metavar="[FILE.yaml]")
@click.option("--url", help="Send to this address instead of a system file's request.")
@click.option("--rate", type=RATE, help="Start so many requests, as 1000/s.")
@click.option("--duration", type=DURATION, help="How long requests are started.")
@click.option("--vus", type=click.IntRange(1), help="Virtual users; with --rate, their limit.")
@click.option("--sleep", type=DURATION, help="The pause of a virtual user after a request.")
@click.option("--json", "body", metavar="BODY", help="POST this JSON; {user} is drawn anew.")
@click.option("--get", "get", is_flag=True, help="Send a GET: what --url does without --json.")
@click.option("--method", type=click.Choice(["get", "post", "put", "patch", "delete"]))
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Repeatable.")
@click.option("--expect", metavar="STATUSES", help="Answers that are no failure.  [200-399]")
@click.option("--timeout", type=DURATION, help="How long to wait for an answer.  [10s]")
@click.option("--insecure", is_flag=True, help="Believe any TLS certificate.")
@click.option("--users", type=click.IntRange(1, 2**53), help="Users {user} is drawn from.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Fixes every random choice.")
@click.option("--system", help="The system file whose request is sent; default ours.")
@click.option("--short", is_flag=True, help="Use the file's short form.")
@click.option("--threshold", "thresholds", multiple=True, metavar="METRIC:EXPR", help="Repeatable.")
@click.option("--abort-on-fail", is_flag=True, help="A crossed --threshold ends the traffic.")
@click.option("--delay-abort", type=DURATION, default="0s", help="But not before.")
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Processes that send; default: as needed."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the records.")
@click.option("--summary-export", type=click.Path(path_type=Path), help="k6's flat JSON summary.")
@click.option("--handle-summary", type=click.Path(path_type=Path), help="As k6's handleSummary.")
@click.option(
    "--summary", "own", type=click.Path(path_type=Path), help="gameday's own JSON; -: stdout."
)
@click.option("--force", is_flag=True, help="Send even what the generator cannot do.")
@allow_target("Repeatable.")
@click.pass_context
def send(ctx: click.Context, /, **options: Any) -> None:
    """Send traffic, without a stack, faults or an audit; import and export are for k6's scripts.

    Either FILE.yaml, an experiment of which the traffic and the thresholds count, or --url with
    --rate or --vus and --duration. Only to this machine, unless --allow-target names another.

    `gameday traffic import SCRIPT.js` makes such a file of a k6 script, `gameday traffic export
    --k6 FILE.yaml` a k6 script of such a file.
    """
    from gameday.run.load_test.request import refuse_strangers, refuse_unwritable

    asked = TrafficOptions(**options)
    refuse_unwritable((asked.summary_export, asked.handle_summary, asked.own))
    load = _load(asked)
    refuse_strangers(load.system, asked.allowed, load.system_document)
    _must_be_possible(load, force=asked.force)
    # What sends and judges is imported now: it takes longer than refusing does.
    from gameday.core.network import event_loop as loop
    from gameday.run.load_test.result import judge

    with ExitStack() as stack:
        dirs = _output_dirs(asked.out, stack)
        sent = loop.run(_send(load, dirs), asked.allowed)
        verdict = judge(load, sent, dirs.history_dir)
    _write(verdict, asked)
    ctx.exit(verdict.exit_code)


def _load(asked: TrafficOptions) -> "Load":
    """The load that the command line describes. Raises UsageError."""
    from gameday.run.load_test.request import (
        Load,
        refuse_idle_workers,
        with_enough_workers,
        with_thresholds,
    )

    system, named = _system(asked)
    loaded = _from_file(asked.file, asked, named) if asked.file else None
    experiment = _from_options(asked) if loaded is None else loaded.experiment
    experiment = with_thresholds(
        experiment,
        asked.thresholds,
        abort=asked.abort_on_fail,
        delay=asked.delay_abort,
    )
    load = Load(
        experiment=experiment,
        system=system,
        system_document=None if named is None else named.document,
        workers=asked.workers or 1,
        document=None if loaded is None else loaded.document,
        users=None if named is None else named.users,
    )
    if not asked.workers:
        return with_enough_workers(load)
    refuse_idle_workers(load)
    return load


def _from_file(
    file: str, asked: TrafficOptions, named: "LoadedSystem | None"
) -> "LoadedExperiment":
    """The experiment, with as many users as its system's file has, where it does not say."""
    from gameday.run.load_test.request import check_traffic
    from gameday.spec.inputs import load_experiment, with_its_users

    for name in ("rate", "duration", "vus", "sleep", "users"):
        if getattr(asked, name) is not None:
            raise UsageError(f"--{name} beside {file}", help="write it into the file")
    loaded = load_experiment(file, short=asked.short, seed=asked.seed)
    check_traffic(loaded)
    return loaded if named is None else with_its_users(loaded, named)


def _from_options(asked: TrafficOptions) -> "Experiment":
    """One scenario. Raises UsageError where the command line does not make one."""
    from gameday.run.load_test.request import OneScenario, experiment_of

    rate, vus, duration = asked.rate, asked.vus, asked.duration
    if asked.url is None:
        help = (
            "gameday traffic FILE.yaml, or --url http://HOST:PORT/PATH --rate 100/s --duration 30s"
        )
        raise UsageError("there is nothing to send: no file and no --url", help=help)
    if asked.short or asked.system:
        raise UsageError("--short and --system belong to a file", help="name the file first")
    if duration is None or (rate is None and vus is None):
        help = "write --rate 100/s or --vus 10, and --duration 30s"
        raise UsageError("--url needs --duration, and --rate or --vus", help=help)
    one = OneScenario(duration=duration, rate=rate, vus=vus, sleep=asked.sleep)
    made = experiment_of(one, asked.users or DEFAULT_USERS)
    if asked.seed is not None:
        return made.model_copy(update={"seed": asked.seed})
    from secrets import randbits

    return made.model_copy(update={"seed": randbits(31)})


def _system(asked: TrafficOptions) -> "tuple[System, LoadedSystem | None]":
    """The request: that of --url, else that of the system file, and the file. Raises UsageError."""
    from gameday.plan.validate import validate_system
    from gameday.run.load_test.request import FINE, Target, system_of
    from gameday.spec.inputs import find_system, load_system

    if asked.url is None:
        for name in ("body", "get", "method", "headers", "expect", "insecure", "timeout"):
            if getattr(asked, name):
                word = {"body": "json", "headers": "header"}.get(name, name)
                raise UsageError(f"--{word} without --url", help="the system file has the request")
        loaded = load_system(find_system(asked.system))
        validate_system(loaded)
        return loaded.system, loaded
    if asked.system is not None:
        raise UsageError("--system beside --url", help="the request is of one of them")
    if asked.get and asked.body is not None:
        raise UsageError("--get and --json contradict each other", help="leave one of them out")
    system = system_of(
        Target(
            url=asked.url,
            method="get" if asked.get else asked.method,
            body=asked.body,
            headers=asked.headers,
            expect=asked.expect or FINE,
            timeout=asked.timeout or DEFAULT_TIMEOUT,
            insecure=asked.insecure,
        )
    )
    return system, None


def _must_be_possible(load: "Load", *, force: bool) -> None:
    """Refuse what no generator can do, before the first request. Raises UsageError."""
    from gameday.run.load_test.request import lacking

    found = lacking(load)
    fatal = [one for one in found if one.status == "fail"]
    for one in found:
        if one not in fatal[:1] or force:
            warn(f"{load.where(one.scenario) or one.name}: {one.text}")
    if fatal and not force:
        first = fatal[0]
        where = load.where(first.scenario) or first.name
        raise UsageError(f"{where}: {first.text}", help=first.cure)


def _output_dirs(out: Path | None, stack: ExitStack) -> "OutputDirs":
    """The folder for the records: --out, or a temporary folder that is removed in the end."""
    import tempfile

    from gameday.run.load_test.request import records_folder
    from gameday.run.load_test.session import OutputDirs

    folder = out
    if folder is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gameday-traffic-")))
    return OutputDirs(records_folder(folder), folder / "workers.log")


async def _send(load: "Load", dirs: "OutputDirs") -> "Sent":
    """Send, with the live view on stderr; Ctrl-C ends it, a second one at once."""
    import asyncio

    from gameday.cli.load_screen import LoadScreen
    from gameday.core.clock import SystemClock
    from gameday.run.control_socket import heeded
    from gameday.run.load_test.session import send as send_load

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for each in heeded():
        loop.add_signal_handler(each, interrupted)
    with LoadScreen(load) as screen:
        return await send_load(load, dirs, SystemClock(), screen.show, stop)


def _write(verdict: "LoadResult", asked: TrafficOptions) -> None:
    """The summary on stdout, and the files that were asked for. Raises UsageError."""
    from gameday.cli.load_screen import end_summary
    from gameday.traffic.k6 import summary_json

    metrics, kept = verdict.all_metrics, verdict.held
    terminals = output().isatty(), output(err=True).isatty()
    length_ms = verdict.length_s * 1000
    handed = summary_json.handed(metrics, kept, length_ms=length_ms, terminals=terminals)
    documents = (
        (asked.summary_export, summary_json.flat(metrics, kept)),
        (asked.handle_summary, handed),
        (asked.own, verdict.as_json()),
    )
    problems = []
    for path, document in documents:
        if path is not None and str(path) != "-":
            with as_asked():
                problems += _write_json(path, document)
    if asked.out:
        problems += _write_json(asked.out / "summary.json", verdict.as_json())
    if str(asked.own) == "-":
        emit(json.dumps(verdict.as_json(), indent=2) + "\n")
    else:
        for line in end_summary(verdict, output().encoding):
            echo(line)
    if problems:  # told last: the summary is not lost with its file
        raise problems[0]


def _write_json(path: Path, document: object) -> list[UsageError]:
    """Write it; what went wrong, normally nothing."""
    try:
        path.write_text(json.dumps(document, indent=2) + "\n")
    except OSError as error:
        return [UsageError(f"{path} cannot be written: {error.strerror}")]
    return []


send.context_class = NamelessContext
traffic.add_command(import_, "import")
traffic.add_command(export)
