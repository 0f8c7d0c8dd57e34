"""What a person does from another terminal, or afterwards: `ack`, `stop`, `release`, `heal`."""

import asyncio
import getpass
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.terminal import echo, warn
from gameday.clock import SystemClock
from gameday.controller import hold, target
from gameday.errors import StackError, StuckFaultError, UsageError
from gameday.stacks.state import read_kept

if TYPE_CHECKING:
    from gameday.controller.stopping import Stopped
    from gameday.controller.target import UnderWay
    from gameday.healing import Healed


@click.command()
@click.argument("run", required=False)
@click.option("--by", default=None, help="Who takes it; default the user's name.")
def ack(run: str | None, by: str | None) -> None:
    """Tell the running run that you have taken the incident: it is journaled, the bot stays out."""
    found = _one(run)
    who = by or _me()
    answer = asyncio.run(target.tell(found, {"cmd": "ack", "by": who}))
    if not answer["ok"]:
        raise UsageError(f"run {found.run}: {answer['why']}")
    echo(f"run {found.run}: acknowledged by {who}")


@click.command()
@click.argument("run", required=False)
@click.option("--all", "everything", is_flag=True, help="Stop every run that is under way.")
@click.option(
    "--hold", "reason", metavar="REASON", help="Also refuse new runs, until `gameday release`."
)
@click.option("--by", default=None, help="Who stops it; default the user's name.")
def stop(run: str | None, *, everything: bool, reason: str | None, by: str | None) -> None:
    """Take the faults of the running RUN out at once, and end it.

    Returns when the faults are out: exit code 0; 6 when one could not be read back as gone. With
    --hold every run is stopped, unless RUN is named, and it is no error when there is none.
    """
    who = by or _me()
    if reason is not None:
        if not reason.strip():
            raise UsageError("--hold: the reason is empty", help='say why: --hold "REASON"')
        echo(str(hold.put(reason, who)))
        echo("  gameday release lifts it")
    wanted = _all_named(run) if everything or reason is not None else [_one(run)]
    if not wanted:
        if reason is None:
            raise _none(run)
        echo("no run is under way")
        return
    for each in wanted:
        echo(f"run {each.run}: stopping …", err=True)
    _tell_stopped(asyncio.run(_stop_all(wanted, who)))


async def _stop_all(runs: "Sequence[UnderWay]", who: str) -> "Sequence[Stopped]":
    from gameday.controller import stopping

    clock, secrets = SystemClock(), _environment()
    return await asyncio.gather(*(stopping.stop(each, who, clock, secrets) for each in runs))


def _tell_stopped(stopped: "Sequence[Stopped]") -> None:
    for one in stopped:
        how = ", by its reaper: its controller did not answer" if one.silent else ""
        if not one.left:
            echo(f"run {one.run}: no fault is in, after {one.after_s:.2f} s{how}")
    stuck = [f"{name} of run {one.run}" for one in stopped for name in one.left]
    if stuck:
        raise StuckFaultError(
            f"could not be read back as gone: {', '.join(stuck)}",
            help="gameday heal; else restart that Toxiproxy, its toxics go with it",
        )


def _all_named(run: str | None) -> list["UnderWay"]:
    return [r for r in target.running() if run is None or run in (r.run, r.run[-4:])]


def _one(run: str | None) -> "UnderWay":
    """The run that is meant. Raises UsageError when it is none, or more than one."""
    found = _all_named(run)
    if not found:
        raise _none(run)
    if len(found) > 1:
        names = ", ".join(r.run for r in found)
        raise UsageError(f"{len(found)} runs are under way", help=f"name one of {names}")
    return found[0]


def _none(run: str | None) -> UsageError:
    others = ", ".join(r.run for r in target.running())
    return UsageError(
        "no run is under way" + (f" named {run!r}" if run else ""),
        help=f"under way: {others}" if others else "gameday heal takes out what one left behind",
    )


@click.command()
def release() -> None:
    """Let runs begin again after `gameday stop --hold`."""
    lifted = hold.release()
    echo("nothing was on hold" if lifted is None else f"released; it was {lifted}")


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
    from gameday import journal
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
            echo(f"run {folder.name} is under way: left alone (gameday stop ends it)", err=True)
            continue
        damage = journal.read(folder / "journal.jsonl").damage
        if damage:
            warn(
                f"{folder.name}/journal.jsonl: {damage}; only what stands before it is"
                f" undone (look for toxics named gameday-{folder.name}-* yourself)"
            )
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
        warn(error.message)
        kept = None
    return {**(kept.environment if kept is not None else {}), **os.environ}


def _show(healed: "Sequence[tuple[str, Healed]]", looked_at: int, runs_dir: Path) -> None:
    from gameday.cli.drawing import SafeConsole, table

    told = table("run", "what", "gone", "why")
    for name, one in healed:
        word = {True: "yes", False: "NO", None: "not known"}[one.gone]
        told.add_row(name, one.what, word, one.why)
    if healed:
        SafeConsole().print(told)
    else:
        echo(f"nothing was left behind by {looked_at} runs in {runs_dir}")
