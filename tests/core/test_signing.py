"""The user's key: made once, for its owner alone; and what its signatures hold against."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.secrets.signing import (
    KEY_BYTES,
    KEY_FILE,
    NoKeyError,
    RecordPosition,
    SigningKey,
    key_named,
    read_key,
    read_or_make_key,
)

KEY, OTHER = SigningKey(b"k" * KEY_BYTES), SigningKey(b"o" * KEY_BYTES)
SPOT = RecordPosition("run", "journal.jsonl", 3)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key = read_or_make_key(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    assert read_or_make_key(tmp_path) == read_key(tmp_path) == key
    assert key.secret.hex() not in repr(key)


def test_many_who_make_it_at_once_have_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gameday.core.secrets.signing import *;"
        "print(read_or_make_key(Path(sys.argv[1])).name)"
    )
    made = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    assert len({one.communicate()[0] for one in made}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def _link(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(bytes(KEY_BYTES))
    path.symlink_to(path.with_name("elsewhere"))


def _open(path: Path) -> None:
    path.write_bytes(bytes(KEY_BYTES))
    path.chmod(0o640)


def _short(path: Path) -> None:
    path.write_bytes(b"short")
    path.chmod(0o600)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (_link, "cannot be read"),
    "a folder": (Path.mkdir, "no regular file"),
    "a FIFO": (os.mkfifo, "no regular file"),
    "open to others": (_open, "others may read the key"),
    "half a key": (_short, "not a key: 5 bytes"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_key_of_ours_is_refused_with_the_cure(tmp_path: Path, what: str) -> None:
    make, said = BAD[what]
    make(tmp_path / KEY_FILE)
    with pytest.raises(NoKeyError, match=said) as caught:
        read_or_make_key(tmp_path)
    assert caught.value.help
    assert caught.value.exit_code == 4


def test_a_key_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoKeyError, match="cannot be made") as caught:
        read_or_make_key(tmp_path / "nowhere")
    assert "XDG_STATE_HOME" in caught.value.help


@given(TEXTS, TEXTS, st.integers(0, 2**63), st.binary(max_size=40))
def test_a_signature_holds_for_its_key_its_spot_and_its_content_alone(
    run: str, file: str, seq: int, content: bytes
) -> None:
    spot = RecordPosition(run, file, seq)
    made = KEY.sign(spot, content)
    assert KEY.signed(spot, content, made)
    assert key_named(made) == KEY.name
    assert not OTHER.signed(spot, content, made)
    assert not KEY.signed(spot, content + b"x", made)
    moved = [replace(spot, run=run + "x"), replace(spot, file=file + "x"), replace(spot, seq=~seq)]
    assert not any(KEY.signed(other, content, made) for other in moved)
    shifted = RecordPosition(run + file[:1], file[1:], seq)
    assert shifted == spot or not KEY.signed(shifted, content, made)


@pytest.mark.parametrize("signature", ["", ".", KEY.name, f"{KEY.name}.", "é" * 73, "x" * 10**5])
def test_what_is_no_signature_holds_for_nothing(signature: str) -> None:
    assert not KEY.signed(SPOT, b"", signature)
