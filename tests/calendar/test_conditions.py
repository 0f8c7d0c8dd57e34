"""Go / no-go conditions, asked of real programs and of a server that answers as Prometheus does."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gameday.calendar.conditions import Answered, ask
from gameday.spec.day import Condition
from gameday.spec.inputs import find_system, load_system

SYSTEM = load_system(find_system(None)).system


def answered(**keys: object) -> Answered:
    condition = Condition.model_validate({"name": "calm", **keys})
    return asyncio.run(ask(condition, SYSTEM, os.environ))


@contextmanager
def prometheus(result: object, status: int = 200) -> Iterator[str]:
    """A server that has one answer to every query."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = {"resultType": "vector", "result": result}
            body = json.dumps({"status": "success", "data": data}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def value(number: str) -> list[object]:
    return [{"metric": {"job": "a"}, "value": [1.0, number]}]


@pytest.mark.parametrize(
    ("expr", "result", "go", "why"),
    [
        ("up == 1", value("1"), True, "it is 1"),
        ("up == 1", [], False, "no data"),
        ("up == 0", value("0"), True, "it is 0"),  # what a comparison leaves has held
        ("up", value("0"), False, "it is 0"),
        ("up", value("NaN"), False, "it is nan"),
        ("up", value("3"), True, "it is 3"),
    ],
)
def test_only_a_clear_yes_of_prometheus_means_go(
    expr: str, result: object, go: bool, why: str
) -> None:
    with prometheus(result) as url:
        assert answered(expr=expr, prometheus=url) == Answered("calm", go, why)


def test_a_prometheus_that_is_ill_or_gone_means_no_go() -> None:
    with prometheus([], status=503) as url:
        assert not answered(expr="up == 1", prometheus=url).go
    assert not answered(expr="up == 1", prometheus=url).go  # nobody listens any more
    assert not answered(expr="up == 1").go  # the system names none


@pytest.mark.parametrize(
    ("command", "go", "why"),
    [
        (["true"], True, "exit status 0"),
        (["sh", "-c", "echo first; echo last; exit 3"], False, "exit status 3: last"),
        (["sh", "-c", "kill -9 $$"], False, "ended by signal 9"),
        (["no-such-program"], False, "cannot be run"),
        (["sh", "-c", "printf '\\377\\n'"], True, "\ufffd"),
    ],
)
def test_a_command_means_go_when_it_ends_well(command: list[str], go: bool, why: str) -> None:
    found = answered(command=command)
    assert found.go is go
    assert why in found.why


def test_a_command_has_no_shell() -> None:
    assert answered(command=["echo", "$(false)"]).why == "exit status 0: $(false)"


def test_what_a_command_says_is_bounded() -> None:
    found = answered(command=["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"])
    assert found.go
    assert len(found.why) < 300


def test_a_command_that_does_not_end_is_no_go_and_is_ended_with_its_children(
    tmp_path: Path,
) -> None:
    here = tmp_path / "child"
    script = f"sleep 1000 & echo $! > {here}; wait"
    found = answered(command=["sh", "-c", script], timeout="500ms")
    assert not found.go
    assert "no answer" in found.why
    with pytest.raises(ProcessLookupError):
        while True:  # it is reaped by init a moment after it was killed
            stat = Path("/proc", here.read_text().strip(), "stat")
            if stat.parent.exists() and stat.read_text().split()[2] == "Z":
                raise ProcessLookupError
            os.kill(int(here.read_text()), 0)


def test_a_day_that_is_stopped_waits_for_no_answer() -> None:
    condition = Condition.model_validate({"name": "a", "command": ["sleep", "1000"]})
    found = asyncio.run(ask(condition, SYSTEM, os.environ, lambda: True))
    assert not found.go
    assert "the day ends" in found.why
