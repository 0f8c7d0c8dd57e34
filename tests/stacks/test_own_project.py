"""Somebody's own compose project: what is said of it, and Toxiproxy between its services."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from gameday.core.errors import ExitCode, StackError, UsageError
from gameday.injection import engine
from gameday.plan.offline_checks import RunConditions, before
from gameday.spec.changes import PartitionChange, ServiceChange
from gameday.spec.inputs import load_inputs, load_system
from gameday.spec.undos import ToxicState
from gameday.stacks.compose import compose_command
from gameday.stacks.compose_config import ComposeService, read_config
from gameday.stacks.own_project import Dependency, OwnProject, ServiceMap
from gameday.stacks.ports import lasting_ports
from tests.support.containers import (
    ROOT,
    SYSTEM_FILE,
    Up,
    drivers,
    ground_of,
    stack_up,
    with_engine,
)

pytestmark = pytest.mark.compose
SHOP = Path(__file__).parent / "shop" / "compose.yml"
MAP = "redis=cache,postgres=db,service=api"

# Printed on 2026-11-29 by docker-compose 1.29.2 and docker compose v2, shortened to what is read.
V1 = """
networks: {back: {}, theirs: {external: true, name: theirs}}
services:
  api:
    build: {context: /shop}
    networks: {back: null, theirs: null}
    ports: [127.0.0.1:28080:8080/tcp, 9102/tcp]
  cache:
    image: redis:7
    expose: ['6379']
    container_name: the-cache
    networks: {back: {aliases: [sessions]}}
  odd: {image: odd, network_mode: host}
version: '3.8'
volumes: {cache: {}, kept: {external: true, name: kept}}
"""
V2 = """
name: shop
services:
  api:
    build: {context: /shop, dockerfile: Dockerfile}
    networks: {back: null, theirs: null}
    ports:
      - {mode: ingress, host_ip: 127.0.0.1, target: 8080, published: '28080', protocol: tcp}
      - {mode: ingress, target: 9102, protocol: tcp}
  cache:
    image: redis:7
    expose: ['6379']
    container_name: the-cache
    networks: {back: {aliases: [sessions]}}
  odd: {image: odd, network_mode: host}
networks: {back: {name: shop_back, ipam: {}}, theirs: {name: theirs, external: true}}
volumes: {cache: {name: shop_cache}, kept: {name: kept, external: true}}
"""


@pytest.mark.parametrize("text", [V1, V2])
def test_what_compose_prints_is_read_alike_in_both_of_its_versions(text: str) -> None:
    found = read_config(text)

    assert found.services == {
        "api": ComposeService(builds=True, networks=("back", "theirs"), ports=(8080, 9102)),
        "cache": ComposeService(
            image="redis:7",
            networks=("back",),
            aliases=("the-cache", "sessions"),
            ports=(6379,),
        ),
        "odd": ComposeService(image="odd", network_mode="host"),
    }
    assert found.networks == ("default", "back")
    assert found.volumes == ("cache",)


@pytest.mark.parametrize("text", ["", "[]", "a: b", "services: []", "services: {}", "a: [", "\0"])
def test_what_is_no_project_is_refused(text: str) -> None:
    with pytest.raises(StackError, match="compose config"):
        read_config(text)


def test_a_map_names_callers_and_what_they_call() -> None:
    found = ServiceMap.parse("redis=cache, postgres = db:5433 ,service=api,service=worker")

    assert found.callers == ("api", "worker")
    assert found.dependencies == {"redis": Dependency("cache"), "postgres": Dependency("db", 5433)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is not NAME=SERVICE"),
        ("redis", "'redis' is not NAME=SERVICE"),
        ("redis=,service=api", "'redis=' is not NAME=SERVICE"),
        ("=cache,service=api", "'=cache' is not NAME=SERVICE"),
        ("redis=cache:,service=api", "'redis=cache:' is not NAME=SERVICE"),
        ("redis=cache:0,service=api", "'redis=cache:0' is not NAME=SERVICE"),
        ("redis=cache:65536,service=api", "'redis=cache:65536' is not NAME=SERVICE"),
        ("redis=cache:٣,service=api", "'redis=cache:٣' is not NAME=SERVICE"),
        ("redis=cache,service=api:80", "'service=api:80' is not NAME=SERVICE"),
        ("redis=cache,service=api,", "'' is not NAME=SERVICE"),
        ("redis=a,redis=b,service=api", "'redis' is there already"),
        ("toxiproxy=a,service=api", "'toxiproxy' is there already"),
        ("redis=cache", "names no service"),
        ("service=api", "names no redis"),
        ("redis=api,service=api", "'api' is its own dependency"),
    ],
)
def test_a_map_that_says_nothing_clear_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        ServiceMap.parse(text)
    assert caught.value.exit_code is ExitCode.USAGE
    assert why in caught.value.message and "--service-map" in caught.value.message
    assert caught.value.help


def gameday(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gameday", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--compose-file", str(SHOP)], "--compose-file with --stack embedded"),
        (["--service-map", MAP], "--service-map with --stack embedded"),
        (["--stack", "compose", "--compose-file", str(SHOP)], "come together"),
        (["--stack", "compose", "--service-map", MAP], "come together"),
        (
            ["--stack", "compose", "--reuse", "--compose-file", str(SHOP), "--service-map", MAP],
            "--stack compose and --reuse",
        ),
        (
            ["--stack", "compose", "--compose-file", "no.yml", "--service-map", MAP],
            "no file 'no.yml'",
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_options_that_do_not_fit_are_refused(command: str, options: list[str], why: str) -> None:
    code, text = gameday(command, "redis-slow", *options)
    assert (code, why in text, "help:" in text) == (2, True, True), text


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    return in_shop(monkeypatch)


def in_shop(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Set what the shop's file and its system file ask for; the shop's ports."""
    names = ("SHOP_PORT", "SHOP_ADMIN_PORT", "SHOP_CACHE_PORT", "SHOP_DB_PORT")
    ports = dict(zip(names, lasting_ports(len(names)), strict=True))
    for name, port in ports.items():
        monkeypatch.setenv(name, str(port))
    monkeypatch.setenv("ADMIN_TOKEN", "not-a-secret-token")
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2-of-the-shop")
    url = f"postgresql://shop:hunter2-of-the-shop@127.0.0.1:{ports['SHOP_DB_PORT']}/shop"
    monkeypatch.setenv("AUDIT_POSTGRES", url)
    monkeypatch.setenv("AUDIT_REDIS", f"redis://127.0.0.1:{ports['SHOP_CACHE_PORT']}/0")
    return ports


def system_file(folder: Path, ports: dict[str, int]) -> Path:
    """A system file as the shop's people write it: their addresses, no `start`, no Toxiproxy."""
    written = yaml.safe_load(SYSTEM_FILE.read_text())
    del written["start"], written["toxiproxy"]
    written["base_url"] = f"http://127.0.0.1:{ports['SHOP_PORT']}"
    written["admin_url"] = f"http://127.0.0.1:{ports['SHOP_ADMIN_PORT']}"
    written["metrics"] = [f"{written['admin_url']}/metrics"]
    written["rules"] = [str(ROOT / "system_under_test" / "prometheus" / "alerts.yml")]
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    return path


@with_engine
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("redis=nosuch,service=api", "no service 'nosuch'"),
        ("redis=cache,service=nosuch", "no service 'nosuch'"),
        ("redis=cache,queue=cache:6379,service=api", "'queue' and 'redis' both have port 6379"),
        ("queue=migrate,service=api", "which port has 'migrate'"),
        ("redis=cache:8474,service=api", "'redis' and 'toxiproxy' both have port 8474"),
    ],
)
def test_a_map_that_does_not_fit_the_file_is_refused(
    tmp_path: Path, shop: dict[str, int], given: str, why: str
) -> None:
    inputs = load_inputs("redis-slow", str(system_file(tmp_path, shop)), short=True)
    project = OwnProject(SHOP, ServiceMap.parse(given))
    findings = before(inputs, RunConditions("compose", tmp_path, project=project))

    (found,) = (each for each in findings if each.name == "compose file")
    assert (found.status, found.usage) == ("fail", True)
    assert why in found.found and found.cure


@with_engine
def test_a_file_that_compose_refuses_is_bad_usage(tmp_path: Path, shop: dict[str, int]) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("services: {api: {image: x, nonsense: 1}}\n")
    system = load_system(system_file(tmp_path, shop)).system

    with pytest.raises(UsageError, match="compose refuses it") as caught:
        OwnProject(bad, ServiceMap.parse(MAP)).look(compose_command(), system, tmp_path)
    assert str(bad) in caught.value.message and "nonsense" in caught.value.message


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

    known = up.running.published["redis"]
    server = up.context.toxiproxy()
    toxic = ToxicState(name="slow", type="latency", attributes={"latency": 400})
    await server.add_toxic("redis", toxic)
    slow, past = await latency_ms(known.proxy), await latency_ms(known.direct)
    await server.remove_toxic("redis", "slow")
    assert slow >= 400 > past


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
async def test_a_dependency_is_cut_off_by_its_name_in_their_file(up: Up) -> None:
    change = PartitionChange("redis", "toxiproxy")
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
