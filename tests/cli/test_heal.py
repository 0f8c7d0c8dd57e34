"""`gameday heal` from the command line: whose runs it heals, and the way out for all others."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.core.secrets.signing import KEY_BYTES, SigningKey
from gameday.evidence.provenance import read, vouched
from gameday.evidence.sealed_box import Box
from gameday.injection.heal import Healer, Left, foreign_due
from gameday.injection.heal import heal as heal_run
from gameday.injection.process.process import record
from tests.support.events import event_of
from tests.support.signed import KEY, own_key, signed

ROOT = Path(__file__).parents[2]
RUN = "20261128T200000Z-drop-aaaa"
OTHER_KEY = SigningKey(b"o" * KEY_BYTES)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with a key, and a run of theirs that was killed with a folder left."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    own_key(tmp_path / "state")
    return tmp_path


def killed(place: Path, name: str = RUN, key: SigningKey | None = KEY) -> Path:
    """A run that was killed with a part of its stack there: the folder, which is returned."""
    run, left = place / "runs" / name, place / f"gameday-{name[-4:]}"
    run.mkdir(parents=True)
    left.mkdir()
    book = signed(run / "journal.jsonl")
    book.key = key
    book.write(event_of("run.started", run=name, controller=None, allowed=[]))
    undo = {"kind": "folder", "path": str(left), "mark": "of nothing"}
    book.write(event_of("stack.starting", name="folder", undo=[undo]))
    book.close()
    return left


def heal(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["heal", *arguments])


def said(result: Result) -> str:
    return " ".join(result.output.split())


def test_ones_own_run_is_healed_and_that_is_signed(place: Path) -> None:
    left = killed(place)
    assert heal().exit_code == 0
    assert not left.exists()


def test_a_sealed_drill_without_its_key_is_never_claimed_to_be_gone(place: Path) -> None:
    left, box = place / "gameday-hidden", Box.new()
    run = place / "runs" / "20261128T200000Z-drill-aaaa"
    run.mkdir(parents=True)
    left.mkdir()
    book = signed(run / "journal.jsonl")
    book.box = box
    book.write(event_of("run.started", run=run.name, controller=None, allowed=[]))
    undo = {"kind": "folder", "path": str(left), "mark": "of nothing"}
    book.write(
        event_of("fault.injecting", id="f1", fault="a.b", target="c", changes=[], undo=[undo])
    )
    book.close()

    done = heal()
    assert done.exit_code == 6
    assert "1 records are sealed until the debrief" in said(done)
    assert "--key-file" in said(done)
    assert left.exists()

    (place / "key").write_text(box.text)
    assert heal("--key-file", "key").exit_code == 0
    assert not left.exists()
    (place / "key").write_text("no key")
    assert heal("--key-file", "key").exit_code == 2


@pytest.mark.parametrize("mode", ["tabletop", "replay"])
def test_a_killed_session_without_a_system_has_left_nothing(place: Path, mode: str) -> None:
    run = place / "runs" / "20261128T200000Z-drill-aaaa"
    run.mkdir(parents=True)
    book = signed(run / "journal.jsonl")
    book.box = Box.new()
    book.write(event_of("run.started", run=run.name, controller=None, allowed=[]))
    book.write(event_of("drill.started", mode=mode))
    book.write(event_of("drill.truth", what="injected"))
    book.close()
    assert b"drill.truth" not in book.path.read_bytes()
    for done in (heal(), heal("--trust", run.name)):
        assert done.exit_code == 0, said(done)


def test_a_lost_key_is_told_with_the_way_out(place: Path) -> None:
    left = killed(place)
    (place / "state" / "gameday" / "signing.key").unlink()
    done = heal()
    assert done.exit_code == 6
    assert "there is no key" in said(done)
    assert f"gameday heal --trust runs/{RUN}" in said(done)
    assert left.exists()
    done = heal("--trust", RUN)
    assert done.exit_code == 0, done.output
    assert not left.exists()
    assert heal().exit_code == 0, "nothing is due any more, whoever signed it"


def test_a_run_of_another_machine_is_told_from_an_unsigned_one(place: Path) -> None:
    killed(place, key=OTHER_KEY)
    killed(place, "20261128T200000Z-drop-bbbb", key=None)
    done = heal()
    assert done.exit_code == 6
    assert f"signed with the key {OTHER_KEY.name}, and yours is {KEY.name}" in said(done)
    assert "drop-bbbb: not signed, so not undone" in said(done)


def test_old_runs_that_say_they_are_clean_are_counted_and_not_looked_at(place: Path) -> None:
    killed(place, key=None)
    run = place / "runs" / RUN
    shutil.rmtree(place / "gameday-aaaa")
    done = heal()
    assert done.exit_code == 0
    assert "1 runs are not signed by you on this machine" in said(done)
    assert foreign_due(read(run, KEY)) == []


def test_a_container_with_a_fresh_home_says_so(place: Path, monkeypatch: Any) -> None:
    """The run directory is mounted, the state folder is not."""
    left = killed(place)
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "fresh"))
    done = heal()
    assert done.exit_code == 6
    assert f"signed with the key {KEY.name}, and there is no key here" in said(done)
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
    assert heal().exit_code == 0, "with the state folder mounted too it is healed"
    assert not left.exists()


def test_trust_shows_what_is_signalled_before_it_is(place: Path) -> None:
    run = place / "runs" / RUN
    run.mkdir(parents=True)
    process = subprocess.Popen(
        ["/bin/sh", "-c", "echo; exec sleep 60"], start_new_session=True, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    undo = record(process.pid, "redis\x1b[2J").as_json()
    book = signed(run / "journal.jsonl", OTHER_KEY)
    book.write(event_of("stack.starting", name="redis", undo=[undo]))
    book.close()
    assert heal().exit_code == 6
    assert process.poll() is None
    done = heal("--trust", RUN)
    assert done.exit_code == 0, done.output
    process.communicate(timeout=10)
    assert process.returncode is not None
    assert f"sends 'SIGTERM', then SIGKILL, to process {process.pid}" in said(done)
    assert "\x1b" not in done.output


def test_what_is_asked_for_wrongly_is_refused(place: Path) -> None:
    killed(place)
    assert heal(RUN, "--trust", RUN).exit_code == 2
    assert heal("--with-secrets").exit_code == 2
    assert heal("--trust", "zzzz").exit_code == 2
    assert heal("--allow-target", "no host!").exit_code == 2


def test_a_run_needs_a_key_and_says_how_to_have_one(place: Path) -> None:
    """Neither a run that nobody could heal, nor a bug."""
    key = place / "state" / "gameday" / "signing.key"
    key.unlink()
    key.mkdir()
    words = ["-m", "gameday", "run", "redis-slow", "--short", "--runs", str(place / "runs")]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    assert f"rm {key}" in done.stderr
    assert not (place / "runs").exists()


@contextmanager
def another_user(uid: int = 65534) -> Iterator[None]:
    """Be somebody else for a moment."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_root_is_not_the_user_and_the_user_is_not_root(place: Path) -> None:
    """With sudo the home is root's, or it is the user's state folder, which is not root's."""
    left = killed(place, key=OTHER_KEY)  # the user's key; this user, root, has its own
    done = heal()
    assert done.exit_code == 6
    assert "gameday heal --trust" in said(done)
    state = place / "state" / "gameday"
    os.chown(state, 65534, 65534)  # sudo -E: the state folder is the user's
    done = heal()
    assert done.exit_code == 6
    assert "it belongs to user 65534, and you are 0" in said(done)
    assert left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_user_cannot_heal_what_root_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    heal()  # imports what another user may not read
    base = Path(tempfile.mkdtemp(prefix="healing-"))  # where everybody may pass
    base.chmod(0o755)
    try:
        left = killed(base)
        (base / "runs").chmod(0o755)
        (base / "runs" / RUN).chmod(0o700)
        (base / "home").mkdir()
        os.chown(base / "home", 65534, 65534)
        monkeypatch.setenv("XDG_STATE_HOME", str(base / "home"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "home"))
        monkeypatch.chdir(base)
        with another_user():
            done = heal(RUN)
        assert done.exit_code == 6, done.output
        assert "cannot be read: Permission denied" in said(done)
        assert left.exists()
    finally:
        shutil.rmtree(base)


def test_the_healer_of_a_vouched_run_is_asked_before_each(place: Path) -> None:
    """What may not be done is said, and the rest is done."""
    killed(place)
    asked: list[str] = []

    def may(left: Left) -> str:
        asked.append(left.name)
        return "no"

    healer = Healer({}, KEY, may)
    (one,) = asyncio.run(heal_run(vouched(place / "runs" / RUN), healer))
    assert (one.gone, one.why, asked) == (None, "no", ["folder"])
