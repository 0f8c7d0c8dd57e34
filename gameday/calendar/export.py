"""Files for other schedulers: each of them calls `gameday schedule due`, which decides.

The time zone, the window, freezes, conditions and limits stay in the file of the day, so what is
exported does not have to be written again when they change. systemd and cron look once a minute.
Kubernetes and GitHub, where a look costs a container, are woken at the times of the day itself:
Kubernetes in the zone of the schedule, GitHub at each time of UTC that it can be.
"""

import re
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, cast, get_args

import yaml

from gameday.calendar.entries import ScheduledDay
from gameday.calendar.occurrences import occurrences
from gameday.core.errors import UsageError
from gameday.core.units import format_duration

ExportKind = Literal["systemd", "cron", "kubernetes", "github"]
MOST_TIMES: Final = 24  # lines of `cron` in a workflow
LATE: Final = timedelta(hours=1)  # GitHub begins scheduled workflows so late, when it is busy
YEAR: Final = timedelta(days=366)
_NOT_EVERYWHERE: Final = re.compile(r"[L#]")


def export_files(
    kind: str,
    entries: Sequence[ScheduledDay],
    folder: Path,
    now: datetime,
    *,
    image: str,
    path: str,
) -> Mapping[str, str]:
    """The files by their names, for days that are run in `folder`. Raises UsageError."""
    if kind not in get_args(ExportKind):
        raise UsageError(f"{kind!r} is none of {', '.join(get_args(ExportKind))}")
    match cast("ExportKind", kind):
        case "systemd":
            return _systemd(entries, folder, path)
        case "cron":
            return _cron(entries, folder, path)
        case "kubernetes":
            return _kubernetes(entries, folder, image)
        case "github":
            return _github(entries, folder, now)


def _files(entries: Sequence[ScheduledDay], folder: Path) -> list[str]:
    """The files of the days, from `folder` where they are below it."""
    return [
        str(each.path.relative_to(folder) if each.path.is_relative_to(folder) else each.path)
        for each in entries
    ]


def _names(entries: Sequence[ScheduledDay]) -> str:
    return ", ".join(each.name for each in entries)


def _systemd(entries: Sequence[ScheduledDay], folder: Path, path: str) -> Mapping[str, str]:
    files = " ".join(map(_unit_word, _files(entries, folder)))
    service = f"""[Unit]
Description=gameday: begin the game days that are due ({_names(entries)})

[Service]
Type=oneshot
WorkingDirectory={_percent(str(folder))}
Environment={_unit_word(f"PATH={path}")}
ExecStart=/usr/bin/env gameday schedule due {files}
# A day takes as long as it takes. It goes on when this service is stopped: gameday stop ends it.
TimeoutStartSec=infinity
KillMode=process
"""
    timer = """[Unit]
Description=gameday: look once a minute whether a game day is due

[Timer]
OnCalendar=*-*-* *:*:00
AccuracySec=1s

[Install]
WantedBy=timers.target
"""
    return {"gameday-schedule.service": service, "gameday-schedule.timer": timer}


def _percent(text: str) -> str:
    if any(ord(each) < ord(" ") for each in text):
        raise UsageError(f"{text!r}: a unit file cannot hold a line break", help="rename it")
    return text.replace("%", "%%")


def _unit_word(text: str) -> str:
    """One word of a unit file, whatever is in it."""
    inside = _percent(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{inside}"'


def _cron(entries: Sequence[ScheduledDay], folder: Path, path: str) -> Mapping[str, str]:
    files = " ".join(map(shlex.quote, _files(entries, folder)))
    command = f"cd {shlex.quote(str(folder))} && gameday schedule due {files} 2>>schedule.log"
    if any(ord(each) < ord(" ") for each in command + path):
        raise UsageError("a crontab cannot hold a line break", help="rename the folder or file")
    line = "* * * * * " + command.replace("%", "\\%")  # cron takes a bare % for a line break
    text = f"""# gameday looks once a minute whether a game day is due: {_names(entries)}
PATH={path}
{line}
"""
    return {"gameday.crontab": text}


def _checked(entry: ScheduledDay, whose: str) -> str:
    """The cron expression, where others understand it."""
    if _NOT_EVERYWHERE.search(entry.schedule.cron.upper().replace("JUL", "")):
        raise UsageError(
            f"{entry.path}: {whose} does not know 'L' and '#' in {entry.schedule.cron!r}",
            help="use --systemd, --cron or gameday scheduler",
        )
    return entry.schedule.cron


def _kubernetes(entries: Sequence[ScheduledDay], folder: Path, image: str) -> Mapping[str, str]:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "gameday-state"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
        },
    }
    jobs = [_cron_job(each, folder, image) for each in entries]
    return {"gameday-schedule.yaml": yaml.safe_dump_all([claim, *jobs], sort_keys=False)}


def _cron_job(entry: ScheduledDay, folder: Path, image: str) -> object:
    asked = entry.schedule
    file = _files([entry], folder)[0]
    late = format_duration(asked.late)
    container = {
        "name": "gameday",
        "image": image,
        "args": ["schedule", "due", "--wait", "--look-back", late, file],
        "workingDir": "/work",
        "env": [{"name": "XDG_STATE_HOME", "value": "/state"}],
        "volumeMounts": [
            {"name": "state", "mountPath": "/state", "subPath": "state"},
            {"name": "state", "mountPath": "/work/runs", "subPath": "runs"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
        "containers": [container],
        "volumes": [{"name": "state", "persistentVolumeClaim": {"claimName": "gameday-state"}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"gameday-{entry.name}"[:52].rstrip("-")},
        "spec": {
            # People are told, and asked, before the time: that takes a look every few minutes.
            "schedule": "*/5 * * * *" if asked.notify_before else _checked(entry, "Kubernetes"),
            "timeZone": asked.timezone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": max(int(asked.late.total_seconds()), 60),
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
        },
    }


def _github(entries: Sequence[ScheduledDay], folder: Path, now: datetime) -> Mapping[str, str]:
    """A workflow; where daylight saving moves a time, it is woken at both, and `due` decides."""
    times: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for entry in entries:
        if not entry.path.is_relative_to(folder):
            raise UsageError(f"{entry.path}: is not below {folder}", help="call it in the root")
        for one in occurrences(entry.schedule, now):
            if one.at > now + YEAR:
                break
            times[one.at.minute, one.at.hour].add(one.at.isoweekday() % 7)
            if len(times) > MOST_TIMES:
                problem = f"more than {MOST_TIMES} times of day are too many for a workflow"
                raise UsageError(f"{entry.path}: {problem}", help="use gameday scheduler")
    late = max([LATE, *(each.schedule.late for each in entries)])
    files = " ".join(map(shlex.quote, _files(entries, folder)))
    due = f"gameday schedule due --wait --look-back {format_duration(late)} {files}"
    workflow = {
        "name": "Game days",
        "on": {
            "schedule": [{"cron": each} for each in _lines(times)],
            "workflow_dispatch": {},
        },
        "permissions": {"contents": "read"},
        "concurrency": {"group": "gameday", "cancel-in-progress": False},
        "jobs": {"due": {"runs-on": "ubuntu-latest", "steps": _steps(due)}},
    }
    text = yaml.safe_dump(workflow, sort_keys=False, width=100)
    head = f"# Times are UTC. `gameday schedule due` begins only what is due: {_names(entries)}\n"
    return {"gameday.yml": head + text.replace("'on':", "on:", 1)}


def _lines(times: Mapping[tuple[int, int], set[int]]) -> list[str]:
    every = set(range(7))
    return [
        f"{minute} {hour} * * {'*' if days == every else ','.join(map(str, sorted(days)))}"
        for (minute, hour), days in sorted(times.items(), key=lambda each: each[0][::-1])
    ]


def _steps(due: str) -> Sequence[object]:
    """The steps; the state is kept in the cache, so that `at_most` knows of earlier days."""
    state = "${{ github.workspace }}/.gameday-state"
    cache = {
        "path": ".gameday-state",
        "key": "gameday-state-${{ github.run_id }}",
        "restore-keys": "gameday-state-",
    }
    return [
        {"uses": "actions/checkout@v4"},
        {"uses": "actions/setup-python@v5", "with": {"python-version": "3.12"}},
        {"uses": "actions/cache@v4", "with": cache},
        {"run": "python -m pip install ."},
        {"run": due, "env": {"XDG_STATE_HOME": state}},
        {
            "if": "always()",
            "uses": "actions/upload-artifact@v4",
            "with": {"name": "runs", "path": "runs", "if-no-files-found": "ignore"},
        },
    ]
