"""The question about commands that a system file from elsewhere would have run."""

from typing import TYPE_CHECKING

import click

from gameday.cli.options import ALLOWS_COMMANDS
from gameday.cli.terminal import can_ask, echo, is_agreed
from gameday.cli.words import say
from gameday.core.errors import UsageError

if TYPE_CHECKING:
    from gameday.spec.inputs import LoadedSystem


def ask_about_commands(loaded: "LoadedSystem") -> None:
    """Ask once, where somebody can answer, or agree by `--allow-commands`, and show them.

    `offline_checks` refuses what was not agreed to.

    Raises UsageError after a no.
    """
    from gameday.plan.commands import CURE, agree, refusal, unagreed

    asked = unagreed(loaded)
    context = click.get_current_context(silent=True)
    allowed = context is not None and context.find_root().meta.get(ALLOWS_COMMANDS, False)
    if not asked or not (allowed or can_ask()):
        return
    echo(say("commands_from", path=loaded.path), err=True)
    for each in asked:
        echo(f"  {each}", err=True)
    if not allowed and not is_agreed(say("commands_ask")):
        raise UsageError(refusal(loaded, asked), help=CURE)
    agree(loaded)


def must_agree_to_setup(loaded: "LoadedSystem") -> None:
    """Ask about the commands of a start, where it has any. Raises UsageError without a yes."""
    from gameday.plan.commands import SETUP, unagreed

    if any(each.key.startswith(SETUP) for each in unagreed(loaded)):
        must_agree(loaded)


def must_agree(loaded: "LoadedSystem") -> None:
    """Ask about all commands of a system. Raises UsageError without a yes.

    For what begins more than one run: nothing of it is to begin before.
    """
    from gameday.plan.commands import CURE, refusal, unagreed

    ask_about_commands(loaded)
    if asked := unagreed(loaded):
        raise UsageError(refusal(loaded, asked), help=CURE)
