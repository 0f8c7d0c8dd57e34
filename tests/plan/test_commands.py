"""Commands of a system file: printed by the plan, and from elsewhere agreed to once."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gameday.plan import acts
from gameday.plan.commands import agree, commands_of, findings, is_inside_project, unagreed
from gameday.spec.inputs import LoadedSystem, load_system

SYSTEM: dict[str, Any] = {
    "name": "own",
    "base_url": "http://127.0.0.1:1",
    "requests": {"issue": {"post": "/", "outcomes": {"issued": {"status": 200}}}},
    "audit": {"command": ["sh", "-c", "echo"], "rows": "$", "user": "$"},
    "before_run": [{"post": "/reset"}, {"command": ["sh", "reset.sh"]}],
}


def loaded(folder: Path, **changes: Any) -> LoadedSystem:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own.yaml").write_text(json.dumps({**SYSTEM, **changes}))
    return load_system(folder / "own.yaml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is worked in, and a state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "project" / ".git").mkdir(parents=True)
    (tmp_path / "project" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "project" / "deep")
    return tmp_path / "project"


def test_all_commands_are_named_with_their_keys(project: Path) -> None:
    named = [str(each) for each in commands_of(loaded(project))]
    where = f"(in {project})"
    assert named == [
        f"audit.command: sh -c echo {where}",
        f"before_run.1.command: sh reset.sh {where}",
    ]
    there = loaded(project)
    told = [each.found for each in (*findings(there), *acts.findings(there.system))]
    assert told == [
        "a run runs `sh -c echo`",
        "before each run: POST /reset",
        "before each run: sh reset.sh",
    ]


def test_a_file_of_the_project_is_not_asked_about(project: Path) -> None:
    assert unagreed(loaded(project)) == unagreed(loaded(project / "other")) == []


@pytest.mark.usefixtures("project")
def test_one_from_elsewhere_is_asked_about_once_for_these_very_words(tmp_path: Path) -> None:
    there = loaded(tmp_path / "elsewhere")
    assert unagreed(there) == commands_of(there)
    (failure,) = [each for each in findings(there) if each.status == "fail"]
    assert failure.usage and "sh -c echo" in failure.found and "in a terminal" in failure.cure
    agree(there)
    assert unagreed(there) == []
    assert unagreed(loaded(tmp_path / "elsewhere", settle="1s")) == []  # the same commands
    other = {"command": ["sh", "-c", "echo 2"], "rows": "$", "user": "$"}
    assert unagreed(loaded(tmp_path / "elsewhere", audit=other))
    preloaded: dict[str, Any] = {"command": ["sh", "-c", "echo"], "rows": "$", "user": "$"}
    preloaded |= {"env": {"LD_PRELOAD": "evil.so"}}
    (first, _) = unagreed(loaded(tmp_path / "elsewhere", audit=preloaded))
    assert "LD_PRELOAD=evil.so" in str(first)
    (tmp_path / "elsewhere" / "tools").mkdir()
    elsewhere: dict[str, Any] = {"command": ["sh", "-c", "echo"], "rows": "$", "user": "$"}
    elsewhere |= {"folder": "tools"}
    (first, _) = unagreed(loaded(tmp_path / "elsewhere", audit=elsewhere))
    assert str(first).endswith("tools)")
    assert unagreed(loaded(tmp_path / "copied"))
    assert unagreed(there) == []


def test_a_link_into_the_project_counts_as_where_it_leads(project: Path, tmp_path: Path) -> None:
    there = loaded(tmp_path / "elsewhere")
    (project / "own.yaml").symlink_to(there.path)
    assert not is_inside_project(project / "own.yaml")
    assert unagreed(load_system(project / "own.yaml"))


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("raw", ["", "{", "[]", '{"agreed": 7}', '{"agreed": [[]]}', "[" * 99_999])
def test_what_was_agreed_to_is_asked_again_where_it_cannot_be_read(
    tmp_path: Path, raw: str
) -> None:
    there = loaded(tmp_path / "elsewhere")
    agree(there)
    (file,) = (tmp_path / "state" / "gameday").glob("commands.json")
    file.write_text(raw)
    assert unagreed(there)
    agree(there)
    assert unagreed(there) == []


def test_a_home_that_is_a_repository_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "downloads").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert is_inside_project(tmp_path / "work" / "own.yaml")
    assert not is_inside_project(tmp_path / "downloads" / "own.yaml")


@pytest.mark.parametrize("above", [False, True])
def test_a_home_and_what_is_above_it_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: bool
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path if above else tmp_path / "home")
    assert not is_inside_project(tmp_path / "home" / "downloads" / "own.yaml")
    monkeypatch.chdir("/")
    assert not is_inside_project(tmp_path / "own.yaml")


START: dict[str, Any] = {
    "argv": ["sleep", "9"],
    "env": {"MODE": "test"},
    "setup": [["touch", "ran"], {"sql": "seed.sql"}],
}


def of_setup(folder: Path) -> LoadedSystem:
    folder.mkdir()
    (folder / "seed.sql").write_text("SELECT 1;")
    return loaded(folder, audit={"get": "/"}, before_run=[], start=START)


@pytest.mark.usefixtures("project")
def test_commands_before_the_service_are_asked_about_with_its_environment(tmp_path: Path) -> None:
    there = of_setup(tmp_path / "elsewhere")
    assert str(unagreed(there)[0]) == "start.setup.0: MODE=test touch ran"
    agree(there)
    assert unagreed(there) == []


@pytest.mark.usefixtures("project")
def test_sql_before_the_service_is_asked_about_for_exactly_its_content(tmp_path: Path) -> None:
    """The superuser of a PostgreSQL runs programs as whoever runs it."""
    there = of_setup(tmp_path / "elsewhere")
    seed = tmp_path / "elsewhere" / "seed.sql"
    told = str(unagreed(there)[1])
    assert told.startswith(f"start.setup.1: SQL of {seed} (SHA-256 ")
    agree(there)
    assert unagreed(there) == []
    seed.write_text("COPY t FROM PROGRAM 'touch ran';")
    assert unagreed(there)
    agree(there)
    assert unagreed(there) == []
    seed.unlink()
    assert unagreed(there)
    seed.mkdir()
    assert str(unagreed(there)[1]) != told


@pytest.mark.usefixtures("project")
def test_a_start_with_nothing_but_sql_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "seed.sql").write_text("SELECT 1;")
    start = {**START, "setup": [{"sql": "seed.sql"}]}
    there = loaded(tmp_path / "elsewhere", audit={"get": "/"}, before_run=[], start=start)
    (asked,) = unagreed(there)
    (failure,) = [each for each in findings(there) if each.status == "fail"]
    assert failure.usage and str(asked) in failure.found


def gameday(
    there: LoadedSystem, here: Path, *arguments: str, answer: str | None
) -> tuple[int, str]:
    """Exit code and output; with an answer it has a terminal."""
    argv = [sys.executable, "-m", "gameday", *arguments, "--system", str(there.path)]
    mine, its = os.openpty()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if answer is None else its,
            stdout=its,
            stderr=its,
            cwd=here,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        os.close(its)
        os.write(mine, (answer or "").encode())
        said = b""
        with suppress(OSError):  # the end of a terminal is an error
            while piece := os.read(mine, 4096):
                said += piece
        return process.wait(60), said.decode()
    finally:
        os.close(mine)


@pytest.mark.parametrize("answer", [None, "n\n"])
def test_a_stack_is_not_put_up_with_commands_that_nobody_agreed_to(
    project: Path, tmp_path: Path, answer: str | None
) -> None:
    code, said = gameday(of_setup(tmp_path / "elsewhere"), project, "up", answer=answer)
    assert code == 2, said
    assert "is from outside this project" in said and "in a terminal" in said
    assert ("May they be run" in said) is (answer is not None)
    assert not (tmp_path / "elsewhere" / "ran").exists()


def test_a_run_with_commands_from_elsewhere_is_refused_where_nobody_can_answer(
    project: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    act = [{"command": ["touch", str(ran)]}]
    there = loaded(tmp_path / "elsewhere", audit={"get": "/"}, before_run=act)
    (project / "e.yaml").write_text(
        json.dumps(
            {
                "name": "e",
                "campaign": {"coupon": "C", "stock": 9},
                "traffic": {
                    "some": {"executor": "constant-arrival-rate", "rate": "9/s", "duration": "9s"}
                },
            }
        )
    )
    for command in ("plan", "run"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "gameday", command, str(project / "e.yaml")),
                *("--stack", "external", "--system", str(there.path)),
            ],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "is from outside this project" in done.stdout + done.stderr
    assert not ran.exists()
