"""`gameday up` and `gameday down`, as a person types them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.stack_parts import BOTH, BROKEN, MUTE, SERVICE, document_of, eventually, running


class Terminal:
    """A terminal with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "state" / "gameday" / "stack.json"
        self._environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}

    def system(self, program: str = SERVICE, **env: str) -> str:
        (self.folder / "service.py").write_text(program)
        path = self.folder / "system.yaml"
        path.write_text(json.dumps(document_of(**env)))
        return str(path)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gameday", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=50)
            return process.returncode, out, err

    def kept(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}
        return found

    def running(self) -> list[str]:
        return running(self.kept().get("undo", []))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.run("down")
    assert not made.file.exists()


def test_up_stays_and_down_leaves_nothing(terminal: Terminal) -> None:
    file = terminal.system(SERVICE, **BOTH)

    code, out, err = terminal.run("up", "--system", file)

    assert code == 0, err
    assert "tiny is up after" in out
    kept = terminal.kept()
    assert kept["base_url"] in out
    assert not any(secret in out + err for secret in kept["secrets"])
    assert kept["toxiproxy_token"] == Path(kept["token_file"]).read_text()
    assert kept["toxiproxy_token"] in kept["secrets"]
    assert sorted(terminal.running()) == ["postgres", "redis", "service", "toxiproxy"]
    folder = next(Path(each["path"]) for each in kept["undo"] if each["kind"] == "folder")
    assert folder.exists()

    code, out, _ = terminal.run("down")

    assert (code, out) == (0, "tiny is down\n")
    assert running(kept["undo"]) == []
    assert not folder.exists()
    assert terminal.run("down")[:2] == (0, "no stack is kept running\n")


def test_a_stack_with_an_open_toxiproxy_has_no_token(terminal: Terminal) -> None:
    file = terminal.system(SERVICE, REDIS_URL="{redis}")
    assert terminal.run("up", "--open-toxiproxy", "--system", file)[0] == 0
    kept = terminal.kept()
    assert (kept["toxiproxy_token"], kept["token_file"]) == (None, None)
    answer = httpx.post(f"{kept['addresses']['toxiproxy']}/reset", trust_env=False)
    assert answer.status_code == 204


def test_a_second_up_is_refused_and_names_the_first(terminal: Terminal) -> None:
    file = terminal.system()
    assert terminal.run("up", "--system", file)[0] == 0

    code, _, err = terminal.run("up", "--system", file)

    assert code == 2
    assert f"'tiny' at {terminal.kept()['base_url']}" in err
    assert "gameday down ends it" in err


def test_down_ends_what_is_left_when_some_died(terminal: Terminal) -> None:
    assert terminal.run("up", "--system", terminal.system(SERVICE, **BOTH))[0] == 0
    kept = terminal.kept()
    pids = {each["name"]: each["pid"] for each in kept["undo"] if each["kind"] == "process"}
    os.kill(pids["redis"], signal.SIGKILL)
    assert eventually(lambda: "redis" not in terminal.running())

    assert terminal.run("down")[0] == 0
    assert running(kept["undo"]) == []


def test_an_up_that_fails_says_why_and_leaves_nothing(terminal: Terminal) -> None:
    code, out, err = terminal.run("up", "--system", terminal.system(BROKEN))
    assert (code, out) == (4, "")
    assert "error: service: it ended with exit code 3" in err
    assert "| no such table: coupons" in err
    assert "Traceback" not in err
    assert not terminal.file.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing(terminal: Terminal, number: signal.Signals) -> None:
    with terminal.start("up", "--system", terminal.system(MUTE)) as process:
        assert eventually(lambda: "service" in terminal.running())
        records = terminal.kept()["undo"]
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 5
    assert "nothing is left running" in err
    assert running(records) == []
    assert not terminal.file.exists()


def test_down_finds_what_a_killed_up_left(terminal: Terminal) -> None:
    with terminal.start("up", "--system", terminal.system(MUTE)) as process:
        assert eventually(lambda: "service" in terminal.running())
        records = terminal.kept()["undo"]
        process.kill()
        process.communicate()
    assert running(records) == ["service"]

    assert terminal.run("down")[0] == 0
    assert running(records) == []
