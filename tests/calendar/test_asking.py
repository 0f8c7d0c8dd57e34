"""Questions before a day, asked of a real Prometheus and a real Alertmanager, and of hostile ones.

The same expressions are put to a go / no-go condition and to `skip_when`: one meaning for both.
"""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from gameday.calendar.asking import QuestionReply, in_time
from gameday.calendar.conditions import Answered, Asker, ask
from gameday.calendar.skip_when import why_skip
from gameday.core.clock import NS, SystemClock
from gameday.core.network.allow_list import Allowed
from gameday.spec.day import Condition
from gameday.spec.schedule import SkipWhen
from gameday.spec.system import System
from tests.support.prometheus import alertmanager, needs_alertmanager, prometheus

CLOCK = SystemClock()
PATIENCE_S = 40.0
SECRET = "hunter2hunter2hunter2"
BCRYPT = "$2b$04$abcdefghijklmnopqrstuuFXGZW0PVkV9bZb4zqR0jTtq6zjQ0nYe"  # of no password at all
SYSTEM = {
    "name": "own",
    "base_url": "http://127.0.0.1:1",
    "requests": {"issue": {"get": "/", "outcomes": {"issued": {"status": 200}}}},
}
RULES = """groups:
- name: g
  rules:
  - {record: zeros, expr: vector(0), labels: {of: a}}
  - {record: zeros, expr: vector(0), labels: {of: b}}
  - {record: mixed, expr: vector(0), labels: {of: a}}
  - {record: mixed, expr: vector(7), labels: {of: b}}
  - {record: nans, expr: vector(0) / vector(0)}
  - {record: three, expr: vector(3)}
  - {alert: Outage, expr: vector(1), labels: {severity: page}}
  - {alert: Follows, expr: vector(1), labels: {severity: info}}
  - {alert: Silent, expr: vector(1), labels: {severity: page}}
  - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
  - {alert: Soon, expr: vector(1), for: 1h}
"""
ROUTING = """route: {receiver: nobody, group_wait: 0s, group_interval: 1s}
receivers: [{name: nobody}]
inhibit_rules:
- {source_matchers: [alertname="Outage"], target_matchers: [alertname="Follows"]}
"""


@dataclass(frozen=True)
class World:
    """A real Prometheus with its alerts, the Alertmanager that they are sent to, and their URLs."""

    prometheus: str
    alertmanager: str


def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so, and not for ever."""
    end_ns = CLOCK.now_ns() + int(PATIENCE_S * NS)
    while not holds():
        assert CLOCK.now_ns() < end_ns
        CLOCK.pause(0.1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with alertmanager(folder / "a", ROUTING) as routing:
        at = routing.removeprefix("http://")
        with prometheus(folder / "p", [], rules=RULES, alertmanager=at) as url:
            alerts = f"{routing}/api/v2/alerts"
            until(lambda: len(httpx.get(alerts, trust_env=False).json()) == 4)
            silence(routing, "Silent")
            until(lambda: states(routing)["Follows"] == states(routing)["Silent"] == "suppressed")
            yield World(url, routing)


def states(routing: str) -> dict[str, str]:
    found = httpx.get(f"{routing}/api/v2/alerts", trust_env=False).json()
    return {each["labels"]["alertname"]: each["status"]["state"] for each in found}


def silence(routing: str, name: str) -> None:
    now = datetime.now(UTC)
    matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
    body = {
        "matchers": [matcher],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "a test",
        "comment": "planned work",
    }
    answer = httpx.post(f"{routing}/api/v2/silences", json=body, trust_env=False)
    answer.raise_for_status()


def system_of(**keys: object) -> System:
    return System.model_validate({**SYSTEM, **keys})


def go(expr: str, system: System, timeout: str = "30s") -> Answered:
    condition = Condition.model_validate({"name": "calm", "expr": expr, "timeout": timeout})
    return asyncio.run(ask(condition, Asker(system, Path.cwd(), os.environ)))


def skipped(system: System | None, **keys: object) -> str:
    """The reason that keeps a day from beginning; "" where there is none."""
    why = why_skip(SkipWhen.model_validate(keys), system, Path.cwd(), Allowed())
    return "" if why is None else why.text()


@needs_alertmanager
@pytest.mark.parametrize(
    ("expr", "holds", "seen"),
    [
        ("three == 3", True, "it is 3"),
        ("three > 3", False, "it is 3"),
        ("three", True, "it is 3"),
        ("zeros", False, "it is 0, 0"),
        ("zeros == 0", True, "it is 0, 0"),  # what a comparison leaves has held
        ("zeros > 0", False, "it is 0, 0"),
        ("zeros >bool 0", False, "it is 0, 0"),
        ("mixed", True, "it is 0, 7"),
        ("mixed > 5", True, "it is 7"),
        ("nans", False, "it is nan"),
        ("nans > 0", False, "it is nan"),
        ("nans != 0", True, "it is nan"),  # as Prometheus has it: NaN is no number, so not 0
        ("nothing", None, "no data"),
        ("nothing == 0", None, "no data"),
        ("nothing > 0 or three > 1", True, "it is 3"),
        ("three > 1 and nothing > 0", None, "no data"),
        ("three > 5 and nothing > 0", False, "it is 3"),
        ("absent(nothing)", True, "it is 1"),
        ("absent(three)", False, "no data"),
        ("(nothing or vector(0)) == 0", True, "it is 0"),
        ("time() >bool 0", True, "it is 1"),
        ("1 > bool 2", False, "it is 0"),
        ('ALERTS{alertname="Outage"}', True, "it is 1"),
        ('ALERTS{alertname="Nobody"}', False, "no data"),
        ('ALERTS{alertname="Nobody"} == 1', False, "no data"),
        ('count(ALERTS{alertstate="firing"}) > 3', True, "it is 4"),
    ],
)
def test_an_expression_means_the_same_for_go_and_for_skip_when(
    world: World, expr: str, holds: bool | None, seen: str
) -> None:
    system = system_of(prometheus=world.prometheus)

    answer = go(expr, system)
    assert answer.go is (holds is True)
    assert answer.why.startswith(seen)

    why = skipped(system, expr=expr)
    assert bool(why) == (holds is not False)
    assert ("nobody can tell" in why) == (holds is None)
    assert why == "" or seen in why


@needs_alertmanager
@pytest.mark.parametrize("expr", ["three + on() mixed", "time() > 0", "sum(", "sum(k6_vus) > 1"])
def test_what_cannot_be_evaluated_is_no_answer(world: World, expr: str) -> None:
    system = system_of(prometheus=world.prometheus)
    assert not go(expr, system).go
    assert "nobody can tell" in skipped(system, expr=expr)


@needs_alertmanager
def test_alertmanager_knows_what_is_silenced_and_inhibited_and_prometheus_does_not(
    world: World,
) -> None:
    routed = system_of(prometheus=world.prometheus, alertmanager=world.alertmanager)
    assert skipped(routed, alerts="any") == "alerts fire: Outage"  # not Watchdog
    assert skipped(routed, alerts=["Outage", "Silent"]) == "alerts fire: Outage"
    assert skipped(routed, alerts=["Silent", "Follows", "Nobody"]) == ""
    assert skipped(routed, alerts=["Watchdog"]) == "alerts fire: Watchdog"  # who names it means it

    unrouted = system_of(prometheus=world.prometheus)
    assert skipped(unrouted, alerts="any") == "alerts fire: Follows, Outage, Silent"
    assert skipped(unrouted, alerts=["Soon"]) == ""  # it is pending


@needs_alertmanager
def test_a_part_that_holds_is_told_before_one_that_nobody_can_tell(world: World) -> None:
    system = system_of(prometheus=world.prometheus, alertmanager="http://127.0.0.1:1")
    assert skipped(system, alerts="any", expr="three > 1").startswith("true: three > 1")
    assert "whether alerts fire" in skipped(system, alerts="any", expr="three > 5")
    assert skipped(system, command=["true"], expr="nothing").startswith("true: exit status 0")


@needs_alertmanager
def test_who_is_not_let_in_is_told_so_and_the_secret_stays_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    named = {"bearer": {"env": "TOKEN"}}
    with prometheus(tmp_path / "p", [], web=f"basic_auth_users: {{kim: {BCRYPT}}}\n") as url:
        system = system_of(prometheus={"url": url, **named})
        assert "status 401" in go("three", system).why
        assert "status 401" in skipped(system, expr="three")
        assert "status 401" in skipped(system, alerts="any")
    with answering(b'{"status": "error", "error": "not let in: ' + SECRET.encode() + b'"}') as url:
        system = system_of(prometheus={"url": url, **named})
        for told in (go("three", system).why, skipped(system, expr="three", alerts="any")):
            assert "not let in" in told
            assert SECRET not in told


LONG_SECRET = "0123456789abcdef" * 40


@pytest.mark.parametrize("secret", [SECRET, LONG_SECRET])
@pytest.mark.parametrize("before", [0, 100, 179, 190, 4096 - 8, 20_000])
@pytest.mark.parametrize("system", [None, system_of()])
def test_a_command_shows_no_secret_of_the_environment_and_no_part_of_one(
    monkeypatch: pytest.MonkeyPatch, system: System | None, before: int, secret: str
) -> None:
    monkeypatch.setenv("PAGER_TOKEN", secret)
    script = (
        f"import os; print('a' * {before} + ' ' + os.environ['PAGER_TOKEN'] + ' ' + 'b' * 4090)"
    )
    told = skipped(system, command=["python3", "-c", script])
    parts = {secret[at : at + 8] for at in range(len(secret) - 8)}
    assert "exit status 0" in told
    assert not [part for part in parts if part in told]


@pytest.mark.parametrize("before", [0, 100, 180])
def test_a_long_secret_is_masked_before_an_error_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setenv("TOKEN", LONG_SECRET)
    body = json.dumps({"status": "error", "error": "x" * before + " " + LONG_SECRET}).encode()
    with answering(body, 500) as url:
        system = system_of(prometheus={"url": url, "bearer": {"env": "TOKEN"}})
        for told in (go("three", system).why, skipped(system, expr="three", alerts="any")):
            assert "status 500" in told
            assert LONG_SECRET[:8] not in told


def test_a_secret_that_is_not_there_is_no_answer() -> None:
    named = {"url": "http://127.0.0.1:1", "bearer": {"env": "NOWHERE_TO_BE_FOUND"}}
    system = system_of(prometheus=named, alertmanager=named)
    assert "NOWHERE_TO_BE_FOUND" in go("three", system).why
    assert "NOWHERE_TO_BE_FOUND" in skipped(system, expr="three")
    assert "NOWHERE_TO_BE_FOUND" in skipped(system, alerts="any")


@pytest.mark.parametrize("system", [None, system_of()])
def test_where_nobody_can_be_asked_nobody_can_tell(system: System | None) -> None:
    assert "nobody can tell" in skipped(system, expr="three")
    assert "nobody can tell" in skipped(system, alerts="any")


@contextmanager
def answering(body: bytes, status: int = 200, kind: str = "application/json") -> Iterator[str]:
    """A server that has one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes every connection and never says a word, as one that hangs."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def vector(*values: str) -> bytes:
    found = [{"metric": {"of": f"{i}"}, "value": [1.0, v]} for i, v in enumerate(values)]
    data = {"resultType": "vector", "result": found}
    return json.dumps({"status": "success", "data": data}).encode()


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 200, "application/json"),
        (b"<html>Sign in</html>", 200, "text/html"),
        (b"{", 200, "application/json"),
        (b"[" * 100_000, 200, "application/json"),
        (b'{"status": "success"}', 200, "application/json"),
        (b'{"status": "success", "data": {"resultType": "matrix", "result": []}}', 200,
         "application/json"),
        (vector("1e"), 200, "application/json"),
        (vector("1", "2").replace(b'"1"', b'"0"', 1), 200, "application/json"),
        (b"upstream is gone", 503, "text/plain"),
        (b'{"status": "error", "error": "' + b"x" * 5_000_000 + b'"}', 500, "application/json"),
        (b"\x00" * 20_000_000, 200, "application/json"),
    ],
)  # fmt: skip
def test_a_server_that_talks_nonsense_is_no_answer(body: bytes, status: int, kind: str) -> None:
    with answering(body, status, kind) as url:
        system = system_of(prometheus=url)
        answer = go("three > 1", system)
        whys = [
            answer.why,
            skipped(system, expr="three > 1"),
            skipped(system, alerts="any"),
            skipped(system_of(prometheus=url, alertmanager=url), alerts="any"),
        ]
    assert not answer.go
    assert all(0 < len(why) < 600 for why in whys)
    assert all("nobody can tell" in why for why in whys[1:])


@pytest.mark.parametrize(
    "stamp", ["NaN", "-5", "0", "8589934592", "1e300", "1e999", '"1e999"', "null"]
)
@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e400", "-5", "1e300", "9" * 5000])
@pytest.mark.parametrize("kind", ["scalar", "vector", "string"])
def test_a_clock_that_is_none_is_no_answer(stamp: str, value: str, kind: str) -> None:
    pair = f'[{stamp}, "{value}"]'
    found = f'[{{"metric": {{}}, "value": {pair}}}]' if kind == "vector" else pair
    data = f'{{"resultType": "{kind}", "result": {found}}}'
    with answering(f'{{"status": "success", "data": {data}}}'.encode()) as url:
        system = system_of(prometheus=url)
        assert not go("three > 1", system).go
        assert "nobody can tell" in skipped(system, expr="time() > 1")


@pytest.mark.parametrize(
    "error", [ValueError("x"), OverflowError("x"), RecursionError(), KeyError(1)]
)
def test_an_answer_that_nobody_has_thought_of_ends_nobody_who_asks(error: Exception) -> None:
    async def work() -> QuestionReply:
        raise error

    answer = asyncio.run(in_time(work(), 5.0))
    assert answer.holds is None
    assert type(error).__name__ in answer.seen.text()


def test_a_server_that_is_gone_is_no_answer() -> None:
    with silent() as url:
        pass
    system = system_of(prometheus=url, alertmanager=url)
    assert not go("three", system).go
    assert "nobody can tell" in skipped(system, expr="three")
    assert "nobody can tell" in skipped(system, alerts="any")


def test_a_server_that_does_not_answer_in_time_is_no_answer() -> None:
    with silent() as url:
        system = system_of(prometheus=url, alertmanager=url)
        assert go("three", system, timeout="300ms").why == "no answer within 0.3 s"
        for asked in ({"expr": "three"}, {"alerts": "any"}, {"command": ["sleep", "1000"]}):
            why = skipped(system, timeout="300ms", **asked)
            assert "nobody can tell" in why
            assert "no answer within 0.3 s" in why


def test_all_parts_have_the_same_time() -> None:
    asked = {"expr": "three", "alerts": "any", "command": ["sleep", "1000"]}
    begun_ns = CLOCK.now_ns()
    with silent() as url:
        system = system_of(prometheus=url, alertmanager=url)
        assert skipped(system, timeout="4s", **asked)
    assert CLOCK.now_ns() - begun_ns < 11 * NS  # one after the other they would need 12 s


def test_a_host_that_is_not_allowed_is_not_asked() -> None:
    system = system_of(prometheus="http://192.0.2.7:9090", alertmanager="http://192.0.2.7:9093")
    assert "--allow-target" in skipped(system, expr="three")
    assert "--allow-target" in skipped(system, alerts="any")
