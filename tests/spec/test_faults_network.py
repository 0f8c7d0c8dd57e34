"""Network faults: what each changes, and the place of what a file may not ask for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from gameday.core.errors import FileError
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.plan.validate import validate
from gameday.spec.changes import ProxyFlap, ToxicChange
from gameday.spec.faults import AnyFault, Fault
from gameday.spec.inputs import load_inputs
from tests.support.toxiproxies import redis_like, toxiproxy

drivers = Drivers()

FAULT: TypeAdapter[Fault] = TypeAdapter(AnyFault)
EXPERIMENT = """\
name: torn
campaign: {coupon: C, stock: 5000}
traffic:
  drop: {executor: constant-arrival-rate, rate: 100/s, duration: 40s}
method:
  - {fault: network.FAULT, at: 10s, duration: 5s}
"""
STORE_FAULTS = (
    ("redis.evict", ""),
    ("redis.memory", ""),
    ("postgres.lock", ", table: issuances"),
    ("postgres.connections", ""),
)


def fault(name: str, **keys: Any) -> Fault:
    given = {"fault": f"network.{name}", "target": "redis", "at": "5s", "duration": "5s"}
    return FAULT.validate_python({**given, **keys})


def toxic(type_: str, attributes: dict[str, int], **how: Any) -> ToxicChange:
    return replace(ToxicChange("redis", type_, "downstream", 1.0, attributes), **how)


@pytest.mark.parametrize(
    ("name", "keys", "attributes"),
    [
        ("latency", {"latency": "300ms", "jitter": "50ms"}, {"latency": 300, "jitter": 50}),
        ("timeout", {}, {"timeout": 0}),
        ("bandwidth", {"rate_kb_per_s": 5}, {"rate": 5}),
        ("reset_peer", {"timeout": "1s"}, {"timeout": 1000}),
        ("slow_close", {"delay": "2s"}, {"delay": 2000}),
        (
            "slicer",
            {"average_bytes": 64, "variation_bytes": 8, "delay": "10ms"},
            {"average_size": 64, "size_variation": 8, "delay": 10_000},
        ),
        ("limit_data", {"bytes": 100}, {"bytes": 100}),
    ],
)
async def test_every_toxic_is_made_as_asked_and_taken_out(
    name: str, keys: dict[str, Any], attributes: dict[str, int]
) -> None:
    both = {"direction": "upstream", "toxicity": 0.5}
    assert fault(name, **keys).changes() == [toxic(name, attributes)]
    (change,) = fault(name, **keys, **both).changes()
    assert change == toxic(name, attributes, stream="upstream", toxicity=0.5)
    async with redis_like() as upstream, toxiproxy() as url:
        server = Toxiproxy(url)
        body = {"name": "cache", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        await server.call("POST", "/proxies", body)
        site = InjectionContext("r1", url, {"redis": "cache"})
        undo = await drivers.prepare(change, site)
        await drivers.act(change, undo, site)
        found = await server.proxy("cache")
        assert found is not None
        (there,) = found.toxics
        assert (there.type, there.stream, there.toxicity) == (name, "upstream", 0.5)
        assert attributes.items() <= there.attributes.items()
        await drivers.undo(undo)
        assert await drivers.read_back(undo) is True


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("latency, target: redis, latency: 1s, toxicity: 0", "'toxicity': "),
        ("latency, target: redis, latency: 1s, toxicity: 1.5", "'toxicity': "),
        ("latency, target: redis, latency: 1s, direction: both", "'direction': "),
        ("bandwidth, target: redis, rate_kb_per_s: 0", "'rate_kb_per_s': "),
        ("bandwidth, target: redis, rate_kb_per_s: -1", "'rate_kb_per_s': "),
        ("bandwidth, target: redis, rate_kb_per_s: 2147483648", "'rate_kb_per_s': "),
        ("slicer, target: redis, average_bytes: 2147483648", "'average_bytes': "),
        ("slow_close, target: redis, delay: 0", "'delay': "),
        ("slicer, target: redis, average_bytes: 0", "'average_bytes': "),
        ("slicer, target: redis, variation_bytes: 0", "'average_bytes'"),
        ("latency, target: redis, latency: -1ms", "'latency': "),
        ("latency, target: redis, latency: 1ms, jitter: 1281023894007h", "'jitter': "),
        ("latency, target: redis, latency: 1ms, jiter: 0", "unknown key 'jiter'"),
        ("limit_data, target: redis, bytes: -1", "'bytes': "),
        ("flap, target: redis, down: 50ms, up: 1s", "'down': "),
        ("flap, target: redis, down: 1s, up: 0", "'up': "),
        ("flap, target: redis, down: 1s, up: 150ms, jitter: 60ms", "'jitter': "),
        ("flap, target: redis, down: 1s, up: 2s", "must hold `down` and `up` three times"),
        ("flap, target: redis, down: 1s, up: 1s, jitter: 500ms", "three times"),
        ("flap, target: radis, down: 1s, up: 500ms", "'target': 'radis'"),
        ("packet_loss, target: redis", "unknown fault 'network.packet_loss'"),
        ("slicer, target: redis, average_bytes: 8, variation_bytes: 8", "'variation_bytes': "),
        ("limit_data, target: redis, bytes: 0", "'bytes': "),
        ("limit_data, target: redis, bytes: 99999999999999999", "'bytes': "),
        ("noop, target: redis", "unknown fault 'network.noop'"),
        ("down, target: redis, toxicity: 0.5", "unknown key 'toxicity'"),
        ("latency, target: radis, latency: 1s", "'target': 'radis'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_its_place(
    tmp_path: Path, keys: str, what: str
) -> None:
    path = tmp_path / "torn.yaml"
    path.write_text(EXPERIMENT.replace("FAULT", keys))
    with pytest.raises(FileError) as caught:
        validate(load_inputs(str(path)))
    assert caught.value.message.startswith(f"{path}:6:")
    assert what in caught.value.message


def test_a_flap_is_told_as_it_will_be() -> None:
    (change,) = fault("flap", down="1s", up="0.4s", jitter="50ms").changes()
    assert change == ProxyFlap("redis", 1000, 400, 50)
    assert change.as_json()["kind"] == "proxy"
    assert "1000 ms disabled and 400 ms enabled in turns" in change.message().text()
    assert str(change.undone_by()) == "the proxy enabled again"


def test_one_proxy_is_not_switched_by_two_faults_at_once(tmp_path: Path) -> None:
    path = tmp_path / "torn.yaml"
    down = "  - {fault: network.down, target: redis, at: 12s, duration: 5s}\n"
    flap = "flap, target: redis, down: 500ms, up: 500ms"
    path.write_text(EXPERIMENT.replace("FAULT", flap) + down)
    with pytest.raises(FileError, match=r"network.down on 'redis' overlaps with 'network-flap-1'"):
        validate(load_inputs(str(path)))


@pytest.mark.parametrize(("name", "keys"), STORE_FAULTS)
def test_a_fault_of_a_store_needs_its_address(tmp_path: Path, name: str, keys: str) -> None:
    system = tmp_path / "system.yaml"
    system.write_text(
        "name: shop\nbase_url: http://127.0.0.1:8080\naudit: {get: /audit}\n"
        "requests: {issue: {post: /issue, outcomes: {issued: {status: 200}}}}\n"
    )
    path = tmp_path / "torn.yaml"
    path.write_text(EXPERIMENT.replace("network.FAULT", name + keys))
    with pytest.raises(FileError, match="which the system does not name") as caught:
        validate(load_inputs(str(path), str(system)))
    assert caught.value.place.line == 6
