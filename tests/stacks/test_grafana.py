"""The dashboard: what its generator makes, and every query answered by a real Prometheus."""

import asyncio
import importlib.util
import json
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gameday.core.clock import NS, SystemClock
from gameday.spec.inputs import load_inputs
from gameday.spec.tls import Tls
from gameday.stacks.embedded import EmbeddedStack
from gameday.stacks.stack import Running, StackWorkdir, new_work_dir
from gameday.telemetry.promql import parse
from gameday.telemetry.sources.prometheus_api import Prometheus
from gameday.traffic.history import HistoryWriter, Outcome
from tests.support.prometheus import (
    POSTGRES_EXPORTER,
    REDIS_EXPORTER,
    exporter,
    free_port,
    needs_exporters,
    prometheus,
)
from tests.support.stack_parts import Ground
from tests.telemetry.test_collector_tick import answered, header, measuring

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "system_under_test" / "deploy" / "grafana"
SYSTEM_FILE = ROOT / "system_under_test" / "system.yaml"
CLOCK = SystemClock()
SECONDS = 60
Json = dict[str, Any]
DASHBOARD: Json = json.loads((GRAFANA / "dashboards" / "drop.json").read_text())
RULES = "groups: [{name: g, rules: [{alert: Always, expr: vector(1)}]}]\n"
FAULT = {"id": "network-latency-1", "fault": "network.latency", "target": "redis"}


def queries() -> Iterator[tuple[str, str]]:
    """Title and expression of everything that the dashboard asks for."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]


def test_the_dashboard_is_what_its_generator_makes() -> None:
    path = GRAFANA / "dashboards" / "make.py"
    spec = importlib.util.spec_from_file_location("make_dashboard", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.dashboard() == DASHBOARD, "python make.py in that folder"


def test_panels_stand_apart_and_ask_the_provisioned_source() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    places = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        places.add((grid["x"], grid["y"]))
        assert grid["x"] + grid["w"] <= 24
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}
    assert len(places) == len(DASHBOARD["panels"])
    for _, expr in queries():
        parse(expr)
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/gameday.yml").read_text())[
        "providers"
    ]
    compose = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]["grafana"]
    mounted = [each.rsplit(":", 2)[1] for each in compose["volumes"]]
    assert provider["options"]["path"] in mounted


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[Running]:
    """The real service, with its stores."""
    site = Ground(folder, new_work_dir()).site
    workdir = StackWorkdir(site.path, site.logs_dir, site.clock, site.announce, SYSTEM_FILE.parent)
    stack = EmbeddedStack()
    system = load_inputs("redis-slow", str(SYSTEM_FILE)).system.system
    running = await stack.start(system, workdir)
    try:
        yield running
    finally:
        assert await stack.stop() == []


@contextmanager
def stores(folder: Path, running: Running) -> Iterator[list[Json]]:
    """The jobs of real exporters, of the service's Redis and its PostgreSQL."""
    redis = {"REDIS_ADDR": running.direct["redis"]}
    postgres = {"DATA_SOURCE_NAME": f"{running.direct['postgres']}?sslmode=disable"}
    with (
        exporter(folder / "redis", REDIS_EXPORTER, **redis) as one,
        exporter(folder / "postgres", POSTGRES_EXPORTER, **postgres) as other,
    ):
        yield [
            {"job_name": name, "static_configs": [{"targets": [at]}]}
            for name, at in (("redis", one), ("postgres", other))
        ]


@needs_exporters
@pytest.mark.timeout(180)
async def test_every_query_gets_data_from_a_prometheus_that_scraped_the_real_parts(
    tmp_path: Path,
) -> None:
    port = free_port()
    bridge = {"job_name": "gameday", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    journal = tmp_path / "journal.jsonl"
    told = [{"event": name, **FAULT} for name in ("fault.injecting", "fault.injected")]
    journal.write_text("".join(f"{json.dumps(each)}\n" for each in told))
    async with service(tmp_path / "stack") as running:
        (metrics,) = running.system.metrics
        target = metrics.removeprefix("http://").removesuffix("/metrics")
        receiver = {"host": "127.0.0.1", "port": port, "token": "the-token"}
        with (
            stores(tmp_path, running) as jobs,
            prometheus(tmp_path / "p", [target], rules=RULES, jobs=[bridge, *jobs]) as url,
        ):
            async with measuring(tmp_path, receiver=receiver, journal=journal) as tick:
                await tick.open()
                client = Prometheus(url, {}, 5, Tls())
                writer = HistoryWriter(tmp_path / "history" / "drop-0.bin", header("drop"))
                busy = asyncio.create_task(_busy(running, writer, tick))
                try:
                    for title, expr in queries():
                        await _has_data(client, title, expr, busy)
                finally:
                    busy.cancel()
                    await asyncio.gather(busy, return_exceptions=True)
                    writer.close()
                    await client.close()


async def _busy(running: Running, writer: HistoryWriter, tick: Any) -> None:
    """Coupons are asked for, and the collector sees to it that the traffic's series grow."""
    base = running.system.base_url
    async with httpx.AsyncClient(trust_env=False, base_url=base) as client:
        made = await client.post("/api/v1/coupons", json={"code": "C", "stock": 100_000})
        assert made.status_code in (200, 201), made.text
        for k in range(10_000):
            issue = {"userId": k + 1, "couponCode": "C"}
            answer = await client.post("/api/v1/coupons/issue", json=issue)
            assert answer.status_code == 200, answer.text
            writer.append(answered(k, Outcome.ISSUED, 5))
            if k % 5 == 0:
                await tick()
            await CLOCK.sleep(0.05)


async def _has_data(client: Prometheus, title: str, expr: str, busy: "asyncio.Task[None]") -> None:
    """A value that is a number comes back, once two scrapes have seen what happens."""
    deadline_ns = CLOCK.now_ns() + SECONDS * NS
    while True:
        found = await client.value(expr)
        assert isinstance(found, dict)
        if any(not math.isnan(value) for value in found.values()):
            return
        assert not busy.done(), busy
        assert CLOCK.now_ns() < deadline_ns, f"{title}: {expr} gave {found}"
        await CLOCK.sleep(0.3)
