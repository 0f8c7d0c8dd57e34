"""A scenario, whatever k6's executor: when it begins, who asks, and how often again.

A scenario is made once, from the experiment's model (`scenario_json`), and stays what it is: the
worker sends by it, the head of its history carries it, and the judge asks it again. Its executor
is its class: `ArrivalRate`, `RampingRate` or `VirtualUsers`.

Numpy is imported where due times are asked for: counts need none, and a file that is refused is
not to wait for it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gameday.traffic.schedule.arrival_rate import RateLine

    Instants = npt.NDArray[np.int64]

# A history numbers its starts in 32 bits (history.RECORD, "k").
MOST_STARTS: Final = 2**32 - 1
# k6's default of gracefulStop and gracefulRampDown.
GRACEFUL_NS: Final = 30_000_000_000


@dataclass(frozen=True, slots=True)
class Population:
    """The users who ask; the figures are those of its kind (`users` says what each means)."""

    kind: Literal["uniform", "once", "zipf", "bots", "same"] = "uniform"
    zipf: float = 1.0
    bots: int = 1
    share: float = 1.0
    same: int = 1

    @classmethod
    def from_json(cls, value: object) -> "Population":
        """As an experiment file writes it; nothing is `uniform`. Raises ValueError."""
        match value:
            case None | "uniform":
                return cls()
            case "once":
                return cls("once")
            case {"zipf": exponent}:
                return cls("zipf", zipf=float(exponent))
            case {"bots": bots, "share": share}:
                return cls("bots", bots=int(bots), share=float(share))
            case {"same": count}:
                return cls("same", same=int(count))
            case _:
                raise ValueError(f"unknown population {value!r}")

    def to_json(self) -> object:
        """The other way round."""
        figures = {"zipf": ("zipf",), "bots": ("bots", "share"), "same": ("same",)}
        named = figures.get(self.kind, ())
        return {name: getattr(self, name) for name in named} or self.kind


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The retries of a start that got no answer in time, and the wait before each."""

    at_most: int = 0
    backoff_ns: int = 0

    @property
    def backoff_s(self) -> float:
        return self.backoff_ns / 1e9


@dataclass(frozen=True, slots=True)
class VuLimit:
    """The virtual users of an arrival-rate scenario: `first` at once, never more than `most`."""

    first: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Scenario(ABC):
    """The people who ask, and when. Instants are nanoseconds from t = 0 of the run.

    `limit` is of scenarios by rate: without one they have as many virtual users as it takes.
    """

    start_ns: int = 0
    graceful_stop_ns: int = GRACEFUL_NS
    sleep_ns: int = 0
    population: Population = Population()
    retries: RetryPolicy = RetryPolicy()
    limit: VuLimit | None = None

    def check(self) -> None:
        """Raise ValueError for a rate or a number of starts that nobody could keep."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of starts; MOST_STARTS when nobody can say beforehand."""

    @property
    @abstractmethod
    def end_s(self) -> float:
        """The end of the scenario, in seconds from t = 0."""

    @property
    def lines(self) -> "tuple[RateLine, ...]":
        """The straight lines of its rate, in order; none where virtual users ask, or for ever."""
        return ()

    @property
    def is_planned(self) -> bool:
        """True if its starts are known beforehand, and none may be missing."""
        return True

    @property
    def at_once(self) -> int:
        """The number of starts due at the same instant, whatever the rate."""
        return 1

    @property
    def most_vus(self) -> int:
        """The highest number of its virtual users; 0 where nothing limits them."""
        return 0 if self.limit is None else self.limit.most

    @property
    def sleep_s(self) -> float:
        return self.sleep_ns / 1e9

    @property
    def ceiling_per_s(self) -> float | None:
        """The most starts a second that the VU limit allows a system that answers at once.

        None where there is no limit, or no sleep, so that it depends on the system alone.
        """
        return self.limit.most / self.sleep_s if self.limit and self.sleep_ns else None

    @abstractmethod
    def due_ns(self, ks: "Instants") -> "Instants":
        """The due times of the starts `ks`."""

    def highest_rate(self, _from_s: float, _to_s: float) -> float:
        """The highest rate anywhere between the two, per second."""
        return 0.0
