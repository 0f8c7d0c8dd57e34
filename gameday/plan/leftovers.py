"""Faults that earlier runs may have left on a stack that outlives them.

The journals tell what was announced and never seen to be taken back. What can be read back is, so
that a fault that somebody has healed meanwhile is not told; whether a step of a playbook was taken
back nobody can read, so it is told as what it is: perhaps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gameday.core.errors import GamedayError
from gameday.core.files.private import state_dir
from gameday.core.messages import Message
from gameday.core.secrets.signing import SigningKey, read_key
from gameday.evidence import journal, provenance
from gameday.evidence.events import StackReady
from gameday.evidence.journal_lengths import noted_runs
from gameday.evidence.provenance import Provenance
from gameday.injection.drivers import Drivers
from gameday.injection.heal import ACTS, Left, controller_lives, left_behind
from gameday.plan.finding import Finding, Status
from gameday.spec.system import System
from gameday.stacks.state import read_kept

Environment = Mapping[str, str]

NEWEST = 50  # a look before a run must be short; what is older was told by the runs since


async def on_standing(
    runs_dir: Path, system: System, environment: Environment, *, owned: bool
) -> list[Finding]:
    """The same for a system that outlives its runs: the kept stack, or one that is not ours."""
    if not owned:
        return await leftovers(runs_dir, system.base_url, environment)
    kept = read_kept()
    if kept is None or kept.base_url != system.base_url:
        return []  # put up for one run alone: nothing of an earlier one can be on it
    return await leftovers(runs_dir, system.base_url, environment, kept.started_at)


async def leftovers(
    runs_dir: Path, base_url: str, environment: Environment, since: str = ""
) -> list[Finding]:
    """Of the newest runs in `runs_dir` that ran on this system, from `since` (RFC 3339) on."""
    _, state = _own()  # first: a folder that anybody has made must not crowd one of them out
    own = frozenset() if state is None else frozenset(noted_runs(state))
    journals = sorted(
        runs_dir.glob("*/journal.jsonl"),
        key=lambda path: (path.parent.name in own, path),
        reverse=True,
    )
    drivers = Drivers()
    found = [
        finding
        for path in journals[:NEWEST]
        if _stamp(path) >= _compact(since)
        for finding in await _of(path, base_url, environment, drivers)
    ]
    if found:
        return found
    looked = f"{min(len(journals), NEWEST)} of {len(journals)} runs in {runs_dir}"
    return [Finding("earlier runs", "ok", Message("finding.nothing_left", n=looked))]


def _stamp(path: Path) -> str:
    return path.parent.name.partition("-")[0]


def _compact(since: str) -> str:
    """`2026-11-23T08:30:00+00:00` as runs are named: `20261123T083000Z`; "" stays."""
    return since.partition("+")[0].replace("-", "").replace(":", "") + "Z" if since else ""


async def _of(
    path: Path, base_url: str, environment: Environment, drivers: Drivers
) -> list[Finding]:
    """Of one run. What nobody here has signed is told, and nothing that it names is asked."""
    run = provenance.read(path.parent, *_own())
    if not _ran_on(run.journal, base_url):
        return _foreign(run) if _ran_on(run.foreign, base_url) else []
    if controller_lives(run.journal):
        return []
    found = []
    unknown = run.unknown or ("it is sealed, and had no debrief" if run.sealed else "")
    if unknown:
        text = f"whether it left something behind is not known: {unknown}"
        found.append(Finding(f"run {run.dir.name}", "warn", text, f"gameday heal {run.dir}"))
    for left in left_behind(sorted([*run.journal, *run.later], key=lambda each: each.t_ns)):
        if left.owner != "part" and (text := await _still_there(left, environment, drivers)):
            cure = f"gameday heal {path.parent}"
            status: Status = "warn" if left.owner in ACTS else "fail"
            found.append(Finding(f"run {path.parent.name}", status, text, cure))
    return found


def _ran_on(records: Sequence[journal.Record], base_url: str) -> bool:
    """True if the run was on this system."""
    ready = journal.first(records, StackReady)
    addresses = None if ready is None else ready.event.addresses
    return addresses is not None and addresses.get("base_url") == base_url


def _foreign(run: Provenance) -> list[Finding]:
    """A run that nobody here has signed, and that says itself that something may be left."""
    left = left_behind([*run.foreign, *run.foreign_later])
    if controller_lives(run.foreign) or all(each.owner == "part" for each in left):
        return []
    name = run.dir.name
    text = f"it may have left something behind, and is {run.why_foreign}: it was not looked at"
    return [Finding(f"run {name}", "warn", text, f"gameday heal --trust {run.dir}")]


def _own() -> tuple[SigningKey | None, Path | None]:
    """The user's key, and the state folder that it is in."""
    try:
        return read_key(state_dir()), state_dir()
    except GamedayError:
        return None, None


async def _still_there(left: Left, environment: Environment, drivers: Drivers) -> str:
    """A text about the change that is left, "" when it reads back as gone."""
    what = f"{left.owner} {left.name}"
    if left.masked:
        return f"{what}: not known to be gone: its journal does not tell its name (***)"
    try:
        gone, why = await drivers.look(left.undo, environment)
    except GamedayError as error:
        return f"{what}: not known to be gone: {error.message}"
    if left.owner in ACTS:
        return f"{what} was not seen taken back; nothing can tell whether it is"
    if gone is None:
        return f"{what}: not known to be gone: {why}"
    return "" if gone else f"{what} is still there"
