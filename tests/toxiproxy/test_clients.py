"""Others' word for it: clients of others drive the server, and the real server is compared.

The comparison runs the same session against both and compares answer by answer. It needs the real
program (GAMEDAY_TOXIPROXY, or `toxiproxy-server` on the PATH) and is skipped, saying so, without.
"""

import json
import os
import re
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.toxiproxy_clients import (
    SESSION_LIMIT_S,
    Absent,
    Command,
    go_command,
    node_command,
    ruby_command,
)
from tests.support.toxiproxy_session import (
    OURS,
    Pair,
    Session,
    ending,
    read_all,
    real_program,
    running,
)

with warnings.catch_warnings():  # the client is from 2019 and imports what Python has outgrown
    warnings.simplefilter("ignore")
    import toxiproxy
    import toxiproxy.api
    import toxiproxy.exceptions


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_python_client_of_others_drives_the_server() -> None:
    with running(OURS) as session:
        server = toxiproxy.Toxiproxy()
        server.update_api_consumer("127.0.0.1", session.port)
        assert server.running()
        assert b"2.12.0" in server.version()
        proxy = server.create(upstream=session.upstream_address, name="p")
        with pytest.raises(toxiproxy.exceptions.ProxyExists):
            server.create(upstream="x:1", name="p")
        port = int(proxy.listen.rpartition(":")[2])
        proxy.add_toxic(type="latency", attributes={"latency": 80})
        with session.pair(port) as pair:
            assert pair.through() >= 0.08
            proxy.destroy_toxic("latency_downstream")
            assert pair.through() < 0.08
        with pytest.raises(toxiproxy.exceptions.InvalidToxic):
            proxy.add_toxic(type="down")
        with proxy.down():
            assert session.ask("GET", "/proxies/p").json()["enabled"] is False
        assert server.get_proxy("p").enabled
        assert server.populate([{"name": "q", "upstream": "x:1", "listen": "127.0.0.1:0"}])
        server.reset()
        server.destroy_all()
        assert server.proxies() == {}
        assert proxy.toxics is not None


@contextmanager
def guarded(folder: Path) -> Iterator[Session]:
    """A server that wants a token before it changes anything, with a proxy `p`."""
    token, config = folder / "token", folder / "proxies.json"
    token.touch(0o600)
    token.write_text("0123456789abcdef")
    config.write_text('[{"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}]')
    with running([*OURS, "--token-file", str(token), "--config", str(config)]) as session:
        before = session.ask("GET", "/proxies").json()
        yield session
        assert session.ask("GET", "/proxies").json() == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_python_client_of_others_may_look_but_not_change_without_a_token(
    tmp_path: Path,
) -> None:
    with guarded(tmp_path) as session:
        server = toxiproxy.Toxiproxy()
        server.update_api_consumer("127.0.0.1", session.port)
        assert server.running()
        assert b"2.12.0" in server.version()
        assert server.get_proxy("p").enabled
        post, delete = toxiproxy.api.APIConsumer.post, toxiproxy.api.APIConsumer.delete
        refused = [
            post("/proxies", json={"name": "q", "upstream": "u:1"}),
            post("/proxies/p/toxics", json={"type": "noop"}),
            post("/populate", json=[]),
            post("/reset"),
            delete("/proxies/p"),
        ]
        assert [answer.status_code for answer in refused] == [401] * 5
        assert {"token" in answer.json()["error"] for answer in refused} == {True}


COMMANDS = [node_command, go_command, ruby_command]


@pytest.mark.timeout(200)  # the first time, a client is fetched and perhaps compiled
@pytest.mark.parametrize("command", COMMANDS)
def test_clients_in_other_languages_may_look_but_not_change_without_a_token(
    command: Callable[..., Command], tmp_path: Path
) -> None:
    with guarded(tmp_path) as session:
        seen = json.loads(run(session, command, "guarded"))
    assert seen == {"version": "2.12.0", "names": ["p"], "refused": [401] * 6}


def run(session: Session, command: Callable[..., Command], *more: str) -> bytes:
    """What a client's session with the server prints."""
    try:
        argv, env = command(f"http://127.0.0.1:{session.port}", session.upstream_address)
    except Absent as absent:
        pytest.skip(f"this client cannot be had here: {absent}")
    return subprocess.run(
        [*argv, *more],
        env=os.environ | env,
        stdout=subprocess.PIPE,
        timeout=SESSION_LIMIT_S,
        check=True,
    ).stdout


@pytest.mark.timeout(200)  # the first time, a client is fetched and perhaps compiled
@pytest.mark.parametrize("command", COMMANDS)
def test_clients_in_other_languages_drive_the_server(command: Callable[..., Command]) -> None:
    with running(OURS) as session, echoing(session.upstream):
        seen = json.loads(run(session, command))
    late, soon = seen.pop("late"), seen.pop("soon")
    assert (late["text"], soon["text"]) == ("hello", "hello")
    assert soon["ms"] < 80 <= late["ms"]
    assert seen == {
        "version": "2.12.0",
        "again": 409,
        "unknown": 400,
        "removed": 404,
        "updated": 0,
        "disabled": False,
        "refused": True,
        "after_reset": True,
        "names": ["p", "q"],
        "left": 0,
    }


@contextmanager
def echoing(listener: socket.socket) -> Iterator[None]:
    """Send whatever comes in on `listener` back, until the block ends."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with suppress(OSError), listener.accept()[0] as peer:
                while data := peer.recv(4096):
                    peer.sendall(data)

    thread = threading.Thread(target=serve)
    listener.settimeout(0.1)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/version", None),
    ("GET", "/proxies", None),
    ("POST", "/proxies", {}),
    ("POST", "/proxies", b""),
    ("POST", "/proxies", b"null"),
    ("POST", "/proxies", b'{"name":'),
    ("POST", "/proxies", {"name": "a"}),
    ("POST", "/proxies", {"name": "a", "upstream": "u:1", "listen": "nonsense"}),
    ("POST", "/proxies", {"name": "a", "upstream": "u:1", "listen": "127.0.0.1:99999"}),
    ("POST", "/proxies", {"name": "a", "upstream": "u:1", "listen": "a:b:c"}),
    ("POST", "/proxies", {"name": "a", "upstream": "u:1", "listen": "localhost:0"}),
    ("POST", "/proxies", {"name": "a", "upstream": "u:1"}),
    ("POST", "/proxies", {"name": "b", "upstream": "<&>é", "enabled": False}),
    ("POST", "/proxies", {"NAME": "c", "upstream": "u:1", "listen": "127.0.0.1:0", "toxics": 1}),
    ("GET", "/proxies", None),
    ("GET", "/proxies/a", None),
    ("GET", "/proxies/none", None),
    ("PUT", "/proxies/a", {}),
    ("HEAD", "/proxies", None),
    ("GET", "/proxies/", None),
    ("GET", "/metrics", None),
    ("GET", "/nowhere", None),
    ("PATCH", "/proxies/a", {"upstream": ""}),
    ("POST", "/proxies/a", {"upstream": "v:2", "name": "ignored"}),
    ("POST", "/proxies/a", {"listen": "nonsense"}),
    ("PATCH", "/proxies/a", {"enabled": False}),
    ("PATCH", "/proxies/none", b"{"),
    ("PATCH", "/proxies/a", b""),
    ("PATCH", "/proxies/a", {"enabled": True}),
    ("POST", "/proxies/a/toxics", {"type": "latency", "attributes": {"latency": 5, "x": 1}}),
    ("POST", "/proxies/a/toxics", {"type": "latency"}),
    ("POST", "/proxies/a/toxics", {"type": "none"}),
    ("POST", "/proxies/a/toxics", {"type": "noop", "stream": "side"}),
    ("POST", "/proxies/a/toxics", {"type": "noop", "stream": ""}),
    ("POST", "/proxies/a/toxics", {"type": "noop", "stream": None, "name": ""}),
    ("DELETE", "/proxies/a/toxics/noop_downstream", None),
    ("POST", "/proxies/a/toxics", {"type": "noop", "stream": "UPSTREAM", "toxicity": 0.1}),
    ("POST", "/proxies/a/toxics", {"type": "slicer", "toxicity": 7, "attributes": None}),
    ("POST", "/proxies/a/toxics", {"type": "bandwidth", "stream": "upstream"}),
    ("POST", "/proxies/a/toxics", {"type": "timeout", "name": "t", "toxicity": -1}),
    ("POST", "/proxies/a/toxics", {"type": "limit_data"}),
    ("POST", "/proxies/a/toxics", {"type": "reset_peer"}),
    ("POST", "/proxies/a/toxics", {"type": "slow_close"}),
    ("GET", "/proxies/a/toxics", None),
    ("GET", "/proxies/a/toxics/t", None),
    ("GET", "/proxies/a/toxics/none", None),
    ("PATCH", "/proxies/a/toxics/t", {"attributes": {"timeout": 9}, "toxicity": 0.25}),
    ("POST", "/proxies/a/toxics/latency_downstream", {"attributes": {"jitter": 3}}),
    ("PATCH", "/proxies/a/toxics/none", {}),
    ("DELETE", "/proxies/a/toxics/t", None),
    ("DELETE", "/proxies/a/toxics/t", None),
    ("GET", "/proxies/a", None),
    ("POST", "/populate", []),
    ("POST", "/populate", b"{"),
    ("POST", "/populate", [{"name": "d", "upstream": "u:1"}, {"upstream": "u:1"}]),
    ("POST", "/populate", [{"name": "d", "upstream": "u:1"}, {"name": "e"}]),
    ("POST", "/populate", [{"name": "d", "upstream": "u:1", "listen": "127.0.0.1:0"}]),
    ("POST", "/populate", [{"name": "e", "upstream": "u:1", "listen": "x:y:z"}]),
    ("DELETE", "/proxies/b", None),
    ("DELETE", "/proxies/b", None),
    ("POST", "/reset", None),
    ("GET", "/proxies", None),
]
HEADERS = ("content-type", "x-content-type-options", "allow", "location")


def answer_shown(answer: httpx.Response) -> tuple[Any, ...]:
    """An answer without what may differ: ports, request ids, and a key no client reads."""
    text = re.sub(r'"Logger":\{\},', "", answer.text)
    text = re.sub(r'(127\.0\.0\.1|\[::\]):\d{4,5}"', r'\1:port"', text)
    text = re.sub(r'"version": ".*"', '"version": ""', text)  # a build from source says "git"
    identified = len(answer.headers.get("x-toxiproxy-request-id", ""))
    headers = [answer.headers.get(name) for name in HEADERS]
    return (answer.status_code, text, identified, *headers)


def latency(session: Session, pair: Pair) -> Any:
    session.toxic("latency", latency=100)
    session.toxic("latency", "upstream", latency=300)
    return round(pair.through(), 1)


def bandwidth(session: Session, pair: Pair) -> Any:
    session.toxic("bandwidth", rate=100)
    return round(pair.through(30_000), 1)


def limit(session: Session, pair: Pair) -> Any:
    session.toxic("limit_data", bytes=100)
    pair.server.sendall(b"x" * 100)
    return read_all(pair.client), ending(pair.server)


def timeout(session: Session, pair: Pair) -> Any:
    session.toxic("timeout", timeout=200)
    begun = time.monotonic()
    return ending(pair.client), round(time.monotonic() - begun, 1), ending(pair.server)


def timeout_removed(session: Session, pair: Pair) -> Any:
    session.toxic("timeout")
    pair.server.sendall(b"lost")
    session.remove("timeout")
    return ending(pair.client)


def stalled_then_released(session: Session, pair: Pair) -> Any:
    session.toxic("bandwidth", rate=0)
    pair.server.sendall(b"held")
    before = ending(pair.client)
    session.remove("bandwidth")
    return before, pair.client.recv(10)


def slow_close(session: Session, pair: Pair) -> Any:
    session.toxic("slow_close", delay=300)
    begun = time.monotonic()
    pair.server.close()
    return ending(pair.client), round(time.monotonic() - begun, 1)


def half_close(session: Session, pair: Pair) -> Any:  # noqa: ARG001 - as every scene
    pair.client.shutdown(1)
    return read_all(pair.server), ending(pair.client)


def disabled(session: Session, pair: Pair) -> Any:
    session.ask("POST", "/proxies/p", {"enabled": False})
    return ending(pair.client), ending(pair.server)


def upstream_changed(session: Session, pair: Pair) -> Any:
    session.ask("POST", "/proxies/p", {"upstream": "127.0.0.1:1"})
    return ending(pair.client), ending(pair.server)


SCENES = [
    latency,
    bandwidth,
    limit,
    timeout,
    timeout_removed,
    stalled_then_released,
    slow_close,
    half_close,
    disabled,
    upstream_changed,
]


def everything(session: Session) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for number, (method, path, body) in enumerate(CALLS):
        answer = session.ask(method, path, body)
        seen[f"{number} {method} {path} {body}"] = answer_shown(answer)
    for scene in SCENES:
        session.clear()
        with session.pair(session.proxy()) as pair:
            seen[scene.__name__] = scene(session, pair)
    session.clear()
    port = session.proxy()
    session.toxic("reset_peer", "upstream", timeout=100)
    with session.pair(port) as pair:
        pair.client.sendall(b"x")
        seen["reset_peer"] = (ending(pair.client), ending(pair.server))
    return seen


def test_ours_answers_and_behaves_as_the_real_server() -> None:
    program = real_program()
    if program is None:
        pytest.skip("no real Toxiproxy: set GAMEDAY_TOXIPROXY or put toxiproxy-server on the PATH")
    with running([program, "-host", "127.0.0.1"], "-port") as session:
        real = everything(session)
    with running(OURS) as session:
        ours = everything(session)
    different = {name: (real[name], ours[name]) for name in real if real[name] != ours[name]}
    assert different == {}
