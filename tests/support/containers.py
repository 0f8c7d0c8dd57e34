"""A stack in containers for tests: put up once, and looked into through the engine."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from gameday.evidence import journal
from gameday.injection import engine
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.engine import Container, EngineError
from gameday.spec.changes import Change
from gameday.spec.inputs import load_inputs
from gameday.spec.system import System
from gameday.spec.undos import ProjectUndo, Undo, from_json
from gameday.stacks.compose import ComposeStack
from gameday.stacks.compose_project import Project
from gameday.stacks.stack import Running, new_work_dir
from tests.support.stack_parts import Ground, eventually

ROOT = Path(__file__).parents[2]
SYSTEM_FILE = ROOT / "system_under_test" / "system.yaml"
SYSTEM = load_inputs("redis-slow", str(SYSTEM_FILE)).system.system

drivers = Drivers()


def _engine() -> str:
    """Address of the engine, "" where none answers."""
    try:
        where = engine.address()
        engine.identity(where)
    except EngineError:
        return ""
    return where


with_engine = pytest.mark.skipif(not _engine(), reason="no container engine")


class Up:
    """A stack that runs."""

    def __init__(self, stack: ComposeStack, running: Running) -> None:
        self.stack, self.running = stack, running
        assert running.project is not None
        self.project = running.project
        self.context: InjectionContext = running.injection("r")

    def containers(self) -> dict[str, Container]:
        return {each.service: each for each in there(self.project)}

    async def prepare(self, change: Change) -> Undo:
        """The undo of a change, which its record tells whole."""
        undo = await drivers.prepare(change, self.context)
        assert from_json(json.loads(json.dumps(undo.as_json()))) == undo
        return undo


def there(project: ProjectUndo) -> list[Container]:
    return engine.containers_of(project)


def ask(project: ProjectUndo, work: Callable[[Any], object]) -> None:
    with engine.of(project) as client:
        work(client)


def ground_of(folder: Path) -> Ground:
    """A place for a start, in which the system is gameday's own."""
    ground = Ground(folder, new_work_dir())
    ground.site = replace(ground.site, system_dir=SYSTEM_FILE.parent)
    return ground


OURS = frozenset({"service", "redis", "postgres", "balancer"})


def journaled(runs: Path) -> list[journal.Record]:
    """What the one run in a folder has journaled so far."""
    found = list(runs.glob("2*/journal.jsonl"))
    return list(journal.read(found[0]).records) if found else []


@contextmanager
def killed_in_the_end(
    arguments: list[str], state: Path, *, with_its_reaper: bool = False
) -> Iterator[None]:
    """A `gameday run` on containers; it ends by SIGKILL, and then its reaper when it is done.

    `with_its_reaper`: nobody is left to take anything out.
    """
    run = subprocess.Popen(
        [sys.executable, "-m", "gameday", "run", *arguments, "--stack", "compose"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
    )
    try:
        yield
        children = psutil.Process(run.pid).children()
        reaper = next(each for each in children if "gameday.run.reaper" in each.cmdline())
        if with_its_reaper:
            reaper.kill()
    finally:
        run.kill()
        run.wait()
    assert eventually(lambda: not reaper.is_running(), within_s=60)


# Little traffic, and nothing that a busy machine could break: the fault is what is looked at.
_STRUCK = """
name: struck
title: One fault, which nobody stays to take out
hypothesis: It does not outlive its run.
seed: 1
campaign: {{coupon: COUPON2025, stock: 1000, users: 1000}}
traffic:
  drop: {{executor: constant-arrival-rate, rate: 10/s, duration: 60s}}
objectives:
  - {{name: answered, expr: 'sum(rate(k6_http_reqs_total[5s])) > 0'}}
method:
  - {{fault: {fault}, at: 6s, duration: 40s}}
"""


def struck_by(fault: str, folder: Path) -> Path:
    """A file in the folder with an experiment of this fault, on any machine."""
    path = folder / "struck.yaml"
    path.write_text(_STRUCK.format(fault=fault))
    return path


@asynccontextmanager
async def stack_up(
    folder: Path,
    project: Project | None = None,
    system: System = SYSTEM,
    parts: frozenset[str] = OURS,
) -> AsyncIterator[Up]:
    """The compose stack, which leaves nothing behind but the logs of its parts."""
    ground, stack = ground_of(folder), ComposeStack(project)
    running = await stack.start(system, ground.site)
    assert ground.names == ["folder", "containers", "compose"]
    assert ground.progress[-1][1] == [], "at last all are well"
    assert len(ground.progress) > 1
    try:
        yield Up(stack, running)
    finally:
        assert await stack.stop() == []
        assert ground.left() == []
        assert running.project is not None
        assert (await drivers.look(running.project)).gone
        logs = {path.name for path in ground.site.logs_dir.glob("*.log")}
        assert {f"{part}.log" for part in parts} <= logs
