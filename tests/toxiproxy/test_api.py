"""The running server: the API's table of answers, and what each toxic does to real sockets."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.toxiproxy_session import LIMIT_S, OURS, Session, ending, read_all, running, until


@pytest.fixture(scope="module")
def shared_session() -> Iterator[Session]:
    with running([*OURS, "--proxy-metrics"]) as session:
        yield session


@pytest.fixture
def session(shared_session: Session) -> Iterator[Session]:
    shared_session.clear()
    yield shared_session
    shared_session.clear()


LISTEN = "127.0.0.1:0"
MISTAKES: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/proxies", {}, 400, "missing required field: name"),
    ("POST", "/proxies", {"name": "x"}, 400, "missing required field: upstream"),
    ("POST", "/proxies", {"name": "p", "upstream": "u:1"}, 409, "proxy already exists"),
    ("POST", "/proxies", b"", 400, "bad request body: EOF"),
    ("POST", "/proxies", b'{"name":', 400, "bad request body: unexpected EOF"),
    ("GET", "/proxies/nobody", None, 404, "proxy not found"),
    ("PATCH", "/proxies/nobody", {}, 404, "proxy not found"),
    ("DELETE", "/proxies/nobody", None, 404, "proxy not found"),
    ("GET", "/proxies/nobody/toxics", None, 404, "proxy not found"),
    ("POST", "/proxies/nobody/toxics", {}, 404, "proxy not found"),
    ("GET", "/proxies/p/toxics/none", None, 404, "toxic not found"),
    ("POST", "/proxies/p/toxics/none", {}, 404, "toxic not found"),
    ("DELETE", "/proxies/p/toxics/none", None, 404, "toxic not found"),
    ("POST", "/proxies/p/toxics", {"type": "down"}, 400, "invalid toxic type"),
    ("POST", "/proxies/p/toxics", {"type": "latency", "name": "old"}, 409, "toxic already exists"),
    (
        "POST",
        "/proxies/p/toxics",
        {"type": "down", "stream": "sideways"},
        400,
        "stream was invalid, can be either upstream or downstream",
    ),
    (
        "POST",
        "/proxies/p/toxics",
        {"type": "latency", "stream": ""},
        400,
        "stream was invalid, can be either upstream or downstream",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_named_as_toxiproxy_names_it(
    session: Session, mistake: tuple[str, str, Any, int, str]
) -> None:
    method, path, body, status, text = mistake
    session.proxy()
    session.ask("POST", "/proxies/p/toxics", {"type": "noop", "name": "old"})
    answer = session.ask(method, path, body)
    assert answer.text == f'{{"error":"{text}","status":{status}}}\n'
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers["x-toxiproxy-request-id"]) == 20


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("bandwidth", {"rate": -1}),
        ("slicer", {"average_size": -1}),
        ("latency", {"jitter": 1 << 62}),
        ("latency", {"latency": 5.0}),
        ("latency", {"latency": "5"}),
        ("latency", {"latency": 1 << 63}),
    ],
)
def test_attributes_that_kill_toxiproxy_are_refused_and_change_nothing(
    session: Session, kind: str, attributes: dict[str, Any]
) -> None:
    session.proxy()
    body = {"type": kind, "attributes": attributes}
    answer = session.ask("POST", "/proxies/p/toxics", body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("bad request body: ")
    assert session.ask("GET", "/proxies/p/toxics").json() == []


def test_no_route_and_a_wrong_method_are_answered_without_a_request_id(session: Session) -> None:
    for path in ("/nowhere", "/proxies/", "/Proxies"):
        answer = session.ask("GET", path)
        assert (answer.status_code, answer.text) == (404, "404 page not found\n")
        assert "x-toxiproxy-request-id" not in answer.headers
    for method, path in (("PUT", "/proxies"), ("HEAD", "/version"), ("GET", "/reset")):
        answer = session.ask(method, path)
        assert (answer.status_code, answer.text) == (405, "")
        assert "allow" not in answer.headers
    redirect = session.http.get(f"http://127.0.0.1:{session.port}//version")
    assert (redirect.status_code, redirect.headers["location"]) == (301, "/version")


def test_browsers_are_refused_on_routes_only(session: Session) -> None:
    browser = {"user-agent": "Mozilla/5.0"}
    refused = session.http.get("/version", headers=browser)
    assert (refused.status_code, refused.text) == (403, "User agent not allowed\n")
    assert session.http.get("/nowhere", headers=browser).status_code == 404


def test_a_proxy_and_its_toxics_are_shown_as_toxiproxy_shows_them(session: Session) -> None:
    made = session.ask(
        "POST", "/proxies", b'{"Name":"p","listen":"localhost:0","upstream":"u<1","enabled":null} x'
    )
    listen = made.json()["listen"]
    assert made.text == (
        f'{{"name":"p","listen":"{listen}","upstream":"u\\u003c1","enabled":true,"toxics":[]}}'
    )
    assert listen.startswith("127.0.0.1:")
    toxic = {"type": "latency", "stream": "UPSTREAM", "toxicity": 0.3, "attributes": {"x": 1}}
    down = session.ask("POST", "/proxies/p/toxics", {"type": "noop", "stream": None})
    assert down.json()["name"] == "noop_downstream"
    up = session.ask("POST", "/proxies/p/toxics", toxic)
    assert up.text == (
        '{"attributes":{"latency":0,"jitter":0},"name":"latency_UPSTREAM","type":"latency",'
        '"stream":"UPSTREAM","toxicity":0.3}'
    )
    update = {"attributes": {"jitter": 5}}
    merged = session.ask("PATCH", "/proxies/p/toxics/latency_UPSTREAM", update)
    assert merged.json()["attributes"] == {"latency": 0, "jitter": 5}
    names = [toxic["name"] for toxic in session.ask("GET", "/proxies/p/toxics").json()]
    assert names == ["latency_UPSTREAM", "noop_downstream"]


def test_a_name_with_a_slash_can_be_addressed(session: Session) -> None:
    session.proxy("a/b")
    assert session.ask("GET", "/proxies/a%2Fb").json()["name"] == "a/b"
    assert session.ask("DELETE", "/proxies/a%2Fb").status_code == 204


def test_populate_keeps_what_is_equal_and_replaces_what_differs(session: Session) -> None:
    port = session.proxy()
    session.toxic("latency", latency=1)
    same = {"name": "p", "listen": f"localhost:{port}", "upstream": session.upstream_address}
    kept = session.ask("POST", "/populate", [same])
    assert kept.status_code == 201
    assert len(kept.json()["proxies"][0]["toxics"]) == 1
    replaced = session.ask("POST", "/populate", [same | {"upstream": "127.0.0.1:1"}])
    assert replaced.json()["proxies"][0]["toxics"] == []
    entries = [{"name": "q", "upstream": "u:1"}, {"upstream": "u"}]
    refused = session.ask("POST", "/populate", entries)
    assert refused.json() == {
        "error": "missing required field: name at proxy 2",
        "status": 400,
        "proxies": None,
    }
    assert refused.headers["content-type"] == "application/json"
    assert list(session.ask("GET", "/proxies").json()) == ["p"]
    assert session.ask("POST", "/populate", []).text == '{"proxies":null}'


def test_reset_enables_every_proxy_and_removes_every_toxic(session: Session) -> None:
    session.proxy()
    session.toxic("latency", latency=1)
    session.ask("POST", "/proxies/p", {"enabled": False})
    assert session.ask("POST", "/reset").status_code == 204
    shown = session.ask("GET", "/proxies/p").json()
    assert (shown["enabled"], shown["toxics"]) == (True, [])


def test_disabling_closes_everything_and_enabling_takes_the_same_port(session: Session) -> None:
    port = session.proxy()
    session.toxic("noop")
    with session.pair(port) as pair:
        assert session.ask("POST", "/proxies/p", {"enabled": False}).json()["enabled"] is False
        assert (ending(pair.client), ending(pair.server)) == ("closed", "closed")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), LIMIT_S)
    shown = session.ask("PATCH", "/proxies/p", {"enabled": True}).json()
    assert (shown["listen"], len(shown["toxics"])) == (f"127.0.0.1:{port}", 1)
    with session.pair(port) as pair:
        assert pair.through() < 1


def test_a_port_that_is_taken_is_reported_and_leaves_the_proxy_as_toxiproxy_does(
    session: Session,
) -> None:
    session.proxy()
    text = f"listen tcp {session.upstream_address}: bind: address already in use"
    body = {"name": "q", "listen": session.upstream_address, "upstream": "u:1"}
    refused = session.ask("POST", "/proxies", body)
    assert (refused.status_code, refused.json()["error"]) == (500, text)
    assert session.ask("GET", "/proxies/q").status_code == 404
    moved = session.ask("PATCH", "/proxies/p", {"listen": session.upstream_address})
    assert (moved.status_code, moved.json()["error"]) == (500, text)
    shown = session.ask("GET", "/proxies/p").json()
    assert (shown["listen"], shown["enabled"]) == (session.upstream_address, False)


def test_a_dead_upstream_gives_an_end_of_stream(session: Session) -> None:
    body = {"name": "p", "listen": LISTEN, "upstream": "127.0.0.1:1"}
    port = int(session.ask("POST", "/proxies", body).json()["listen"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as client:
        assert ending(client) == "closed"


def test_bytes_are_counted_when_a_link_ends(session: Session) -> None:
    port = session.proxy()
    with session.pair(port) as pair:
        pair.through(1234)
    wanted = f'{{direction="downstream",listener="127.0.0.1:{port}",proxy="p",upstream='
    until(lambda: wanted in session.ask("GET", "/metrics").text)
    lines = [line for line in session.ask("GET", "/metrics").text.splitlines() if wanted in line]
    assert [line.rpartition(" ")[2] for line in lines] == ["1234.0", "1234.0"]


def test_pipelined_requests_are_answered_in_order(session: Session) -> None:
    with socket.create_connection(("127.0.0.1", session.port), LIMIT_S) as client:
        first = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        client.sendall(first * 3 + last)
        answer = read_all(client)
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"200", b"404"]


def test_half_close_is_kept_alive_when_asked_for() -> None:
    with running([*OURS, "--half-close"]) as session, session.pair(session.proxy()) as pair:
        pair.client.sendall(b"question")
        pair.client.shutdown(socket.SHUT_WR)
        assert read_all(pair.server) == b"question"
        pair.server.sendall(b"answer")
        pair.server.close()
        assert read_all(pair.client) == b"answer"
        assert session.ask("GET", "/metrics").status_code == 404
