"""Action items: each expectation that the run broke or could not test, as a thing to do.

An item is a list item with a box, for people, and a block that a machine reads back
(`draft_file`). Its expectation is the test of its own cure: `gameday action-items` counts it as
closed when a later run of the same experiment finds the expectation valid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gameday.judge.result import CheckLine
from gameday.report import format
from gameday.report.causes import Failure, failures
from gameday.report.draft_file import scalar
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, code
from gameday.report.messages import Messages
from gameday.report.sections.lessons import alert_evidence, bad_steps, step_evidence
from gameday.report.sections.names import broken, untold

_INDENT: Final = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A proposed action: words for people, and what a machine must know to close it."""

    what: Markup
    evidence: Markup
    type: str
    expect: Sequence[str]


def actions(m: Material, say: Messages) -> list[Markup]:
    """One item for every expectation that this run broke or could not test."""
    found = [*proposed(m, say)]
    head = [say("actions.head"), say("actions.about")]
    if not found:
        return [*head, say("actions.none")]
    return [*head, *(_item(each, m, number, say) for number, each in enumerate(found, 1))]


def item_id(run: str, number: int) -> str:
    """The name of an item, as `gameday action-items` and a ticket have it."""
    return f"{run[-4:]}-{number}"


def proposed(m: Material, say: Messages) -> Iterator[Action]:
    """The actions that the result calls for."""
    for failure in failures(m.result, m.wrongs):
        if not _has_items_of_its_own(m, failure):
            yield _of_failure(m, failure, say)
    for i, alert in enumerate(m.result.alerts):
        if alert.expected and alert.status in {"missed", "late"}:
            status, name = say.word(alert.status), code(alert.alert)
            yield Action(
                what=say("actions.alert", alert=name, status=status),
                evidence=alert_evidence(alert, i, say),
                type="detect",
                expect=[f"alerts.{alert.alert}"],
            )
    for step in bad_steps(m):
        yield Action(
            what=say("actions.step", step=step.step, status=say.word(step.status)),
            evidence=step_evidence(m, step, say),
            type="mitigate",
            expect=[f"playbook.{step.step}"],
        )
    unknown = _checks(m, "unknown")
    if unknown:
        yield Action(
            what=say("actions.unknown", checks=untold([check.name for check in unknown], say)),
            evidence=Markup(", ".join(format.of_result(f"checks.{c.name}") for c in unknown)),
            type="process",
            expect=[check.name for check in unknown],
        )


def _of_failure(m: Material, failure: Failure, say: Messages) -> Action:
    """One item for all checks that failed of one cause; what to mend where that cause is known."""
    first = failure.first.name
    known = f"actions.fix_{first}" in say.by_id
    cause = broken(first, say)
    if m.origin.unexplained:
        what = say("actions.find_out", broke=cause)
    elif known:
        what = say(f"actions.fix_{first}")
    else:
        what = say("actions.check", broke=cause)
    also = [broken(check.name, say) for check in failure.checks[1:]]
    also += [say("actions.together_alert", alert=code(a.alert)) for a in failure.alerts]
    if also:
        what = say("actions.together", what=what, also=Markup("; ".join(also)))
    evidence = Markup("; ".join(_summary(check, say) for check in failure.checks))
    expect = [check.name for check in failure.checks]
    return Action(what=what, evidence=evidence, type=_type(first), expect=expect)


def _type(check: str) -> str:
    if check == "alerts":
        return "detect"
    return "mitigate" if check in {"playbook", "recovered"} else "prevent"


def _has_items_of_its_own(m: Material, failure: Failure) -> bool:
    """True if each thing that the check failed of is an item already: its alerts, or its steps."""
    if failure.first.name == "playbook":
        return bool(bad_steps(m))
    bad = [each.status for each in m.result.alerts if each.status in {"false", "missed", "late"}]
    return failure.first.name == "alerts" and bool(bad) and "false" not in bad


def _item(action: Action, m: Material, number: int, say: Messages) -> Markup:
    """The item as Markdown: its block stands inside it, so that code hosts show them together."""
    expect = action.expect
    one = len(expect) == 1
    lines = [
        f"id: {scalar(item_id(m.result.run, number))}",
        f"type: {action.type}",
        "owner:",
        "due:",
        f"experiment: {scalar(m.result.experiment)}",
        "expect: " + (scalar(expect[0]) if one else f"[{', '.join(map(scalar, expect))}]"),
    ]
    block = "\n".join(_INDENT + line for line in ("```yaml action", *lines, "```"))
    first = say("actions.item", what=action.what, evidence=action.evidence)
    return Markup(f"{first}\n\n{block}")


def _checks(m: Material, verdict: str) -> list[CheckLine]:
    return [check for check in m.result.checks if check.verdict == verdict]


def _summary(check: CheckLine, say: Messages) -> Markup:
    ref = format.of_result(f"checks.{check.name}")
    return say("evidence.summary", summary=say.line(check.message, check.summary), ref=ref)
