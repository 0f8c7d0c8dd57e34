"""Impact of the incident: requests, answers, latencies and coupons, each number with its source."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from gameday.evidence.events import AuditRead
from gameday.report import format
from gameday.report.inputs import Material, failed_of
from gameday.report.markdown import Markup, code, table
from gameday.report.messages import Messages, Value
from gameday.report.people import histories_of
from gameday.traffic.metrics.system_limit import nothing_came
from gameday.traffic.step_log import POLL

_BOOKS: Final = (
    "scheduled",
    "started",
    "completed",
    "failed",
    "interrupted",
    "dropped",
    "never_started",
)
_OUTCOMES: Final = ("issued", "duplicate", "sold_out", "refused", "accepted", "unknown")
_LATENCIES: Final = {"p50": "med", "p95": "p(95)", "p99": "p(99)", "max": "max"}
_SLOW_S: Final = (0.2, 1.0)

Row = tuple[Markup, Markup, Markup]


def impact(m: Material, say: Messages) -> list[Markup]:
    """The table of numbers, and what the traffic can speak for."""
    blocks = [say("impact.head")]
    if not m.has_traffic:
        return [*blocks, say("impact.no_traffic")]
    rows = [*_books(m, say), *_answers(m, say), *_latencies(m, say), *_coupons(m, say)]
    head = [say(f"impact.col_{name}") for name in ("what", "value", "from")]
    blocks.append(table(head, rows))
    told = [
        *_unclear(m, say),
        *_steps(m, say),
        *_closed(m, say),
        *_own_limit(m, say),
        *_generator(m, say),
    ]
    return [*blocks, *told, say("impact.person")]


def outcome_count(m: Material, outcome: str) -> int | None:
    """The number of answers of a kind in the last sample."""
    counter = m.curves.answers.get(outcome)
    return int(counter[-1]) if counter is not None and len(counter) else None


def last_sample(m: Material) -> Markup:
    """A reference to the last sample, which has the totals."""
    return format.of_sample(float(m.curves.t_s[-1]) if len(m.curves.t_s) else None)


def _row(say: Messages, what: Markup, value: Value, ref: Markup) -> Row:
    return what, say.value(value), ref


def _of_result(say: Messages, name: str, value: Value, path: str) -> Row:
    return say(f"impact.{name}"), say.value(value), format.of_result(f"traffic.{path}")


def _books(m: Material, say: Messages) -> list[Row]:
    traffic = m.result.traffic
    rows = [_of_result(say, name, getattr(traffic, name, None), name) for name in _BOOKS]
    if traffic and traffic.asked_again:
        rows.append(_of_result(say, "asked_again", traffic.asked_again, "asked_again"))
    rate = format.percent(_metric(m, "http_req_failed").get("rate"))
    return [*rows, _of_result(say, "failed_rate", rate, "metrics.http_req_failed.rate")]


def _answers(m: Material, say: Messages) -> list[Row]:
    rows = [
        _row(say, say(f"impact.outcome_{name}"), outcome_count(m, name), last_sample(m))
        for name in _OUTCOMES
        if name != "accepted" or outcome_count(m, name)
    ]
    rows += _hurt(m, say)
    for edge_s in _SLOW_S:
        what = say("impact.slower", edge=format.length(edge_s))
        rows.append(_row(say, what, m.curves.slower_than(edge_s), last_sample(m)))
    return rows


def _hurt(m: Material, say: Messages) -> list[Row]:
    """Failures from the damage until it was over, or until the last sample."""
    if m.span_s is None:
        return []
    start_s, end_s = m.span_s
    failed, source = failed_between(m, start_s, end_s)
    what = say("impact.hurt", start=format.clock(start_s), end=format.clock(end_s))
    return [_row(say, what, failed, source)]


def failed_between(m: Material, start_s: float, end_s: float) -> tuple[int, Markup]:
    """The requests that failed while customers were affected, and what says so.

    It is the history, which is exact, or where that is gone the two samples beside the instants.
    """
    if m.affected is not None:
        return m.affected.failed, of_histories(m)
    t_s = m.curves.t_s
    first, last = (max(0, int(np.searchsorted(t_s, at, "right")) - 1) for at in (start_s, end_s))
    failed = m.curves.failed(failed_of(m.effective))
    source = f"{format.of_sample(float(t_s[first]))} {format.of_sample(float(t_s[last]))}"
    return int(failed[last] - failed[first]), Markup(source)


def of_histories(m: Material) -> Markup:
    """A reference to the files that name who asked."""
    files = histories_of(m.run_dir)
    return Markup(" ".join(code(path.relative_to(m.run_dir).as_posix()) for path in files))


def _latencies(m: Material, say: Messages) -> list[Row]:
    metric = "http_req_duration"
    rows = []
    for name, key in _LATENCIES.items():
        value = format.milliseconds(_metric(m, metric).get(key))
        rows.append(_of_result(say, f"latency_{name}", value, f"metrics.{metric}.{key}"))
    worst = m.curves.percentile(0.95)
    if np.isfinite(worst).any():
        at = int(np.nanargmax(worst))
        value, at_s = format.milliseconds(worst[at] * 1000), float(m.curves.t_s[at])
        rows.append(_row(say, say("impact.worst_p95"), value, format.of_sample(at_s)))
    return rows


_MOST_ROWS = 10**15


def _coupons(m: Material, say: Messages) -> list[Row]:
    if m.effective and not m.effective.system.issues:
        return []
    audit, stock = m.first(AuditRead), m.effective.stock if m.effective else None
    if m.effective and stock is not None:
        stock = m.effective.system.semantics.issues_of(stock)
    stored = None if audit is None else audit.event.rows
    if type(stored) is not int or abs(stored) > _MOST_ROWS:  # a journal that somebody altered
        stored = None
    beyond = max(0, stored - stock) if stored is not None and stock is not None else None
    ref = format.of_record(audit)
    what = say("impact.beyond", stock=stock)
    rows = [
        _row(say, say("impact.rows"), stored, ref),
        _row(say, what, beyond, Markup(f"{ref} {code('inputs/effective.json')}")),
    ]
    check = m.check("no_premature_sold_out")
    if check is None:
        return rows
    told_no: Value = None
    if check.verdict == "valid":
        told_no = say("impact.none_seen")
    elif check.verdict == "invalid":
        told_no = say("impact.see_check", summary=say.line(check.message, check.summary))
    told_ref = format.of_result("checks.no_premature_sold_out")
    return [*rows, _row(say, say("impact.told_no"), told_no, told_ref)]


def _closed(m: Material, say: Messages) -> list[Markup]:
    """A note about the meaning of latency where virtual users ask."""
    names = m.result.traffic.closed if m.result.traffic else ()
    if not names:
        return []
    told = Markup(", ".join(code(str(name)) for name in names))
    return [say("impact.closed", scenarios=told, ref=format.of_result("traffic.closed"))]


def _unclear(m: Material, say: Messages) -> list[Markup]:
    """Answers that no outcome describes, in their own words; values that were in no answer."""
    told = m.result.traffic.answers if m.result.traffic else None
    if told is None:
        return []
    found = []
    for line in told.unmatched:
        said = [code(each) for each in line.said if each] or [say("impact.empty_answer")]
        by: dict[str, Value] = {"answers": line.answers, "status": line.status}
        ref = format.of_result("traffic.answers.unmatched")
        found.append(say("impact.unmatched", said=Markup(", ".join(said)), ref=ref, **by))
    for one in told.not_captured:
        what = code(f"{one.capture}: {one.path}")
        ref = format.of_result("traffic.answers.not_captured")
        found.append(say("impact.not_captured", what=what, answers=one.answers, ref=ref))
    return found


def _steps(m: Material, say: Messages) -> list[Markup]:
    """What was asked before the issues and after them: none of it is in the issue's figures."""
    beside = m.result.traffic.beside if m.result.traffic else None
    if beside is None:
        return []
    found = []
    for line in beside.requests:
        kind = "poll" if line.name == POLL else "step"
        told: dict[str, Value] = {"asked": line.asked, "done": line.done, "failed": line.failed}
        if kind == "step":
            told |= {"step": code(line.name), "p95": format.milliseconds(line.p95_ms)}
        found.append(say(f"impact.{kind}", ref=format.of_result("traffic.beside.requests"), **told))
    if beside.never_asked:
        ref = format.of_result("traffic.beside.never_asked")
        found.append(say("impact.never_asked", starts=beside.never_asked, ref=ref))
    return found


def _own_limit(m: Material, say: Messages) -> list[Markup]:
    """From which rate on the system did not carry its traffic, or up to which it did."""
    limit = m.result.traffic.limit if m.result.traffic else None
    if limit is None:
        return []
    ref, carried = format.of_result("traffic.limit"), f"{limit.carried_per_s:,.0f}/s"
    if limit.reached and nothing_came(limit.message, limit.carried_per_s):
        return [say("impact.limit_untold", ref=ref)]
    if not limit.reached:
        p95 = format.milliseconds(limit.p95_ms)
        told = say("impact.limit_not_reached", carried=carried, p95=p95, ref=ref)
    else:
        per_s, why = f"{limit.per_s:,.0f}/s", say.line(limit.message, limit.why)
        told = say("impact.limit_reached", limit=per_s, why=why, carried=carried, ref=ref)
    lost_s = limit.not_carried_s
    return [told, say("impact.not_carried", seconds=lost_s, ref=ref)] if lost_s else [told]


def _generator(m: Material, say: Messages) -> list[Markup]:
    generator = m.result.traffic.generator if m.result.traffic else None
    if generator is None:
        return []
    reasons = say.value(", ".join(say.lines(generator.messages, generator.reasons)))
    why = Markup(f" ({reasons})" if reasons else "")
    if generator.status == "kept" and not reasons:
        return [say("impact.generator_kept")]
    found = [say("impact.generator", status=say.word(generator.status), why=why)]
    limited = generator.status == "limited"
    return [*found, say("impact.generator_limited")] if limited else found


def _metric(m: Material, name: str) -> Mapping[str, float | None]:
    return {} if m.result.traffic is None else m.result.traffic.metrics.get(name, {})
