"""The console as a process: its secrets, its certificate, where it listens, and its end."""

import os
import socket
import ssl
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from gameday.console.access import ConsoleRole
from gameday.console.certificate import fingerprint, given, of_our_own
from gameday.console.launch import Launched, launch
from gameday.console.settings import ListenSettings, bind, listen_settings
from gameday.core.errors import StackError, UsageError
from gameday.evidence.sealed_box import Box
from tests.support.consoles import Browser, RunFolder, console

LONGEST_S = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "20261130T000000Z-drill-abcd")


def end(launched: Launched) -> None:
    launched.process.kill()
    launched.process.wait(LONGEST_S)
    os.close(launched.pipe)


def test_a_console_is_started_and_its_secrets_stand_nowhere(folder: RunFolder) -> None:
    box = Box.new()
    launched = launch(folder.dir, ListenSettings(port=0), box=box)
    try:
        process = psutil.Process(launched.process.pid)
        token = launched.links.links["facilitator"].partition("#")[2]
        shown = " ".join(process.cmdline()) + repr(process.environ())
        kept = "".join(p.read_text() for p in folder.dir.rglob("*") if p.is_file())
        for secret in (token, box.text, box.token):
            assert secret not in shown
            assert secret not in kept
        browser = Browser(launched.links.links["facilitator"].partition("/#")[0], token)
        assert browser.ask("GET", "/api/me").json()["role"] == "facilitator"
        browser.http.close()
        assert os.getsid(launched.process.pid) != os.getsid(0)
    finally:
        end(launched)


def test_the_folder_it_is_started_in_shadows_nothing_that_it_imports(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uvicorn.py").write_text("raise SystemExit('not the real one')")
    monkeypatch.chdir(tmp_path)
    launched = launch(folder.dir, ListenSettings(port=0))
    end(launched)


def test_a_console_that_cannot_listen_says_so(folder: RunFolder) -> None:
    with console(folder.dir) as other:
        port = int(other.base.rpartition(":")[2])
        with pytest.raises(StackError, match="cannot listen"):
            launch(folder.dir, ListenSettings(port=port))


def test_a_console_has_its_port_from_the_moment_that_it_has_bound() -> None:
    with closing(socket.socket()) as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", 0))  # as another console does, before it listens
        port = first.getsockname()[1]
        with closing(bind(ListenSettings(port=port))) as second:
            assert second.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            with pytest.raises(OSError, match="in use"):
                first.listen()


def test_only_the_roles_that_are_asked_for_have_a_link(folder: RunFolder) -> None:
    launched = launch(folder.dir, ListenSettings(port=0), [ConsoleRole.OBSERVER])
    end(launched)
    assert set(launched.links.links) == {"observer"}


def test_sigterm_ends_it_though_a_page_is_open(folder: RunFolder) -> None:
    launched = launch(folder.dir, ListenSettings(port=0))
    base, _, token = launched.links.links["trainee"].partition("/#")
    browser = Browser(base, token)
    try:
        batches = browser.batches()
        next(batches)
        launched.process.terminate()
        assert launched.process.wait(LONGEST_S) is not None
        batches.close()  # type: ignore[attr-defined]
    finally:
        browser.http.close()
        os.close(launched.pipe)


def test_listening_to_others_needs_tls_and_the_names_of_the_links(folder: RunFolder) -> None:
    listen = listen_settings("0.0.0.0", None, None, ["console.example", "127.0.0.1"])
    assert listen.secure
    with console(
        folder.dir, listen=ListenSettings(address="0.0.0.0", hosts=listen.hosts)
    ) as served:
        tls = of_our_own({"127.0.0.1", "localhost", "::1", "console.example", "0.0.0.0"})
        port = served.base.rpartition(":")[2]
        trusted = ssl.create_default_context(cafile=str(tls.cert))
        base = f"https://127.0.0.1:{port}"
        der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", int(port))))
        assert fingerprint(der) == tls.fingerprint == served.server.links.fingerprint
        browser = Browser(base, served.tokens[ConsoleRole.TRAINEE], verify=trusted)
        cookie = browser.http.cookies.jar._cookies  # type: ignore[attr-defined]  # noqa: SLF001
        assert "__Host-gameday-" in repr(cookie)
        assert "secure=True" in repr(cookie)
        wrong = browser.http.get("/", headers={"Host": "10.0.0.1"})
        assert wrong.status_code == 421
        browser.http.close()
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/")


def test_a_certificate_of_our_own_is_the_same_next_time_and_for_us_alone() -> None:
    one, other = of_our_own({"a.example"}), of_our_own({"a.example"})
    assert one == other
    assert one.cert.stat().st_mode & 0o077 == 0
    assert of_our_own({"b.example"}).fingerprint != one.fingerprint


def test_a_certificate_that_is_given_must_be_one(tmp_path: Path) -> None:
    own = of_our_own({"a.example"})
    assert given(own.cert, own.key).fingerprint == own.fingerprint
    (tmp_path / "cert.pem").write_text("nothing")
    with pytest.raises(UsageError, match="--tls-cert"):
        given(tmp_path / "cert.pem", own.key)


@pytest.mark.parametrize(
    ("listen", "hosts", "match"),
    [
        ("example.org", [], "is no address"),
        ("0.0.0.0:x", ["a"], "has no port"),
        ("0.0.0.0:70000", ["a"], "has no port"),
        ("0.0.0.0", [], "by which name"),
        ("[::]", [], "by which name"),
    ],
)
def test_where_nobody_can_listen(listen: str, hosts: list[str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        listen_settings(listen, None, None, hosts)


def test_a_certificate_and_its_key_belong_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="belong together"):
        listen_settings(None, tmp_path, None, [])


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [("10.0.0.5", "10.0.0.5", None), ("10.0.0.5:80", "10.0.0.5", 80), ("[::1]:80", "::1", 80)],
)
def test_an_address_and_its_port(text: str, address: str, port: int | None) -> None:
    found = listen_settings(text, None, None, ())
    assert (found.address, found.port) == (address, port)
    assert found.secure == (address != "::1")
