"""Orders of a page, given through the run's control socket as a terminal gives them.

The run journals who gave what and when, does it, and answers; here is only the way to it. A run
that is over has no socket any more, and is told so.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gameday.core.errors import GamedayError
from gameday.evidence.sealed_box import Box
from gameday.run import locks
from gameday.run.responder.orders import MOST_NAME, Heard, IncidentOrder, clipped

NOBODY: Final = "console"
_LONGEST: Final = 4000  # characters; the run says what is too long for it
COMMANDS: Final = ("inject", "hint", "pause", "resume", "debrief")
"""Commands of who leads a drill, beside the orders that everybody gives."""


@dataclass(frozen=True, slots=True)
class LeadCommand:
    """A command of who leads; `number` is that of the plan, else `to` and `text` say it."""

    command: str
    to: str = ""
    text: str = ""
    number: int | None = None


class ControlLine:
    """The way to a run's control socket. `box` has the token that who leads a drill must show."""

    def __init__(self, run_dir: Path, box: Box | None = None) -> None:
        self._run = run_dir.name
        self._dir = run_dir.resolve()
        self.box = box

    async def order(self, order: IncidentOrder, by: str) -> Heard:
        """Give an order as a page has it."""
        return await self._send(locks.RunCommand("order", by or NOBODY, _clipped(order)))

    async def command(self, asked: LeadCommand, by: str) -> Heard:
        """Give a command of who leads. Raises ValueError for what is none."""
        if asked.command not in COMMANDS:
            raise ValueError(asked.command)
        token = self.box.token if self.box is not None else ""
        return await self._send(
            locks.RunCommand(
                asked.command,
                by or NOBODY,
                token=token,
                to=clipped(asked.to, MOST_NAME) or "all",
                text=clipped(asked.text, _LONGEST),
                number=asked.number,
            )
        )

    async def join(self, name: str, role: str) -> bool:
        """Say that somebody takes part: a note in a run that is no drill."""
        told = await self._send(locks.RunCommand("join", name, to=role))
        if not told.ok:
            note = IncidentOrder("note", text=f"joins as {role}")
            told = await self._send(locks.RunCommand("order", name, note))
        return told.ok

    async def _send(self, command: locks.RunCommand) -> Heard:
        found = [each for each in locks.running() if each.run == self._run]
        here = [each for each in found if each.has_controller and each.dir.resolve() == self._dir]
        if not here:
            return Heard(ok=False, why="over")
        try:
            reply = await locks.send_order(here[0], command)
        except GamedayError as error:
            return Heard(ok=False, why=error.message)
        return Heard(reply.ok, reply.why, reply.given, reply.pending)


def _clipped(order: IncidentOrder) -> IncidentOrder:
    """The order, with texts that can be kept anywhere."""
    return replace(
        order,
        text=clipped(order.text, _LONGEST),
        to=clipped(order.to, _LONGEST),
        action=clipped(order.action, _LONGEST),
        playbook=clipped(order.playbook, MOST_NAME),
    )
