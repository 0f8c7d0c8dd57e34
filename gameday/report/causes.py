"""Causes: which failed checks belong together, so that one thing to mend is one thing to do.

Nobody can prove a cause from outside, so checks are put together by few plain rules, and what is
put together is still named one by one: an item that groups three checks is closed only when all
three are valid again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gameday.judge.result import AlertOutcome, CheckLine, Result
from gameday.report.people import SAFETY, Wrong

_SLOWNESS: Final = ("recovered", "objectives", "thresholds")
"""One state of the system seen in three ways: while it stays slow or fails, each of them fails."""
_FOLLOWS: Final[Mapping[str, Sequence[str]]] = {
    "one_per_user": ("no_over_issuance", "stores_agree"),
    "no_lost_issuance": ("no_premature_sold_out", "stores_agree"),
}
"""What a check that failed makes fail as well, if only stores that disagree: a second row is one
too many where the stock is gone, and whose row is lost is not counted among those who took one."""
_TOLD_WITHIN_S: Final = 10.0
"""An alert whose condition came true so soon after the first wrong answer tells of it: the
shipped rules look back over 5 s, and are evaluated each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Failed checks of one cause, the one that says most first, and the alerts that told of it."""

    checks: Sequence[CheckLine]
    alerts: Sequence[AlertOutcome] = ()

    @property
    def first(self) -> CheckLine:
        return self.checks[0]


def failures(result: Result, wrongs: Sequence[Wrong]) -> Sequence[Failure]:
    """The failed checks of a result, each in exactly one failure."""
    failed = {check.name: check for check in result.checks if check.verdict == "invalid"}
    found: list[Failure] = []
    safety = [failed.pop(name) for name in _in_order(failed, wrongs)]
    if safety:
        follows = _FOLLOWS.get(safety[0].name, ("stores_agree",))
        together = [safety[0], *(check for check in safety[1:] if check.name in follows)]
        told = _told_of(result, wrongs)
        if told and "alerts" in failed and _all_told(result, told):
            together.append(failed.pop("alerts"))
        found.append(Failure(checks=together, alerts=told))
        found += [Failure(checks=[each]) for each in safety if each not in together]
    slow = [failed.pop(name) for name in _SLOWNESS if name in failed]
    if slow:
        found.append(Failure(checks=slow))
    return [*found, *(Failure(checks=[each]) for each in failed.values())]


def _in_order(failed: Mapping[str, CheckLine], wrongs: Sequence[Wrong]) -> Sequence[str]:
    """The failed checks of safety; that of second coupons first where they are all the surplus."""
    counts = {wrong.kind: wrong.count or 0 for wrong in wrongs}
    order = [name for name in SAFETY if name in failed]
    if 0 < counts.get("over", 0) <= counts.get("two_rows", counts.get("more_rows", 0)):
        order.sort(key=lambda name: name != "one_per_user")
    return order


def _told_of(result: Result, wrongs: Sequence[Wrong]) -> Sequence[AlertOutcome]:
    """Alerts that nobody expected, and that came on as the first wrong answer did."""
    first_s = min((w.first_s for w in wrongs if w.first_s is not None), default=None)
    if first_s is None:
        return ()
    return [
        alert
        for alert in result.alerts
        if alert.status == "false"
        and alert.active_at is not None
        and first_s <= alert.active_at <= first_s + _TOLD_WITHIN_S
    ]


def _all_told(result: Result, told: Sequence[AlertOutcome]) -> bool:
    """True if the check of alerts failed of nothing else."""
    bad = [each for each in result.alerts if each.status in {"false", "missed", "late"}]
    return all(each in told for each in bad)
