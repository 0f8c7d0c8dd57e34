"""The interface between the collector and whoever tells it how the system is doing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gameday.telemetry.promql import (
    EvaluationError,
    InstantEvaluator,
    Labels,
    SeriesStore,
    Value,
)
from gameday.telemetry.promql.nodes import Node
from gameday.telemetry.samples import AlertLine

MOST_DIFFERENT: Final = 200_000  # series of a target in a run
MOST_BYTES: Final = 128 * 1024 * 1024  # of all of them: some 600 each
_LABEL_BYTES: Final = 64  # the pair of a label, beside its texts


@dataclass(frozen=True, slots=True)
class TargetScrape:
    """The series that one target told at an instant, or the problem why there are none."""

    target: str
    series: Mapping[Labels, float]
    problem: str = ""

    @property
    def up(self) -> bool:
        return not self.problem


class DifferentSeries:
    """The count of the series that a target told of since the run began.

    The samples name each once and count on, so all of them stay in memory until the end. A target
    whose labels change with every scrape would fill it.
    """

    def __init__(self) -> None:
        self._met: set[int] = set()  # their hashes: enough to count by
        self._bytes = 0

    def refuse(self, series: Labels) -> str:
        """Why this series is one too many, "" where it may be kept."""
        known_by = hash(series)
        if known_by in self._met:
            return ""
        size = sum(len(name) + len(value) + _LABEL_BYTES for name, value in series)
        if len(self._met) >= MOST_DIFFERENT or self._bytes + size > MOST_BYTES:
            return f"more than {len(self._met)} different series since the run began"
        self._met.add(known_by)
        self._bytes += size
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswers:
    """Everything a source told at one instant.

    `values` holds what another evaluator made of (sub-)expressions, by their text: a value, or why
    there is none. `alerts` are those of another evaluator; None: our rules are evaluated. With
    `alerts_problem` nobody knows which alerts there are. `problems` are told beside.
    `sampled_ns` is the instant after which every sample of it was taken.
    """

    targets: Sequence[TargetScrape]
    values: Mapping[str, Value | str] = field(default_factory=dict)
    alerts: Sequence[AlertLine] | None = None
    alerts_problem: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    sampled_ns: int


class Source(Protocol):
    """One way to know how the system is doing."""

    async def ask(self, t_ns: int) -> SourceAnswers:
        """Everything about the instant `t_ns`, in bounded time. Never raises."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class AnsweredInstant(InstantEvaluator):
    """One instant of which parts were evaluated elsewhere; the rest is made of our own series."""

    def __init__(self, store: SeriesStore, t_ns: int, values: Mapping[str, Value | str]) -> None:
        super().__init__(store, t_ns)
        self._values = values

    def value(self, node: Node) -> Value:
        given = self._values.get(node.text)
        if isinstance(given, str):
            raise EvaluationError(given, node.text)
        return super().value(node) if given is None else given
