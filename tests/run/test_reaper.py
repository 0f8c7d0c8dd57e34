"""No fault outlives its controller: real controllers are killed, stopped and woken up."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from gameday.core.clock import NS, SystemClock, boottime_ns
from gameday.core.errors import UsageError
from gameday.evidence import journal
from gameday.injection.drivers.folder import mark, record
from gameday.injection.drivers.service import restart
from gameday.injection.process import process
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.run.locks import TargetLock
from gameday.run.reaper import lease
from gameday.run.reaper.lease import LEASE_S, Lease, LeaseWatch
from gameday.spec.undos import ToxicState
from tests.matrices.wedge import OURS, server
from tests.support.obstacles import door
from tests.support.signed import heal
from tests.support.toxiproxies import redis_like, toxic_names, toxiproxy

ROOT = Path(__file__).parents[2]
CLEAN_S = LEASE_S + 2.0


@dataclass
class Controlled:
    """A small controller under way, and its run."""

    process: asyncio.subprocess.Process
    dir: Path
    server: Toxiproxy
    toxic: str = ""

    async def heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return line

    def tell(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order.encode() + b"\n")

    def reaper(self) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        return next(each for each in children if "gameday.run.reaper" in each.cmdline())

    def told(self) -> list[journal.Record]:
        path = self.dir / "reaper.jsonl"
        return list(journal.read(path).records) if path.exists() else []

    def removals(self) -> list[bool | None]:
        return [each.data["gone"] for each in self.told() if each.event.kind == "fault.removed"]


async def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


async def until_clean(run: Controlled, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while run.toxic in (await toxic_names(run.server, "cache") or []):
            await asyncio.sleep(0.02)


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@asynccontextmanager
async def controlled(
    tmp_path: Path,
    url: str,
    also: list[tuple[str, dict[str, Any]]] | None = None,
    *options: str,
) -> AsyncIterator[Controlled]:
    """A controller that has injected a toxic into the proxy `cache`, or lets it `flap`."""
    run_dir = tmp_path / "runs" / "r"
    (run_dir / "logs").mkdir(parents=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.small_controller", str(run_dir), url),
        json.dumps(also or []),
        *options,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    run = Controlled(process, run_dir, Toxiproxy(url))
    reaper = None
    try:
        run.toxic = (await run.heard())["injected"]
        reaper = run.reaper()
        yield run
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert process.stdin is not None
        process.stdin.close()
        if reaper is not None:
            await until(lambda: ended(reaper))


@asynccontextmanager
async def cache() -> AsyncIterator[str]:
    """A Toxiproxy with the proxy `cache`, which has a toxic of somebody else's."""
    async with redis_like() as upstream, toxiproxy() as url:
        server = Toxiproxy(url)
        body = {"name": "cache", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        await server.call("POST", "/proxies", body)
        await server.add_toxic("cache", ToxicState(type="noop", name="somebody-elses"))
        yield url


async def test_a_killed_controller_leaves_no_fault_and_no_reaper(tmp_path: Path) -> None:
    async with cache() as url, controlled(tmp_path, url) as run:
        reaper = run.reaper()
        assert os.getsid(reaper.pid) == reaper.pid
        run.process.kill()
        await until_clean(run, CLEAN_S)
        await until(lambda: ended(reaper))
        assert await toxic_names(run.server, "cache") == ["somebody-elses"]
    assert run.removals() == [True]
    assert run.told()[0].data["why"] == "the controller is gone"
    assert run.told()[-1].data == {"left": []}
    assert (run.dir / "reaped").exists()


async def is_on(run: Controlled) -> bool:
    found = await run.server.proxy("cache")
    assert found is not None
    return found.enabled


async def until_on(run: Controlled, *, on: bool) -> None:
    async with asyncio.timeout(20):
        while await is_on(run) != on:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("down", [True, False], ids=["while down", "while up"])
async def test_a_flap_of_a_killed_controller_ends_with_the_proxy_on(
    tmp_path: Path, *, down: bool
) -> None:
    async with cache() as url, controlled(tmp_path, url, [], "flap") as run:
        for on in (False, True, False, True)[: 3 if down else 4]:
            await until_on(run, on=on)
        reaper = run.reaper()
        run.process.kill()
        await until(lambda: ended(reaper))
        assert await is_on(run)
        assert await toxic_names(run.server, "cache") == ["somebody-elses"]
    assert run.removals() == [True]


async def test_a_flap_of_a_stopped_controller_does_not_begin_again(tmp_path: Path) -> None:
    async with cache() as url, controlled(tmp_path, url, [], "flap") as run:
        await until_on(run, on=False)
        run.process.send_signal(signal.SIGSTOP)
        await until(lambda: run.removals() == [True])
        assert await is_on(run)
        run.process.send_signal(signal.SIGCONT)
        assert "reaper has undone the run" in (await run.heard())["lost"]
        assert await run.heard() == {"reaper_ended": True}
        assert await is_on(run)


async def test_a_stopped_controller_finds_its_fault_undone_and_ends(tmp_path: Path) -> None:
    async with cache() as url, controlled(tmp_path, url) as run:
        reaper = run.reaper()
        run.process.send_signal(signal.SIGSTOP)
        await until_clean(run, CLEAN_S)
        await until(lambda: run.removals() == [True])
        assert not ended(reaper)
        run.process.send_signal(signal.SIGCONT)
        assert "reaper has undone the run" in (await run.heard())["lost"]
        assert await run.heard() == {"reaper_ended": True}
    late = re.fullmatch(r"the lease was not renewed for (.+) s", run.told()[0].data["why"])
    assert late is not None
    assert float(late[1]) >= LEASE_S


async def test_what_a_woken_controller_did_last_is_undone_when_it_is_killed(tmp_path: Path) -> None:
    async with cache() as url, controlled(tmp_path, url) as run:
        run.process.send_signal(signal.SIGSTOP)
        await until_clean(run, CLEAN_S)
        await until(run.removals)
        # As if it had been stopped between announcing the toxic and adding it.
        await run.server.add_toxic("cache", ToxicState(type="noop", name=run.toxic))
        run.process.kill()
        await until_clean(run, 5)


async def test_a_run_that_ends_in_order_is_never_reaped(tmp_path: Path) -> None:
    async with cache() as url, controlled(tmp_path, url) as run:
        reaper = run.reaper()
        run.tell("end")
        assert await run.heard() == {"lost": "", "died": False}
        assert await run.heard() == {"reaper_ended": True}
        assert ended(reaper)
    assert not (run.dir / "reaped").exists()
    assert not (run.dir / "reaper.jsonl").exists()
    assert (run.dir / "logs" / "reaper.log").read_text() == ""


async def test_a_dead_reaper_is_noticed(tmp_path: Path) -> None:
    async with cache() as url, controlled(tmp_path, url) as run:
        reaper = run.reaper()
        reaper.kill()
        await until(lambda: ended(reaper))
        run.tell("end")
        assert (await run.heard())["died"] is True


def test_a_run_is_claimed_once(tmp_path: Path) -> None:
    held = Lease(tmp_path)
    first, second = LeaseWatch(tmp_path), LeaseWatch(tmp_path)
    assert held.renew() == ""
    assert first.age_s() < 1
    assert first.claim()
    assert not second.claim()
    assert first.claim()
    assert "the reaper has undone the run" in held.renew()
    held.close()


def test_a_stamp_that_is_gone_grows_old(tmp_path: Path) -> None:
    held = Lease(tmp_path)
    held.close()
    watched = LeaseWatch(tmp_path)
    before_s = watched.age_s()
    (tmp_path / "lease").unlink()
    assert watched.age_s() > before_s


Answer = Callable[[str, str, str], tuple[int, object]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """A server that answers (method, path, headers) with a status and JSON; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        status, body = answer(method, path, head)
        raw = json.dumps(body).encode()
        length = f"Content-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        writer.write(f"HTTP/1.1 {status} Said\r\n{length}".encode() + raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


class Stubborn:
    """A Toxiproxy that answers 500 to the first removals, and never to anything else."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.toxics: list[str] = []
        self.removals = 0

    def __call__(self, method: str, path: str, head: str) -> tuple[int, object]:
        del head
        if method == "DELETE":
            self.removals += 1
            if self.removals <= self.failures:
                return 500, {"error": "stuck"}
            self.toxics.clear()
            return 204, None
        if method == "POST":
            self.toxics.append("gameday-r-1")
        return 200, {
            "listen": "",
            "upstream": "",
            "enabled": True,
            "toxics": [{"name": name} for name in self.toxics],
        }


async def test_an_undo_that_fails_twice_is_tried_until_it_works(tmp_path: Path) -> None:
    stubborn = Stubborn(failures=2)
    async with answering(stubborn) as url, controlled(tmp_path, url) as run:
        run.process.kill()
        await until_clean(run, CLEAN_S)
    assert stubborn.removals >= 3
    pressed = [each.data for each in run.told() if each.event.kind == "fault.escalated"]
    assert [each["step"] for each in pressed][:2] == ["retry", "switch"]
    assert "500" in pressed[0]["why"]
    assert run.removals() == [True]


async def test_nobody_else_begins_before_the_clean_up_is_over(tmp_path: Path) -> None:
    stubborn = Stubborn(failures=4)
    async with answering(stubborn) as url, controlled(tmp_path, url) as run:
        reaper = run.reaper()
        run.process.kill()
        await run.process.wait()
        await until(lambda: stubborn.removals)
        with pytest.raises(UsageError, match="already uses this target"):
            TargetLock("http://s", url, "second", tmp_path).__enter__()
        await until(lambda: ended(reaper))
        with TargetLock("http://s", url, "second", tmp_path):
            pass


BACK = {"post": "/back", "headers": {"Authorization": {"env": "TOKEN"}}}


def step(url: str) -> tuple[str, dict[str, Any]]:
    undo = {"kind": "request", "action": "back", "base_url": url, "request": BACK}
    return "step.started", {"step": 2, "undoing": False, "undo": undo}


async def test_steps_are_taken_back_with_their_secrets_and_heal_knows_it(tmp_path: Path) -> None:
    heads: list[str] = []

    def note(method: str, path: str, head: str) -> tuple[int, object]:
        heads.append(f"{method} {path} {head}")
        return 200, {}

    async with cache() as url, answering(note) as service:
        async with controlled(tmp_path, url, [step(service)]) as run:
            run.process.kill()
            await until(lambda: run.told() and run.told()[-1].event.kind == "reaper.ended")
        assert heads[0].startswith("POST /back")
        assert "open sesame" in heads[0]
        assert "open sesame" not in "".join(p.read_text() for p in run.dir.rglob("*.jsonl"))
        asked = len(heads)
        assert [one.gone for one in await heal(run.dir)] == [True, True]
        assert len(heads) == asked


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A part of a stack: a process in a session of its own."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as part:
        yield part
        part.kill()


async def test_the_stack_of_a_stopped_controller_stays_and_that_of_a_dead_one_ends(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    undo = process.record(sleeper.pid, "redis")
    folder = tmp_path / "gameday-work"
    removed_by = record(folder)
    folder.mkdir()
    mark(removed_by)
    also = [
        ("stack.starting", {"name": "folder", "undo": [removed_by.as_json()]}),
        ("stack.starting", {"name": "redis", "undo": [undo.as_json()]}),
    ]
    async with cache() as url, controlled(tmp_path, url, also) as run:
        run.process.send_signal(signal.SIGSTOP)
        await until_clean(run, CLEAN_S)
        await until(run.removals)
        assert sleeper.poll() is None
        assert folder.exists()
        run.process.kill()
        await until(lambda: sleeper.poll() is not None)
        await until(lambda: not folder.exists())
    parts = [each.data["name"] for each in run.told() if each.event.kind == "part.ended"]
    assert parts == ["redis", "folder"]


def test_a_reaper_without_a_controller_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gameday.run.reaper", "nowhere"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"its input a socket" in done.stderr


async def test_a_toxiproxy_cut_off_for_a_while_is_waited_for(tmp_path: Path) -> None:
    async with cache() as url, door(url) as one, controlled(tmp_path, one.url) as run:
        await one.shut()
        run.process.kill()
        await until(run.told)
        await asyncio.sleep(2)  # refused, and not taken for gone
        assert run.removals() == []
        await one.open()
        await until_clean(run, CLEAN_S)
        await until(lambda: run.removals() == [True])
        assert await toxic_names(one.behind, "cache") == ["somebody-elses"]


async def test_a_toxiproxy_restarted_in_the_fault_took_the_toxic_with_it(tmp_path: Path) -> None:
    async with redis_like() as upstream, server(tmp_path, OURS, upstream) as one:
        async with controlled(tmp_path, one.url) as run:
            await restart(one.part, SystemClock())
            run.process.kill()
            await until(lambda: run.removals() == [True], CLEAN_S + 5)
        assert await run.server.proxies() == {}


async def test_a_removal_that_hangs_is_pressed_by_the_reaper_too(tmp_path: Path) -> None:
    async with cache() as url, door(url) as one, controlled(tmp_path, one.url) as run:
        one.rule = lambda m, p: "fail" if m == "DELETE" and "/toxics/" in p else "pass"
        run.process.kill()
        await until(lambda: run.removals() == [True])
        assert await toxic_names(one.behind, "cache") == ["somebody-elses"]
    steps = [each.data["step"] for each in run.told() if each.event.kind == "fault.escalated"]
    assert steps == ["retry", "switch", "recreate"]


@pytest.fixture
def suspended(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets CLOCK_BOOTTIME go on by so many seconds, as it does while a machine is suspended."""
    asleep_ns = 0

    def resume_after(seconds: float) -> None:
        nonlocal asleep_ns
        asleep_ns += int(seconds * NS)

    monkeypatch.setattr(lease, "boottime_ns", lambda: boottime_ns() + asleep_ns)
    return resume_after


def test_a_machine_that_was_suspended_has_lost_the_lease_on_both_sides(
    tmp_path: Path, suspended: Callable[[float], None]
) -> None:
    held, watched = Lease(tmp_path), LeaseWatch(tmp_path)
    assert watched.age_s() < LEASE_S
    suspended(3600)
    assert watched.age_s() > LEASE_S
    assert "not renewed for 3600." in held.renew()
    held.close()


def test_the_lease_reads_no_clock_that_can_be_set(tmp_path: Path) -> None:
    parts = [*(ROOT / "gameday/run/reaper").glob("*.py"), ROOT / "gameday/run/reaper_client.py"]
    text = "".join(path.read_text() for path in parts)
    assert not {"utc_now", "wall_time_ns", "datetime"} & set(re.findall(r"\w+", text))
    held, watched = Lease(tmp_path), LeaseWatch(tmp_path)
    os.utime(tmp_path / "lease", (0, 0))  # as after the wall clock was set by decades
    assert watched.age_s() < 1
    assert held.renew() == ""
    held.close()


def test_undoing_loads_no_model_and_no_arithmetic() -> None:
    """A reaper is in a hurry on a machine that may be at its end."""
    code = "import gameday.run.reaper.undo_run, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split()
    assert not {"numpy", "pydantic", "gameday.evidence.model"} & {*loaded}


def test_a_reaper_waits_with_few_modules() -> None:
    """One waits beside every run; what undoing needs is loaded when there is something to undo."""
    code = "import gameday.run.reaper.__main__, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split()
    assert not {"dataclasses", "asyncio", "numpy", "pydantic"} & {*loaded}
