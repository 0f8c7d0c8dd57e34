"""Runs beside each other: `gameday compare RUN RUN`, and `gameday trend EXPERIMENT` over time."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from gameday.cli.drawing import SafeConsole, styled, table
from gameday.cli.find_run import find_run, list_runs
from gameday.cli.options import runs_option
from gameday.cli.terminal import block, echo, emit, one_line
from gameday.cli.words import spoken
from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.files.private import as_asked

if TYPE_CHECKING:
    from rich.text import Text

    from gameday.report.comparison import Row
    from gameday.report.messages import Messages
    from gameday.report.past_runs import PastRun, PastRuns
    from gameday.report.trend import TrendRow

COLOURS = {"better": "green", "worse": "red", "differs": "cyan", "unknown": "yellow"}
VERDICTS = {"passed": "green", "failed": "red", "unknown": "yellow"}
FIGURES = {"detected", "mitigated", "recovered", "p95"}
BAR = 6  # columns of a bar: the table must fit into 80
_FOLDER = "trends"


@click.command()
@click.argument("before")
@click.argument("after")
@runs_option
@click.option("--all", "every", is_flag=True, help="Show the lines that do not differ, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare(before: str, after: str, runs_dir: Path, *, every: bool, as_json: bool) -> None:
    """Compare two runs of one experiment: BEFORE and AFTER.

    Each is a path, a run's name, its last 4 characters, or `last`. A difference counts only when
    it is larger than what earlier runs with the same inputs differ by. Exit code 0, whatever is
    found; 2 for runs of two experiments, 3 for one that cannot be read.
    """
    from gameday.report.comparison import closing, compare_runs, opening, rows
    from gameday.report.messages import Messages
    from gameday.report.past_runs import read_past_run, read_past_runs

    first, second = (read_past_run(find_run(ref, runs_dir)) for ref in (before, after))
    _one_experiment(first, second)
    compared = compare_runs(first, second, read_past_runs(list_runs(runs_dir)).runs)
    if as_json:
        emit(json.dumps(compared.as_json(), indent=1) + "\n")
        return
    say, console = Messages(spoken()), SafeConsole()
    for line in opening(compared, say):
        console.print(block(line))
    console.print()
    console.print(_compared_table(list(rows(compared, say, every=every)), say))
    console.print()
    for line in closing(compared, say, every=every):
        console.print(block(line))


def _one_experiment(before: "PastRun", after: "PastRun") -> None:
    """Raise UsageError for two that cannot be held against each other."""
    if before.experiment != after.experiment:
        raise UsageError(
            f"{before.name} is a run of {before.experiment!r}, "
            f"{after.name} one of {after.experiment!r}: only runs of one experiment "
            "can be compared",
            help=f"gameday trend {after.experiment} lists those that fit",
        )
    if (before.mode == "run") != (after.mode == "run"):
        drill = after if before.mode == "run" else before
        raise UsageError(
            f"{drill.name} is a drill ({drill.mode}), in which people practise, the other is a run",
            help=f"gameday trend {after.experiment} lists runs; gameday drill score is for drills",
        )
    if before.dir.resolve() == after.dir.resolve():
        raise UsageError(f"{before.name} twice: a run does not differ from itself")


def _compared_table(found: "Sequence[Row]", say: "Messages") -> Table:
    told = table()
    for head in ("what", "before", "after", "change", "meaning"):
        justify = "right" if head in {"before", "after", "change"} else "left"
        told.add_column(say.plain(f"compare.column_{head}"), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in found:
        numbers = [one_line(each) for each in (row.before, row.after, row.change)]
        meaning = styled(row.meaning, COLOURS.get(row.tone, ""))
        told.add_row(one_line(row.what), *numbers, meaning)
    return told


@click.command()
@click.argument("experiment")
@runs_option
@click.option(
    "--last",
    "most",
    type=click.IntRange(1, 200),
    default=30,
    show_default=True,
    help="Show so many of the newest runs.",
)
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the picture; else trends/EXPERIMENT.svg in the folder of the runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; a picture only with --svg.")
def trend(experiment: str, runs_dir: Path, most: int, svg: Path | None, *, as_json: bool) -> None:
    """Show all runs of EXPERIMENT over time: verdict, detected, mitigated, recovered.

    As a table, and as a picture in a file. Drills are left out: people practise in them.
    """
    from gameday.report import trend as trends
    from gameday.report.messages import Messages
    from gameday.report.past_runs import read_past_runs

    say, found = Messages(spoken()), read_past_runs(list_runs(runs_dir))
    runs = found.of(experiment)
    if not runs:
        raise _no_runs(experiment, found, runs_dir)
    rows = trends.trend(runs, most)
    path = svg
    if path is None and not as_json:
        path = _default_picture(runs_dir, experiment)
    if path is not None:
        _write_picture(path, trends.picture(experiment, rows, say))
    if as_json:
        emit(json.dumps(trends.as_json(experiment, rows, len(runs) - len(rows)), indent=1) + "\n")
        return
    _show_trend(rows, len(runs) - len(rows), say)
    for run, why in found.left_out.items():
        if experiment in run:
            echo(say.plain("trend.left_out", run=one_line(run), why=why), err=True)
    echo(say.plain("trend.written", path=str(path)))


def _no_runs(experiment: str, found: "PastRuns", runs_dir: Path) -> UsageError:
    names = sorted({run.experiment for run in found.runs if run.mode == "run"})
    near = difflib.get_close_matches(experiment, names, n=1)
    if near:
        cure = f"did you mean {near[0]!r}?"
    elif names:
        cure = f"there are runs of {', '.join(names[:8])}"
    else:
        cure = "gameday run makes one"
    return UsageError(f"no judged run of {experiment!r} in {runs_dir}", help=cure)


def _default_picture(runs_dir: Path, experiment: str) -> Path:
    """`trends/EXPERIMENT.svg` below the runs; a name that is no plain file name has no path."""
    if Path(experiment).name != experiment or experiment.startswith("."):
        raise UsageError(f"{experiment!r} is no name of a file", help="give one: --svg FILE")
    return runs_dir / _FOLDER / f"{experiment}.svg"


def _write_picture(path: Path, svg: str) -> None:
    """Raises UsageError where it cannot be written."""
    try:
        with as_asked():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, [svg.encode()])
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", help="name another file: --svg FILE"
        ) from error


def _show_trend(rows: "Sequence[TrendRow]", older: int, say: "Messages") -> None:
    """A line a run; the bar is the time until it had recovered, for the eye."""
    from gameday.report.trend import cells

    console = SafeConsole()
    told = table()
    for head in ("started", "run", "verdict", "detected", "mitigated", "recovered", "p95"):
        justify = "right" if head in FIGURES else "left"
        label = say.plain(f"trend.column_{head}")
        told.add_column(label, justify=justify, no_wrap=head in {"started", "run"})  # type: ignore[arg-type]
    told.add_column("", no_wrap=True)
    highest = max((row.recovered_s for row in rows if row.recovered_s is not None), default=0.0)
    plain = not console.is_terminal or console.options.ascii_only
    notes = []
    for row in rows:
        started, run, verdict, *figures, changed = cells(row, say)
        bar = _bar(row.recovered_s, highest, "#" if plain else "█")
        run = run[-4:] if len(run) > 4 and run[:1].isdigit() else run
        told.add_row(
            started, one_line(run), styled(verdict, VERDICTS.get(row.verdict, "")), *figures, bar
        )
        if changed:
            notes.append((run, changed))
    if older:
        console.print(block(say.plain("trend.oldest_left_out", count=str(older))))
    console.print(told)
    for run, changed in notes:
        head = say.plain("trend.column_changed")
        console.print(styled(f"{one_line(run)}: {head}: {changed}", "dim"))


def _bar(value: float | None, highest: float, block_: str) -> "Text":
    if value is None or highest <= 0:
        return styled("")
    return styled(block_ * max(1, round(value / highest * BAR)), "blue")
