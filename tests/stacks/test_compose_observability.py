"""The profile `observability` on a real engine: Prometheus, Alertmanager, the bridge between."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gameday.cli.stack import print_addresses
from gameday.core.clock import NS, SystemClock
from gameday.core.errors import UsageError
from gameday.injection import engine
from gameday.spec.inputs import find_experiment
from gameday.spec.server import server
from gameday.spec.tls import Tls
from gameday.stacks.compose import ComposeStack
from gameday.stacks.compose_project import ProjectStart, ShippedProject
from gameday.telemetry import samples
from gameday.telemetry.promql import labels, value_of
from gameday.telemetry.sources.notifications import Alertmanager, RemoteBridge
from gameday.telemetry.sources.prometheus_api import Prometheus
from gameday.telemetry.sources.routing import exposition
from tests.support.containers import SYSTEM, SYSTEM_FILE, Up, ground_of, stack_up, with_engine

pytestmark = [
    pytest.mark.compose,
    pytest.mark.skipif(
        "REDIS_IMAGE" in os.environ and "POSTGRES_EXPORTER_IMAGE" not in os.environ,
        reason="no images of what observes: tests/support/images/build makes them",
    ),
]
CLOCK = SystemClock()
SECONDS = 60
Json = dict[str, Any]


async def until(look: Callable[[], Awaitable[Any]], fine: Callable[[Any], bool]) -> Any:
    deadline_ns = CLOCK.now_ns() + SECONDS * NS
    while not fine(found := await look()):
        assert CLOCK.now_ns() < deadline_ns, found
        await CLOCK.sleep(0.3)
    return found


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all: they share a stack."""
    return "asyncio"


class Channel(ThreadingHTTPServer):
    """A channel's webhook, where containers reach it: on this side of the engine's own network."""

    def __init__(self, host: str) -> None:
        super().__init__((host, 0), _Message)
        self.url = f"http://{host}:{self.server_port}/services/T0/B0/secret-of-the-channel"
        self.told: list[tuple[str, Json]] = []

    async def messages(self, alert: str) -> list[Json]:
        """Those about an alert, which has a message of its own, in their order."""
        sent = [message for path, message in self.told if self.url.endswith(path)]
        return [each for each in sent if each["attachments"][0]["title"].endswith(f": {alert}")]


class _Message(BaseHTTPRequestHandler):
    server: Channel

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.path, json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *words: object) -> None:
        pass


def _gateway() -> str:
    """The address of this machine in the engine's own network."""
    import docker

    client = docker.DockerClient(base_url=engine.address())
    try:
        [settings, *_] = client.networks.get("bridge").attrs["IPAM"]["Config"]
        # An engine that chose the network itself may not say its own address in it: the first.
        return settings.get("Gateway") or str(next(ip_network(settings["Subnet"]).hosts()))
    finally:
        client.close()


@pytest.fixture(scope="module")
def channel() -> Iterator[Channel]:
    server = Channel(_gateway())
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory, channel: Channel) -> AsyncIterator[Up]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPOSE_PROFILES", "observability")
        patch.setenv("SLACK_WEBHOOK_URL", channel.url)
        async with stack_up(tmp_path_factory.mktemp("stack")) as up:
            yield up


async def _post(up: Up, alert: Json) -> None:
    """Tell Alertmanager of an alert, as Prometheus does."""
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{up.running.addresses.alertmanager}/api/v2/alerts"
        assert (await client.post(url, json=[alert])).status_code == 200


@with_engine
@pytest.mark.timeout(240)
async def test_series_go_to_prometheus_and_notifications_come_back_over_the_bridge(up: Up) -> None:
    async with AsyncExitStack() as clients:
        where, token = up.running.addresses, up.running.environment["BRIDGE_TOKEN"]
        named = [server(getattr(up.running.system, k)) for k in ("prometheus", "alertmanager")]
        assert [each and each.url for each in named] == [where.prometheus, where.alertmanager]
        assert where.bridge and where.prometheus and where.alertmanager
        prometheus = Prometheus(where.prometheus, {}, 5, Tls())
        bridge = RemoteBridge(where.bridge, token, 5, Tls(), CLOCK)
        alertmanager = Alertmanager(where.alertmanager, {}, 5, Tls())
        for each in (prometheus, bridge, alertmanager):
            clients.push_async_callback(each.close)

        async def put_and_look() -> Any:
            await bridge.put_series(exposition({labels("k6_vus", scenario="drop"): 3.0}))
            return await prometheus.value("k6_vus")

        found = await until(put_and_look, bool)
        ((series, value),) = found.items()
        assert (value_of(series, "job"), value_of(series, "scenario"), value) == (
            "gameday",
            "drop",
            3.0,
        )
        ups = await until(lambda: prometheus.value('up{job="issuance"} == 1'), bool)
        assert [value_of(each, "instance").endswith(":9102") for each in ups] == [True]

        assert await bridge.take() == []
        await _post(up, {"labels": {"alertname": "Tried", "severity": "page"}})
        ((told,)) = await until(bridge.take, bool)
        assert (told.name, told.state) == ("Tried", "firing")
        assert await alertmanager.suppressed() == []


@with_engine
@pytest.mark.timeout(240)
async def test_a_channel_is_told_of_an_alert_and_of_its_end(up: Up, channel: Channel) -> None:
    alert: Json = {
        "labels": {"alertname": "Told", "severity": "page"},
        "annotations": {"summary": "coupons are issued slowly"},
    }
    await _post(up, alert)
    (message,) = await until(partial(channel.messages, "Told"), bool)
    (told,) = message["attachments"]
    assert told["title"] == "[game day] firing: Told"
    assert told["text"] == "coupons are issued slowly "
    assert told["color"] == "danger"

    await _post(up, alert | {"endsAt": "2020-01-01T00:00:00Z"})
    _, message = await until(partial(channel.messages, "Told"), lambda found: len(found) == 2)
    (told,) = message["attachments"]
    assert (told["title"], told["color"]) == ("[game day] resolved: Told", "good")


@with_engine
@pytest.mark.timeout(240)
async def test_the_stores_tell_of_themselves_past_the_proxies(up: Up) -> None:
    assert up.running.addresses.prometheus is not None
    prometheus = Prometheus(up.running.addresses.prometheus, {}, 5, Tls())
    try:
        for name in ("redis_up", "pg_up"):
            await until(partial(prometheus.value, f"{name} == 1"), bool)
    finally:
        await prometheus.close()


def test_up_prints_where_all_of_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", "grafana")
    monkeypatch.setenv("GRAFANA_PORT", "3001")
    project = ShippedProject()
    project.look((), SYSTEM, SYSTEM_FILE.parent)
    start = ProjectStart(
        folder=tmp_path,
        system_dir=SYSTEM_FILE.parent,
        token="",
        ports={name: 20_000 + n for n, name in enumerate(project.ports())},
        secret="s",
        password="p",
        bridge_token="b",
    )
    assert project.environment(start)["GRAFANA_PORT"] == "3001"
    running = project.running(SYSTEM, start)
    running = replace(running, binaries=dict.fromkeys(running.direct, "an image"))
    print_addresses(running, 1.0, "my file.yaml")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("--reuse --system 'my file.yaml'; in the end: gameday down")
    rows = dict(line.split()[:2] for line in lines[1:-1])
    assert rows["grafana"] == "http://127.0.0.1:3001"
    for name in ("prometheus", "alertmanager"):
        port = start.ports[f"{name.upper()}_PORT"]
        assert rows[name] == f"http://127.0.0.1:{port}"


async def test_a_profile_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", "core, observabilty")
    with pytest.raises(UsageError, match="'observabilty' is no profile") as caught:
        await ComposeStack().start(SYSTEM, ground_of(tmp_path).site)
    assert caught.value.help == "did you mean 'observability'?"


@with_engine
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_run_is_measured_by_prometheus_and_its_alert_reaches_a_receiver(tmp_path: Path) -> None:
    experiment = yaml.safe_load(find_experiment("redis-slow").read_text())
    for key in ("short", "playbook"):
        del experiment[key]
    experiment["campaign"] = {"coupon": "C", "stock": 2_000, "users": 100_000}
    experiment["traffic"]["drop"] |= {"rate": "50/s", "duration": "50s"}
    experiment["method"][0] |= {"at": "15s", "duration": "12s"}  # it is warm by then
    slow = {"alert": "IssuanceSlow", "fires_within": "12s", "resolves_within": "15s"}
    experiment["expect"] = {"alerts": [slow], "other_alerts": "allowed"}
    (tmp_path / "redis-slow.yaml").write_text(yaml.safe_dump(experiment))
    words = ["run", str(tmp_path / "redis-slow.yaml"), "--system", str(SYSTEM_FILE)]
    words += ["--stack", "compose", "--runs", str(tmp_path / "runs"), "--no-responder"]
    done = subprocess.run(
        [sys.executable, "-m", "gameday", *words],
        env={**os.environ, "COMPOSE_PROFILES": "observability"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    (run,) = (tmp_path / "runs").iterdir()
    result = json.loads((run / "result.json").read_text())
    checks = {each["name"]: each["verdict"] for each in result["checks"]}
    assert checks["alerts"] == checks["routing"] == "valid", done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    lines = list(samples.read(run / "samples.jsonl"))
    assert all(e.sampled is not None for e in lines if isinstance(e, samples.Evaluation))
    scraped = [dict(s) for e in lines if isinstance(e, samples.Scrape) for s, _ in e.values]
    assert {each.get("job") for each in scraped} == {None, "issuance"}  # None: the traffic's own
