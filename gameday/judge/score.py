"""The score of an incident's response: a pure function of its course and its two baselines.

The score is the share of the avoidable harm that was avoided (0: as if nobody had been there, 1: as
a perfect responder on the same seed; it may be negative), less what hints cost. It speaks of one
scenario and one seed, so scores of different scenarios are never ranked. Where the avoidable harm
is within the noise there is no score; its parts stand beside it always. What cannot be known in a
mode, or from what was recorded, is unknown, with the reason.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from gameday.core.json_objects import plain
from gameday.core.messages import Message
from gameday.evidence.outages import RECOVERY
from gameday.judge import response_parts
from gameday.judge.baselines import Baseline, Baselines
from gameday.judge.course import Course
from gameday.judge.harm import WEIGHTS, Avoidance, HarmRecord, avoidance, prolonged
from gameday.judge.response_parts import ScorePart

ScoreStatus = Literal["scored", "not scored", "unknown"]
DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmLine:
    """A harm, and what it consists of; `made` says where a baseline comes from."""

    harm: float
    due: int
    failed: int
    slow: int
    wrong: int
    made: str = "this run"
    how: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who took part, by name or, where that is hidden, by number; and the role."""

    who: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """All that is said of a response. `seconds` is the time that all three harms are taken over."""

    schema: Literal[1] = 1
    run: str
    scenario: str
    mode: str
    seed: int | None
    ended: str
    status: ScoreStatus
    score: float | None
    summary: str
    message: Message
    avoided: float | None
    hint_cost: float
    seconds: int | None
    noise: float | None
    slow_ms: float | None
    weights: Mapping[str, float]
    harm: Mapping[str, HarmLine]
    parts: Sequence[ScorePart]
    people: Sequence[Person]

    def to_bytes(self) -> bytes:
        """The score as JSON, byte for byte the same wherever it is made."""
        text = json.dumps(_rounded(plain(self)), indent=1, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace") + b"\n"

    def part(self, name: str) -> ScorePart:
        """The part of that name."""
        return next(part for part in self.parts if part.name == name)

    def anonymous(self) -> "Score":
        """The same without a name: people are numbered, in the order of their first act."""
        numbered = [
            replace(each, who=f"person {number}") for number, each in enumerate(self.people, 1)
        ]
        return replace(self, people=numbered)


def score(course: Course, baselines: Baselines) -> Score:
    """The score of a course. Pure: the same course and baselines, the same score."""
    cost = round(sum(cost for _, cost in course.hints), DIGITS)
    own = _own(course, baselines)
    found = _avoidance(course, own, baselines)
    status, message = _status(found, baselines, cost)
    share = None if isinstance(found, Message) else found.share
    total = None if share is None else round(share - cost, DIGITS) + 0.0
    return Score(
        run=course.run,
        scenario=course.scenario,
        mode=course.mode,
        seed=course.seed,
        ended=course.ended,
        status=status,
        score=total if status == "scored" else None,
        summary=message.text(),
        message=message,
        avoided=None if share is None else round(share, DIGITS) + 0.0,
        hint_cost=cost,
        seconds=None if isinstance(found, Message) else found.seconds,
        noise=None if isinstance(found, Message) else found.noise,
        slow_ms=None if course.harm is None else course.harm.slow_ms,
        weights=WEIGHTS,
        harm=_harms(course, own, baselines, None if isinstance(found, Message) else found.seconds),
        parts=response_parts.parts(course),
        people=[Person(who=who, role=role) for who, role in course.people],
    )


def _own(course: Course, baselines: Baselines) -> HarmRecord | None:
    """The harm of the course; where its all-clear ended it, with the time that was left.

    Else the share would hang on when the all-clear was given: little is avoided by then.
    """
    if course.harm is None or not {"nothing", "perfect"} <= set(baselines):
        return course.harm
    clear_s = response_parts.all_clear_s(course)
    if clear_s is None or course.ended != "completed":
        return course.harm
    calm_from = int(clear_s - (course.fault_at_s or 0.0)) - RECOVERY
    nothing, perfect = (baselines[name].harm for name in ("nothing", "perfect"))
    return prolonged(course.harm, nothing, perfect, calm_from if _is_verified(course) else None)


def _is_verified(course: Course) -> bool:
    """True if the all-clear was given after the objectives had held, and they held on."""
    return response_parts.all_clear(course).value is True


def _avoidance(course: Course, own: HarmRecord | None, baselines: Baselines) -> Avoidance | Message:
    """The avoidable harm, or the reason why it cannot be told."""
    if own is None:
        return Message(course.why_no_harm or "score.why.no_history")
    if not {"nothing", "perfect"} <= set(baselines):
        return Message("score.why.no_baselines")
    if any(each.seed != course.seed for each in baselines.values()):
        return Message("score.why.other_seed")
    if any(each.made == "guessed" for each in baselines.values()):
        return Message("score.why.guessed")
    return avoidance(own, baselines["nothing"].harm, baselines["perfect"].harm)


def _status(
    found: Avoidance | Message, baselines: Baselines, cost: float
) -> tuple[ScoreStatus, Message]:
    if isinstance(found, Message):
        never = found.id == "score.why.no_fault"
        return ("not scored" if never else "unknown"), found
    if found.share is None:
        avoidable, by_chance = round(found.avoidable, 1), round(found.noise, 1)
        return "not scored", Message("score.within_noise", avoidable=avoidable, noise=by_chance)
    made, avoided = _made(baselines), f"{found.share:.1%}"
    return "scored", Message("score.scored", avoided=avoided, cost=f"{cost:g}", made=made)


def _made(baselines: Baselines) -> Message:
    """The origin of the baselines, in words."""
    made = {each.made for each in baselines.values()}
    if "unsigned" in made:
        return Message("score.unsigned")
    return Message("score.measured" if made == {"measured"} else "score.simulated")


def _harms(
    course: Course, own: HarmRecord | None, baselines: Baselines, seconds: int | None
) -> Mapping[str, HarmLine]:
    """The harm of this course and of both baselines, over the same seconds."""
    found = {}
    if own is not None and course.harm is not None:
        seen = len(course.harm.curve)
        is_longer = seconds is not None and seconds > seen
        kind = "calm" if _is_verified(course) else "untreated"
        how = Message(f"score.prolonged.{kind}", seconds=seen).text() if is_longer else ""
        found["own"] = replace(_line(own, seconds), how=how)
    for name in ("nothing", "perfect"):
        baseline = baselines.get(name)
        if baseline is not None:
            found[name] = _line(baseline.harm, seconds, baseline)
    return found


def _line(record: HarmRecord, seconds: int | None, of: Baseline | None = None) -> HarmLine:
    curve = record.curve if seconds is None else record.curve.up_to(seconds)
    return HarmLine(
        harm=curve.harm,
        due=sum(curve.due),
        failed=sum(curve.failed),
        slow=sum(curve.slow),
        wrong=sum(curve.wrong),
        made="this run" if of is None else of.made,
        how="" if of is None else of.how,
    )


def _rounded(value: Any) -> Any:
    """JSON without noise in its fractions."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
