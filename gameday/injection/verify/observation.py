"""Observations of one witness each, and the verdict over all of them.

P is a probe through the proxy by gameday itself, S the service's own metric of the dependency, T
the latency or the failures of the traffic. A fault counts as injected when P and one of the
others agree. P alone is unknown: the service was not seen to pass by it. Where no probe can show
the dose, P has only read back what was asked for, and then S must have felt it: a plain TCP
connect is never delayed, and the traffic may be slow for reasons of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Certainty = Literal["yes", "no", "unknown"]

BESIDE_PROXY = "the service was not seen to use this proxy"
BESIDE_ALL = "nobody was seen to feel it"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Observation of one witness; `ok` is None when it cannot tell.

    `shown` is False for a P that only read back what was asked for.
    """

    witness: Literal["P", "S", "T"]
    ok: bool | None
    asked: float | None
    measured: float | None
    unit: str
    n: int
    why: str
    shown: bool = True

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def unmeasured(why: str, *, ok: bool | None, shown: bool = True) -> Sighting:
    """An observation of the probe that carries no measurement."""
    return Sighting("P", ok, None, None, "", 0, why, shown)


def injected(
    p: Sighting | None, felt: Sequence[Sighting], *, beside: str = BESIDE_PROXY
) -> tuple[Certainty, str]:
    """The verdict of the witnesses, and why. `beside` is how P alone is told."""
    if p is None or p.ok is None:
        return "unknown", p.why if p else "no probe was made"
    if not p.ok:
        return "no", p.why
    seen = [s for s in felt if s.ok and (p.shown or s.witness == "S")]
    if seen:
        return "yes", f"{p.why}; {seen[0].why}"
    told = "; ".join(s.why for s in felt)
    if p.shown:
        return "unknown", f"{p.why}, but {beside} ({told})"
    needed = "so the service's own metric of it is needed"
    if not any(s.witness == "S" for s in felt):
        return "unknown", f"{p.why}, {needed}, and the system file names none (`dependencies`)"
    return "unknown", f"{p.why}, {needed}, and {beside} ({told})"


def dose(p: Sighting | None, felt: Sequence[Sighting]) -> Mapping[str, Any]:
    """The measurements, for the report."""
    return {"witnesses": [s.as_json() for s in ([p] if p else []) + list(felt)]}
