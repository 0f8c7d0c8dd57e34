"""The checks: each looks at the evidence of a run and says valid, unknown or invalid.

One file a check; every one is a pure function `check(evidence)`. The first six are about safety:
what was issued, and to whom. Three are about the run itself: were the faults there, did anything
happen, did the traffic keep its schedule. The rest are about performance, and stand only when
the run was fit to make such statements (`judge.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from gameday.core.errors import UnknownError
from gameday.evidence.model import Evidence
from gameday.judge.checks import (
    alerts,
    exercised,
    fault_injected,
    fault_removed,
    generator,
    logs,
    no_lost_issuance,
    no_over_issuance,
    no_phantom,
    no_premature_sold_out,
    objectives,
    one_per_user,
    playbook,
    reactions,
    recovered,
    routing,
    stores_agree,
    thresholds,
)
from gameday.judge.verdict import NO_AUDIT, NotApplicable, Verdict, lacking, unknown
from gameday.spec.experiment import ISSUANCE

Check = Callable[[Evidence], Verdict | NotApplicable]

CHECKS: Final[Mapping[str, Check]] = {
    module.__name__.rpartition(".")[2]: module.check
    for module in (
        no_over_issuance,
        one_per_user,
        no_lost_issuance,
        no_phantom,
        no_premature_sold_out,
        stores_agree,
        fault_injected,
        fault_removed,
        exercised,
        generator,
        thresholds,
        objectives,
        recovered,
        reactions,
        alerts,
        routing,
        logs,
        playbook,
    )
}
PERFORMANCE: Final = frozenset(
    {"thresholds", "objectives", "recovered", "reactions", "alerts", "routing", "logs", "playbook"}
)


def run(name: str, check: Check, evidence: Evidence) -> Verdict | NotApplicable:
    """The verdict of a check; unknown, with the reason, when it lacks evidence or crashes."""
    if name in ISSUANCE and evidence.effective and not evidence.effective.system.issues:
        return replace(lacking(NO_AUDIT), name=name)
    try:
        verdict = check(evidence)
    except UnknownError as missing:
        verdict = unknown("check.missing", why=missing.message)
    except Exception as error:  # noqa: BLE001  a broken check must not hide what the others say
        verdict = unknown("check.crashed", kind=type(error).__name__, error=str(error))
    return replace(verdict, name=name)
