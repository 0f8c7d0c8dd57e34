"""`gameday completion bash|zsh|fish`: commands, options and names, completed by the shell.

The script is click's own. What is completed here are the names of experiments and of runs; a
shell asks at each press of a key, so nothing is read but folders, and nothing heavy is imported.
Whatever goes wrong, nothing is completed and nothing is said.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from gameday.cli.terminal import emit, escaped
from gameday.core import settings
from gameday.core.errors import ExitCode, GamedayError, UsageError

MOST: Final = 200  # names; nobody looks at more
TAIL: Final = 5  # the last characters of a run's name, and the hyphen before them
HEAVY: Final = {"plan"}
"""Commands that take a second to import, and whose first argument is an experiment."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, experiments and runs.

    \b
    bash: gameday completion bash > ~/.local/share/bash-completion/completions/gameday
    zsh:  gameday completion zsh > "${fpath[1]}/_gameday"
    fish: gameday completion fish > ~/.config/fish/completions/gameday.fish
    """  # noqa: D301 — click looks for the character, not for a backslash and a b
    made = get_completion_class(shell)
    if made is None:
        raise UsageError(f"{shell} cannot be completed", help="bash, zsh or fish")
    from gameday.cli import COMPLETE

    emit(made(ctx.find_root().command, {}, "gameday", COMPLETE).source() + "\n")


def answer(command: click.Command, ctx_args: Any, prog_name: str, asked: str) -> int:
    """Print what a shell may offer for the line that it has; the exit code. It says nothing else.

    Click's own prints bytes, which are not shown safely.
    """
    shell, _, instruction = asked.partition("_")
    made = get_completion_class(shell)
    if made is None or instruction != "complete":
        return ExitCode.USAGE
    try:
        found = made(command, ctx_args, prog_name, asked).complete()
    except (GamedayError, click.ClickException, OSError, ValueError, KeyError):
        return ExitCode.USAGE  # a line that cannot be read, a file that is broken
    emit(found + "\n")
    return ExitCode.PASSED


def complete_experiment(
    ctx: click.Context, param: click.Parameter | None, incomplete: str
) -> list[CompletionItem]:
    """The experiments that begin so; files where it looks like a path."""
    del ctx, param
    if "/" in incomplete or incomplete.startswith("."):
        return [CompletionItem(incomplete, type="file")]
    from gameday.spec.shipped import all_experiments

    try:
        names = [path.stem for path in all_experiments()]
    except OSError:
        return []
    return _items(name for name in names if name.startswith(incomplete))


def complete_day(
    ctx: click.Context, param: click.Parameter | None, incomplete: str
) -> list[CompletionItem]:
    """The experiments and game days that begin so; files where it looks like a path."""
    found = complete_experiment(ctx, param, incomplete)
    if "/" in incomplete or incomplete.startswith("."):
        return found
    from gameday.spec.shipped import all_days

    try:
        names = [path.stem for path in all_days()]
    except OSError:
        return found
    return [*found, *_items(name for name in names if name.startswith(incomplete))]


def complete_run(
    ctx: click.Context, param: click.Parameter | None, incomplete: str
) -> list[CompletionItem]:
    """The runs that begin so, or whose last four characters do, the newest first; and `last`."""
    del param
    try:
        folder = Path(ctx.params.get("runs_dir") or settings.current()["runs"])
        names = sorted((path.name for path in folder.iterdir() if path.is_dir()), reverse=True)
    except (OSError, UsageError, ValueError):
        return []
    whole = [name for name in names if name.startswith(incomplete)]
    tails = [name[1 - TAIL :] for name in names if name[-TAIL:].startswith(f"-{incomplete}")]
    short = tails if incomplete and not whole else []
    return _items([*(["last"] if "last".startswith(incomplete) else []), *whole, *short])


class ExperimentCommand(click.Command):
    """A stand-in of a heavy command, whose first argument is an experiment."""

    def __init__(self, name: str, real: Callable[[], click.Command | None]) -> None:
        first = click.Argument(["experiment"], shell_complete=complete_day)
        super().__init__(name, params=[first])
        self._real = real

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The options, for which the real command is needed."""
        real = self._real()
        return [] if real is None else real.shell_complete(ctx, incomplete)


def _items(names: Iterable[str]) -> list[CompletionItem]:
    """Names as they may be typed: one that a terminal would obey is left out."""
    return [CompletionItem(name) for name in list(names)[:MOST] if escaped(name) == name]
