"""`gameday drill`: an incident for people on call, who do not know what is broken.

`gameday drill EXPERIMENT` holds a live one; the other commands are the facilitator's, or look at
what a session has left. A drill replaces itself with a process whose command line says nothing,
before anything else: `ps` shows command lines to everybody.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from gameday.cli.ack_stop import me, one_run, stop_all, tell_stopped
from gameday.cli.completion import complete_experiment
from gameday.cli.console import console_options, open_console
from gameday.cli.options import DURATION, responder_delay, where
from gameday.cli.run import RunOptions, conduct_run, judge_run, refuse, who_responds
from gameday.cli.terminal import echo, flush, warn
from gameday.core import settings
from gameday.core.errors import GamedayError, SilentRunError, UsageError
from gameday.core.network import event_loop
from gameday.core.network.allow_list import Allowed

if TYPE_CHECKING:
    from datetime import timedelta

    from gameday.drills.live import LiveDrill
    from gameday.evidence.sealed_box import Box
    from gameday.run.locks import RunCommand

LIVE: Final = "live"
OTHER_COMMANDS: Final = {
    "score": "gameday.cli.drill_score:score_",
    "baselines": "gameday.cli.drill_score:baselines_",
    "forget": "gameday.cli.drill_score:forget",
}
"""Commands that have a file of their own, imported when they are called."""
GIVEN: Final = "--given"
TOKEN: Final = "GAMEDAY_DRILL_TOKEN"
"""The variable with the facilitator's token; no option, as `ps` shows command lines."""
NOBODY_LEADS: Final = (
    "nobody can lead this drill: inject, hint, pause, debrief and abort need --key-file FILE or"
    " --console; `gameday stop` ends it"
)
MOST_ARGUMENTS: Final = 60_000  # bytes; a pipe holds 64 KiB
TRIES: Final = 20  # experiments that a surprise may not be able to run here


class DrillGroup(click.Group):
    """The commands of a drill; what is no command is the experiment of a live one."""

    default_command = LIVE

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the command that is meant; a live drill goes on under another command line."""
        if args[:2] == [LIVE, GIVEN] and len(args) == 3:
            return super().parse_args(ctx, [LIVE, *_given(args[2])])
        asks_help = bool(set(args) & set(ctx.help_option_names))
        is_live = bool(args) and args[0] not in {*self.list_commands(ctx), *ctx.help_option_names}
        is_own = sys.argv[1:2] == ["drill"]  # else the command line is somebody else's
        if is_own and args and not asks_help and (is_live or args[0] == LIVE):
            _go_on_as([*args] if is_live else args[1:])
        return super().parse_args(ctx, [LIVE, *args] if is_live else args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *OTHER_COMMANDS]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands, and the experiments that a live one may be of."""
        found = super().shell_complete(ctx, incomplete)
        return [*found, *complete_experiment(ctx, None, incomplete)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in OTHER_COMMANDS:
            module, _, function = OTHER_COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), function)
            return command
        return super().get_command(ctx, cmd_name)


def _go_on_as(args: list[str]) -> None:
    """Replace this process by one whose command line does not say what is drilled."""
    raw = json.dumps(args).encode()
    if len(raw) > MOST_ARGUMENTS:
        raise UsageError("the command line is too long", help="name fewer hosts")
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as out:
        out.write(raw)
    os.set_inheritable(reading, True)  # noqa: FBT003
    flush()
    neutral = ["-P", "-m", "gameday", "drill", LIVE, GIVEN, str(reading)]
    spoken = {**os.environ, "GAMEDAY_LANG": settings.language()}  # `gameday --lang ko drill …`
    os.execve(sys.executable, [sys.executable, *neutral], spoken)


def _given(number: str) -> list[str]:
    """The arguments that come through an inherited pipe. Raises UsageError without one."""
    try:
        with os.fdopen(int(number), "rb") as pipe:
            args = json.loads(pipe.read(MOST_ARGUMENTS))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{GIVEN} is for gameday itself", help="gameday drill EXPERIMENT"
        ) from error
    return [str(each) for each in args]


@click.group(cls=DrillGroup, subcommand_metavar="EXPERIMENT|COMMAND [ARGS]...")
def drill() -> None:
    """Hold a drill of EXPERIMENT: a real fault at a random time, and nobody is told which.

    `gameday drill live --help` tells its options.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOptions(RunOptions):
    """The command line of a live drill."""

    window: "timedelta"
    maybe_nothing: float
    key_file: Path | None
    mode: str
    speed: float
    show_plan: bool


@drill.command(LIVE)
@click.argument("experiment", required=False, shell_complete=complete_experiment)
@where
@click.option(
    "--mode",
    type=click.Choice(["live", "tabletop"]),
    default="live",
    show_default=True,
    help="On a real stack, or without any system.",
)
@click.option("--replay", "recorded", metavar="RUN", help="Play a recorded run again.")
@click.option(
    "--speed",
    type=float,
    default=1.0,
    show_default=True,
    help="Without a system: 1 to 20 times as fast.",
)
@click.option(
    "--show-plan",
    is_flag=True,
    help="Without a system: tell the truth and the plan on this terminal, for the facilitator.",
)
@click.option("--surprise", is_flag=True, help="Draw the experiment, too; then name none.")
@click.option(
    "--window",
    type=DURATION,
    default="10m",
    show_default=True,
    help="The fault comes at some instant of it.",
)
@click.option(
    "--maybe-nothing",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="How probable it is that no fault comes at all.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Instead of one that nobody knows.")
@click.option(
    "--responder",
    metavar="person|bot|none|CMD",
    help="Who works on it: people (default), the bot, nobody, or a program.",
)
@responder_delay
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="Write the key of what is sealed here, for the facilitator, and for `gameday heal`.",
)
@click.option("--force", is_flag=True, help="As of `gameday run`.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json on stdout in the end.")
@console_options
@click.pass_context
def live(
    ctx: click.Context,
    /,
    experiment: str | None,
    recorded: str | None,
    *,
    surprise: bool,
    **options: Any,
) -> None:
    """Hold a drill of EXPERIMENT on a real stack. Nothing is told before the debrief."""
    asked = DrillOptions(no_responder=False, **options)
    if asked.short:
        raise UsageError("--short: a drill has its own form, `drill:` in the file")
    if sum((experiment is not None, surprise, recorded is not None)) != 1:
        raise UsageError("name an experiment, --surprise, or --replay RUN, one of them")
    if recorded is not None:
        _refuse_draws(ctx)
    if recorded is not None or asked.mode != LIVE:
        echo(f"run directory: {_without_system(experiment, recorded, asked)}")
        return
    ctx.exit(_hold(experiment, asked))


def _refuse_draws(ctx: click.Context) -> None:
    """Raise UsageError for what a replay cannot draw."""
    for name in ("window", "maybe_nothing"):
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            problem = f"{option}: a replay has its fault when the recording has it"
            raise UsageError(problem, help=f"leave {option} out")


def _without_system(experiment: str | None, recorded: str | None, asked: DrillOptions) -> Path:
    """A replay or a tabletop to its end; where its evidence is."""
    from gameday.cli import drill_modes
    from gameday.drills.live import drawn_seed, surprise

    def begun(folder: Path, box: "Box") -> None:
        drill_modes.tell_begun(folder, box)
        open_console(folder, asked.listen, box)

    seed = drawn_seed() if asked.seed is None else asked.seed
    modes = drill_modes.ModeOptions(
        runs_dir=asked.runs_dir,
        system=asked.system,
        seed=seed,
        speed=asked.speed,
        window_s=asked.window.total_seconds(),
        maybe_nothing=asked.maybe_nothing,
        key_file=asked.key_file,
        show_plan=asked.show_plan,
        begun=begun,
    )
    if recorded is not None:
        return drill_modes.replay(recorded, modes)
    return drill_modes.tabletop(experiment or surprise(seed), modes)


def _hold(experiment: str | None, asked: DrillOptions) -> int:
    """A live drill to its debrief; the exit code of its run."""
    from gameday.core.clock import SystemClock
    from gameday.plan import generator

    responding = who_responds(asked.responder, asked.runs_dir, default="person")
    held = _prepared(experiment, asked, SystemClock())
    with key_written(asked.key_file, held.box, lambda: held.is_begun):
        refuse(list(generator.checks(held.inputs, force=asked.force)), owned=True)
        if asked.key_file is None and asked.listen is None:
            warn(NOBODY_LEADS)
        folder = conduct_run(held.inputs, asked, responding, None, held)
    return judge_run(folder, as_json=asked.as_json)


def _prepared(experiment: str | None, asked: DrillOptions, clock: Any) -> "LiveDrill":
    """The drill that is meant, or a drawn one that can be run here."""
    from gameday.drills.live import drawn_seed, surprise

    seed = drawn_seed() if asked.seed is None else asked.seed
    if experiment is not None:
        return _loaded(experiment, seed, asked, clock)
    for more in range(TRIES):
        try:
            return _loaded(surprise(seed + more), seed + more, asked, clock)
        except GamedayError:
            continue  # what cannot run here is not told: it is no surprise then
    raise UsageError("no experiment that could be drawn runs here", help="gameday validate")


def _loaded(ref: str, seed: int, asked: DrillOptions, clock: Any) -> "LiveDrill":
    """A drill of files without an error; the warnings, which name the fault, are not told."""
    from gameday.drills.live import LiveDrill
    from gameday.drills.scenario import Setting
    from gameday.plan.validate import validate, validate_drill
    from gameday.spec.inputs import find_system, load_drill, load_system

    drilled = load_drill(ref, seed)
    system = load_system(find_system(asked.system))
    validate_drill(drilled, system)
    held = Setting(
        mode="live", window_s=asked.window.total_seconds(), maybe_nothing=asked.maybe_nothing
    )
    found = LiveDrill(drilled, system, held, clock)
    validate(found.inputs)
    return found


@contextmanager
def key_written(path: Path | None, box: "Box", is_begun: Callable[[], bool]) -> Iterator[None]:
    """Write the key down, where that is asked; take it away again if nothing could begin.

    It is written before anything is sealed with it. What was refused can be tried again as it is.
    """
    if path is not None:
        _write_key(path, box)
    try:
        yield
    except BaseException:
        if path is not None and not is_begun():
            path.unlink(missing_ok=True)
        raise


def _write_key(path: Path, box: "Box") -> None:
    """Write a key down for its owner alone, and never over another file."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        problem = f"--key-file {path}: cannot be written: {error.strerror}"
        raise UsageError(problem, help="name a file that is not there yet") from error
    with os.fdopen(file, "w") as out:
        out.write(box.text + "\n")


run_argument = click.argument("run", required=False)
key_option = click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help=f"The key that `drill --key-file` wrote; or the token in ${TOKEN}.",
)
by_option = click.option("--by", default=None, help="Who says it; default the user's name.")


@drill.command()
@click.argument("what", metavar="NUMBER|TEXT")
@run_argument
@click.option("--to", default="all", show_default=True, help="The role that it is for.")
@by_option
@key_option
def inject(what: str, run: str | None, **options: Any) -> None:
    """Say something to the team: TEXT, or a NUMBER of the plan before its time."""
    number = int(what) if what.isascii() and what.isdecimal() and len(what) < 10 else None
    text = "" if number is not None else what
    _command("inject", run, number=number, text=text, **options)


@drill.command()
@click.argument("number", type=click.IntRange(1), required=False)
@click.option("--run", default=None, help="The drill, where several are under way.")
@by_option
@key_option
def hint(number: int | None, run: str | None, **options: Any) -> None:
    """Give the next hint, or that NUMBER."""
    _command("hint", run, number=number, **options)


@drill.command()
@run_argument
@by_option
@key_option
def pause(run: str | None, **options: Any) -> None:
    """Hold injects and hints back; traffic, fault and clocks go on, at a table nothing does."""
    _command("pause", run, **options)


@drill.command()
@run_argument
@by_option
@key_option
def resume(run: str | None, **options: Any) -> None:
    """Let injects and hints go on."""
    _command("resume", run, **options)


@drill.command()
@run_argument
@by_option
@key_option
def debrief(run: str | None, **options: Any) -> None:
    """End the session now: the fault comes out, and everything is told."""
    _command("debrief", run, **options)


@drill.command()
@run_argument
@by_option
@key_option
def abort(run: str | None, by: str | None, key_file: Path | None, **options: Any) -> None:
    """Take every fault out at once, and end. Exit code 6 when one is not seen gone.

    With --key-file also where the drill does not answer any more: its reaper takes them out.
    """
    from gameday.evidence.sealed_box import read_key_file

    found = one_run(run)
    box = None if key_file is None else read_key_file(key_file)
    try:
        _command("abort", found.run, by=by, key_file=key_file, **options)
    except SilentRunError as error:
        warn(error.message)
    tell_stopped(event_loop.run(stop_all([found], by or me(), box), Allowed(found.allowed)))


def _command(
    cmd: str, run: str | None, *, by: str | None, key_file: Path | None, **said: Any
) -> None:
    """Send a facilitator's command, and tell what is answered."""
    from gameday.evidence.sealed_box import read_key_file
    from gameday.run import locks

    found = one_run(run)
    token = os.environ.get(TOKEN) if key_file is None else read_key_file(key_file).token
    if not token:
        cure = f"--key-file FILE as the drill was given, or ${TOKEN}"
        raise UsageError(f"{cmd} is the facilitator's, and takes the token of the drill", help=cure)
    command: RunCommand = locks.RunCommand(cmd, by or "facilitator", token=token, **said)
    reply = event_loop.run(locks.send_order(found, command))
    if not reply.ok:
        raise UsageError(f"run {found.run}: {reply.why}")
    echo(f"run {found.run}: {cmd}{': ' if reply.why else ''}{reply.why}")
