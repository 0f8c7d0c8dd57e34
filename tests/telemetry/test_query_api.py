"""The query API of a run: what it answers, to whom, and where it stops."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import UsageError
from gameday.core.files import MIB
from gameday.core.network import bounded_connection
from gameday.telemetry.promql import labels
from gameday.telemetry.query_api import app
from gameday.telemetry.query_api.encode import exponent_text, number_text, rfc3339, time_json
from gameday.telemetry.query_api.parameters import parse_duration_ns, parse_time_ms, read_form
from gameday.telemetry.query_api.server import bind
from gameday.telemetry.query_api.settings import QueryBounds
from tests.support.query_apis import BEGAN_NS, WALL_NS, SampleFile, serving

pytestmark = pytest.mark.timeout(180)
RULES = """\
groups:
  - name: shop
    interval: 2s
    limit: 5
    rules:
      - {record: "job:errors:rate5s", expr: "sum by (job) (rate(errors_total[5s]))", labels: {a: b}}
      - alert: Errors
        expr: job:errors:rate5s > 0.5
        for: 2s
        keep_firing_for: 4s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.job }} has {{ $value }}"}
      - {alert: Never, expr: vector(0) > 1}
      - {alert: Odd, expr: "errors_total * on (job) errors_total"}
"""
SECONDS = 20
WALL_S = WALL_NS / NS


def errors(second: int) -> dict[Any, float]:
    """A counter that grows from 5 s to 12 s, and one that stands beside it."""
    return {
        labels("errors_total", job="api", code="1"): float(min(max(second - 5, 0), 7)),
        labels("errors_total", job="api", code="2"): 0.0,
        labels("lat_bucket", le="+Inf"): float(second),
    }


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = SampleFile(tmp_path_factory.mktemp("run"), RULES)
    for second in range(SECONDS):
        file.append(second, errors(second))
    with serving(file.settings()) as found:
        yield found


def ask(url: str, path: str, **fields: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.get(
            f"{url}{path}", params={k.replace("_of", "[]"): v for k, v in fields.items()}
        )


def data(url: str, path: str, **fields: Any) -> Any:
    told = json.loads(ask(url, path, **fields).content)
    assert told["status"] == "success", told
    return told["data"]


def failure(response: httpx.Response) -> tuple[int, str, str]:
    told = json.loads(response.content)
    assert told["status"] == "error"
    return response.status_code, told["errorType"], told["error"]


def test_who_asks_without_a_time_is_told_the_end_of_a_run_that_is_over(url: str) -> None:
    (found,) = data(url, "/api/v1/query", query="lat_bucket")["result"]
    assert found["metric"] == {"__name__": "lat_bucket", "le": "+Inf"}
    assert found["value"] == [WALL_S + SECONDS - 1, "19"]


def test_rules_and_alerts_are_told_as_they_stand(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "run", RULES)
    states = []
    with serving(file.settings(is_over=False)) as url:
        for second in range(SECONDS + 4):
            file.append(second, errors(second))
            (group,) = data(url, "/api/v1/rules", rule_name_of="Errors")["groups"]
            (rule,) = group["rules"]
            states.append(rule["state"])
        alerts = data(url, "/api/v1/alerts")["alerts"]
        (group,) = data(url, "/api/v1/rules")["groups"]
        told = data(url, "/api/v1/query_range", query="ALERTS{alertstate='firing'}",
                    start=WALL_S, end=WALL_S + SECONDS, step="2")  # fmt: skip
    assert alerts == []
    assert list(dict.fromkeys(states)) == ["inactive", "pending", "firing"]
    assert states[-1] == "inactive"
    assert (group["name"], group["file"], group["interval"], group["limit"]) == (
        ("shop", "alerts.yml", 2, 5)
    )
    record, errors_rule, never, odd = group["rules"]
    assert (record["type"], record["name"], record["labels"]) == (
        ("recording", "job:errors:rate5s", {"a": "b"})
    )
    assert (errors_rule["duration"], errors_rule["keepFiringFor"]) == (2, 4)
    assert (never["state"], never["health"], never["alerts"]) == ("inactive", "ok", [])
    assert odd["health"] == "err"
    assert "must be unique" in odd["lastError"]
    (series,) = told["result"]
    assert series["metric"] == {
        "__name__": "ALERTS", "alertname": "Errors", "alertstate": "firing",
        "job": "api", "a": "b", "severity": "page",
    }  # fmt: skip


def test_an_alert_has_its_labels_annotations_and_value(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "run", RULES)
    for second in range(13):
        file.append(second, errors(second))
    with serving(file.settings()) as url:
        (alert,) = data(url, "/api/v1/alerts")["alerts"]
        assert (
            data(url, "/api/v1/rules", exclude_alerts="true")["groups"][0]["rules"][1]["alerts"]
            == []
        )
        assert (
            data(url, "/api/v1/rules", type="record")["groups"][0]["rules"][0]["type"]
            == "recording"
        )
        assert data(url, "/api/v1/rules", file_of="other.yml") == {"groups": []}
    assert alert["labels"] == {"alertname": "Errors", "job": "api", "a": "b", "severity": "page"}
    assert alert["annotations"] == {"summary": "api has 1"}
    assert (alert["state"], alert["value"]) == ("firing", "1e+00")
    assert alert["activeAt"] == "2023-11-14T22:13:28.123Z"


def test_a_run_without_rule_files_tells_the_alerts_that_it_recorded(tmp_path: Path) -> None:
    """Those of a blind drill are sealed until its end."""
    file = SampleFile(tmp_path / "run")
    active = {"labels": {"alertname": "A", "x": "y"}, "state": "pending", "active_at": BEGAN_NS}
    file.append(0, errors(0), [active])
    with serving(file.settings()) as url:
        (alert,) = data(url, "/api/v1/alerts")["alerts"]
        assert data(url, "/api/v1/rules") == {"groups": []}
    assert (alert["labels"], alert["state"]) == ({"alertname": "A", "x": "y"}, "pending")


def test_rules_that_cannot_be_read_are_a_warning_and_not_an_end(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "run", "groups: [{")
    file.append(0, errors(0))
    with serving(file.settings()) as url:
        told = json.loads(ask(url, "/api/v1/rules").content)
        assert "alerts.yml:2:" in told["warnings"][0]
        assert str(tmp_path) not in told["warnings"][0]
        assert len(data(url, "/api/v1/query", query="errors_total")["result"]) == 2


def test_what_is_appended_is_told_and_what_is_torn_waits(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "run")
    with serving(file.settings(is_over=False)) as url:
        at = {"time": WALL_S + 1}
        assert data(url, "/api/v1/query", query="lat_bucket", **at)["result"] == []
        file.append(0, errors(0))
        assert len(data(url, "/api/v1/query", query="lat_bucket", **at)["result"]) == 1
        whole = json.dumps({"t": BEGAN_NS + NS, "values": [[2, 7.0]], "up": {}})
        with file.path.open("a") as torn:
            torn.write(whole[:20])
        assert data(url, "/api/v1/query", query="lat_bucket", **at)["result"][0]["value"][1] == "0"
        with file.path.open("a") as torn:
            torn.write(whole[20:] + "\n")
        assert data(url, "/api/v1/query", query="lat_bucket", **at)["result"][0]["value"][1] == "7"
        assert data(url, "/api/v1/query", query="errors_total", **at)["result"] == []  # it is gone


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"t": 1, "values": [[99, 1]]}', '{"t": "x", "values": []}', "[" * 100_000,
     '{"series": [[0, {"a": 1}]]}', '{"t": 99999999999999999999999, "values": []}'],
)  # fmt: skip
def test_a_damaged_line_ends_the_samples_with_a_warning(tmp_path: Path, line: str) -> None:
    file = SampleFile(tmp_path / "run")
    file.append(0, errors(0))
    with file.path.open("a") as damaged:
        damaged.write(f"{line}\n")
    file.append(1, errors(1))
    with serving(file.settings()) as url:
        told = json.loads(ask(url, "/api/v1/query", query="lat_bucket").content)
    assert told["data"]["result"][0]["value"][1] == "0"
    assert "cannot be read" in told["warnings"][0]


def test_the_oldest_samples_are_forgotten_when_there_are_too_many(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "run")
    for second in range(100):
        file.append(second, errors(second))
    with serving(file.settings(bounds=QueryBounds(kept=120))) as url:
        told = json.loads(ask(url, "/api/v1/query", query="lat_bucket[10m]").content)
    points = told["data"]["result"][0]["values"]
    assert points[-1] == [WALL_S + 99, "99"]
    assert len(points) <= 40
    assert "no longer in memory" in told["warnings"][0]


def test_queries_that_explode_are_refused(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "run")
    many = {labels("m", n=str(n)): float(n) for n in range(300)}
    for second in range(60):
        file.append(second, many)
    bounds = QueryBounds(timeout_s=1.0, values=20_000)
    with serving(file.settings(bounds=bounds)) as url:
        span = {"start": WALL_S, "end": WALL_S + 59, "step": "1"}
        told = failure(
            ask(url, "/api/v1/query_range", query="m", step="0.5", start=WALL_S, end=WALL_S + 59)
        )
        assert told[:2] == (422, "execution")
        assert "too many samples" in told[2]
        heavy = "sum(sum_over_time(m[1m])) + " * 40 + "1"
        heavy = heavy.replace("[1m]", "[{}s]").format(*range(1, 41))
        told = failure(ask(url, "/api/v1/query_range", query=heavy, **span))
        assert told == (503, "timeout", "query timed out in expression evaluation")
        nested = "max_over_time(sum(m)[1m:1s])"
        assert data(url, "/api/v1/query", query=nested)["result"]
        greedy = "max_over_time(max_over_time(m[1m:600ms])[1m:600ms])"
        assert failure(ask(url, "/api/v1/query", query=greedy))[:2] == (422, "execution")
        short = failure(ask(url, "/api/v1/query_range", query=heavy, timeout="0.01", **span))
        assert short[:2] == (503, "timeout")
        assert data(url, "/api/v1/query", query="count(m)")["result"][0]["value"][1] == "300"


def test_few_wait_and_the_others_are_sent_away(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "run")
    many = {labels("m", n=str(n)): float(n) for n in range(200)}
    for second in range(30):
        file.append(second, many)
    slow = {"query": "sum(rate(m[30s]))", "start": WALL_S, "end": WALL_S + 29, "step": "0.01"}
    with (
        serving(file.settings(bounds=QueryBounds(waiting=2, timeout_s=3))) as url,
        ThreadPoolExecutor(8) as pool,
    ):
        found = list(pool.map(lambda _: ask(url, "/api/v1/query_range", **slow), range(8)))
        assert {each.status_code for each in found} <= {200, 503}
        assert "unavailable" in {json.loads(each.content).get("errorType") for each in found}
        assert data(url, "/api/v1/query", query="1")["result"][1] == "1"


@pytest.mark.parametrize("who", ["reads", "does not", "does drop by drop"])
def test_answers_that_nobody_reads_are_few_and_are_not_held_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setattr(bounded_connection, "READS_WITHIN_S", 3.0 if who == "does not" else 120.0)
    monkeypatch.setattr(app, "SENT_WITHIN_S", 3.0 if who == "does drop by drop" else 120.0)
    file = SampleFile(tmp_path / "run")
    many = {labels("m", n=str(n)): float(n) for n in range(300)}
    for second in range(30):
        file.append(second, many)
    span = {"start": WALL_S, "end": WALL_S + 29, "step": "0.02"}
    path = f"/api/v1/query_range?{urlencode({'query': 'm', **span})}"  # of some 12 MB
    with serving(file.settings(bounds=QueryBounds(unread=MIB))) as url, socket.socket() as deaf:
        assert (
            ask(url, "/api/v1/query_range", query="m", **span).status_code == 200
        )  # one is sent, however long
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        deaf.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

        def others_get(status: int) -> None:
            deadline = time.monotonic() + 60
            while (found := ask(url, "/api/v1/query", query="1")).status_code != status:
                assert time.monotonic() < deadline, found.content
            if status == 503:
                assert failure(found)[1:] == (
                    "unavailable",
                    "too many answers are not read yet: ask again later",
                )

        others_get(503)
        if who == "reads":
            head, _, rest = deaf.recv(4096).partition(b"\r\n\r\n")
            assert b"200 OK" in head
            length = int(re.findall(rb"content-length: (\d+)", head)[0])
            got = bytearray(rest)
            while len(got) < length:
                got += deaf.recv(MIB)
            assert len(json.loads(got)["data"]["result"]) == 300
        others_get(200)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:9095"}, 200),
        ({"host": "[::1]:9095"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "192.168.0.7:9095"}, 403),
        ({"host": "localhost:80@evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
    ],
)
def test_only_this_machine_is_answered(url: str, headers: Mapping[str, str], status: int) -> None:
    with httpx.Client(trust_env=False) as client:
        told = client.get(f"{url}/api/v1/query", params={"query": "1"}, headers=headers)
    assert told.status_code == status
    assert "access-control-allow-origin" not in told.headers


def test_what_is_not_read_is_not_there(url: str) -> None:
    with httpx.Client(trust_env=False) as client:
        for method, path in (
            ("GET", "/api/v1/targets"), ("POST", "/api/v1/write"), ("GET", "/../etc/passwd"),
            ("POST", "/api/v1/admin/tsdb/delete_series"), ("DELETE", "/api/v1/query"), ("GET", "/"),
        ):  # fmt: skip
            told = client.request(method, f"{url}{path}")
            assert told.status_code in (404, 405), path
        assert client.get(f"{url}/-/ready").status_code == 200
        long = client.get(f"{url}/api/v1/query", params={"query": "1" * 20_000})
        assert long.status_code == 414
        assert client.post(f"{url}/api/v1/query", data={"query": "1" * 70_000}).status_code == 413
        few = client.post(f"{url}/api/v1/query", data={"a": ["1"] * 1000})
        assert failure(few)[:2] == (400, "bad_data")
        many = client.get(f"{url}/api/v1/series", params={"match[]": ["up"] * 60})
        assert failure(many)[:2] == (400, "bad_data")
        deep = client.get(f"{url}/api/v1/query", params={"query": "(" * 1500 + "1" + ")" * 1500})
        assert failure(deep)[:2] == (400, "bad_data")


def test_a_form_in_the_body_comes_before_the_address(url: str) -> None:
    with httpx.Client(trust_env=False) as client:
        told = client.post(f"{url}/api/v1/query?query=1", data={"query": "2"})
        assert json.loads(told.content)["data"]["result"][1] == "2"
        told = client.post(f"{url}/api/v1/query?query=1", json={"query": "2"})
        assert json.loads(told.content)["data"]["result"][1] == "1"


def test_dashboards_find_what_they_ask_for(url: str) -> None:
    """The requests of a data source: its health, its version, its pickers, its panels."""
    assert data(url, "/api/v1/query", query="1+1", time="4")["result"] == [4, "2"]
    told = data(url, "/api/v1/status/buildinfo")
    assert told["version"] == "3.0.0"
    assert {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"} == told.keys()
    assert data(url, "/api/v1/metadata")["errors_total"] == [
        {"type": "counter", "help": "", "unit": ""}
    ]
    assert data(url, "/api/v1/metadata", limit=1).keys() == {"ALERTS"}
    assert data(url, "/api/v1/metadata")["lat"][0]["type"] == "histogram"
    assert data(url, "/api/v1/metadata", metric="none") == {}
    assert data(url, "/api/v1/query_exemplars", query="up") == []
    span = {"start": int(WALL_S), "end": int(WALL_S) + 20}
    assert "errors_total" in data(url, "/api/v1/label/__name__/values", **span)
    assert data(url, "/api/v1/labels", match_of="errors_total", **span) == [
        "__name__",
        "code",
        "job",
    ]
    assert len(data(url, "/api/v1/series", match_of="errors_total", limit=1)) == 1
    names = json.loads(ask(url, "/api/v1/label/code/values", limit=1).content)
    assert (names["data"], names["warnings"]) == (["1"], ["results truncated due to limit"])
    panel = {"query": 'rate(errors_total{code="1"}[5s])', "step": 15, **span}
    assert data(url, "/api/v1/query_range", **panel)["resultType"] == "matrix"


def test_a_bound_port_is_refused_with_the_reason() -> None:
    with bind(0) as bound, pytest.raises(UsageError, match="cannot listen at 127.0.0.1"):
        bind(bound.getsockname()[1])
    with bind(0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_the_process_beside_a_run_ends_with_it(tmp_path: Path) -> None:
    """Also where the run is killed: a pipe that nobody holds any more is its end."""
    file = SampleFile(tmp_path / "run")
    file.append(0, errors(0))
    (tmp_path / "run" / "logs").mkdir()
    script = (
        "import sys, time; from pathlib import Path; from gameday.run.query_api import launch\n"
        "from gameday.telemetry.query_api.server import bind, url_of\n"
        f"bound = bind(0); url = url_of(bound); run = Path({str(tmp_path / 'run')!r})\n"
        "api = launch(run, bound)\n"
        "print(url, api.process.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    url, pid = parent.stdout.readline().split()
    clock = SystemClock()
    deadline_ns = clock.now_ns() + 30 * NS
    try:
        with httpx.Client(trust_env=False, timeout=30) as client:
            assert (
                client.get(f"{url}/api/v1/query?query=count({{__name__!=''}})").status_code == 200
            )
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        names = {each.partition(b"=")[0] for each in environment.split(b"\0") if each}
        assert names <= {b"PATH", b"PYTHONPATH", b"LANG", b"LC_ALL", b"TZ"}
    finally:
        parent.kill()
        parent.communicate()
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert clock.now_ns() < deadline_ns
    with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as client:
        client.get(f"{url}/-/ready")


def test_numbers_and_times_are_written_as_go_writes_them() -> None:
    values = (0.0, -0.0, 1.0, 0.1, 1e-6, 1e-7, 1.5e-9, 1e20, 1e21, 2.5e22, 123456789.25, 5e-324)
    assert [number_text(value) for value in values] == [
        "0", "-0", "1", "0.1", "0.000001", "1e-07", "1.5e-09", "100000000000000000000", "1e+21",
        "2.5e+22", "123456789.25", "5e-324",
    ]  # fmt: skip
    assert [number_text(v) for v in (float("nan"), float("inf"), -float("inf"))] == [
        ("NaN"), "+Inf", "-Inf",
    ]  # fmt: skip
    assert [exponent_text(v) for v in (0.0, 1.0, -0.25, 1234.5, 1e100, float("nan"))] == [
        "0e+00", "1e+00", "-2.5e-01", "1.2345e+03", "1e+100", "NaN",
    ]  # fmt: skip
    assert [time_json(t) for t in (0, 1500, 1_700_000_000_007, -1500, 2000)] == [
        "0", "1.500", "1700000000.007", "-1.500", "2",
    ]  # fmt: skip
    assert rfc3339(1_700_000_000_120_000_000) == "2023-11-14T22:13:20.12Z"
    assert rfc3339(None) == rfc3339(10**30) == "0001-01-01T00:00:00Z"


def test_times_and_durations_are_read_as_prometheus_reads_them() -> None:
    assert parse_time_ms("1700000000.1239") == 1_700_000_000_124
    assert parse_time_ms("-1.5") == -1500
    assert parse_time_ms("2023-11-14T22:13:20.123456789Z") == 1_700_000_000_123
    assert parse_time_ms("2023-11-14T23:13:20+01:00") == 1_700_000_000_000
    for text in (
        "",
        "now",
        "nan",
        "inf",
        "1e400",
        "1_0",
        "0x10",
        "2023-11-14",
        "2023-02-30T00:00:00Z",
    ):
        with pytest.raises(ValueError, match="valid timestamp"):
            parse_time_ms(text)
    assert (parse_duration_ns("1.5"), parse_duration_ns("1m30s")) == (3 * NS // 2, 90 * NS)
    for text in ("", "x", "1e300", "5 m", "nan"):
        with pytest.raises(ValueError, match="valid duration"):
            parse_duration_ns(text)
    assert read_form(b"a=1&a=2&b=%ff", b"a=0").fields["a"] == ["0", "1", "2"]
