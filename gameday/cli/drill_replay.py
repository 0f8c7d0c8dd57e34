"""`gameday drill --replay RUN`: a recorded run plays again."""

from pathlib import Path
from typing import Any

import click

from gameday.cli.drill_modes import ModeOptions, key_file_option, plan_option, speed_option
from gameday.cli.drill_modes import replay as play
from gameday.cli.options import runs_option
from gameday.cli.terminal import echo


@click.command()
@click.argument("run")
@speed_option
@plan_option
@key_file_option
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Instead of one that nobody knows.")
@runs_option
def replay(run: str, **options: Any) -> None:
    """Hold a session on the recorded RUN: what was measured then appears as it did."""
    folder: Path = play(run, ModeOptions(**options))
    echo(f"the session is over: {folder}")
