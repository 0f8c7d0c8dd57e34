"""`gameday runs prune`: what would go of runs and days, what stays, why, then one question."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gameday.calendar.day_journal import DAYS
from gameday.calendar.old_days import DayLines, look_at_days, remove_day
from gameday.cli.drawing import SafeConsole, styled, table
from gameday.cli.find_run import list_days
from gameday.cli.readiness import age
from gameday.cli.terminal import confirm, echo, emit, one_line, warn
from gameday.cli.words import spoken
from gameday.core.clock import wall_time_ns
from gameday.core.errors import GamedayError, UsageError
from gameday.core.files.private import state_dir
from gameday.core.messages import Message
from gameday.core.secrets.signing import read_key
from gameday.report.action_items import collect
from gameday.report.messages import Messages
from gameday.run.prune import PruneLine, PruneRule, World, finish_removals, look, remove

_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """The command line of `runs prune`."""

    runs_dir: Path
    keep: int
    older_than: int
    dry_run: bool
    yes: bool
    as_json: bool


def prune_runs(run_dirs: Sequence[Path], options: PruneOptions) -> None:
    """Tell what would go, ask once, and remove it. Raises UsageError."""
    if options.as_json and not (options.yes or options.dry_run):
        raise UsageError("--json asks nothing", help="give --yes or --dry-run with it")
    rule = PruneRule(options.keep, options.older_than, age(options.older_than), wall_time_ns())
    days = list_days(options.runs_dir)
    world = _world([*run_dirs, *days])
    found = look_at_days(days, look(run_dirs, rule, world), rule, world.has_open_items)
    lines = [*found.days, *found.runs]
    say = Messages(spoken())
    going = [line for line in lines if line.goes]
    if not options.as_json:
        _show(lines, say, dry=True)
    if going and not options.dry_run:
        if not options.yes:
            count, size = str(len(going)), _size(sum(line.size for line in going))
            confirm(say.plain("prune.ask", count=count, size=size))
        finish_removals(options.runs_dir)
        finish_removals(options.runs_dir / DAYS)
    stayed: dict[str, str] = {}
    if not options.dry_run:
        stayed = _remove_all(found, rule, world, say)
    if options.as_json:
        _emit(found, stayed, dry=options.dry_run)
    else:
        _sum_up(lines, stayed, say, dry=options.dry_run)
    if stayed:
        raise UsageError(
            f"{len(stayed)} could not be removed, as told above",
            help="look at them, then run it again",
        )


def _world(run_dirs: Sequence[Path]) -> World:
    """The user's key and state, and the runs whose action items are open."""
    # A draft that cannot be read is one that was edited, or has none: that is another reason.
    with_items = {each.run for each in collect(run_dirs).items if each.is_open}
    state = key = None
    try:
        state = state_dir()
        key = read_key(state)
    except GamedayError as error:
        warn(error.message)
    return World(key, state, lambda run_dir: run_dir.name in with_items)


def _remove_all(found: DayLines, rule: PruneRule, world: World, say: Messages) -> dict[str, str]:
    """Remove the days, then the runs of none that stayed; all that stayed, with the reason."""

    def one_day(line: PruneLine) -> Message | None:
        return found.why_day_stays(line.dir, world) or remove_day(line, rule, world.has_open_items)

    def one_run(line: PruneLine) -> Message | None:
        return found.why_run_stays(line.dir, days) or remove(line, world)

    days = _remove([line for line in found.days if line.goes], one_day, say)
    return days | _remove([line for line in found.runs if line.goes], one_run, say)


def _remove(
    going: Sequence[PruneLine], one: Callable[[PruneLine], Message | None], say: Messages
) -> dict[str, str]:
    """Remove each; those that stayed after all, with the reason."""
    stayed = {}
    for line in going:
        try:
            why = one(line)
        except OSError as error:
            stayed[line.dir.name] = str(error.strerror)
        else:
            if why is not None:
                stayed[line.dir.name] = why.text(say.language)
    for run, reason in stayed.items():
        warn(f"{run}: {say.plain('prune.why_changed')}: {reason}")
    return stayed


def _show(lines: Sequence[PruneLine], say: Messages, *, dry: bool) -> None:
    """Those that go first, then the others, each with its reason."""
    console, told = SafeConsole(), table(header=False)
    told.add_column(no_wrap=True)
    told.add_column(no_wrap=True)
    told.add_column(justify="right", no_wrap=True)
    told.add_column(overflow="fold")
    going = say.plain("prune.would_remove") if dry else say.plain("prune.removed")
    for line in sorted(lines, key=lambda each: not each.goes):
        word = styled(going, "red") if line.goes else styled(say.plain("prune.kept"), "green")
        why = line.why.text(say.language)
        told.add_row(word, one_line(line.dir.name), _size(line.size), why)
    if lines:
        console.print(told)


def _sum_up(
    lines: Sequence[PruneLine], stayed: Mapping[str, str], say: Messages, *, dry: bool
) -> None:
    gone = [line for line in lines if line.goes and line.dir.name not in stayed]
    if not gone:
        echo(say.plain("prune.nothing", count=str(len(lines))))
        return
    size = _size(sum(line.size for line in gone))
    total = say.plain("prune.total", removed=str(len(gone)), count=str(len(lines)), size=size)
    word = say.plain("prune.would_remove") if dry else say.plain("prune.removed")
    echo(f"{word}: {total}")
    if dry:
        echo(say.plain("prune.dry"))


def _emit(found: DayLines, stayed: Mapping[str, str], *, dry: bool) -> None:
    lines = [*found.days, *found.runs]
    told = {
        "schema": 1,
        "dry_run": dry,
        "days": [_of_day(line) for line in found.days],
        "runs": [line.as_json() for line in found.runs],
        "removed": [
            line.dir.name for line in lines if line.goes and not dry and line.dir.name not in stayed
        ],
        "stayed": dict(stayed),
    }
    emit(json.dumps(told, indent=1) + "\n")


def _of_day(line: PruneLine) -> object:
    why = line.why.as_json()
    return {"day": line.dir.name, "remove": line.goes, "why": why, "bytes": line.size}


def _size(number: int) -> str:
    for unit, least in _UNITS:
        if number >= least:
            return f"{number / least:.1f} {unit}"
    return f"{number} B"
