"""What the witnesses say of a dose: was it there, and did the service feel it.

P is a probe through the proxy by gameday itself, S the service's own metric of the dependency, T
the latency or the failures of the traffic. A fault counts as injected when P and one of the
others agree. P alone is unknown: the service was not seen to pass by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from gameday.changes import Change
from gameday.readings import Felt
from gameday.witness.probing import SILENCE_S, Answer, Probe, was_answered


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a witness says; `ok` is None when it cannot tell."""

    witness: Literal["P", "S", "T"]
    ok: bool | None
    asked: float | None
    measured: float | None
    unit: str
    n: int
    why: str

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def judge_probes(change: Change, probes: Sequence[Probe], before_ms: float | None) -> Sighting:
    """Witness P: whether what the probes saw is the dose that was asked for."""
    if change.kind == "proxy":
        return _share(probes, {"refused"}, "refused")
    kind, attributes = change.data["type"], change.data["attributes"]
    match kind:
        case "latency":
            return _latency(probes, attributes["latency"], before_ms)
        case "timeout":
            closes = 0 < attributes["timeout"] < SILENCE_S * 1000
            return _share(probes, {"closed", "reset"} if closes else {"unanswered"}, "unanswered")
        case "reset_peer":
            return _share(probes, {"reset"}, "reset")
        case _:
            why = "a probe is too small to show it; the toxic was read back"
            return Sighting("P", bool(probes), None, None, "", len(probes), why)


def _latency(probes: Sequence[Probe], asked_ms: float, before_ms: float | None) -> Sighting:
    """Median of the answered probes, less the latency before, within 20 % or 20 ms of asked."""
    came = [p.took_ms for p in probes if was_answered(p)]
    if len(came) < 10:
        why = f"only {len(came)} of {len(probes)} probes were answered"
        return Sighting("P", None, asked_ms, None, "ms", len(came), why)
    measured = median(came) - (before_ms or 0.0)
    ok = abs(measured - asked_ms) <= max(0.2 * asked_ms, 20.0)
    why = f"{measured:.0f} ms more than before through the proxy, {asked_ms:.0f} ms asked"
    return Sighting("P", ok, asked_ms, round(measured, 1), "ms", len(came), why)


def _share(probes: Sequence[Probe], wanted: set[Answer], word: str) -> Sighting:
    """At least 9 of 10 probes ended as the fault makes them end."""
    hits = sum(p.answer in wanted for p in probes)
    share = hits / len(probes) if probes else 0.0
    why = f"{hits} of {len(probes)} probes {word}"
    return Sighting("P", share >= 0.9, 1.0, round(share, 3), "share", len(probes), why)


def shifts(
    change: Change, before: Sequence[Felt], during: Sequence[Felt], *, dependency: bool
) -> list[Sighting]:
    """Witnesses S and T: whether a metric moved by at least half the dose while it lasted."""
    dose_s = _dose_s(change)
    seen = []
    if dependency:
        seen.append(
            _shift("S", dose_s, [f.dependency_s for f in before], [f.dependency_s for f in during])
        )
    seen.append(
        _shift("T", dose_s, [f.traffic_p95_s for f in before], [f.traffic_p95_s for f in during])
    )
    if change.kind == "proxy" or change.data.get("type") in ("timeout", "reset_peer"):
        seen.append(_failures(before, during))
    return seen


def _dose_s(change: Change) -> float | None:
    """The dose as a latency: asked for, or None when the fault is not a latency."""
    if change.kind == "toxic" and change.data["type"] == "latency":
        return float(change.data["attributes"]["latency"]) / 1000
    return None


def _shift(
    witness: Literal["S", "T"],
    dose_s: float | None,
    before: Sequence[float | None],
    during: Sequence[float | None],
) -> Sighting:
    calm = [value for value in before if value is not None]
    hit = [value for value in during if value is not None]
    what = "its own dependency metric" if witness == "S" else "the traffic's p95"
    if not calm or not hit:
        return Sighting(witness, None, dose_s, None, "s", len(hit), f"{what} has no data")
    base, peak = median(calm), max(hit)
    moved = peak - base
    enough = 0.5 * dose_s if dose_s is not None else max(base, 0.02)
    why = f"{what} moved from {base * 1000:.0f} to {peak * 1000:.0f} ms"
    return Sighting(witness, moved >= enough, dose_s, round(moved, 4), "s", len(hit), why)


def _failures(before: Sequence[Felt], during: Sequence[Felt]) -> Sighting:
    """The share of failed answers, worst stretch of two seconds, against the calm before."""
    calm = _worst_share(before)
    worst = _worst_share(during)
    if calm is None or worst is None:
        return Sighting("T", None, 1.0, None, "share", 0, "no answers to count failures in")
    moved = worst - calm
    why = f"the failed share of the traffic moved from {calm:.0%} to {worst:.0%}"
    return Sighting("T", moved >= 0.5, 1.0, round(moved, 3), "share", len(during), why)


def _worst_share(felt: Sequence[Felt]) -> float | None:
    shares = []
    for early, late in zip(felt, felt[2:], strict=False):
        ended = late.ended - early.ended
        if ended:
            shares.append((late.failed - early.failed) / ended)
    return max(shares, default=None)


def injected(
    p: Sighting | None, felt: Sequence[Sighting]
) -> tuple[Literal["yes", "no", "unknown"], str]:
    """The verdict of the witnesses, and why."""
    if p is None or p.ok is None:
        return "unknown", p.why if p else "no probe was made"
    if not p.ok:
        return "no", p.why
    seen = [s for s in felt if s.ok]
    if seen:
        return "yes", f"{p.why}; {seen[0].why}"
    told = "; ".join(s.why for s in felt)
    return "unknown", f"{p.why}, but the service was not seen to use this proxy ({told})"


def dose(p: Sighting | None, felt: Sequence[Sighting]) -> Mapping[str, Any]:
    """What was measured, for the report."""
    return {"witnesses": [s.as_json() for s in ([p] if p else []) + list(felt)]}
