"""Looking back at a drill: `gameday drill score`, `baselines` and `forget`.

RUN is a path, a run's name, its last 4 characters, or `last`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.drawing import SafeConsole, joined, styled, table
from gameday.cli.find_run import RESULT, find_run, list_runs, run_argument
from gameday.cli.options import runs_option
from gameday.cli.terminal import confirm, echo, emit, one_line
from gameday.cli.words import say, spoken
from gameday.core.errors import UnknownError, UsageError

if TYPE_CHECKING:
    from gameday.judge.score import Score

_COLOURS = {"known": "", "never": "yellow", "unknown": "dim"}
REMAINS = (
    "what remains: the lines of journal.jsonl (signed and chained), copies of the folder, and "
    "drafts that somebody edited; --delete deletes the runs with all of that"
)


@click.command("score")
@run_argument
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print the score as JSON.")
@click.option("--anonymous", is_flag=True, help="Number people instead of naming them.")
def score_(ref: str, runs_dir: Path, *, as_json: bool, anonymous: bool) -> None:
    """Score the response of RUN, from its evidence alone.

    The score is the share of the avoidable harm that was avoided, less what hints cost. It is
    never compared between scenarios. Without baselines in the run directory they are simulated.
    """
    from gameday.drills.baselines import of_run
    from gameday.evidence.read import read
    from gameday.injection.heal import is_under_way
    from gameday.judge.course import course_of
    from gameday.judge.score import score

    run_dir = find_run(ref, runs_dir)
    if is_under_way(run_dir):
        raise UsageError(f"run {run_dir.name} is under way", help="it is scored when it is over")
    evidence = read(run_dir)
    course = course_of(evidence)
    found = score(course, of_run(run_dir, evidence, course))
    found = found.anonymous() if anonymous else found
    if as_json:
        emit(found.to_bytes().decode())
    else:
        _show(found)


def _show(found: "Score") -> None:
    """Print the score, and its parts beside it."""
    from gameday.report.messages import Messages

    of_result, console = Messages(spoken()), SafeConsole()
    head = of_result.word(found.status) if found.score is None else f"{found.score:.2f}"
    of = f"{one_line(found.scenario)}, {of_result.word(found.mode)}: "
    console.print(joined(of, styled(head, "bold")))
    console.print(of_result.line(found.message, found.summary))
    told = table(header=False)
    for part in found.parts:
        refs = " ".join(part.refs)
        title, seen = (
            of_result.plain(f"score.{part.name}.title"),
            of_result.line(part.message, part.summary),
        )
        told.add_row(title, styled(seen, _COLOURS[part.status]), styled(refs, "dim"))
    console.print(told)
    for name, line in found.harm.items():
        counts = {each: str(getattr(line, each)) for each in ("failed", "slow", "wrong", "due")}
        how, harm = line.how or line.made, f"{line.harm:,.1f}"
        console.print(say(f"harm_{name}", harm=harm, how=how, **counts))
    if found.slow_ms is not None:
        weights = {name: f"{weight:g}" for name, weight in found.weights.items()}
        slow_ms = f"{found.slow_ms:g}"
        console.print(say("harm_weights", slow_ms=slow_ms, **weights))
    for person in found.people:
        console.print(one_line(f"{person.who}{': ' if person.role else ''}{person.role}"))


@click.command("baselines")
@run_argument
@runs_option
def baselines_(ref: str, runs_dir: Path) -> None:
    """Measure what doing nothing, and a perfect response, would have cost in RUN.

    Its plan is run twice, with the same seed: with nobody, and with a bot without delay. Both
    harms are copied into the run directory, and the score counts from them.
    """
    from gameday.drills import baselines as of_drill
    from gameday.judge.baselines import KINDS

    run_dir = find_run(ref, runs_dir).absolute()
    with tempfile.TemporaryDirectory(prefix="gameday-baselines-") as name:
        folder = Path(name)
        effective = of_drill.write_plan(run_dir, folder)
        for kind in KINDS:
            echo(f"measuring {kind} …", err=True)
            arguments = of_drill.arguments(run_dir, folder, effective, kind)
            before = set(list_runs(folder))
            ended = subprocess.run(
                [sys.executable, "-m", "gameday", *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            made = [path for path in list_runs(folder) if path not in before]
            if not made:
                last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise UnknownError(f"{kind} could not be run: {last}")
            measured = of_drill.take_over(run_dir, made[0], kind)
            echo(f"{kind}: harm {measured.harm.curve.harm:,.1f} ({measured.how})")


@click.command()
@click.argument("person")
@runs_option
@click.option("--delete", is_flag=True, help="Delete the runs in which PERSON took part.")
@click.option("--yes", is_flag=True, help="Do not ask before anything is deleted.")
def forget(person: str, runs_dir: Path, *, delete: bool, yes: bool) -> None:
    """Show PERSON's name no more, in all runs so far.

    Journals are signed and chained, so the name stays in their files, but nothing shows it.
    """
    found = [path for path in list_runs(runs_dir) if _names(path, person)]
    if not found:
        raise UsageError(f"{runs_dir}: nobody is called {person!r} in a run", help="as in --by")
    for run_dir in found:
        _must_be_over(run_dir)
    if delete:
        _delete(found, yes=yes)
        return
    for run_dir in found:
        _forget_in(run_dir, person)
        echo(f"{run_dir}: the name is not shown any more")
    echo(REMAINS)


def _names(run_dir: Path, person: str) -> bool:
    """True if somebody of that name stands in the run's journal as it is shown now."""
    from gameday.evidence import journal
    from gameday.evidence.forgotten import Forgotten, hidden

    try:
        records = journal.read(run_dir / "journal.jsonl").records
        sought = Forgotten("").with_name(person)
    except OSError:
        return False
    except ValueError as error:
        raise UsageError(str(error)) from error
    return any(hidden(data, sought.hide) != data for data in (dict(r.data) for r in records))


def _must_be_over(run_dir: Path) -> None:
    """Raises UsageError for a run that is under way, or may have left a fault behind."""
    from gameday.evidence.read import read
    from gameday.injection.heal import is_under_way

    if is_under_way(run_dir):
        raise UsageError(f"run {run_dir.name} is under way", help="gameday stop ends it")
    if any(fault.left_behind for fault in read(run_dir).timeline.faults):
        raise UsageError(
            f"run {run_dir.name} may have left a fault", help=f"gameday heal {run_dir}"
        )


def _forget_in(run_dir: Path, person: str) -> None:
    """Hide the name in what the journal tells, and take it out of what was written from it."""
    import json

    from gameday.core import files
    from gameday.evidence.forgotten import forget as forget_in
    from gameday.report import write_report
    from gameday.report.postmortem import unedited

    forgotten = forget_in(run_dir, person)
    result = run_dir / RESULT
    if not result.is_file():
        return
    content = json.loads(files.read_bytes(result, 64 * files.MIB))
    text = json.dumps(_everywhere(content, forgotten.hide), indent=1, ensure_ascii=False)
    files.replace(result, [text.encode("utf-8", "backslashreplace") + b"\n"])
    drafts = [path for path in sorted(run_dir.glob("postmortem*.md")) if unedited(path)]
    for path in drafts:
        path.unlink()
    if drafts:
        write_report(run_dir)


def _everywhere(value: Any, hide: Any) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {key: _everywhere(each, hide) for key, each in value.items()}
    return [_everywhere(each, hide) for each in value] if isinstance(value, list) else value


def _delete(found: list[Path], *, yes: bool) -> None:
    """Delete runs whole, once that is meant."""
    import shutil

    for run_dir in found:
        echo(str(run_dir))
    if not yes:
        confirm(f"delete these {len(found)} runs?")
    for run_dir in found:
        shutil.rmtree(run_dir)
    echo(f"{len(found)} runs are deleted; copies of them elsewhere are not")
