"""What the load benchmark knows of each tool so far, and the tables made of it.

A table can be made at any time: what was not measured yet is a dash. So a benchmark that is cut
short tells what it has.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.benchmarks.load_calm import Tally
from tests.benchmarks.load_peers import PACED, POINTS, Shot

MISSED_MAX: Final = 0.001
NEAR_MS: Final = 1.0
NEAR: Final = 0.01
# Our aims, as ratios to what each peer reached in the same run: of rates, or of rates per core.
AIMS: Final = {"locust": 5.0, "oha": 0.5, "wrk": 0.25}
AIM_HEY_PER_CORE: Final = 1.0
# What `gameday doctor --calibrate` says should be within this of what was held.
PREDICTED_WITHIN: Final = 0.1


@dataclass(slots=True)
class Stalled:
    """One shot at a server that was stopped: what the tool told, and what the wire saw."""

    told: Mapping[str, float]
    true: Mapping[str, float] | None
    stalled_s: float
    drained_per_s: float


@dataclass(slots=True)
class Figures:
    """What one tool did; all times in ms."""

    starting: list[float] = field(default_factory=list)  # CPU seconds of doing next to nothing
    highest: list[Shot] = field(default_factory=list)
    some: list[Shot] = field(default_factory=list)
    seen_p95: list[float] = field(default_factory=list)
    stalled: list[Stalled] = field(default_factory=list)

    def worked_s(self, shot: Shot) -> float:
        """The CPU it took without the start-up."""
        return max(shot.cpu_s - (median(self.starting) if self.starting else 0.0), 1e-3)

    @property
    def rate(self) -> float:
        return median([shot.sent / shot.length_s for shot in self.highest])

    @property
    def missed(self) -> float:
        """The share that was late or never sent, in the middle shot."""
        return median([shot.missed for shot in self.highest])

    @property
    def per_core(self) -> float:
        return median([shot.sent / self.worked_s(shot) for shot in self.highest])

    @property
    def cpu_ms(self) -> float:
        return median([self.worked_s(shot) * 1e6 / max(shot.sent, 1) for shot in self.some])

    @property
    def rss_mb(self) -> float:
        return median([shot.rss_mb for shot in self.some])

    @property
    def p95(self) -> float:
        return median([shot.ms.get("p95", math.nan) for shot in self.some])


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


def near(figure: float, true: float) -> bool:
    return abs(figure - true) <= max(NEAR_MS, NEAR * true)


def rates_table(
    found: Mapping[str, Figures], tallies: Mapping[str, Tally], some_per_s: int
) -> Iterator[str]:
    yield (
        f"| | highest rate | per CPU second | CPU per 1,000 at {some_per_s:,}/s | start-up CPU "
        f"| memory | p95 it reports at {some_per_s:,}/s | p95 seen beside it | stolen meanwhile |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---|"
    for name, one in found.items():
        how = "held" if one.missed < MISSED_MAX else f"NOT held, {one.missed:.1%} missed"
        how = how if name in PACED and one.highest else "flat out" if one.highest else ""
        yield (
            f"| {name} | {text(one.rate, ',.0f')}/s {how} | {text(one.per_core, ',.0f')} "
            f"| {text(one.cpu_ms, '.0f')} ms | {text(median(one.starting), '.2f')} s "
            f"| {text(one.rss_mb, '.0f')} MB | {text(one.p95, '.2f')} ms "
            f"| {text(median(one.seen_p95), '.2f')} ms | {tallies.get(name, Tally())} |"
        )


def formula(
    stall_s: float, length_s: float, per_s: tuple[float, float], calm_ms: float
) -> dict[str, float]:
    """The latencies that requests must see, at even distances in `length_s` seconds.

    `per_s` is the rate of the requests and the rate at which the server answers what has piled up.
    Request number n after the stop is answered when the server goes on and has answered the n
    before it: so the wait falls from `stall_s` in a straight line. All others take `calm_ms`.
    """
    asked_per_s, served_per_s = per_s
    slope = 1 - asked_per_s / served_per_s
    shares = {"p50": 0.5, "p90": 0.1, "p95": 0.05, "p99": 0.01, "max": 0.0}
    return {
        point: max(calm_ms, (stall_s - share * length_s * slope) * 1000 + calm_ms)
        for point, share in shares.items()
    }


def usual_truth(found: Mapping[str, Figures]) -> dict[str, float]:
    """What the wire saw in the shots of those tools that kept the schedule, in the middle."""
    every = [shot.true for one in found.values() for shot in one.stalled if shot.true]
    return {point: median([true[point] for true in every]) for point in POINTS}


def truths(one: Figures, usual: Mapping[str, float]) -> list[Mapping[str, float]]:
    """The truth of each shot: its own, or where the tool skipped what was due, the usual one."""
    return [shot.true or usual for shot in one.stalled]


def off_by(one: Figures, usual: Mapping[str, float], point: str) -> float:
    """How far from the truth a tool is in the middle of its shots."""
    pairs = zip(one.stalled, truths(one, usual), strict=True)
    return median([shot.told.get(point, math.nan) - true[point] for shot, true in pairs])


def is_near(one: Figures, usual: Mapping[str, float], point: str) -> bool:
    true = median([each[point] for each in truths(one, usual)])
    return near(true + off_by(one, usual, point), true)


def stall_table(
    found: Mapping[str, Figures], tallies: Mapping[str, Tally], length_s: int, per_s: int
) -> Iterator[str]:
    """What each tool told, and in brackets how much that is more than what the wire saw."""
    yield (
        f"| stopped in {length_s} s at {per_s:,}/s, ms | "
        + " | ".join(POINTS)
        + " | near | truth | stolen meanwhile |"
    )
    yield "|---|" + "---:|" * len(POINTS) + "---|---|---|"
    usual = usual_truth(found)
    cells = " | ".join(text(usual[point], ",.1f") for point in POINTS)
    yield f"| **truth**, by the wire | {cells} | | | |"
    shots = [shot for one in found.values() for shot in one.stalled if shot.true]
    if shots:
        stall_s = median([shot.stalled_s for shot in shots])
        served = max(median([shot.drained_per_s for shot in shots]), per_s + 1.0)
        served = math.inf if math.isnan(served) else served
        expected = formula(stall_s, length_s, (per_s, served), usual["p50"])
        cells = " | ".join(f"{expected[point]:,.1f}" for point in POINTS)
        yield f"| by the formula, {served:,.0f}/s served after it | {cells} | | | |"
    for name, one in found.items():
        if not one.stalled:
            continue
        told = {p: median([shot.told.get(p, math.nan) for shot in one.stalled]) for p in POINTS}
        cells = " | ".join(
            f"{text(told[p], ',.1f')} ({text(off_by(one, usual, p), '+,.1f')})" for p in POINTS
        )
        fine = sum(is_near(one, usual, point) for point in POINTS)
        own = sum(shot.true is not None for shot in one.stalled)
        whose = f"its own, {own} of {len(one.stalled)}" if own else "the usual: it skipped requests"
        tally = tallies.get(name, Tally())
        yield f"| {name} | {cells} | {fine} of {len(POINTS)} | {whose} | {tally} |"


def prediction(predicted: Sequence[float], held_per_s: float) -> str:
    """Whether calibration says what is held."""
    if not predicted or math.isnan(held_per_s):
        return "calibration: not measured"
    said = median(predicted)
    within = abs(said / held_per_s - 1) <= PREDICTED_WITHIN
    return (
        f"calibration predicts {said:,.0f}/s ({min(predicted):,.0f} to {max(predicted):,.0f}), held"
        f" {held_per_s:,.0f}/s: {said / held_per_s - 1:+.0%},"
        f" {'within' if within else 'NOT within'} {PREDICTED_WITHIN:.0%}"
    )


def text(figure: float, form: str) -> str:
    return "–" if math.isnan(figure) else format(figure, form)


def aims(found: Mapping[str, Figures]) -> Iterator[tuple[str, bool | None]]:
    """Each aim that can be judged with the peers that are there; None: not measured."""

    def judged(reached: float, aim: float) -> bool | None:
        return None if math.isnan(reached) else reached >= aim

    ours = found["gameday"]
    for name, ratio in AIMS.items():
        if name in found:
            reached = ours.rate / found[name].rate
            yield f"{reached:.2f} x {name}, aim {ratio:g}", judged(reached, ratio)
    if "hey" in found:
        reached = ours.per_core / found["hey"].per_core
        aim = AIM_HEY_PER_CORE
        yield f"{reached:.2f} x hey per core, aim {aim:g}", judged(reached, aim)
    if ours.stalled:
        usual = usual_truth(found)
        fine = [point for point in POINTS if is_near(ours, usual, point)]
        known = not math.isnan(usual["p50"])
        told = f"{len(fine)} of {len(POINTS)} percentiles of the stopped server near the truth"
        yield told, len(fine) == len(POINTS) if known else None
