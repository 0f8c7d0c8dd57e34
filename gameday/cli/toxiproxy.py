"""`gameday toxiproxy`: the embedded server alone, for any Toxiproxy client in any language.

The options belong to the server, which is also a program without this command line, so they are
handed over as they are and stand in one place.
"""

import click

from gameday.toxiproxy.__main__ import run


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def toxiproxy(options: tuple[str, ...]) -> None:
    """Run the embedded Toxiproxy server by itself, until Ctrl-C."""
    run(options, program="gameday toxiproxy")
