"""Removing temporary folders: gameday's own, and nothing else."""

from pathlib import Path

import pytest

from gameday.effects.folder import read_back, record, undo
from gameday.errors import StuckFaultError


async def test_a_folder_goes_with_all_it_holds_and_once_more_is_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "gameday-0-abc"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    undoes = record(folder)
    assert not await read_back(undoes.data)

    await undo(undoes.data)
    await undo(undoes.data)

    assert await read_back(undoes.data)
    assert not folder.exists()


async def test_a_folder_of_another_name_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    with pytest.raises(StuckFaultError, match="not a folder that gameday made"):
        await undo({"path": str(folder)})
    assert folder.exists()


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    link = tmp_path / "gameday-link"
    link.symlink_to(precious)
    with pytest.raises(StuckFaultError):
        await undo({"path": str(link)})
    assert precious.exists()


@pytest.mark.parametrize("path", ["/tmp/other", "gameday-relative"])
def test_only_a_folder_that_could_be_removed_is_written_down(path: str) -> None:
    with pytest.raises(ValueError, match="such a folder is named"):
        record(Path(path))
