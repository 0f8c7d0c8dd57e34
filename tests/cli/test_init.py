"""`gameday init`, as a stranger types it: against real small servers, honest and hostile ones."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.foreign_runs import shop

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(120)


def init(folder: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own, without a terminal."""
    return gameday(folder, "init", *arguments, **env)


def gameday(folder: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "st")} | env
    command = [sys.executable, "-m", "gameday", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=False,
    )


@contextmanager
def raw_server(reply: bytes, *, endless: bool = False) -> Iterator[str]:
    """A server that says the same bytes to everybody, over and over where it is endless."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(reply)
                    while endless:
                        connection.sendall(b"x" * 65536)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def commented(file: Path, key: str) -> Any:
    """The value of a key that stands in a comment."""
    [line] = [each for each in file.read_text().splitlines() if each.startswith(f"# {key}: ")]
    return yaml.safe_load(line[2:])[key]


def test_an_example_is_enough_and_the_files_are_valid(tmp_path: Path) -> None:
    with shop(tmp_path, stock=50) as url:
        body = '{"member": "u00042"}'
        done = init(tmp_path, "mine", "--url", f"{url}/claim", "--json", body, "--audit", "/audit")
        assert done.returncode == 0, done.stderr
        system = yaml.safe_load((tmp_path / "mine/system.yaml").read_text())
        issue = system["requests"]["issue"]
        assert issue["json"] == {"member": "u{user:05d}"}
        assert issue["outcomes"]["accepted"] == {"status": 201, "json": {"result": "ok"}}
        assert issue["capture"] == {"issue_id": "voucher"}
        assert "audit" not in system  # init's request used this shop's only campaign
        assert commented(tmp_path / "mine/system.yaml", "audit") == {"get": "/audit"}
        assert "has 1 row now" in done.stdout
        assert "audit has no row" not in done.stdout
        for name in ("first.yaml", "system.yaml"):
            path = f"mine/{name}"
            checked = gameday(tmp_path, "validate", path, "--system", "mine/system.yaml")
            assert checked.returncode == 0, checked.stderr
        last = done.stdout.rstrip().splitlines()[-1]
        assert last == (
            "next: gameday plan mine/first.yaml --stack external --system mine/system.yaml"
        )
        planned = gameday(tmp_path, *last.split()[2:])
        assert planned.returncode == 0, planned.stdout + planned.stderr


def test_it_sends_its_request_once(tmp_path: Path) -> None:
    with shop(tmp_path, stock=50) as url:
        init(tmp_path, "mine", "--url", f"{url}/claim", "--json", '{"member": 7}')
        other = init(
            tmp_path, "o", "--url", f"{url}/claim", "--json", '{"member": 7}', "--no-request"
        )
        assert other.returncode == 0, other.stderr
        again = init(tmp_path, "p", "--url", f"{url}/audit", "--audit", "/audit")
        assert "has 1 row now" in again.stdout


@pytest.mark.slow
def test_the_first_run_judges_a_foreign_shop(tmp_path: Path) -> None:
    with shop(tmp_path, stock=500) as url:
        body = '{"member": "00000000-0000-4000-8000-000000000001"}'
        done = init(tmp_path, "--run", "--url", f"{url}/claim", "--json", body)
        assert done.returncode in (0, 3), done.stdout + done.stderr
        assert "nothing about issuance" in done.stdout + (tmp_path / "system.yaml").read_text()
        [run] = (tmp_path / "runs").iterdir()
        result = json.loads((run / "result.json").read_bytes())
        outcomes = {each["name"]: each["verdict"] for each in result["checks"]}
        assert outcomes["thresholds"] == "valid", result
        assert done.stdout.rstrip().splitlines()[-1].startswith("next: ")


def test_no_file_is_overwritten_and_nothing_sent_before_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").symlink_to(tmp_path / "nowhere")
    done = init(tmp_path, "--url", "http://127.0.0.1:9/x")
    assert done.returncode == 2
    assert "first.yaml is there already" in done.stderr
    assert not (tmp_path / "system.yaml").exists()
    assert not (tmp_path / "nowhere").exists()


def test_without_a_terminal_it_asks_for_options(tmp_path: Path) -> None:
    done = init(tmp_path)
    assert done.returncode == 2
    assert "gameday init --url" in done.stderr
    assert list(tmp_path.iterdir()) == []


def typed(folder: Path, answers: list[str]) -> str:
    """The screen of `gameday init mine` in a terminal, each question answered in its turn."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "gameday", "init", "mine"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "dumb"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment
    ) as child:
        os.close(theirs)
        screen, answered = "", 0
        with suppress(OSError):  # its end is an error of the terminal
            while select.select([ours], [], [], 60)[0]:
                screen += os.read(ours, 4096).decode(errors="replace")
                if answered < len(answers) and screen.endswith(": ") and "\n" not in screen[-2:]:
                    os.write(ours, f"{answers[answered]}\n".encode())
                    answered += 1
        child.wait(60)
    os.close(ours)
    return screen


def test_in_a_terminal_it_asks_and_a_no_sends_nothing(tmp_path: Path) -> None:
    answers = ["http://127.0.0.1:9/claim", "", "member=u7&code=SALE", "/audit", "n"]
    screen = typed(tmp_path, answers)
    assert "nothing was sent" in screen, screen
    system = yaml.safe_load((tmp_path / "mine/system.yaml").read_text())
    assert system["requests"]["issue"]["form"] == {"member": "u{user}", "code": "{coupon}"}
    assert system["audit"] == {"get": "/audit"}


def test_an_address_that_is_not_this_machine_is_not_asked(tmp_path: Path) -> None:
    done = init(tmp_path, "--url", "http://192.0.2.1/x")
    assert done.returncode == 2
    assert "--allow-target 192.0.2.1" in done.stderr
    other = init(tmp_path, "--openapi", "http://192.0.2.1/openapi.json")
    assert "--allow-target 192.0.2.1" in other.stderr


def test_a_secret_header_is_sent_and_never_written(tmp_path: Path) -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(answer(b'{"id": "Bearer s3cret-token"}'))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/claim"
        done = init(tmp_path, "--url", url, "--header", "Authorization: Bearer s3cret-token")
        thread.join(10)
    assert done.returncode == 0, done.stderr
    assert b"authorization: bearer s3cret-token" in seen[0].lower()
    written = (tmp_path / "system.yaml").read_text()
    assert "headers: {Authorization: {env: AUTHORIZATION}}" in written
    assert "s3cret" not in written + done.stdout + done.stderr
    assert "export AUTHORIZATION" in done.stdout


def test_a_secret_header_is_the_one_that_was_given_or_refused(tmp_path: Path) -> None:
    words = ("--url", "http://127.0.0.1:9/x", "--no-request", "--header")
    other = init(tmp_path, *words, "Api-Key: fromcli", API_KEY="exported")
    assert other.returncode == 2
    assert "API_KEY has another value already" in other.stderr
    assert "fromcli" not in other.stderr
    assert "exported" not in other.stderr
    two = init(tmp_path, *words, "Api-Key: one", "--header", "API_KEY: two")
    assert two.returncode == 2
    same = init(tmp_path, *words, "Api-Key: fromcli", API_KEY="fromcli")
    assert same.returncode == 0, same.stderr


class Protected(BaseHTTPRequestHandler):
    """A shop that asks for a token everywhere, and hands out a list of one order.

    Its audit has another order before, whose number is one of the answer's.
    """

    orders: list[dict[str, Any]]
    log_message = lambda *_: None  # noqa: E731  it would write to the terminal

    def do_GET(self) -> None:
        if self.headers["Authorization"] != "Bearer s3cret-token":
            self.say(401, {})
        else:
            self.say(200, {"stock": 5, "rows": self.orders})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.orders += [{"userId": "x", "issueId": "1"}, {"userId": body["user"], "issueId": "2"}]
        self.say(201, {"number": 1, "orders": [{"id": "2"}]})

    def say(self, status: int, told: Any) -> None:
        raw = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def test_a_protected_audit_gets_the_secret_and_tells_the_id_in_a_list(tmp_path: Path) -> None:
    Protected.orders = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Protected) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/orders"
        words = ("--url", url, "--json", '{"user": 7}', "--audit", "/audit")
        refused = init(tmp_path, *words)
        secret = "Authorization: Bearer s3cret-token"
        done = init(tmp_path, *words, "--header", secret)
        server.shutdown()
    assert refused.returncode == 2
    assert "/audit answers 401" in refused.stderr
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "system.yaml").read_text()
    system = yaml.safe_load(text)
    headers = {"Authorization": {"env": "AUTHORIZATION"}}
    assert commented(tmp_path / "system.yaml", "audit") == {"get": "/audit", "headers": headers}
    assert system["requests"]["issue"]["capture"] == {"issue_id": "orders.0.id"}
    assert "s3cret" not in text + done.stdout
    assert "# semantics: {per_user: many}" in text


class Numbered(BaseHTTPRequestHandler):
    """A shop that numbers its sales itself, knows who asks by a header, and gives each one."""

    sales: dict[str, list[dict[str, Any]]]
    asked: list[str]
    log_message = lambda *_: None  # noqa: E731  it would write to the terminal

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path}")
        sale = self.path.split("/")[2] if self.path.startswith("/sales/") else ""
        self.say(200 if sale in self.sales else 404, self.sales.get(sale, []))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/sales":
            number = str(len(self.sales) + 7)
            self.sales[number] = []
            self.say(201, {"data": {"id": int(number)}})
            return
        rows = self.sales.get(str(body["eventId"]))
        member = self.headers["X-Member-Id"]
        if rows is None or any(row["member"] == member for row in rows):
            self.say(400, {"code": "QUOTA"})
            return
        rows.append({"member": member, "ticket": f"t{len(rows)}-{body['eventId']}"})
        self.say(201, {"ticket": rows[-1]["ticket"]})

    def say(self, status: int, told: Any) -> None:
        raw = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@contextmanager
def numbered() -> Iterator[str]:
    Numbered.sales, Numbered.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Numbered) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


CREATED = '{create: {post: /sales, json: {size: "{stock}"}}, capture: {coupon: data.id}}'


@pytest.mark.slow
def test_a_user_in_a_header_and_a_campaign_that_the_shop_numbers_run_at_once(
    tmp_path: Path,
) -> None:
    with numbered() as url:
        words = ("--url", f"{url}/tickets", "--json", '{"eventId": 3}', "--audit", "/sales/3/all")
        done = init(tmp_path, *words, "--header", "X-Member-Id: 101", "--campaign", CREATED)
        assert done.returncode == 0, done.stderr
        system = yaml.safe_load((tmp_path / "system.yaml").read_text())
        issue = system["requests"]["issue"]
        assert issue["headers"] == {"X-Member-Id": "{user}"}
        assert issue["json"] == {"eventId": "{coupon}"}
        assert system["audit"]["get"] == "/sales/{coupon}/all"
        assert "note: the header X-Member-Id says who asks: {user} instead of 101" in done.stdout
        assert "names a user, so all" not in done.stdout
        assert Numbered.sales["7"][0]["member"] != "101"
        last = done.stdout.rstrip().splitlines()[-1]
        planned = gameday(tmp_path, *last.split()[2:])
        assert planned.returncode == 0, planned.stdout + planned.stderr
        ran = gameday(tmp_path, "run", *last.split()[3:])
        [run] = (tmp_path / "runs").iterdir()
        result = json.loads((run / "result.json").read_bytes())
        verdicts = {each["name"]: each["verdict"] for each in result["checks"]}
        assert verdicts["no_lost_issuance"] == "valid", ran.stdout + ran.stderr
    assert len(Numbered.sales["8"]) == 60
    assert not [each for each in Numbered.asked if each == "GET /"]


def test_a_campaign_that_tells_no_id_where_it_is_looked_for_is_refused(tmp_path: Path) -> None:
    wrong = CREATED.replace("data.id", "data.no")
    with numbered() as url:
        words = ("--url", f"{url}/tickets", "--json", '{"eventId": 3}', "--audit", "/sales/3/all")
        done = init(tmp_path, *words, "--campaign", wrong)
    assert done.returncode == 2
    assert "nothing at `coupon: data.no` of its answer: " in done.stderr
    assert list(tmp_path.glob("*.yaml")) == []


def test_a_campaign_without_an_audit_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with numbered() as url:
        words = ("--url", f"{url}/tickets", "--json", '{"eventId": 3}', "--twice")
        done = init(tmp_path, *words, "--campaign", CREATED)
        assert done.returncode == 2
        assert "which only an audit can judge" in done.stderr
        assert Numbered.asked == []


def test_a_refusal_says_who_asked_and_that_the_user_may_be_the_reason(tmp_path: Path) -> None:
    with numbered() as url:
        done = init(
            tmp_path,
            "--url",
            f"{url}/tickets",
            "--json",
            '{"eventId": 3}',
            "--header",
            "X-User-Id: 1",
        )
    assert done.returncode == 2
    assert "POST /tickets, asked as user " in done.stderr
    assert "does this user exist, and have none yet? Or --no-request: " in done.stderr


HOSTILE = {
    "a page": answer(b"<!doctype html><title>\x1b[2J</title>", kind="text/html"),
    "no http": b"SSH-2.0-OpenSSH_9.9\r\n",
    "nothing": b"",
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    "huge announced": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
    "a refusal": answer(b'{"error": "\x1b]0;owned\x07 \xe2\x80\xae"}', "400 Bad Request"),
    "a gateway": answer(b"", "502 Bad Gateway"),
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
def test_an_answer_that_teaches_nothing_leaves_no_file_and_no_control_character(
    tmp_path: Path, reply: bytes
) -> None:
    with raw_server(reply) as url:
        done = init(tmp_path, "--url", f"{url}/claim", "--json", '{"user": 1}')
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("error: ")
    assert "help: " in done.stderr
    assert "Traceback" not in done.stderr
    assert all(each.isprintable() or each == "\n" for each in done.stdout + done.stderr)
    assert list(tmp_path.glob("*.yaml")) == []


def test_an_answer_that_never_ends_is_cut(tmp_path: Path) -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", endless=True) as url:
        done = init(tmp_path, "--url", f"{url}/claim")
    assert done.returncode == 2
    assert "more than" in done.stderr
    assert list(tmp_path.glob("*.yaml")) == []


EVIL = json.dumps(
    {
        "success": True,
        "id": "x\n    outcomes: {issued: {status: 500}}\u2028audit: {get: /evil}\x85#",
        'k: {a}\n"': {"id": "y"},
        "data": {"code": "a'b\": {c}"},
        "remaining": 10**300,
    }
)


def test_an_answer_that_would_be_yaml_stays_a_comment(tmp_path: Path) -> None:
    with raw_server(answer(EVIL.encode())) as url:
        done = init(
            tmp_path, "--url", f"{url}/claim", "--json", '{"user": 1, "x\\n y": "\\u2028{"}'
        )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "system.yaml").read_text()
    system = yaml.safe_load(text)
    assert "audit" not in system
    assert set(system["requests"]["issue"]["outcomes"]) == {"accepted", "refused"}
    assert system["requests"]["issue"]["json"] == {"user": "{user}", "x\n y": "\u2028{{"}
    assert all(each.isprintable() or each == "\n" for each in text + done.stdout)


def test_an_openapi_document_is_read_from_its_address(tmp_path: Path) -> None:
    paths = {
        "/claim": {
            "post": {
                "operationId": "claimVoucher",
                "requestBody": {"content": {"application/json": {"example": {"member": "m1"}}}},
            }
        }
    }
    document = json.dumps({"openapi": "3.1.0", "info": {"title": "Voucher Shop"}, "paths": paths})
    with shop(tmp_path, stock=50) as url, raw_server(answer(document.encode())) as other:
        made = init(tmp_path, "a", "--openapi", f"{other}/openapi.json", "--url", url)
        assert made.returncode == 0, made.stderr
    system = yaml.safe_load((tmp_path / "a/system.yaml").read_text())
    assert system["name"] == "voucher-shop"
    assert system["requests"]["issue"]["json"] == {"member": "m{user}"}


@pytest.mark.parametrize("source", ["openapi", "compose"])
def test_nothing_is_sent_to_an_address_that_only_a_file_names(tmp_path: Path, source: str) -> None:
    """A document or a compose file of somebody else's may name any server of this machine."""
    media = {"application/json": {"example": {"member": "m1"}}}
    claim = {"post": {"operationId": "claimVoucher", "requestBody": {"content": media}}}
    with socket.create_server(("127.0.0.1", 0)) as victim:
        victim.settimeout(0)
        port = victim.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        document = {"openapi": "3.1.0", "servers": [{"url": url}], "paths": {"/claim": claim}}
        (tmp_path / "api.json").write_text(json.dumps(document))
        services = {"web": {"build": ".", "ports": [f"127.0.0.1:{port}:80"]}}
        (tmp_path / "compose.yml").write_text(json.dumps({"services": services}))
        words = {
            "openapi": ["--openapi", "api.json", "--audit", "/audit"],
            "compose": ["--compose", "compose.yml", "--openapi", "api.json"],
        }[source]
        for more in (["--run"], ["--twice"]):
            refused = init(tmp_path, *words, *more)
            assert refused.returncode == 2
            assert f"--url {url}" in refused.stderr
            assert not (tmp_path / "system.yaml").exists()
        made = init(tmp_path, *words)
        assert made.returncode == 0, made.stderr
        assert f"nothing was sent to {url}, which only a file names" in made.stdout
        with pytest.raises(BlockingIOError):
            victim.accept()
    with shop(tmp_path, stock=50) as url:
        made = init(tmp_path, "given", "--openapi", "api.json", "--url", url)
        assert made.returncode == 0, made.stderr
        assert "it answered 201" in made.stdout


def test_a_compose_file_gives_the_next_command_whole(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(
        "services:\n"
        "  web: {build: ., ports: ['127.0.0.1:9:5000'], depends_on: [redis]}\n"
        "  redis: {image: 'redis:7', ports: ['6399:6379'],"
        " environment: {REDIS_PASSWORD: abcd1234}}\n"
    )
    done = init(tmp_path, "--compose", "compose.yml")
    assert done.returncode == 0, done.stderr
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.startswith("next: gameday plan first.yaml --stack compose --system system.yaml")
    assert last.endswith("--compose-file compose.yml --service-map redis=redis,service=web")
    assert "redis.REDIS_PASSWORD is a secret" in done.stdout
    text = (tmp_path / "system.yaml").read_text()
    assert "abcd1234" not in text + done.stdout
    assert "#   redis: {url: {env: AUDIT_REDIS}}" in text
    assert "nothing was sent to http://127.0.0.1:9, which only a file names" in done.stdout
    experiment = yaml.safe_load((tmp_path / "first.yaml").read_text())
    assert experiment["method"][0]["target"] == "redis"
    checked = gameday(tmp_path, "validate", "first.yaml", "--system", "system.yaml")
    assert checked.returncode == 0, checked.stderr


def test_a_store_is_named_where_its_variable_is_there(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(
        "services: {web: {build: ., ports: ['9:1'], depends_on: [db]},"
        " db: {image: postgres, ports: ['5433:5432']}}"
    )
    done = init(tmp_path, "--compose", "compose.yml", AUDIT_POSTGRES="postgresql://x")
    assert done.returncode == 0, done.stderr
    system = yaml.safe_load((tmp_path / "system.yaml").read_text())
    assert system["stores"] == {"postgres": {"dsn": {"env": "AUDIT_POSTGRES"}}}


def test_an_audit_of_another_shape_is_proposed_where_the_loader_takes_it(tmp_path: Path) -> None:
    rows = '{"items": [{"memberId": "m1"}], "capacity": 5}'
    body = '{"memberId": "{user:s}"}'
    with raw_server(answer(rows.encode())) as url:
        done = init(tmp_path, "--url", f"{url}/claim", "--json", body, "--audit", "/audit")
    assert done.returncode == 2
    assert "another form: items, capacity" in done.stderr  # m1 is nobody who just asked
    assert list(tmp_path.glob("*.yaml")) == []
