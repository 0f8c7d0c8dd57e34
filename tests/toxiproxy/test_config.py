"""The server as a program: its options, its file of proxies, how it starts and how it ends."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gameday.core.clock import SystemClock
from gameday.core.errors import FileError, UsageError
from gameday.toxiproxy.__main__ import main
from gameday.toxiproxy.config import create_all, read
from gameday.toxiproxy.proxies import ProxyCollection
from gameday.toxiproxy.settings import Shared
from tests.support.toxiproxy_session import LIMIT_S

MODULE = [sys.executable, "-m", "gameday.toxiproxy"]
COMMAND = [sys.executable, "-m", "gameday", "toxiproxy"]

GOOD = '[{"name": "p", "upstream": "127.0.0.1:1", "listen": "127.0.0.1:0"}]'
# What stands in the file, where the error must point, and what it must say.
BROKEN = [
    ("", "1:1", "not JSON"),
    ("[\n  {,\n]", "2:4", "not JSON"),
    ('[{"name": "p", "upstream": "u:1"}', "1:34", "not JSON"),
    ('[{"name": "p", "upstream": "u:1"}] x', "1:36", "not JSON"),
    (' {"name": "p"}', "1:2", "is not an array of proxies"),
    ("null", "1:1", "null is not an array of proxies"),
    ('[\n  "p"\n]', "2:3", '"p" is not a proxy'),
    ('[\n  {"upstream": "u:1"}\n]', "2:3", "missing required field: name"),
    ('[{"name": "a", "upstream": "u:1"},\n {"name": "b"}]', "2:2", "field: upstream"),
    ('[{"name": "p",\n  "upstream": 5}]', "2:15", "upstream: expected a value of type string"),
    ('[{"name": "p", "upstream": "u:1", "enabled": "yes"}]', "1:46", "enabled: expected a value"),
    (GOOD[:-1] + ",\n" + GOOD[1:], "2:1", "a second proxy is named 'p'"),
    (GOOD.replace("127.0.0.1:0", "nonsense"), "1:2", "proxy 'p': listen: address nonsense"),
]


def start(program: list[str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def listening(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    host, port = json.loads(process.stdout.readline())["listening"]
    return f"http://{host}:{port}"


@pytest.mark.parametrize(
    ("program", "number"),
    [(MODULE, signal.SIGTERM), (COMMAND, signal.SIGINT)],
    ids=["module", "command"],
)
def test_it_announces_its_port_has_its_proxies_and_ends_with_0(
    program: list[str], number: signal.Signals, tmp_path: Path
) -> None:
    config = tmp_path / "proxies.json"
    config.write_text(GOOD)
    with start(program, "--port", "0", "--config", str(config)) as process:
        url = listening(process)
        assert httpx.get(f"{url}/proxies", trust_env=False).json()["p"]["enabled"]
        os.kill(process.pid, number)
        assert process.wait(LIMIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_ctrl_c_in_a_terminal_ends_it_with_0() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--port", "0"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - this test has no threads
    ) as process:
        os.close(theirs)
        listening(process)
        os.write(ours, b"\x03")
        assert process.wait(LIMIT_S) == 0
    os.close(ours)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_taken_port_is_named_and_ends_it_with_4() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = start(COMMAND, "--host", "127.0.0.1", "--port", port)
        _, error = done.communicate(timeout=15)
    assert done.returncode == 4
    assert error.startswith(f"error: 127.0.0.1:{port}: the API cannot listen: ")
    assert "help: choose another --port" in error


def test_a_proxy_whose_port_is_taken_is_named_and_ends_it_with_4(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        config.write_text(GOOD.replace("127.0.0.1:0", listen))
        done = start(MODULE, "--port", "0", "--config", str(config))
        _, error = done.communicate(timeout=15)
    assert done.returncode == 4
    wanted = f"{config}:1:2: proxy 'p': listen tcp {listen}: bind: address already in use"
    assert error.startswith(f"error: {wanted}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "'99999' is not a whole number from 0 to 65535"),
        (["--port", "-1"], "'-1' is not a whole number"),
        (["--connections-max", "0"], "'0' is not a whole number from 1"),
        (["--sed", "7"], "unrecognized arguments: --sed 7"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named_and_ends_it_with_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "said"),
    [("/nowhere", "No such file or directory"), ("/", "a folder"), ("/dev/zero", "a device")],
)
def test_a_file_that_cannot_be_read_is_named(path: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{path}: .*{said}"):
        list(read(Path(path)))


def test_the_help_names_every_option() -> None:
    help_, _ = start(COMMAND, "--help").communicate(timeout=15)
    for option in ("--host", "--port", "--config", "--seed", "--half-close", "--proxy-metrics"):
        assert option in help_


def test_a_broken_file_ends_the_command_with_2_and_its_place(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    config.write_text(BROKEN[1][0])
    done = start(COMMAND, "--port", "0", "--config", str(config))
    said, error = done.communicate(timeout=15)
    assert (done.returncode, said) == (2, "")
    assert error.startswith(f"error: {config}:2:4: not JSON: ")
    assert "help: write an array: " in error


@pytest.mark.parametrize(("text", "place", "said"), BROKEN, ids=lambda value: str(value)[:40])
async def test_a_mistake_in_the_file_is_named_with_its_place(
    text: str, place: str, said: str, tmp_path: Path
) -> None:
    config = tmp_path / "proxies.json"
    config.write_text(text)
    with pytest.raises(FileError) as caught:
        await create_all(ProxyCollection(Shared(clock=SystemClock(), seed=1)), config)
    assert str(caught.value.place) == f"{config}:{place}"
    assert said in caught.value.problem
    assert caught.value.help


def test_a_file_that_is_not_text_is_refused_at_the_byte(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    config.write_bytes(b'[\n "\xff"]')
    with pytest.raises(FileError, match="2:3: byte 0xff is not UTF-8"):
        list(read(config))


def test_a_byte_order_mark_is_accepted_and_moves_no_place(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    config.write_text(GOOD, "utf-8-sig")
    assert [entry.wanted.name for entry in read(config)] == ["p"]
    config.write_bytes(b'\xef\xbb\xbf[\n {"name": 5}]')
    with pytest.raises(FileError, match="2:11: name: expected a value of type string"):
        list(read(config))
    config.write_bytes(b'\xef\xbb\xbf[\n "\xff"]')
    with pytest.raises(FileError, match="2:3: byte 0xff is not UTF-8"):
        list(read(config))


def test_a_key_that_nothing_reads_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "proxies.json"
    config.write_text(GOOD.replace("}", ',\n "toxics": []}'))
    (entry,) = read(config)
    assert entry.wanted.name == "p"
    assert caplog.messages == [f"{config}:2:2: 'toxics' is not read"]
