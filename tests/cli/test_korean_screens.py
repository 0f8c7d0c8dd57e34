"""Screens in Korean: no English sentence is left, and no word is lost where letters are wide."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

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


def screen(folder: Path, line: str, columns: int = 80, **environment: str) -> tuple[str, str]:
    """What a command says in Korean on stdout, and on stderr."""
    names = sorted(path.name for path in (folder / "runs").iterdir())
    args = [names[int(each)] if each in ("0", "1") else each for each in line.split()]
    if line.startswith(("runs prune", "compare")):
        args = [each if each != names[1] or "compare" in line else "1" for each in args]
    answer = subprocess.run(
        [sys.executable, "-m", "gameday", "--lang", "ko", *args],
        cwd=folder,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder / "home"),
            "COLUMNS": str(columns),
            "PYTHONUTF8": "1",
            **environment,
        },
        capture_output=True,
        check=False,
    )
    return answer.stdout.decode(), answer.stderr.decode()


@pytest.mark.parametrize("line", SCREENS)
def test_no_english_sentence_is_left_on_a_screen(folder: Path, line: str) -> None:
    out, err = screen(folder, line, columns=200)
    assert re.search("[가-힣]", out), (out, err)
    lines = [_NOT_OURS.sub("·", each) for each in out.splitlines()]
    # Problems, warnings and why a run is left out are the words of errors, which stay English.
    errors = ("경고", "문제", "→", "->", "제외")
    told = [each for each in lines if not each.strip().startswith(errors)]
    assert not [found for each in told for found in _ENGLISH.findall(each)], out


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("line", ["check last", "plan redis-slow", "list", "readiness", "runs"])
def test_no_line_is_wider_than_the_terminal(folder: Path, line: str, columns: int) -> None:
    out, _ = screen(folder, line, columns)
    assert len(out.splitlines()) > 3
    assert [each for each in out.splitlines() if cell_len(each) > columns] == []


@pytest.mark.parametrize("line", ["runs", "schedule", "list"])
def test_a_narrow_terminal_loses_no_letter(folder: Path, line: str) -> None:
    narrow, wide = ("".join(screen(folder, line, columns)[0].split()) for columns in (40, 200))
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
    out, err = screen(folder, "check last", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert out.isascii()
    assert "valid" in out
    assert err.count("note: this terminal cannot write") == 1
    assert "LC_ALL=C.UTF-8" in err


def test_a_pipe_gets_korean_without_a_hint(folder: Path) -> None:
    out, err = screen(folder, "check last", LC_ALL="C")
    assert "판정" not in err
    assert "정상" in out
    assert "note:" not in err


def test_the_meanings_of_exit_codes_stand_once_in_english() -> None:
    english = templates("en")
    told = {id_.removeprefix("exit."): text for id_, text in english.items() if "exit." in id_[:5]}
    assert told == {str(int(code)): code.meaning for code in ExitCode}
