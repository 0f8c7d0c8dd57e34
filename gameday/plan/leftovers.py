"""What earlier runs may have left broken on a stack that outlives them.

The journals tell what was announced and never seen to be taken back. What can be read back is, so
that a fault that somebody has healed meanwhile is not told; whether a step of a playbook was taken
back nobody can read, so it is told as what it is: perhaps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gameday import effects, journal
from gameday.errors import GamedayError
from gameday.healing import Left, done_later, is_under_way, left_behind
from gameday.plan.finding import Finding, Status
from gameday.stacks.state import read_kept
from gameday.system import System

Environment = Mapping[str, str]

NEWEST = 50


async def on_standing(
    runs_dir: Path, system: System, environment: Environment, *, external: bool
) -> list[Finding]:
    """The same for a system that outlives its runs: the kept stack, or one that is not ours."""
    if external:
        return await leftovers(runs_dir, system.base_url, environment)
    kept = read_kept()
    if kept is None or kept.base_url != system.base_url:
        return []  # put up for one run alone: nothing of an earlier one can be on it
    return await leftovers(runs_dir, system.base_url, environment, kept.started_at)


async def leftovers(
    runs_dir: Path, base_url: str, environment: Environment, since: str = ""
) -> list[Finding]:
    """Of the newest runs in `runs_dir` that ran on this system, from `since` (RFC 3339) on."""
    journals = sorted(runs_dir.glob("*/journal.jsonl"), reverse=True)
    found = [
        finding
        for path in journals[:NEWEST]
        if _stamp(path) >= _compact(since)
        for finding in await _of(path, base_url, environment)
    ]
    if found:
        return found
    looked = f"{min(len(journals), NEWEST)} of {len(journals)} runs in {runs_dir}"
    return [Finding("earlier runs", "ok", f"nothing was left behind ({looked} looked at)")]


def _stamp(path: Path) -> str:
    return path.parent.name.partition("-")[0]


def _compact(since: str) -> str:
    """`2026-11-23T08:30:00+00:00` as runs are named: `20261123T083000Z`; "" stays."""
    return since.partition("+")[0].replace("-", "").replace(":", "") + "Z" if since else ""


async def _of(path: Path, base_url: str, environment: Environment) -> list[Finding]:
    records = journal.read(path).records
    ready = next((r.data for r in records if r.event == "stack.ready"), None)
    if ready is None or ready["addresses"]["base_url"] != base_url or is_under_way(path.parent):
        return []
    found = []
    for left in left_behind(_with_healings(records, path.parent)):
        if left.owner != "part" and (text := await _still_there(left, environment)):
            cure = f"gameday heal {path.parent}"
            status: Status = "warn" if left.owner == "step" else "fail"
            found.append(Finding(f"run {path.parent.name}", status, text, cure))
    return found


def _with_healings(records: Sequence[journal.Record], folder: Path) -> list[journal.Record]:
    """With what the run's reaper and `gameday heal` did later, in the order of time."""
    return sorted([*records, *done_later(folder)], key=lambda record: record.t_ns)


async def _still_there(left: Left, environment: Environment) -> str:
    """What is left, "" when it reads back as gone."""
    try:
        gone = await effects.read_back(left.undo, environment)
    except GamedayError as error:
        return f"{left.owner} {left.name}: not known to be gone: {error.message}"
    if gone is None:
        return f"{left.owner} {left.name} was not seen taken back; nothing can tell whether it is"
    return "" if gone else f"{left.owner} {left.name} is still there"
