"""Secrets: 50 of them are planted wherever a system file may name one, and none is ever written.

The server of these tests says everything it knows: it quotes all 50 in its answers, its errors and
the labels of its metrics. Runs that succeed, are refused, cannot reach their stores and are given
addresses that no driver can read leave run directories, screens and error messages behind;
all of that is searched, and so are the arguments of every process of a run.
"""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from gameday.core.clock import SystemClock
from gameday.core.files.logs import hide_in_file
from gameday.core.secrets.redaction import MASK, Hidden
from gameday.evidence import journal
from gameday.evidence.journal import Journal
from gameday.injection.drivers.request import RequestError, Sender, secrets_of
from gameday.injection.replicas import undo
from gameday.spec.request import Request
from gameday.spec.system import System
from gameday.spec.undos import RequestUndo
from tests.support.events import event_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Run = tuple[int, Mapping[str, bytes]]
CANARIES = 50
MARK = "cnry"
ODD = ["", " with space", "/#x", "?a=b&c", "@host", ":1", "%2F%", "'q\"", "\\b", "+plus=="]


def canary(number: int) -> str:
    """A secret that can be told from every other one, with what is special somewhere in it."""
    return f"{MARK}{number:02d}zq7{ODD[number % len(ODD)]}{MARK}{number:02d}end"


OF_AGENT = f"{MARK}-key-of-the-program"
SECRETS = [canary(number) for number in range(CANARIES)]


class Talkative(BaseHTTPRequestHandler):
    """Answers as its path asks for, and always tells all secrets."""

    protocol_version = "HTTP/1.1"
    issued = 0
    lock = threading.Lock()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the screen of the tests."""

    def do_GET(self) -> None:
        if self.path.startswith("/metrics"):
            labels = ",".join(f'l{n}="{_escaped(s)}"' for n, s in enumerate(SECRETS))
            self._answer(200, f"# TYPE build_info gauge\nbuild_info{{{labels}}} 1\n".encode())
        elif self.path.startswith("/refused"):
            self._answer(500, "; ".join(SECRETS).encode())
        else:
            rows = [{"userId": n, "issueId": f"i{n}", "dsn": SECRETS[0]} for n in range(0)]
            self._tell(200, {"code": "DROP", "stock": 100_000, "rows": rows})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/refused"):
            self._answer(500, json.dumps(SECRETS).encode())
        else:
            self._tell(410, {})

    def _tell(self, status: int, said: Mapping[str, Any]) -> None:
        self._answer(status, json.dumps({**said, "debug": SECRETS}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Talkative)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """Half of the secrets in the environment, half in files."""
    folder = tmp_path_factory.mktemp("secrets")
    for number in range(1, CANARIES, 2):
        (folder / f"s{number}").write_text(SECRETS[number] + "\n")
    return {f"GD_S{n}": SECRETS[n] for n in range(0, CANARIES, 2)}, folder


def reference(number: int, folder: Path) -> dict[str, str]:
    return {"file": str(folder / f"s{number}")} if number % 2 else {"env": f"GD_S{number}"}


def headers(numbers: range, folder: Path) -> dict[str, Any]:
    return {f"X-H{number}": reference(number, folder) for number in numbers}


def system(port: int, folder: Path, **changes: Any) -> dict[str, Any]:
    """A system file that names a secret in every place where one can be."""
    issue = {"post": "/issue", "json": {"user": "{user}"}, "headers": headers(range(12), folder)}
    outcomes = {"issued": {"status": 200}, "sold_out": {"status": 410}}
    back = {"post": "/refused", "headers": headers(range(34, 50), folder)}
    return {
        "name": "talkative",
        "base_url": f"http://127.0.0.1:{port}",
        "metrics": [f"http://127.0.0.1:{port}/metrics"],
        "requests": {"issue": {**issue, "outcomes": outcomes}},
        "close": {
            "post": "/close",
            "expect": {"status": 410},
            "headers": headers(range(12, 18), folder),
        },
        "audit": {"get": "/audit", "headers": headers(range(18, 26), folder)},
        "actions": {
            "pause": {"post": "/pause", "headers": headers(range(26, 34), folder)},
            "back": back,
        },
        "settle": "1s",
        **changes,
    }


EXPERIMENT: dict[str, Any] = {
    "name": "drop",
    "campaign": {"coupon": "DROP", "users": 1000},
    "traffic": {"drop": {"executor": "constant-arrival-rate", "rate": "20/s", "duration": "1s"}},
}


def dsn(number: int, scheme: str) -> str:
    return f"{scheme}://app:{SECRETS[number]}@127.0.0.1:9/db"


def variants(folder: Path) -> dict[str, dict[str, Any]]:
    """What is different in each run's system file."""
    refused = {"headers": headers(range(12, 26), folder)}
    stores = {
        "postgres": {"dsn": {"env": "GD_DSN"}, "rows": "SELECT 1, 'x' WHERE $1 = ''"},
        "redis": {"url": {"env": "GD_URL"}, "remaining": "s", "holders": "h"},
    }
    return {
        "well": {},
        "audit-refused": {"audit": {**refused, "get": "/refused"}},
        "campaign-refused": {"campaign": {**refused, "post": "/refused"}},
        "stores-away": {"stores": stores},
        "stores-unreadable": {"stores": stores},
        "close-refused": {"close": {**refused, "post": "/refused"}},
    }


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def found(where: Mapping[str, bytes]) -> list[str]:
    """Where the marks of secrets stand, and what is around them."""
    marked = []
    for name, raw in where.items():
        at = raw.find(MARK.encode())
        if at >= 0:
            marked.append(f"{name}: {raw[max(0, at - 60) : at + 40]!r}")
    return marked


def arguments_of(process: psutil.Process) -> str:
    told = []
    for each in [process, *process.children(recursive=True)]:
        try:
            told.append(" ".join(each.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(told)


def begun(
    name: str, folder: Path, port: int, kept: tuple[dict[str, str], Path], *more: str
) -> "subprocess.Popen[bytes]":
    """One variant, under way, with `more` options."""
    environment, files = kept
    changes = variants(files)[name]
    stock = {"stock": 10} if "campaign" in changes else {}
    campaign = {**EXPERIMENT["campaign"], **stock}
    (folder / "drop.yaml").write_text(yaml.safe_dump({**EXPERIMENT, "campaign": campaign}))
    (folder / "system.yaml").write_text(yaml.safe_dump(system(port, files, **changes)))
    odd = 2 if name == "stores-unreadable" else 0  # its characters make an address unreadable
    addresses = {"GD_DSN": dsn(odd, "postgres"), "GD_URL": dsn(odd, "redis")}
    files_of = ["--system", str(folder / "system.yaml"), "--runs", str(folder / "runs")]
    arguments = ["run", str(folder / "drop.yaml"), "--stack", "external", *files_of, *more]
    state = {"XDG_STATE_HOME": str(folder / "state"), "AGENT_API_KEY": OF_AGENT}
    return subprocess.Popen(
        [sys.executable, "-m", "gameday", *arguments],
        env={**os.environ, **environment, **addresses, **state},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: "subprocess.Popen[bytes]", folder: Path) -> Run:
    """Its exit code, and all that it wrote, said and was called."""
    titles = ""
    try:
        while process.poll() is None:
            titles += arguments_of(psutil.Process(process.pid))
            time.sleep(0.2)
    finally:
        process.kill()
        out, err = process.communicate()
    said = {"stdout": out, "stderr": err, "titles": titles.encode()}
    return process.returncode, {**dict(written(folder)), **said}


@pytest.fixture(scope="module")
def runs(
    port: int, kept: tuple[dict[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run]:
    """Every variant, one after the other."""
    done: dict[str, Run] = {}
    for name in variants(kept[1]):
        folder = tmp_path_factory.mktemp(name)
        done[name] = ended(begun(name, folder, port, kept), folder)
    return done


@pytest.mark.parametrize("name", list(variants(Path())))
def test_no_secret_is_written_said_or_shown(runs: dict[str, Run], name: str) -> None:
    code, everything = runs[name]
    told = everything["stderr"].decode()
    assert found(everything) == [], told
    assert code in ((2,) if name == "stores-unreadable" else (0, 1, 3, 4)), told
    assert "Traceback" not in told
    refused_before = name == "stores-unreadable"  # its address is looked at before there is a run
    assert refused_before or any("journal.jsonl" in each for each in everything)
    if name != "well":
        assert code != 0


def test_where_a_secret_was_quoted_it_is_masked(
    runs: dict[str, Run],
) -> None:
    """The server did quote them, so the search above had something to find."""
    samples = next(r for n, r in runs["well"][1].items() if n.endswith("samples.jsonl"))
    assert samples.count(b'": "***"') >= CANARIES
    audit = next(raw for name, raw in runs["well"][1].items() if name.endswith("audit.json"))
    assert json.loads(audit)["answer"]["debug"] == [MASK] * CANARIES
    refused = next(
        raw for name, raw in runs["audit-refused"][1].items() if name.endswith("journal.jsonl")
    )
    assert b"answered 500: ***" in refused


TELLS = """
import json, os, sys
key = os.environ["AGENT_API_KEY"]
print(json.dumps({"order": "note", "text": "I am " + key}), flush=True)
print("Traceback: refused " + key, file=sys.stderr, flush=True)
sys.stdin.read()
"""


def test_what_the_program_that_responds_tells_of_its_own_secrets_is_masked(
    port: int, kept: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    program = shlex.join([sys.executable, "-u", "-c", TELLS])
    options = ("--responder", program)
    _, everything = ended(begun("well", tmp_path, port, kept, *options), tmp_path)
    assert found(everything) == []
    log = next(raw for name, raw in everything.items() if name.endswith("responder.log"))
    journaled = next(raw for name, raw in everything.items() if name.endswith("journal.jsonl"))
    assert b"refused ***" in log
    assert b"I am ***" in journaled


async def test_an_undo_that_is_refused_keeps_the_secret(
    port: int, kept: tuple[dict[str, str], Path]
) -> None:
    """As the reaper and `gameday heal` do it: from the journal's record alone."""
    environment, files = kept
    request = system(port, files)["actions"]["back"]
    record = RequestUndo(action="back", base_url=f"http://127.0.0.1:{port}", request=request)
    with pytest.raises(RequestError) as refused:
        await undo(record, environment)
    assert MARK not in " ".join(_own_marks(refused.value.message, range(34, 50)))
    assert "answered 500" in refused.value.message


def _own_marks(text: str, numbers: range) -> list[str]:
    return [f"{MARK}{n:02d}" for n in numbers if f"{MARK}{n:02d}" in text]


def test_every_reference_of_a_system_file_is_known(
    kept: tuple[dict[str, str], Path],
) -> None:
    environment, files = kept
    loaded = System.model_validate(system(1, files))
    known = secrets_of(loaded, environment)
    assert {SECRETS[n] for n in range(50)} <= set(known)


@pytest.mark.parametrize("number", range(CANARIES))
def test_a_secret_is_hidden_however_it_is_quoted(tmp_path: Path, number: int) -> None:
    from base64 import b64encode
    from urllib.parse import quote, quote_plus

    secret = SECRETS[number]
    address = f"postgres://app:{secret}@db:5432/x"
    quoted = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)]
    quoted += [json.dumps(secret), str(secret.encode()), address, quote(address, safe="")]
    quoted += [f"Basic {b64encode(secret.encode()).decode()}", secret.split("/")[0]]
    for known in (secret, address):
        hide = Hidden([known])
        for text in quoted:
            assert MARK not in hide(f"it said {text}!"), text
    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    book.hide = Hidden([address])
    book.write(event_of("phase", problem=f"cannot parse {secret!r}", found=[{secret: address}]))
    book.close()
    assert MARK not in book.path.read_text()
    assert journal.read(book.path).damage == ""


def test_what_is_no_secret_stays_readable() -> None:
    hide = Hidden(["postgres://app:s3cretpw@db.example:5432/coupons", "", "abc", "x"])
    text = "db.example:5432 refused app for coupons after 300 ms; abc, x"
    assert hide(text) == text
    assert hide("pw s3cretpw") == f"pw {MASK}"


def test_a_log_is_rewritten_only_where_it_shows_a_secret(tmp_path: Path) -> None:
    log, other = tmp_path / "service.log", tmp_path / "redis.log"
    log.write_bytes(b"started\r\nconnecting to redis://:s3cretpw@x\n\xff\n")
    other.write_text("ready\n")
    before = other.stat().st_ino
    for path in (log, other):
        hide_in_file(path, Hidden(["redis://:s3cretpw@x"]))
    assert log.read_bytes() == b"started\r\nconnecting to ***\n\xff\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert other.stat().st_ino == before


async def test_a_header_that_cannot_be_sent_is_no_crash_and_shows_nothing() -> None:
    request = Request.model_validate({"get": "/", "headers": {"X-T": {"env": "GD_ODD"}}})
    for value in ("line\nfeed-" + MARK, "ü" + MARK):
        with pytest.raises(RequestError) as refused:
            await Sender("http://127.0.0.1:9", {}, {"GD_ODD": value}).send(request)
        assert MARK not in refused.value.message
