"""Files of other schedulers, each checked by a program that knows its format."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from gameday.calendar.entries import ScheduledDay, load_entries
from gameday.calendar.export import export_files
from gameday.core.errors import UsageError

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def entry(folder: Path, **schedule: object) -> ScheduledDay:
    keys = {"cron": "30 10 * * TUE", "timezone": "Europe/Berlin", **schedule}
    day = {"name": "weekly", "agenda": [{"experiment": "redis-slow"}], "schedule": keys}
    folder.mkdir(exist_ok=True)
    path = folder / "weekly.yaml"
    path.write_text(json.dumps(day))
    return load_entries([str(path)]).good[0]


def made(folder: Path, kind: str, one: ScheduledDay) -> list[Path]:
    """The files, written below `folder`."""
    files = export_files(kind, [one], folder, NOW, image="gameday:1", path="/usr/bin:/bin")
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def checked(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    folder = tmp_path / "it's 100% $HOME"
    files = made(folder, "systemd", entry(folder))

    checked("systemd-analyze", "verify", *files)


@pytest.mark.parametrize("more", [{}, {"notify_before": "15m", "requires_ack": True}])
def test_kubernetes_takes_the_manifests(tmp_path: Path, more: dict[str, object]) -> None:
    files = made(tmp_path, "kubernetes", entry(tmp_path, **more))

    checked(sys.executable, "-m", "kubernetes_validate", "--strict", *files)


def test_github_takes_the_workflow_and_is_woken_in_summer_and_in_winter(tmp_path: Path) -> None:
    (file,) = made(tmp_path, "github", entry(tmp_path))

    checked(
        *(sys.executable, "-m", "check_jsonschema"),
        *("--builtin-schema", "vendor.github-workflows", file),
    )
    times = [
        each["cron"] for each in yaml.load(file.read_text(), yaml.BaseLoader)["on"]["schedule"]
    ]
    assert times == ["30 8 * * 2", "30 9 * * 2"]


def test_a_crontab_quotes_what_cron_and_the_shell_would_take_for_theirs(tmp_path: Path) -> None:
    folder = tmp_path / "it's 100%"
    (file,) = made(folder, "cron", entry(folder))
    line = file.read_text().splitlines()[-1]

    assert line.startswith("* * * * * cd ")
    assert "100\\%" in line
    checked("sh", "-n", "-c", line.removeprefix("* * * * * ").replace("\\%", "%"))


def test_what_kubernetes_does_not_know_is_refused(tmp_path: Path) -> None:
    one = entry(tmp_path, cron="0 10 L * *")

    with pytest.raises(UsageError, match="Kubernetes does not know"):
        export_files("kubernetes", [one], tmp_path, NOW, image="g", path="")
