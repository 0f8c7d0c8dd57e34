"""Six characters: what each orders, and when, from the page on.

A character hears of four things: that it is paged, that an act is over, that all is well again,
and that it is time for something it had put off. It answers with orders, as the protocol of
programs has them (`docs/responder.md`). It has no clock: the times come from whoever drives it.
Every choice is a pure function of the seed, the character and the number of the choice.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from gameday.run.responder.orders import IncidentOrder

CharacterName = Literal[
    "perfect", "slow", "acknowledges-only", "wrong-runbook", "panic-restart", "random"
]
CHARACTERS: Final[Sequence[CharacterName]] = get_args(CharacterName)

ACK_S: Final = (20.0, 60.0)
"""From the page to the acknowledgement, of everybody but the perfect: somebody gets up."""
THINK_S: Final = (60.0, 180.0)
"""Before an act of the slow: dashboards are read, the playbook is looked for."""
HASTE_S: Final = (10.0, 30.0)
"""Between two acts of those who do not think."""
WRONG_ACTS: Final = 2
PANIC_ROUNDS: Final = 4
RANDOM_ORDERS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything at hand: the steps of the right playbook, other actions, and what can be believed.

    `wrong` are the actions of other playbooks, `restart` those that interrupt the service and let
    it go on, in their order. `right` is the right hypothesis, `decoys` are the others.
    """

    steps: Sequence[int]
    wrong: Sequence[str] = ()
    restart: Sequence[str] = ()
    actions: Sequence[str] = ()
    right: str = "what the alert is about"
    decoys: Sequence[str] = ("something else",)
    severity: str = "sev2"
    updates_every_s: float = 300.0


@dataclass(slots=True)
class Character:
    """One bot in one incident. `pace` stretches or shrinks all its delays."""

    name: CharacterName
    desk: Desk
    seed: int = 0
    pace: float = 1.0
    _agenda: list[tuple[float, IncidentOrder]] = field(default_factory=list)
    _drawn: int = 0
    _left: list[int] = field(default_factory=list)
    _paged: bool = False
    _resolved: bool = False

    @property
    def due_s(self) -> float | None:
        """When it wants to order something next; None: it waits for something to happen."""
        return self._agenda[0][0] if self._agenda else None

    def paged(self, t_s: float) -> Sequence[IncidentOrder]:
        """The first alert fires."""
        if self._paged:
            return []
        self._paged = True
        self._left = list(self.desk.steps)
        {
            "perfect": self._plan_well,
            "slow": self._plan_well,
            "acknowledges-only": self._plan_nothing,
            "wrong-runbook": self._plan_wrong,
            "panic-restart": self._plan_panic,
            "random": self._plan_random,
        }[self.name](t_s)
        return self.due(t_s)

    def act_over(self, t_s: float, status: str) -> Sequence[IncidentOrder]:
        """The act that it ordered is over."""
        if self.name in ("perfect", "slow") and status != "failed":
            self._next_step(t_s)
        return self.due(t_s)

    def well(self, t_s: float) -> Sequence[IncidentOrder]:
        """Every objective has held for a while, after it has acted."""
        if self.name not in ("perfect", "slow") or self._resolved or not self._paged:
            return []
        self._resolved = True
        at_s = t_s + self._delay(ACK_S)
        self._put(at_s, IncidentOrder("mitigated"))
        self._put(at_s, IncidentOrder("update", text="it is over"))
        self._put(at_s, IncidentOrder("resolved", text="all objectives have held for a while"))
        return self.due(t_s)

    def due(self, t_s: float) -> Sequence[IncidentOrder]:
        """Orders of this instant."""
        now = [order for at_s, order in self._agenda if at_s <= t_s]
        self._agenda = [each for each in self._agenda if each[0] > t_s]
        for order in now:
            if order.order == "update" and not self._resolved:
                self._put(
                    t_s + 0.9 * self.desk.updates_every_s,
                    IncidentOrder("update", text="still at it"),
                )
        return now

    def _plan_well(self, t_s: float) -> None:
        at_s = t_s + self._delay(ACK_S)
        self._put(at_s, IncidentOrder("ack"))
        self._put(at_s, IncidentOrder("severity", severity=self.desk.severity))
        self._put(at_s, IncidentOrder("update", text="we are on it"))
        self._put(at_s + self._delay(THINK_S) / 2, IncidentOrder("declare", text=self.desk.right))
        self._next_step(at_s)

    def _plan_nothing(self, t_s: float) -> None:
        self._put(t_s + self._delay(ACK_S), IncidentOrder("ack"))

    def _plan_wrong(self, t_s: float) -> None:
        at_s = t_s + self._delay(ACK_S)
        self._put(at_s, IncidentOrder("ack"))
        self._put(at_s, IncidentOrder("declare", text=self._pick(self.desk.decoys)))
        first = self._draw().randrange(max(1, len(self.desk.wrong)))
        for n in range(min(WRONG_ACTS, len(self.desk.wrong))):
            at_s += self._delay(THINK_S)
            name = self.desk.wrong[(first + n) % len(self.desk.wrong)]
            self._put(at_s, IncidentOrder("act", action=name))

    def _plan_panic(self, t_s: float) -> None:
        at_s = t_s + self._delay(ACK_S) / 4
        self._put(at_s, IncidentOrder("ack"))
        for _ in range(PANIC_ROUNDS):
            for name in self.desk.restart:
                at_s += self._delay(HASTE_S)
                self._put(at_s, IncidentOrder("act", action=name))

    def _plan_random(self, t_s: float) -> None:
        at_s = t_s
        for _ in range(RANDOM_ORDERS):
            at_s += self._delay((HASTE_S[0], THINK_S[0]))
            self._put(at_s, self._any_order())

    def _any_order(self) -> IncidentOrder:
        beliefs = [self.desk.right, *self.desk.decoys]
        among = [
            IncidentOrder("ack"),
            IncidentOrder("declare", text=self._pick(beliefs)),
            IncidentOrder("update", text="no news"),
            IncidentOrder("note", text="hm"),
            *(IncidentOrder("act", step=number) for number in self.desk.steps),
            *(IncidentOrder("act", action=name) for name in self.desk.actions),
            IncidentOrder("resolved"),
        ]
        return among[self._draw().randrange(len(among))]

    def _next_step(self, t_s: float) -> None:
        if self._left:
            self._put(t_s + self._delay(THINK_S), IncidentOrder("act", step=self._left.pop(0)))

    def _put(self, at_s: float, order: IncidentOrder) -> None:
        self._agenda.append((at_s, order))
        self._agenda.sort(key=lambda each: each[0])

    def _delay(self, between_s: tuple[float, float]) -> float:
        """A delay of this character; the perfect one has none."""
        drawn = self._draw().uniform(*between_s) * self.pace
        return 0.0 if self.name == "perfect" else drawn

    def _pick(self, among: Sequence[str]) -> str:
        return among[self._draw().randrange(len(among))]

    def _draw(self) -> random.Random:
        self._drawn += 1
        return random.Random(f"{self.seed} bot {self.name} {self._drawn}")
