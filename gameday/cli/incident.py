"""`gameday incident`: orders of the people who work on an incident, from another terminal.

Each goes to the run that is under way, which journals who gave it and when. What is ordered to be
done is waited for, and its end told: it stands in the run's journal.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gameday.cli.ack_stop import me, one_run, stop_all, tell_stopped
from gameday.cli.terminal import echo
from gameday.cli.words import line, say
from gameday.core.clock import NS, SystemClock
from gameday.core.errors import UnknownError, UsageError
from gameday.core.network import event_loop
from gameday.core.network.allow_list import Allowed
from gameday.run import locks
from gameday.run.responder.orders import MOST_TEXT, SEVERITIES, IncidentOrder, clipped

if TYPE_CHECKING:
    from gameday.evidence.events import OrderAnswered
    from gameday.run.locks import UnderWay

LOOK_S: Final = 0.1
ACT_S: Final = 600.0  # eight acts may wait before it, each for as long as its step may take

run_argument = click.argument("run", required=False)
by_option = click.option("--by", default=None, help="Who gives it; default the user's name.")


@click.group()
def incident() -> None:
    """Work on the incident of the running RUN (the only one, where none is named)."""


@incident.command()
@run_argument
@by_option
def ack(run: str | None, by: str | None) -> None:
    """Take the incident; the bot stays out."""
    _give(IncidentOrder("ack"), run, by)


@incident.command()
@click.argument("hypothesis")
@run_argument
@by_option
def declare(hypothesis: str, run: str | None, by: str | None) -> None:
    """Say what you believe is wrong."""
    _give(IncidentOrder("declare", text=hypothesis), run, by)


@incident.command()
@click.argument("severity", type=click.Choice(SEVERITIES))
@run_argument
@by_option
def severity(severity: str, run: str | None, by: str | None) -> None:
    """Say how bad it is: sev1 is the worst."""
    _give(IncidentOrder("severity", severity=severity), run, by)


@incident.command()
@click.argument("what", metavar="STEP|PLAYBOOK:STEP|ACTION")
@run_argument
@by_option
@click.option("--undo", is_flag=True, help="Take it back.")
def act(what: str, run: str | None, by: str | None, *, undo: bool) -> None:
    """Work a STEP of the playbook, by its number, or do an ACTION of the system file.

    In a drill all playbooks are offered: PLAYBOOK:STEP says which one is meant.

    A step that a person does by hand counts as done when its state is seen. What has an undo is
    taken back at the end of the run.
    """
    book, _, number = what.rpartition(":")
    step = int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else None
    order = IncidentOrder("act", action=what, undo=undo)
    if step is not None:
        order = IncidentOrder("act", step=step, playbook=book, undo=undo)
    _give(order, run, by)


@incident.command()
@click.argument("text")
@run_argument
@by_option
def note(text: str, run: str | None, by: str | None) -> None:
    """Write something down for the timeline."""
    _give(IncidentOrder("note", text=text), run, by)


@incident.command()
@click.argument("text")
@run_argument
@by_option
def update(text: str, run: str | None, by: str | None) -> None:
    """Tell those who are waiting how it stands."""
    _give(IncidentOrder("update", text=text), run, by)


@incident.command()
@run_argument
@by_option
def hint(run: str | None, by: str | None) -> None:
    """Ask for a hint."""
    _give(IncidentOrder("hint"), run, by)


@incident.command()
@run_argument
@by_option
@click.option("--text", default="", help="What has helped.")
def mitigated(run: str | None, by: str | None, text: str) -> None:
    """Say that customers are no longer hurt."""
    _give(IncidentOrder("mitigated", text=text), run, by)


@incident.command()
@run_argument
@by_option
@click.option("--text", default="", help="How you know.")
def resolve(run: str | None, by: str | None, text: str) -> None:
    """Give the all-clear."""
    _give(IncidentOrder("resolved", text=text), run, by)


@incident.command("hand-over")
@click.argument("to")
@run_argument
@by_option
@click.option("--text", default="", help="What they need to know.")
def hand_over(to: str, run: str | None, by: str | None, text: str) -> None:
    """Give the incident to somebody else."""
    _give(IncidentOrder("hand-over", to=to, text=text), run, by)


@incident.command()
@run_argument
@by_option
@click.option("--text", default="", help="Why.")
def abort(run: str | None, by: str | None, text: str) -> None:
    """End the run: every fault comes out at once. Exit code 6 when one is not seen gone."""
    found, who = one_run(run), by or me()
    with suppress(UsageError):  # one that does not answer is stopped all the same, by its reaper
        _give(IncidentOrder("abort", text=clipped(text, MOST_TEXT)), found.run, who)
    tell_stopped(event_loop.run(stop_all([found], who), Allowed(found.allowed)))


def _give(order: IncidentOrder, run: str | None, by: str | None) -> None:
    """Give an order, tell its answer, and wait for the end of an act."""
    found, who = one_run(run), by or me()
    reply = event_loop.run(locks.send_order(found, locks.RunCommand("order", who, order)))
    if not reply.ok:
        raise UsageError(f"run {found.run}: {reply.why}")
    if not reply.pending:
        kind = "reply_why" if reply.why else "reply"
        echo(say(kind, run=found.run, order=order.order, by=who, why=reply.why))
        return
    number = f"{order.playbook}{':' if order.playbook else ''}{order.step}"
    what = order.action or say("step", name=number)
    what = say("undo_of", what=what) if order.undo else what
    echo(say("act_of", run=found.run, what=what), err=True)
    answer = _wait(found, reply.given)
    why = line(answer.message, answer.why)
    told = say("act_answer", run=found.run, what=what, status=answer.status, why=why)
    if answer.status == "refused":
        raise UsageError(told)
    if answer.status in ("failed", "interrupted"):
        raise UnknownError(told, help="look at the system before you act again")
    echo(told)


def _wait(run: "UnderWay", given: int | None) -> "OrderAnswered":
    """The answer to an act, as it comes in the journal. Raises UnknownError without one."""
    clock, goes_on = SystemClock(), True
    deadline_ns = clock.now_ns() + int(ACT_S * NS)
    for answer in _answers(run.dir / "journal.jsonl"):
        if answer is not None and answer.given == given:
            return answer
        if answer is None:
            if not goes_on or clock.now_ns() > deadline_ns:
                break
            goes_on = _has_controller(run)  # before the reading: nothing comes after it
            clock.pause(LOOK_S)
    raise UnknownError(
        f"run {run.run}: what came of it is not known", help=f"gameday report {run.dir}"
    )


def _has_controller(run: "UnderWay") -> bool:
    """True if somebody is there who may answer."""
    return any(each.has_controller for each in locks.running() if each.run == run.run)


def _answers(path: Path) -> "Iterator[OrderAnswered | None]":
    """Each answer in a journal that is being written; None when there is no more for now."""
    from gameday.core.files.tail import Tail
    from gameday.evidence.events import OrderAnswered, RunEnded
    from gameday.evidence.journal import parse

    tail = Tail(path)
    while True:
        for raw in tail.lines():
            event: Any = parse(raw, checked=True)[0].event
            if isinstance(event, OrderAnswered):
                yield event
            if isinstance(event, RunEnded):
                return
        yield None
