"""Looking back: `gameday runs`, `gameday check RUN`.

Checking never rewrites
what a run concluded: it judges the evidence again, and shows any difference. A run whose journal
has no end and whose controller is gone was interrupted; one whose controller lives is under way.
"""

import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.text import Text

from gameday.cli.drawing import SafeConsole, joined, styled, table
from gameday.cli.find_run import RESULT, find_run, list_days, list_runs, run_argument
from gameday.cli.options import AgeType, lang_option, runs_option
from gameday.cli.terminal import block, echo, emit, one_line
from gameday.cli.words import line, say, word
from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.json_objects import read_object

if TYPE_CHECKING:
    from gameday.judge.result import Clocks, LimitLine, Result

LARGEST_BYTES = 64 * files.MIB  # a result has some 100 KB; bounds memory
UNDER_WAY = "under way"
COLOURS = {
    "passed": "green",
    "valid": "green",
    "failed": "red",
    "invalid": "red",
    "unknown": "yellow",
    "under way": "cyan",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of `gameday runs`."""

    run: str
    experiment: str
    verdict: str
    ended: str
    when: str


@click.group(invoke_without_command=True)
@lang_option
@runs_option
@click.option("--days", "only_days", is_flag=True, help="List the game days alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def runs(ctx: click.Context, runs_dir: Path, *, only_days: bool, as_json: bool) -> None:
    """List the runs so far, newest first, and the game days; `runs prune` removes old ones."""
    from gameday.cli.days import as_json as days_as_json
    from gameday.cli.days import print_days
    from gameday.run.hold import current

    if ctx.invoked_subcommand is not None:
        if as_json or ctx.get_parameter_source("runs_dir") is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"options stand before {ctx.invoked_subcommand!r}, and would not count for it",
                help=f"write them behind it: gameday runs {ctx.invoked_subcommand} …",
            )
        return

    if (found := current()) is not None:
        echo(f"no run may begin: {found}", err=True)
        echo("  help: gameday release lifts it", err=True)
    days = list_days(runs_dir)
    if only_days:
        if as_json:
            emit(json.dumps(days_as_json(days), indent=1) + "\n")
        else:
            print_days(days) if days else echo(say("no_days", runs=runs_dir))
        return
    lines = [_listed(path) for path in list_runs(runs_dir)]
    if as_json:
        emit(json.dumps([asdict(each) for each in lines], indent=1) + "\n")
        return
    _print_runs(lines) if lines else echo(say("no_runs", runs=runs_dir))
    if days:
        echo()
        print_days(days)


def _print_runs(lines: Sequence[Listed]) -> None:
    told = table()
    for name in ("run", "experiment", "verdict", "ended", "when"):
        told.add_column(say(f"col_{name}"), no_wrap=name == "run")
    for each in lines:
        names = one_line(each.run), one_line(each.experiment)
        told.add_row(*names, _coloured(each.verdict), word(each.ended), each.when)
    SafeConsole().print(told)


@runs.command()
@runs_option
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="So many of the newest runs stay.",
)
@click.option(
    "--older-than",
    "older_than",
    type=AgeType(),
    default="90d",
    show_default=True,
    help="Runs up to this age stay.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; it needs --yes or --dry-run.")
def prune(runs_dir: Path, **options: Any) -> None:
    """Remove old runs, and none that somebody may still need.

    A run goes when it is older than --older-than and not one of the --keep newest. It stays while
    it may have left faults behind, its postmortem was edited or has open action items, it is under
    way, it is a drill without its debrief, a drill is scored by it, or the report of a game day
    that stays names it. A game day goes with its runs, when none of them stays. Asks once.
    """
    from gameday.cli.prune import PruneOptions, prune_runs

    prune_runs(list_runs(runs_dir), PruneOptions(runs_dir=runs_dir, **options))


def _listed(run_dir: Path) -> Listed:
    """The line of the list for one run: its verdict, or why there is none."""
    result = _concluded(run_dir)
    if result is None:
        stamp, _, rest = run_dir.name.partition("-")
        verdict, ended = _unconcluded(run_dir)
        return Listed(run_dir.name, rest.rpartition("-")[0], verdict, ended, stamp)
    when = result.started_at[:16].replace("T", " ")
    return Listed(run_dir.name, result.experiment, result.verdict, result.ended, when)


def _unconcluded(run_dir: Path) -> tuple[str, str]:
    """The words in place of a verdict for a run without a result, and how the run ended."""
    from gameday.evidence import journal
    from gameday.evidence.events import RunEnded
    from gameday.injection.heal import controller_lives

    try:
        read = journal.read(run_dir / "journal.jsonl")
    except OSError as error:
        return "not judged", f"its journal cannot be read: {error.strerror}"
    if controller_lives(read.records):
        return UNDER_WAY, ""
    end = journal.first(read.records, RunEnded)
    unknown = f"its journal: {read.damage}" if read.damage and not read.records else "interrupted"
    return "not judged", end.event.ended if end else unknown


@dataclass(frozen=True, slots=True)
class _Concluded:
    """What the list says of a result."""

    experiment: str = ""
    verdict: str = ""
    ended: str = ""
    started_at: str = ""


def _concluded(run_dir: Path) -> _Concluded | None:
    try:
        return read_object(
            _Concluded, json.loads(files.read_bytes(run_dir / RESULT, LARGEST_BYTES))
        )
    except (OSError, ValueError, RecursionError):
        return None


def _coloured(verdict: str) -> Text:
    return styled(word(verdict), COLOURS.get(verdict, ""))


@click.command()
@lang_option
@run_argument
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead.")
def check(ref: str, runs_dir: Path, *, as_json: bool) -> None:
    """Judge RUN again, from its evidence alone, and exit with the code that follows.

    RUN is a path, a run's name, its last 4 characters, or `last` (the default).
    """
    from gameday.evidence.read import read as read_evidence
    from gameday.injection.heal import is_under_way
    from gameday.judge.judge import judge

    run_dir = find_run(ref, runs_dir)
    if is_under_way(run_dir):
        echo(f"run {run_dir.name} is under way: this is what can be said so far", err=True)
    evidence = read_evidence(run_dir)
    result = judge(evidence)
    if as_json:
        emit(result.to_bytes().decode())
    else:
        show_result(result, why=evidence.timeline.ended_why)
    _compare(run_dir / RESULT, result)
    sys.exit(result.exit_code)


def show_result(result: "Result", console: SafeConsole | None = None, *, why: str = "") -> None:
    """Print the verdict, a line per check, and how long the damage lasted.

    `why` is the reason of a run that ended before its time.
    """
    console = console or SafeConsole()
    verdict = _coloured(result.verdict)
    verdict.stylize("bold")
    ended = say("verdict", ended=result.ended, code=result.exit_code)
    console.print(joined(f"{one_line(result.run)}: ", verdict, ended))
    if why and result.ended != "completed":
        console.print(block(say("ended_why", why=one_line(why))))
    if result.traffic is None and all(c.verdict == "unknown" for c in result.checks):
        console.print(say("nothing_asked"))
        return
    told = table(header=False)
    for one in result.checks:
        told.add_row(_coloured(one.verdict), one.name, line(one.message, one.summary))
    for other in result.not_applicable:
        lacks = line(other.message, other.lacks)
        words = ("-", other.name, say("not_applicable", lacks=lacks))
        told.add_row(*(styled(each, "dim") for each in words))
    console.print(told)
    _show_gaps(result, console)
    if closed := result.traffic and result.traffic.closed:
        console.print(_closed_model(closed))
    if limit := result.traffic and result.traffic.limit:
        console.print(_own_limit(limit))
    if result.clocks.damage_at is not None:
        console.print(_clocks(result.clocks))


def _show_gaps(result: "Result", console: SafeConsole) -> None:
    """Print what the verdict does not speak of, what is missing, and what nobody could read."""
    if result.issuance_unchecked:
        console.print(styled(say("no_issuance"), "bold yellow"))
    for each in result.missing:
        console.print(block(say("missing", part=each.part, why=line(each.message, each.why))))
    for unclear in _answers(result):
        console.print(block(unclear))


_MOST_STATUSES = 3  # all of them are in the draft


def _answers(result: "Result") -> Iterator[str]:
    """Lines about answers that no outcome describes, and values that were in no answer."""
    told = result.traffic.answers if result.traffic else None
    if told is None:
        return
    for each in told.unmatched[:_MOST_STATUSES]:
        said = [one for one in each.said if one] or [say("empty_answer")]
        yield say("unmatched", n=each.answers, status=each.status, said=" | ".join(said))
    if told.unmatched:
        yield say("unmatched_cure")
    for one in told.not_captured:
        yield say("not_captured", capture=one.capture, path=one.path, n=one.answers)


def _own_limit(limit: "LimitLine") -> str:
    """From which rate on the system did not carry its traffic, or up to which it did."""
    from gameday.traffic.metrics.system_limit import nothing_came

    if limit.reached and nothing_came(limit.message, limit.carried_per_s):
        return say("limit_untold")
    carried = say("limit_carried", per_s=f"{limit.carried_per_s:,.0f}")
    if limit.p95_ms is not None:
        per_s = f"{limit.carried_per_s:,.0f}"
        carried = say("limit_carried_p95", per_s=per_s, p95_ms=limit.p95_ms)
    if not limit.reached:
        lost_s = limit.not_carried_s
        kind = "limit_lost" if lost_s else "limit_not_reached"
        return say(kind, carried=carried, lost_s=lost_s)
    why = line(limit.message, limit.why)
    kind = "limit_reached" if limit.carried_per_s else "limit_lowest"
    return say(kind, per_s=f"{limit.per_s:,.0f}", why=why, carried=carried)


def _closed_model(names: Sequence[str]) -> str:
    """A note on the figures of scenarios of virtual users: latency has no due time there."""
    return say("closed_model", names=", ".join(names))


def _clocks(clocks: "Clocks") -> str:
    """When the damage began, and how long each thing took from there."""
    told = [say("damage", at_s=clocks.damage_at)]
    for clock, kind in _CLOCKS.items():
        after_s = clocks.after_s(clock)
        told.append(say(f"not_{clock}") if after_s is None else say(kind, after_s=after_s))
    return ", ".join(told)


_CLOCKS = {
    "detected": "detected",
    "acknowledged": "acknowledged_after",
    "mitigated": "mitigated",
    "recovered": "recovered",
}


def _compare(path: Path, result: "Result") -> None:
    """Say on stderr how the run's own result differs, if it does."""
    try:
        written = files.read_bytes(path, LARGEST_BYTES)
    except FileNotFoundError:
        echo(f"{path.name} is not there: this run was never judged before", err=True)
        return
    except OSError as error:
        echo(f"{path.name} cannot be read: {error.strerror}", err=True)
        return
    of_before = written.startswith(b'{\n "schema": 1,')
    judged = result.to_bytes(schema=1 if of_before else 2)
    if written == judged:
        return
    echo(f"{path.name} differs from what the evidence says now (it stays as it is):", err=True)
    before, after = written.decode(errors="replace"), judged.decode()
    sides = before.splitlines(), after.splitlines()
    for each in difflib.unified_diff(*sides, "result.json", "judged again", lineterm=""):
        echo(each, err=True)
