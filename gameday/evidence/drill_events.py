"""The events of drills: what a session is, what it hides until the debrief, and what is sent.

All three modes leave the same: live ones beside the events of their run, replays and tabletops
alone. What is marked as the facilitator's is sealed until the debrief (`evidence.sealed_box`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gameday.evidence.event import Event, event
from gameday.evidence.event_fields import (
    Checked,
    Needed,
    OptionalText,
    OptionalWord,
    Text,
    Texts,
    Word,
)

DETACHED: Final = frozenset({"replay", "tabletop"})
"""Modes of sessions without a system of their own."""


@event("drill.started")
class DrillStarted(Event):
    """A session begins; everybody may read it.

    `mode` is live, replay or tabletop; `hypotheses` are the right one and its decoys, in an order
    of the seed; `playbooks` all that there are; `speed` is that of a replay.
    """

    mode: Needed[Word]
    briefing: Text
    role: Word
    window_s: Checked[float]
    lasts_s: Checked[float]
    updates_every_s: Checked[float]
    hypotheses: Texts = ()
    severities: Checked[Sequence[str]] = ()
    playbooks: Checked[Sequence[str]] = ()
    hints: Checked[int] = 0
    speed: Checked[float] = 1.0


@event("drill.planned")
class DrillPlanned(Event):
    """Facilitator: what is true. `fault_at_s` is None where nothing comes.

    Times are in seconds from the start of the traffic. `names` are the file's own ones by those
    that the drill shows in their place.
    """

    experiment: Needed[Word]
    title: Text
    path: Word
    seed: Needed[int]
    fault_at_s: Checked[float | None]
    lasts_s: Checked[float]
    right: Texts
    names: Checked[Mapping[str, str]]
    decoys: Texts = ()
    severity: OptionalWord = None
    playbook: OptionalWord = None
    faults: Checked[Sequence[str]] = ()
    debrief: Texts = ()

    def nulls(self) -> Sequence[str]:
        return ("fault_at_s",)


@event("drill.hint_planned")
class DrillHintPlanned(Event):
    """Facilitator: a hint that can be had from `after_s` after the fault on."""

    number: Needed[int]
    after_s: Checked[float]
    cost: Checked[float]
    text: Text


@event("drill.inject_planned")
class DrillInjectPlanned(Event):
    """Facilitator: something will be said to `to`, `at_s` after the fault or once `on` happens."""

    number: Needed[int]
    to: Needed[Word]
    text: Text
    at_s: Checked[float | None] = None
    on: OptionalWord = None


@event("drill.truth")
class DrillTruth(Event):
    """Facilitator: what is so in a session without a system of its own, as it was recorded.

    `what` is injected, damage, removed or recovered; left_out is what a replay could not play.
    """

    what: Needed[Word]
    fault: Word = ""
    text: OptionalText = None


@event("drill.joined")
class DrillJoined(Event):
    """Somebody takes part, in a role of the team."""

    by: Needed[Word]
    role: Needed[Word]


@event("drill.inject")
class DrillInject(Event):
    """Something is said to the team, or to a role of it; `number` is that of the plan, if any."""

    to: Needed[Word]
    text: Text
    number: Checked[int | None] = None
    by: Word = "gameday"


@event("drill.hint")
class DrillHint(Event):
    """A hint is given; `cost` is what it takes from the score."""

    number: Needed[int]
    text: Text
    cost: Checked[float]
    by: Word = "gameday"


@event("drill.paused")
class DrillPaused(Event):
    """Injects and hints wait; traffic, fault and clocks go on, but not at a table."""

    by: Needed[Word]


@event("drill.resumed")
class DrillResumed(Event):
    """Injects and hints go on."""

    by: Needed[Word]


@event("drill.debriefed")
class DrillDebriefed(Event):
    """The session is over and what was sealed can be read; `key` opens it."""

    key: Word


@event("sealed")
class Sealed(Event):
    """An event that is the facilitator's until the debrief, as it stands in the file."""

    box: Needed[Word]
