"""`gameday scheduler` and `gameday schedule`: days that begin by themselves, and why not."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gameday.cli.drawing import SafeConsole, styled, table
from gameday.cli.options import DURATION, allow_target
from gameday.cli.terminal import echo, emit, one_line, print_error, warn
from gameday.cli.words import exit_meaning, megabytes, spoken, weekday
from gameday.core.clock import NS, boot_id, boottime_ns, wall_time_ns
from gameday.core.errors import ExitCode, GamedayError, UnknownError, UsageError
from gameday.core.messages import Message
from gameday.core.units import format_duration

if TYPE_CHECKING:
    from rich.text import Text

    from gameday.calendar.entries import Entries, ScheduledDay
    from gameday.calendar.occurrences import Occurrence
    from gameday.calendar.scheduler import Scheduler
    from gameday.calendar.state import Look, OccurrenceRow, ScheduleState
    from gameday.core.network.allow_list import Allowed
    from gameday.plan.day_size import DaySize

LISTED: Final = 5
REMEMBERED_S: Final = 30 * 86_400  # so long the past of a file that is gone is listed
PAST: Final = 10
MOST_PASSED: Final = 20  # occurrences that `ack` looks through
EVERY: Final = timedelta(seconds=5)
files_argument = click.argument("files", nargs=-1, metavar="[DAY]...")


def now_look() -> "Look":
    """The present instant, by all clocks of the machine."""
    from gameday.calendar.state import Look

    return Look(wall_time_ns() / NS, boottime_ns() / NS, time.monotonic(), boot_id())


def new_scheduler(state: "ScheduleState", allowed: "Allowed", look_back: timedelta) -> "Scheduler":
    """A scheduler that begins days as processes and says on stderr what it does."""
    from gameday.calendar.scheduler import ProcessLauncher, Scheduler

    launch = ProcessLauncher(state)
    return Scheduler(state, launch, _say, _notify, allowed=allowed, look_back=look_back)


def _translated(message: "Message | str") -> str:
    """A sentence in the language of who reads the screen."""
    return message if isinstance(message, str) else message.text(spoken())


def _say(message: Message) -> None:
    at = datetime.fromtimestamp(wall_time_ns() // NS, UTC).astimezone()
    echo(f"{at:%H:%M:%S} {one_line(_translated(message))}", err=True)


def _notify(entry: "ScheduledDay", one: "Occurrence") -> None:
    from gameday.report.notify import announce, day_soon

    ask = _translated(Message("schedule.ask_ack", name=entry.name))
    notice = day_soon(
        entry.title,
        one.start.astimezone(entry.schedule.zone),
        ask if entry.schedule.requires_ack else "",
    )
    announce(notice, say=lambda text: echo(text, err=True), language=spoken())
    _say(notice.headline)


@click.command()
@files_argument
@click.option("--every", type=DURATION, default=EVERY, show_default="5s", help="Between looks.")
@allow_target("A host that is not this machine and may be asked for alerts. Can be repeated.")
def scheduler(files: tuple[str, ...], every: timedelta, allowed: "Allowed") -> None:
    """Begin the game days of `gamedays/`, or of the files named, when their schedule says so.

    It goes on until it is ended (Ctrl-C, SIGTERM); a day that is under way then goes on, and the
    next scheduler takes over. Being killed loses nothing and runs nothing twice.
    """
    from gameday.calendar.entries import load_entries
    from gameday.calendar.state import ScheduleState

    entries = load_entries(files)
    state = ScheduleState.of_user()
    one = new_scheduler(state, allowed, timedelta(0))
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    told = ", ".join(each.name for each in entries.good) or "-"
    _say(Message("schedule.watching", days=told, state=str(state.path)))
    _warn_broken(entries)
    for each in entries.good:
        if each.unagreed is not None:
            warn(one_line(f"{each.name}: {_translated(each.unagreed)}"))
    if not entries.good:
        warn(_translated(Message("schedule.nothing")))
    serve(one, files, every, ended)


def serve(
    one: "Scheduler",
    files: tuple[str, ...],
    every: timedelta,
    ended: threading.Event,
    clock: Callable[[], "Look"] = now_look,
) -> None:
    """Look again and again; a full disk is told once, and again when there was room meanwhile."""
    from gameday.calendar.entries import load_entries

    problem = ""
    while not ended.is_set():
        try:
            if one.state.is_anew():
                _say(Message("schedule.state_gone", state=str(one.state.path)))
            known = _known(one.state, files)
            entries = load_entries(files, known=known, strict=False)
            one.look(entries, clock())
            problem = ""
        except UnknownError as error:
            if error.message != problem:
                problem = error.message
                _say(Message("schedule.cannot_write", problem=problem))
        ended.wait(every.total_seconds())


def _known(state: "ScheduleState", files: tuple[str, ...], since_s: int | None = None) -> list[str]:
    """The files that something is planned of, or was due since then: only those here, or named."""
    here = [Path(each).resolve() for each in files] or [Path("gamedays").resolve()]
    rows = state.rows("planned")
    if since_s is not None:
        rows += [row for row in state.rows() if row.start_s >= since_s]
    paths = dict.fromkeys(row.path for row in rows)
    return [each for each in paths if any(Path(each).is_relative_to(one) for one in here)]


def _warn_broken(entries: "Entries") -> None:
    for broken in entries.broken:
        echo(f"warning: {one_line(broken.problem)}", err=True)


@click.group(invoke_without_command=True)
@click.pass_context
def schedule(ctx: click.Context) -> None:
    """Show when game days begin, begin what is due, agree to one, write files for others.

    Without a command it lists the next occurrences.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@schedule.command("list")
@files_argument
@click.option("--count", default=LISTED, show_default=True, type=click.IntRange(1, 1000))
@click.option("--past", default=PAST, show_default=True, type=click.IntRange(0, 1000))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def list_(
    files: tuple[str, ...] = (), count: int = LISTED, past: int = PAST, *, as_json: bool = False
) -> None:
    """List the next occurrences, with the reasons of those left out, and what came of the last."""
    from gameday.calendar.entries import load_entries
    from gameday.calendar.scheduler import next_of
    from gameday.calendar.state import ScheduleState
    from gameday.run import hold

    state = ScheduleState.of_user()
    now_s = int(wall_time_ns() // NS)
    entries = load_entries(files, known=_known(state, files, since_s=now_s - REMEMBERED_S))
    held = hold.current()
    coming = {each.key: list(next_of(each, state, now_s, count)) for each in entries.good}
    rows = {each.key: state.rows(path=each.key, newest=past + 100) for each in entries.good}
    if as_json:
        told = [_as_json(each, coming[each.key], rows[each.key][-past:]) for each in entries.good]
        document = {"hold": held and str(held), "days": told}
        emit(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return
    _warn_broken(entries)
    if held is not None:
        echo(one_line(_translated(Message("schedule.hold", hold=str(held)))))
    if not entries.good:
        echo(_translated(Message("schedule.nothing")))
    for each in entries.good:
        _print_next(each, coming[each.key], rows[each.key])
        _print_size(each)
        over = [r for r in rows[each.key] if r.state != "planned" or _is_waiting(r, now_s)]
        _print_past(each.schedule.zone, over[-past:] if past else [])
    for gone in entries.broken:
        over = [r for r in state.rows(path=gone.key, newest=past) if r.state != "planned"]
        if over and past:
            echo(one_line(f"{over[-1].name}: {gone.problem}"))
            _print_past(UTC, over)


def _print_next(
    entry: "ScheduledDay",
    coming: "list[tuple[Occurrence, Message | None]]",
    rows: "list[OccurrenceRow]",
) -> None:
    asked = entry.schedule
    told = {"name": entry.name, "cron": asked.cron, "timezone": asked.timezone}
    if not coming:
        echo(_translated(Message("schedule.no_more", name=entry.name)))
        return
    echo(_translated(Message("schedule.title", **told)))
    lines = table()
    for name in ("when", "state", "why"):
        lines.add_column(_translated(Message(f"schedule.word.{name}")), no_wrap=name != "why")
    remembered = {row.at_s: row for row in rows}
    for one, why in coming:
        row = remembered.get(one.at_s)
        word, notes = (
            _word(entry, row, why),
            [_translated(each) for each in (one.note, why) if each],
        )
        start = one.start.astimezone(asked.zone)
        when = f"{weekday(start)} {start:%Y-%m-%d %H:%M %Z}"
        lines.add_row(when, word, one_line("; ".join(notes)))
    SafeConsole().print(lines)


def _size(entry: "ScheduledDay") -> "tuple[DaySize, int, Path] | None":
    """Length and size of a day, and the room where it is kept; a warning where it cannot be run."""
    from gameday.core import settings
    from gameday.plan.day_size import day_size, free_bytes
    from gameday.spec.day_files import load_day

    runs = Path(settings.current()["runs"])
    try:
        return day_size(load_day(str(entry.path))), free_bytes(runs), runs
    except (GamedayError, OSError) as error:
        warn(f"{entry.name} could not be run now: {error}")
        return None


def _print_size(entry: "ScheduledDay") -> None:
    """Print how long a day takes and how much disk."""
    if (found := _size(entry)) is None:
        return
    size, free, runs = found
    length = format_duration(timedelta(seconds=round(size.length_s)))
    told = {"length": length, "needed": megabytes(size.disk_bytes), "free": megabytes(free)}
    echo(_translated(Message("schedule.size", **told, runs=one_line(str(runs)))))
    if free < size.disk_bytes:
        warn(_translated(Message("schedule.no_room", name=entry.name)))


def _word(entry: "ScheduledDay", row: "OccurrenceRow | None", why: Message | None) -> "Text":
    """The state of an occurrence that is to come."""
    if why is not None:
        return styled(_translated(Message("schedule.word.skipped")), "yellow")
    if row is not None and row.acked_by:
        return styled(
            one_line(_translated(Message("schedule.word.acked", by=row.acked_by))), "green"
        )
    waits = entry.schedule.requires_ack
    return styled(
        _translated(Message("schedule.word.waiting_ack" if waits else "schedule.word.planned"))
    )


def _print_past(zone: tzinfo, rows: "list[OccurrenceRow]") -> None:
    if not rows:
        return
    lines = table()
    for name in ("when", "state", "why"):
        lines.add_column(_translated(Message(f"schedule.word.{name}")), no_wrap=name != "why")
    colours = {"interrupted": "red", "skipped": "yellow", "finished": "green"}
    for row in rows:
        at = datetime.fromtimestamp(row.start_s, UTC).astimezone(zone)
        is_waiting = row.state == "planned"
        told = "waiting" if is_waiting else row.state
        word = styled(_translated(Message(f"schedule.word.{told}")), colours.get(row.state, ""))
        why = _translated(row.why) if row.exit_code is None else _code(row.exit_code)
        if is_waiting:
            why = _translated(Message("schedule.in_use"))
        lines.add_row(f"{weekday(at)} {at:%Y-%m-%d %H:%M %Z}", word, one_line(why))
    SafeConsole().print(lines)


def _code(code: int) -> str:
    meaning = exit_meaning(code)
    return f"{code}: {meaning}" if meaning else str(code)


def _as_json(
    entry: "ScheduledDay",
    coming: "list[tuple[Occurrence, Message | None]]",
    rows: "list[OccurrenceRow]",
) -> Any:
    zone = entry.schedule.zone
    found = _size(entry)
    return {
        "name": entry.name,
        "path": entry.key,
        "length_s": found and found[0].length_s,
        "disk_bytes": found and found[0].disk_bytes,
        "disk_free_bytes": found and found[1],
        "next": [
            {
                "at": one.at.astimezone(zone).isoformat(),
                "start": one.start.astimezone(zone).isoformat(),
                "note": one.note and one.note.text(),
                "left_out": why and why.text(),
            }
            for one, why in coming
        ],
        "past": [
            {
                "at": datetime.fromtimestamp(row.at_s, UTC).astimezone(zone).isoformat(),
                "state": row.state,
                "why": str(row.why),
                "exit_code": row.exit_code,
                "count": row.count,
            }
            for row in rows
            if row.state != "planned"
        ],
    }


@schedule.command()
@files_argument
@click.option("--wait", is_flag=True, help="Wait for days whose window has begun.")
@click.option(
    "--look-back",
    type=DURATION,
    default=timedelta(0),
    show_default="0s",
    help="How far back to look where nothing is remembered, as on a fresh runner.",
)
@allow_target("A host that is not this machine and may be asked for alerts. Can be repeated.")
def due(files: tuple[str, ...], look_back: timedelta, allowed: "Allowed", *, wait: bool) -> None:
    """Begin what is due now, wait for its end, and exit with the worst code of those days.

    For those who have cron, systemd or Kubernetes: call it once a minute.
    """
    from gameday.calendar.entries import load_entries
    from gameday.calendar.state import ScheduleState

    entries = load_entries(files)
    _warn_broken(entries)
    state = ScheduleState.of_user()
    entries = load_entries(files, known=_known(state, files), strict=False)
    one = new_scheduler(state, allowed, look_back)
    begun_s = wall_time_ns() // NS
    one.look(entries, now_look())
    _until_over(one, entries, wait=wait)
    mine = {each.key: each for each in entries.good}
    rows = [row for row in state.rows() if row.path in mine]
    waiting = [row for row in rows if _is_waiting(row, begun_s)]
    for row in waiting:
        _say(Message("schedule.waits", name=row.name, at=_zone_time(mine[row.path], row)))
    over = [row for row in rows if (row.begun_s or 0) >= begun_s]
    if not over and not waiting:
        _say(Message("schedule.nothing_due"))
    codes = {row.exit_code if row.exit_code is not None else ExitCode.UNKNOWN for row in over}
    sys.exit(next((int(code) for code in [*ExitCode, *codes] if code in codes), 0))


def _until_over(one: "Scheduler", entries: "Entries", *, wait: bool) -> None:
    """Wait for the days that this call began, and with `wait` for those in their window.

    A full disk ends no day, so it does not end the waiting.
    """
    pause = threading.Event()
    problem = ""
    while one.is_busy or (wait and _in_window(one.state, entries)):
        pause.wait(1.0)
        try:
            if one.is_busy:
                one.settle(wall_time_ns() // NS)
            else:
                one.look(entries, now_look())
        except UnknownError as error:
            if error.message != problem:
                problem = error.message
                _say(Message("schedule.cannot_write", problem=problem))


def _is_waiting(row: "OccurrenceRow", now_s: int) -> bool:
    """True for one whose time has come, and whose target is in use."""
    return row.state == "planned" and row.start_s <= now_s and row.reason is not None


def _zone_time(entry: "ScheduledDay", row: "OccurrenceRow") -> str:
    from gameday.calendar.scheduler import zone_time

    return zone_time(entry, row.start_s)


def _in_window(state: "ScheduleState", entries: "Entries") -> bool:
    now_s = wall_time_ns() // NS
    rows = [row for each in entries.good for row in state.rows("planned", each.key)]
    return any(row.at_s <= now_s < row.start_s for row in rows)


@schedule.command()
@click.argument("name", metavar="DAY")
@click.option("--by", help="Who agrees; default the user of this machine.")
def ack(name: str, by: str | None) -> None:
    """Agree that the next occurrence of DAY that will run begins (`requires_ack`).

    What is frozen or left out is passed over, and told.
    """
    import getpass

    from gameday.calendar.entries import load_entries
    from gameday.calendar.scheduler import zone_time
    from gameday.calendar.state import ScheduleState
    from gameday.run import hold

    entry = load_entries([name]).good[0]
    if not entry.schedule.requires_ack:
        cure = "nobody has to agree to it: `requires_ack` is not set in its file"
        raise UsageError(f"{name}: waits for no ack", help=cure)
    state = ScheduleState.of_user()
    row = _to_agree(entry, state, wall_time_ns() // NS)
    who = by or getpass.getuser()
    at = zone_time(entry, row.start_s)
    if not state.ack(row, who[:100]):
        raise UsageError(f"{name}: {at} has just begun, or is left out", help="gameday schedule")
    echo(one_line(_translated(Message("schedule.acked", name=entry.name, at=at, by=who))))
    held = hold.current()
    if held is not None:
        echo(one_line(_translated(Message("schedule.hold", hold=str(held)))), err=True)


def _to_agree(entry: "ScheduledDay", state: "ScheduleState", now_s: int) -> "OccurrenceRow":
    """The next occurrence that nothing but a hold is against, planned. Raises UsageError."""
    from gameday.calendar.scheduler import next_of, zone_time

    passed = 0
    for one, why in next_of(entry, state, now_s, MOST_PASSED, with_hold=False):
        start_s = int(one.start.timestamp())
        row = state.add(entry.key, (entry.name, one.at_s, start_s)) if why is None else None
        if row is not None and row.state == "planned":
            return row
        against = why or (row and row.why) or ""
        told = {"name": entry.name, "at": zone_time(entry, start_s), "why": against}
        echo(one_line(_translated(Message("schedule.left_out_now", **told))), err=True)
        passed += 1
    if not passed:
        raise UsageError(_translated(Message("schedule.no_more", name=entry.name)))
    cure = f"the next {passed} are left out, as told above: look at `freeze` and `at_most`"
    raise UsageError(f"{entry.name}: there is nothing to agree to", help=cure)


@schedule.command()
@files_argument
@click.option("--systemd", "kind", flag_value="systemd", help="A service and a timer.")
@click.option("--cron", "kind", flag_value="cron", help="A crontab.")
@click.option("--kubernetes", "kind", flag_value="kubernetes", help="A CronJob and its volume.")
@click.option("--github", "kind", flag_value="github", help="A workflow of GitHub Actions.")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Write into this folder.")
@click.option("--image", default="gameday:latest", show_default=True, help="For --kubernetes.")
def export(files: tuple[str, ...], kind: str | None, folder: Path | None, image: str) -> None:
    """Write the files of another scheduler, which calls `gameday schedule due`."""
    from gameday.calendar.entries import load_entries
    from gameday.calendar.export import export_files
    from gameday.core.files.private import as_asked

    if kind is None:
        raise UsageError("export: say for whom", help="--systemd, --cron, --kubernetes or --github")
    entries = load_entries(files)
    for broken in entries.broken:
        raise UsageError(broken.problem)
    if not entries.good:
        raise UsageError(Message("schedule.nothing").text(), help="docs/schedule.md shows how")
    now = datetime.fromtimestamp(wall_time_ns() // NS, UTC)
    made = export_files(
        kind, entries.good, Path.cwd(), now, image=image, path=os.environ.get("PATH", "")
    )
    for name, text in made.items():
        if folder is None:
            emit(f"# {name}\n{text}")
            continue
        with as_asked():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with open(folder / name, "x", encoding="utf-8") as out:
                    out.write(text)
            except FileExistsError:
                cure = "move it away first"
                print_error(UsageError(f"{folder / name}: is already there", help=cure))
                sys.exit(ExitCode.USAGE)
        echo(str(folder / name))
