"""Logs of a service that runs on: a run keeps what was added in it, and says what was lost."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from gameday.core.clock import NS
from gameday.evidence.log_file import LogGap
from gameday.evidence.service_logs import LogReader
from gameday.spec.system import System
from gameday.stacks import log_tails
from gameday.stacks.external import ExternalStack
from gameday.stacks.log_tails import LogTails, copies_of
from gameday.stacks.stack import new_work_dir
from tests.support.stack_parts import Ground, document_of

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
LINE = '{"time": "2026-11-23T08:30:00Z"}\n'


def line_at(second: int) -> str:
    return json.dumps({"time": (AT + timedelta(seconds=second)).isoformat()}) + "\n"


def gaps(run_dir: Path) -> Sequence[LogGap]:
    """What a search of the copy cannot say anything about, on a clock that begins at `AT`."""
    reader = LogReader([], round(AT.timestamp()) * NS, 0, 3600 * NS)
    (source,) = reader.read(run_dir).sources
    return source.gaps


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


@pytest.mark.parametrize(
    ("name", "why"),
    [("renamed", "was rotated"), ("removed", "was rotated"), ("cut", "was cut short")],
)
def test_a_log_that_is_replaced_or_cut_short_says_that_some_is_lost(
    tmp_path: Path, name: str, why: str
) -> None:
    log = tmp_path / name
    log.write_text("of yesterday\n" * 100)
    tails = LogTails({name: log})
    add(log, "lost\n")
    if name == "renamed":
        os.rename(log, tmp_path / "old")
    elif name == "removed":
        log.unlink()
    log.write_text(LINE)
    told = kept(tails, tmp_path, name)
    assert told == (
        f"\n(gameday: {name}: it {why} while the run went on: some of it is lost)\n{LINE}"
    )


@pytest.mark.parametrize("before", ["", "of yesterday\n"])
@pytest.mark.parametrize("how", ["written anew", "removed", "missing for a moment"])
def test_a_log_that_was_cut_short_and_has_grown_again_is_no_proof_of_silence(
    tmp_path: Path, before: str, how: str
) -> None:
    log = tmp_path / "app.json"
    log.write_text(before)
    tails = LogTails(copies_of([log]))
    add(log, line_at(12))
    tails.look()
    if how != "written anew":
        log.unlink()
    if how == "missing for a moment":
        tails.look()
    log.write_text("".join(line_at(second) for second in range(14, 60)))
    kept(tails, tmp_path)
    (gap, *more) = gaps(tmp_path)
    assert more == []
    assert gap.touches(0, 1) and gap.touches(12 * NS, 13 * NS) and gap.touches(50 * NS, 70 * NS)


def test_a_log_that_only_grows_has_no_gap(tmp_path: Path) -> None:
    log = tmp_path / "app.json"
    log.write_text("of yesterday\n" * 1000)
    tails = LogTails(copies_of([log]))
    for second in range(10, 30):
        add(log, line_at(second))
        tails.look()
    assert kept(tails, tmp_path) == "".join(line_at(second) for second in range(10, 30))
    assert gaps(tmp_path) == []


@pytest.mark.parametrize("was_there", [True, False])
@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_link_that_is_put_in_the_place_of_a_log_is_not_followed(
    tmp_path: Path, was_there: bool, where: str
) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "logs-of-the-app"
    (tmp_path / "elsewhere").mkdir()
    for each in (secret, tmp_path / "elsewhere" / "app.json"):
        each.write_text("root:x:0\n")
    folder.mkdir()
    log = folder / "app.json"
    if was_there:
        log.write_text("old\n")
    tails = LogTails(copies_of([log]))
    log.unlink(missing_ok=True)
    if where == "file":
        log.symlink_to(secret)
    else:
        folder.rmdir()
        folder.symlink_to(tmp_path / "elsewhere")
    told = kept(tails, tmp_path)
    assert "leads to another place than at first: nothing of it is copied" in told
    assert "root" not in told
    assert gaps(tmp_path)[0].touches(0, 1)


def test_a_log_that_was_a_link_from_the_beginning_is_read(tmp_path: Path) -> None:
    (tmp_path / "today.json").write_text("old\n")
    log = tmp_path / "app.json"
    log.symlink_to("today.json")
    tails = LogTails(copies_of([log]))
    add(log, LINE)
    assert kept(tails, tmp_path) == LINE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("was_there", [True, False])
def test_a_log_of_another_owner_than_at_first_is_not_copied(
    tmp_path: Path, was_there: bool
) -> None:
    log = tmp_path / "app.json"
    if was_there:
        log.write_text("")
    tails = LogTails(copies_of([log]))
    log.write_text("of somebody\n")
    os.chown(log, 12345, 12345)
    told = kept(tails, tmp_path)
    assert (
        told
        == "\n(gameday: app.json: its owner is another than at first: nothing of it is copied)\n"
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


def test_a_log_is_looked_at_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to ask: what was lost between two looks is seen by the thread."""
    monkeypatch.setattr(log_tails, "LOOK_S", 0.01)
    seen = Event()

    class Seen(LogTails):
        def look(self) -> None:
            super().look()
            seen.set()

    log = tmp_path / "app.json"
    log.write_text("")
    tails = Seen(copies_of([log]))
    add(log, "x" * 100)
    for _ in range(2):  # one of them may have been under way
        seen.clear()
        assert seen.wait(20)
    log.write_text("y" * 200)
    assert "cut short" in kept(tails, tmp_path)


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
