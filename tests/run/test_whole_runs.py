"""Whole runs, as a person starts them: child processes of the command, against real stores.

They are started two at a time, because each is mostly waiting; every test looks at its own.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from gameday.evidence import journal
from gameday.injection.process.process import start_time

ROOT = Path(__file__).parents[2]
SYSTEM = ROOT / "system_under_test" / "system.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

OWN_SYSTEM = """
name: own
base_url: http://127.0.0.1:{port}
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
"""
OWN_EXPERIMENT = """
name: own-drop
campaign: {coupon: DROP, users: 100000}
traffic:
  drop: {executor: constant-arrival-rate, rate: 150/s, duration: 4s}
"""


@dataclass
class Started:
    """A run under way in a child process."""

    process: "subprocess.Popen[bytes]"
    runs: Path

    told: str | None = None

    def finish(self) -> tuple[int, str]:
        if self.told is None:
            out, err = self.process.communicate(timeout=200)
            self.told = (out + err).decode()
        return self.process.returncode, self.told

    def dir(self) -> Path:
        return next(self.runs.iterdir())

    def incident(self, *order: str) -> "subprocess.CompletedProcess[str]":
        """What somebody orders in another terminal."""
        return subprocess.run(
            [sys.executable, "-m", "gameday", "incident", *order, "--by", "ann"],
            env={**os.environ, "XDG_STATE_HOME": str(self.runs.parent / "state")},
            capture_output=True,
            text=True,
            check=False,
        )

    def readiness(self) -> list[dict[str, Any]]:
        """What its runs prove of the playbooks."""
        done = subprocess.run(
            [sys.executable, "-m", "gameday", "readiness", "--json", "--runs", str(self.runs)],
            env={**os.environ, "XDG_STATE_HOME": str(self.runs.parent / "state")},
            capture_output=True,
            text=True,
            check=False,
        )
        books: list[dict[str, Any]] = json.loads(done.stdout)["playbooks"]
        return books

    def records(self, kind: str) -> list[dict[str, Any]]:
        records = journal.read(self.dir() / "journal.jsonl").records
        return [dict(r.data) for r in records if r.event.kind == kind]

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.dir() / "result.json").read_bytes())
        return found

    def check(self, name: str) -> dict[str, Any]:
        return next(c for c in self.result()["checks"] if c["name"] == name)

    def events(self) -> list[str]:
        path = next(self.runs.glob("*/journal.jsonl"), None)
        return [] if path is None else [r.event.kind for r in journal.read(path).records]


Start = Callable[..., Started]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a run of its own folder and state; whatever still runs in the end is ended."""
    under_way: list[Started] = []

    def one(*arguments: str, python: str = sys.executable, cwd: Path = ROOT) -> Started:
        folder = tmp_path_factory.mktemp("run")
        process = subprocess.Popen(
            [python, "-m", "gameday", "run", *arguments, "--runs", str(folder / "runs")],
            cwd=cwd,
            env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        under_way.append(Started(process, folder / "runs"))
        return under_way[-1]

    yield one
    for started in under_way:
        if started.process.poll() is None:
            started.process.kill()
        started.finish()


def until(condition: Callable[[], object], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def planted(folder: Path, change: Callable[[str], str]) -> Path:
    """Our system file, changed, in a folder of its own with its rules."""
    folder.mkdir(exist_ok=True)
    (folder / "prometheus").mkdir()
    rules = (SYSTEM.parent / "prometheus" / "alerts.yml").read_text()
    (folder / "prometheus" / "alerts.yml").write_text(rules)
    path = folder / "system.yaml"
    path.write_text(change(SYSTEM.read_text()))
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The wheel in an environment of its own, which sees our libraries but not the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    home = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    wheel = next(folder.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], check=True, capture_output=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    mine = subprocess.check_output([sys.executable, "-c", where], text=True).strip()
    theirs = subprocess.check_output([str(python), "-c", where], text=True).strip()
    Path(theirs, "libraries.pth").write_text(mine + "\n")
    empty = folder / "empty"
    empty.mkdir()
    return str(python), empty


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], int]]:
    """Starts somebody else's server, honest or careless; its port."""
    servers: list[subprocess.Popen[bytes]] = []

    def one(policy: str) -> int:
        file = tmp_path_factory.mktemp("server") / "port"
        arguments = [str(file), "200", *(["--careless"] if policy == "careless" else [])]
        program = [sys.executable, str(ROOT / "tests" / "support" / "own_server.py")]
        servers.append(subprocess.Popen([*program, *arguments]))
        until(lambda: file.exists() and file.read_text())
        return int(file.read_text())

    yield one
    for server in servers:
        server.kill()
        server.wait()


def own_system(folder: Path, port: int) -> tuple[Path, Path]:
    """The system file that describes it, and an experiment."""
    folder.mkdir()
    system, experiment = folder / "own.yaml", folder / "own-drop.yaml"
    system.write_text(OWN_SYSTEM.format(port=port))
    experiment.write_text(OWN_EXPERIMENT)
    return system, experiment


@pytest.fixture(scope="module")
def first(start: Start, installed: tuple[str, Path]) -> dict[str, Started]:
    """Two runs side by side: more would starve one another on two cores."""
    python, empty = installed
    return {
        "wheel": start("redis-slow", "--short", python=python, cwd=empty),
        "stopped": start("redis-slow", "--short"),
    }


@pytest.fixture(scope="module")
def second(
    first: dict[str, Started],
    start: Start,
    own_server: Callable[[str], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Started]:
    """Two small ones against a server of one's own, then two more, when those are over."""
    for run in first.values():
        run.finish()
    folder = tmp_path_factory.mktemp("systems")
    bypass = planted(folder / "bypass", lambda text: text.replace('"{redis}"', '"{redis_direct}"'))
    port = '    PORT: "{port}"'
    unfenced = planted(
        folder / "unfenced",
        lambda text: text.replace(port, f'{port}\n    SUT_UNFENCED_SWITCH: "1"'),
    )
    own = {}
    for policy in ("honest", "careless"):
        system, experiment = own_system(folder / policy, own_server(policy))
        own[policy] = start(str(experiment), "--stack", "external", "--system", str(system))
    for run in own.values():
        run.finish()
    return own | {
        "bypass": start("redis-slow", "--short", "--no-responder", "--system", str(bypass)),
        "unfenced": start("redis-slow", "--short", "--system", str(unfenced)),
    }


def test_a_store_that_comes_and_goes_is_seen_felt_and_left_switched_on(start: Start) -> None:
    run = start("redis-flap", "--short")
    code, told = run.finish()
    (fault,) = run.result()["faults"]
    assert (fault["injected"], fault["removed"]) == ("yes", "yes"), told
    assert run.check("no_over_issuance")["verdict"] == "valid", told
    assert code in (0, 3), told  # 3: a machine too busy to keep the schedule


def test_a_close_that_is_not_answered_as_expected_ends_the_run(
    start: Start, own_server: Callable[[str], int], tmp_path: Path
) -> None:
    system, experiment = own_system(tmp_path / "open", own_server("honest"))
    close = "close: {get: /audit, expect: {status: 204}}\n"
    system.write_text(system.read_text() + close)
    run = start(str(experiment), "--stack", "external", "--system", str(system))
    code, told = run.finish()
    assert code == 3, told
    assert run.result()["ended"] == "unhealthy"
    assert "answered 200" in run.check("no_over_issuance")["summary"]


def test_a_system_that_issues_nothing_is_run_and_judged(
    start: Start, own_server: Callable[[str], int], tmp_path: Path
) -> None:
    system, experiment = tmp_path / "page.yaml", tmp_path / "page-load.yaml"
    system.write_text(
        f"name: page\nbase_url: http://127.0.0.1:{own_server('honest')}\n"
        "requests: {issue: {get: /audit, outcomes: {accepted: {status: 200}}}}\n"
    )
    experiment.write_text(
        "name: page-load\n"
        "traffic: {all: {executor: constant-arrival-rate, rate: 20/s, duration: 5s}}\n"
        "expect: {thresholds: {http_req_failed: [rate<0.1]}}\n"
    )
    run = start(str(experiment), "--stack", "external", "--system", str(system))
    code, told = run.finish()
    assert code in (0, 3), told  # 3: a machine too busy to keep the schedule
    assert "nothing about issuance was checked" in told
    assert run.result()["missing"] == []
    assert run.check("thresholds")["verdict"] in ("valid", "unknown"), told
    assert run.check("exercised")["verdict"] == "valid", told
    assert not (run.dir() / "audit.json").exists()


def test_ctrl_c_during_the_fault_takes_it_out_and_leaves_a_draft(first: dict[str, Started]) -> None:
    run = first["stopped"]
    until(lambda: "fault.injected" in run.events(), 90)
    before = psutil.Process(run.process.pid).children(recursive=True)
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGINT)
    code, told = run.finish()
    assert time.monotonic() - began < 40
    assert code == 5, told
    assert run.result()["faults"][0]["removed"] in ("yes", "unknown")
    assert "fault.removed" in run.events()
    assert (run.dir() / "postmortem.md").exists()
    assert "taking the faults out" in told
    assert not [p for p in before if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_the_wheel_runs_redis_slow_in_an_empty_folder(first: dict[str, Started]) -> None:
    run = first["wheel"]
    code, told = run.finish()
    result = run.result()
    assert run.check("no_over_issuance")["verdict"] == "valid", told
    assert result["faults"][0]["injected"] == "yes"
    assert result["faults"][0]["removed"] == "yes"
    assert {s["status"] for s in result["playbook"]} == {"done"}
    assert code in (0, 3), told  # 3: a machine too busy to keep the schedule
    if code == 3:
        assert result["traffic"]["generator"]["status"] == "limited"


def test_a_service_that_bypasses_the_proxy_was_not_broken(second: dict[str, Started]) -> None:
    run = second["bypass"]
    code, told = run.finish()
    assert code == 3, told
    assert run.result()["faults"][0]["injected"] == "unknown"
    assert "not seen to use this proxy" in (run.dir() / "journal.jsonl").read_text()


def test_an_unfenced_switch_is_caught_and_names_users(second: dict[str, Started]) -> None:
    run = second["unfenced"]
    code, told = run.finish()
    assert code == 1, told
    check = run.check("no_over_issuance")
    assert check["verdict"] == "invalid"
    assert check["certificate"]
    assert "no_over_issuance" in told


def test_judging_again_gives_the_same_bytes(first: dict[str, Started]) -> None:
    run = first["wheel"]
    run.finish()
    raw = (run.dir() / "result.json").read_bytes()
    again = subprocess.run(
        [sys.executable, "-m", "gameday", "check", str(run.dir()), "--json"],
        capture_output=True,
        check=False,
    )
    assert again.stdout == raw
    assert again.returncode == json.loads(raw)["exit_code"]


@pytest.mark.parametrize(("policy", "code"), [("honest", 0), ("careless", 1)])
def test_a_server_of_ones_own_is_judged_by_a_system_file(
    second: dict[str, Started], policy: str, code: int
) -> None:
    run = second[policy]
    found, told = run.finish()
    late = run.result()["traffic"]["generator"]["status"] == "limited"  # a very busy machine
    assert found == (3 if late and code == 0 else code), told
    assert run.check("no_over_issuance")["verdict"] == ("valid" if code == 0 else "invalid")


@pytest.fixture(scope="module")
def third(second: dict[str, Started], start: Start) -> dict[str, Started]:
    """Two runs in which no bot responds."""
    for run in second.values():
        run.finish()
    program = f"{sys.executable} {ROOT / 'examples' / 'responder.py'}"
    return {
        "person": start("redis-slow", "--short", "--responder", "person"),
        "program": start("redis-slow", "--short", "--responder", program),
    }


def test_people_work_the_incident_from_another_terminal(third: dict[str, Started]) -> None:
    run = third["person"]
    until(lambda: "fault.dosed" in run.events(), 90)
    assert run.incident("declare", "Redis answers late").returncode == 0
    worked = run.incident("act", "1")
    assert run.incident("act", "7").returncode == 2
    run.incident("note", "the switch has helped")
    _, told = run.finish()
    assert worked.returncode == 0, worked.stderr
    assert "step 1: done" in worked.stdout, told
    assert run.check("playbook")["verdict"] == "valid", told
    (step,) = run.result()["playbook"]
    assert (step["by"], step["status"], step["verified"]) == ("ann", "done", True)
    begun, undone = run.records("step.started")
    assert begun["readings"]["step:1:after"] is False
    assert begun["undo"]["action"] == "use-redis"
    assert (undone["undoing"], undone["by"]) == (True, "gameday")
    draft = (run.dir() / "postmortem.md").read_text()
    assert "ann believes: Redis answers late" in draft
    assert "`step:1:after`: no → yes" in draft
    (ready,) = [book for book in run.readiness() if book["name"] == "redis-slow"]
    assert (ready["ready"], ready["steps"][0]["person"]["by"]) == (True, "ann")


def test_a_program_works_the_incident_as_the_bot_does(third: dict[str, Started]) -> None:
    run = third["program"]
    _, told = run.finish()
    assert run.check("playbook")["verdict"] == "valid", told
    (step,) = run.result()["playbook"]
    assert (step["by"], step["status"]) == ("command", "done")
    assert run.result()["clocks"]["mitigated_after_s"] is not None
    (ended,) = run.records("responder.ended")
    assert ended["why"] == "the run is over"


HANGS = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(300)"
FLOODS = "while True: print('{}')"


@pytest.mark.parametrize("program", [HANGS, FLOODS], ids=["hangs", "floods"])
def test_a_program_that_is_no_responder_ends_no_run_and_is_gone_after_it(
    start: Start, own_server: Callable[[str], int], tmp_path: Path, program: str
) -> None:
    system, experiment = own_system(tmp_path / "own", own_server("honest"))
    line = shlex.join([sys.executable, "-u", "-c", program])
    where = ("--stack", "external", "--system", str(system))
    run = start(str(experiment), *where, "--responder", line)
    code, told = run.finish()
    assert code in (0, 3), told  # 3: a machine too busy to keep the schedule
    assert run.result()["ended"] == "completed"
    (launched,) = run.records("responder.launched")
    assert start_time(launched["undo"][0]["pid"]) is None
    assert len(run.records("responder.ended")) == 1


def test_the_reaper_ends_the_program_of_a_killed_run(
    start: Start, own_server: Callable[[str], int], tmp_path: Path
) -> None:
    system, experiment = own_system(tmp_path / "own", own_server("honest"))
    line = shlex.join([sys.executable, "-c", HANGS])
    where = ("--stack", "external", "--system", str(system))
    run = start(str(experiment), *where, "--responder", line)
    until(lambda: "responder.launched" in run.events())
    (launched,) = run.records("responder.launched")
    run.process.kill()
    until(lambda: start_time(launched["undo"][0]["pid"]) is None, 30)
