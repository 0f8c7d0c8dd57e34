"""A character as a program: it reads the lines of a run and writes orders (docs/responder.md)."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gameday.core.json_objects import plain, read_object
from gameday.drills.bots.characters import CHARACTERS, Character, Desk
from gameday.run.responder.orders import IncidentOrder
from gameday.run.responder.protocol import PlaybookShown

WELL_FOR: Final = 5  # evaluations in a row, as a recovery is counted (`evidence.outages`)
_OVER: Final = frozenset({"done", "failed", "placebo", "not_applicable", "needs_person"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LineHeard:
    """A line of the protocol, as far as a bot listens."""

    event: str
    t: float = 0.0
    alert: str = ""
    state: str = ""
    order: str = ""
    status: str = ""
    readings: Mapping[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloHeard:
    """The first line, as far as a bot listens: a drill offers several playbooks."""

    actions: Sequence[str] = ()
    playbook: PlaybookShown | None = None
    playbooks: Sequence[PlaybookShown] = ()


class BotProgram:
    """A character in one run, which it is told line by line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._hello = HelloHeard()
        self._character: Character | None = None
        self._book = ""
        self._acted = False
        self._well = 0

    def greet(self, hello: HelloHeard) -> None:
        """Take in what there is to work with."""
        self._hello = hello

    def hear(self, line: LineHeard) -> Sequence[IncidentOrder]:
        """The orders that follow from a line."""
        orders = self._heard(line)
        return [
            replace(each, playbook=self._book) if each.step is not None else each for each in orders
        ]

    def _heard(self, line: LineHeard) -> Sequence[IncidentOrder]:
        if line.event == "alert" and line.state == "firing" and self._character is None:
            self._begin(line.alert)
        bot, t_s = self._character, line.t
        if bot is None:
            return []
        match line.event:
            case "alert":
                return bot.paged(t_s)
            case "order.answered" if line.order == "act" and line.status in _OVER:
                self._acted, self._well = True, 0
                return bot.act_over(t_s, line.status)
            case "sample":
                return [*self._look(bot, line, t_s), *bot.due(t_s)]
            case _:
                return []

    def _begin(self, alert: str) -> None:
        """Begin with the playbook that answers the alert; without any playbook, with any alert."""
        hello, asked = self._hello, self._options
        offered = [*hello.playbooks, *([] if hello.playbook is None else [hello.playbook])]
        named = [book for book in offered if asked.playbook in ("", book.name)]
        book = next((book for book in named if alert in book.alerts), None)
        if book is None and offered:
            return
        self._book = "" if book is None or hello.playbook is not None else book.name
        steps = [] if book is None else [step for step in book.steps if step.do]
        own = {step.do for step in steps}
        others = [name for name in hello.actions if name not in own]
        desk = Desk(
            steps=[step.step for step in steps],
            wrong=[name for name in asked.wrong if name not in own] or others[:1],
            restart=asked.restart or others[:2],
            actions=hello.actions,
            right=asked.right,
            decoys=asked.decoy or Desk(steps=()).decoys,
        )
        self._character = Character(asked.character, desk, asked.seed, asked.pace)

    def _look(self, bot: Character, line: LineHeard, t_s: float) -> Sequence[IncidentOrder]:
        """Count for how long every objective has held since it has acted."""
        states = [v for name, v in line.readings.items() if name.startswith("objective:")]
        self._well = self._well + 1 if states and all(v is True for v in states) else 0
        return bot.well(t_s) if self._acted and self._well == WELL_FOR else []


def respond(lines: Iterable[str], program: BotProgram) -> Iterator[IncidentOrder]:
    """The orders that follow from the lines of a run, up to its last one."""
    for raw in lines:
        content = json.loads(raw)
        line = read_object(LineHeard, content)
        if line.event == "hello":
            program.greet(read_object(HelloHeard, content))
        if line.event == "bye":
            return
        yield from program.hear(line)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of a bot."""
    parser = argparse.ArgumentParser(prog="python -m gameday.drills.bots", description=__doc__)
    parser.add_argument("character", choices=CHARACTERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pace", type=float, default=1.0, help="Stretches all its delays")
    parser.add_argument("--right", default=Desk(steps=()).right, help="The right hypothesis")
    parser.add_argument("--decoy", action="append", default=[], help="Another one")
    parser.add_argument("--playbook", default="", help="Of several, the one that it works")
    parser.add_argument("--wrong", action="append", default=[], help="An action of no use")
    parser.add_argument("--restart", action="append", default=[], help="Interrupts, or resumes")
    return parser.parse_args(arguments)


def main() -> None:
    """Respond to the run on stdin."""
    for order in respond(sys.stdin, BotProgram(options())):
        sys.stdout.write(json.dumps(plain(order)) + "\n")
        sys.stdout.flush()
