"""`gameday plan`: what would be touched is told in full, and what stands in the way is found."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from click.testing import CliRunner, Result
from pydantic import TypeAdapter

from gameday import __version__
from gameday.cli import main
from gameday.core.clock import SystemClock, boot_id
from gameday.core.files.private import state_dir
from gameday.core.network.allow_list import Allowed
from gameday.injection.drivers.request import Sender
from gameday.plan import generator, proxy_checks, service_checks, traffic_size
from gameday.plan.blast_radius import blast, touches
from gameday.plan.finding import Finding
from gameday.plan.leftovers import leftovers
from gameday.plan.offline_checks import RunConditions, before
from gameday.run.locks import TargetLock
from gameday.spec.audit import Audit
from gameday.spec.changes import Change
from gameday.spec.faults import AnyFault, Fault
from gameday.spec.inputs import Inputs, load_inputs
from gameday.spec.shipped import all_experiments
from gameday.spec.undos import from_json
from gameday.telemetry.catalogue import Expression
from gameday.traffic.capacity import calibration
from gameday.traffic.capacity.demand import Demand
from tests.support.events import event_of
from tests.support.plan_parts import (
    DROP,
    inputs_of,
    left_run,
    make,
    own_server,
    post,
    serving,
    slow,
    taken_port,
    wedged,
)
from tests.support.signed import own_key, signed
from tests.support.stack_parts import document_of
from tests.support.toxiproxies import redis_like, toxiproxy

ROOT = Path(__file__).parents[2]
METRICS = """# TYPE answers histogram
# TYPE open gauge
open{pool="a"} 3
"""


def looked(inputs: Inputs, tmp_path: Path, stack: str = "embedded") -> list[Finding]:
    return before(inputs, RunConditions(stack, tmp_path / "runs"))


def named(findings: list[Finding], name: str) -> Finding:
    return next(each for each in findings if each.name == name)


def failing(findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.status == "fail"]


def test_the_blast_radius_of_redis_slow_is_told_with_its_instants() -> None:
    inputs = load_inputs("redis-slow")
    told = blast(inputs, inputs.system.system, "somewhere", starts=True)
    (touch,) = told.touches
    assert touch.what == "a latency toxic of 300 ms ± 50 ms on proxy redis, answers only"
    assert (touch.at_s, touch.until_s) == (15, 35)
    assert touch.undone_by == "that one toxic removed, by its name"
    assert [(a.alert, a.fires_by_s, a.resolves_by_s) for a in told.alerts] == [
        ("IssuanceSlow", 25, 55),
        ("RedisSlow", 25, 55),
    ]
    assert told.recovers_by_s == 35
    assert (told.requests, told.peak_per_s, told.length_s) == (6000, 100, 60)
    (act,) = told.acts
    assert act.does == "use-postgres (POST /admin/strategy)"
    assert act.undone_by == "use-redis (POST /admin/strategy)"


@pytest.mark.parametrize("path", all_experiments(), ids=lambda path: path.stem)
def test_every_change_of_every_shipped_experiment_has_a_sentence(path: Path) -> None:
    inputs = load_inputs(str(path))
    for touch in touches(inputs.experiment.experiment, inputs.system.system):
        kind = touch.change.kind
        assert not touch.what.startswith(f"{kind}:"), "it is told by its data alone"
        assert "in the journal" not in touch.undone_by


@dataclass(frozen=True, slots=True)
class MoonChange(Change):
    """A change that the plan has never heard of."""

    kind: ClassVar[str] = "moon"
    phase: str


def test_a_kind_without_a_sentence_is_told_by_its_data_and_never_left_out() -> None:
    change = MoonChange("full")
    assert str(change.message()) == "moon: phase full"
    assert "moon" in str(change.undone_by())


LATENCY = {"fault": "network.latency", "latency": "1ms"}
FAULT: TypeAdapter[Fault] = TypeAdapter(AnyFault)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"fault": "network.timeout"}, "connections never closed"),
        ({"fault": "network.timeout", "timeout": "20ms"}, "closed after 20 ms"),
        ({"fault": "network.bandwidth", "rate_kb_per_s": 3}, "3 kB/s"),
        ({"fault": "network.slow_close", "delay": "1s"}, "of 1000 ms on proxy redis"),
        ({**LATENCY, "direction": "upstream"}, "requests only"),
        ({**LATENCY, "toxicity": 0.25}, "25% of the connections"),
    ],
)
def test_what_matters_of_a_toxic_is_said(keys: dict[str, object], words: str) -> None:
    fault = FAULT.validate_python({"target": "redis", "at": "5s", "duration": "5s", **keys})
    (change,) = fault.changes()
    assert words in str(change.message())


def test_a_fault_names_the_proxy_as_toxiproxy_does(tmp_path: Path) -> None:
    system = {"proxies": {"redis": "cache"}}
    inputs = inputs_of(tmp_path, system, method=slow())
    (touch,) = touches(inputs.experiment.experiment, inputs.system.system)
    assert "on proxy cache" in touch.what


def test_the_peak_is_where_scenarios_and_spikes_are_high_together(tmp_path: Path) -> None:
    ramp = {
        "executor": "ramping-arrival-rate",
        "startRate": "0/s",
        "stages": [{"target": "40/s", "duration": "10s"}, {"target": "0/s", "duration": "10s"}],
    }
    spike = {"fault": "traffic.spike", "rate": "200/s", "at": "8s", "duration": "4s"}
    traffic = {**DROP["traffic"], "ramp": ramp}
    inputs = inputs_of(tmp_path, traffic=traffic, method=[spike])
    assert traffic_size.peak_per_s(inputs.experiment.experiment) == pytest.approx(50 + 40 + 200)


def test_users_that_cannot_take_the_stock_are_told_with_their_place(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, campaign={"coupon": "C", "stock": 100, "users": 90})
    users = named(looked(inputs, tmp_path), "users")
    assert users.status == "warn"
    assert "drop.yaml:1:" in users.found
    assert "cannot take 100 coupons" in users.found


def test_many_repeats_are_told(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, campaign={"coupon": "C", "stock": 10, "users": 200})
    users = named(looked(inputs, tmp_path), "users")
    assert users.status == "warn"
    assert "80% of the requests are repeats" in users.found


def at(tmp_path: Path, per_s: int) -> Finding:
    """What is found of the generator where nothing was measured."""
    fast = {"executor": "constant-arrival-rate", "rate": f"{per_s}/s", "duration": "20s"}
    return named(looked(inputs_of(tmp_path, traffic={"fast": fast}), tmp_path), "generator")


def test_a_rate_is_held_against_all_workers_that_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of eight cores are for workers: four, each taken to keep 10,000/s and given 8,000."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    slow = at(tmp_path, 4000).found
    assert slow.endswith("one worker keeps, where nothing was measured, about 10000")
    one, two, most, beyond = (at(tmp_path, per_s) for per_s in (8000, 8001, 32_000, 32_001))
    assert [each.status for each in (one, two, most, beyond)] == ["ok", "ok", "ok", "warn"]
    assert "2 workers keep, where nothing was measured, about 20000" in two.found
    assert "4 workers keep, where nothing was measured, about 40000" in beyond.found
    assert "gameday doctor --calibrate" in beyond.cure


def test_what_was_measured_here_counts_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    measured = calibration.Calibration(
        5000.0, reached_top=False, boot=boot_id(), version=__version__
    )
    (state_dir() / calibration.FILE).write_text(json.dumps(asdict(measured)))
    rates = [Demand(peak_per_s=rate, open_most=1) for rate in (4000, 4001, 12_000, 10**6)]
    assert [calibration.workers_for(each) for each in rates] == [1, 2, 3, 8]
    kept_per_s = calibration.kept_by_all(rates[0], shared=True)
    assert kept_per_s == 20_000
    fast = {"executor": "constant-arrival-rate", "rate": "9000/s", "duration": "20s"}
    inputs = inputs_of(tmp_path, traffic={"fast": fast})
    found = named(list(generator.checks(inputs, kept_per_s)), "generator")
    assert found.status == "ok"
    assert "this machine was measured to keep 20000" in found.found


def test_no_worker_is_without_a_virtual_user_of_a_scenario_that_limits_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would drop its share of the starts of a probe that one user makes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    fast = {"executor": "constant-arrival-rate", "rate": "17000/s", "duration": "20s"}
    probe = {**fast, "rate": "2/s", "preAllocatedVUs": 1}
    for most, workers in ((1, 1), (2, 2), (50, 3)):
        inputs = inputs_of(tmp_path, traffic={"fast": fast, "probe": {**probe, "maxVUs": most}})
        assert calibration.workers_for(generator.demand(inputs)) == workers
        found = named(list(generator.checks(inputs, shared=True)), "generator")
        keep = "one worker keeps" if workers == 1 else f"{workers} workers keep"
        assert keep in found.found
        assert found.status == ("ok" if workers == 3 else "warn")
    asked = generator.demand(
        inputs_of(tmp_path, traffic={"fast": fast, "probe": {**probe, "maxVUs": 1}})
    )
    assert calibration.workers_at_hand(asked, shared=True) == 1


def test_evidence_that_cannot_be_written_is_a_fault_of_the_command_line(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    (tmp_path / "runs").write_text("not a folder")
    found = named(looked(inputs, tmp_path), "evidence")
    assert (found.status, found.usage) == ("fail", True)
    assert "--runs" in found.cure


def test_nothing_stands_in_the_way_of_a_plain_drop(tmp_path: Path) -> None:
    assert failing(looked(inputs_of(tmp_path), tmp_path)) == []


def test_a_fault_that_the_stack_cannot_do_is_told_with_its_place(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {"toxiproxy": None}, method=slow())
    (wrong,) = failing(looked(inputs, tmp_path, "external"))
    assert wrong.usage
    assert wrong.name.startswith(str(tmp_path / "drop.yaml"))
    assert "needs `toxiproxy`" in wrong.found
    kill = inputs_of(
        tmp_path,
        method=[{"at": "2s", "fault": "service.kill", "target": "service", "duration": "3s"}],
    )
    (cannot,) = failing(looked(kill, tmp_path, "external"))
    assert "cannot do 'service.kill'" in cannot.found


def test_a_part_that_the_stack_does_not_have_is_told_with_its_place(tmp_path: Path) -> None:
    kill = [{"at": "2s", "fault": "service.kill", "target": "mysql", "duration": "3s"}]
    inputs = inputs_of(tmp_path, {"proxies": {"mysql": "mysql"}}, method=kill)
    (wrong,) = failing(looked(inputs, tmp_path))
    assert (wrong.usage, "'target': the embedded stack has no 'mysql'" in wrong.found) == (
        True,
        True,
    )
    assert wrong.name.startswith(str(tmp_path / "drop.yaml"))
    assert "service, redis, postgres" in wrong.cure


def test_a_port_that_the_system_file_fixes_must_be_free(tmp_path: Path) -> None:
    with taken_port() as port:
        start = {"argv": ["python", "service.py"], "env": {}}
        system = {"base_url": f"http://127.0.0.1:{port}", "start": start}
        (wrong,) = failing(looked(inputs_of(tmp_path, system), tmp_path))
    assert wrong.name == "ports"
    assert f"port {port} is in use" in wrong.found


def test_a_system_that_cannot_be_started_is_refused(tmp_path: Path) -> None:
    document = document_of()
    del document["start"]
    (tmp_path / "system.yaml").write_text(json.dumps(document))
    (tmp_path / "drop.yaml").write_text(json.dumps(DROP))
    inputs = load_inputs(str(tmp_path / "drop.yaml"), str(tmp_path / "system.yaml"))
    (wrong,) = failing(looked(inputs, tmp_path))
    assert (wrong.name, wrong.usage) == ("system file", True)


def test_a_stack_that_needs_a_program_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start = document_of(REDIS_URL="{redis}")["start"]
    inputs = inputs_of(tmp_path, {"start": start})
    monkeypatch.setattr("gameday.stacks.binaries._package", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    (wrong,) = failing(looked(inputs, tmp_path))
    assert (wrong.name, wrong.usage) == ("redis", False)


def test_an_address_that_is_not_this_machine_must_be_allowed(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {"base_url": "http://192.0.2.1:80"})
    (wrong,) = failing(looked(inputs, tmp_path, "external"))
    assert wrong.name == "addresses"
    assert "--allow-target 192.0.2.1" in wrong.cure


async def test_a_proxy_that_carries_traffic_is_seen_with_its_protocol(tmp_path: Path) -> None:
    async with toxiproxy() as url, redis_like() as upstream:
        await make(url, "cache", upstream)
        found = await network(tmp_path, url)
    assert failing(found.findings) == []
    assert "carries redis" in named(found.findings, "proxy cache").found
    assert found.spots["redis"].protocol == "redis"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("missing", "has no proxy 'cache' for 'redis'"),
        ("disabled", "is disabled, before anything was broken"),
        ("ours", "has toxic gameday-r-1"),
        ("dead", "nothing listens at its upstream"),
    ],
)
async def test_a_proxy_that_is_not_fit_is_refused(tmp_path: Path, wrong: str, told: str) -> None:
    async with toxiproxy() as url, redis_like() as upstream:
        if wrong == "missing":
            await make(url, "other", upstream)
        elif wrong == "dead":
            with taken_port() as port:
                pass
            await make(url, "cache", port)
        else:
            await make(url, "cache", upstream)
        if wrong == "disabled":
            await post(url, "/proxies/cache", {"enabled": False})
        if wrong == "ours":
            await post(url, "/proxies/cache/toxics", {"name": "gameday-r-1", "type": "noop"})
        (found,) = failing((await network(tmp_path, url)).findings)
    assert found.name == "proxy cache"
    assert told in found.found
    assert found.cure


async def test_somebody_elses_toxic_is_told_and_left_alone(tmp_path: Path) -> None:
    async with toxiproxy() as url, redis_like() as upstream:
        await make(url, "cache", upstream)
        await post(url, "/proxies/cache/toxics", {"name": "theirs", "type": "noop"})
        found = (await network(tmp_path, url)).findings
    (odd,) = [each for each in found if each.status == "warn"]
    assert "'theirs'" in odd.found


async def test_a_wedged_server_is_told_from_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_checks, "ASK_S", 0.3)
    async with wedged() as url:
        (found,) = failing((await network(tmp_path, url)).findings)
    assert "wedged: /version answers 2.12.0" in found.found
    with taken_port() as port:
        pass
    (dead,) = failing((await network(tmp_path, f"http://127.0.0.1:{port}")).findings)
    assert "wedged" not in dead.found
    assert "start it" in dead.cure


async def test_a_server_that_no_fault_needs_is_only_a_warning(tmp_path: Path) -> None:
    with taken_port() as port:
        pass
    inputs = inputs_of(tmp_path, {"toxiproxy": f"http://127.0.0.1:{port}"})
    experiment = inputs.experiment.experiment
    found = await proxy_checks.network(experiment, inputs.system.system, Allowed(), SystemClock())
    assert [each.status for each in found.findings] == ["warn"]


def recording(folder: Path, **rules: str) -> Path:
    """A file of rules that record expressions under these names."""
    path = folder / "recording.yml"
    each = [{"record": name, "expr": expr} for name, expr in rules.items()]
    path.write_text(json.dumps({"groups": [{"name": "g", "rules": each}]}))
    return path


async def test_metrics_that_nobody_tells_of_are_named_by_who_reads_them(tmp_path: Path) -> None:
    async with serving({"/metrics": (200, METRICS)}) as url:
        system = inputs_of(tmp_path, {"metrics": [f"{url}/metrics"]}).system.system
        read = [
            Expression("objective", "a", "histogram_quantile(0.9, rate(answers_bucket[5s])) < 1"),
            Expression("guard", "0", "sum(opem) > 5"),
            Expression("drain", "", "sum(open) == 0"),
            Expression("objective", "t", "sum(k6_vus) < 9"),
            Expression("guard", "1", "r > 5"),
            Expression("guard", "2", "ALERTS > 0"),
            Expression("guard", "3", "s > 5"),
        ]
        found = await service_checks.metrics(
            system, read, [recording(tmp_path, r="open", s="opem")]
        )
    odd = [each for each in found if each.status != "ok"]
    assert [(each.name, each.status) for each in odd] == [("guard 1", "warn"), ("guard 4", "warn")]
    assert all("no target tells of opem" in each.found for each in odd)


async def test_metrics_that_do_not_answer_matter_when_something_reads_them(tmp_path: Path) -> None:
    async with serving({}) as url:
        system = inputs_of(tmp_path, {"metrics": [f"{url}/metrics"]}).system.system
        rules = [recording(tmp_path, r="open", t="k6_vus")]
        asked = [Expression("guard", "0", f"{name} > 5") for name in ("open", "r", "k6_vus", "t")]
        found = [await service_checks.metrics(system, [each], rules) for each in asked]
    assert [each.status for (each,) in found] == ["fail", "fail", "warn", "warn"]
    assert "answers 404; guard 1 would be unknown" in found[0][0].found


@pytest.mark.parametrize(
    ("rows", "stock", "told"),
    [
        ([], 100, "is fresh"),
        ([{"userId": 1, "issueId": "a"}], 100, "is used"),
        ([], 7, "the system says 7"),
    ],
)
async def test_a_campaign_of_the_systems_own_must_be_fresh_and_the_one_that_is_meant(
    tmp_path: Path, rows: list[Any], stock: int, told: str
) -> None:
    said = json.dumps({"code": "C", "stock": stock, "rows": rows})
    async with serving({"/audit": (200, said)}) as url:
        system = inputs_of(tmp_path, {"base_url": url}).system.system
        found = await service_checks.campaign(system, Sender(url, {"coupon": "C"}, {}), "C", 100)
    assert told in found.findings[0].found
    assert (found.findings[0].status == "ok") is (told == "is fresh")
    assert found.findings[0].usage is (told != "is fresh")


async def test_an_audit_is_asked_before_its_campaign_exists(tmp_path: Path) -> None:
    system = inputs_of(tmp_path).system.system
    async with serving({"/audit": (404, "no such campaign")}) as url:
        system = system.model_copy(update={"base_url": url})
        sender = Sender(url, {"coupon": "C"}, {})
        (there,) = await service_checks.audit(system, sender, exists=False)
        (lacking,) = await service_checks.audit(system, sender, exists=True)
    (gone,) = await service_checks.audit(system, sender, exists=False)
    assert (there.status, lacking.status, gone.status) == ("ok", "fail", "fail")


@pytest.mark.parametrize("status", [502, 504])
async def test_a_gateway_with_nobody_behind_it_is_no_system(tmp_path: Path, status: int) -> None:
    answers = {"/": (status, "bad gateway"), "/audit": (status, "bad gateway")}
    system = inputs_of(tmp_path).system.system
    async with serving(answers) as url:
        system = system.model_copy(update={"base_url": url, "start": None})
        (asked,) = await service_checks.audit(
            system, Sender(url, {"coupon": "C"}, {}), exists=False
        )
        alone = system.model_copy(update={"audit": None})
        (there,) = await service_checks.service(alone)
    for found in (asked, there):
        assert found.status == "fail"
        assert found.found.startswith(f"{status} from {url}/")
        assert "running" in found.cure


@pytest.mark.parametrize(
    "kind",
    [
        {"store": "mysql"},
        {"command": ["./audit.sh"]},
        {"get": "/audit", "url": "http://127.0.0.1:9"},
    ],
)
async def test_a_service_that_its_audit_does_not_ask_is_asked_itself(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    audit = TypeAdapter[Audit](Audit).validate_python(kind)
    system = inputs_of(tmp_path).system.system.model_copy(update={"audit": audit, "start": None})
    found, here = {}, system
    for status in (404, 502, 503, 504):
        async with serving({"/": (status, "")}) as url:
            here = system.model_copy(update={"base_url": url})
            (found[status],) = await service_checks.service(here)
    (dead,) = await service_checks.service(here)
    assert {status: each.status for status, each in found.items()} == {
        404: "ok",
        502: "fail",
        503: "fail",
        504: "fail",
    }
    assert dead.status == "fail"
    for each in (dead, found[503]):
        assert "running" in each.cure


async def test_a_service_that_its_audit_asks_is_not_asked_twice(tmp_path: Path) -> None:
    system = inputs_of(tmp_path).system.system.model_copy(update={"start": None})
    assert await service_checks.service(system) == []


async def test_an_alert_of_the_drill_that_holds_already_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_checks, "LOOK_EVERY_S", 0.2)
    rules = tmp_path / "rules.yml"
    rule = {"alert": "ManyOpen", "expr": "open > 2", "for": "200ms"}
    rules.write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    own = frozenset({"ManyOpen"})
    async with serving({"/metrics": (200, METRICS)}) as url:
        system = inputs_of(tmp_path, {"metrics": [f"{url}/metrics"]}).system.system
        (found,) = await service_checks.conditions(system, [rules], own, SystemClock())
    assert found.status == "warn"
    assert "ManyOpen is firing" in found.found
    assert "not steady" in found.cure


async def test_what_an_earlier_run_left_on_this_system_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own_key(tmp_path / "state")
    async with toxiproxy() as url, redis_like() as upstream:
        await make(url, "cache", upstream)
        undo = from_json({"kind": "toxic", "url": url, "proxy": "cache", "name": "gameday-r-1"})
        left_run(tmp_path / "20260101T000000Z-drop-aaaa", "http://here", undo)
        left_run(tmp_path / "20260101T000000Z-drop-bbbb", "http://elsewhere", undo)
        healed = await leftovers(tmp_path, "http://here", {})
        await post(url, "/proxies/cache/toxics", {"name": "gameday-r-1", "type": "noop"})
        there = await leftovers(tmp_path, "http://here", {})
        older = await leftovers(tmp_path, "http://here", {}, "2026-02-01T00:00:00+00:00")
        book = signed(tmp_path / "20260101T000000Z-drop-aaaa" / "healed-1.jsonl")
        book.write(event_of("step.done", step=1, undoing=True, status="done"))
        book.close()
        stepped = await leftovers(tmp_path, "http://here", {})
    assert [each.status for each in healed] == ["warn"], "of the step nobody can tell"
    assert [each.status for each in stepped] == ["fail"], "it was healed"
    assert [each.status for each in there] == ["fail", "warn"]
    assert "fault f is still there" in there[0].found
    assert "drop-aaaa" in there[0].cure
    assert [each.status for each in older] == ["ok"]


async def test_what_nobody_here_has_signed_is_told_and_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    async with toxiproxy() as url:
        undo = from_json({"kind": "toxic", "url": url, "proxy": "cache", "name": "gameday-r-1"})
        left_run(tmp_path / "20260101T000000Z-drop-aaaa", "http://here", undo)
        (found,) = await leftovers(tmp_path, "http://here", {})
    assert found.status == "warn"
    assert "it was not looked at" in found.found
    assert "gameday heal --trust" in found.cure


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls the command in this process, with a state and runs of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("gameday.plan.machine.STEAL_SAMPLE_S", 0.01)
    monkeypatch.chdir(ROOT)

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, ["plan", *words, "--runs", str(tmp_path / "runs")])

    return call


def test_the_plan_fits_80_columns_and_is_ascii_in_a_pipe(
    plan: Callable[..., Result], tmp_path: Path
) -> None:
    done = plan("redis-slow")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.stdout.isascii()
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "a latency toxic of 300 ms +- 50 ms on proxy redis, answers only" in done.stdout
    assert "nothing was touched" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_the_plan_as_data_tells_the_same(plan: Callable[..., Result]) -> None:
    said = json.loads(plan("redis-slow", "--short", "--json").stdout)
    assert (said["fit"], said["exit_code"]) == (True, 0)
    assert said["plan"]["touches"][0]["change"]["type"] == "latency"
    assert {each["status"] for each in said["findings"]} <= {"ok", "warn"}


def test_a_bad_file_ends_with_2_and_its_place(plan: Callable[..., Result], tmp_path: Path) -> None:
    inputs_of(tmp_path)
    (tmp_path / "drop.yaml").write_text(json.dumps({**DROP, "traffic": {}}))
    done = plan(str(tmp_path / "drop.yaml"), "--system", str(tmp_path / "system.yaml"))
    assert done.exit_code == 2
    assert "drop.yaml:1:" in done.stderr


def test_a_stack_that_is_not_ours_and_not_fit_ends_with_3(
    plan: Callable[..., Result], tmp_path: Path
) -> None:
    with taken_port() as port:
        pass
    inputs_of(tmp_path, {"base_url": f"http://127.0.0.1:{port}"})
    words = (str(tmp_path / "drop.yaml"), "--system", str(tmp_path / "system.yaml"))
    done = plan(*words, "--stack", "external")
    assert done.exit_code == 3, done.stdout + done.stderr
    assert "does not answer" in done.stdout


def test_a_stack_of_ours_that_is_not_there_ends_with_4(plan: Callable[..., Result]) -> None:
    done = plan("redis-slow", "--reuse")
    assert done.exit_code == 4, done.stdout + done.stderr
    assert "no stack is kept running" in done.stdout


def test_another_run_on_the_same_target_and_a_hold_end_with_2(
    plan: Callable[..., Result], tmp_path: Path
) -> None:
    said = json.dumps({"code": "C", "stock": 100, "rows": []})
    with own_server({"/audit": said, "/healthz": "", "/metrics": METRICS}) as url:
        inputs_of(tmp_path, {"base_url": url, "metrics": [f"{url}/metrics"]})
        words = (str(tmp_path / "drop.yaml"), "--system", str(tmp_path / "system.yaml"))
        external = (*words, "--stack", "external")
        assert plan(*external).exit_code == 0
        with TargetLock(url, None, "20260101T000000Z-drop-aaaa", tmp_path):
            done = plan(*external)
        assert (done.exit_code, "drop-aaaa" in done.stdout) == (2, True), done.stdout
        held = {"reason": "an audit", "by": "anna", "since": "2026-01-01T00:00:00+00:00"}
        (tmp_path / "state" / "gameday" / "hold.json").write_text(json.dumps(held))
        done = plan(*external)
        assert (done.exit_code, "anna: an audit" in done.stdout) == (2, True), done.stdout


def without_audit(folder: Path, url: str, **experiment: Any) -> tuple[str, ...]:
    """The command line of an experiment on a system that issues nothing."""
    inputs_of(folder, {"base_url": url, "metrics": [f"{url}/metrics"]}, **experiment)
    for path, key in ((folder / "system.yaml", "audit"), (folder / "drop.yaml", "campaign")):
        written = json.loads(path.read_text())
        del written[key]
        if key == "audit":
            outcomes = written["requests"]["issue"]["outcomes"]
            outcomes["accepted"] = outcomes.pop("issued")
        path.write_text(json.dumps(written))
    return str(folder / "drop.yaml"), "--stack", "external", "--system", str(folder / "system.yaml")


def test_a_system_that_issues_nothing_needs_no_audit_and_no_campaign(
    plan: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_server({"/": "", "/healthz": "", "/metrics": METRICS}) as url:
        words = without_audit(tmp_path, url)
        written = json.loads((tmp_path / "system.yaml").read_text())
        written["stores"] = {"redis": {"url": {"env": "CACHE_URL"}}}  # for faults, not for an audit
        (tmp_path / "system.yaml").write_text(json.dumps(written))
        monkeypatch.setenv("CACHE_URL", "redis://127.0.0.1:1/0")
        done = plan(*words)
        shown = " ".join(done.stdout.split())
        assert done.exit_code == 0, done.stdout + done.stderr
        assert "no `audit`: nothing about issuance will be checked" in shown
        assert "coupon" not in shown
    gone = plan(*words)
    assert (gone.exit_code, "does not answer" in gone.stdout) == (3, True), gone.stdout


@pytest.mark.parametrize("audit", [{}, {"audit": None}])
@pytest.mark.parametrize("key", ["issued", "campaign"])
def test_a_system_that_issues_and_names_no_audit_is_bad_usage(
    plan: Callable[..., Result], tmp_path: Path, key: str, audit: dict[str, None]
) -> None:
    words = without_audit(tmp_path, "http://127.0.0.1:1")
    path = tmp_path / "system.yaml"
    written = {**json.loads(path.read_text()), **audit}
    if key == "issued":
        written["requests"]["issue"]["outcomes"]["issued"] = {"status": 201}
    else:
        written["campaign"] = {"post": "/campaigns"}
    path.write_text(json.dumps(written))
    done = plan(*words)
    shown = " ".join((done.stdout + done.stderr).split())
    assert (done.exit_code, f"'{key}': " in shown) == (2, True), shown
    assert "the system has no `audit`" in shown
    assert "system.yaml:1:" in shown


def test_a_check_of_issuance_that_nobody_can_answer_is_bad_usage(
    plan: Callable[..., Result], tmp_path: Path
) -> None:
    with own_server({"/": "", "/healthz": "", "/metrics": METRICS}) as url:
        named = {"checks": ["generator", "no_over_issuance"]}
        done = plan(*without_audit(tmp_path, url, expect=named))
    shown = " ".join((done.stdout + done.stderr).split())
    assert done.exit_code == 2, shown
    assert "drop.yaml:1:" in shown and "'no_over_issuance' needs an `audit`" in shown
    assert "help: add it to" in shown and "system.yaml" in shown


async def network(folder: Path, url: str) -> proxy_checks.Network:
    system = {"toxiproxy": url, "proxies": {"redis": "cache"}}
    inputs = inputs_of(folder, system, method=slow())
    experiment = inputs.experiment.experiment
    return await proxy_checks.network(experiment, inputs.system.system, Allowed(), SystemClock())


def test_the_block_for_alertmanager_is_printed_with_a_token_that_lasts(
    plan: Callable[..., Result],
) -> None:
    with taken_port() as taken:
        done = plan("redis-slow", "--webhook-listen", f"127.0.0.1:{taken}")
        assert done.exit_code == 2
        assert f"127.0.0.1:{taken} cannot be listened at" in " ".join(done.stdout.split())
    done = plan("redis-slow", "--webhook-listen", f"127.0.0.1:{taken}")
    assert done.exit_code == 0, done.stdout + done.stderr
    _, _, text = done.stdout.partition("for alertmanager.yml:\n")
    block = yaml.safe_load(text)
    (hook,) = block["receivers"][0]["webhook_configs"]
    assert hook["url"] == f"http://127.0.0.1:{taken}/alerts"
    token = Path(hook["http_config"]["authorization"]["credentials_file"])
    assert token.stat().st_mode & 0o777 == 0o600
    before = token.read_text()
    again = json.loads(
        plan("redis-slow", "--json", "--webhook-listen", f"127.0.0.1:{taken}").stdout
    )
    assert again["alertmanager"].strip() == text.strip()
    assert token.read_text() == before
    assert before not in text


@pytest.mark.parametrize("text", ["9099", ":9099", "127.0.0.1:", "127.0.0.1:0", "a b:1", "h:99999"])
def test_what_nobody_can_listen_at_is_refused(plan: Callable[..., Result], text: str) -> None:
    done = plan("redis-slow", "--webhook-listen", text)
    assert done.exit_code == 2
    assert "--webhook-listen" in done.stderr
    assert "write ADDR:PORT" in done.stderr


def test_routing_without_a_receiver_is_told_before_the_run(
    plan: Callable[..., Result], tmp_path: Path
) -> None:
    both = {"prometheus": "http://127.0.0.1:1", "alertmanager": "http://127.0.0.1:1"}
    inputs_of(tmp_path, both)
    words = (str(tmp_path / "drop.yaml"), "--system", str(tmp_path / "system.yaml"))
    told = json.loads(plan(*words, "--stack", "external", "--json").stdout)
    found = {each["name"]: each for each in told["findings"]}
    assert found["routing"]["status"] == "warn"
    assert "--webhook-listen" in found["routing"]["cure"]
    assert found["prometheus"]["status"] == "fail"
    assert told["exit_code"] == 3
