"""Undoing a run from outside of it: faults first, then steps, then the stack the run owned.

What is done is written to `reaper.jsonl`, in the journal's format, so that judging knows when a
fault came out. What cannot be written, or fails, never keeps anything else in place. Only what the
controller has signed is obeyed, with the key that it has given: a line that somebody else puts into
the journal meanwhile neither makes the reaper act nor keeps it from acting.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gameday.core.clock import Clock
from gameday.core.json_objects import read_object
from gameday.core.network import event_loop
from gameday.core.network.allow_list import Allowed
from gameday.core.secrets.signing import SigningKey
from gameday.evidence import events, journal, provenance, sealed_inputs
from gameday.evidence.sealed_box import Box
from gameday.injection import heal
from gameday.injection.drivers import Drivers
from gameday.injection.heal import Book, Healed, Left
from gameday.injection.undo_policy import UndoPolicy
from gameday.run.reaper.hand_over import HandOver
from gameday.spec.undos import TrafficUndo

# A server of somebody else's may be cut off and come back; no longer than a restart.
CUT_OFF_S = 15.0


class Reaping:
    """The clean-up of one run, tried as often as it takes."""

    def __init__(
        self, run_dir: Path, clock: Clock, key: SigningKey | None, box: Box | None = None
    ) -> None:
        """`box` is that of a drill: what its journal hides, and what is written here."""
        self._run_dir = run_dir
        self._key = key
        self._box = box
        self._book = Book(run_dir, "reaper", clock, key)
        self._book.box = box
        self._out: list[Left] = []
        self._told: set[str] = set()
        self._pressed: list[Left] = []
        self.remaining: dict[str, Healed] = {}
        """Undos that the last attempt was not seen to make, each with its reason."""

    def run_ended(self) -> bool:
        """True if the controller came to its end: then it has undone what it could."""
        return journal.first(self._records(), events.RunEnded) is not None

    def begin(self, why: str) -> None:
        """Journal that the run is claimed. What was undone before is undone anew."""
        self._out.clear()
        self._told.clear()
        self._pressed.clear()
        self._book.write(events.ReaperClaimed(why=why))

    def attempt(self, handed: bytes, *, alone: bool) -> bool:
        """Undo what may still be there; True when nothing is left. `alone`: no controller lives.

        `handed` is the hand-over of the controller.
        """
        told = read_object(HandOver, json.loads(handed))
        due = [each for each in self._due(alone=alone) if each not in self._out]
        self._book.hide = heal.hidden([left.undo for left in due], told.environment)
        manners = [self._policy(left) for left in due]
        healed = event_loop.run(_undo(due, manners, told.environment), Allowed.of(told.reach))
        self._pressed += [left for left in due if left not in self._pressed]
        before, self.remaining = self.remaining, {}
        for left, one in zip(due, healed, strict=True):
            if not one.settled:
                self.remaining[_name(left)] = one
            else:
                self._out.append(left)
        for left in due:
            self._tell_undone(left)
        for name, one in self.remaining.items():
            if name not in before or before[name].why != one.why:
                self._book.write(events.ReaperFailed(what=name, why=one.why))
        return not self.remaining

    def _policy(self, left: Left) -> UndoPolicy:
        """Pressed once, then only tried: a server that hangs is not shaken again and again.

        A Toxiproxy that refuses connections may be cut off; one that the run started has ended.
        """
        owned = journal.first(self._records(), events.StackStarting) is not None
        return UndoPolicy(
            on_escalation=self._book.on_escalation(left.name),
            escalate=left not in self._pressed,
            refused_s=0.0 if owned else CUT_OFF_S,
        )

    def look_again(self) -> bool:
        """Let the next attempt undo everything once more; False when there was nothing."""
        found = bool(self._out)
        self._out.clear()
        return found

    def end(self) -> None:
        """Journal what is left."""
        for name, one in self.remaining.items():
            owner, _, id_ = name.partition(" ")
            if owner == "fault":
                self._book.write(events.FaultRemoved(id=id_, gone=one.gone, why=one.why))
        self._book.write(events.ReaperEnded(left=sorted(self.remaining)))

    def debrief(self) -> None:
        """Tell the key of a drill whose controller is dead, so that others can read on."""
        if self._box is None:
            return
        self._book.write(events.DrillDebriefed(key=self._box.text))
        try:
            sealed_inputs.unpack(self._run_dir, self._box)
        except (OSError, ValueError) as error:
            _say(f"the inputs of the drill are not unpacked: {error}")

    def _due(self, *, alone: bool) -> list[Left]:
        """Changes that may be there and that this process must undo.

        A stopped controller may go on: its stack, the program that responds and the traffic it
        sends stay with it. The steps of a run that owned its stack end with that stack.
        """
        found = heal.left_behind([*self._records(), *self._book.pressed])
        if not alone:
            mine = [each for each in found if each.owner not in ("part", "responder")]
            return [each for each in mine if not isinstance(each.undo, TrafficUndo)]
        owned = any(each.owner == "part" for each in found)
        return [each for each in found if not (owned and each.owner in heal.ACTS)]

    def _records(self) -> Sequence[journal.Record]:
        read = provenance.read_journal(self._run_dir, self._key, self._box)
        if read.missing:
            _say(f"the journal: {read.missing}")
        return read.signed

    def _tell_undone(self, left: Left) -> None:
        """Journal it, once, when no part of the same is left."""
        name = _name(left)
        if name in self.remaining or name in self._told:
            return
        self._told.add(name)
        match left.owner:
            case "fault":
                self._book.write(events.FaultRemoved(id=left.name, gone=True))
            case "step" | "action":
                self._book.write(heal.taken_back(left))
            case "part" | "responder":
                self._book.write(events.PartEnded(name=left.name))


async def _undo(
    due: Sequence[Left], manners: Sequence[UndoPolicy], environment: Mapping[str, str]
) -> list[Healed]:
    """Undo all faults at once, then the rest one by one, in the order given."""
    drivers = Drivers()
    each = [
        heal.take_back(left, environment, policy, drivers)
        for left, policy in zip(due, manners, strict=True)
    ]
    faults = sum(left.owner == "fault" for left in due)
    healed = list(await asyncio.gather(*each[:faults]))
    return healed + [await one for one in each[faults:]]


def _name(left: Left) -> str:
    return f"{left.owner} {left.name}"


def _say(text: str) -> None:
    """Tell the log."""
    sys.stderr.write(f"reaper: {text}\n")
