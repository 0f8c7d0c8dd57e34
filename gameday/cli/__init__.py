"""The command line: the only code that prints.

Commands are imported when they are called, not before, so that `gameday --help` is quick. They
stand in the order a game day uses them. Errors are raised where their cause is known and
printed here, once, with the exit code of their class (`errors.py`).
"""

import importlib
import os
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from gameday import __version__
from gameday.cli import terminal
from gameday.cli.options import lang_option
from gameday.cli.trouble import as_usage, must_have_a_folder
from gameday.core import settings
from gameday.core.errors import ExitCode, GamedayError
from gameday.core.files.private import only_for_us
from gameday.core.network.credentials import has_credentials, without_credentials

COMMANDS = {
    "init": ("gameday.cli.init:init", "Make the first files of your own system."),
    "doctor": ("gameday.cli.doctor:doctor", "Look whether this machine can run a game day."),
    "list": ("gameday.cli.files:list_", "List the experiments that can be run."),
    "show": ("gameday.cli.files:show", "Show an experiment: what is asked, broken and expected."),
    "validate": ("gameday.cli.files:validate", "Check experiment files without touching anything."),
    "schema": ("gameday.cli.files:schema", "Print the JSON Schema of a kind of file."),
    "faults": ("gameday.cli.faults:faults", "List what can go wrong, and what each needs."),
    "explain": ("gameday.cli.explain:explain", "Tell what a key of a file means."),
    "up": ("gameday.cli.stack:up", "Start the embedded stack and keep it running."),
    "plan": ("gameday.cli.plan:plan", "Tell what a run would touch, and whether it can begin."),
    "run": ("gameday.cli.run:run", "Run an experiment and judge it."),
    "day": ("gameday.cli.day:day", "Run a game day: experiments in order, one report over all."),
    "drill": (
        "gameday.cli.drill:drill",
        "Train people on call: an incident that they know nothing of.",
    ),
    "console": (
        "gameday.cli.console:console",
        "Serve a page for a run: what happens, and what can be done.",
    ),
    "ack": (
        "gameday.cli.ack_stop:ack",
        "Tell the running run that you have taken the incident.",
    ),
    "incident": (
        "gameday.cli.incident:incident",
        "Work on the incident of the running run: act, note, declare, …",
    ),
    "stop": (
        "gameday.cli.ack_stop:stop",
        "Take the faults of the running run out, and end it.",
    ),
    "release": (
        "gameday.cli.ack_stop:release",
        "Let runs begin again after `stop --hold`.",
    ),
    "heal": ("gameday.cli.heal:heal", "Take out every fault that a run may have left behind."),
    "runs": ("gameday.cli.runs:runs", "List the runs so far."),
    "check": ("gameday.cli.runs:check", "Judge a run again, from its evidence alone."),
    "report": ("gameday.cli.report:report", "Write the report of a run, or set its status."),
    "action-items": (
        "gameday.cli.action_items:action_items",
        "List what is still to be done, over all runs.",
    ),
    "alerts": (
        "gameday.cli.alerts:alerts",
        "Try alert rules on recorded runs, and find what no drill tests.",
    ),
    "compare": ("gameday.cli.compare:compare", "Compare two runs of one experiment."),
    "trend": ("gameday.cli.compare:trend", "Show all runs of an experiment over time."),
    "site": ("gameday.cli.site:site", "Write a site of all runs, for a web server."),
    "readiness": (
        "gameday.cli.readiness:readiness",
        "Tell which playbooks the runs prove, and which have got old.",
    ),
    "schedule": (
        "gameday.cli.scheduler:schedule",
        "Show when game days begin by themselves, and begin what is due.",
    ),
    "scheduler": (
        "gameday.cli.scheduler:scheduler",
        "Begin game days when they are due: a daemon.",
    ),
    "down": ("gameday.cli.stack:down", "Stop the stack that `up` started."),
    "completion": (
        "gameday.cli.completion:completion",
        "Print a script that makes a shell complete commands and names.",
    ),
    "help": ("gameday.cli.manual:help_", "Print the help of a command, or a manual page."),
    "notify": ("gameday.cli.notify:notify", "Send a test message to where runs are told."),
    "traffic": ("gameday.cli.traffic:traffic", "Send traffic alone; take k6's scripts over."),
    "toxiproxy": ("gameday.cli.toxiproxy:toxiproxy", "Run the embedded Toxiproxy server alone."),
}


COMPLETE = "_GAMEDAY_COMPLETE"
"""The variable by which a shell asks for completions."""


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def main(self, *args: Any, **options: Any) -> Any:
        options.setdefault("complete_var", COMPLETE)  # however gameday was started
        with terminal.guarded():
            settings.begin()
            try:
                return super().main(*args, **options)
            finally:
                settings.end()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse credentials before any argument can be shown, journaled or written down."""
        for number, text in enumerate(args, 1):
            if has_credentials(text):
                shown = without_credentials(text)
                ctx.fail(
                    f"argument {number}: credentials in an address: {shown:.200}\n"
                    "  help: take the secret from {env: NAME} or {file: PATH} in the system file"
                )
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), function)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands with what they are for, none of them imported; and the options."""
        named = [
            CompletionItem(name, help=about)
            for name, (_, about) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def _main_shell_completion(
        self, ctx_args: Any, prog_name: str, complete_var: str | None = None
    ) -> None:
        """Answer a shell that completes a line, and end; nothing where nobody asks."""
        asked = os.environ.get(complete_var or COMPLETE)
        if asked:
            from gameday.cli.completion import answer

            sys.exit(answer(self, ctx_args, prog_name, asked))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if ctx.resilient_parsing:  # a shell completes what is not whole yet
            return self._completed(ctx, args)
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        name, command, rest = super().resolve_command(ctx, args)
        if not set(rest) & set(ctx.help_option_names):
            must_have_a_folder(name)
        return name, command, rest

    def _completed(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that a shell completes; one that is slow to import only if need be."""
        from gameday.cli.completion import HEAVY, ExperimentCommand

        name, *rest = args
        if name in HEAVY and not rest:
            return name, ExperimentCommand(name, lambda: self.get_command(ctx, name)), []
        return name, self.get_command(ctx, name), rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with only_for_us():
                return super().invoke(ctx)
            return None
        except GamedayError as error:
            terminal.print_error(error)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            terminal.echo("interrupted", err=True)
            sys.exit(ExitCode.ABORTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - the last place: a bug must not look like a verdict
            sys.exit(_unexpected(error))


def _unexpected(error: Exception) -> int:
    """Tell what nobody foresaw: a name that no file can have, or a bug; the exit code."""
    if isinstance(error, OSError) and (usage := as_usage(error)):
        terminal.print_error(usage)
        return usage.exit_code
    terminal.tell_bug()
    terminal.echo("error: this is a bug in gameday; the lines above say where", err=True)
    return GamedayError.exit_code


@click.group(
    cls=LazyGroup,
    epilog=terminal.exit_codes({code: code.meaning for code in ExitCode}),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@lang_option
@click.version_option(__version__, prog_name="gameday")
def main() -> None:
    """Practise incidents for real: break a system on purpose, watch it, put it back, learn."""
