"""Simulation of clocks and harm: a bot in an incident, thousands of times a minute.

No stack, no requests: starts are due at the experiment's rate, and a share of them is hurt while
the fault is in and nothing has mended it (`effects.py`). The bots are those that respond to real
runs, and the scoring is `judge.score` on the same typed course that a run directory gives. Chance
is a pure function of the seed and a purpose; two runs of one seed differ as real ones do.

The model knows nothing of queues, retries, of stock, or of what makes an act the wrong one: an
action that no step of the playbook does is of no use and does little harm; an interruption refuses
every start. `tests/matrices/bots_real.py` says how far that is off.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.drills.bots.characters import Character, CharacterName, Desk
from gameday.drills.effects import (
    ACT_S,
    DEFAULT,
    EFFECTS,
    MEND_S,
    PAGE_S,
    PAUSED_FAILED,
    SLOW_PAGE_S,
    SPREAD,
    TICK_S,
    WRONG_ACT_FAILED,
    Effect,
)
from gameday.evidence.effective import PlannedPlaybook
from gameday.evidence.outages import RECOVERY
from gameday.judge.baselines import Baseline, BaselineKind, Baselines, Made
from gameday.judge.course import ActSeen, Course, ObjectivesSeen, OrderSeen, PlannedAct
from gameday.judge.harm import NONE, HarmCurve, HarmRecord
from gameday.judge.score import Score, score
from gameday.run.responder.orders import IncidentOrder
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import LoadedDrill
from gameday.spec.playbook import Playbook
from gameday.traffic import forecast

MOST_LASTS_S: Final = 3600.0  # of a fault; beyond that nothing new happens
RIGHT: Final = "the fault that it is"
DECOYS: Final = ("something else", "another thing")
SEVERITY: Final = "sev2"
WINDOW_S: Final = (30.0, 120.0)
CALM_S: Final = 60.0
MOST_EVENTS: Final = 1000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An incident as the simulation knows it. Times are seconds from t = 0.

    `due` are the starts of each second from the fault on; the fault is in for `lasts_s`.
    """

    name: str
    seed: int
    fault_at_s: float
    lasts_s: float
    due: Sequence[float]
    effect: Effect
    page_s: float
    steps: Sequence[PlannedAct]
    wrong: Sequence[str] = ("another-step",)
    restart: Sequence[str] = ("interrupt", "go-on")
    actions: Sequence[str] = ()
    right: str = RIGHT
    decoys: Sequence[str] = DECOYS
    severity: str = SEVERITY
    updates_every_s: float = 300.0

    @property
    def end_s(self) -> float:
        return self.fault_at_s + len(self.due)


def session_scene(drilled: LoadedDrill, book: Playbook | None, seed: int) -> Scene:
    """A drill of an experiment: its rate at the fault, which lasts as it says unless mended."""
    experiment, session = drilled.loaded.experiment, drilled.drill
    lasts_s = min(session.lasts.total_seconds(), MOST_LASTS_S)
    fault_at_s = float(_draw(seed, experiment.name, "fault").uniform(*WINDOW_S))
    per_s = _rate_per_s(experiment)
    return Scene(
        name=experiment.name,
        seed=seed,
        fault_at_s=round(fault_at_s, 3),
        lasts_s=lasts_s,
        due=[per_s] * int(lasts_s + CALM_S),
        effect=effect_of(experiment),
        page_s=SLOW_PAGE_S * float(_draw(seed, experiment.name, "page").uniform(0.8, 1.5)),
        steps=planned(book),
        right=next(iter(session.hypotheses), RIGHT),
        decoys=tuple(session.hypotheses[1:]) or DECOYS,
        severity=session.severity or SEVERITY,
        updates_every_s=session.updates_every.total_seconds(),
    )


def run_scene(
    experiment: Experiment, book: Playbook | PlannedPlaybook | None, course: Course
) -> Scene:
    """The scene of a run that there was: its seed, its fault, and the starts that were due in it.

    The fault lasts as its file says, or as long as it would have in a session.
    """
    fault_at_s = course.fault_at_s or 0.0
    lasts_s = max((f.duration.total_seconds() for f in experiment.method), default=0.0)
    page_s = PAGE_S if course.paged_at_s is None else course.paged_at_s - fault_at_s
    return Scene(
        name=experiment.name,
        seed=course.seed or 0,
        fault_at_s=fault_at_s,
        lasts_s=lasts_s,
        due=_due(experiment, fault_at_s, () if course.harm is None else course.harm.curve.due),
        effect=effect_of(experiment),
        page_s=page_s,
        steps=planned(book),
    )


def _due(experiment: Experiment, fault_at_s: float, seen: Sequence[int]) -> Sequence[float]:
    """The starts of each second from the fault to the end that was planned.

    Those that there were, and where the run was over earlier those that would have come: as
    planned, and as many of virtual users, whom no plan counts, as there were in the mean.
    """
    seconds = max(len(seen), int(forecast.traffic_end_s(experiment) - fault_at_s))
    edges = [forecast.starts_until(experiment, fault_at_s + n) for n in range(seconds + 1)]
    by_plan = [after - before for before, after in pairwise(edges)]
    unplanned = 0.0
    if seen and forecast.closed(experiment):
        unplanned = max(0.0, sum(seen) - sum(by_plan[: len(seen)])) / len(seen)
    return [*map(float, seen), *(each + unplanned for each in by_plan[len(seen) :])]


def planned(book: Playbook | PlannedPlaybook | None) -> Sequence[PlannedAct]:
    """The steps of a playbook, each of them needed."""
    return [
        PlannedAct(
            number=step.number,
            do=step.block.do or "",
            optional=step.block.optional,
            has_state=step.block.after is not None,
        )
        for step in (book.steps if book is not None else ())
    ]


def effect_of(experiment: Experiment) -> Effect:
    """The effect of its first fault; none where it has no fault."""
    if not experiment.method:
        return Effect(failed=0.0, slow=0.0)
    first = experiment.method[0]
    return EFFECTS.get(f"{first.fault} {first.on}", DEFAULT)


def is_guessed(experiment: Experiment) -> bool:
    """True if nobody has measured the effect of one of its faults."""
    return any(f"{fault.fault} {fault.on}" not in EFFECTS for fault in experiment.method)


def _rate_per_s(experiment: Experiment) -> float:
    """Starts a second while the fault is in, in the mean; 100/s where virtual users ask."""
    first = min((f.at.total_seconds() for f in experiment.method), default=0.0)
    last = max(
        ((f.at + f.duration).total_seconds() for f in experiment.method),
        default=forecast.traffic_end_s(experiment),
    )
    last = min(last, forecast.traffic_end_s(experiment))
    between = forecast.starts_until(experiment, last) - forecast.starts_until(experiment, first)
    return between / (last - first) if between > 0 and last > first else 100.0


def _draw(seed: int, *purpose: str) -> np.random.Generator:
    """Chance of a purpose: the same for the same seed, whoever asks first."""
    text = "/".join((str(seed), *purpose))
    return np.random.default_rng(
        int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
    )


@dataclass(slots=True)
class _World:
    """One incident under way: what was ordered, and what it did to the system."""

    scene: Scene
    orders: list[OrderSeen] = field(default_factory=list)
    acts: list[ActSeen] = field(default_factory=list)
    busy_until_s: float = 0.0
    steps_done: dict[int, float] = field(default_factory=dict)
    paused: list[tuple[float, float]] = field(default_factory=list)
    useless: list[float] = field(default_factory=list)
    acknowledged: tuple[int, float] | None = None
    _seq: int = 10

    @property
    def mended_at_s(self) -> float | None:
        """When all steps were done; None: not yet, or there is none."""
        wanted = [step.number for step in self.scene.steps if not step.optional]
        if not wanted or not set(wanted) <= set(self.steps_done):
            return None
        return max(self.steps_done[number] for number in wanted)

    @property
    def over_at_s(self) -> float:
        """When the fault hurts nobody any more."""
        scene = self.scene
        ends_s = scene.fault_at_s + scene.lasts_s + scene.effect.tail_s
        mended_s = self.mended_at_s
        return ends_s if mended_s is None else min(ends_s, mended_s)

    def take(self, t_s: float, line: IncidentOrder) -> tuple[float, str] | None:
        """Carry out an order; for an act, when it will be over and how."""
        self._seq += 1
        order = line.order
        self.orders.append(
            OrderSeen(
                seq=self._seq,
                at_s=t_s,
                order=order,
                by="bot",
                text=line.text,
                severity=line.severity,
            )
        )
        if order in ("ack", "act") and self.acknowledged is None:
            self.acknowledged = (self._seq, t_s)
        return self._act(t_s, line) if order == "act" else None

    def _act(self, t_s: float, line: IncidentOrder) -> tuple[float, str]:
        begun_s = max(t_s, self.busy_until_s)
        over_s = self.busy_until_s = begun_s + ACT_S
        number, do = line.step, line.action
        step = next(
            (s for s in self.scene.steps if number == s.number or (do and do == s.do)), None
        )
        if step is not None:
            self.steps_done.setdefault(step.number, begun_s + MEND_S)
        elif do in self.scene.restart[:1]:
            self.paused.append((begun_s + MEND_S, self.scene.end_s))
        elif do in self.scene.restart[1:] and self.paused:
            self.paused[-1] = (self.paused[-1][0], begun_s + MEND_S)
        else:
            self.useless.append(begun_s)
        self._seq += 1
        verified = True if number is not None and step and step.has_state else None
        self.acts.append(
            ActSeen(
                seq=self._seq,
                do=do or (step.do if step else ""),
                step=number,
                begun_s=begun_s,
                ended_s=over_s,
                status="done",
                verified=verified,
                by="bot",
            )
        )
        return over_s, "done"


def simulate(
    scene: Scene, who: CharacterName | None, *, pace: float = 1.0, purpose: str = ""
) -> Course:
    """The course of a scene with a character, or with nobody. `purpose` tells runs apart."""
    world = _World(scene)
    if who is not None:
        _respond(world, who, pace)
    harm = _harm(world, f"{who} {purpose}")
    return Course(
        run=f"simulated-{scene.name}-{who or 'nobody'}",
        scenario=scene.name,
        mode="live",
        seed=scene.seed,
        ended="completed",
        end_s=scene.end_s,
        fault_at_s=scene.fault_at_s,
        paged_at_s=scene.fault_at_s + scene.page_s,
        damage_at_s=scene.fault_at_s + scene.effect.onset_s,
        recovered_at_s=world.over_at_s if world.over_at_s < scene.end_s else None,
        acknowledged=world.acknowledged,
        orders=world.orders,
        acts=world.acts,
        planned=scene.steps,
        has_playbook=bool(scene.steps),
        right=(scene.right,),
        decoys=scene.decoys,
        severity=scene.severity,
        updates_every_s=scene.updates_every_s,
        looked=_looked(world),
        objectives=1,
        harm=harm,
    )


def _respond(world: _World, who: CharacterName, pace: float) -> None:
    """Let the character work until the end."""
    scene = world.scene
    bot = Character(who, _desk(scene), scene.seed, pace)
    coming: list[tuple[float, str]] = [(scene.fault_at_s + scene.page_s, "page")]
    for _ in range(MOST_EVENTS):
        following = [*coming, *([] if bot.due_s is None else [(_tick(bot.due_s), "due")])]
        t_s, what = min(following, key=lambda each: each[0], default=(scene.end_s, ""))
        if t_s >= scene.end_s:
            return
        if what != "due":
            coming.remove((t_s, what))
        acts = (world.take(t_s, line) for line in _heard(bot, t_s, what))
        coming += [over for over in acts if over is not None]
        well_s = world.over_at_s + RECOVERY
        waits = any(what == "well" for _, what in coming)
        if world.mended_at_s is not None and well_s > t_s and not waits:
            coming.append((well_s, "well"))


def _tick(t_s: float) -> float:
    """The next sample, on the grid of the run."""
    return ceil(t_s / TICK_S) * TICK_S


def _desk(scene: Scene) -> Desk:
    """Everything that the character has at hand."""
    own = {step.do for step in scene.steps if step.do}
    return Desk(
        steps=[step.number for step in scene.steps],
        wrong=scene.wrong,
        restart=scene.restart,
        actions=scene.actions or [*sorted(own), *scene.wrong, *scene.restart],
        right=scene.right,
        decoys=scene.decoys,
        severity=scene.severity,
        updates_every_s=scene.updates_every_s,
    )


def _heard(bot: Character, t_s: float, what: str) -> Sequence[IncidentOrder]:
    match what:
        case "page":
            return bot.paged(t_s)
        case "well":
            return bot.well(t_s)
        case "due":
            return bot.due(t_s)
        case status:
            return bot.act_over(t_s, status)


def _harm(world: _World, purpose: str) -> HarmRecord:
    """The starts that are hurt in each second, with the chance of one run."""
    scene, effect = world.scene, world.scene.effect
    due = np.asarray(scene.due, dtype=float)
    hurt = _inside(len(due), effect.onset_s, world.over_at_s - scene.fault_at_s)
    mended_s, ends_s = world.mended_at_s, scene.fault_at_s + scene.lasts_s
    if mended_s is not None and mended_s < ends_s:  # what no step takes away stays until its end
        last_s = scene.lasts_s + effect.tail_s
        rest = _inside(len(due), mended_s - scene.fault_at_s, last_s)
        hurt = hurt + (1 - effect.mends) * rest
    draw = _draw(scene.seed, scene.name, "harm", purpose)
    chance = 1.0 + SPREAD * draw.standard_normal() + SPREAD * draw.standard_normal(len(due))
    failed, slow = (
        due * np.clip(share * hurt * chance, 0.0, 1.0) for share in (effect.failed, effect.slow)
    )
    for at_s in world.useless:
        at = int(at_s - scene.fault_at_s)
        failed[at : at + 1] += due[at : at + 1] * WRONG_ACT_FAILED
    for begun_s, over_s in world.paused:
        part = _inside(len(due), begun_s - scene.fault_at_s, over_s - scene.fault_at_s)
        failed = np.maximum(failed, due * part * PAUSED_FAILED)
    failed = np.minimum(failed, due)
    slow = np.minimum(slow, due - failed)
    curve = HarmCurve(
        due=np.rint(due).astype(int).tolist(),
        failed=np.rint(failed).astype(int).tolist(),
        slow=np.rint(slow).astype(int).tolist(),
        wrong=[0] * len(due),
    )
    return HarmRecord(curve=curve, before=NONE, slow_ms=200.0)


def _inside(seconds: int, begin_s: float, end_s: float) -> Floats:
    """The part of each second that lies in a span."""
    at = np.arange(seconds, dtype=float)
    part: Floats = np.clip(np.minimum(at + 1, end_s) - np.maximum(at, begin_s), 0.0, 1.0)
    return part


def _looked(world: _World) -> Sequence[ObjectivesSeen]:
    """The evaluations around the all-clear, which is all that is judged by them."""
    resolved = [order.at_s for order in world.orders if order.order == "resolved"]
    if not resolved:
        return [ObjectivesSeen(at_s=world.scene.fault_at_s, well=True)]
    last_s = resolved[-1]
    over_s = world.over_at_s
    times = [last_s - n for n in range(RECOVERY, 0, -1)]
    times += [last_s + 1, world.scene.end_s]
    return [
        ObjectivesSeen(at_s=t_s, well=not world.scene.fault_at_s <= t_s < over_s) for t_s in times
    ]


def baselines(scene: Scene, made: Made = "simulated") -> Baselines:
    """Both baselines of a scene."""
    characters: dict[BaselineKind, CharacterName | None] = {"nothing": None, "perfect": "perfect"}
    found: dict[str, Baseline] = {}
    for kind, who in characters.items():
        course = simulate(scene, who, purpose="baseline")
        assert course.harm is not None
        found[kind] = Baseline(
            kind=kind,
            made=made,
            how=f"{made}: {who or 'nobody'} on the rate and the fault of this seed",
            seed=scene.seed,
            harm=course.harm,
        )
    return found


def scored(scene: Scene, who: CharacterName, given: Baselines, *, pace: float = 1.0) -> Score:
    """The score of a character on a scene."""
    return score(simulate(scene, who, pace=pace), given)
