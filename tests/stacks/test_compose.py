"""The compose stack on a real engine: up, struck, taken down, and every bad state told."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis.asyncio

from gameday.core.clock import SystemClock
from gameday.core.errors import ExitCode, GamedayError, StackError, UsageError
from gameday.evidence import events, journal
from gameday.injection import engine
from gameday.injection.drivers.service import StrikeError
from gameday.injection.engine import EngineError
from gameday.injection.heal import Left, take_back
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.changes import ServiceChange, Strike
from gameday.spec.undos import (
    ContainerUndo,
    ExpiryUndo,
    ProjectUndo,
    ProxyUndo,
    RequestUndo,
    SqlUndo,
    ToxicUndo,
    from_json,
)
from gameday.stacks import compose, compose_project
from gameday.stacks.compose import ComposeStack
from gameday.stacks.persistent import (
    PersistentComposeStack,
    PersistentStack,
    put_up,
    take_down,
)
from gameday.stacks.ports import lasting_ports
from gameday.stacks.state import read_kept
from tests.support.containers import (
    SYSTEM,
    SYSTEM_FILE,
    Up,
    ask,
    drivers,
    ground_of,
    journaled,
    killed_in_the_end,
    stack_up,
    struck_by,
    there,
    with_engine,
)
from tests.support.events import event_of
from tests.support.signed import heal, signed
from tests.support.stack_parts import eventually
from tests.support.toxiproxies import redis_like, toxiproxy

pytestmark = pytest.mark.compose


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all: they share a stack."""
    return "asyncio"


async def strike(
    up: Up, name: str, do: Strike, *, forget: bool = False
) -> tuple[ServiceChange, ContainerUndo]:
    change = ServiceChange(name, do, forget=forget)
    undo = await up.prepare(change)
    assert isinstance(undo, ContainerUndo)
    return change, undo


async def refused(folder: Path, stack: ComposeStack | None = None) -> StackError:
    """The error of a start that fails, which leaves nothing behind."""
    ground = ground_of(folder)
    with pytest.raises(StackError) as caught:
        await (stack or ComposeStack()).start(SYSTEM, ground.site)
    assert caught.value.exit_code is ExitCode.UNHEALTHY
    assert ground.left() == []
    for record in ground.records():
        undo = from_json(record)
        assert (await drivers.look(undo)).gone, record
    return caught.value


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with stack_up(tmp_path_factory.mktemp("stack")) as up:
        yield up


@with_engine
async def test_it_is_reached_through_the_proxies_and_past_them(up: Up) -> None:
    running = up.running
    for url in (running.direct["redis"], running.proxied["redis"]):
        store = redis.asyncio.Redis.from_url(url)
        assert await store.ping()
        await store.aclose()
    assert running.system.toxiproxy is not None
    proxies = await Toxiproxy(running.system.toxiproxy).proxies()
    assert {name: each.upstream for name, each in proxies.items()} == {
        name: each.upstream for name, each in running.published.items()
    }
    assert (await up.context.proxy("redis")).upstream == "redis:6379"
    assert running.binaries.keys() == {"redis", "postgres", "toxiproxy", "service", "balancer"}
    assert up.stack.ended() == []


@with_engine
async def test_a_record_without_its_label_removes_nothing(up: Up) -> None:
    before = up.containers()
    for strange in (
        replace(up.project, token="0" * 32),
        replace(up.project, name="gameday-other"),
    ):
        await drivers.undo(strange)
        assert (await drivers.look(strange)).gone
    assert up.containers().keys() == before.keys()

    other = replace(up.project, engine_id="another")
    assert (await drivers.look(other)).gone is None
    with pytest.raises(GamedayError, match="another container engine answers"):
        await drivers.undo(other)
    assert up.containers().keys() == before.keys()


@with_engine
@pytest.mark.parametrize("name", ["service", "redis"])
@pytest.mark.parametrize("do", ["kill", "pause"])
async def test_what_is_struck_is_seen_so_and_comes_back(up: Up, name: str, do: Strike) -> None:
    before = up.containers()[name]
    change, undo = await strike(up, name, do)

    await drivers.act(change, undo, up.context)

    dose = await drivers.dose(undo)
    assert dose is not None and dose[0] is True, dose
    assert (await drivers.look(undo)).gone is False
    assert up.containers()[name].state == ("paused" if do == "pause" else "exited")

    for _ in range(2):  # doing it twice is harmless
        await drivers.undo(undo)
        assert (await drivers.look(undo)).gone is True
    after = up.containers()[name]
    assert (after.id, after.state) == (before.id, "running")


@with_engine
@pytest.mark.parametrize("forget", [False, True])
async def test_a_killed_redis_remembers_unless_it_is_to_forget(up: Up, forget: bool) -> None:
    store = redis.asyncio.Redis.from_url(up.running.direct["redis"])
    await store.set("remembered", 1)
    await store.save()
    await store.aclose()
    change, undo = await strike(up, "redis", "kill", forget=forget)
    await drivers.act(change, undo, up.context)
    await drivers.undo(undo)
    store = redis.asyncio.Redis.from_url(up.running.direct["redis"])
    assert await store.exists("remembered") == (0 if forget else 1)
    await store.set("remembered", 2)
    assert await store.save()  # its own dump is its to write again
    await store.aclose()


@with_engine
async def test_a_restarted_service_runs_since_another_time(up: Up) -> None:
    change, undo = await strike(up, "service", "restart")

    await drivers.act(change, undo, up.context)

    assert up.context.stopped_on_purpose >= {"service"}
    dose = await drivers.dose(undo)
    assert dose is not None and dose[0] is True, dose
    assert (await drivers.look(undo)).gone is True


@with_engine
async def test_one_that_somebody_else_has_killed_is_not_struck_but_comes_back(up: Up) -> None:
    change, undo = await strike(up, "service", "kill")
    (id_,) = undo.containers
    ask(up.project, lambda client: client.api.kill(id_))
    assert eventually(lambda: up.containers()["service"].state == "exited")

    with pytest.raises(StrikeError, match="does not run any more"):
        await drivers.act(change, undo, up.context)
    with pytest.raises(StackError, match="before anything was broken"):
        await strike(up, "service", "kill")

    await drivers.undo(undo)
    assert (await drivers.look(undo)).gone is True
    with pytest.raises(StrikeError, match="was started anew meanwhile"):
        await drivers.act(change, undo, up.context)


@with_engine
async def test_one_that_was_renamed_is_still_meant(up: Up) -> None:
    change, undo = await strike(up, "service", "pause")
    ((id_, name),) = undo.containers.items()
    ask(up.project, lambda client: client.api.rename(id_, f"{name}-renamed"))
    try:
        await drivers.act(change, undo, up.context)
        assert (await drivers.look(undo)).gone is False
        await drivers.undo(undo)
        assert (await drivers.look(undo)).gone is True
    finally:
        ask(up.project, lambda client: client.api.rename(id_, name))


@with_engine
async def test_where_the_stack_is_gone_its_changes_are_too(up: Up) -> None:
    _, undo = await strike(up, "redis", "kill")
    gone = replace(undo, project=replace(undo.project, token="0" * 32))
    await drivers.undo(gone)
    assert await drivers.look(gone) == (True, "the stack that it was a part of is gone")


@with_engine
async def test_what_the_stack_lacks_is_refused_by_name(up: Up) -> None:
    with pytest.raises(UsageError, match=r"no container of 'kafka'; it has balancer, postgres"):
        await strike(up, "kafka", "kill")


@with_engine
async def test_a_dead_container_is_told_as_ended_until_it_runs_again(up: Up) -> None:
    id_ = up.containers()["toxiproxy"].id
    ask(up.project, lambda client: client.api.kill(id_))
    async with asyncio.timeout(20):
        while up.stack.ended() != ["toxiproxy"]:
            await asyncio.sleep(0.05)
    ask(up.project, lambda client: client.api.start(id_))
    async with asyncio.timeout(20):
        while up.stack.ended():
            await asyncio.sleep(0.05)


@with_engine
async def test_a_missing_image_is_told_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_IMAGE", "localhost:1/gameday-test/no-such-image:1")
    error = await refused(tmp_path)
    assert "an image is missing here, and cannot be fetched" in error.message
    assert "REDIS_IMAGE" in error.help


@with_engine
async def test_a_container_that_does_not_come_up_shows_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This image has no program of that name.
    monkeypatch.setenv("HAPROXY_IMAGE", "gameday-coupon-issuance")
    error = await refused(tmp_path)
    assert "balancer" in error.message and "haproxy" in error.message


def with_one_taken(count: int, port: int) -> list[int]:
    """Free ports, but for the one of Redis, which starts first."""
    ports = lasting_ports(count)
    ports[list(compose_project.PORTS).index("REDIS_PORT")] = port
    return ports


@with_engine
@pytest.mark.timeout(120)
async def test_a_port_that_was_lost_is_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, asked = lasting_ports, []
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]

    def first_a_taken_one(count: int) -> list[int]:
        asked.append(count)
        return with_one_taken(count, port) if len(asked) == 1 else really(count)

    monkeypatch.setattr(compose, "lasting_ports", first_a_taken_one)
    ground, stack = ground_of(tmp_path), ComposeStack()
    async with taken:
        try:
            running = await stack.start(SYSTEM, ground.site)
            assert len(asked) == 2
            assert str(port) not in str(running.direct)
        finally:
            assert await stack.stop() == []
    assert ground.left() == []


@with_engine
@pytest.mark.timeout(120)
async def test_ports_that_are_always_taken_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        monkeypatch.setattr(compose, "lasting_ports", lambda count: with_one_taken(count, port))
        error = await refused(tmp_path)
    assert "a port of this machine is taken" in error.message
    assert str(port) in error.message


async def test_no_engine_is_told_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setattr(compose, "_is_there", lambda _: True)
    error = await refused(tmp_path)
    assert error.message == f"no container engine runs at unix://{tmp_path}/no.sock"
    assert "start Docker" in error.help


async def test_no_compose_program_is_told_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await refused(tmp_path)
    assert "neither `docker compose` nor `docker-compose` answers" in error.message


@pytest.mark.parametrize("host", ["tcp://10.1.2.3:2375", "ssh://somebody@elsewhere"])
def test_an_engine_on_another_machine_is_refused(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineError, match="is not on this machine"):
        engine.identity(engine.address())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_socket_that_one_may_not_use_is_told_with_the_cure() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)  # others may pass
    code = (
        "import socket, os, sys\n"
        "from gameday.injection import engine\n"
        "import docker.errors, requests\n"
        "path = sys.argv[1]\n"
        "server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen()\n"
        "os.chmod(path, 0o600)\n"
        "os.setuid(65534)\n"
        "try: engine.identity('unix://' + path)\n"
        "except engine.EngineError as error: print(error.message, '|', error.help)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder / "engine.sock")],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        (folder / "engine.sock").unlink(missing_ok=True)
        folder.rmdir()
    assert done.stdout.startswith("no permission on the socket of the container engine"), done
    assert "usermod -aG docker" in done.stdout


@with_engine
@pytest.mark.timeout(180)
def test_the_reaper_takes_all_of_it_down_after_a_kill(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    experiment = struck_by("network.latency, target: redis, latency: 300ms", tmp_path)
    with killed_in_the_end([str(experiment), "--runs", str(runs)], tmp_path):
        assert eventually(lambda: _is_struck(runs), within_s=100)
        (project,) = _projects(runs)
        assert there(project)
    assert asyncio.run(drivers.look(project)).gone is True
    # Its Toxiproxy is gone with it, and that is known: nobody has to look for it.
    healed = _heal(runs, tmp_path)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert f"the stack {project.name} is gone" in " ".join(healed.stdout.split())


def _heal(runs: Path, state: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gameday", "heal", "--runs", str(runs)],
        env={**os.environ, "XDG_STATE_HOME": str(state), "COLUMNS": "250"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _is_struck(runs: Path) -> bool:
    return journal.first(journaled(runs), events.FaultInjected) is not None


def gone_project() -> ProjectUndo:
    """A project of which the engine has nothing."""
    where = engine.address()
    return ProjectUndo(
        engine=where, engine_id=engine.identity(where), name="gameday-gone", token="0" * 32
    )


@with_engine
async def test_who_has_the_address_of_a_stack_that_is_gone_is_not_healed(tmp_path: Path) -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = Toxiproxy(url)
        body = {"name": "redis", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        await server.call("POST", "/proxies", {**body, "enabled": False})
        off = ProxyUndo(url=url, proxy="redis", part=None, enabled=True, project=gone_project())
        records = signed(tmp_path / "journal.jsonl")
        records.write(event_of("fault.injecting", id="f", undo=[off.as_json()]))
        records.close()
        (healed,) = await heal(tmp_path, {})
        assert (healed.gone, "gone with" in healed.why) == (True, True), healed
        others = await server.proxy("redis")
        assert others is not None
        assert not others.enabled


@with_engine
async def test_whoever_else_has_the_address_of_a_step_is_not_sent_its_undo(up: Up) -> None:
    assert up.project is not None
    async with toxiproxy() as somebodys:
        for service in ("", "service", "nobody"):
            undo = RequestUndo(
                base_url=somebodys, request={"post": "/reset"}, project=up.project, service=service
            )
            left = Left("step", "1", from_json(undo.as_json()))
            healed = await take_back(left, {}, UndoPolicy(refused_s=0), drivers)
            assert healed.gone is None, healed
            assert not healed.answered, healed


@with_engine
async def test_what_was_done_to_servers_of_a_stack_goes_with_its_containers(tmp_path: Path) -> None:
    gone = gone_project()
    toxic = ToxicUndo(url="http://127.0.0.1:1", proxy="redis", part=None, name="t", project=gone)
    off = ProxyUndo(url=toxic.url, proxy="redis", part=None, enabled=True, project=gone)
    keys = ExpiryUndo(
        do="expire", name="k", url={"env": "NOBODY_SETS"}, keys={"k": -1}, at_ms=1, project=gone
    )
    lock = SqlUndo(do="lock", name="l", dsn={"env": "NOBODY_SETS"}, project=gone)
    request = RequestUndo(base_url=toxic.url, request={"post": "/back"}, project=gone)
    for undo in (toxic, off, keys, lock, request):
        left = Left("fault", "f", from_json(undo.as_json()))
        healed = await take_back(left, {}, UndoPolicy(refused_s=0), drivers)
        assert (healed.gone, "gone with" in healed.why) == (True, True), healed
        away = replace(gone, engine=f"unix://{tmp_path}/no.sock")
        unknown = left._replace(undo=replace(undo, project=away))
        healed = await take_back(unknown, {}, UndoPolicy(refused_s=0), drivers)
        assert (healed.gone, healed.settled) == (None, False), healed


def _projects(runs: Path) -> list[ProjectUndo]:
    starting = journal.every(journaled(runs), events.StackStarting)
    undos = [undo for each in starting for undo in each.event.undo]
    return [undo for undo in undos if isinstance(undo, ProjectUndo)]


@with_engine
@pytest.mark.timeout(120)
async def test_one_that_was_put_up_is_reused_and_taken_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    first = await put_up(SYSTEM, SYSTEM_FILE, SystemClock(), stack="compose")
    project = first.project
    assert project is not None
    try:
        with pytest.raises(UsageError, match="a stack is kept already"):
            await put_up(SYSTEM, SYSTEM_FILE, SystemClock(), stack="compose")
        with pytest.raises(StackError, match="the kept stack is the compose one"):
            await PersistentStack().start(SYSTEM, ground_of(tmp_path).site)
        stack, ground = PersistentComposeStack(), ground_of(tmp_path)
        used = await stack.start(SYSTEM, ground.site)
        assert (used.system, used.project, used.published) == (
            first.system,
            project,
            first.published,
        )
        assert ground.announced == [] and stack.ended() == []
        assert await stack.stop() == []
        assert there(project)
    finally:
        await take_down()
    assert (await drivers.look(project)).gone
    assert read_kept() is None
