"""A copy of somebody's own project that runs: on a real engine, through its Toxiproxy."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from gameday.core.errors import ExitCode, StackError
from gameday.evidence.events import StackStarting
from gameday.injection import engine
from gameday.plan import own_project_checks
from gameday.spec.changes import PartitionChange, ServiceChange
from gameday.spec.inputs import load_system
from gameday.spec.undos import ProjectUndo, ToxicState
from gameday.stacks.own_project import OwnProject
from gameday.stacks.ports import lasting_ports
from gameday.stacks.service_map import ServiceMap
from tests.support.containers import (
    ROOT,
    Up,
    drivers,
    ground_of,
    journaled,
    stack_up,
    with_engine,
)
from tests.support.own_projects import MAP, SHOP, gameday, in_shop, system_file

pytestmark = pytest.mark.compose


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    return in_shop(monkeypatch)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all: they share a stack."""
    return "asyncio"


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as monkeypatch:
        system = load_system(system_file(folder, in_shop(monkeypatch))).system
        project, before_it = OwnProject(SHOP, ServiceMap.parse(MAP)), SHOP.read_bytes()
        async with stack_up(folder, project, system, frozenset({"service", "redis"})) as up:
            yield up
        assert SHOP.read_bytes() == before_it
        assert sorted(each.name for each in SHOP.parent.iterdir()) == ["compose.yml"]


def addresses(up: Up, service: str) -> set[str]:
    """The addresses of the container of a service, one in each of its networks."""
    with engine.of(up.project) as client:
        found = client.api.inspect_container(up.containers()[service].id)
    return {each["IPAddress"] for each in found["NetworkSettings"]["Networks"].values()}


def resolved(up: Up, service: str, name: str) -> str:
    """The address that a name has in the container of a service."""
    with engine.of(up.project) as client:
        asked = client.api.exec_create(up.containers()[service].id, ["getent", "hosts", name])["Id"]
        return str(client.api.exec_start(asked).decode().split()[0])


async def latency_ms(address: tuple[str, int]) -> float:
    """How long a PING to the Redis at an address takes."""
    reader, writer = await asyncio.open_connection(*address)
    began = asyncio.get_running_loop().time()
    writer.write(b"PING\r\n")
    assert await reader.readline() == b"+PONG\r\n"
    writer.close()
    return (asyncio.get_running_loop().time() - began) * 1000


@with_engine
async def test_toxiproxy_stands_between_and_has_a_way_past_itself(up: Up) -> None:
    assert set(up.containers()) == {"service", "redis", "postgres", "toxiproxy", "migrate"}
    proxy = addresses(up, "toxiproxy")
    for name in ("cache", "sessions", "db"):  # each name that it has
        assert resolved(up, "service", name) in proxy
        assert resolved(up, "toxiproxy", name) not in proxy
    assert resolved(up, "service", "store") in proxy  # a link of the caller's own

    known = up.running.published["redis"]
    server = up.context.toxiproxy()
    toxic = ToxicState(name="slow", type="latency", attributes={"latency": 400})
    await server.add_toxic("redis", toxic)
    slow, past = await latency_ms(known.proxy), await latency_ms(known.direct)
    await server.remove_toxic("redis", "slow")
    assert slow >= 400 > past


@with_engine
async def test_what_was_built_for_it_bears_its_mark_and_goes_with_it(up: Up) -> None:
    """That it goes is asserted where the stack is stopped: `look` counts images too."""
    with engine.of(up.project) as client:
        built = client.images.list(filters={"label": f"{engine.LABEL}={up.project.token}"})
    assert [tag.startswith("gameday-own-") for each in built for tag in each.tags] == [True]
    state = await drivers.look(up.project)
    assert "image gameday-own-" in state.why


@with_engine
async def test_its_containers_are_struck_by_the_names_of_the_system_file(up: Up) -> None:
    for part, do in (("service", "kill"), ("redis", "pause")):
        change = ServiceChange(part, do, forget=False)  # type: ignore[arg-type]
        undo = await up.prepare(change)
        await drivers.act(change, undo, up.context)
        assert (await drivers.look(undo)).gone is False
        await drivers.undo(undo)
        assert (await drivers.look(undo)).gone is True


@with_engine
async def test_a_task_that_ends_well_after_the_start_is_no_loss_but_a_server_is(up: Up) -> None:
    """The migration still ran when everything was well; a run goes on when it has ended."""
    async with asyncio.timeout(60):
        while not up.containers()["migrate"].is_done:
            await asyncio.sleep(0.1)
    undo = await up.prepare(ServiceChange("redis", "kill", forget=False))
    try:
        await drivers.act(ServiceChange("redis", "kill", forget=False), undo, up.context)
        async with asyncio.timeout(20):
            while "redis" not in (ended := up.stack.ended()):
                await asyncio.sleep(0.1)
        assert ended == ["redis"]
    finally:
        await drivers.undo(undo)


@with_engine
async def test_a_dependency_is_cut_off_by_its_name_in_their_file(up: Up) -> None:
    """The caller finds Toxiproxy by that name, whatever becomes of the dependency."""
    for peer in ("toxiproxy", "service"):
        change = PartitionChange("redis", peer)
        undo = await up.prepare(change)
        await drivers.act(change, undo, up.context)
        dose = await drivers.dose(undo)
        assert dose is not None and dose[0] is True, dose
        await drivers.undo(undo)
        assert (await drivers.look(undo)).gone is True
    assert resolved(up, "toxiproxy", "cache")


@with_engine
async def test_a_port_of_theirs_that_is_taken_is_an_error_with_a_cure(
    up: Up, tmp_path: Path
) -> None:
    """As when their own copy of it is up already."""
    system = up.running.system
    path = tmp_path / "shop.yaml"
    path.write_text(
        yaml.safe_dump(system.model_dump(mode="json", by_alias=True, exclude_none=True))
    )
    again = OwnProject(SHOP, ServiceMap.parse(MAP))
    taken = [e for e in own_project_checks.checks(again, load_system(path)) if e.name == "ports"]
    assert len(taken) == 4 and {(e.status, e.usage) for e in taken} == {("fail", False)}
    assert all(f"project {up.project.name} is up" in each.found for each in taken)
    assert {each.cure for each in taken} == {f"docker compose -p {up.project.name} stop"}
    ground = ground_of(tmp_path)
    stack = type(up.stack)(OwnProject(SHOP, ServiceMap.parse(MAP)))
    with pytest.raises(StackError) as caught:
        await stack.start(system, ground.site)
    assert caught.value.exit_code is ExitCode.UNHEALTHY
    assert "a port of this machine is taken" in caught.value.message and caught.value.help
    assert ground.left() == []
    assert all(each.runs for each in up.containers().values() if each.service != "migrate")
    assert engine.containers_of(up.project)


@with_engine
@pytest.mark.slow
@pytest.mark.skipif("GAMEDAY_WHOLE" not in os.environ, reason="one whole run more: GAMEDAY_WHOLE=1")
def test_redis_slow_runs_on_it(tmp_path: Path, shop: dict[str, int]) -> None:
    options = ["--compose-file", str(SHOP), "--service-map", MAP, "--runs", str(tmp_path / "runs")]
    system = str(system_file(tmp_path, shop))
    where = ["--short", "--stack", "compose", "--system", system]
    code, text = gameday("run", "redis-slow", *where, *options)
    assert code == 0, text
    for secret in ("hunter2-of-the-shop", "not-a-secret-token"):
        assert secret not in text
        for path in (tmp_path / "runs").rglob("*"):
            assert path.is_dir() or secret.encode() not in path.read_bytes(), path


@with_engine
def test_plan_prints_what_is_laid_over_their_file(tmp_path: Path, shop: dict[str, int]) -> None:
    where = ["--short", "--stack", "compose", "--system", str(system_file(tmp_path, shop))]
    options = ["--compose-file", str(SHOP), "--service-map", MAP]
    code, text = gameday("plan", "redis-slow", *where, *options)
    assert code == 0, text
    assert "laid over your compose file" in text and "gameday-toxiproxy:cache" in text
    assert "alertmanager.yml" not in text
    code, text = gameday("plan", "redis-slow", *where, *options, "--json")
    override = yaml.safe_load(json.loads(text)["override"])
    assert "gameday-toxiproxy:sessions" in override["services"]["api"]["links"]


@with_engine
@pytest.mark.timeout(180)
def test_a_copy_is_kept_up_used_and_taken_down(tmp_path: Path, shop: dict[str, int]) -> None:
    system = ["--stack", "compose", "--system", str(system_file(tmp_path, shop))]
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    options = ["--compose-file", str(SHOP), "--service-map", MAP]
    code, text = gameday("up", *system, *options, environment=state)
    try:
        assert code == 0, text
        code, text = gameday("plan", "redis-slow", "--short", "--reuse", *system, environment=state)
        assert code == 0, text
        assert "proxy redis: carries redis" in text
        kept = json.loads((tmp_path / "state" / "gameday" / "stack.json").read_text())
        assert "hunter2-of-the-shop" in kept["secrets"]
        code, text = gameday("up", *system, *options, environment=state)
        assert code in (2, 4), text
    finally:
        code, text = gameday("down", environment=state)
    assert (code, "is down" in text) == (0, True), text
    assert gameday("down", environment=state)[1].startswith("no stack")


COUNTER = """
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            with socket.create_connection(("redis", 6379), 2) as redis:
                redis.sendall(b"INCR visits\\r\\n")
                status, body = 200, redis.recv(64).strip()
        except OSError as error:
            status, body = 503, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


print("began with", os.environ["API_TOKEN"], os.environ["GREETING"], flush=True)
ThreadingHTTPServer(("0.0.0.0", 5000), Page).serve_forever()
"""


def walked_through(folder: Path) -> list[list[str]]:
    """The files of the walk-through, written as it says, and its commands.

    Images and the port are those that can be had here; the page is Docker's, without Flask, and
    logs two secrets, of which the system file knows nothing.
    """
    text = (ROOT / "docs" / "own-compose.md").read_text()
    (port,) = lasting_ports(1)
    for name, content in re.findall(r"```yaml (\S+)\n(.*?)```", text, re.DOTALL):
        here = content.replace("redis:7", f"{os.environ['REDIS_IMAGE']}\n    command: {OPEN}")
        here = here.replace("build: .", f"build: .\n    environment: {TOLD}")
        (folder / name).write_text(here.replace(":8000", f":{port}"))
    (folder / "app.py").write_text(COUNTER)
    image = os.environ["PYTHON_IMAGE"]
    dockerfile = f'FROM {image}\nCOPY app.py /app.py\nCMD ["python3", "/app.py"]\n'
    (folder / "Dockerfile").write_text(dockerfile)
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.split()[1:] for line in commands.splitlines()]


TOLD = '{API_TOKEN: quite-a-secret-of-the-file, GREETING: "${PAGE_PASSWORD}"}'
OPEN = '[redis-server, --protected-mode, "no", --save, ""]'


@with_engine
@pytest.mark.slow
def test_the_walk_through_leads_to_a_verdict_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, run = walked_through(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PAGE_PASSWORD", "quite-a-secret-of-the-shell")
    code, text = gameday(*look)
    assert (code, "can begin" in text) == (0, True), text
    code, text = gameday(*run)
    assert code in (0, 3), text  # 3: a machine too busy to keep the schedule
    assert "nothing about issuance was checked" in text
    (result,) = (json.loads(p.read_text()) for p in tmp_path.glob("runs/*/result.json"))
    assert [(f["injected"], f["removed"]) for f in result["faults"]] == [("yes", "yes")], text
    kept = {path: path.read_bytes() for path in tmp_path.glob("runs/**/*") if path.is_file()}
    assert any(b"began with *** ***" in text for text in kept.values()), kept.keys()
    assert [path for path, text in kept.items() if b"quite-a-secret" in text] == []
    (effective,) = tmp_path.glob("runs/*/inputs/effective.json")
    assert json.loads(effective.read_text())["system"]["proxies"] == {"redis": "redis"}
    (record,) = [
        undo
        for line in journaled(tmp_path / "runs")
        if isinstance(line.event, StackStarting)
        for undo in line.event.undo
        if isinstance(undo, ProjectUndo)
    ]
    with engine.of(record) as client:
        mark = {"label": f"{engine.LABEL}={record.token}"}
        left = [client.containers.list(all=True, filters=mark), client.images.list(filters=mark)]
        left += [client.networks.list(filters=mark), client.volumes.list(filters=mark)]
    assert left == [[], [], [], []]
