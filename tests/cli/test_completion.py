"""Completion: in the shells themselves, by the scripts that they are given."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = """\
source ./script
COMP_WORDS=(gameday {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="gameday {words}"
_gameday_completion gameday
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an experiment and two runs, and `gameday` on the PATH."""
    program = tmp_path / "bin" / "gameday"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gameday "$@"\n')
    program.chmod(0o755)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "red-shop.yaml").write_text("name: red-shop\n")
    (tmp_path / "experiments" / "bad\x1b[2J.yaml").write_text("")
    for run in ("20261128T210000Z-redis-slow-k3f9", "20261129T210000Z-db-slow-ab12"):
        (tmp_path / "runs" / run).mkdir(parents=True)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def in_shell(shell: str, folder: Path, text: str) -> list[str]:
    script = folder / "script"
    made = subprocess.run(
        ["gameday", "completion", shell],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        check=True,
    )
    script.write_bytes(made.stdout)
    quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    ran = subprocess.run(
        [shell, *quiet, "-c", text],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    return [line for line in ran.stdout.splitlines() if line]


def bash(folder: Path, words: str) -> list[str]:
    return in_shell("bash", folder, WORDS.format(words=words))


def test_bash_completes_commands(folder: Path) -> None:
    assert bash(folder, "sch") == ["schema", "schedule", "scheduler"]
    assert bash(folder, "re") == ["release", "report", "readiness"]
    assert {"run", "drill", "completion"} <= {*bash(folder, "''")}


def test_the_help_shows_lines_that_can_be_copied(folder: Path) -> None:
    help_ = [sys.executable, "-m", "gameday", "completion", "--help"]
    asked = {**environment(folder), "COLUMNS": "80"}
    ran = subprocess.run(help_, capture_output=True, text=True, check=True, env=asked)
    lines = [line.strip() for line in ran.stdout.splitlines()]
    assert 'zsh:  gameday completion zsh > "${fpath[1]}/_gameday"' in lines
    assert "fish: gameday completion fish > ~/.config/fish/completions/gameday.fish" in lines
    assert "\\b" not in ran.stdout


@pytest.mark.parametrize("command", ["run", "plan", "show", "validate", "drill", "traffic export"])
def test_bash_completes_experiments_of_here_and_of_the_package(folder: Path, command: str) -> None:
    assert {"red-shop", "redis-slow", "redis-down"} <= {*bash(folder, f"{command} red")}
    assert bash(folder, f"{command} red-") == ["red-shop"]
    assert bash(folder, f"{command} bad") == []  # a name that a terminal would obey


@pytest.mark.parametrize("command", ["check", "report", "heal"])
def test_bash_completes_runs_by_their_names_and_their_ends(folder: Path, command: str) -> None:
    assert bash(folder, f"{command} 2026112") == [
        "20261129T210000Z-db-slow-ab12",
        "20261128T210000Z-redis-slow-k3f9",
    ]
    assert bash(folder, f"{command} k3") == ["k3f9"]
    assert bash(folder, f"{command} la") == ["last"]


def test_bash_completes_options_and_choices(folder: Path) -> None:
    assert "--short" in bash(folder, "plan --sh")
    assert "--responder-delay" in bash(folder, "run redis-slow --resp")
    assert bash(folder, "run redis-slow --stack comp") == ["compose"]
    assert bash(folder, "completion z") == ["zsh"]


@pytest.mark.parametrize(
    "words", ["nosuch x", "run --nosuch x", "drill live --given 3", "'", "run $(touch hacked)"]
)
def test_bash_completes_nothing_where_nothing_makes_sense(folder: Path, words: str) -> None:
    quoted = words.replace("'", "\\'").replace("$", "\\$").replace("(", "\\(").replace(")", "\\)")
    bash(folder, quoted)
    assert not (folder / "hacked").exists()


def test_a_broken_file_of_settings_is_no_reason_to_talk(folder: Path) -> None:
    (folder / "gameday.toml").write_text("runs = [")
    assert bash(folder, "check 2026") == []
    assert bash(folder, "run --sh") == []
    assert bash(folder, "plan red-") == ["red-shop"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
def test_fish_completes_names(folder: Path) -> None:
    text = "source script; complete -C 'gameday run red-'; complete -C 'gameday check k3'"
    assert in_shell("fish", folder, text) == ["red-shop", "k3f9"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_completes_names(folder: Path) -> None:
    """What the function would offer: the completion system itself needs a terminal."""
    text = """
    compdef() { :; }
    compadd() { shift 4; print -l -- ${(P)1}; }
    _describe() { print -l -- ${(P)3}; }
    source ./script
    words=(gameday run red-); CURRENT=3; _gameday_completion
    words=(gameday sch); CURRENT=2; _gameday_completion
    """
    shown = in_shell("zsh", folder, text)
    assert shown[0] == "red-shop"
    assert shown[1].startswith("schema:Print the JSON Schema")


def test_nothing_heavy_is_imported_for_a_name(folder: Path) -> None:
    asks = {
        **environment(folder),
        "_GAMEDAY_COMPLETE": "bash_complete",
        "COMP_WORDS": "gameday plan red-",
        "COMP_CWORD": "2",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    ran = subprocess.run(
        ["gameday"], cwd=folder, env=asks, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "plain,red-shop\n"
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert not imported & {"pydantic", "numpy", "httpx", "rich", "yaml", "asyncio"}
