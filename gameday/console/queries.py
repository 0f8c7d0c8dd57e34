"""The query box: PromQL over the samples of the session, at one instant or over a range.

Somebody types in it what comes to mind, so everything has a bound: the text, the instants, the
series that are told, and the time. Between two instants the feed is read on, so that no page waits
for a query. What PromQL says is wrong is told as it says it.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError
from gameday.telemetry.promql import InstantEvaluator, Query, SeriesStore, parse, show

MOST_TEXT: Final = 2000
MOST_POINTS: Final = 240
MOST_SERIES: Final = 50
LONGEST_RANGE_S: Final = 3600.0
LONGEST_S: Final = 3.0  # of evaluating


@dataclass(frozen=True, slots=True)
class SeriesTold:
    """One series of an answer: its labels as PromQL writes them, and a value for each instant."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The answer: instants in seconds, series over them, and what was left out or went wrong."""

    times: Sequence[float] = ()
    series: Sequence[SeriesTold] = ()
    left_out: int = 0
    cut_short: bool = False
    problem: str = ""
    help: str = ""


async def answer(
    text: str,
    store: SeriesStore,
    *,
    at_ns: int,
    began_ns: int,
    range_s: float,
    clock: Clock,
    reading: asyncio.Lock,
) -> QueryAnswer:
    """The value at an instant, or over `range_s` before it.

    `reading` is held for one instant after the other: whoever waits for it meanwhile comes first.
    """
    if len(text) > MOST_TEXT:
        return QueryAnswer(problem=f"more than {MOST_TEXT} characters")
    try:
        query = parse(text)
        instants = _instants(at_ns, range_s)
        found = await _evaluate(query, store, instants, clock, reading)
        return _as_answer(found, instants, began_ns)
    except GamedayError as error:
        return QueryAnswer(problem=error.message, help=error.help or "")
    except RecursionError:
        return QueryAnswer(problem="it is nested too deep")


def _instants(at_ns: int, range_s: float) -> list[int]:
    if not 0 < range_s <= LONGEST_RANGE_S:
        return [at_ns]
    step_ns = max(NS, math.ceil(range_s / (MOST_POINTS - 1)) * NS)
    count = int(range_s * NS) // step_ns
    return [at_ns - n * step_ns for n in range(count, -1, -1)]


async def _evaluate(
    query: Query,
    store: SeriesStore,
    instants: Sequence[int],
    clock: Clock,
    reading: asyncio.Lock,
) -> Mapping[int, Sequence[tuple[str, float]]]:
    """The names and numbers at each instant, as far as there is time."""
    deadline_ns = clock.now_ns() + int(LONGEST_S * NS)
    found: dict[int, Sequence[tuple[str, float]]] = {}
    for t_ns in instants:
        if clock.now_ns() > deadline_ns:
            break
        async with reading:
            found[t_ns] = await asyncio.to_thread(_numbers, query, store, t_ns)
    return found


def _as_answer(
    numbers: Mapping[int, Sequence[tuple[str, float]]], instants: Sequence[int], began_ns: int
) -> QueryAnswer:
    found: dict[str, dict[int, float]] = {}
    for t_ns, each in numbers.items():
        for name, number in each:
            found.setdefault(name, {})[t_ns] = number
    seen = list(numbers)
    names = list(found)[:MOST_SERIES]
    return QueryAnswer(
        times=[round((t_ns - began_ns) / NS, 3) for t_ns in seen],
        series=[
            SeriesTold(name[:400], [_finite(found[name].get(t_ns)) for t_ns in seen])
            for name in names
        ],
        left_out=len(found) - len(names),
        cut_short=len(seen) < len(instants),
    )


def _numbers(query: Query, store: SeriesStore, t_ns: int) -> Sequence[tuple[str, float]]:
    value = InstantEvaluator(store, t_ns).value(query.node)
    if not isinstance(value, dict):
        return [("", value)]
    return [(show(labels) or "{}", number) for labels, number in value.items()]


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
