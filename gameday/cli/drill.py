"""`gameday drill`: train people on an incident that they do not know."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.terminal import echo
from gameday.core.errors import UsageError

if TYPE_CHECKING:
    from gameday.cli.drill_modes import ModeOptions


@click.command()
@click.argument("experiment", required=False)
@click.option("--mode", type=click.Choice(["live", "tabletop"]), default="live", show_default=True)
@click.option("--replay", "recorded", metavar="RUN", help="Play a recorded run again.")
@click.option("--speed", type=float, default=1.0, show_default=True, help="1 to 20 times as fast.")
@click.option("--system", metavar="FILE", help="The system file.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Instead of one that is drawn.")
@click.option(
    "--runs",
    "runs_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    help="Where runs are written.",
)
def drill(experiment: str | None, mode: str, recorded: str | None, **options: object) -> None:
    """Train on EXPERIMENT without a system (--mode tabletop), or on a recorded run (--replay)."""
    from gameday.cli import drill_modes

    asked: ModeOptions = drill_modes.ModeOptions(**options)  # type: ignore[arg-type]
    if recorded is not None:
        echo(f"run directory: {drill_modes.replay(recorded, asked)}")
        return
    if experiment is None or mode != "tabletop":
        raise UsageError("name an experiment and --mode tabletop, or --replay RUN")
    echo(f"run directory: {drill_modes.tabletop(experiment, asked)}")
