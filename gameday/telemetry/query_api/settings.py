"""Settings of a query API: its samples, the version of Prometheus that it is like, its bounds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from gameday.core.files import MIB
from gameday.telemetry.promql import PROMETHEUS_2, PROMETHEUS_3, PromqlSemantics

PORT: Final = 9095  # where it is free; else any other


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryBounds:
    """The most that one who asks can make it do.

    `values` bounds an answer's memory: some 100 bytes each. `kept` bounds that of all samples: some
    50 bytes each, an hour of a thousand series at each second. `unread` bounds that of all answers
    that are being sent, in bytes.
    """

    timeout_s: float = 10.0
    waiting: int = 20
    points: int = 11_000
    values: int = 500_000
    kept: int = 4_000_000
    unread: int = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryApiSettings:
    """One run: its samples, and the folder of its rule files, which may not be there.

    `wall_offset_ns` is what wall time is ahead of the samples' clock. `is_over` says that nothing
    is appended any more: then who says no time means the end of the run, not now.
    """

    run: str
    samples: Path
    rules: Path
    wall_offset_ns: int
    is_over: bool = True
    prometheus: Literal["2", "3"] = "3"
    bounds: QueryBounds = field(default_factory=QueryBounds)

    @property
    def semantics(self) -> PromqlSemantics:
        """The version's rules."""
        return PROMETHEUS_2 if self.prometheus == "2" else PROMETHEUS_3

    @property
    def version(self) -> str:
        """The version that clients are told: they decide by it what to ask for."""
        return "2.42.0" if self.prometheus == "2" else "3.0.0"
