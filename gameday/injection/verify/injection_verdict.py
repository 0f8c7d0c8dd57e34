"""Observations of one witness each, and the verdict over all of them.

P is a probe through the proxy by gameday itself, S the service's own metric of the dependency, T
the latency or the failures of the traffic. A fault counts as injected when P and one of the
others agree. P alone is unknown: the service was not seen to pass by it. Where no probe can show
the dose, P has only read back what was asked for, and then S must have felt it: a plain TCP
connect is never delayed, and the traffic may be slow for reasons of its own. Only where there is no
S, and no probe could be made at all (`by_traffic`), T may tell alone, if its reaction began with
the fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from gameday.core.json_objects import Json
from gameday.core.messages import Message
from gameday.evidence.event_fields import YesNo
from gameday.evidence.events import Observation


@dataclass(frozen=True, slots=True)
class ComparedProbe(Observation):
    """An observation of P beside the direct way, asked in the same second.

    What is so measured is the proxy's own, whatever the machine or the service behind it did.
    """

    @classmethod
    def of(cls, seen: Observation) -> "ComparedProbe":
        return cls(**{each.name: getattr(seen, each.name) for each in fields(seen)})


def unmeasured(message: Message, *, ok: bool | None, shown: bool = True) -> Observation:
    """An observation of the probe that carries no measurement."""
    return Observation("P", ok, message=message, shown=shown)


def injected(
    p: Observation | None,
    felt: Sequence[Observation],
    *,
    probed: bool = True,
    by_traffic: bool = False,
) -> tuple[YesNo, Message]:
    """The verdict of the witnesses, and why. Where nothing is `probed`, nobody uses a proxy."""
    if p is None:
        return "unknown", Message("verify.no_probe")
    if not p.ok:
        return "unknown" if p.ok is None else "no", Message("verify.probe", probe=p.reason)
    seen = [s for s in felt if s.ok and (p.shown or by_traffic or s.witness == "S")]
    if seen:
        return "yes", Message("verify.agree", probe=p.reason, other=seen[0].reason)
    return "unknown", _unfelt(p, felt, probed=probed, by_traffic=by_traffic)


def _unfelt(
    p: Observation, felt: Sequence[Observation], *, probed: bool, by_traffic: bool
) -> Message:
    """Why a fault that P has seen, or read back, is not known to be felt."""
    reasons = [s.reason for s in felt]
    unfelt = Message("verify.proxy_unused" if probed else "verify.unfelt", others=reasons)
    if p.shown:
        return Message("verify.alone", probe=p.reason, but=unfelt)
    if by_traffic:
        return Message("verify.traffic_unmoved", probe=p.reason, others=reasons)
    if not any(s.witness == "S" for s in felt):
        return Message("verify.no_metric_named", probe=p.reason)
    return Message("verify.metric_unmoved", probe=p.reason, but=unfelt)


def dose(p: Observation | None, felt: Sequence[Observation]) -> Json:
    """The measurements, for the report."""
    return {"witnesses": [s.as_json() for s in ([p] if p else []) + list(felt)]}
