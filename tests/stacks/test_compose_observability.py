"""The profile `observability` on a real engine: Prometheus, Alertmanager, the bridge between."""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import UsageError
from gameday.spec.inputs import find_experiment
from gameday.spec.server import server
from gameday.spec.tls import Tls
from gameday.stacks.compose import ComposeStack
from gameday.telemetry import samples
from gameday.telemetry.promql import labels, value_of
from gameday.telemetry.sources.notifications import Alertmanager, RemoteBridge
from gameday.telemetry.sources.prometheus_api import Prometheus
from gameday.telemetry.sources.routing import exposition
from tests.support.containers import SYSTEM, SYSTEM_FILE, ground_of, stack_up, with_engine

pytestmark = [
    pytest.mark.compose,
    pytest.mark.skipif(
        "REDIS_IMAGE" in os.environ and "ALERTMANAGER_IMAGE" not in os.environ,
        reason="no image of Alertmanager: tests/support/images/build makes one",
    ),
]
CLOCK = SystemClock()
SECONDS = 60


async def until(look: Callable[[], Awaitable[Any]], fine: Callable[[Any], bool]) -> Any:
    deadline_ns = CLOCK.now_ns() + SECONDS * NS
    while not fine(found := await look()):
        assert CLOCK.now_ns() < deadline_ns, found
        await CLOCK.sleep(0.3)
    return found


@with_engine
@pytest.mark.timeout(240)
async def test_series_go_to_prometheus_and_notifications_come_back_over_the_bridge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", "observability")
    async with stack_up(tmp_path) as up, AsyncExitStack() as clients:
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
        async with httpx.AsyncClient(trust_env=False) as client:
            alert = {"labels": {"alertname": "Tried", "severity": "page"}}
            posted = await client.post(f"{where.alertmanager}/api/v2/alerts", json=[alert])
        assert posted.status_code == 200
        ((told,)) = await until(bridge.take, bool)
        assert (told.name, told.state) == ("Tried", "firing")
        assert await alertmanager.suppressed() == []


async def test_a_profile_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", "core, observabilty")
    with pytest.raises(UsageError, match="'observabilty' is no profile") as caught:
        await ComposeStack().start(SYSTEM, ground_of(tmp_path).site)
    assert caught.value.help == "did you mean 'observability'?"


@with_engine
@pytest.mark.timeout(420)
def test_a_run_is_measured_by_prometheus_and_its_alert_reaches_a_receiver(tmp_path: Path) -> None:
    experiment = yaml.safe_load(find_experiment("redis-slow").read_text())
    for key in ("short", "playbook"):
        del experiment[key]
    experiment["campaign"] = {"coupon": "C", "stock": 1_500, "users": 100_000}
    experiment["traffic"]["drop"] |= {"rate": "50/s", "duration": "40s"}
    experiment["method"][0] |= {"at": "8s", "duration": "12s"}
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
