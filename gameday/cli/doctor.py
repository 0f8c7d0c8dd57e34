"""`gameday doctor` says whether this machine can run a game day, and what would cure it.

Every finding is looked at, not assumed: programs are run, ports are bound, a file is executed in
the temporary folder. `warn` means that a run works but may say less, or that one stack is not to
be had; `fail` means that the embedded stack will not start.
"""

import importlib
import json
import os
import platform
import pwd
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
import psutil
from rich.console import Console
from rich.table import Table

from gameday.clock import SystemClock, boottime_ns
from gameday.errors import GamedayError
from gameday.stacks.binaries import Binary, postgres, redis_server, version
from gameday.stacks.ports import free_ports
from gameday.stacks.state import read_kept, stack_file

Status = Literal["ok", "warn", "fail"]

UNHEALTHY = 4
PYTHON_MIN = (3, 11)
LIBRARIES = ("promql_parser", "asyncpg", "redis", "httptools", "httpx", "numpy", "pydantic", "yaml")
DISK_MIN_MB, DISK_AIM_MB = 200, 1000
MEMORY_MIN_MB, MEMORY_AIM_MB = 300, 1000
FILES_MIN, FILES_AIM = 1024, 11_000
PORTS = 16
STEAL_SAMPLE_S = 0.5
STEAL_MAX_PERCENT = 10
ENGINE_TIMEOUT_S = 2
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, what was found, and the cure ("" where none is needed)."""

    name: str
    status: Status
    found: str
    cure: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--brief", is_flag=True, help="Say only what has to be cured first.")
def doctor(*, as_json: bool, brief: bool) -> None:
    """Look whether this machine can run a game day.

    Exit code 0, or 4 when something has to be cured first.
    """
    findings = [finding for check in CHECKS for finding in check()]
    healthy = all(finding.status != "fail" for finding in findings)
    if as_json:
        body = {"healthy": healthy, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(body, indent=1))
    elif brief:
        _show([finding for finding in findings if finding.status == "fail"], healthy=healthy)
    else:
        _show(findings, healthy=healthy)
    sys.exit(0 if healthy else UNHEALTHY)


def _show(findings: list[Finding], *, healthy: bool) -> None:
    colour = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "found"):
        table.add_column(heading, overflow="fold")
    for each in findings:
        cure = f"\n→ {each.cure}" if each.cure else ""
        mark = f"[{colour[each.status]}]{each.status}[/]"
        table.add_row(mark, each.name, _plain(each.found + cure))
    console = Console()
    if findings:
        console.print(table)
    console.print("this machine can run a game day" if healthy else "cure what fails, then again")


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def python() -> list[Finding]:
    """The interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < PYTHON_MIN:
        return [Finding("python", "fail", found, "install Python 3.11 or newer")]
    return [Finding("python", "ok", found)]


def stores() -> list[Finding]:
    """The programs of the stores, each run once."""
    return [
        _program("redis", redis_server),
        _program("postgres", postgres),
    ]


def _program(name: str, find: Callable[[], Binary]) -> Finding:
    try:
        binary = find()
        said = version(binary)
    except GamedayError as error:
        return Finding(name, "fail", error.message, error.help or "reinstall it")
    return Finding(name, "ok", f"{said.partition(' sha=')[0]} ({binary})")


def libraries() -> list[Finding]:
    """What gameday imports; uvloop only makes it faster."""
    problems = []
    for name in (*LIBRARIES, "uvloop"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            problems.append(f"{name}: {error}")
    if not problems:
        return [Finding("libraries", "ok", ", ".join((*LIBRARIES, "uvloop")))]
    only_speed = all(problem.startswith("uvloop:") for problem in problems)
    status: Status = "warn" if only_speed else "fail"
    return [Finding("libraries", status, "; ".join(problems), "pip install gameday, once more")]


def temporary_folder() -> list[Finding]:
    """Room, programs that may run there, and, for root, a way in for another user."""
    folder = Path(tempfile.gettempdir()).resolve()
    free_mb = shutil.disk_usage(folder).free // _MB
    status: Status = "ok" if free_mb >= DISK_AIM_MB else "warn"
    status = status if free_mb >= DISK_MIN_MB else "fail"
    cure = "" if status == "ok" else f"make room ({DISK_AIM_MB} MB), or set TMPDIR"
    room = Finding("disk", status, f"{free_mb} MB free in {folder}", cure)
    return [room, _executable(folder), *_open_to_nobody(folder)]


def _executable(folder: Path) -> Finding:
    elsewhere = "set TMPDIR to a folder that is not mounted noexec"
    with tempfile.TemporaryDirectory(prefix="gameday-", dir=folder) as inside:
        script = Path(inside) / "runs"
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(stat.S_IRWXU)
        try:
            subprocess.run([script], check=True, timeout=5, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError) as error:
            # Only root's PostgreSQL is copied there; everybody else's runs in place.
            status: Status = "fail" if os.geteuid() == 0 else "warn"
            return Finding("temp programs", status, str(error), elsewhere)
    return Finding("temp programs", "ok", "a program runs there")


def _open_to_nobody(folder: Path) -> list[Finding]:
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("nobody")
    except KeyError:
        cure = "run gameday as an ordinary user"
        return [Finding("root", "fail", "no user `nobody` for PostgreSQL to run as", cure)]
    shut = [str(each) for each in (folder, *folder.parents) if not each.stat().st_mode & 0o001]
    if not shut:
        return [Finding("root", "ok", f"PostgreSQL runs as nobody, who can pass {folder}")]
    cure = "set TMPDIR to a folder that everybody can pass, or run as an ordinary user"
    return [Finding("root", "fail", f"nobody cannot pass {shut[0]}", cure)]


def ports() -> list[Finding]:
    """Free loopback ports, bound for a moment."""
    try:
        found = free_ports(PORTS)
    except OSError as error:
        return [Finding("ports", "fail", f"cannot bind to 127.0.0.1: {error}", "ip link set lo up")]
    return [Finding("ports", "ok", f"{len(found)} free ports bound on 127.0.0.1")]


def open_files() -> list[Finding]:
    """The limit on open files: processes raise the soft one to the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= FILES_AIM:
        text = "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard}"
        return [Finding("open files", "ok", text)]
    status: Status = "warn" if hard >= FILES_MIN else "fail"
    cure = f"raise the hard limit (ulimit -Hn) to {FILES_AIM}: 10,000 requests may be open"
    return [Finding("open files", status, f"only {hard}", cure)]


def clock() -> list[Finding]:
    """The clock that all processes share, and whether a suspend would show."""
    if sys.platform == "darwin":
        cure = "keep the machine awake during a run: caffeinate gameday run …"
        return [Finding("clock", "warn", "CLOCK_MONOTONIC; a suspend is not seen", cure)]
    suspended_s = (boottime_ns() - SystemClock().now_ns()) / 1e9
    path = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    source = path.read_text().strip() if path.exists() else "unknown source"
    text = f"CLOCK_MONOTONIC from {source}; suspended for {max(0.0, suspended_s):.0f} s since boot"
    return [Finding("clock", "ok", text)]


def steal() -> list[Finding]:
    """How much of the processors other machines of the same host take away."""
    before = _processor_ticks()
    if before is None:
        return [Finding("steal", "ok", "this system does not count it")]
    SystemClock().pause(STEAL_SAMPLE_S)
    after = _processor_ticks() or before
    total = sum(after) - sum(before)
    percent = 100 * (after[7] - before[7]) / total if total else 0.0
    text = f"{percent:.0f} % over {STEAL_SAMPLE_S:g} s"
    if percent <= STEAL_MAX_PERCENT:
        return [Finding("steal", "ok", text)]
    cure = "expect limited generators; use a quieter machine for performance statements"
    return [Finding("steal", "warn", text, cure)]


def _processor_ticks() -> list[int] | None:
    """Ticks of all processors: user nice system idle iowait irq softirq steal."""
    path = Path("/proc/stat")
    if not path.exists():
        return None
    return [int(text) for text in path.read_text().splitlines()[0].split()[1:9]]


def machine() -> list[Finding]:
    """Processors and memory."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    one = "a single core: the service and the traffic disturb each other"
    found = [
        Finding("cores", "ok", str(cores))
        if cores > 1
        else Finding("cores", "warn", "1", f"{one}; give it two")
    ]
    free_mb = psutil.virtual_memory().available // _MB
    status: Status = "ok" if free_mb >= MEMORY_AIM_MB else "warn"
    status = status if free_mb >= MEMORY_MIN_MB else "fail"
    cure = "" if status == "ok" else f"free some: a run needs about {MEMORY_AIM_MB} MB"
    return [*found, Finding("memory", status, f"{free_mb} MB available", cure)]


def container_engine() -> list[Finding]:
    """A Docker engine, which only the compose stack needs."""
    import docker  # 0.2 s, needed by nothing else here
    import docker.errors

    cure = "only needed for --stack compose: start Docker, or point DOCKER_HOST at it"
    try:
        client = docker.from_env(timeout=ENGINE_TIMEOUT_S)
        try:
            client.ping()
            text = f"Docker {client.version()['Version']}"
        finally:
            client.close()
    except docker.errors.DockerException as error:
        text = "no Docker engine answers"
        if "Permission denied" in str(error):
            text += ": permission denied"
        return [Finding("container engine", "warn", text, cure)]
    return [Finding("container engine", "ok", text)]


def kept_stack() -> list[Finding]:
    """The stack that `gameday up` left, alive or not."""
    name = "kept stack"
    try:
        kept = read_kept()
    except GamedayError as error:
        return [Finding(name, "warn", error.message, error.help)]
    if kept is None:
        return [Finding(name, "ok", "none")]
    ended = kept.ended()
    if ended or kept.state == "starting":
        what = f"{', '.join(ended)} no longer run" if ended else "never got ready"
        return [Finding(name, "warn", f"{kept.name}: {what} ({stack_file()})", "gameday down")]
    return [Finding(name, "ok", f"{kept.name} at {kept.base_url}, since {kept.started_at}")]


CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    python,
    libraries,
    stores,
    temporary_folder,
    ports,
    open_files,
    clock,
    steal,
    machine,
    container_engine,
    kept_stack,
)
