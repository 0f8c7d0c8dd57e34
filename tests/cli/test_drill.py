"""`gameday drill` from the command line: what is asked, refused and said before a drill begins."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.evidence.sealed_box import Box
from gameday.run import hold, locks
from gameday.run.locks import RunCommand

CONSOLE_SCRIPT = "import sys; from gameday.cli import main; sys.exit(main())"
"""What an installed `gameday` is: `python -m gameday` loads more before it comes to the command."""


def test_the_installed_command_knows_its_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONSOLE_SCRIPT, "drill", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for command in ("live", "abort", "score", "baselines", "forget"):
        assert f"\n  {command} " in done.stdout, command


def test_a_drill_that_is_refused_keeps_no_key_file_and_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    key = tmp_path / "key"
    words = ["drill", "live", "redis-slow", "--runs", str(tmp_path), "--key-file", str(key)]
    hold.put("incident 7", "ann")
    for _ in range(2):
        done = CliRunner().invoke(main, words)
        assert (done.exit_code, "on hold" in done.stderr) == (2, True), done.stderr
        assert not key.exists()
        assert "nobody can lead" not in done.stderr
    assert "nobody can lead this drill" in CliRunner().invoke(main, words[:-2]).stderr
    key.write_text("of another drill")
    assert "File exists" in CliRunner().invoke(main, words).stderr
    assert key.read_text() == "of another drill"


@pytest.mark.parametrize("mode", [["redis-slow", "--mode", "tabletop"], ["--replay", "r"]], ids=str)
def test_neither_does_a_session_without_a_system(
    tmp_path: Path, mode: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    key, runs = tmp_path / "key", tmp_path / "runs"
    (runs / "r").mkdir(parents=True)
    (runs / "r" / "journal.jsonl").touch()
    hold.put("incident 7", "ann")
    done = CliRunner().invoke(
        main, ["drill", "live", *mode, "--runs", str(runs), "--key-file", str(key)]
    )
    assert done.exit_code == 2, done.output
    assert not key.exists()


async def test_the_facilitators_token_comes_from_a_file_or_a_variable_and_is_no_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    heard: list[RunCommand] = []

    def answer(command: RunCommand) -> locks.Reply:
        heard.append(command)
        return locks.Reply(ok=True, run="r")

    box = Box.new()
    (tmp_path / "key").write_text(box.text)
    presence = locks.Presence("r", tmp_path).take()
    server = await locks.serve(presence.socket, answer)

    async def hint(*more: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["drill", "hint", *more])

    assert "takes the token of the drill" in (await hint()).stderr
    assert "No such option" in (await hint("--token", box.token)).stderr
    assert not heard
    assert (await hint("--key-file", str(tmp_path / "key"))).exit_code == 0
    monkeypatch.setenv("GAMEDAY_DRILL_TOKEN", box.token)
    assert (await hint()).exit_code == 0
    assert [each.token for each in heard] == [box.token] * 2
    server.close()
    presence.drop()
