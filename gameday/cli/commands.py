"""The question about commands that a system file from elsewhere would have run."""

import sys
from typing import TYPE_CHECKING

import click

from gameday.cli.options import ALLOWS_COMMANDS
from gameday.cli.terminal import confirm, echo
from gameday.cli.words import say

if TYPE_CHECKING:
    from gameday.spec.inputs import LoadedSystem


def ask_about_commands(loaded: "LoadedSystem") -> None:
    """Ask once, where somebody can answer, or agree by `--allow-commands`, and show them.

    `offline_checks` refuses what was not agreed to.

    Raises click.Abort after a no.
    """
    from gameday.plan.commands import agree, unagreed

    asked = unagreed(loaded)
    context = click.get_current_context(silent=True)
    allowed = context is not None and context.find_root().meta.get(ALLOWS_COMMANDS, False)
    if not asked or not (allowed or (sys.stdin.isatty() and sys.stderr.isatty())):
        return
    echo(say("commands_from", path=loaded.path), err=True)
    for each in asked:
        echo(f"  {each}", err=True)
    if not allowed:
        confirm(say("commands_ask"))
    agree(loaded)
