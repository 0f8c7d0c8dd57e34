"""Removing temporary folders: gameday's own, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from gameday.core.errors import StuckFaultError
from gameday.injection.drivers.folder import MARK, look, mark, record, undo
from gameday.spec.undos import FolderUndo


def made(undoes: FolderUndo) -> Path:
    folder = undoes.path
    folder.mkdir()
    mark(undoes)
    return folder


async def test_a_folder_goes_with_all_it_holds_and_once_more_is_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "gameday-0-abc"
    undoes = record(folder)
    made(undoes)
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    assert (await look(undoes)).gone is False

    await undo(undoes)
    await undo(undoes)

    assert (await look(undoes)).gone is True
    assert not folder.exists()


async def test_from_another_machine_nothing_is_told_of_it(tmp_path: Path) -> None:
    made = record(tmp_path / "gameday-gone")
    assert (await look(made)).gone is True
    assert (await look(replace(made, seen_from="cache pid:[4711]"))).gone is None


async def test_a_folder_of_another_name_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    with pytest.raises(StuckFaultError, match="not a folder that gameday made"):
        await undo(FolderUndo(path=folder))
    assert folder.exists()


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    link = tmp_path / "gameday-link"
    link.symlink_to(precious)
    with pytest.raises(StuckFaultError):
        await undo(FolderUndo(path=link))
    assert precious.exists()


@pytest.mark.parametrize("path", ["/tmp/other", "gameday-relative"])
def test_only_a_folder_that_could_be_removed_is_written_down(path: str) -> None:
    with pytest.raises(ValueError, match="such a folder is named"):
        record(Path(path))


async def test_a_folder_that_was_not_marked_yet_is_removed_while_it_is_empty(
    tmp_path: Path,
) -> None:
    undoes = record(tmp_path / "gameday-0-abc")
    folder = undoes.path
    folder.mkdir()
    await undo(undoes)
    assert not folder.exists()


async def test_somebodys_project_of_that_name_is_not_removed(tmp_path: Path) -> None:
    folder = made(record(tmp_path / "gameday-project"))
    (folder / "work").write_text("of a year")
    for forged in (FolderUndo(path=folder), FolderUndo(path=folder, mark="0" * 32)):
        with pytest.raises(StuckFaultError, match="not a folder that gameday made"):
            await undo(forged)
    assert (folder / "work").read_text() == "of a year"


async def test_what_could_not_be_removed_can_be_removed_later(tmp_path: Path) -> None:
    """A removal that was killed half-way leaves the mark until all the rest is gone."""
    undoes = record(tmp_path / "gameday-0-abc")
    folder = made(undoes)
    (folder / "deep").mkdir()
    (folder / "file").write_text("x")
    assert (folder / MARK).exists()
    (folder / "file").unlink()
    await undo(undoes)
    assert not folder.exists()
