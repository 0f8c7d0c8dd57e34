"""`gameday ack` and `gameday heal`: what a person does from another terminal, or afterwards."""

import asyncio
import getpass
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gameday.controller import target
from gameday.errors import StackError, StuckFaultError, UsageError
from gameday.stacks.state import read_kept

if TYPE_CHECKING:
    from gameday.healing import Healed


@click.command()
@click.argument("run", required=False)
@click.option("--by", default=None, help="Who takes it; default the user's name.")
def ack(run: str | None, by: str | None) -> None:
    """Tell the running run that you have taken the incident: it is journaled, the bot stays out."""
    found = [r for r in target.running() if run is None or run in (r["run"], r["run"][-4:])]
    if not found:
        raise UsageError("no run is under way" + (f" named {run!r}" if run else ""))
    if len(found) > 1:
        names = ", ".join(r["run"] for r in found)
        raise UsageError(f"{len(found)} runs are under way", help=f"name one of {names}")
    who = by or _me()
    answer = asyncio.run(target.tell(found[0], {"cmd": "ack", "by": who}))
    click.echo(f"run {answer['run']}: acknowledged by {who}")


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that has no name
        return f"user {os.getuid()}"


@click.command()
@click.argument("run", required=False)
@click.option(
    "--runs", "runs_dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True
)
def heal(run: str | None, runs_dir: Path) -> None:
    """Take out every fault that RUN (default: any run here) may have left behind.

    Needs only the run's journal, never the experiment. Doing it twice is harmless. Exit code 6
    when something could not be read back as gone.
    """
    from gameday.cli.runs import find_run
    from gameday.healing import heal as heal_run
    from gameday.healing import is_under_way

    if run is not None:
        folders = [find_run(run, runs_dir)]
    else:
        folders = sorted(p.parent for p in runs_dir.glob("*/journal.jsonl"))
    healed = []
    environment = _environment()
    for folder in folders:
        if is_under_way(folder):
            click.echo(f"run {folder.name} is under way: left alone (end it with Ctrl-C)", err=True)
            continue
        healed += [(folder.name, one) for one in asyncio.run(heal_run(folder, environment))]
    _show(healed, len(folders), runs_dir)
    if any(one.gone is False for _, one in healed):
        raise StuckFaultError(
            "something could not be read back as gone",
            help="restart that Toxiproxy (its toxics go with it), then run `gameday heal` again",
        )


def _environment() -> dict[str, str]:
    """Where the secrets of undoing requests are: this shell's, and those of the kept stack."""
    try:
        kept = read_kept()
    except StackError as error:  # healing goes on: most of it needs no secret
        click.echo(f"warning: {error.message}", err=True)
        kept = None
    return {**(kept.environment if kept is not None else {}), **os.environ}


def _show(healed: "Sequence[tuple[str, Healed]]", looked_at: int, runs_dir: Path) -> None:
    table = Table("run", "what", "gone", "why", box=None)
    for name, one in healed:
        word = {True: "yes", False: "NO", None: "not known"}[one.gone]
        table.add_row(escape(name), escape(one.what), word, escape(one.why))
    if healed:
        Console().print(table)
    else:
        click.echo(f"nothing was left behind by {looked_at} runs in {runs_dir}")
