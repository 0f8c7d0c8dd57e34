"""Who may ask the API what: by Host, by Origin, and for changes by token."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.core.errors import UsageError
from gameday.toxiproxy.admission import (
    Admission,
    allowed_host,
    allowed_origin,
    is_all_loopback,
    read_token,
)
from gameday.toxiproxy.errors import ApiError
from gameday.toxiproxy.http import HttpRequest
from tests.support.toxiproxy_raw import Server, serving

TOKEN = "0123456789abcdef-_XYZ"


def refused(admission: Admission, **headers: str) -> int:
    """The status with which a request with these headers is refused, 0 when it is let in."""
    try:
        admission.admit(HttpRequest("GET", "/", headers))
    except ApiError as error:
        return error.status
    return 0


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8474",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.8.9.10:65535",
        "[::1]",
        "[::1]:8474",
        "[::ffff:127.0.0.1]:8474",
        "toxiproxy.test:8474",
        "",
    ],
)
def test_this_machine_and_allowed_names_are_welcome_as_host(host: str) -> None:
    assert refused(Admission(hosts=frozenset({"toxiproxy.test"})), host=host) == 0


def test_a_missing_host_is_accepted() -> None:
    assert refused(Admission()) == 0


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "localhost.evil.com:8474",
        "127.0.0.1.evil.com",
        "localhost@evil.com",
        "evil.com@localhost",
        "evil.com/localhost",
        "localhost evil.com",
        "localhost, evil.com",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "128.0.0.1",
        "[::]",
        "::1",
        "[::1",
        "[::1]evil.com",
        "[::1]:x",
        "localhost:",
        "localhost:123456",
        "\u00b2localhost",
        "toxiproxy.test",
    ],
)
def test_any_other_host_is_refused_while_the_api_is_bound_to_loopback(host: str) -> None:
    assert refused(Admission(), host=host) == 403
    assert refused(Admission(local=False), host=host) == 0


@pytest.mark.parametrize(
    ("origin", "here", "elsewhere"),
    [
        ("http://localhost:3000", 0, 403),
        ("https://127.0.0.1", 0, 403),
        ("http://[::1]:8474", 0, 403),
        ("HTTP://ALLOWED.TEST:9", 0, 0),
        ("http://allowed.test", 403, 403),
        ("http://allowed.test:90", 403, 403),
        ("null", 403, 403),
        ("", 403, 403),
        ("http://evil.com", 403, 403),
        ("http://localhost.evil.com", 403, 403),
        ("http://localhost@evil.com", 403, 403),
        ("http://localhost, http://evil.com", 403, 403),
        ("file://", 403, 403),
        ("file://localhost", 403, 403),
        ("chrome-extension://localhost", 403, 403),
        ("http://localhost/", 403, 403),
    ],
)
def test_a_page_may_ask_only_from_this_machine_or_an_allowed_origin(
    origin: str, here: int, elsewhere: int
) -> None:
    allowed = frozenset({"http://allowed.test:9"})
    assert refused(Admission(origins=allowed), origin=origin) == here
    assert refused(Admission(origins=allowed, local=False), origin=origin) == elsewhere


def test_bound_to_loopback_means_every_address_that_is_listened_at() -> None:
    assert is_all_loopback(["127.0.0.1", "::1"])
    assert is_all_loopback(["127.1.2.3", "::1%1"])
    assert not is_all_loopback(["127.0.0.1", "0.0.0.0"])
    assert not is_all_loopback(["::"])


@pytest.mark.parametrize("text", ["a:80", "a/b", "", "a b", "http://a", "[::1]:1"])
def test_an_allowed_host_is_a_name(text: str) -> None:
    assert allowed_host("Name.Test") == "name.test"
    with pytest.raises(ValueError, match="is not the name of a host"):
        allowed_host(text)


@pytest.mark.parametrize("text", ["null", "a", "ftp://a", "http://", "http://a/", "http://a?b"])
def test_an_allowed_origin_is_an_origin(text: str) -> None:
    assert allowed_origin("http://A:1") == "http://a:1"
    with pytest.raises(ValueError, match="is not an origin"):
        allowed_origin(text)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("guarded")
    file = folder / "token"
    file.touch(0o600)
    file.write_text(TOKEN + "\n")
    config = folder / "proxies.json"
    entry = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
    config.write_text(json.dumps([entry]))
    with serving(folder, "--token-file", str(file), "--config", str(config)) as made:
        yield made


READING = ["/version", "/proxies", "/proxies/p", "/proxies/p/toxics", "/proxies/p/toxics/t"]
CHANGES = [
    ("POST", "/proxies"),
    ("POST", "/populate"),
    ("POST", "/reset"),
    ("POST", "/proxies/p"),
    ("PATCH", "/proxies/p"),
    ("DELETE", "/proxies/p"),
    ("POST", "/proxies/p/toxics"),
    ("POST", "/proxies/p/toxics/t"),
    ("PATCH", "/proxies/p/toxics/t"),
    ("DELETE", "/proxies/p/toxics/t"),
    ("DELETE", "/proxies/none"),
]


def test_with_a_token_reading_stays_open_and_every_change_needs_it(server: Server) -> None:
    bearer = {"authorization": f"bearer {TOKEN}"}
    toxic = b'{"type":"noop","name":"t"}'
    assert server.ask("POST", "/proxies/p/toxics", toxic, bearer).status == 200
    before = server.proxies()
    for path in READING:
        assert server.ask("GET", path).status == 200, path
    wrong = ["", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN]
    for method, path in CHANGES:
        for given in wrong:
            answer = server.ask(method, path, b"{}", {"authorization": given})
            assert answer.status == 401, (method, path, given)
            assert json.loads(answer.body)["status"] == 401
            assert "www-authenticate: bearer" in answer.head.lower()
    assert server.proxies() == before
    assert server.ask("POST", "/proxies/p", b'{"enabled":false}', bearer).status == 200
    assert server.ask("POST", "/reset", headers=bearer).status == 204


def test_a_refusal_has_the_form_of_toxiproxys_errors(server: Server) -> None:
    for headers in ({"host": "evil.com"}, {"origin": "null"}):
        for path in ("/version", "/nowhere", "/proxies"):
            answer = server.ask("GET", path, headers=headers)
            said = json.loads(answer.body)
            assert (answer.status, said["status"], set(said)) == (403, 403, {"error", "status"})
            assert "content-type: text/plain; charset=utf-8" in answer.head.lower()


def test_bound_elsewhere_any_host_is_served_and_no_page(tmp_path: Path) -> None:
    options = ["--allowed-origin", "http://page.test:80"]
    with serving(tmp_path, *options, host="0.0.0.0") as server:
        assert server.ask("GET", "/version", headers={"host": "toxiproxy:8474"}).status == 200
        assert server.ask("GET", "/version", headers={"origin": "http://localhost"}).status == 403
        assert (
            server.ask("GET", "/version", headers={"origin": "http://page.test:80"}).status == 200
        )


def test_an_allowed_host_is_served_while_bound_to_loopback(tmp_path: Path) -> None:
    with serving(tmp_path, "--allowed-host", "Proxy.Test", "--allowed-host", "b") as server:
        assert server.ask("GET", "/version", headers={"host": "proxy.test:8474"}).status == 200
        assert server.ask("GET", "/version", headers={"host": "other.test"}).status == 403
        assert server.say(b"GET /version HTTP/1.0\r\n\r\n")[0].status == 200


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (TOKEN, 0o644, "others may read or write it"),
        (TOKEN, 0o620, "others may read or write it"),
        ("short", 0o600, "it holds no token"),
        (f"{TOKEN} {TOKEN}", 0o600, "it holds no token"),
        ("x" * 5000, 0o600, "it is larger than 1 KiB"),
        ("\u00e9" * 20, 0o600, "it holds no token"),
    ],
)
def test_a_token_file_that_is_not_one_is_refused(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(UsageError, match=f"{file}: {said}") as caught:
        read_token(file)
    assert caught.value.help


def test_a_token_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name, said in (("fifo", "a FIFO, not"), (".", "a folder, not"), ("none", "No such file")):
        with pytest.raises(UsageError, match=said):
            read_token(tmp_path / name)
