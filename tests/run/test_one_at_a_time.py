"""Latency of a store, on a shop that serves one request at a time: real proxy, real lock."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.spec.undos import ProxyState
from tests.support.foreign_runs import ROOT, Finished, run, shop
from tests.support.toxiproxies import redis_like, toxiproxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SHOP = ROOT / "tests" / "support" / "one_lock_shop.py"
ISSUE = {"post": "/claim", "json": {"member": "{user}"}}
LATENCY = {"fault": "network.latency", "id": "slow", "target": "redis"}
TRAFFIC = {"executor": "constant-arrival-rate", "duration": "16s"}


async def slow_store(
    folder: Path, latency: str, *, asks: bool = True, rate: str = "20/s", **setting: Any
) -> Finished:
    """A run with this latency on the way to the store from 6 s to 10 s."""
    async with toxiproxy() as toxi, redis_like() as port:
        way = ProxyState(listen="127.0.0.1:0", upstream=f"127.0.0.1:{port}", enabled=True)
        made = await Toxiproxy(toxi).create("redis", way)
        host, _, listen = made.listen.rpartition(":")
        if asks:
            setting["store"] = [host, int(listen)]
        fault = {**LATENCY, "latency": latency, "at": "6s", "duration": "4s"}
        with shop(folder, SHOP, **setting) as url:
            return await asyncio.to_thread(
                run,
                folder,
                url,
                ISSUE,
                traffic={**TRAFFIC, "rate": rate},
                users=100_000,
                toxiproxy=toxi,
                proxies={"redis": "redis"},
                more={"method": [fault], "failures": "expected"},
            )


@pytest.mark.parametrize("latency", ["400ms", "1s"])
async def test_a_shop_that_stands_still_for_its_slow_store_has_felt_it(
    tmp_path: Path, latency: str
) -> None:
    found = await slow_store(tmp_path, latency)
    assert found.check("fault_injected")["verdict"] == "valid", found.told


@pytest.mark.parametrize("stall", [[6.3, 9.4], [7.6, 10.5]])
async def test_a_shop_that_stands_still_for_another_reason_has_not(
    tmp_path: Path, stall: list[float]
) -> None:
    """Its store is slow for real, and it does not ask it: it pauses within these seconds."""
    found = await slow_store(tmp_path, "1s", asks=False, stalls=[stall])
    assert found.check("fault_injected")["verdict"] == "unknown", found.told


@pytest.mark.parametrize(("rate", "verdict"), [("4/s", "unknown"), ("8/s", "valid")])
async def test_too_little_traffic_to_judge_is_warned_of_and_the_advised_rate_is_judged(
    tmp_path: Path, rate: str, verdict: str
) -> None:
    found = await slow_store(tmp_path, "400ms", rate=rate)
    assert found.check("fault_injected")["verdict"] == verdict, found.told
    warned = "too little traffic to judge slow: 2 requests are due in each 0.5 s" in found.told
    assert warned is (verdict == "unknown")
