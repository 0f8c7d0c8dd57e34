"""From evidence to a result: run the checks, demote what the run cannot carry, and conclude.

A run whose traffic did not keep its schedule, whose faults were not shown to be there, or which
was aborted, says nothing about performance: those verdicts become unknown. What it says about
safety stands, for a coupon too many is one too many however the run went. The exit code is
decided in `exit_code`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from gameday.core.messages import Message
from gameday.evidence.events import Phase
from gameday.evidence.journal import every
from gameday.evidence.model import Evidence
from gameday.evidence.read import ABSENT
from gameday.evidence.timeline import NO_END
from gameday.judge import checks, result
from gameday.judge.exit_code import exit_code
from gameday.judge.result import CheckLine, MissingPart, Result, VerdictName
from gameday.judge.verdict import NotApplicable, Validity, Verdict, unknown, worst

ALWAYS: Final = ("fault_injected", "fault_removed")
# What it means that a part is not there, where that can be said better.
MISSING: Final = {
    ("audit", ABSENT): "missing.audit",
    ("samples", ABSENT): "missing.samples",
    ("effective", ABSENT): "missing.effective",
}
VERDICTS: Final[Mapping[Validity, VerdictName]] = {
    Validity.VALID: "passed",
    Validity.UNKNOWN: "unknown",
    Validity.INVALID: "failed",
}


def judge(evidence: Evidence) -> Result:
    """Everything that can be said about a run. Pure: the same evidence, the same result."""
    said = [checks.run(name, check, evidence) for name, check in checks.CHECKS.items()]
    verdicts, lacking = _wanted(evidence, said)
    reasons = unfit(evidence, said)
    verdicts = [_demoted(verdict, reasons) for verdict in verdicts]
    missing = missing_parts(evidence)
    verdict = _concluded(evidence, verdicts, missing)
    experiment, seed, stack = _planned(evidence)
    return Result(
        run=evidence.name,
        experiment=experiment,
        stack=stack,
        seed=seed,
        started_at=_calendar(evidence, evidence.timeline.first_ns),
        ended_at=_calendar(evidence, evidence.timeline.last_ns),
        verdict=VERDICTS[verdict],
        ended=evidence.timeline.ended,
        exit_code=exit_code(evidence, verdict, stack),
        checks=[_line(verdict) for verdict in verdicts],
        not_applicable=lacking,
        faults=result.faults(evidence),
        alerts=result.alerts(evidence),
        traffic=result.traffic(evidence),
        playbook=result.playbook(evidence),
        clocks=result.clocks(evidence),
        logs=result.logs(evidence),
        missing=[MissingPart(part=p, why=str(why), message=why) for p, why in missing.items()],
    )


def _wanted(
    evidence: Evidence, said: Sequence[Verdict | NotApplicable]
) -> tuple[list[Verdict], list[NotApplicable]]:
    """Verdicts that the experiment asks for. A named check that does not apply is unknown.

    The checks of injection and removal are always included: without them a run says nothing.
    """
    wanted = evidence.effective.experiment.expect.checks if evidence.effective else "all"
    if wanted == "all":
        verdicts = [one for one in said if isinstance(one, Verdict)]
        return verdicts, [one for one in said if isinstance(one, NotApplicable)]
    asked = [_insisted(one) for one in said if one.name in wanted]
    always = [one for one in said if one.name in ALWAYS and isinstance(one, Verdict)]
    return asked + [one for one in always if one not in asked], [
        one for one in said if isinstance(one, NotApplicable) and one.is_without_audit
    ]


def _insisted(said: Verdict | NotApplicable) -> Verdict:
    if isinstance(said, Verdict):
        return said
    return replace(unknown("check.insisted", lacks=said.message), name=said.name)


def unfit(evidence: Evidence, said: Sequence[Verdict | NotApplicable]) -> list[Message]:
    """Why the run carries no statement about performance; nothing when it does."""
    ended = evidence.timeline.ended
    if ended != "completed" and not (ended == "unhealthy" and _traffic_was_whole(evidence)):
        return [Message("unfit.ended", ended=ended)]
    needed = {"generator": "unfit.generator", "fault_injected": "unfit.fault_injected"}
    lacking = {
        one.name for one in said if isinstance(one, Verdict) and one.validity is not Validity.VALID
    }
    return [Message(reason) for name, reason in needed.items() if name in lacking]


def _traffic_was_whole(evidence: Evidence) -> bool:
    """Nothing was wrong before the traffic was over: only the close or the audit failed."""
    phases = (record.event for record in every(evidence.journal, Phase))
    ending = next((phase for phase in phases if phase.phase == "ending"), None)
    return evidence.timeline.t0_ns is not None and ending is not None and ending.aborted is False


def _demoted(verdict: Verdict, reasons: list[Message]) -> Verdict:
    """Unknown, where the run was unfit for what the check says. Safety is never demoted."""
    settled = verdict.validity is Validity.UNKNOWN
    if not reasons or settled or verdict.name not in checks.PERFORMANCE:
        return verdict
    told = Message(
        "check.demoted", reasons=reasons, verdict=verdict.validity.value, summary=verdict.message
    )
    return replace(verdict, validity=Validity.UNKNOWN, message=told, certificate=None)


def missing_parts(evidence: Evidence) -> Mapping[str, Message]:
    """Missing parts of the run directory, each with the reason; empty for a run that is whole."""
    found: dict[str, Message] = {
        part: Message(MISSING.get((part, why), "missing.damaged"), why=why)
        for part, why in [*evidence.problems.items(), *evidence.timeline.lost.items()]
    }
    if evidence.timeline.ended_why == NO_END and "journal" not in found:
        found["journal"] = Message("missing.end")
    return dict(sorted(found.items()))


def _concluded(
    evidence: Evidence, verdicts: Sequence[Verdict], missing: Mapping[str, Message]
) -> Validity:
    """The worst of all; a run that did not complete, or is not whole, is unknown at best."""
    found = worst([verdict.validity for verdict in verdicts])
    if found is Validity.VALID and (missing or evidence.timeline.ended != "completed"):
        return Validity.UNKNOWN
    return found


def _planned(evidence: Evidence) -> tuple[str, int | None, str]:
    """The experiment, its seed and the stack: as run, or else as the journal names them."""
    effective, started = evidence.effective, evidence.timeline.started
    if effective is not None:
        return effective.experiment.name, effective.seed, effective.stack
    return (started.experiment, started.seed, started.stack) if started else ("", None, "")


def _calendar(evidence: Evidence, t_ns: int | None) -> str | None:
    """An instant of the run's clock on the calendar, by what its first record tied together."""
    started, first_ns = evidence.timeline.started, evidence.timeline.first_ns
    if t_ns is None or first_ns is None or started is None or started.wall_ns is None:
        return None
    at = datetime.fromtimestamp((started.wall_ns + t_ns - first_ns) // 1_000_000 / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(verdict: Verdict) -> CheckLine:
    return CheckLine(
        name=verdict.name,
        verdict=verdict.validity.value,
        summary=verdict.summary,
        message=verdict.message,
        evidence=verdict.evidence,
        certificate=verdict.certificate,
    )
