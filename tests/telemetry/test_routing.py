"""Routing: the bridge, and a real Alertmanager that notifies through it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gameday.core.clock import NS, SystemClock
from gameday.core.network.listen import Listen
from gameday.run.webhook import block
from gameday.spec.tls import Tls
from gameday.telemetry import bridge, samples
from gameday.telemetry.bridge import BadRequestError, Board
from gameday.telemetry.promql import labels
from gameday.telemetry.sources.notifications import OwnBridge, RemoteBridge, RoutingError
from gameday.telemetry.sources.routing import exposition
from tests.support.prometheus import alertmanager, free_port, needs_alertmanager, prometheus
from tests.telemetry.test_collector_tick import RULES, Service, measuring
from tests.telemetry.test_prometheus import collecting, states

CLOCK = SystemClock()
TOKEN = "the-token-of-a-test"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
Json = dict[str, Any]


def notification(*names: str, status: str = "firing") -> bytes:
    alerts = [{"status": status, "labels": {"alertname": name, "a": "b"}} for name in names]
    return json.dumps({"receiver": "gameday", "version": "4", "alerts": alerts}).encode()


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    server = bridge.BridgeServer(Board(), TOKEN)
    await server.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


@needs_alertmanager
async def test_a_real_alertmanager_notifies_the_collector_and_tells_what_it_keeps_back(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with Service() as service:
        service.body = "broken 0\n"
        target = [f"127.0.0.1:{service.port}"]
        with (
            alertmanager(tmp_path / "a", pasted(tmp_path, port)) as manager,
            prometheus(
                tmp_path / "p", target, rules=RULES, alertmanager=manager.removeprefix("http://")
            ) as url,
        ):
            receiver = {"host": "127.0.0.1", "port": port, "token": TOKEN}
            also: Json = {"receiver": receiver, "alertmanager": {"url": manager}}
            async with collecting(tmp_path, url, **also) as grid:
                await grid.open()
                line = await grid.once()
                waits = {"gameday": 0.0, "nobody": 30.0}
                assert line["routing"] == {"notified": [], "suppressed": [], "waits": waits}
                async with httpx.AsyncClient(trust_env=False) as client:
                    scraped = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                assert 'k6_vus{scenario="drop"} 0.0\n' in scraped
                service.body = "broken 1\n"
                line = await grid.until(lambda line: bool(line["routing"]["notified"]))
                (told,) = line["routing"]["notified"]
                assert (told["state"], told["labels"]["alertname"]) == ("firing", "Broken")
                assert told["receiver"] == "gameday"
                assert states(line) == {"Broken": "firing"}
                await silence(manager)
                line = await grid.until(lambda line: line["routing"]["suppressed"] == ["Broken"])
                (kept,) = line["routing"]["routed"]
                assert (kept["alert"], kept["receivers"]) == ("Broken", ["gameday"])
                assert kept["silenced_by"][0].endswith(" by a test: a test")
    read = samples.read(tmp_path / "samples.jsonl")
    lines = [one.routing for one in read if isinstance(one, samples.Evaluation)]
    found = [one for line in lines if line is not None for one in line.notified or ()]
    assert [(one.name, one.state) for one in found] == [("Broken", "firing")]


def pasted(folder: Path, port: int) -> str:
    """The configuration of an Alertmanager with the block that `gameday plan` prints in it."""
    token = folder / "token"
    token.write_text(TOKEN)
    key = "credentials_file:"
    lines = [
        f"{line.partition(key)[0]}{key} {token}" if key in line else line
        for line in block(Listen("127.0.0.1", port)).splitlines()
    ]
    lines.insert(1, "  receiver: nobody")
    return "\n".join([*lines, "  - name: nobody", ""])


async def silence(manager: str) -> None:
    body = {
        "matchers": [{"name": "alertname", "value": "Broken", "isRegex": False}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "a test",
        "comment": "a test",
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{manager}/api/v2/silences", json=body)
    assert answer.status_code == 200, answer.text


async def test_a_bridge_elsewhere_is_told_and_asked_with_a_cursor() -> None:
    async with serving() as url, httpx.AsyncClient(trust_env=False) as client:
        remote = RemoteBridge(url, TOKEN, 5, Tls(), CLOCK)
        assert await remote.take() == []
        series = {labels("k6_vus", scenario='a"b\\c\nd'): 2.0}
        await remote.put_series(exposition(series))
        assert (
            await client.get(f"{url}/metrics")
        ).text == 'k6_vus{scenario="a\\"b\\\\c\\nd"} 2.0\n'
        for names in (("A", "B"), ("C",)):
            told = notification(*names)
            posted = await client.post(f"{url}/alerts", content=told, headers=KNOWN)
            assert posted.status_code == 204
        taken = await remote.take()
        assert [each.labels for each in taken] == [
            {"alertname": name, "a": "b"} for name in ("A", "B", "C")
        ]
        assert all(abs(CLOCK.now_ns() - each.at_ns) < 30 * NS for each in taken)
        assert await remote.take() == []
        await remote.close()


async def test_series_are_put_out_where_a_run_is_not_measured_by_what_scrapes_them(
    tmp_path: Path,
) -> None:
    async with serving() as url:
        series_to = {"url": url, "token": TOKEN}
        async with measuring(tmp_path, series_to=series_to) as tick:
            assert "routing" not in await tick()
            async with httpx.AsyncClient(trust_env=False) as client:
                scraped = (await client.get(f"{url}/metrics")).text
            assert 'k6_vus{scenario="drop"} 0.0\n' in scraped
            series_to["token"] = "another"
    (tmp_path / "refused").mkdir()
    async with serving() as url, measuring(tmp_path / "refused", series_to=series_to) as tick:
        assert "routing" not in await tick()  # nothing is drawn then, and nothing else is missing


async def test_a_bridge_that_began_anew_says_that_something_may_be_lost() -> None:
    own = OwnBridge("127.0.0.1", 0, TOKEN, CLOCK)
    board = Board()
    board.post(notification("A"))
    own._board = board  # noqa: SLF001
    assert [each.name for each in await own.take()] == ["A"]
    own._board = Board()  # noqa: SLF001
    with pytest.raises(RoutingError, match="started anew"):
        await own.take()
    assert await own.take() == []


def test_what_is_kept_is_bounded_and_what_fell_out_is_said() -> None:
    board = Board()
    for n in range(bridge.MOST_KEPT + 5):
        board.post(notification(f"A{n}"))
    page = json.loads(board.after(0))
    assert page["lost"]
    assert len(page["alerts"]) == bridge.MOST_AT_ONCE
    assert page["alerts"][0]["alert"]["labels"]["alertname"] == "A5"
    assert not json.loads(board.after(page["next"]))["lost"]
    huge = {f"l{n}": "x" * 5_000 for n in range(100)}
    alert = {"status": "firing", "labels": {"alertname": "A", **huge}}
    for _ in range(200):
        board.post(json.dumps({"receiver": "r", "alerts": [alert]}).encode())
    assert len(board.after(0)) < bridge.KEPT_BYTES + 100_000


HOSTILE = {
    "empty": b"",
    "no-json": b"<html>",
    "deep": b"[" * 100_000,
    "a-list": b"[]",
    "no-alerts": b"{}",
    "alerts-number": b'{"alerts": 7}',
    "alert-null": b'{"alerts": [null]}',
    "unnamed": b'{"alerts": [{"status": "firing", "labels": {}}]}',
    "status": b'{"alerts": [{"status": "burning", "labels": {"alertname": "A"}}]}',
    "label-number": b'{"alerts": [{"status": "firing", "labels": {"alertname": "A", "b": 1}}]}',
    "half-a-pair": rb'{"alerts": [{"status": "firing", "labels": {"alertname": "\ud800"}}]}',
    "half-a-name": rb'{"alerts": [{"status": "firing", '
    rb'"labels": {"alertname": "A", "\udfff": "x"}}]}',
    "half-a-receiver": rb'{"receiver": "\ud800", "alerts": [{"status": "firing", "labels": '
    rb'{"alertname": "A"}}]}',
    "not-utf8": b'{"alerts": [{"status": "firing", "labels": {"alertname": "\xff"}}]}',
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=list(HOSTILE))
def test_what_is_no_notification_is_refused(raw: bytes) -> None:
    board = Board()
    with pytest.raises(BadRequestError):
        board.post(raw)
    assert json.loads(board.after(0))["alerts"] == []


async def test_nobody_without_the_token_leaves_or_takes_anything() -> None:
    async with serving() as url, httpx.AsyncClient(trust_env=False) as client:
        for method, path in (("PUT", "/series"), ("POST", "/alerts"), ("GET", "/alerts?after=0")):
            for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": TOKEN}):
                answer = await client.request(
                    method, url + path, content=notification("A"), headers=headers
                )
                assert answer.status_code == 401
        taken = await client.get(f"{url}/alerts?after=0", headers=KNOWN)
        assert taken.json()["alerts"] == []
        assert (await client.get(f"{url}/nothing", headers=KNOWN)).status_code == 404
        assert (await client.get(f"{url}/alerts?after=x", headers=KNOWN)).status_code == 400
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = f"POST /alerts HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Length: {10**9}\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_those_who_say_nothing_keep_nobody_from_being_answered() -> None:
    async with serving() as url:
        host, port = "127.0.0.1", int(url.rpartition(":")[2])
        silent = [await asyncio.open_connection(host, port) for _ in range(bridge.MOST_OPEN - 1)]
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200
            one = await asyncio.open_connection(host, port)
            assert (await client.get(f"{url}/healthz")).status_code == 503
            for _, writer in (*silent, one):
                writer.close()
            async with asyncio.timeout(20):
                while (await client.get(f"{url}/healthz")).status_code != 200:
                    await CLOCK.sleep(0.05)
