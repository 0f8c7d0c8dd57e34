"""The runs of one experiment over time: verdict, clocks, latency, and what changed in between."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from gameday.judge.comparison import traffic_measures
from gameday.report.charts.trend import TrendPoint, draw_trend
from gameday.report.comparison import figure, plain_word
from gameday.report.messages import Messages
from gameday.report.past_runs import PastRun, different_inputs

SCHEMA: Final = 1
MOST_RUNS: Final = 200  # a picture of more has no room for a dot each


@dataclass(frozen=True, slots=True)
class TrendRow:
    """One run; seconds after the damage, None where it did not come to that.

    `changed` names the inputs that are others than in the run before.
    """

    run: str
    started_at: str
    verdict: str
    ended: str
    detected_s: float | None
    mitigated_s: float | None
    recovered_s: float | None
    p95_ms: float | None
    changed: Sequence[str]


def trend(runs: Sequence[PastRun], most: int = MOST_RUNS) -> list[TrendRow]:
    """The newest runs, oldest first, as they come."""
    pairs = zip([None, *runs], runs, strict=False)
    return [_row(before, each) for before, each in pairs][-most:]


def _row(before: PastRun | None, run: PastRun) -> TrendRow:
    result = run.result
    p95 = next(each for each in traffic_measures([]) if each.name == "p95")
    changed = [] if before is None else [name for name, _, _ in different_inputs(before, run)]
    return TrendRow(
        run=run.name,
        started_at=result.started_at or "",
        verdict=result.verdict,
        ended=result.ended,
        detected_s=result.clocks.detected_after_s,
        mitigated_s=result.clocks.mitigated_after_s,
        recovered_s=result.clocks.recovered_after_s,
        p95_ms=p95.read(result),
        changed=changed,
    )


def as_json(experiment: str, found: Sequence[TrendRow], left_out: int) -> object:
    """The whole as data; `left_out` is how many older runs there are."""
    rows = [asdict(each) for each in found]
    return {"schema": SCHEMA, "experiment": experiment, "older": left_out, "runs": rows}


def picture(experiment: str, found: Sequence[TrendRow], say: Messages) -> str:
    """The chart as SVG."""
    points = [
        TrendPoint(
            row.started_at[:10], row.verdict, row.detected_s, row.mitigated_s, row.recovered_s
        )
        for row in found
    ]
    return draw_trend(experiment, points, say)


def cells(row: TrendRow, say: Messages) -> Iterator[str]:
    """The cells of a table: started, run, verdict, three clocks, p95, what changed."""
    yield row.started_at[:16].replace("T", " ")
    yield row.run
    yield plain_word(row.verdict, say)
    for seconds in (row.detected_s, row.mitigated_s, row.recovered_s):
        yield figure(seconds, "s", say)
    yield figure(row.p95_ms, "ms", say)
    yield ", ".join(say.plain(f"compare.input_{name}") for name in row.changed)
