"""`gameday traffic`: real workers against a real server, its summaries, and how it ends."""

import json
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.core.clock import NS
from gameday.run.load_test.request import OneScenario, experiment_of, with_thresholds
from gameday.run.load_test.session import crossed
from gameday.telemetry.collector.abort_thresholds import Thresholds, aborting
from gameday.traffic.history import HistoryWriter
from gameday.traffic.metrics import LiveTraffic
from tests.support.load_server import LoadServer, load_server
from tests.traffic.test_metrics import T0, header, sent

SYSTEM = """
name: theirs
base_url: {url}
requests:
  issue:
    post: /issue
    headers: {{X-Token: {{env: LOAD_TOKEN}}}}
    json: {{userId: "{{user}}", code: "{{coupon}}"}}
    outcomes: {{issued: {{status: 200}}}}
audit: {{get: /audit}}
"""
EXPERIMENT = """
name: two
campaign: {coupon: SPRING, users: 10}
traffic:
  steady: {executor: constant-arrival-rate, rate: 20/s, duration: 1s}
  closed: {executor: constant-vus, vus: 2, duration: 1s, sleep: 200ms}
expect:
  thresholds:
    "http_req_duration{scenario:steady}": ["p(95)<5000", "p(99.9)<5000"]
    "http_reqs{scenario:closed}": ["count<=12"]
"""


@pytest.fixture
def server() -> Iterator[LoadServer]:
    with load_server() as running:
        yield running


def traffic(*words: object) -> Result:
    return CliRunner().invoke(main, ["traffic", *map(str, words)])


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_one_scenario_from_the_command_line_is_sent_and_summed_up(
    server: LoadServer, tmp_path: Path
) -> None:
    out, flat, handed = (tmp_path / name for name in ("out", "flat.json", "handed.json"))
    done = traffic(
        *("--url", f"{server.url}/issue?x=1", "--rate", "40/s", "--duration", "1s"),
        *("--json", '{"userId": "{user}", "text": "u{user}"}', "--users", 7, "--seed", 5),
        *("--threshold", "http_req_duration:p(95)<5000"),
        *("--threshold", "http_req_failed{scenario:traffic}:rate<0.01"),
        *("--out", out, "--summary-export", flat, "--handle-summary", handed),
    )
    assert done.exit_code == 0, done.output
    assert {line for line, _ in server.heard} == {"POST /issue?x=1 HTTP/1.1"}
    bodies = [json.loads(body) for _, body in server.heard]
    assert len(bodies) == 40
    assert {body["userId"] for body in bodies} <= set(range(7))
    assert all(body["text"] == f"u{body['userId']}" for body in bodies)
    assert "✓ 'p(95)<5000' p(95)=" in done.stdout
    assert "{ scenario:traffic }" in done.stdout
    assert "scheduled 40 = started 40 + dropped 0 + never started 0" in done.stdout
    assert "from the time it was due" in done.stdout
    assert "traffic to http://127.0.0.1" in done.stderr
    metrics = json.loads(flat.read_text())["metrics"]
    assert metrics["http_reqs"]["count"] == 40
    assert metrics["http_req_duration"]["thresholds"] == {"p(95)<5000": False}
    described = json.loads(handed.read_text())
    assert described["metrics"]["http_req_duration"]["thresholds"] == {"p(95)<5000": {"ok": True}}
    own = json.loads((out / "summary.json").read_text())
    assert (own["exit_code"], own["traffic"]["started"]) == (0, 40)
    assert list((out / "history").glob("*.bin"))


def test_a_file_is_sent_with_the_request_of_its_system(
    server: LoadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD_TOKEN", "hidden-42")
    file, system, own = tmp_path / "two.yaml", tmp_path / "system.yaml", tmp_path / "own.json"
    file.write_text(EXPERIMENT)
    system.write_text(SYSTEM.format(url=server.url))
    done = traffic(file, "--system", system, "--summary", own, "--seed", 3)
    assert done.exit_code == 0, done.output
    bodies = [json.loads(body) for _, body in server.heard]
    assert {body["code"] for body in bodies} == {"SPRING"}
    assert 20 + 2 <= len(bodies) <= 20 + 12
    assert "closed model (closed)" in done.stdout
    assert "hidden-42" not in done.output + own.read_text()
    measured = {one["metric"]: one["measured"] for one in json.loads(own.read_text())["thresholds"]}
    assert measured["http_reqs{scenario:closed}"] == len(bodies) - 20


def test_our_own_summary_can_go_to_stdout_alone(server: LoadServer) -> None:
    done = traffic("--url", server.url, "--rate", "10/s", "--duration", "1s", "--summary", "-")
    assert json.loads(done.stdout)["traffic"]["outcomes"]["accepted"] == 10


def test_crossed_thresholds_end_with_1_and_say_why(server: LoadServer) -> None:
    server.status = lambda count: 503 if count % 2 else 200
    done = traffic(
        *("--url", server.url, "--rate", "20/s", "--duration", "1s"),
        *("--threshold", "http_req_failed:rate<0.1", "--threshold", "http_reqs:count>=20"),
    )
    assert done.exit_code == 1, done.output
    assert "✗ 'rate<0.1' rate=50.00%" in done.stdout
    assert "✓ 'count>=20' count=20" in done.stdout
    assert "failed or dropped: status 503 10" in done.stdout
    assert "crossed: 1 of 2 thresholds" in done.stdout


def test_statuses_that_are_expected_are_no_failures(server: LoadServer) -> None:
    server.status = lambda _: 409
    words = ("--url", server.url, "--rate", "10/s", "--duration", "1s")
    done = traffic(*words, "--expect", "200-204,409", "--threshold", "http_req_failed:rate==0")
    assert done.exit_code == 0, done.output


def test_a_threshold_that_may_ends_the_traffic(server: LoadServer) -> None:
    server.status = lambda _: 500
    before = time.monotonic()
    done = traffic(
        *("--url", server.url, "--rate", "20/s", "--duration", "90s"),
        *("--threshold", "http_req_failed:rate<0.5", "--abort-on-fail", "--delay-abort", "1s"),
    )
    assert done.exit_code == 1, done.output
    assert time.monotonic() - before < 45
    assert "ended early by http_req_failed rate<0.5: 1; crossed" in done.stdout


def test_a_tagged_part_may_end_the_traffic_and_the_others_do_not(server: LoadServer) -> None:
    server.status = lambda count: 503 if count % 4 == 0 else 200
    done = traffic(
        *("--url", server.url, "--rate", "20/s", "--duration", "90s", "--abort-on-fail"),
        *("--threshold", "http_req_failed{scenario:traffic}:rate<0.9"),
        *("--threshold", "http_reqs{status:503}:count<3"),
    )
    assert done.exit_code == 1, done.output
    assert "ended early by http_reqs{status:503} count<3: " in done.stdout
    assert "✓ 'rate<0.9'" in done.stdout


def test_of_virtual_users_the_summary_says_that_latency_is_from_the_send(
    server: LoadServer,
) -> None:
    closed = ("--url", server.url, "--vus", 2, "--duration", "1s", "--sleep", "100ms")
    done = traffic(*closed)
    assert done.exit_code == 0, done.output
    assert "closed model (traffic): latency is from the send" in done.stdout
    assert "(from the send, as k6 counts)" in done.stdout
    assert "http_req_duration_intended" not in done.stdout  # nothing was due


def test_what_is_live_is_kept_in_memory_that_does_not_grow(tmp_path: Path) -> None:
    """A threshold that may end the traffic is read from all records, and none of them is kept."""
    made = experiment_of(OneScenario(vus=1, duration=timedelta(seconds=9)), 10)
    text, delay = "http_reqs:count<1000", timedelta(seconds=3)
    made = with_thresholds(made, [text], abort=True, delay=delay)
    watched = list(aborting(made, T0))
    thresholds = Thresholds(watched, {})
    live = LiveTraffic(tmp_path, thresholds.totals)
    writer = HistoryWriter(tmp_path / "drop-0.bin", header())
    piece, pieces = sent(), 300
    live.read(T0)
    tracemalloc.start()
    for n in range(pieces):
        piece["k"] += len(piece)
        for instant in ("intended_ns", "sent_ns", "first_byte_ns", "ended_ns"):
            piece[instant] += NS
        writer.advance((n + 1) * len(piece))
        writer.append(piece.tobytes())
        live.read(T0 + n * NS)
    kept_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    writer.close()
    assert kept_bytes < 20 * piece.nbytes
    assert crossed(watched, thresholds, T0 + 2 * NS) == ""  # not before its delay is over
    count = pieces * len(piece)
    assert crossed(watched, thresholds, T0 + 4 * NS) == f"http_reqs count<1000: {count}"
    live.close()


def test_nobody_there_is_no_pass(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    words = ("--url", "http://127.0.0.1:9", "--rate", "10/s", "--duration", "1s", "--summary", own)
    done = traffic(*words)
    assert done.exit_code == 3, done.output
    assert "not one request was answered as expected" in done.stdout
    assert "failed or dropped: connect-refused 10" in done.stdout
    assert "http_req_duration" not in json.loads(own.read_text())["traffic"]["metrics"]
    done = traffic(*words, "--threshold", "http_req_duration:p(95)<200")
    assert done.exit_code == 3, done.output
    assert "? 'p(95)<200' (no sample)" in done.stdout


def test_requests_that_stay_open_are_the_longest(server: LoadServer) -> None:
    server.delay_s = 60.0
    done = traffic(
        *("--url", server.url, "--rate", "10/s", "--duration", "1s", "--timeout", "500ms"),
        *("--threshold", "http_req_duration:p(95)<400"),
    )
    assert done.exit_code == 1, done.output
    assert "failed or dropped: timeout 10" in done.stdout


def test_too_few_virtual_users_are_refused_before_the_first_request(server: LoadServer) -> None:
    words = ("--url", server.url, "--rate", "50/s", "--vus", 2, "--sleep", "1s")
    done = traffic(*words, "--duration", "3s")
    assert done.exit_code == 2, done.output
    assert "2 VUs that sleep 1 s can start at most 2/s; 50/s was asked" in done.stderr
    assert not server.heard


def test_forced_it_is_sent_and_blames_the_generator(server: LoadServer, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    done = traffic(
        *("--url", server.url, "--rate", "50/s", "--vus", 2, "--sleep", "1s"),
        *("--duration", "3s", "--force", "--summary", own),
        *("--threshold", "http_req_duration:p(95)<5000"),
    )
    assert done.exit_code == 3, done.output
    assert "? 'p(95)<5000'" in done.stdout
    assert "(the generator was limited)" in done.stdout
    found = json.loads(own.read_text())["traffic"]
    assert found["generator"]["status"] == "limited"
    assert found["generator"]["speaks_up_to_per_s"] <= 4
    assert found["dropped"] + found["started"] == 150


SEND = ("--url", "http://127.0.0.1:9/", "--rate", "10/s", "--duration", "1s")
USAGE: dict[str, tuple[tuple[Any, ...], str]] = {
    "nothing": ((), "there is nothing to send"),
    "no rate": (("--url", "http://127.0.0.1:9/", "--duration", "1s"), "needs --duration, and"),
    "no duration": (("--url", "http://127.0.0.1:9/", "--rate", "1/s"), "needs --duration, and"),
    "a rate without a unit": ((*SEND[:2], "--rate", "10"), "is not a rate"),
    "a negative rate": ((*SEND[:2], "--rate", "-5/s"), "is negative"),
    "a rate of nothing": ((*SEND[:2], "--rate", "0/s", *SEND[4:]), "asks for nothing"),
    "too short": ((*SEND[:4], "--duration", "500ms"), "shorter than 1s"),
    "no port": (("--url", "http://127.0.0.1:99999/", *SEND[2:]), "is not an address"),
    "an unknown scenario": (
        (*SEND, "--threshold", "http_reqs{scenario:trafic}:count>1"),
        "there is no scenario 'trafic'",
    ),
    "a window of no fault": (
        (*SEND, "--threshold", "http_reqs{window:before}:count>1"),
        "here is none",
    ),
    "a summary nowhere": (
        (*SEND, "--summary-export", "/proc/nowhere/summary.json"),
        "there is no folder /proc/nowhere",
    ),
    "a summary in a folder's place": ((*SEND, "--handle-summary", "/"), "/ is a folder"),
    "no JSON": ((*SEND, "--json", "{a}"), "at line 1 column 2"),
    "two bodies": ((*SEND, "--json", "{}", "--get"), "contradict"),
    "an unknown placeholder": ((*SEND, "--json", '{"a": "{b}"}'), "'{b}' is no placeholder"),
    "no header": ((*SEND, "--header", "Token"), "is no header"),
    "a framing header": ((*SEND, "--header", "Connection: close"), "cannot be set"),
    "no status": ((*SEND, "--expect", "20x"), "is no HTTP status"),
    "no metric": ((*SEND, "--threshold", "p(95)<5"), "has no metric"),
    "a wrong metric": ((*SEND, "--threshold", "http_req:p(95)<5"), "unknown metric"),
    "a wrong statistic": ((*SEND, "--threshold", "http_reqs:p(95)<5"), "is a counter"),
    "no address": (("--url", "127.0.0.1:9", *SEND[2:]), "is not an address"),
    "a stranger": (("--url", "http://192.0.2.1/", *SEND[2:]), "--allow-target 192.0.2.1"),
    "no such file": (("none.yaml",), "no experiment none.yaml"),
    "a file and a rate": (("peak", "--rate", "5/s"), "--rate beside peak"),
    "a body for a file": (("peak", "--json", "{}"), "--json without --url"),
    "a timeout for a file": (("peak", "--timeout", "1s"), "--timeout without --url"),
    "a system for an address": (
        ("peak", "--url", "http://127.0.0.1:9/", "--system", "a.yaml"),
        "--system beside --url",
    ),
    "workers with no virtual user": (
        (*SEND, "--vus", "1", "--workers", "2"),
        "--workers 2: a scenario has 1 virtual users at most",
    ),
}


@pytest.mark.parametrize("name", USAGE)
def test_bad_usage_ends_with_2_and_a_reason(name: str) -> None:
    words, told = USAGE[name]
    done = traffic(*words)
    assert done.exit_code == 2, done.output
    assert told in done.stderr


def test_a_bad_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(EXPERIMENT.replace('"count<=12"', '"p(95)<12"'))
    done = traffic(file)
    assert done.exit_code == 2
    assert f"bad.yaml:10:5: {'p(95)<12'!r}: http_reqs is a counter" in done.stderr


def test_records_are_never_written_beside_others(server: LoadServer, tmp_path: Path) -> None:
    words = ("--url", server.url, "--rate", "5/s", "--duration", "1s", "--out", tmp_path)
    assert traffic(*words).exit_code == 0
    done = traffic(*words)
    assert (done.exit_code, "holds records already" in done.stderr) == (2, True)


@contextmanager
def running(server: LoadServer, own: Path) -> Iterator["subprocess.Popen[str]"]:
    """A load of a minute, under way in a process of its own."""
    command = [sys.executable, "-m", "gameday", "traffic", "--url", server.url, "--rate", "50/s"]
    child = subprocess.Popen(
        [*command, "--duration", "60s", "--summary", str(own)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: len(server.heard) > 20)
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait(20)
        if child.stdout is not None:
            child.stdout.close()


def books(own: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The whole summary, and its traffic, which must balance."""
    whole = json.loads(own.read_text())
    t = whole["traffic"]
    assert t["scheduled"] == t["started"] + t["dropped"] + t["never_started"] == 3000
    assert t["started"] == t["completed"] + t["failed"] + t["interrupted"]
    return whole, t


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_end_it_with_5_and_the_summary_of_what_was_sent(
    server: LoadServer, tmp_path: Path, number: signal.Signals
) -> None:
    own = tmp_path / "own.json"
    with running(server, own) as child:
        child.send_signal(number)
        said, _ = child.communicate(timeout=30)
    assert child.returncode == 5, said
    assert "interrupted (Ctrl-C): the figures are of what was sent" in said
    whole, sent = books(own)
    assert whole["ended"] == "interrupted"
    assert 20 <= sent["completed"] < 3000


def test_a_killed_worker_ends_it_as_unknown_and_the_books_balance(
    server: LoadServer, tmp_path: Path
) -> None:
    own = tmp_path / "own.json"
    with running(server, own) as child:
        workers = psutil.Process(child.pid).children()
        assert len(workers) == 1
        workers[0].kill()
        said, _ = child.communicate(timeout=30)
    assert child.returncode == 3, said
    assert "a traffic worker died" in said
    assert books(own)[0]["ended"] == "worker"


def test_a_killed_command_leaves_no_worker(server: LoadServer, tmp_path: Path) -> None:
    with running(server, tmp_path / "own.json") as child:
        workers = psutil.Process(child.pid).children()
        child.kill()
        child.wait(10)
        _, alive = psutil.wait_procs(workers, timeout=15)
    assert not alive
