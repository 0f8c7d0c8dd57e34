"""Logs of a service that runs on: a run keeps what was added in it, and says what was lost."""

import os
from pathlib import Path

import pytest

from gameday.spec.system import System
from gameday.stacks import log_tails
from gameday.stacks.external import ExternalStack
from gameday.stacks.log_tails import LogTails, copies_of
from gameday.stacks.stack import new_work_dir
from tests.support.stack_parts import Ground, document_of

LINE = '{"time": "2026-11-23T08:30:00Z"}\n'


def kept(tails: LogTails, tmp_path: Path, name: str = "service") -> str:
    tails.keep(tmp_path / "logs")
    return (tmp_path / "logs" / f"{name}.log").read_text()


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_was_added_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "app.json"
    log.write_text("of yesterday\n")
    tails = LogTails(copies_of([log]))
    add(log, LINE)
    assert kept(tails, tmp_path) == LINE


def test_a_log_that_appears_during_the_run_is_kept_whole(tmp_path: Path) -> None:
    tails = LogTails(copies_of([tmp_path / "app.json"]))
    (tmp_path / "app.json").write_text(LINE)
    assert kept(tails, tmp_path) == LINE


def test_a_log_that_is_replaced_or_cut_short_says_that_some_is_lost(tmp_path: Path) -> None:
    for name in ("renamed", "truncated"):
        log = tmp_path / name
        log.write_text("of yesterday\n" * 100)
        tails = LogTails({name: log})
        add(log, "lost\n")
        if name == "renamed":
            os.rename(log, tmp_path / "old")
        log.write_text(LINE)
        told = kept(tails, tmp_path, name)
        assert (
            told == f"\n({name}: it was rotated while the run went on: some of it is lost)\n{LINE}"
        )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "No such file or directory"),
        ("folder", "it is a folder, not a file"),
        ("fifo", "it is a FIFO, not a file"),
        ("gone\x00", "it is no name of a file"),
    ],
)
def test_what_is_no_log_says_so_and_is_not_waited_for(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert why in kept(LogTails(copies_of([tmp_path / name])), tmp_path)


def test_no_more_is_kept_than_a_disk_can_bear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_tails, "MOST_BYTES", 1000)
    log = tmp_path / "app.json"
    tails = LogTails(copies_of([log]))
    log.write_text("x" * 5000)
    told = kept(tails, tmp_path)
    assert told.startswith("x" * 1000 + "\n(app.json: more than")
    assert len(told) < 1200


async def test_an_external_system_names_its_logs_from_the_folder_of_its_file(
    tmp_path: Path,
) -> None:
    ground = Ground(tmp_path, new_work_dir())
    logs = [ground.site.system_dir / name for name in ("a.json", "b.json")]
    for log in logs:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("old\n")
    stack = ExternalStack()
    system = System.model_validate({**document_of(), "logs": ["a.json", "b.json"]})
    await stack.start(system, ground.site)
    add(logs[1], LINE)
    assert await stack.stop() == []
    copies = {path.name: path.read_text() for path in ground.site.logs_dir.glob("*.log")}
    assert copies == {"service-1.log": "", "service-2.log": LINE}
