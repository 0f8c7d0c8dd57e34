"""Checks of this machine: programs, room, ports, files, a clock, quiet processors.

Every finding is looked at, not assumed: programs are run, ports are bound, a file is executed in
the temporary folder. `gameday doctor` and `gameday plan` tell the same findings.
"""

import os
import pwd
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from gameday.core.clock import SystemClock, boottime_ns
from gameday.core.errors import GamedayError
from gameday.core.files.private import state_dir
from gameday.core.messages import Message
from gameday.injection import engine
from gameday.plan.finding import Finding, Status, from_error
from gameday.spec.start import STORES
from gameday.spec.system import System
from gameday.stacks.binaries import (
    Binary,
    postgres,
    postgres_title,
    redis_server,
    redis_title,
)
from gameday.stacks.placeholders import stores_of
from gameday.stacks.ports import free_ports, is_free
from gameday.stacks.state import read_kept, stack_file

DISK_MIN_MB, DISK_AIM_MB = 200, 1000
MEMORY_MIN_MB, MEMORY_AIM_MB = 300, 1000
FILES_MIN, FILES_AIM = 1024, 11_000
PORTS = 16  # more than any stack of ours takes
STEAL_SAMPLE_S = 0.5  # 50 ticks of 10 ms: a share of 2 % can be seen
STEAL_MAX_PERCENT = 10  # a generator that loses a tenth of its time hardly keeps a schedule
LOAD_MAX_A_CORE = 2.0  # two waiting for each core: the traffic's timers then come late
_MB = 1024 * 1024


def for_any_run() -> Iterator[Finding]:
    """Checks of what every run needs."""
    yield from state_folder()
    yield from memory()
    yield from processors()


def for_own_stack(
    system: System, asked: frozenset[str], *, in_containers: bool
) -> Iterator[Finding]:
    """Checks of what a stack of our own needs; `asked` are the placeholders of its `start`."""
    if in_containers:
        yield from for_containers()
        return
    yield from stores(stores_of(asked))
    yield from temporary_folder()
    yield from _own_ports(system, asked)


def for_containers() -> Iterator[Finding]:
    """Checks of what a stack in containers needs."""
    yield from container_engine()
    yield from temporary_folder(of_stores=False)


def _own_ports(system: System, asked: Collection[str]) -> Iterator[Finding]:
    """Free ones can be had; the ones that the system file fixes are free."""
    fixed = {} if "port" in asked else {"base_url": system.base_url}
    if "admin_port" not in asked and system.admin_url is not None:
        fixed["admin_url"] = system.admin_url
    for key, url in fixed.items():
        port = urlsplit(url).port
        if port is not None and not is_free(port):
            cure = "end what listens there, or hand the service a free port in start.env"
            yield Finding("ports", "fail", f"{key}: port {port} is in use", cure)
    yield from ports()


def stores(wanted: Collection[str] = STORES) -> list[Finding]:
    """The programs of the stores, each run once."""
    found = []
    if "redis" in wanted:
        found.append(_program("redis", redis_server, redis_title))
    if "postgres" in wanted:
        found.append(_program("postgres", postgres, postgres_title))
    return found


def _program(name: str, find: Callable[[], Binary], title: Callable[[Binary], str]) -> Finding:
    try:
        return Finding(name, "ok", title(find()))
    except GamedayError as error:
        return Finding(name, "fail", error.message, error.help or "reinstall it")


def container_engine() -> list[Finding]:
    """An engine that answers, for a stack in containers."""
    try:
        where = engine.address()
        engine.identity(where)
    except GamedayError as error:
        return [from_error("container engine", error)]
    return [Finding("container engine", "ok", where)]


def temporary_folder(*, of_stores: bool = True) -> list[Finding]:
    """Room and programs that may run there; for root's `of_stores`, a way in for another user."""
    folder = Path(tempfile.gettempdir()).resolve()
    free_mb = shutil.disk_usage(folder).free // _MB
    status = _enough(free_mb, DISK_MIN_MB, DISK_AIM_MB)
    cure = "" if status == "ok" else f"make room ({DISK_AIM_MB} MB), or set TMPDIR"
    room = Finding("disk", status, Message("finding.disk", mb=free_mb, folder=str(folder)), cure)
    return [room, _executable(folder), *(_open_to_nobody(folder) if of_stores else [])]


def _enough(there: int, least: int, aim: int) -> Status:
    return "fail" if there < least else "ok" if there >= aim else "warn"


def _executable(folder: Path) -> Finding:
    elsewhere = "set TMPDIR to a folder that is not mounted noexec"
    with tempfile.TemporaryDirectory(prefix="gameday-", dir=folder) as inside:
        script = Path(inside) / "runs"
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(stat.S_IRWXU)
        try:
            subprocess.run([script], check=True, timeout=5, stdin=subprocess.DEVNULL, cwd=inside)
        except (OSError, subprocess.SubprocessError) as error:
            # Only root's PostgreSQL is copied there; everybody else's runs in place.
            status: Status = "fail" if os.geteuid() == 0 else "warn"
            return Finding("temp programs", status, str(error), elsewhere)
    return Finding("temp programs", "ok", Message("finding.program_runs"))


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
        return [Finding("root", "ok", Message("finding.root", folder=str(folder)))]
    cure = "set TMPDIR to a folder that everybody can pass, or run as an ordinary user"
    return [Finding("root", "fail", f"nobody cannot pass {shut[0]}", cure)]


def ports() -> list[Finding]:
    """Free loopback ports, bound for a moment."""
    try:
        found = free_ports(PORTS)
    except OSError as error:
        return [Finding("ports", "fail", f"cannot bind to 127.0.0.1: {error}", "ip link set lo up")]
    return [Finding("ports", "ok", Message("finding.ports", n=len(found)))]


def open_files() -> list[Finding]:
    """The limit on open files: processes raise the soft one to the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= FILES_AIM:
        if hard == resource.RLIM_INFINITY:
            return [Finding("open files", "ok", Message("finding.no_limit"))]
        return [Finding("open files", "ok", Message("finding.up_to", n=hard))]
    status = _enough(hard, FILES_MIN, FILES_AIM)
    cure = f"raise the hard limit (ulimit -Hn) to {FILES_AIM}: 10,000 requests may be open"
    return [Finding("open files", status, f"only {hard}", cure)]


def clock() -> list[Finding]:
    """The clock that all processes share, and whether a suspend would show."""
    if sys.platform == "darwin":
        cure = "keep the machine awake during a run: caffeinate gameday run …"
        return [Finding("clock", "warn", "CLOCK_MONOTONIC; a suspend is not seen", cure)]
    suspended_s = (boottime_ns() - SystemClock().now_ns()) / 1e9
    path = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    known = path.read_text().strip() if path.exists() else ""
    source = known or Message("finding.clock_unknown")
    text = Message("finding.clock", source=source, suspended_s=max(0.0, suspended_s))
    return [Finding("clock", "ok", text)]


def steal() -> list[Finding]:
    """The share of processor time that other machines of the same host take away (steal)."""
    before = _processor_ticks()
    if before is None:
        return [Finding("steal", "ok", Message("finding.steal_not_counted"))]
    SystemClock().pause(STEAL_SAMPLE_S)
    after = _processor_ticks() or before
    total = sum(after) - sum(before)
    percent = 100 * (after[7] - before[7]) / total if total else 0.0
    text = Message("finding.steal", percent=percent, sample_s=STEAL_SAMPLE_S)
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


def processors() -> list[Finding]:
    """The number of processors for this process, and the load that they have already."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    one = Message("finding.one_core")
    found = [
        Finding("cores", "ok", str(cores)) if cores > 1 else Finding("cores", "warn", "1", one)
    ]
    load = os.getloadavg()[0]
    text = Message("finding.load", load=load)
    if load <= LOAD_MAX_A_CORE * cores:
        return [*found, Finding("load", "ok", text)]
    text = Message("finding.load_on", load=load, cores=cores)
    return [*found, Finding("load", "warn", text, Message("finding.wait"))]


def memory() -> list[Finding]:
    """The memory that can be had."""
    free_mb = psutil.virtual_memory().available // _MB
    status = _enough(free_mb, MEMORY_MIN_MB, MEMORY_AIM_MB)
    cure = "" if status == "ok" else f"free some: a run needs about {MEMORY_AIM_MB} MB"
    return [Finding("memory", status, Message("finding.memory", mb=free_mb), cure)]


def state_folder() -> list[Finding]:
    """The folder of locks, holds and the kept stack; a file is written there to try it."""
    name, cure = "state folder", "export XDG_STATE_HOME=DIR, a folder that you may write to"
    try:
        folder = state_dir()
        with tempfile.NamedTemporaryFile(prefix="doctor-", dir=folder):
            return [Finding(name, "ok", str(folder))]
    except GamedayError as error:
        return [Finding(name, "fail", error.message, error.help)]
    except OSError as error:
        return [Finding(name, "fail", f"cannot be written: {error}", cure)]


def kept_stack() -> list[Finding]:
    """The stack that `gameday up` left, alive or not."""
    name, state = "kept stack", state_folder()[0]
    if state.status == "fail":
        return [Finding(name, "fail", "nothing can be kept, or found again", state.cure)]
    try:
        kept = read_kept()
    except GamedayError as error:
        return [Finding(name, "warn", error.message, error.help)]
    except OSError as error:
        cure = "make it readable to you, or export XDG_STATE_HOME=DIR"
        return [Finding(name, "fail", f"what is kept cannot be read: {error}", cure)]
    if kept is None:
        return [Finding(name, "ok", Message("finding.none"))]
    ended = kept.parts(run=False)
    if ended or kept.state == "starting":
        what = f"{', '.join(ended)} no longer run" if ended else "never got ready"
        return [Finding(name, "warn", f"{kept.name}: {what} ({stack_file()})", "gameday down")]
    since = Message("finding.kept", name=kept.name, url=kept.base_url, since=str(kept.started_at))
    return [Finding(name, "ok", since)]
