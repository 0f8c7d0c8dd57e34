"""Where the server knowingly differs from Toxiproxy: a test for each line of its README's table."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.toxiproxy_session import (
    LIMIT_S,
    OURS,
    Pair,
    Session,
    ending,
    read_all,
    read_exactly,
    running,
    until,
)

ROOT = Path(__file__).parents[2]
README = ROOT / "gameday" / "toxiproxy" / "README.md"


@pytest.fixture(scope="module")
def shared_session() -> Iterator[Session]:
    with running([*OURS, "--runtime-metrics"]) as session:
        yield session


@pytest.fixture
def session(shared_session: Session) -> Iterator[Session]:
    shared_session.clear()
    yield shared_session
    shared_session.clear()


def test_every_line_of_the_readme_names_tests_that_exist() -> None:
    defined = {
        name
        for path in (ROOT / "tests" / "toxiproxy").glob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    lines = [line for line in README.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(lines) >= 15
    for line in lines:
        named = set(re.findall(r"`(test_\w+)`", line))
        assert named, line
        assert named <= defined, line


def is_slow(pair: Pair) -> bool:
    return pair.through() >= 0.05


def test_an_update_does_not_decide_again_which_connections_are_hit(session: Session) -> None:
    port = session.proxy()
    toxic = {"type": "latency", "toxicity": 0.5, "attributes": {"latency": 50}}
    session.ask("POST", "/proxies/p/toxics", toxic)
    with ExitStack() as stack:
        pairs = [stack.enter_context(session.pair(port)) for _ in range(12)]
        before = [is_slow(pair) for pair in pairs]
        assert 0 < sum(before) < 12
        for _ in range(3):
            session.ask("PATCH", "/proxies/p/toxics/latency_downstream", {})
            session.toxic("noop")
            assert [is_slow(pair) for pair in pairs] == before
            session.remove("noop")
        session.ask("PATCH", "/proxies/p/toxics/latency_downstream", {"toxicity": 1})
        assert all(is_slow(pair) for pair in pairs)


def test_a_connection_that_a_timeout_spared_outlives_its_removal(session: Session) -> None:
    port = session.proxy()
    session.ask("POST", "/proxies/p/toxics", {"type": "timeout", "toxicity": 0})
    with session.pair(port) as pair:
        assert pair.through() < 1
        session.remove("timeout")
        assert ending(pair.client) == "open"
        assert pair.through() < 1


def test_reset_peer_resets_a_connection_that_was_live_before_it(session: Session) -> None:
    with session.pair(session.proxy()) as pair:
        assert pair.through() < 1
        session.toxic("reset_peer")
        pair.server.sendall(b"x")
        assert (ending(pair.client), ending(pair.server)) == ("reset", "reset")


def test_a_connection_that_reset_peer_spared_ends_without_a_reset(session: Session) -> None:
    port = session.proxy()
    session.ask("POST", "/proxies/p/toxics", {"type": "reset_peer", "toxicity": 0})
    with session.pair(port) as pair:
        pair.server.close()
        assert ending(pair.client) == "closed"


def test_a_toxic_behind_one_that_has_closed_its_side_lets_go_when_removed(
    session: Session,
) -> None:
    port = session.proxy()
    session.toxic("limit_data", bytes=3)
    session.toxic("latency", latency=60_000)
    with session.pair(port) as pair:
        pair.server.sendall(b"abcdef")
        assert ending(pair.client) == "open"
        session.remove("limit_data")
        assert ending(pair.client) == "open"
        session.remove("latency")
        assert read_all(pair.client) == b"abc"


def test_a_change_does_not_wait_for_a_narrow_toxic_further_on(session: Session) -> None:
    port = session.proxy()
    session.toxic("latency", latency=60_000)
    session.toxic("bandwidth", rate=0)
    with session.pair(port) as pair:
        for byte in (b"a", b"b", b"c"):
            pair.server.sendall(byte)
            assert ending(pair.client) == "open"
        begun = time.monotonic()
        session.remove("latency")
        assert time.monotonic() - begun < 1
        session.remove("bandwidth")
        assert read_exactly(pair.client, 3) == b"abc"


def test_removing_reset_peer_does_not_wait_for_its_time(session: Session) -> None:
    port = session.proxy()
    session.toxic("reset_peer", timeout=60_000)
    with session.pair(port) as pair:
        pair.server.sendall(b"x")
        assert ending(pair.client) == "open"
        begun = time.monotonic()
        session.remove("reset_peer")
        assert ending(pair.client) == "reset"
        assert time.monotonic() - begun < 1


def test_removing_a_toxic_before_a_peer_that_does_not_read_loses_nothing(session: Session) -> None:
    port = session.proxy()
    session.toxic("latency", latency=300)
    sent = bytes(range(250)) * 8000
    with session.pair(port) as pair:
        pair.server.settimeout(0.2)
        accepted = 0
        with suppress(TimeoutError):
            while accepted < len(sent):
                accepted += pair.server.send(sent[accepted : accepted + 65536])
        begun = time.monotonic()
        session.remove("latency")
        assert time.monotonic() - begun < 1
        assert read_exactly(pair.client, accepted) == sent[:accepted]


def test_an_update_with_one_wrong_attribute_changes_none(session: Session) -> None:
    session.proxy()
    session.toxic("latency", latency=5)
    path = "/proxies/p/toxics/latency_downstream"
    wrong = {"toxicity": 0.5, "attributes": {"latency": 9, "jitter": "x"}}
    assert session.ask("PATCH", path, wrong).status_code == 400
    shown = session.ask("GET", path).json()
    assert (shown["toxicity"], shown["attributes"]) == (1, {"latency": 5, "jitter": 0})


def test_a_reset_removes_every_toxic_even_when_a_proxy_cannot_start(session: Session) -> None:
    body = {"name": "a", "listen": session.upstream_address, "upstream": "u:1", "enabled": False}
    assert session.ask("POST", "/proxies", body).status_code == 201
    session.proxy()
    session.toxic("latency", latency=5)
    answer = session.ask("POST", "/reset")
    assert (answer.status_code, "address already in use" in answer.text) == (500, True)
    assert session.ask("GET", "/proxies/p/toxics").json() == []


@contextmanager
def silent_upstream() -> Iterator[str]:
    """An address whose queue of connections is full: the next SYN is dropped."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect(address)
            except TimeoutError:
                yield f"127.0.0.1:{address[1]}"
                return


def test_an_upstream_that_never_answers_holds_up_neither_clients_nor_the_api(
    session: Session,
) -> None:
    with silent_upstream() as upstream, ExitStack() as stack:
        body = {"name": "p", "listen": "127.0.0.1:0", "upstream": upstream}
        port = int(session.ask("POST", "/proxies", body).json()["listen"].rpartition(":")[2])
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), LIMIT_S))
            for _ in range(5)
        ]
        session.ask("PATCH", "/proxies/p", {"upstream": upstream})
        begun = time.monotonic()
        assert ending(clients[0]) == "open"
        assert list(session.ask("GET", "/proxies").json()) == ["p"]
        assert session.ask("DELETE", "/proxies/p").status_code == 204
        assert [ending(client) for client in clients] == ["closed"] * 5
        assert time.monotonic() - begun < 2


def test_runtime_metrics_are_those_of_this_process(session: Session) -> None:
    text = session.ask("GET", "/metrics").text
    assert "process_resident_memory_bytes " in text
    assert "python_info{" in text
    assert "go_goroutines" not in text


def test_more_connections_than_the_limit_are_closed_and_those_that_are_live_go_on() -> None:
    with running([*OURS, "--connections-max", "1"]) as session:
        port = session.proxy()
        with session.pair(port) as pair:
            with socket.create_connection(("127.0.0.1", port), LIMIT_S) as refused:
                assert ending(refused) == "closed"
            assert pair.through() < 1
        until(lambda: is_admitted(port))


def is_admitted(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as client:
        return ending(client) == "open"


def spared(seed: int) -> list[bool]:
    with running([*OURS, "--seed", str(seed)]) as session:
        port = session.proxy()
        session.ask("POST", "/proxies/p/toxics", {"type": "limit_data", "toxicity": 0.5})
        found = []
        for _ in range(12):
            with session.pair(port) as pair:
                pair.server.sendall(b"x")
                found.append(pair.client.recv(1) == b"x")
        return found


def test_the_same_seed_hits_the_same_connections_again() -> None:
    first = spared(3)
    assert 0 < sum(first) < 12
    assert spared(3) == first
    assert spared(4) != first
