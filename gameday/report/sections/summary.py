"""The first page: what this is, and what happened in a few sentences."""

import re
from collections.abc import Iterator
from typing import Final

from gameday.judge.result import CheckLine, MissingPart
from gameday.report import format
from gameday.report.causes import Failure, failures
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, bullets, code
from gameday.report.messages import Messages
from gameday.report.people import SAFETY
from gameday.report.sections.names import CLOCKS, broke, untold
from gameday.report.sections.people import cause, people
from gameday.spec.experiment import ISSUANCE
from gameday.spec.failures import Failures
from gameday.telemetry.failures import assumed_objective, steady_state

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


def head_values(m: Material, language: str) -> dict[str, str]:
    """The front matter of a new draft; nobody owns it yet."""
    started = m.result.started_at or ""
    return {
        "status": "draft",
        "owner": "",
        "date": started[:10] if _DAY.match(started) else "",
        "severity": _severity(m),
        "run": m.result.run,
        "experiment": m.result.experiment,
        "language": language,
    }


def _severity(m: Material) -> str:
    """The severity by rule: wrong coupons, then people who were hurt, then nobody.

    A run that cannot tell has none, as a person must say it.
    """
    if any(c.name in ISSUANCE and c.verdict == "invalid" for c in m.result.checks):
        return "critical"
    if m.result.clocks.damage_at is not None:
        return "major"
    return "none" if m.result.verdict == "passed" else ""


def title(m: Material, say: Messages) -> list[Markup]:
    """Title, status, and how to read the page."""
    result = m.result
    name = result.experiment
    about = say(
        "title.about",
        run=code(result.run),
        experiment=code(name),
        stack=code(result.stack),
        seed=Markup("–" if result.seed is None else result.seed),
        started=format.date(result.started_at),
        ended=format.date(result.ended_at),
        verdict=say.word(result.verdict),
        how=_how(m, say),
    )
    blocks = [
        say("title.page", title=(m.effective and m.effective.experiment.title) or name),
        about,
    ]
    if not m.records:
        blocks.append(say("title.no_journal"))
    elif not m.has_traffic:
        blocks.append(say("title.no_traffic"))
    if m.journal_damage:
        blocks.append(say("title.journal_damage", damage=m.journal_damage))
    if m.result.issuance_unchecked:
        blocks.append(say("title.no_issuance"))
    if m.result.missing:
        blocks.append(say("title.missing"))
        blocks.append(bullets([_missing(each, say) for each in m.result.missing]))
    return [*blocks, say("title.people")]


def summary(m: Material, say: Messages) -> list[Markup]:
    """The summary: what happened to people, the cause, the clocks, and what else was found."""
    blocks = [say("summary.head")]
    if m.result.ended not in {"completed", "not_steady"}:
        blocks.append(say("summary.cut_short", how=_how(m, say)))
    blocks += people(m, say)
    sentences = [] if m.result.clocks.damage_at is not None else _damage(m, say)
    blocks += [Markup(" ".join(sentences))] if sentences else []
    blocks += cause(m, say)
    blocks += [Markup(" ".join(_damage(m, say)))] if not sentences and m.has_traffic else []
    blocks += [Markup(" ".join(found))] if (found := _findings(m, say)) else []
    if m.effective and (hypothesis := m.effective.experiment.hypothesis):
        blocks.append(say("summary.hypothesis", hypothesis=hypothesis))
    return [*blocks, say("summary.person"), say("title.references")]


def _missing(each: MissingPart, say: Messages) -> Markup:
    return say("title.missing_part", part=code(each.part), why=say.line(each.message, each.why))


def _how(m: Material, say: Messages) -> Markup:
    ended = m.result.ended
    known = f"ended.{ended}" in say.by_id
    return say(f"ended.{ended}") if known else say("ended.other", ended=ended)


def _damage(m: Material, say: Messages) -> list[Markup]:
    if m.result.ended == "not_steady":
        return [say("summary.not_steady")]
    ref, damage_at = format.of_result("clocks.damage_at"), m.result.clocks.damage_at
    if damage_at is None:
        return [_undamaged(m, say, ref), *_assumed(m, say)] if m.has_traffic else []
    told = [say("summary.damage", damage=format.clock(damage_at), ref=ref)]
    for name in CLOCKS:
        after_s, ref = m.result.clocks.after_s(name), format.of_result(f"clocks.{name}_after_s")
        if after_s is None:
            told.append(say(f"summary.not_{name}", ref=ref))
        else:
            after = format.length(abs(after_s))
            if after_s < 0:
                told.append(say(f"summary.{name}_early", after=after, ref=ref))
            else:
                told.append(say(f"summary.{name}", after=after, ref=ref))
    return [*told, *_assumed(m, say)]


def _undamaged(m: Material, say: Messages, ref: Markup) -> Markup:
    """Words on people where no damage was seen."""
    if m.effective is not None and not steady_state(m.effective.experiment):
        return say("summary.no_objective", ref=ref)
    if failed := _uncounted(m):
        count = format.of_result("traffic.failed")
        return say("summary.no_damage_but", ref=ref, failed=failed, count=count)
    return say("summary.no_damage", ref=ref)


def _uncounted(m: Material) -> int:
    """The number of requests that failed where the experiment says that failures are no damage."""
    expected = m.effective is not None and m.effective.experiment.failures == "expected"
    return m.result.traffic.failed or 0 if expected and m.result.traffic is not None else 0


def _assumed(m: Material, say: Messages) -> Iterator[Markup]:
    """What the objective means that the file does not write, where there is one."""
    experiment = None if m.effective is None else m.effective.experiment
    objective = None if experiment is None else assumed_objective(experiment)
    if experiment is not None and objective is not None:
        assert isinstance(experiment.failures, Failures)
        percent = f"{100 * experiment.failures.above:g}"
        ref = code("inputs/effective.json")
        yield say("summary.assumed", objective=code(objective.name), percent=percent, ref=ref)


def _findings(m: Material, say: Messages) -> list[Markup]:
    """The verdicts that the sentences before do not speak of."""
    checks, ref = m.result.checks, format.of_result("checks")
    said = {name for wrong in failures(m.result, m.wrongs) for name in _checks_of(wrong)}
    invalid = [c for c in checks if c.verdict == "invalid" and c.name not in said]
    unknown = [check.name for check in checks if check.verdict == "unknown"]
    found = [_invalid(check, say) for check in invalid]
    found += [say("summary.unknown", checks=untold(unknown, say), ref=ref)] if unknown else []
    sound = checks and not any(check.verdict == "invalid" for check in checks)
    return [*found, say("summary.sound", ref=ref)] if sound else found


def _checks_of(failure: Failure) -> list[str]:
    """The checks of a failure that is about people, and so has been told in the beginning."""
    if failure.first.name not in SAFETY:
        return []
    return [check.name for check in failure.checks]


def _invalid(check: CheckLine, say: Messages) -> Markup:
    summary, ref = say.line(check.message, check.summary), format.of_result(f"checks.{check.name}")
    return say("summary.invalid", broke=broke(check.name, say), summary=summary, ref=ref)
