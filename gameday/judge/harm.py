"""Harm: what an incident did to those who asked, second by second, and how much could be avoided.

A start counts where it was due, from the fault on. It is *failed* (no usable answer, refused, or
dropped because the system held too many), *wrong* (a coupon that should not be, or is lost), or
*slow* (as it should be, but later than the bound). The integral over the seconds is the harm.
What the generator itself dropped, and what was open when the run ended, says nothing and counts
nowhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gameday.core.clock import NS
from gameday.core.errors import UnknownError
from gameday.evidence import wrong_answers
from gameday.evidence.attempts import Attempts, Indices, Mask
from gameday.evidence.failed import failed, says_something
from gameday.evidence.model import Evidence
from gameday.telemetry.failures import FAILED
from gameday.telemetry.latency_bounds import tightest_bound_ms
from gameday.traffic.history import Outcome

WEIGHTS: Final[Mapping[str, float]] = {"failed": 1.0, "slow": 0.25, "wrong": 10.0}
"""Harm of one start. A failed one is the unit: a person asked, got nothing, and asks again. Four
who only wait weigh as much. A wrong answer weighs ten: it cannot be asked for again, and somebody
has to find it, explain it, and pay for it."""
SLOW_MS: Final = 1000.0
"""The bound where no objective of the experiment names one: what people call slow."""
NOISE_OF_HARM: Final = 0.02
"""Share of the harm of doing nothing. Runs of one seed with the same outcome deviated by 0.4 % of
their harm (12 runs of three experiments, two busy cores; at most 0.7 % in one of them), so the
difference of two is within 2 %. A fault that comes and goes by itself differs by more, 4 % in
`redis-block`: that shows in the steps between its seconds."""
NOISE_OF_STARTS: Final = 0.005
"""Share of the starts: less harm than this is what a machine does by itself."""
SIGMAS: Final = 2.0
STEP_OF_DEVIATION: Final = 0.6745 * float(np.sqrt(2))
"""The median step between two independent normal values, in deviations."""
MOST_SECONDS: Final = 8 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmCurve:
    """Starts that were due in each second, from the fault on, and how many of them were hurt."""

    due: Sequence[int]
    failed: Sequence[int]
    slow: Sequence[int]
    wrong: Sequence[int]

    @property
    def per_s(self) -> Sequence[float]:
        """The weighted harm of each second."""
        return [
            WEIGHTS["failed"] * f + WEIGHTS["slow"] * s + WEIGHTS["wrong"] * w
            for f, s, w in zip(self.failed, self.slow, self.wrong, strict=True)
        ]

    @property
    def harm(self) -> float:
        """The integral."""
        columns = {"failed": self.failed, "slow": self.slow, "wrong": self.wrong}
        return float(sum(WEIGHTS[name] * sum(column) for name, column in columns.items()))

    def up_to(self, seconds: int) -> "HarmCurve":
        """The same, its first seconds alone."""
        return HarmCurve(
            due=self.due[:seconds],
            failed=self.failed[:seconds],
            slow=self.slow[:seconds],
            wrong=self.wrong[:seconds],
        )

    def followed_by(self, rest: "HarmCurve") -> "HarmCurve":
        """The same, and then other seconds."""
        return HarmCurve(
            due=[*self.due, *rest.due],
            failed=[*self.failed, *rest.failed],
            slow=[*self.slow, *rest.slow],
            wrong=[*self.wrong, *rest.wrong],
        )

    def since(self, first: int) -> "HarmCurve":
        """The same without the seconds before `first`."""
        return HarmCurve(
            due=self.due[first:],
            failed=self.failed[first:],
            slow=self.slow[first:],
            wrong=self.wrong[first:],
        )

    def at_rate_of(self, other: "HarmCurve") -> "HarmCurve":
        """These starts, hurt as often as those of another curve."""
        all_due = sum(other.due)

        def column(hurt: Sequence[int]) -> Sequence[int]:
            share = sum(hurt) / all_due if all_due else 0.0
            so_far = np.rint(share * np.cumsum([0, *self.due])).astype(int)
            found: list[int] = np.diff(so_far).tolist()
            return found

        failed, slow, wrong = (column(each) for each in (other.failed, other.slow, other.wrong))
        return HarmCurve(due=self.due, failed=failed, slow=slow, wrong=wrong)

    def __len__(self) -> int:
        return len(self.due)


NONE: Final = HarmCurve(due=(), failed=(), slow=(), wrong=())


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmRecord:
    """The harm from the fault on, and of the seconds before it, which tell the noise."""

    curve: HarmCurve
    before: HarmCurve
    slow_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Avoidance:
    """The harm that could be avoided, and the share of it that was; None where that is noise.

    All over the first `seconds` from the fault on: as long as all three lasted, or, where an
    all-clear ended one's own, both others.
    """

    seconds: int
    harm: float
    nothing: float
    perfect: float
    noise: float

    @property
    def avoidable(self) -> float:
        return self.nothing - self.perfect

    @property
    def share(self) -> float | None:
        """1 is as the perfect responder, 0 as nobody; it may be more, and less."""
        if self.avoidable <= self.noise:
            return None
        return (self.nothing - self.harm) / self.avoidable


def avoidance(own: HarmRecord, nothing: HarmRecord, perfect: HarmRecord) -> Avoidance:
    """Harm between that of doing nothing and that of a perfect responder."""
    all_three = (own, nothing, perfect)
    seconds = min(len(each.curve) for each in all_three)
    # What goes up and down in one's own incident is what one did: of that it is no chance.
    own_calm = replace(own, curve=NONE)
    own_harm, most, least = (each.curve.up_to(seconds).harm for each in all_three)
    return Avoidance(
        seconds=seconds,
        harm=own_harm,
        nothing=most,
        perfect=least,
        noise=max(
            NOISE_OF_HARM * most, *(noise(each, seconds) for each in (own_calm, nothing, perfect))
        ),
    )


def prolonged(
    own: HarmRecord, nothing: HarmRecord, perfect: HarmRecord, calm_from: int | None
) -> HarmRecord:
    """One's own harm for as long as the others lasted, where an all-clear has ended it.

    What would have come is as calm as it was from the second `calm_from` on; without one, as if
    nobody had done anything.
    """
    there, seconds = len(own.curve), min(len(nothing.curve), len(perfect.curve))
    if there >= seconds:
        return own
    rest = nothing.curve.up_to(seconds).since(there)
    if calm_from is not None:
        rest = rest.at_rate_of(own.curve.since(max(0, min(calm_from, there - 1))))
    return replace(own, curve=own.curve.followed_by(rest))


def noise(record: HarmRecord, seconds: int) -> float:
    """Difference of the harm of two runs that may be chance, as far as one of them tells it.

    The deviation of a second's harm, as it adds up over the seconds in the difference of two runs,
    twice; and at least `NOISE_OF_STARTS`. It is taken before the fault, and in the incident from
    the steps between seconds (their median, which neither a trend nor a single jump moves).
    """
    quiet, loud = record.before.per_s, record.curve.per_s[:seconds]
    deviation = float(np.std(quiet)) if len(quiet) > 1 else 0.0
    if len(loud) > 1:
        steps = np.abs(np.diff(loud))
        deviation = max(deviation, float(np.median(steps)) / STEP_OF_DEVIATION)
    least = NOISE_OF_STARTS * sum(record.curve.due[:seconds])
    return max(SIGMAS * deviation * float(np.sqrt(2 * seconds)), least)


def harm_of(evidence: Evidence, fault_at_s: float | None) -> HarmRecord:
    """The harm of a run. Raises UnknownError where nobody was asked, or it was not recorded."""
    asked, t0_ns = evidence.asked, evidence.t0_ns
    fault_ns = t0_ns + round((fault_at_s or 0.0) * NS)
    end_ns = evidence.traffic_end_ns
    bound_ms = tightest_bound_ms(evidence.experiment) if evidence.effective else None
    slow_ms = SLOW_MS if bound_ms is None else float(bound_ms)
    if not 0 <= (end_ns - fault_ns) // NS <= MOST_SECONDS:
        raise UnknownError("the traffic ended before the fault came")
    hurt = _hurt(evidence, asked, slow_ms)
    after = (end_ns - fault_ns) // NS
    curve = _curve(asked, hurt, fault_ns, int(after))
    before = _curve(asked, hurt, t0_ns, int((fault_ns - t0_ns) // NS))
    return HarmRecord(curve=curve, before=before, slow_ms=slow_ms)


def _hurt(evidence: Evidence, asked: Attempts, slow_ms: float) -> Mapping[str, Mask]:
    """Which starts count at all, and which are failed, slow, or wrong."""
    reason, outcome = asked.records["reason"], asked.outcomes  # a poll's word is the last
    counts = says_something(reason)
    wrong = np.zeros(len(asked), dtype=bool)
    for found in _wrong(evidence, asked):
        wrong[found] = True
    lost = failed(outcome, reason, FAILED) & ~wrong
    took_ns = asked.records["ended_ns"] - asked.records["intended_ns"]
    late = (took_ns > slow_ms * 1e6) & (asked.records["ended_ns"] > 0)
    slow = late & counts & ~lost & ~wrong & (outcome != Outcome.DROPPED)
    return {"due": counts, "failed": lost, "slow": slow, "wrong": wrong}


def _wrong(evidence: Evidence, asked: Attempts) -> Sequence[Indices]:
    """Answers that promise a coupon which should not be, or is not kept."""
    plan, audit = evidence.plan, evidence.audit
    if not plan.system.issues or plan.stock is None:
        return []
    found = [
        wrong_answers.beyond_stock(asked, evidence.issues, evidence.semantics),
        wrong_answers.issued_again(asked, evidence.semantics),
    ]
    if audit is not None and not audit.unsettled:
        found.append(wrong_answers.lost(asked, audit, evidence.semantics))
    return found


def _curve(asked: Attempts, hurt: Mapping[str, Mask], start_ns: int, seconds: int) -> HarmCurve:
    """The starts of each kind by the second in which they were due."""
    at = (asked.records["intended_ns"] - start_ns) // NS
    inside = (at >= 0) & (at < seconds)
    counted = {
        name: np.bincount(at[mask & inside], minlength=seconds).tolist()
        for name, mask in hurt.items()
    }
    return HarmCurve(**counted) if seconds else NONE
