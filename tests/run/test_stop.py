"""Stopping: another terminal, a closed one, a frozen controller, a killed one, a killed child.

The runs go on side by side, on small systems of their own behind one real Toxiproxy. In each a
fault is in that holds up its own probe, and a step of the playbook waits for an answer that never
comes: nothing of that may keep a fault in place.
"""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import httpx
import psutil
import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.evidence import journal

ROOT = Path(__file__).parents[2]
PROMPT_S = 5.0  # on a busy machine; `python -m tests.matrices.stops` measures the 2 s
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
REAPED_S = 10.0  # the lease and 2 s, and a busy machine; `python -m tests.matrices.kills` measures
SYSTEM = """
name: own
base_url: http://127.0.0.1:{port}
admin_url: http://127.0.0.1:{mute}
toxiproxy: {toxiproxy}
proxies: {{cache: {proxy}}}
requests:
  issue:
    post: /issue
    json: {{user: "{{user}}"}}
    capture: {{issue_id: coupon.id}}
    outcomes:
      issued: {{status: 200}}
      duplicate: {{status: 409}}
      sold_out: {{status: 410}}
audit: {{get: /audit}}
settle: 1s
rules: [alerts.yml]
actions:
  wait: {{post: /wait, timeout: 60s}}
"""
EXPERIMENT = """
name: held-up
campaign: {coupon: DROP, users: 100000}
traffic:
  drop: {executor: constant-arrival-rate, rate: 20/s, duration: 900s}
method:
  - {fault: network.latency, target: cache, latency: 20s, at: 1s, duration: 890s}
expect: {other_alerts: allowed}
playbook: held-up
"""
RULES = """
groups:
  - name: held-up
    interval: 1s
    rules:
      - {alert: Asked, expr: sum(k6_http_reqs_total) > 40, labels: {severity: page}}
"""
PLAYBOOK = """---
name: held-up
alerts: [Asked]
severity: page
---

1. Wait for an answer that never comes.

   ```yaml step
   do: wait
   within: 60s
   ```
"""


class Silent(StreamRequestHandler):
    """Answers like a Redis that wants a password."""

    def handle(self) -> None:
        with suppress(ConnectionError):  # a proxy that ends resets
            while self.connection.recv(256):
                self.connection.sendall(b"-NOAUTH Authentication required.\r\n")


class Server(ThreadingTCPServer):
    """Does not wait for its connections when it ends."""

    daemon_threads = True


@dataclass
class Place:
    """What all the runs share: a state folder, a Toxiproxy, and what never answers."""

    folder: Path
    toxiproxy: str
    upstream: int
    mute: int
    leaving: ExitStack
    runs: dict[str, "Started"] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.folder / "state")}

    def gameday(self, *arguments: str) -> Result:
        """A command of another terminal, in this process: it starts sooner."""
        return CliRunner().invoke(
            main, arguments, env={"XDG_STATE_HOME": str(self.folder / "state")}
        )

    def toxics(self, name: str) -> list[str]:
        proxy = httpx.get(f"{self.toxiproxy}/proxies/{name}", trust_env=False).json()
        return [toxic["name"] for toxic in proxy["toxics"]]


@dataclass
class Started:
    """A run under way, with its own system and proxy."""

    name: str
    place: Place
    files: tuple[str, ...]
    process: psutil.Popen
    terminal: int = -1

    @property
    def runs(self) -> Path:
        return self.place.folder / self.name / "runs"

    def dir(self) -> Path:
        return next(self.runs.iterdir())

    def records(self, name: str = "journal.jsonl") -> tuple[journal.Record, ...]:
        path = next(self.runs.glob(f"*/{name}"), None)
        return () if path is None else journal.read(path).records

    def events(self) -> list[str]:
        return [record.event.kind for record in self.records()]

    def ended(self) -> list[str]:
        return [r.data["ended"] for r in self.records() if r.event.kind == "run.ended"]

    def child(self, module: str) -> psutil.Process:
        children = self.process.children()
        return next(each for each in children if f"gameday.{module}" in each.cmdline())

    def told(self) -> str:
        path = self.place.folder / self.name / "told"
        return path.read_text() if path.exists() else ""

    def is_held_up(self) -> bool:
        """The fault is in, and a step waits for its answer."""
        return {"fault.injected", "step.started"} <= set(self.events())

    def until_clean(self, within_s: float) -> float:
        began = time.monotonic()
        until(lambda: not self.place.toxics(self.name), within_s + 20)
        took_s = time.monotonic() - began
        assert took_s < within_s
        return took_s

    def code(self) -> int:
        return int(self.process.wait(timeout=60))


def until(condition: Callable[[], object], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def started(place: Place, name: str, *, terminal: bool = False) -> Started:
    """A run on a system of its own, of which only the Toxiproxy is shared."""
    folder = place.folder / name
    folder.mkdir()
    port_file = folder / "port"
    server = [
        sys.executable,
        str(ROOT / "tests" / "support" / "own_server.py"),
        str(port_file),
        "100000",
    ]
    place.leaving.callback(end, psutil.Popen(server))
    body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{place.upstream}"}
    httpx.post(f"{place.toxiproxy}/proxies", json=body, trust_env=False).raise_for_status()
    until(lambda: port_file.exists() and port_file.read_text())
    where = {"port": port_file.read_text(), "mute": place.mute, "proxy": name}
    system, experiment = folder / "own.yaml", folder / "held-up.yaml"
    system.write_text(SYSTEM.format(toxiproxy=place.toxiproxy, **where))
    experiment.write_text(EXPERIMENT)
    (folder / "alerts.yml").write_text(RULES)
    (folder / "held-up.md").write_text(PLAYBOOK)
    files = (str(experiment), "--stack", "external", "--system", str(system))
    command = [sys.executable, "-m", "gameday", "run", *files, "--responder-delay", "0s"]
    command += ["--runs", str(folder / "runs")]
    mine = -1
    if terminal:
        mine, theirs = pty.openpty()
        command = ["setsid", "--ctty", *command]
    else:
        theirs = os.open(folder / "told", os.O_RDWR | os.O_CREAT)
    process = psutil.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=place.environment, cwd=folder
    )
    os.close(theirs)
    place.leaving.callback(end, process)
    return Started(name, place, files, process, mine)


def end(process: psutil.Popen) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def held_up(place: Place, name: str) -> Started:
    """A run that has come that far; on a very busy machine it may lose its lease before.

    Or its one Toxiproxy, which all of them share, does not answer the look before it in time.
    """
    for attempt in ("", "-again", "-at-last"):
        run = started(place, name + attempt, terminal=name == "closed")
        until(lambda run=run: run.is_held_up() or run.process.poll() is not None, 120)  # type: ignore[misc]
        if run.process.poll() is None:
            return run
        busy = run.ended() == ["unhealthy"] and "no whole answer within" in run.told()
        assert busy or run.ended() == ["interrupted"], run.told()
    pytest.skip("this machine is too busy: three runs lost their lease before their fault")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Five runs, all of them held up in their fault."""
    with ExitStack() as leaving:
        upstream = leaving.enter_context(Server(("127.0.0.1", 0), Silent))
        serving = threading.Thread(target=upstream.serve_forever, daemon=True)
        serving.start()
        leaving.callback(serving.join)
        leaving.callback(upstream.shutdown)
        mute = leaving.enter_context(socket.create_server(("127.0.0.1", 0)))
        proxy = [sys.executable, "-m", "gameday.toxiproxy", "--host", "127.0.0.1", "--port", "0"]
        server = psutil.Popen(proxy, stdout=subprocess.PIPE)
        leaving.callback(server.stdout.close)
        leaving.callback(end, server)
        host, port = json.loads(server.stdout.readline())["listening"]
        folder = tmp_path_factory.mktemp("stops")
        found = Place(
            folder,
            f"http://{host}:{port}",
            upstream.server_address[1],
            mute.getsockname()[1],
            leaving,
        )
        for name in ("stopped", "closed", "killed", "worker", "frozen"):
            found.runs[name] = held_up(found, name)
        yield found


def test_with_several_runs_under_way_stop_asks_which(place: Place) -> None:
    told = place.gameday("stop")
    assert told.exit_code == 2
    names = [run.dir().name for run in place.runs.values()]
    assert all(name in told.stderr for name in names)
    assert all(place.toxics(run.name) for run in place.runs.values())
    listed = json.loads(
        place.gameday("runs", "--json", "--runs", str(place.runs["stopped"].runs)).stdout
    )
    assert [line["verdict"] for line in listed] == ["under way"]


def test_a_second_run_on_the_same_target_names_the_first_and_how_to_end_it(place: Place) -> None:
    first = place.runs["stopped"]
    told = place.gameday("run", *first.files, "--runs", str(place.folder / "second"))
    assert told.exit_code == 2, told.stderr
    assert f"run {first.dir().name} " in told.stderr
    assert f"gameday stop {first.dir().name}" in told.stderr


def test_stop_takes_the_fault_out_whatever_the_run_waits_for(place: Place) -> None:
    run = place.runs["stopped"]
    told = place.gameday("stop", run.dir().name[-4:], "--by", "ann")
    assert not place.toxics(run.name)
    assert told.exit_code == 0, told.stderr
    assert "no fault is in" in told.stdout
    at = {record.event.kind: record.t_ns for record in run.records()}
    assert (at["fault.removed"] - at["operator.stop"]) / 1e9 < PROMPT_S
    assert place.toxics(place.runs["frozen"].name), "the others go on"
    assert run.code() == 5
    assert run.ended() == ["operator"]
    assert [r.data["why"] for r in run.records() if r.event.kind == "operator.abort"] == [
        "gameday stop by ann"
    ]


def test_a_closed_terminal_takes_the_fault_out_and_leaves_a_result(place: Place) -> None:
    run = place.runs["closed"]
    os.close(run.terminal)
    run.until_clean(PROMPT_S)
    run.code()
    assert run.ended() == ["signal"]
    assert json.loads((run.dir() / "result.json").read_bytes())["exit_code"] == 5
    assert (run.dir() / "postmortem.md").exists()


def test_a_killed_worker_interrupts_the_run(place: Place) -> None:
    run = place.runs["worker"]
    run.child("traffic.worker").kill()
    run.until_clean(PROMPT_S + 1.0)  # it is looked for once a second
    assert run.code() == 5
    assert run.ended() == ["interrupted"]


def test_a_killed_run_is_undone_and_can_be_judged(place: Place) -> None:
    run = place.runs["killed"]
    run.process.kill()
    run.process.wait()
    run.until_clean(REAPED_S)
    until(lambda: "reaper.ended" in [r.event.kind for r in run.records("reaper.jsonl")])
    runs = ("--runs", str(run.runs))
    listed = json.loads(place.gameday("runs", "--json", *runs).stdout)
    assert [line["ended"] for line in listed] == ["interrupted"]
    told = place.gameday("check", "--json", *runs)
    result = json.loads(told.stdout)
    assert (told.exit_code, result["ended"]) == (5, "interrupted"), told.stderr
    assert "invalid" not in {check["verdict"] for check in result["checks"]}
    assert result["faults"][0]["removed_at"] is not None
    assert place.gameday("report", *runs).exit_code == 0
    assert "interrupted" in (run.dir() / "postmortem.md").read_text()


def test_stop_does_not_need_a_controller_that_answers(place: Place) -> None:
    run = place.runs["frozen"]
    run.process.send_signal(signal.SIGSTOP)
    told = place.gameday("stop", "--all")
    assert told.exit_code == 0, told.stderr
    assert "its controller did not answer" in told.stdout
    assert not place.toxics(run.name)
    run.process.send_signal(signal.SIGCONT)
    assert run.code() == 5
    assert run.ended() == ["interrupted"]


def test_a_hold_refuses_runs_until_it_is_released(place: Place) -> None:
    assert place.gameday("stop").exit_code == 2
    assert place.gameday("stop", "--hold", " ").exit_code == 2
    told = place.gameday("stop", "--hold", "incident 7", "--by", "ann")
    assert (told.exit_code, "no run is under way" in told.stdout) == (0, True)
    refused = place.gameday("run", *place.runs["stopped"].files, "--runs", str(place.folder / "no"))
    assert refused.exit_code == 2
    assert "by ann: incident 7" in refused.stderr
    assert "gameday release" in refused.stderr
    assert not (place.folder / "no").exists()
    assert "incident 7" in place.gameday("runs", "--runs", str(place.folder / "no")).stderr
    assert "incident 7" in place.gameday("release").stdout
    assert place.gameday("release").stdout == "nothing was on hold\n"
