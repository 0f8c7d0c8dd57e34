"""`gameday run --query-port` and `gameday alerts serve`: a run asked as a Prometheus is asked."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.core.clock import NS, SystemClock
from gameday.telemetry.promql import label_set
from gameday.telemetry.samples import Evaluation, Scrape, read
from tests.support.rundirs import RunDir

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]
CLOCK = SystemClock()
RUN_S = 240.0
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass
class LiveRun:
    """A short run, and what its query API told while it was under way."""

    url: str = ""
    dir: Path = Path()
    requests: list[float] = field(default_factory=list)
    states: set[str] = field(default_factory=set)


def ask(url: str, path: str, **fields: Any) -> Any:
    with httpx.Client(trust_env=False, timeout=20) as client:
        told = json.loads(client.get(f"{url}/api/v1/{path}", params=fields).content)
    assert told["status"] == "success", told
    return told["data"]


def url_in(process: "subprocess.Popen[str]") -> str:
    """The address in what a command says on stderr."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := _URL.search(line if "query API" in line else ""):
            return found[0]
    raise AssertionError("no address was told")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveRun:
    runs = tmp_path_factory.mktemp("query-api") / "runs"
    argv = [sys.executable, "-m", "gameday", "run", "redis-slow", "--short", "--runs", str(runs)]
    process = subprocess.Popen(
        [*argv, "--query-port", "0"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    found = LiveRun(url_in(process))
    deadline_ns = CLOCK.now_ns() + int(RUN_S * NS)
    while process.poll() is None and CLOCK.now_ns() < deadline_ns:
        try:
            for each in ask(found.url, "query", query="sum(k6_http_reqs_total)")["result"]:
                found.requests.append(float(each["value"][1]))
            found.states |= {each["state"] for each in ask(found.url, "alerts")["alerts"]}
        except httpx.HTTPError:
            CLOCK.pause(0.2)  # it begins, or the run has just ended
        CLOCK.pause(0.3)
    process.communicate(timeout=30)
    (found.dir,) = runs.glob("*-redis-slow-*")
    return found


@contextmanager
def served(run_dir: Path, *options: str) -> Iterator[str]:
    argv = [sys.executable, "-m", "gameday", "alerts", "serve", str(run_dir), "--port", "0"]
    process = subprocess.Popen([*argv, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield url_in(process)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 5  # ended by a signal, as a console is


@pytest.mark.slow
def test_a_run_tells_its_metrics_and_alerts_while_it_lasts_and_not_after(live: LiveRun) -> None:
    assert live.requests == sorted(live.requests)
    assert len(set(live.requests)) > 3
    assert "firing" in live.states
    with pytest.raises(httpx.HTTPError):
        ask(live.url, "query", query="1")


@pytest.mark.slow
def test_a_recorded_run_tells_every_sample_and_the_alerts_that_it_recorded(live: LiveRun) -> None:
    lines = list(read(live.dir / "samples.jsonl"))
    scrapes = [line for line in lines if isinstance(line, Scrape)]
    recorded = [
        {label_set({**each.labels, "alertstate": each.state}) for each in line.alerts}
        for line in lines
        if isinstance(line, Evaluation)
    ]
    with served(live.dir) as url:
        series = ask(url, "query", query='{__name__=~".+",__name__!~"ALERTS.*"}[1h]')["result"]
        times = sorted({point[0] for each in series for point in each["values"]})
        told = ask(url, "query_range", query="ALERTS", start=times[0], end=times[-1], step=1)[
            "result"
        ]
    assert sum(len(each["values"]) for each in series) == sum(len(s.values) for s in scrapes)
    assert len(times) == len(scrapes)
    found: list[set[Any]] = [set() for _ in times]
    for each in told:
        labels = {k: v for k, v in each["metric"].items() if k != "__name__"}
        for at, _ in each["values"]:
            found[round(at - times[0])].add(label_set(labels))
    on_grid = {round((s.t_ns - scrapes[0].t_ns) / NS): n for n, s in enumerate(scrapes)}
    assert [found[second] for second in on_grid] == recorded[: len(on_grid)]


@pytest.mark.slow
def test_a_run_can_be_told_as_if_it_had_just_ended(live: LiveRun) -> None:
    with served(live.dir, "--as-now") as url:
        (found,) = ask(url, "query", query="time() - max(timestamp(up))")["result"]
        assert 0 <= float(found["value"][1]) < 1


def test_a_port_that_is_taken_is_bad_usage_before_anything_is_touched(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        argv = ["run", "redis-slow", "--short", "--runs", str(tmp_path / "runs")]
        done = CliRunner().invoke(main, [*argv, "--query-port", port])
    assert done.exit_code == 2
    assert f"cannot listen at 127.0.0.1:{port}" in done.output
    assert not (tmp_path / "runs").exists()


def test_a_run_that_a_prometheus_measured_is_asked_there(tmp_path: Path) -> None:
    run = RunDir()
    run.system = {**run.system, "prometheus": "http://127.0.0.1:9090"}
    folder = run.write(tmp_path / "runs")
    done = CliRunner().invoke(main, ["alerts", "serve", str(folder)])
    assert done.exit_code == 2
    assert "measured by the Prometheus at http://127.0.0.1:9090" in done.output
