"""Somebody's own compose project: what is said of it, and Toxiproxy between its services."""

import os
import socket
from pathlib import Path

import pytest
import yaml

from gameday.core.errors import ExitCode, StackError, UsageError
from gameday.injection import engine
from gameday.plan import own_project_checks
from gameday.plan.finding import Finding
from gameday.plan.offline_checks import RunConditions, before
from gameday.spec.inputs import load_inputs, load_system
from gameday.spec.undos import ProjectUndo, ScaleUndo
from gameday.stacks.compose import compose_command
from gameday.stacks.compose_config import (
    ComposeService,
    Definition,
    HostPort,
    Mount,
    read_config,
    unset_variables,
)
from gameday.stacks.compose_project import ProjectStart
from gameday.stacks.own_project import OVERRIDE, OwnProject
from gameday.stacks.ports import lasting_ports
from gameday.stacks.service_map import Dependency, ServiceMap
from gameday.stacks.stack import Addresses
from gameday.stacks.state import Kept, write_kept
from tests.support.containers import (
    with_engine,
)
from tests.support.own_projects import MAP, SHOP, gameday, in_shop, system_file
from tests.support.plan_parts import inputs_of

pytestmark = pytest.mark.compose

# Printed on 2026-11-29 by docker-compose 1.29.2 and docker compose v2, shortened to what is read.
V1 = """
networks: {back: {}, theirs: {external: true, name: theirs}}
services:
  api:
    build: {context: /shop}
    networks: {back: null, theirs: null}
    ports: [127.0.0.1:28080:8080/tcp, 9102/tcp]
    volumes: [/shop/data:/data:rw, /shop/conf:/conf:ro, kept:/kept:rw, /anonymous]
  cache:
    image: redis:7
    expose: ['6379']
    container_name: the-cache
    networks: {back: {aliases: [sessions]}}
    volumes: [cache:/data:rw]
  odd: {image: odd, network_mode: host}
version: '3.8'
volumes: {cache: {}, kept: {external: true, name: kept}, named: {name: theirs-named}}
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
    volumes:
      - {type: bind, source: /shop/data, target: /data, bind: {create_host_path: true}}
      - {type: bind, source: /shop/conf, target: /conf, read_only: true}
      - {type: volume, source: kept, target: /kept, volume: {}}
      - {type: volume, target: /anonymous, volume: {}}
  cache:
    image: redis:7
    expose: ['6379']
    container_name: the-cache
    networks: {back: {aliases: [sessions]}}
    volumes: [{type: volume, source: cache, target: /data, volume: {}}]
  odd: {image: odd, network_mode: host}
networks: {back: {name: shop_back, ipam: {}}, theirs: {name: theirs, external: true}}
volumes:
  cache: {name: shop_cache}
  kept: {name: kept, external: true}
  named: {name: theirs-named}
"""


@pytest.mark.parametrize("text", [V1, V2])
def test_what_compose_prints_is_read_alike_in_both_of_its_versions(text: str) -> None:
    found = read_config(text)

    assert found.services == {
        "api": ComposeService(
            builds=True,
            networks=("back", "theirs"),
            ports=(8080, 9102),
            published=(HostPort(28080, "127.0.0.1"),),
            mounts=(
                Mount("/shop/data", "/data", writable=True, is_bind=True),
                Mount("/shop/conf", "/conf", writable=False, is_bind=True),
                Mount("kept", "/kept", writable=True, is_bind=False),
            ),
        ),
        "cache": ComposeService(
            image="redis:7",
            networks=("back",),
            aliases=("the-cache", "sessions"),
            ports=(6379,),
            container_name="the-cache",
            mounts=(Mount("cache", "/data", writable=True, is_bind=False),),
        ),
        "odd": ComposeService(image="odd", network_mode="host"),
    }
    assert found.networks.keys() == {"default", "back"}
    assert found.volumes == {
        "cache": Definition({}),
        "named": Definition({"name": "theirs-named"}),
    }
    assert found.external_networks == ("theirs",)
    assert found.external_volumes == ("kept",)


def test_a_variable_that_nobody_has_set_is_found_in_both_warnings() -> None:
    told = """The NOPE variable is not set. Defaulting to a blank string.
time="2026-11-29T16:04:08Z" level=warning msg="The \\"NOPE_2\\" variable is not set. Defaulting to
time="2026-11-29T16:04:08Z" level=warning msg="the attribute `version` is obsolete"
The NOPE variable is not set. Defaulting to a blank string.
"""
    assert unset_variables(told) == ["NOPE", "NOPE_2"]


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


@with_engine
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("redis=nosuch,service=api", "no service 'nosuch'"),
        ("redis=cache,service=nosuch", "no service 'nosuch'"),
        ("redis=cache,queue=cache:6379,service=api", "'queue' and 'redis' both have port 6379"),
        ("queue=migrate,service=api", "which port has 'migrate'"),
        ("redis=cache:8474,service=api", "'redis' and 'toxiproxy' both have port 8474"),
        ("db=cache:6379,service=api", "'db' is also a service of"),
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


THEIRS = """
services:
  web:
    build: .
    ports: ["127.0.0.1:{port}:80", "5353:53/udp"]
    environment: {{GREETING: "${{NOBODY_SET_THIS}}"}}
    volumes:
      ["./uploads:/uploads", "./conf:/conf:ro", "orders:/o", "rates:/r:ro", "own:/own", "nfs:/nfs"]
    networks: {{back: {{ipv4_address: 172.30.77.10}}, company: null}}
  cache: {{image: redis, networks: [back]}}
networks:
  back: {{name: shop-back, ipam: {{config: [{{subnet: 172.30.77.0/24}}]}}}}
  company: {{external: true}}
volumes:
  orders: {{external: true}}
  rates: {{external: true}}
  own: {{name: shop-own}}
  nfs: {{driver_opts: {{type: nfs, device: "10.0.0.1:/x"}}}}
"""
PAGE = """
name: page
base_url: http://127.0.0.1:{port}
requests: {{issue: {{get: /, outcomes: {{accepted: {{status: 200}}}}}}}}
"""


class Theirs:
    """A project and its system file in a folder, at a port that is free."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = lasting_ports(1)
        self.folder, self.file = folder, folder / "theirs.yml"
        self.file.write_text(THEIRS.format(port=self.port))
        (folder / "Dockerfile").write_text("FROM scratch\n")
        self.describe(self.port)

    def describe(self, port: int, more: str = "") -> None:
        (self.folder / "page.yaml").write_text(PAGE.format(port=port) + more)

    def project(self, services: str = "cache=cache:6379,service=web", **more: bool) -> OwnProject:
        return OwnProject(self.file, ServiceMap.parse(services), **more)

    def found(self, project: OwnProject | None = None) -> dict[str, list[Finding]]:
        """The findings by their names."""
        loaded = load_system(self.folder / "page.yaml")
        every: dict[str, list[Finding]] = {}
        for each in own_project_checks.checks(project or self.project(), loaded):
            every.setdefault(each.name, []).append(each)
        return every


@pytest.fixture
def theirs(tmp_path: Path) -> Theirs:
    return Theirs(tmp_path)


@with_engine
def test_what_a_copy_shares_with_their_data_is_told_and_not_written_to(theirs: Theirs) -> None:
    found = theirs.found()
    data = found["shared data"]
    by_status = {word: [e for e in data if e.status == word] for word in ("ok", "warn", "fail")}
    (reading,) = by_status["ok"]
    assert "conf at /conf of web" in reading.found and "external volume rates" in reading.found
    (folder,) = by_status["warn"]
    assert f"web writes to the folder {theirs.folder}/uploads, at /uploads" in folder.found
    orders, nfs = by_status["fail"]
    assert "the external volume orders, at /o" in orders.found
    assert "the volume nfs, which is 10.0.0.1:/x" in nfs.found
    assert orders.usage and "--share-volumes" in orders.cure
    assert not [each for each in data if "shop-own" in each.found], "the copy has one of its own"

    allowed = theirs.found(theirs.project(share_volumes=True))
    assert [each.status for each in allowed["shared data"]] == ["ok", "warn", "warn", "warn"]
    (network,) = allowed["shared network"]
    assert (network.status, "company" in network.found) == ("warn", True)


@with_engine
def test_a_variable_that_is_not_set_is_warned_of(theirs: Theirs) -> None:
    project, *variables = theirs.found()["compose file"]
    assert project.status == "ok"
    assert [(e.status, "NOBODY_SET_THIS" in e.found) for e in variables] == [("warn", True)]


@with_engine
def test_a_port_that_somebody_has_is_told_before_the_start(theirs: Theirs) -> None:
    assert "ports" not in theirs.found()
    with socket.create_server(("127.0.0.1", theirs.port)):
        (taken,) = theirs.found()["ports"]
    assert (taken.status, taken.usage) == ("fail", False)
    assert f"port {theirs.port} of this machine is taken, and web is to have it" in taken.found


@with_engine
def test_a_container_of_the_same_name_is_told_before_the_start(theirs: Theirs) -> None:
    name = f"gameday-test-{theirs.port}"
    text = theirs.file.read_text().replace(
        "{image: redis,", f"{{image: redis, container_name: {name},"
    )
    theirs.file.write_text(text)
    assert "container name" not in theirs.found()
    with engine.engine(engine.address()) as client:
        there = client.containers.create(os.environ["REDIS_IMAGE"], "true", name=name)
        try:
            (found,) = theirs.found()["container name"]
        finally:
            there.remove()
    assert (found.status, found.usage) == ("fail", False)
    assert name in found.found and "cache is to have that name" in found.found


@with_engine
def test_an_address_that_nobody_publishes_is_refused_at_its_place(theirs: Theirs) -> None:
    theirs.describe(theirs.port + 1, f"metrics: ['http://127.0.0.1:{theirs.port + 2}/metrics']\n")
    found = theirs.found()
    (wrong,) = found[f"{theirs.folder / 'page.yaml'}:3:1"]
    assert (wrong.status, wrong.usage) == ("fail", True)
    assert f"publishes no port {theirs.port + 1} on this machine" in wrong.found
    assert f"{theirs.port} (web)" in wrong.found
    (odd,) = found[f"{theirs.folder / 'page.yaml'}:5:1"]
    assert (odd.status, "'metrics'" in odd.found) == ("warn", True)


@with_engine
@pytest.mark.parametrize(
    ("services", "why"),
    [
        ("cache=cahce:6379,service=web", "there is no service 'cahce'"),
        ("cache=cache:6379,service=wbe", "there is no service 'wbe'"),
    ],
)
def test_a_service_that_they_do_not_have_is_refused_with_a_port_too(
    theirs: Theirs, services: str, why: str
) -> None:
    (found,) = theirs.found(theirs.project(services))["compose file"]
    assert (found.status, found.usage, why in found.found) == ("fail", True, True)
    assert "cache, web" in found.cure


DRILL = """
name: drill
traffic: {all: {executor: constant-arrival-rate, rate: 20/s, duration: 25s}}
method:
  - {fault: network.latency, target: TARGET, latency: 300ms, at: 8s, duration: 8s}
  - {fault: service.kill, target: PART, at: 8s, duration: 8s}
"""


@with_engine
@pytest.mark.parametrize(
    ("target", "part", "more", "why"),
    [
        ("redis", "service", "", "drill.yaml:5:30: 'target': 'redis' is not a service"),
        ("cache", "redis", "", "drill.yaml:6:27: 'target': the copy has no containers of 'redis'"),
        ("cache", "service", "proxies: {redis: x}\n", "5:1: 'proxies': there is no 'cache'"),
    ],
)
def test_a_name_that_stands_nowhere_is_refused_before_the_start(
    theirs: Theirs, target: str, part: str, more: str, why: str
) -> None:
    theirs.describe(theirs.port, more)
    experiment = theirs.folder / "drill.yaml"
    experiment.write_text(DRILL.replace("TARGET", target).replace("PART", part))
    system = str(theirs.folder / "page.yaml")
    services = ["--service-map", "cache=cache:6379,service=web", "--share-volumes"]
    options = ["--stack", "compose", "--system", system, "--compose-file", str(theirs.file)]
    where = [*options, *services, "--runs", str(theirs.folder / "runs")]
    for command in ("run", "plan"):
        code, text = gameday(command, str(experiment), *where, environment={"COLUMNS": "300"})
        assert (code, why in text) == (2, True), text
    assert not (theirs.folder / "runs").exists()


@with_engine
def test_whatever_the_map_names_can_be_struck(theirs: Theirs) -> None:
    theirs.describe(theirs.port, "")
    experiment = theirs.folder / "drill.yaml"
    experiment.write_text(DRILL.replace("TARGET", "cache").replace("PART", "cache"))
    system = str(theirs.folder / "page.yaml")
    services = ["--service-map", "cache=cache:6379,service=web", "--share-volumes"]
    options = ["--stack", "compose", "--system", system, "--compose-file", str(theirs.file)]
    code, text = gameday("plan", str(experiment), *options, *services)
    assert "'target'" not in text, text
    assert code == 0, text


@with_engine
def test_two_ports_of_one_service_are_behind_one_link(theirs: Theirs) -> None:
    project = theirs.project("cache=cache:6379,again=cache:6380,service=web")
    project.look(compose_command(), load_system(theirs.folder / "page.yaml").system, theirs.folder)
    links = yaml.safe_load(project.preview())["services"]["web"]["links"]
    assert "gameday-toxiproxy:cache" in links
    assert len(links) == len(set(links))


@with_engine
def test_a_copy_has_networks_volumes_and_images_of_its_own(theirs: Theirs) -> None:
    project = theirs.project()
    project.look(compose_command(), load_system(theirs.folder / "page.yaml").system, theirs.folder)
    override = yaml.safe_load(project.preview())

    back = override["networks"]["back"]
    assert back["name"] != "shop-back" and back["name"].startswith("gameday-")
    assert back["ipam"]["config"] == [{"subnet": "172.30.77.0/24"}]
    assert "company" not in override["networks"]
    volumes = override["volumes"]
    assert volumes["own"]["name"].startswith("gameday-") and volumes["own"]["labels"]
    assert volumes.keys() == {"own", "nfs"}
    web = override["services"]["web"]
    assert web["image"].startswith("gameday-own-") and web["build"]["labels"]
    assert "image" not in override["services"]["cache"]


def read_once(folder: Path, printed: str, services: str) -> OwnProject:
    """A project whose file was looked at twice, with a compose program that prints this."""
    config, calls = folder / "config", folder / "calls"
    config.write_text(printed)
    compose = folder / "compose"
    compose.write_text(f"#!/bin/sh\necho x >> {calls}\nexec cat {config}\n")
    compose.chmod(0o755)
    (folder / "page.yaml").write_text(PAGE.format(port=28080))
    project = OwnProject(folder / "c.yml", ServiceMap.parse(services))
    for _ in range(2):
        project.look([str(compose)], load_system(folder / "page.yaml").system, folder)
    assert calls.read_text().splitlines() == ["x"]
    return project


def test_their_file_is_read_once(tmp_path: Path) -> None:
    read_once(tmp_path, V2, "redis=cache,service=api")


ODD = """
name: odd
services:
  web: {build: {context: /odd}, image: shop, volumes: [{type: volume, source: nas, target: /n}]}
  worker:
    image: shop
    volumes:
      - {type: volume, source: scratch, target: /s}
      - {type: volume, source: plain, target: /p}
      - {type: volume, source: far, target: /f}
  alone: {build: {context: /odd}, image: alone}
  mq: {image: rabbitmq}
networks: {default: {name: odd_default, driver_opts: {key: hunter2-of-the-net}}}
volumes:
  nas:
    name: odd_nas
    driver_opts: {type: cifs, device: //nas/x, o: "username=a,password=hunter2-of-the-nas"}
  scratch: {name: odd_scratch, driver_opts: {type: tmpfs, device: tmpfs}}
  plain: {name: odd_plain, driver: local}
  far: {name: odd_far, driver: rexray}
"""
TWO_NAMES = "rabbit=mq:5672,rabbitadmin=mq:15672,service=web"


def test_what_a_driver_is_told_is_not_shown_and_only_ours_to_read(tmp_path: Path) -> None:
    project = read_once(tmp_path, ODD, TWO_NAMES)
    shown = project.preview()
    assert "hunter2" not in shown and "//nas/x" not in shown
    masked = yaml.safe_load(shown)["volumes"]["nas"]["driver_opts"]
    assert masked == {"type": "***", "device": "***", "o": "***"}

    start = ProjectStart(
        folder=tmp_path,
        system_dir=tmp_path,
        token="token",
        ports=dict.fromkeys(project.ports(), 20_000),
        secret="",
        password="",
        bridge_token="",
    )
    project.options(start)
    file = tmp_path / OVERRIDE
    whole = yaml.safe_load(file.read_text())
    assert whole["volumes"]["nas"]["driver_opts"]["o"] == "username=a,password=hunter2-of-the-nas"
    assert whole["networks"]["default"]["driver_opts"] == {"key": "hunter2-of-the-net"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "proxies.json").stat().st_mode & 0o777 == 0o644


def test_a_volume_that_is_elsewhere_is_shared_and_one_in_memory_is_not(tmp_path: Path) -> None:
    shares = {share.what for share in read_once(tmp_path, ODD, TWO_NAMES).shares()}
    assert shares == {
        "the volume nas, which is //nas/x",
        "the volume far, which is kept by the driver rexray",
    }


def test_a_service_with_two_names_is_struck_by_the_first(tmp_path: Path) -> None:
    project = read_once(tmp_path, ODD, TWO_NAMES)
    assert set(project.parts()) == {"service", "rabbit", "toxiproxy", "worker", "alone"}
    assert yaml.safe_load(project.preview())["services"]["mq"]["labels"][engine.NAME] == "rabbit"


@with_engine
def test_a_tag_that_building_moves_is_warned_of(tmp_path: Path) -> None:
    project = read_once(tmp_path, ODD, TWO_NAMES)
    assert "image" not in yaml.safe_load(project.preview())["services"]["web"]
    loaded = load_system(tmp_path / "page.yaml")
    (found,) = (e for e in own_project_checks.checks(project, loaded) if e.name == "image")
    assert (found.status, "building moves your tag shop: web" in found.found) == ("warn", True)


BUILT = """
services:
  web: {build: {context: /b, tags: ["shop/web:1.2"]}, image: shop-web}
  cache: {image: redis}
"""


@with_engine
def test_a_further_tag_of_a_build_is_warned_of(tmp_path: Path) -> None:
    project = read_once(tmp_path, BUILT, "redis=cache,service=web")
    loaded = load_system(tmp_path / "page.yaml")
    (found,) = (e for e in own_project_checks.checks(project, loaded) if e.name == "image")
    assert (found.status, "your tag shop/web:1.2" in found.found) == ("warn", True)
    assert "`build.tags` of web" in found.found


@pytest.mark.parametrize(
    ("ports", "services", "has", "cure"),
    [
        ("", "redis=it", 6379, ""),
        ("16379:6379", "redis=it", 6379, ""),
        ("8080:80", "page=it", 80, ""),
        ("15672:15672", "rabbitmq=it", None, "write rabbitmq=it:5672 or rabbitmq=it:15672"),
        ("3307:3307", "mysql=it", None, "write mysql=it:3306 or mysql=it:3307"),
        ("3307:3307", "mysql=it:3307", 3307, ""),
        ("", "page=it", None, "write page=it:PORT"),
    ],
)
def test_a_port_is_asked_for_where_it_may_be_another_than_the_usual_one(
    tmp_path: Path, ports: str, services: str, has: int | None, cure: str
) -> None:
    printed = f"services: {{web: {{image: w}}, it: {{image: i, ports: [{ports!r}]}}}}"
    if has is None:
        with pytest.raises(UsageError, match="which port has 'it'") as caught:
            read_once(tmp_path, printed, f"{services},service=web")
        assert caught.value.help == cure
    else:
        assert f"(it:{has})" in str(read_once(tmp_path, printed, f"{services},service=web"))


LINKED = """
services:
  web: {image: w, links: ["db:database", db, "mail:post"], external_links: [EXTERNAL]}
  db: {image: postgres}
  mail: {image: m}
"""


def test_a_caller_reaches_toxiproxy_by_its_links_too(tmp_path: Path) -> None:
    printed = LINKED.replace("EXTERNAL", "theirs:elsewhere")
    project = read_once(tmp_path, printed, "postgres=db,service=web")
    links = yaml.safe_load(project.preview())["services"]["web"]["links"]
    assert links == ["gameday-toxiproxy:db", "gameday-toxiproxy:database"]


@pytest.mark.parametrize("link", ["db", "theirs:db", "db:elsewhere"])
def test_a_way_of_a_caller_past_toxiproxy_is_refused(tmp_path: Path, link: str) -> None:
    with pytest.raises(UsageError, match=r"service 'web' has external_links .* past Toxiproxy"):
        read_once(tmp_path, LINKED.replace("EXTERNAL", link), "postgres=db,service=web")


PROFILED = """
services:
  web: {image: w, profiles: [app, all]}
  cache: {image: redis}
  admin: {image: a, profiles: [tools], container_name: admin, ports: ["127.0.0.1:28081:80"]}
"""


@pytest.mark.parametrize(
    ("shell", "beside", "parts"),
    [
        ("app", None, {"service", "redis"}),
        (None, "# of the team\nexport COMPOSE_PROFILES='all'\n", {"service", "redis"}),
        ("app", "COMPOSE_PROFILES=tools", {"service", "redis"}),
        ("app,tools", None, {"service", "redis", "admin"}),
        ("*", None, {"service", "redis", "admin"}),
    ],
)
def test_what_is_in_no_profile_that_is_on_is_not_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shell: str | None,
    beside: str | None,
    parts: set[str],
) -> None:
    monkeypatch.delenv("COMPOSE_PROFILES", raising=False)
    if shell is not None:
        monkeypatch.setenv("COMPOSE_PROFILES", shell)
    if beside is not None:
        (tmp_path / ".env").write_text(beside)
    project = read_once(tmp_path, PROFILED, "redis=cache,service=web")
    assert set(project.parts()) == {*parts, "toxiproxy"}
    assert bool(project.published()) is bool(project.container_names()) is ("admin" in parts)


@pytest.mark.parametrize("printed", [PROFILED, "services: {cache: {image: redis}}"])
def test_a_service_that_would_not_start_is_told_with_its_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str
) -> None:
    """Docker-compose prints it all the same, docker compose v2 does not."""
    monkeypatch.delenv("COMPOSE_PROFILES", raising=False)
    (tmp_path / "c.yml").write_text(PROFILED)
    with pytest.raises(UsageError, match="'web', .* has the profile 'app'") as caught:
        read_once(tmp_path, printed, "redis=cache,service=web")
    assert caught.value.help == "export COMPOSE_PROFILES=app"


TELLING = """
services:
  web:
    image: w
    command: [serve, --key, shell-secret-of-web]
    environment:
      DATABASE_URL: postgres://shop:hunter2-of-the-db@db/shop
      API_TOKEN: dollar$$-and-token
      ALLOW_EMPTY_PASSWORD: 'true'
      TOKEN_TTL: '3600'
      DB_PASSWORD_FILE: /run/secrets/db
      GREETING: hello-to-everybody
    build: {context: /b, args: [NPM_TOKEN=token-of-the-build, HERE=there]}
  cache:
    image: redis
    environment: [REDIS_PASSWORD=redis, CACHE_SECRET=secret-of-the-cache, MY_TOKEN]
volumes: {nas: {driver_opts: {o: "username=a,password=hunter2-of-the-nas"}}}
secrets: {db: {file: FOLDER/db.txt}, api: {environment: OF_API}}
"""


def test_what_is_secret_in_their_file_is_known_wherever_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "db.txt").write_text("hunter2-of-the-file\n")
    variables = {
        "WEB_SECRET": "shell-secret-of-web",
        "OTHER_SECRET": "of-another-project",
        "MY_TOKEN": "token-handed-on",
        "OF_API": "text-of-the-api",
    }
    found = read_config(TELLING.replace("FOLDER", str(tmp_path)), variables).secrets
    assert found == {
        "shell-secret-of-web",
        "postgres://shop:hunter2-of-the-db@db/shop",
        "dollar$-and-token",
        "token-of-the-build",
        "secret-of-the-cache",
        "token-handed-on",
        "hunter2-of-the-nas",
        "hunter2-of-the-file",
        "text-of-the-api",
    }


def kept_stack(**more: object) -> Kept:
    project = ProjectUndo(engine="unix:///nowhere", engine_id="e", name="gameday-x", token="t")
    return Kept(
        started_at="",
        stack="compose",
        name="page",
        system_file="page.yaml",
        undo=(project,),
        binaries={"service": "web", "mysql": "mysql", "toxiproxy": "toxiproxy"},
        addresses=Addresses(None, None, "", {"mysql": "mysql"}),
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("part", "is_copy", "why"),
    [
        ("mysql", True, ""),
        ("postgres", True, "the copy has no containers of 'postgres'"),
        ("mysql", False, "the compose stack has no 'mysql'"),
        ("postgres", False, ""),
    ],
)
def test_of_a_kept_copy_is_struck_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, is_copy: bool, why: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    kept = kept_stack()
    (project,) = kept.undos(ProjectUndo)
    scale = ScaleUndo(name="service", project=project, replicas=1, part=tmp_path)
    write_kept(kept if is_copy else kept.model_copy(update={"replicas": scale}))
    inputs = inputs_of(
        tmp_path,
        {"proxies": {"mysql": "mysql"}, "autoscaler": {"expr": "up", "target": 1, "most": 2}},
        method=[{"fault": "service.kill", "target": part, "at": "1s", "duration": "1s"}],
        autoscaling=True,
    )
    findings = before(inputs, RunConditions("compose", tmp_path, reuse=True))
    struck = [each.found for each in findings if "'target'" in each.found]
    assert [why in each for each in struck] == ([True] if why else []), findings
    scales = [each.cure for each in findings if "'autoscaling'" in each.found]
    assert ["leave it out" in each for each in scales] == ([True] if is_copy else [])
