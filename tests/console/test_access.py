"""Who gets what from a console: every route for every role, and every way to ask for it wrongly."""

import json
import socket
from contextlib import ExitStack

import httpx
import pytest

from gameday.console import app
from gameday.console.access import MOST_SESSIONS, ConsoleRole, Sessions
from gameday.console.app import (
    ALL_ORDERS_AT_MOST,
    LOGINS_AT_MOST,
    ORDERS_AT_MOST,
    ROUTES,
    TRIES_AT_MOST,
)
from gameday.console.guard import HEADERS, MOST_BODY, host_name
from gameday.console.stream import MOST_STREAMS, MOST_STREAMS_EACH
from gameday.core.network import bounded_connection as connections
from tests.support.consoles import (
    CSRF,
    Browser,
    ConsoleUnderTest,
    RunFolder,
    console,
    control_socket,
)

OPEN = {("GET", "/"), ("GET", "/static/{name:path}"), ("POST", "/session")}
"""All that can be had without a session: the files of the page, and the way to one."""


BEGUN = (
    b"POST /session HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
    b"Content-Length: 9\r\n\r\n{"
)


def routes_of(served: ConsoleUnderTest) -> set[tuple[str, str]]:
    """Every route of the application itself, not of the table that it is made from."""
    guard = served.server.console.app(frozenset({"localhost"}))
    inner = guard._app  # type: ignore[attr-defined]  # noqa: SLF001
    return {(m, r.path) for r in inner.routes for m in r.methods if m != "HEAD"}


def test_every_route_is_open_on_purpose_or_says_whom_it_is_for(served: ConsoleUnderTest) -> None:
    assert routes_of(served) == OPEN | {(each.method, each.path) for each in ROUTES}
    assert all(each.roles for each in ROUTES)


@pytest.mark.parametrize("role", [*ConsoleRole, None], ids=str)
def test_a_route_answers_those_it_is_for_and_nobody_else(
    served: ConsoleUnderTest, role: ConsoleRole | None
) -> None:
    browser = served.browser(role)
    for each in ROUTES:
        if each.path == "/session":
            continue  # it ends the session, which is looked at below
        status = browser.ask(each.method, each.path, {}).status_code
        if role is None:
            assert status == 401, each.path
        elif role in each.roles:
            assert status not in (401, 403), each.path
        else:
            assert status == 403, each.path
    assert browser.ask("DELETE", "/session").status_code == (401 if role is None else 200)
    assert browser.ask("GET", "/api/me").status_code == 401


def test_a_trainees_cookie_opens_nothing_of_the_facilitators(served: ConsoleUnderTest) -> None:
    browser = served.browser("trainee")
    of_leaders = [each for each in ROUTES if "/facilitator" in each.path]
    assert of_leaders
    for each in of_leaders:
        answer = browser.ask(each.method, each.path, {"command": "debrief"})
        assert (answer.status_code, answer.json()) == (403, {"error": "role"})


@pytest.mark.parametrize("each", [r for r in ROUTES if r.method != "GET"], ids=lambda r: r.path)
@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"Origin": "http://evil.example"}, "origin"),
        ({"Origin": "null"}, "origin"),
        ({"Origin": ""}, "origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "origin"),
        ({"Sec-Fetch-Site": "same-site"}, "origin"),
        ({CSRF: ""}, "csrf"),
        ({CSRF: "x" * 43}, "csrf"),
    ],
)
def test_a_write_from_elsewhere_is_refused(
    served: ConsoleUnderTest, run: RunFolder, each: object, headers: dict[str, str], error: str
) -> None:
    browser = served.browser("facilitator")
    path, method = each.path, each.method  # type: ignore[attr-defined]
    with control_socket(run.dir) as heard:
        answer = browser.ask(method, path, {"order": "abort"}, **headers)
    assert (answer.status_code, answer.json()) == (403, {"error": error})
    assert not heard


CLICKED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_that_is_clicked_in_a_chat_opens_the_page_and_nothing_else(
    served: ConsoleUnderTest, site: str
) -> None:
    clicked = {"Sec-Fetch-Site": site, **CLICKED}
    assert httpx.get(served.base, headers=clicked).status_code == 200
    browser = served.browser("facilitator")
    for path in ("/static/look.css", "/api/me", "/api/facilitator/links"):
        assert browser.ask("GET", path, **clicked).json() == {"error": "origin"}
    assert browser.ask("POST", "/session", {}, **clicked).json() == {"error": "origin"}
    for framed in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "no-cors"}):
        assert httpx.get(served.base, headers={**clicked, **framed}).status_code == 403


def test_a_write_without_an_origin_or_a_word_is_refused(served: ConsoleUnderTest) -> None:
    browser = served.browser("trainee")
    bare = browser.http.post("/api/order", json={"order": "ack"}, headers={CSRF: browser.csrf})
    assert bare.json() == {"error": "origin"}
    bare = browser.http.post("/api/order", json={"order": "ack"}, headers={"Origin": served.base})
    assert bare.json() == {"error": "csrf"}


def test_the_word_of_another_session_is_none(served: ConsoleUnderTest) -> None:
    one, other = served.browser("trainee"), served.browser("trainee")
    answer = one.ask("POST", "/api/order", {"order": "ack"}, **{CSRF: other.csrf})
    assert answer.json() == {"error": "csrf"}


def test_a_link_is_exchanged_for_a_cookie_that_no_script_reads(served: ConsoleUnderTest) -> None:
    token = served.tokens[ConsoleRole.TRAINEE]
    answer = httpx.post(
        served.base + "/session", json={"token": token}, headers={"Origin": served.base}
    )
    cookie = answer.headers["set-cookie"]
    port = served.base.rpartition(":")[2]
    assert cookie.startswith(f"gameday-{port}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert token not in cookie + answer.text
    assert set(answer.json()) == {"role", "name", "team_role", "csrf", "run", "team"}


@pytest.mark.parametrize("name", ["token", "access_token", "x", "session", "apiKey"])
def test_a_token_in_an_address_is_refused_wherever_it_stands(
    served: ConsoleUnderTest, name: str
) -> None:
    token = served.tokens[ConsoleRole.FACILITATOR]
    for path in ("/", "/api/me", "/static/look.css", "/session"):
        answer = httpx.get(served.base + path, params={name: token})
        assert (answer.status_code, answer.json()) == (400, {"error": "token_in_address"})
    assert httpx.get(f"{served.base}/{token}").status_code == 400


def test_a_wrong_token_opens_nothing_and_not_for_long(served: ConsoleUnderTest) -> None:
    for _ in range(TRIES_AT_MOST):
        answer = httpx.post(
            served.base + "/session", json={"token": "x" * 43}, headers={"Origin": served.base}
        )
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
    answer = httpx.post(
        served.base + "/session", json={"token": "x" * 43}, headers={"Origin": served.base}
    )
    assert answer.status_code == 429
    assert served.browser("trainee").csrf  # who has a real one still comes in


def test_logins_of_a_role_end_no_session_of_another_and_none_that_has_a_page() -> None:
    sessions = Sessions({})
    leader, _ = sessions.begin(ConsoleRole.FACILITATOR)
    watched, page = sessions.begin(ConsoleRole.TRAINEE)
    page.streams = 1
    idle, _ = sessions.begin(ConsoleRole.TRAINEE)
    for _ in range(MOST_SESSIONS * 2):
        sessions.begin(ConsoleRole.TRAINEE)
    last, _ = sessions.begin(ConsoleRole.TRAINEE)
    assert sessions.find(leader)
    assert sessions.find(watched)
    assert sessions.find(last)
    assert sessions.find(idle) is None


def test_logins_have_a_rate_for_each_role(run: RunFolder) -> None:
    with console(run.dir) as served, httpx.Client() as http:
        token = {"token": served.tokens[ConsoleRole.TRAINEE]}
        statuses = [
            http.post(
                served.base + "/session", json=token, headers={"Origin": served.base}
            ).status_code
            for _ in range(LOGINS_AT_MOST + 1)
        ]
        assert statuses == [200] * LOGINS_AT_MOST + [429]
        assert LOGINS_AT_MOST < MOST_SESSIONS
        assert served.browser("facilitator").csrf


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "10.0.0.1", "[::2]"],
)
def test_a_name_that_is_not_ours_gets_nothing(served: ConsoleUnderTest, host: str) -> None:
    for path in ("/", "/static/look.css", "/api/me", "/nothing"):
        answer = httpx.get(served.base + path, headers={"Host": host})
        assert answer.status_code in (400, 421)
        assert b"gameday" not in answer.content


def test_a_tunnels_name_and_port_are_ours(served: ConsoleUnderTest) -> None:
    for host in ("localhost:9000", "127.0.0.1", "[::1]:7437"):
        assert httpx.get(served.base, headers={"Host": host}).status_code == 200
    token = {"token": served.tokens[ConsoleRole.TRAINEE]}
    headers = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert httpx.post(served.base + "/session", json=token, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST.:80", "localhost"),
        ("[::1]:80", "::1"),
        ("localhost:", ""),
        ("localhost:x", ""),
        ("localhost:80:80", ""),
        ("[::1", ""),
        ("[::1]x", ""),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name


def test_every_answer_says_that_nothing_else_may_run(served: ConsoleUnderTest) -> None:
    browser = served.browser("trainee")
    paths = ("/", "/static/look.css", "/api/me", "/api/facilitator/truth", "/nothing", "/?token=1")
    for path in paths:
        answer = browser.ask("GET", path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
        assert "server" not in answer.headers
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_the_page_loads_nothing_from_elsewhere_and_has_no_script_in_it(
    served: ConsoleUnderTest,
) -> None:
    page = httpx.get(served.base).text
    assert "http:" not in page
    assert "https:" not in page
    assert "style=" not in page
    assert " on" not in page.replace(" only", "")
    for part in page.split("<script")[1:]:
        assert 'src="/static/' in part.partition(">")[0]
        assert part.partition(">")[2].startswith("</script>")


def test_a_body_that_is_too_long_is_refused_however_it_comes(served: ConsoleUnderTest) -> None:
    browser = served.browser("trainee")
    headers = {"Origin": served.base, CSRF: browser.csrf}
    long = json.dumps({"order": "note", "text": "x" * MOST_BODY}).encode()
    assert browser.http.post("/api/order", content=long, headers=headers).status_code == 413
    pieces = (long[at : at + 4096] for at in range(0, len(long), 4096))  # without a length
    assert browser.http.post("/api/order", content=pieces, headers=headers).status_code == 413


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"nothing", b"\xff", b"[" * 10000, b'{"order": 5}', b'{"order": "rm"}']
)
def test_what_is_no_order_is_refused_and_hurts_nothing(
    served: ConsoleUnderTest, run: RunFolder, raw: bytes
) -> None:
    browser = served.browser("facilitator")
    headers = {"Origin": served.base, CSRF: browser.csrf}
    with control_socket(run.dir) as heard:
        for path in ("/api/order", "/api/facilitator/command", "/api/join", "/api/query"):
            answer = browser.http.post(path, content=raw, headers=headers)
            assert answer.status_code == 400, path
    assert not heard
    assert browser.ask("GET", "/api/me").status_code == 200


def test_orders_have_a_rate_and_abort_has_none(served: ConsoleUnderTest, run: RunFolder) -> None:
    browser = served.browser("trainee")
    with control_socket(run.dir) as heard:
        for _ in range(ORDERS_AT_MOST):
            assert browser.ask("POST", "/api/order", {"order": "ack"}).status_code == 200
        refused = browser.ask("POST", "/api/order", {"order": "ack"})
        assert (refused.status_code, refused.json()) == (429, {"error": "too_often"})
        assert browser.ask("POST", "/api/order", {"order": "abort"}).json()["ok"]
    assert len(heard) == ORDERS_AT_MOST + 1 < ALL_ORDERS_AT_MOST


def test_trainees_together_take_no_command_and_no_page_from_who_leads(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "ALL_ORDERS_AT_MOST", 4)
    with console(run.dir) as served, control_socket(run.dir):
        leader = served.browser("facilitator")
        for trainee in (served.browser("trainee"), served.browser("trainee")):
            for _ in range(2):
                assert trainee.ask("POST", "/api/order", {"order": "ack"}).status_code == 200
        refused = served.browser("trainee").ask("POST", "/api/order", {"order": "ack"})
        assert refused.json() == {"error": "too_often"}
        pause = {"command": "pause"}
        assert leader.ask("POST", "/api/facilitator/command", pause).status_code == 200
        served.server.console.streams = MOST_STREAMS  # as many pages of others
        refused = served.browser("trainee").ask("GET", "/api/stream")
        assert refused.json() == {"error": "too_many_pages"}
        batches = leader.batches()
        next(batches)
        batches.close()  # type: ignore[attr-defined]


def test_pages_have_a_number_for_each_session(served: ConsoleUnderTest) -> None:
    browser, other = served.browser("trainee"), served.browser("trainee")
    open_ones = [browser.batches() for _ in range(MOST_STREAMS_EACH)]
    for each in open_ones:
        next(each)
    assert browser.ask("GET", "/api/stream").json() == {"error": "too_many_pages"}
    next(other.batches())
    for each in open_ones:
        each.close()  # type: ignore[attr-defined]


def connected(served: ConsoleUnderTest, host: str = "127.0.0.1") -> socket.socket:
    """A connection that asks for nothing yet, from an address of this machine."""
    port = int(served.base.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(host, 0))


def is_dropped(raw: socket.socket) -> bool:
    try:
        return raw.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: loc", BEGUN])
def test_a_connection_that_does_not_ask_in_time_is_dropped_and_a_page_is_not(
    run: RunFolder, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ASKS_WITHIN_S", 0.3)
    with console(run.dir) as served:
        batches = served.browser("trainee").batches()
        next(batches)
        with connected(served) as raw:
            raw.sendall(begun)
            assert is_dropped(raw)
        next(batches)
        batches.close()  # type: ignore[attr-defined]


def test_one_peer_has_only_so_many_connections(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_OF_ONE_PEER", 3)
    with console(run.dir) as served, ExitStack() as stack:
        idle = [stack.enter_context(connected(served)) for _ in range(4)]
        assert is_dropped(idle[-1])
        with connected(served, "127.0.0.2") as other:
            other.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in other.recv(1000)


def test_no_file_but_those_of_the_page_can_be_had(served: ConsoleUnderTest) -> None:
    host, port = served.base.removeprefix("http://").split(":")
    for path in (
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/locale/../../feed.py",
        "/static/",
    ):
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            assert b" 404 " in raw.recv(1000), path


def test_orders_go_to_the_run_with_who_gave_them(served: ConsoleUnderTest, run: RunFolder) -> None:
    browser = served.browser("trainee")
    with control_socket(run.dir) as heard:
        joined = browser.ask("POST", "/api/join", {"name": " Ada\x07 ", "role": "scribe"}).json()
        assert (joined["name"], joined["team_role"]) == ("Ada", "scribe")
        order = {"order": "act", "step": 1, "playbook": "redis-slow"}
        assert browser.ask("POST", "/api/order", order).json()["ok"]
    assert (heard[0].cmd, heard[0].by, heard[0].to) == ("join", "Ada", "scribe")
    assert (heard[1].cmd, heard[1].by) == ("order", "Ada")
    assert heard[1].order is not None
    assert (heard[1].order.step, heard[1].order.playbook) == (1, "redis-slow")


def test_a_run_that_is_over_is_told_so(served: ConsoleUnderTest) -> None:
    answer = served.browser("trainee").ask("POST", "/api/order", {"order": "ack"})
    assert (answer.json()["ok"], answer.json()["why"]) == (False, "over")


@pytest.mark.parametrize(
    "fields", [{}, {"name": "", "role": "scribe"}, {"name": "A", "role": "root"}, {"name": "\x07"}]
)
def test_nobody_joins_without_a_name_and_a_role(
    served: ConsoleUnderTest, fields: dict[str, str]
) -> None:
    answer = served.browser("trainee").ask("POST", "/api/join", fields)
    assert answer.json() == {"error": "name_or_role"}


def test_links_are_handed_on_by_who_leads_and_never_that_of_who_leads(
    served: ConsoleUnderTest,
) -> None:
    found = served.browser("facilitator").ask("GET", "/api/facilitator/links").json()
    assert set(found) == {"trainee", "observer"}
    assert found["trainee"].endswith("#" + served.tokens[ConsoleRole.TRAINEE])
    assert served.opened(Browser(served.base, found["trainee"].partition("#")[2])).csrf
