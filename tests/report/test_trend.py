"""The picture of a trend, and what stands in its rows, for whatever clocks and words there are."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from gameday.report.charts.trend import TrendPoint, draw_trend
from gameday.report.messages import Messages
from gameday.report.past_runs import different_inputs, read_past_runs, repeats_of
from gameday.report.trend import trend
from tests.support.past_runs import name_of, past_run

clocks = st.none() | st.floats() | st.floats(0, 100)
points = st.builds(TrendPoint, st.text(max_size=30), st.sampled_from(["passed", "failed", "<"]),
                   clocks, clocks, clocks)  # fmt: skip


@given(st.text(max_size=80), st.lists(points, max_size=12))
def test_any_runs_make_a_drawing_that_any_viewer_reads(name: str, found: list[TrendPoint]) -> None:
    svg = ElementTree.fromstring(draw_trend(name, found, Messages()))
    numbers = [float(each.get(key, "0")) for each in svg.iter() for key in ("cx", "cy", "x", "y")]
    assert all(math.isfinite(number) and -1 <= number <= 900 for number in numbers)
    drawn = sum(each.tag.endswith("circle") for each in svg.iter()) - 3
    asked = [s for point in found for s in (point.detected_s, point.mitigated_s, point.recovered_s)]
    assert drawn == sum(s is not None and math.isfinite(s) for s in asked)


def test_a_run_without_a_clock_leaves_a_gap_in_the_line() -> None:
    seconds = [5.0, 6.0, None, 7.0, 5.0]
    found = [TrendPoint("2026-11-01", "passed", None, None, s) for s in seconds]
    paths = re.findall(r'<path d="([^"]+)"', draw_trend("redis-slow", found, Messages()))
    assert [path.count("M") for path in paths] == [2]


def test_rows_are_oldest_first_and_tell_what_changed(tmp_path: Path) -> None:
    for number, seed in enumerate((7, 7, 8)):
        past_run(tmp_path, number, seed=seed)
    past_run(tmp_path, 3, experiment="db-slow")
    rows = trend(read_past_runs(tmp_path.iterdir()).of("redis-slow"))
    assert [row.run for row in rows] == [name_of(number) for number in range(3)]
    assert [list(row.changed) for row in rows] == [[], [], ["seed"]]


def test_repeats_are_earlier_whole_runs_of_the_same_inputs(tmp_path: Path) -> None:
    def end_as(ended: str) -> Callable[[dict[str, Any]], None]:
        return lambda result: result.update(ended=ended)

    for number in range(6):
        past_run(
            tmp_path,
            number,
            seed=8 if number == 1 else 7,
            change=end_as("operator" if number == 2 else "completed"),
        )
    runs = read_past_runs(tmp_path.iterdir()).runs
    (group,) = repeats_of(runs[3], runs[4], runs)
    assert [each.name for each in group] == [name_of(0)]  # 1: other seed, 2: cut, 5: later
    assert different_inputs(runs[0], runs[1]) == [("seed", "7", "8")]
    groups = repeats_of(runs[1], runs[4], runs)
    assert [[each.name for each in group] for group in groups] == [[], [name_of(0), name_of(3)]]
