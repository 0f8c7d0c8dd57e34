"""The first lines of a summary: what happened to people, and the cause, which gameday made."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from gameday.evidence.events import ActionDone, AuditRead, FaultDosed, Observation, StepDone
from gameday.evidence.journal import Record
from gameday.judge.result import Dose, FaultLine
from gameday.report import format
from gameday.report.causes import failures
from gameday.report.certificates import file_of, has_file
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, bullets, code
from gameday.report.messages import Messages, Value
from gameday.report.people import LATE_S, MOST_COUNTED, Wrong
from gameday.report.sections.impact import failed_between, of_histories
from gameday.report.sections.names import also_broke, broke
from gameday.report.sections.response import asked_of

NAMED: Final = 5  # users in a sentence; the table of the certificate has ten, its file has all

_SAID_APART: Final = frozenset({"at", "duration", "direction", "toxicity"})


def people(m: Material, say: Messages) -> list[Markup]:
    """Wrongs first, then those who waited; one paragraph, or a list of several."""
    found = [*_wrongs(m, say), *_served(m, say)]
    return [bullets(found)] if len(found) > 1 else found


def cause(m: Material, say: Messages) -> list[Markup]:
    """The faults that were there, what of the system they reached, and what was done by then."""
    there = [fault for fault in m.result.faults if fault.injected_at is not None]
    if not there:
        none = say("summary.no_fault" if m.result.faults else "summary.no_method")
        return [Markup(" ".join([none, *_unexplained(m, say)]))]
    told = [_fault(m, fault, say) for fault in there]
    return [Markup(" ".join([*_origin(m, there, say), *told, *_done_before(m, say)]))]


def _origin(m: Material, there: Sequence[FaultLine], say: Messages) -> Iterator[Markup]:
    """Whether the cause is known; nothing where no fault was in effect and nothing happened."""
    if m.origin.unexplained:
        yield say("origin.partly" if m.origin.partly else "origin.unknown")
        yield from _unexplained(m, say)
    elif any(fault.injected == "yes" for fault in there):
        yield say("origin.known")
    elif m.wrongs or m.result.clocks.damage_at is not None:
        yield say("origin.unproven")


def _unexplained(m: Material, say: Messages) -> Iterator[Markup]:
    """Sentences on what was seen and no fault explains."""
    for each in m.origin.unexplained:
        values: dict[str, Value] = {
            "at": format.clock(each.at_s),
            "until": format.clock(each.until_s),
            "n": each.count,
            "fault": format.clock(each.fault_s),
            "ref": of_histories(m),
        }
        kind = f"origin.seen_{each.kind}"
        yield say(kind, **{name: values[name] for name in say.placeholders(kind)})


def _wrongs(m: Material, say: Messages) -> Iterator[Markup]:
    """A sentence for each failure of safety; what only confirms another one is said behind it."""
    by_check = {wrong.check: wrong for wrong in m.wrongs}
    for failure in failures(m.result, m.wrongs):
        wrong = by_check.get(failure.first.name)
        if wrong is None:
            continue
        said = [_wrong(m, wrong, say)]
        also = [check for check in failure.checks[1:] if check.name != "alerts"]
        if also:
            said.append(say("people.also", checks=also_broke(also, say)))
        for alert in failure.alerts:
            fired = format.clock(alert.fired_at)
            ref = format.of_result(f"alerts[{list(m.result.alerts).index(alert)}]")
            said.append(say("people.alert", alert=code(alert.alert), fired=fired, ref=ref))
        yield Markup(" ".join(said))


def _wrong(m: Material, wrong: Wrong, say: Messages) -> Markup:
    ref = format.of_result(f"checks.{wrong.check}")
    if wrong.kind:
        audit = m.first(AuditRead) if wrong.kind == "over" else None
        refs = Markup(f"{ref} {format.of_record(audit)}") if audit else ref
        values: dict[str, Value] = {
            name: _count(value) for name, value in wrong.values.items() if name != "at_s"
        }
        at = format.clock(wrong.values.get("at_s"))
        values |= {"n": _count(wrong.count), "at": at, "ref": refs, "store": _store(m, wrong)}
        if wrong.kind == "left" and {"stock", "rows"} <= wrong.values.keys():
            values["left"] = _count(wrong.values["stock"] - wrong.values["rows"])
        one = wrong.count == 1 and f"people.{wrong.kind}_one" in say.by_id
        kind = f"{wrong.kind}_one" if one else wrong.kind
        wanted = say.placeholders(f"people.{kind}")
        told = [say(f"people.{kind}", **{name: values.get(name) for name in wanted})]
    else:
        check = m.check(wrong.check)
        summary = say.line(check.message, check.summary) if check else ""
        broken = broke(wrong.check, say)
        told = [say("people.other", broke=broken, summary=summary, ref=ref)]
    return Markup(" ".join([*told, *_who(m, wrong, say)]))


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and abs(value) <= MOST_COUNTED else None


def _store(m: Material, wrong: Wrong) -> Markup | None:
    """The name of the store that differs."""
    check = m.check(wrong.check)
    lines = check.evidence if check else ()
    named = (
        each.get(key) for each in lines if isinstance(each, dict) for key in ("store", "only_in")
    )
    store = next((name for name in named if isinstance(name, str) and name != "rows"), None)
    return None if store is None else code(store)


def _named(user: int | str) -> Markup:
    """A user as a sentence has him; what a system calls him may be anything."""
    return Markup(user) if isinstance(user, int) else code(user)


def _who(m: Material, wrong: Wrong, say: Messages) -> Iterator[Markup]:
    """Who it was, since when, and what they hold now."""
    if not wrong.people:
        return
    users = list(dict.fromkeys(person.user for person in wrong.people))
    shown = Markup(", ".join(map(_named, users[:NAMED])))
    more = max(len(users), wrong.count or 0) - len(users[:NAMED])
    file = code(file_of(wrong.check)) if has_file(m.result, wrong.check) else None
    if more <= 0 and len(users) == 1:
        yield say("people.who_one", users=shown)
    elif more <= 0:
        yield say("people.who", users=shown)
    elif file is None:
        yield say("people.who_more", users=shown, more=more)
    else:
        yield say("people.who_file", users=shown, more=more, file=file)
    if wrong.first_s is not None and wrong.last_s is not None:
        times = {"first": format.clock(wrong.first_s), "last": format.clock(wrong.last_s)}
        once = wrong.first_s == wrong.last_s
        yield say("people.once", at=times["first"]) if once else say("people.times", **times)
    now = f"people.now_{wrong.kind}"
    if now in say.by_id:
        yield say(f"people.now_{wrong.kind}")


def _served(m: Material, say: Messages) -> Iterator[Markup]:
    """The answers to those who asked while it lasted: late ones, and failures."""
    if m.span_s is None:
        return
    start_s, end_s = m.span_s
    failed, source = failed_between(m, start_s, end_s)
    slow = _slow_between(m, start_s, end_s)
    edge = format.length(LATE_S)
    shown = {"start": format.clock(start_s), "end": format.clock(end_s), "ref": source}
    on = "_on" if m.result.clocks.recovered_after_s is None else ""
    if not failed and slow == 0:
        kind = "breached" if _breached(m, start_s, end_s) else "unfelt"
        yield say(f"people.{kind}{on}", edge=edge, **shown)
        return
    if not failed:
        what = say("people.served_slow", slow=slow, edge=edge)
    elif slow == 0:
        what = say("people.served_failed", failed=failed)
    else:
        what = say("people.served_slow_failed", slow=slow, edge=edge, failed=failed)
    told = [say(f"people.served{on}", what=what, **shown), *_affected(m, say)]
    yield Markup(" ".join(told))


def _breached(m: Material, start_s: float, end_s: float) -> bool:
    """True if an objective did not hold at some sample of a span."""
    seen = (each for each in m.in_traffic if start_s <= m.at_s(each.t_ns) <= end_s)
    return any(
        held is not None and not held
        for each in seen
        for name, held in each.readings.items()
        if name.startswith("objective:")
    )


def _affected(m: Material, say: Messages) -> Iterator[Markup]:
    """How many people these requests were of."""
    if m.affected is not None and (people := m.affected.people):
        one = "people.affected_one" if people == 1 else "people.affected"
        yield say(one, people=people, ref=of_histories(m))


def _slow_between(m: Material, start_s: float, end_s: float) -> int | None:
    if m.affected is not None:
        return m.affected.late
    buckets = m.curves.buckets
    if LATE_S not in buckets or np.inf not in buckets:
        return None
    late = buckets[np.inf] - buckets[LATE_S]
    first, last = (
        max(0, int(np.searchsorted(m.curves.t_s, at, "right")) - 1) for at in (start_s, end_s)
    )
    return max(0, int(late[last] - late[first]))


def _fault(m: Material, fault: FaultLine, say: Messages) -> Markup:
    """A fault, since when it was there, and what of the system it reached."""
    ref = format.of_records(*m.of_fault(fault.id, FaultDosed))
    asked, named = asked_of(m, fault, _SAID_APART), code(fault.fault)
    shown = {
        "fault": say("origin.with", fault=named, asked=asked) if asked != "–" else named,
        "start": format.clock(fault.injected_at),
        "end": format.clock(fault.removed_at),
    }
    on = fault.target
    kind = "fault" if fault.injected == "yes" else "asked"
    if not on:
        said = [say(f"origin.{kind}", **shown)]
    else:
        said = [say(f"origin.{kind}_on", target=code(on), **shown)]
    seen = fault.dose.witnesses if isinstance(fault.dose, Dose) else ()
    showing = [each for each in seen if each.why and each.ok]  # what did not move shows nothing
    reached = Markup("; ".join(_witness(each, say) for each in showing))
    if fault.injected == "yes" and reached:
        said.append(say("origin.reached", reached=reached, ref=ref))
    elif fault.injected != "yes":
        why = _doubt(m, fault, say)
        shown_why = {"why": why or say.value(None), "ref": ref}
        absent = fault.injected == "no"
        said.append(
            say("origin.absent", **shown_why) if absent else say("origin.unsure", **shown_why)
        )
    return Markup(" ".join(said))


def _doubt(m: Material, fault: FaultLine, say: Messages) -> str:
    """Why a fault does not count as injected; "" where nothing says so."""
    found = next(iter(m.of_fault(fault.id, FaultDosed)), None)
    if found is None or not isinstance(found.event, FaultDosed):
        return ""
    return say.line(found.event.message, found.event.why)


def _witness(seen: Observation, say: Messages) -> Markup:
    why = say.line(seen.message, seen.why)
    known = f"origin.seen_{seen.witness.lower()}" in say.by_id
    return say(f"origin.seen_{seen.witness.lower() if known else 'other'}", why=why)


def _done_before(m: Material, say: Messages) -> Iterator[Markup]:
    """Steps and actions that had been done before the first wrong answer: what else had changed."""
    first_s = min((w.first_s for w in m.wrongs if w.first_s is not None), default=None)
    if first_s is None:
        return
    done = [record for record in m.records if _changed(record) and m.at_s(record.t_ns) < first_s]
    if done:
        lines = [_act(m, record, say) for record in done[-NAMED:]]
        yield say("origin.done", acts=Markup("; ".join(lines)), first=format.clock(first_s))


def _changed(record: Record) -> bool:
    event = record.event
    return isinstance(event, StepDone | ActionDone) and event.status == "done"


def _act(m: Material, record: Record, say: Messages) -> Markup:
    event = record.event
    at, ref = format.clock(m.at_s(record.t_ns)), format.of_record(record)
    undone = "undo_" if isinstance(event, StepDone | ActionDone) and event.undoing else ""
    if isinstance(event, StepDone):
        return say(f"origin.{undone}step", step=event.step, at=at, ref=ref)
    do = code(event.do) if isinstance(event, ActionDone) else Markup("–")
    return say(f"origin.{undone}action", do=do, at=at, ref=ref)
