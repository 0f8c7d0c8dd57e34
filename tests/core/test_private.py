"""What gameday writes is for its user alone, whatever the umask; what the user asks for is not."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.core.errors import UsageError
from gameday.core.files.private import as_asked, make_folder, only_for_us, own_folder


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_is_for_others_and_the_umask_comes_back(tmp_path: Path) -> None:
    with only_for_us():
        (tmp_path / "file").write_text("x")
        (tmp_path / "folder").mkdir()
        with as_asked():
            (tmp_path / "asked").write_text("x")
        (tmp_path / "again").write_text("x")
    (tmp_path / "after").write_text("x")
    assert [mode(tmp_path / name) for name in ("file", "folder", "asked", "again", "after")] == [
        *(0o600, 0o700, 0o666, 0o600, 0o666)
    ]


def test_a_folder_is_made_for_us_with_all_above_it_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    made = make_folder(tmp_path / "there" / "between" / "run")
    assert [mode(each) for each in (made, made.parent, tmp_path / "there")] == [
        *(0o700, 0o700, 0o755)
    ]
    with pytest.raises(FileExistsError):
        make_folder(made)


def test_a_lasting_folder_that_others_can_read_is_shut(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o777)
    assert mode(own_folder(tmp_path / "state", "")) == 0o700
    assert mode(own_folder(tmp_path / "new" / "state", "")) == 0o700


def test_a_link_is_no_folder_of_ours(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="symbolic link"):
        own_folder(tmp_path / "state", "cure")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises((UsageError, FileExistsError)):
        own_folder(tmp_path / "broken", "cure")


def test_a_folder_that_everybody_may_replace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o777)
    with pytest.raises(UsageError, match="everybody may write"):
        own_folder(tmp_path / "shared" / "state", "cure")
    (tmp_path / "shared").chmod(0o1777)  # as /tmp is: what is ours stays ours
    assert mode(own_folder(tmp_path / "shared" / "state", "")) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 12345, 12345)
    with pytest.raises(UsageError, match="belongs to user 12345"):
        own_folder(tmp_path / "state", "cure")
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(UsageError, match="belongs to user 12345"):
        own_folder(tmp_path / "theirs" / "state", "cure")
