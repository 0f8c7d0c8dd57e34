"""`gameday drill EXPERIMENT --mode tabletop`: an incident that is only told."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.drill_modes import ModeOptions, key_file_option, plan_option, speed_option
from gameday.cli.drill_modes import tabletop as play
from gameday.cli.options import DURATION, runs_option
from gameday.cli.terminal import echo

if TYPE_CHECKING:
    from datetime import timedelta


@click.command()
@click.argument("experiment")
@speed_option
@plan_option
@key_file_option
@click.option(
    "--window", type=DURATION, default="0s", help="The fault comes at some instant of it."
)
@click.option(
    "--maybe-nothing",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="How probable it is that no fault comes at all.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Instead of one that nobody knows.")
@click.option("--system", metavar="FILE", help="The system file that it is about.")
@runs_option
def tabletop(experiment: str, window: "timedelta", **options: Any) -> None:
    """Hold a session of EXPERIMENT without any system: what happens is said."""
    folder: Path = play(experiment, ModeOptions(window_s=window.total_seconds(), **options))
    echo(f"the session is over: {folder}")
