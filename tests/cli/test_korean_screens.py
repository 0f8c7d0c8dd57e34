"""Screens in Korean: no English sentence is left, and no word is lost where letters are wide."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from gameday.cli import main
from gameday.cli.drawing import SafeConsole, table
from gameday.core.errors import ExitCode
from gameday.core.messages import templates
from tests.support.past_runs import past_run

ROOT = Path(__file__).parents[2]
SCHEDULED = """\
name: weekly
title: 주간 게임데이
stack: embedded
agenda:
  - {experiment: normal, short: true}
schedule: {cron: "0 10 * * TUE", timezone: Asia/Seoul, window: 2h, freeze: [2026-12-08]}
"""
SCREENS = (
    "list",
    "show redis-slow",
    "show stress",
    "show bots",
    "show redis-torn",
    "show service-starved",
    "plan redis-slow",
    "plan postgres-kill",
    "validate redis-slow playbooks/redis-slow.md",
    "doctor",
    "runs",
    "runs prune --keep 1 --older-than 1d --dry-run",
    "check last",
    "compare 1 0",
    "trend redis-slow",
    "action-items --all",
    "readiness",
    "schedule",
)
_NOT_OURS = re.compile(
    r"\S*[_/={}()<>:\[\]`-]\S*"  # PromQL, paths, options, ids
    r"|\b(?:Redis|PostgreSQL|PostgresSlow|Valkey|Docker|CLOCK_MONOTONIC|nobody|runs|ko)\b"
)
_ENGLISH = re.compile(r"(?:\b[A-Za-z][a-z']+\b ){2,}\b[a-z']+\b")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with shipped files and two past runs."""
    made = tmp_path_factory.mktemp("project")
    (made / "runs").mkdir()
    for number in range(2):
        past_run(made / "runs", number)
    for name in ("experiments", "playbooks"):
        (made / name).symlink_to(ROOT / name)
    (made / "gamedays").mkdir()
    (made / "gamedays" / "weekly.yaml").write_text(SCHEDULED)
    return made


def command(folder: Path, line: str) -> list[str]:
    """The command line; `0` and `1` of a comparison are the two runs."""
    names = sorted(path.name for path in (folder / "runs").iterdir())
    words = line.split()
    if words[0] == "compare":
        words[1:] = [names[int(each)] for each in words[1:]]
    return ["--lang", "ko", *words]


def screen(folder: Path, line: str, columns: int) -> str:
    """What a command says in Korean on stdout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("HOME", str(folder / "home"))
        return CliRunner().invoke(main, command(folder, line)).stdout


def printed(folder: Path, line: str, **environment: str) -> tuple[str, str]:
    """What a process of its own says on stdout, and on stderr."""
    answer = subprocess.run(
        [sys.executable, "-m", "gameday", *command(folder, line)],
        cwd=folder,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder / "home"),
            **environment,
        },
        capture_output=True,
        check=False,
    )
    return answer.stdout.decode(), answer.stderr.decode()


@pytest.mark.parametrize("line", SCREENS)
def test_no_english_sentence_is_left_on_a_screen(folder: Path, line: str) -> None:
    # Docker's client leaves a socket to the collector: it gets a process of its own.
    alone = line == "doctor"
    out = printed(folder, line, COLUMNS="200")[0] if alone else screen(folder, line, columns=200)
    assert re.search("[가-힣]", out), out
    # Problems, warnings and why a run is left out are the words of errors, which stay English.
    errors = ("경고", "문제", "→", "->", "제외")
    lines = [each for each in out.splitlines() if not each.strip().startswith(errors)]
    assert not [found for each in lines for found in _ENGLISH.findall(_NOT_OURS.sub("·", each))]


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("line", ["check last", "plan redis-slow", "list", "readiness", "runs"])
def test_no_line_is_wider_than_the_terminal(folder: Path, line: str, columns: int) -> None:
    out = screen(folder, line, columns)
    assert len(out.splitlines()) > 2
    assert [each for each in out.splitlines() if cell_len(each) > columns] == []


@pytest.mark.parametrize("line", ["runs", "schedule", "list"])
def test_a_narrow_terminal_loses_no_letter(folder: Path, line: str) -> None:
    narrow, wide = ("".join(screen(folder, line, columns).split()) for columns in (40, 200))
    assert sorted(narrow) == sorted(wide)


WIDE = "발급 기록 2,000건, 발급 응답을 받은 사용자 2,000명, 재고 2,000장이며 저장소끼리 일치함"


@pytest.mark.parametrize("columns", range(24, 121))
def test_a_table_of_wide_letters_loses_none_of_them(columns: int) -> None:
    for heads in ((), ("판정", "검사", "확인한 내용")):
        made = table(*heads, header=bool(heads))
        made.add_row("정상", "검사", WIDE)
        page = io.StringIO()
        SafeConsole(file=page, width=columns).print(made)
        lines = page.getvalue().splitlines()
        letters = sorted("".join(page.getvalue().split()))
        assert letters == sorted("".join((*heads, "정상", "검사", WIDE)).replace(" ", ""))
        assert all(cell_len(each) <= columns for each in lines)


def test_a_terminal_that_cannot_write_hangul_is_told_so_once(folder: Path) -> None:
    out, err = printed(folder, "check last", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert out.isascii()
    assert "valid" in out
    assert err.count("note: this terminal cannot write") == 1
    assert "LC_ALL=C.UTF-8" in err


def test_a_pipe_gets_korean_without_a_hint(folder: Path) -> None:
    out, err = printed(folder, "check last", LC_ALL="C")
    assert "판정" not in err
    assert "정상" in out
    assert "note:" not in err


def test_the_meanings_of_exit_codes_stand_once_in_english() -> None:
    english = templates("en")
    told = {id_.removeprefix("exit."): text for id_, text in english.items() if "exit." in id_[:5]}
    assert told == {str(int(code)): code.meaning for code in ExitCode}
