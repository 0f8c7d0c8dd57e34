"""The systems of examples/, run as their pages say: each verdict is the one that its page tells.

They are written in other languages, and each is skipped, with the reason, where its own is missing.
Every run is the short form, in a copy of the folder, so nothing is left in the repository; the two
of a system run at once, because each is mostly waiting.
"""

import csv
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gameday.plan.validate import validate
from gameday.spec.inputs import gather, load_experiment, load_system

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
BUILD_S = 120
RUN_S = 150
PORTS = ("PORT", "DATABASE_PORT", "PROXY_PORT", "TOXIPROXY_PORT")
SYSTEMS = sorted(path.parent.name for path in EXAMPLES.glob("*/system.yaml"))
LIMIT_S = BUILD_S + 2 * RUN_S


def copied(name: str, place: Path, *needs: str) -> Path:
    """The example in a folder of its own; the test is skipped where a program is missing."""
    missing = [need for need in needs if shutil.which(need) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not on this machine")
    return shutil.copytree(EXAMPLES / name, place / name)


def run(
    folder: Path, experiment: str, *more: str, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What a short run of an experiment came to; what it printed is shown where a test fails."""
    runs = folder / f"runs-{experiment}"
    command = [sys.executable, "-m", "gameday", "run", f"{experiment}.yaml", "--short"]
    done = subprocess.run(
        [*command, "--system", "system.yaml", "--runs", str(runs), *more],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / experiment),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    sys.stdout.write(done.stdout + done.stderr)
    (told,) = runs.glob("*/result.json")
    read: dict[str, Any] = json.loads(told.read_text())
    return read


def run_both(folder: Path, *experiments: str) -> list[dict[str, Any]]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda name: run(folder, name), experiments))


def verdicts(told: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each["verdict"] for each in told["checks"]}


def shown(told: Mapping[str, Any], name: str) -> bool:
    """True if a check holds: it was looked at, and nothing was wrong."""
    return verdicts(told).get(name) == "valid"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def passwords_in(folder: Path, runs: Path) -> list[str]:
    """The passwords of users.csv that a run wrote into its files."""
    with (folder / "users.csv").open(newline="") as file:
        passwords = [row["password"].encode() for row in csv.DictReader(file)]
    written = b"".join(path.read_bytes() for path in runs.rglob("*") if path.is_file())
    return [each.decode() for each in passwords if each in written]


def invalid(told: Mapping[str, Any]) -> list[str]:
    return [name for name, verdict in verdicts(told).items() if verdict == "invalid"]


def test_there_are_four_systems_each_with_two_experiments_and_a_page() -> None:
    assert len(SYSTEMS) == 4
    for name in SYSTEMS:
        page = (EXAMPLES / name / "README.md").read_text()
        experiments = experiments_of(EXAMPLES / name)
        assert len(experiments) == 2
        assert all(f"gameday run {each.name}" in page for each in experiments)


def experiments_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.yaml") if path.name != "system.yaml")


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_files_of_a_system_are_right_in_both_forms(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES / name, tmp_path / name)
    (folder / "users.csv").write_text("member,password\nm00000,none\n")
    system = load_system(folder / "system.yaml")
    for path in experiments_of(folder):
        for short in (False, True):
            inputs = gather(load_experiment(str(path), short=short), system)
            told = {each.text for each in validate(inputs)}  # an error is raised
            assert all("before the last fault ends" in each for each in told)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_tickets_in_go_are_sold_right_under_both_faults(tmp_path: Path) -> None:
    folder = copied("go-tickets", tmp_path, "go")
    built = subprocess.run(
        ["go", "build"], cwd=folder, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    if built.returncode:
        pytest.skip(f"the driver of PostgreSQL cannot be had here: {built.stderr.strip()[-200:]}")
    for told in run_both(folder, "slow-database", "database-gone"):
        assert invalid(told) == []
        assert shown(told, "no_over_issuance")
        assert shown(told, "no_lost_issuance")
        assert shown(told, "one_per_user")
        assert shown(told, "fault_injected")


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_the_lock_in_node_holds_on_a_good_day_and_not_with_a_slow_redis(tmp_path: Path) -> None:
    folder = copied("node-drop", tmp_path, "node")
    calm, slow = run_both(folder, "calm", "slow-redis")
    assert shown(calm, "no_over_issuance")
    assert invalid(calm) == []
    assert slow["verdict"] == "failed"
    assert "no_over_issuance" in invalid(slow)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_orders_in_java_are_taken_now_and_decided_later_each_once(tmp_path: Path) -> None:
    folder = copied("java-orders", tmp_path, "java")
    for told in run_both(folder, "slow-redis", "redis-gone"):
        assert invalid(told) == []
        assert shown(told, "no_over_issuance")
        assert shown(told, "no_lost_issuance")
        assert shown(told, "fault_injected")


@pytest.fixture
def members(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The shop of mariadb-members, started by `up.sh` on free ports, and its environment."""
    folder = copied("mariadb-members", tmp_path, "mariadb", "mariadb-install-db", "curl", "bash")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    system = folder / "system.yaml"
    text = system.read_text().replace(":8080", f":{ports['PORT']}")
    system.write_text(text.replace(":8474", f":{ports['TOXIPROXY_PORT']}"))
    command = folder / "bin" / "gameday"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gameday "$@"\n')
    command.chmod(0o755)
    environment = {
        **{name: str(port) for name, port in ports.items()},
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "AUDIT_MYSQL": f"mysql://shop:local-only@127.0.0.1:{ports['DATABASE_PORT']}/shop",
    }
    shop = subprocess.Popen(
        ["./up.sh"],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    with shop:
        try:
            assert shop.stdout is not None
            told = list(itertools.takewhile(lambda line: line != "ready\n", shop.stdout))
            assert shop.poll() is None, "".join(told)
            yield folder, environment
        finally:
            shop.terminate()
            shop.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_members_claim_with_their_tokens_whatever_mariadb_does(
    members: tuple[Path, dict[str, str]],
) -> None:
    folder, environment = members
    for name in ("slow-database", "database-gone"):  # one database for both, so one by one
        told = run(folder, name, "--stack", "external", environment=environment)
        assert invalid(told) == []
        assert shown(told, "no_over_issuance")
        assert shown(told, "no_lost_issuance")
        assert shown(told, "stores_agree")
        assert shown(told, "fault_injected")
        assert passwords_in(folder, folder / f"runs-{name}") == []
