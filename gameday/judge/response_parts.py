"""The parts of a score: what was done, how soon, and how well, each with where it is recorded.

A part has a figure where there is one, and a sentence. `status` is known, never (nobody did it), or
unknown, with the reason. References are those of a postmortem: `#12` is record 12 of the journal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

from gameday.core.messages import Message, Value
from gameday.evidence.outages import RECOVERY
from gameday.judge.course import ActSeen, Course, OrderSeen, PlannedAct
from gameday.judge.harm import WEIGHTS, HarmCurve
from gameday.judge.hypothesis import is_right
from gameday.spec.drill import Severity

PartStatus = Literal["known", "never", "unknown"]
Figure = float | int | bool | None
SEVERITIES: Final[Sequence[Severity]] = ("sev1", "sev2", "sev3", "sev4", "sev5")
GRACE: Final = 1.1  # an update that comes a tenth of its time late is on time
WINDOW_S: Final = 5  # seconds of traffic before and after an act that are compared
SETTLED_S: Final = 10  # after the fault: until then things get worse by themselves
WORSE: Final = 0.1  # of the starts: less could be chance, or the fault's own course
SIGMAS: Final = 3.0
_DID_NOTHING: Final = frozenset({"not_applicable", "placebo", "needs_person", "refused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePart:
    """One part of a score; `summary` is the message in English."""

    name: str
    status: PartStatus
    value: float | int | bool | None
    summary: str
    message: Message
    refs: Sequence[str] = ()


def parts(course: Course) -> Sequence[ScorePart]:
    """All parts, in the order in which they are shown."""
    return [make(course) for make in _PARTS]


def _known(name: str, value: Figure, said: Message, *refs: str) -> ScorePart:
    return _part(name, "known", value, said, refs)


def _never(name: str, **values: Value) -> ScorePart:
    return _part(name, "never", None, Message(f"score.{name}.never", **values), ())


def _unknown(name: str, why: str) -> ScorePart:
    return _part(name, "unknown", None, Message(why), ())


def _part(
    name: str,
    status: PartStatus,
    value: Figure,
    said: Message,
    refs: Sequence[str],
) -> ScorePart:
    return ScorePart(
        name=name, status=status, value=value, summary=said.text(), message=said, refs=tuple(refs)
    )


def _record(seq: int) -> str:
    return f"#{seq}"


def _after_fault(name: str, course: Course, at: tuple[int, float] | None) -> ScorePart:
    """Time from the fault until something was done."""
    if course.fault_at_s is None:
        return _unknown(name, "score.why.no_fault")
    if at is None:
        return _never(name)
    seq, at_s = at
    took_s = round(at_s - course.fault_at_s, 3)
    return _known(name, took_s, Message(f"score.{name}.known", after_s=took_s), _record(seq))


def _is_since_fault(course: Course, at_s: float) -> bool:
    """True from the fault on: what comes before it answers nothing. Always, where none came."""
    return course.fault_at_s is None or at_s >= course.fault_at_s


def acknowledge(course: Course) -> ScorePart:
    """Time to acknowledge, from the first alert: before that nobody can know."""
    name = "acknowledge"
    if course.acknowledged is None:
        return _never(name)
    seq, at_s = course.acknowledged
    if course.paged_at_s is None:
        if course.mode == "run" or course.fault_at_s is None:
            return _known(name, None, Message("score.acknowledge.unpaged"), _record(seq))
        return _after_fault(name, course, course.acknowledged)
    took_s = round(at_s - course.paged_at_s, 3)
    if took_s < 0:
        return _known(name, 0.0, Message("score.acknowledge.early", by_s=-took_s), _record(seq))
    return _known(name, took_s, Message("score.acknowledge.paged", after_s=took_s), _record(seq))


def believes_right(course: Course, text: str) -> bool:
    """True if a hypothesis that was declared is what is true."""
    return is_right(text, course.right, course.decoys, course.offered)


def first_right(course: Course) -> OrderSeen | None:
    """The first hypothesis that was right, from the fault on."""
    return next((d for d in _declared(course) if believes_right(course, d.text)), None)


def _declared(course: Course) -> Sequence[OrderSeen]:
    return [o for o in course.orders if o.order == "declare" and _is_since_fault(course, o.at_s)]


def hypothesis(course: Course) -> ScorePart:
    """Time to the first right hypothesis, and how many wrong ones came before it."""
    name = "hypothesis"
    if not course.right:
        why = "no_fault" if course.fault_at_s is None else "no_plan"
        return _unknown(name, f"score.why.{why}")
    found = first_right(course)
    declared = _declared(course)
    if found is None:
        return _never(name, wrong=len(declared))
    wrong = sum(each.seq < found.seq for each in declared)
    if course.fault_at_s is None:  # nothing came, and somebody said so
        message = Message("score.hypothesis.nothing", at_s=found.at_s, wrong=wrong)
        return _known(name, found.at_s, message, _record(found.seq))
    took_s = round(found.at_s - (course.fault_at_s or 0.0), 3)
    said = Message("score.hypothesis.known", after_s=took_s, wrong=wrong)
    return _known(name, took_s, said, _record(found.seq))


def first_mitigation(course: Course) -> tuple[int, float] | None:
    """The first act that the playbook asks for and that was done, or else the team's word for it.

    It comes after the fault, and stands until the system is well again. The word counts where the
    mode has nothing that could be done.
    """
    wanted = {step.do for step in course.planned if step.do}
    done = [
        (act.seq, act.ended_s)
        for act in course.acts
        if act.status == "done"
        and not act.undoing
        and act.ended_s is not None
        and _is_since_fault(course, act.begun_s)
        and (act.step is not None or act.do in wanted)
        and not any(_undoes(course, other, act) for other in course.acts)
    ]
    if done:
        return min(done, key=lambda each: each[1])
    return course.mitigated_claim if course.mode in ("tabletop", "replay") else None


def _undoes(course: Course, undo: ActSeen, act: ActSeen) -> bool:
    """True if somebody has taken an act back before the system was well again."""
    is_of_it = undo.step == act.step and (act.step is not None or undo.do == act.do)
    is_undone = undo.undoing and undo.status == "done" and undo.begun_s >= act.begun_s
    until_s = course.end_s if course.recovered_at_s is None else course.recovered_at_s
    return is_of_it and is_undone and not undo.taken_back and undo.begun_s < until_s


def mitigate(course: Course) -> ScorePart:
    """Time to mitigate, from the fault."""
    return _after_fault("mitigate", course, first_mitigation(course))


def recover(course: Course) -> ScorePart:
    """Time until every objective held again, from the fault."""
    name = "recover"
    if course.mode in ("tabletop", "replay"):
        return _unknown(name, f"score.why.{course.mode}")
    if course.fault_at_s is None:
        return _unknown(name, "score.why.no_fault")
    if not course.objectives or not course.looked:
        return _unknown(name, "score.why.no_objectives")
    if course.damage_at_s is None:
        return _known(name, None, Message("score.recover.no_damage"))
    if course.recovered_at_s is None:
        return _never(name)
    took_s = round(course.recovered_at_s - course.fault_at_s, 3)
    said = Message("score.recover.known", after_s=took_s)
    return _known(name, took_s, said, f"@{course.recovered_at_s:.3f}")


def wrong_acts(course: Course) -> ScorePart:
    """Acts that the playbook warns of, and acts after which an indicator was worse."""
    name = "wrong_actions"
    if course.mode == "tabletop" and not course.acts:
        return _unknown(name, "score.why.tabletop")
    acts = [act for act in course.acts if _is_somebodys(course, act)]
    warned = [act for act in acts if act.do in course.never and not act.undoing]
    worse = [act for act in acts if act not in warned and made_worse(course, act)]
    wrong = sorted([*warned, *worse], key=lambda act: act.seq)
    told = [_wrong_act(act, warned) for act in wrong]
    said = Message(f"score.{name}.{'some' if wrong else 'none'}", n=len(wrong), acts=told)
    return _known(name, len(wrong), said, *(_record(act.seq) for act in wrong))


def _is_somebodys(course: Course, act: ActSeen) -> bool:
    """It was done by whoever responds while there was traffic, and not taken back by the run."""
    return not act.taken_back and act.begun_s <= course.end_s and act.status not in _DID_NOTHING


def _wrong_act(act: ActSeen, warned: Sequence[ActSeen]) -> Message:
    what = act.do if act.step is None else f"step {act.step}"
    return Message(
        f"score.wrong_actions.{'warned' if act in warned else 'worse'}",
        act=f"undo of {what}" if act.undoing else what,
        at_s=act.begun_s,
    )


def made_worse(course: Course, act: ActSeen) -> bool:
    """True if an indicator was well before an act and not after it, or many more were hurt.

    While the fault comes in, things get worse by themselves: nothing is concluded from an act that
    was under way then, or whose effect would show then.
    """
    fault_s, ended_s = course.fault_at_s, act.begun_s if act.ended_s is None else act.ended_s
    onset_s = () if fault_s is None else (fault_s - 1 - WINDOW_S, fault_s + SETTLED_S)
    if onset_s and ended_s >= onset_s[0] and act.begun_s < onset_s[1]:
        return _hurts_itself(course, act)
    flipped = any(
        act.before.get(name) is well and after is not None and after is not well
        for name, after in act.after.items()
        for well in [name.startswith("objective:")]
        if name.startswith(("objective:", "guard:"))
    )
    return flipped or _hurts_itself(course, act)


def _hurts_itself(course: Course, act: ActSeen) -> bool:
    """True if a start was clearly hurt more in the seconds after it than before it."""
    if course.harm is None or course.fault_at_s is None:
        return False
    curve = course.harm.curve
    begun = int(act.begun_s - course.fault_at_s)
    over = int((act.begun_s if act.ended_s is None else act.ended_s) - course.fault_at_s) + 1
    if begun < WINDOW_S:
        return False
    before = _mean_harm(curve, begun - WINDOW_S, begun)
    after = _mean_harm(curve, over, over + WINDOW_S)
    if before is None or after is None:
        return False
    spread = sqrt(before[1] + after[1])
    return after[0] - before[0] > max(WORSE, SIGMAS * spread)


def _mean_harm(curve: HarmCurve, first: int, last: int) -> tuple[float, float] | None:
    """The harm of a start in some seconds, and how uncertain that mean is (its variance)."""
    due = sum(curve.due[first:last])
    if not due:
        return None
    kinds = {"failed": curve.failed, "slow": curve.slow, "wrong": curve.wrong}
    shares = {name: sum(each[first:last]) / due for name, each in kinds.items()}
    mean = sum(WEIGHTS[name] * share for name, share in shares.items())
    square = sum(WEIGHTS[name] ** 2 * share for name, share in shares.items())
    return mean, max(square - mean**2, 0.01) / due


def _step_part(
    name: str, course: Course, pick: Callable[[Course], Sequence[tuple[int, str]]]
) -> ScorePart:
    """Steps of the playbook that were not worked as they should have been."""
    if not course.has_playbook:
        return _unknown(name, "score.why.no_playbook")
    if course.fault_at_s is None:
        return _unknown(name, "score.why.no_fault")
    found = pick(course)
    numbers = ", ".join(str(number) for number, _ in found)
    said = Message(f"score.{name}.{'some' if found else 'none'}", n=len(found), steps=numbers)
    return _known(name, len(found), said, *(ref for _, ref in found if ref))


def _begun(course: Course, step: PlannedAct) -> ActSeen | None:
    """The first time that somebody worked a step, or did the same outside of the playbook."""
    same = (
        act
        for act in course.acts
        if not act.undoing
        and act.status not in ("needs_person", "refused")
        and (act.step == step.number or (act.step is None and step.do and act.do == step.do))
    )
    return min(same, key=lambda act: act.begun_s, default=None)


def _skipped(course: Course) -> Sequence[tuple[int, str]]:
    return [
        (step.number, "")
        for step in course.planned
        if step.needed and not step.optional and _begun(course, step) is None
    ]


def _out_of_order(course: Course) -> Sequence[tuple[int, str]]:
    """Steps that were begun before one that stands earlier and was needed."""
    found = []
    for at, step in enumerate(course.planned):
        begun = _begun(course, step)
        if begun is None:
            continue
        earlier = [each for each in course.planned[:at] if each.needed and not each.optional]
        firsts = [_begun(course, each) for each in earlier]
        if any(each is None or each.begun_s > begun.begun_s for each in firsts):
            found.append((step.number, _record(begun.seq)))
    return found


def _unverified(course: Course) -> Sequence[tuple[int, str]]:
    """Steps that were done and whose state nobody saw come about."""
    found = []
    for step in course.planned:
        begun = _begun(course, step)
        if begun is None or not step.has_state or begun.status in _DID_NOTHING:
            continue
        if begun.verified is not True:
            found.append((step.number, _record(begun.seq)))
    return found


def skipped(course: Course) -> ScorePart:
    """Steps that were needed and left out."""
    return _step_part("steps_skipped", course, _skipped)


def out_of_order(course: Course) -> ScorePart:
    """Steps that came before an earlier one."""
    return _step_part("steps_out_of_order", course, _out_of_order)


def unverified(course: Course) -> ScorePart:
    """Steps whose effect was not seen."""
    return _step_part("steps_unverified", course, _unverified)


def updates(course: Course) -> ScorePart:
    """Updates that were due while the incident was on, and how many of them came on time."""
    name = "updates"
    if course.updates_every_s is None:
        return _unknown(name, "score.why.no_plan")
    if course.fault_at_s is None:
        return _unknown(name, "score.why.no_fault")
    begun_s = course.fault_at_s if course.paged_at_s is None else course.paged_at_s
    later = [o for o in course.orders if begun_s <= o.at_s <= course.end_s]
    resolved = [o.at_s for o in later if o.order == "resolved"]
    over_s, every_s = max([begun_s, *(resolved[-1:] or [course.end_s])]), course.updates_every_s
    said = [o for o in later if o.order == "update" and o.at_s <= over_s]
    due = int((over_s - begun_s) // every_s)
    spans = ((begun_s + n * every_s, begun_s + (n + GRACE) * every_s) for n in range(due))
    on_time = sum(any(first <= each.at_s <= last for each in said) for first, last in spans)
    values = {"due": due, "on_time": on_time, "every_s": every_s, "given": len(said)}
    message = Message(f"score.updates.{'known' if due else 'none_due'}", **values)
    return _known(name, on_time - due, message, *(_record(each.seq) for each in said))


def severity(course: Course) -> ScorePart:
    """The severity that was said last: how many grades it is off, above 0 where it is too mild."""
    name = "severity"
    if course.severity not in SEVERITIES:
        return _unknown(name, "score.why.no_plan")
    said = [o for o in course.orders if o.order == "severity" and o.severity in SEVERITIES]
    if not said:
        return _never(name, right=course.severity)
    last = said[-1]
    off = SEVERITIES.index(_grade(last.severity)) - SEVERITIES.index(_grade(course.severity))
    values = {"said": last.severity, "right": course.severity, "off": abs(off)}
    kind = "right" if not off else ("mild" if off > 0 else "grave")
    return _known(name, off, Message(f"score.severity.{kind}", **values), _record(last.seq))


def _grade(text: str | None) -> Severity:
    return next(each for each in SEVERITIES if each == text)


def hints(course: Course) -> ScorePart:
    """Hints that were given, and what they cost."""
    cost = round(sum(cost for _, cost in course.hints), 4)
    message = Message("score.hints.known", n=len(course.hints), cost=cost)
    return _known("hints", cost, message, *(_record(seq) for seq, _ in course.hints))


def all_clear_s(course: Course) -> float | None:
    """When the last all-clear was given."""
    return next((o.at_s for o in reversed(course.orders) if o.order == "resolved"), None)


def all_clear(course: Course) -> ScorePart:
    """The all-clear: after the objectives had held, and with how that was known."""
    name = "all_clear"
    said = [o for o in course.orders if o.order == "resolved"]
    if not said:
        return _never(name)
    last = said[-1]
    how = "told" if last.text.strip() else "untold"
    ref = _record(last.seq)
    earlier = [look.well for look in course.looked if look.at_s <= last.at_s][-RECOVERY:]
    if course.mode == "tabletop" or not course.objectives or len(earlier) < RECOVERY:
        unknown = Message("score.all_clear.unseen", how=Message(f"score.all_clear.{how}"))
        return _part(name, "unknown", None, unknown, (ref,))
    held = all(well is True for well in earlier)
    stayed = all(look.well is not False for look in course.looked if look.at_s > last.at_s)
    kind = ("verified" if stayed else "back") if held else "early"
    message = Message(f"score.all_clear.{kind}", how=Message(f"score.all_clear.{how}"))
    return _known(name, held and stayed, message, ref)


_PARTS: Final[Sequence[Callable[[Course], ScorePart]]] = (
    acknowledge,
    hypothesis,
    mitigate,
    recover,
    wrong_acts,
    skipped,
    out_of_order,
    unverified,
    updates,
    severity,
    hints,
    all_clear,
)
