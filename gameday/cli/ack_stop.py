"""Commands to a run that is under way, from another terminal: `ack`, `stop`, `release`."""

import asyncio
import getpass
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from gameday.cli.completion import complete_run
from gameday.cli.terminal import echo
from gameday.cli.words import sentence
from gameday.core.clock import NS, SystemClock
from gameday.core.errors import StuckFaultError, UsageError
from gameday.core.network import event_loop
from gameday.core.network.allow_list import Allowed
from gameday.run import hold, locks

if TYPE_CHECKING:
    from gameday.evidence.sealed_box import Box
    from gameday.run.locks import UnderWay
    from gameday.run.stop_and_wait import Stopped

LOOK_S: Final = 0.05
DAY_ENDS_NS: Final = 5 * NS  # a day in a break hears at once, then writes its report


@click.command()
@click.argument("run", required=False, shell_complete=complete_run)
@click.option("--by", default=None, help="Who takes it; default the user's name.")
def ack(run: str | None, by: str | None) -> None:
    """Tell the running run that you have taken the incident: it is journaled, the bot stays out."""
    found = one_run(run)
    who = by or me()
    answer = event_loop.run(locks.send_order(found, locks.RunCommand("ack", who)))
    if not answer.ok:
        raise UsageError(f"run {found.run}: {answer.why}")
    echo(sentence("stop.acknowledged", run=found.run, by=who))


@click.command()
@click.argument("run", required=False, shell_complete=complete_run)
@click.option("--all", "everything", is_flag=True, help="Stop every run that is under way.")
@click.option(
    "--hold", "reason", metavar="REASON", help="Also refuse new runs, until `gameday release`."
)
@click.option("--by", default=None, help="Who stops it; default the user's name.")
def stop(run: str | None, *, everything: bool, reason: str | None, by: str | None) -> None:
    """Take the faults of the running RUN out at once, and end it.

    A game day ends with it; one that has a break ends at once, and RUN may name it. Returns when
    the faults are out: exit code 0; 6 when one could not be read back as gone. With
    --hold every run is stopped, unless RUN is named, and it is no error when there is none.
    """
    who = by or me()
    if reason is not None:
        if not reason.strip():
            raise UsageError("--hold: the reason is empty", help='say why: --hold "REASON"')
        echo(str(hold.put(reason, who)))
        echo(f"  {sentence('stop.release')}")
    every = everything or reason is not None
    wanted = _all_named(run)
    ended = _end_days(run, who) if every or not wanted else 0
    if ended and not wanted:
        wanted = _begun_meanwhile(run)
        if not wanted:
            return
    wanted = wanted if every or ended else [one_run(run)]
    if not wanted:
        if reason is None:
            raise _none(run)
        echo(sentence("stop.nothing"))
        return
    for each in wanted:
        echo(sentence("stop.stopping", run=each.run), err=True)
    allowed = Allowed(host for each in wanted for host in each.allowed)
    tell_stopped(event_loop.run(stop_all(wanted, who), allowed))


def _end_days(day: str | None, who: str) -> int:
    """Order the game days that are meant to begin nothing more; how many they are."""
    from gameday.calendar.day_presence import days_under_way, order_stop

    found = [each for each in days_under_way() if day in (None, each.day, each.day[-4:])]
    for each in found:
        order_stop(each, who)
        echo(sentence("stop.day", day=each.day))
    return len(found)


def _begun_meanwhile(run: str | None) -> list["UnderWay"]:
    """The runs that a day began just before it heard; none once all days are over, or wait."""
    from gameday.calendar.day_presence import days_under_way

    clock = SystemClock()
    end_ns = clock.now_ns() + DAY_ENDS_NS
    while clock.now_ns() < end_ns:
        if found := locks.running():
            return found
        if not [each for each in days_under_way() if run in (None, each.day, each.day[-4:])]:
            break
        clock.pause(LOOK_S)
    return []


async def stop_all(
    runs: "Sequence[UnderWay]", who: str, box: "Box | None" = None
) -> "Sequence[Stopped]":
    """Stop runs, and wait until their faults are out. `box` opens what a drill has sealed."""
    from gameday.cli.heal import environment
    from gameday.run.stop_and_wait import stop

    clock, secrets = SystemClock(), environment()
    return await asyncio.gather(*(stop(each, who, clock, secrets, box) for each in runs))


def tell_stopped(stopped: "Sequence[Stopped]") -> None:
    """Print how they ended. Raises StuckFaultError for a fault that was not seen gone."""
    from gameday.run.stop_and_wait import SEALED

    for one in stopped:
        if not one.left:
            id_ = "stop.out_by_reaper" if one.silent else "stop.out"
            echo(sentence(id_, run=one.run, after_s=one.after_s))
    stuck = [f"{name} of run {one.run}" for one in stopped for name in one.left]
    if stuck:
        is_sealed = any(SEALED in one.left for one in stopped)
        told = "gameday drill abort --key-file FILE tells more while it is under way; then "
        raise StuckFaultError(
            f"could not be read back as gone: {', '.join(stuck)}",
            help=f"{told if is_sealed else ''}gameday heal; else restart that Toxiproxy, its toxics"
            " go with it",
        )


def _all_named(run: str | None) -> list["UnderWay"]:
    return [r for r in locks.running() if run is None or run in (r.run, r.run[-4:])]


def one_run(run: str | None) -> "UnderWay":
    """The run that is meant. Raises UsageError when it is none, or more than one."""
    found = _all_named(run)
    if not found:
        raise _none(run)
    if len(found) > 1:
        names = ", ".join(r.run for r in found)
        raise UsageError(f"{len(found)} runs are under way", help=f"name one of {names}")
    return found[0]


def _none(run: str | None) -> UsageError:
    others = ", ".join(r.run for r in locks.running())
    return UsageError(
        "no run is under way" + (f" named {run!r}" if run else ""),
        help=f"under way: {others}" if others else "gameday heal takes out what one left behind",
    )


@click.command()
def release() -> None:
    """Let runs begin again after `gameday stop --hold`."""
    lifted = hold.release()
    echo(
        sentence("stop.not_on_hold")
        if lifted is None
        else sentence("stop.released", hold=str(lifted))
    )


def me() -> str:
    """Name of whoever calls."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that has no name
        return f"user {os.getuid()}"
