"""What each toxic does to real sockets, alone, changed on live connections, and under load."""

import random
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.toxiproxy_session import (
    LIMIT_S,
    OURS,
    Session,
    ending,
    read_all,
    read_exactly,
    reset_on_close,
    running,
)


@pytest.fixture(scope="module")
def shared_session() -> Iterator[Session]:
    with running(OURS) as session:
        yield session


@pytest.fixture
def session(shared_session: Session) -> Iterator[Session]:
    shared_session.clear()
    yield shared_session
    shared_session.clear()


def test_latency_is_never_early_and_not_much_late(session: Session) -> None:
    port = session.proxy()
    session.toxic("latency", latency=40)
    with session.pair(port) as pair:
        took = sorted(pair.through() for _ in range(21))
    assert took[0] >= 0.040
    assert took[10] < 0.060


def test_latency_of_both_streams_adds_up_and_a_burst_pays_once(session: Session) -> None:
    port = session.proxy()
    session.toxic("latency", latency=50)
    session.toxic("latency", "upstream", latency=50)
    with session.pair(port) as pair:
        begun = time.monotonic()
        pair.client.sendall(b"x" * 1000)
        read_exactly(pair.server, 1000)
        assert 0.05 <= time.monotonic() - begun < 0.15
        assert 0.05 <= pair.through(200_000) < 0.3


def test_bandwidth_holds_its_rate_and_loses_nothing(session: Session) -> None:
    port = session.proxy()
    session.toxic("bandwidth", rate=100)
    with session.pair(port) as pair:
        assert pair.through(50_000) == pytest.approx(0.5, rel=0.15)


def test_bandwidth_zero_stalls_until_it_is_removed(session: Session) -> None:
    port = session.proxy()
    session.toxic("bandwidth", rate=0)
    with session.pair(port) as pair:
        pair.server.sendall(b"held")
        assert ending(pair.client) == "open"
        session.remove("bandwidth")
        assert read_exactly(pair.client, 4) == b"held"


def test_timeout_drops_and_closes_and_its_removal_closes_what_it_held(session: Session) -> None:
    port = session.proxy()
    session.toxic("timeout", timeout=100)
    with session.pair(port) as pair:
        pair.server.sendall(b"lost")
        assert ending(pair.client) == "closed"
    session.ask("POST", "/proxies/p/toxics/timeout_downstream", {"attributes": {"timeout": 0}})
    with session.pair(port) as pair:
        pair.server.sendall(b"lost")
        assert ending(pair.client) == "open"
        session.remove("timeout")
        assert ending(pair.client) == "closed"


def test_reset_peer_resets_both_sides_at_the_first_bytes_only(session: Session) -> None:
    port = session.proxy()
    session.toxic("reset_peer", "upstream")
    with session.pair(port) as pair:
        assert pair.through() < 1
        pair.client.sendall(b"x")
        assert (ending(pair.client), ending(pair.server)) == ("reset", "reset")


def test_slow_close_delays_the_end_and_not_the_bytes(session: Session) -> None:
    port = session.proxy()
    session.toxic("slow_close", delay=200)
    with session.pair(port) as pair:
        assert pair.through() < 0.15
        begun = time.monotonic()
        pair.server.close()
        assert ending(pair.client) == "closed"
        assert time.monotonic() - begun >= 0.2


def test_limit_data_passes_exactly_its_bytes_then_closes(session: Session) -> None:
    port = session.proxy()
    session.toxic("limit_data", bytes=1000)
    with session.pair(port) as pair:
        pair.server.sendall(b"x" * 5000)
        assert read_all(pair.client) == b"x" * 1000


def test_slicer_passes_small_pieces_in_time(session: Session) -> None:
    port = session.proxy()
    session.toxic("slicer", average_size=100, size_variation=10, delay=5000)
    with session.pair(port) as pair:
        pair.server.sendall(bytes(range(250)) * 4)
        pieces: list[bytes] = []
        while len(b"".join(pieces)) < 1000:
            pieces.append(pair.client.recv(65536))
        assert b"".join(pieces) == bytes(range(250)) * 4
        assert len(pieces) >= 8


def test_a_client_that_resets_is_an_end_of_stream_for_the_server(session: Session) -> None:
    port = session.proxy()
    with session.pair(port) as pair:
        reset_on_close(pair.client)
        pair.client.close()
        assert ending(pair.server) == "closed"


def test_the_end_follows_the_bytes_that_a_toxic_holds(session: Session) -> None:
    port = session.proxy()
    session.toxic("latency", latency=100)
    with session.pair(port) as pair:
        pair.server.sendall(b"y" * 100_000)
        pair.server.close()
        assert read_all(pair.client) == b"y" * 100_000


def test_toxicity_is_decided_once_a_connection(session: Session) -> None:
    port = session.proxy()
    body = {"type": "latency", "toxicity": 0.5, "attributes": {"latency": 60}}
    session.ask("POST", "/proxies/p/toxics", body)
    slow = 0
    for _ in range(24):
        with session.pair(port) as pair:
            took = [pair.through() >= 0.06, pair.through() >= 0.06]
            assert took[0] == took[1]
            slow += took[0]
    assert 4 <= slow <= 20


def test_changing_toxics_under_load_loses_and_reorders_nothing(session: Session) -> None:
    port = session.proxy()
    data = random.Random(1).randbytes(4_000_000)
    kinds: list[tuple[str, dict[str, int]]] = [
        ("latency", {"latency": 5}),
        ("slicer", {"average_size": 9000}),
        ("noop", {}),
    ]
    with session.pair(port) as pair:
        sender = threading.Thread(target=pair.server.sendall, args=(data,))
        sender.start()
        received = bytearray()
        while len(received) < len(data):
            kind, attributes = kinds[len(received) % 3]
            session.toxic(kind, "downstream", **attributes)
            received += read_exactly(pair.client, min(400_000, len(data) - len(received)))
            session.remove(kind)
        sender.join(LIMIT_S)
    assert bytes(received) == data


def test_the_api_answers_while_peers_neither_read_nor_live(session: Session) -> None:
    """What wedges Toxiproxy 2.12.0: aborting and unreading clients, toxics coming and going."""
    port = session.proxy()
    for cycle in range(10):
        with session.pair(port) as idle, session.pair(port) as aborting:
            for pair in (idle, aborting):
                pair.server.settimeout(0)
                pair.server.send(b"z" * 200_000)
            reset_on_close(aborting.client)
            session.toxic("latency", latency=cycle)
            aborting.client.close()
            session.remove("latency")
            assert session.ask("GET", "/proxies").elapsed.total_seconds() < 1
