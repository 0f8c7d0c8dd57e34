"""The marker on a Toxiproxy of another host, on ours and, where it is there, on the real server."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

from gameday.core.clock import NS, SystemClock, wall_time_ns
from gameday.core.errors import UsageError
from gameday.core.network.allow_list import Allowed
from gameday.injection.drivers.proxy import MARKER
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.run import remote_lock
from gameday.run.remote_lock import STALE_AFTER_S, Marker, MarkerText, is_remote
from tests.support.toxiproxies import toxiproxy
from tests.support.toxiproxy_session import real_program, running

CLOCK = SystemClock()
OURS = [sys.executable, "-m", "gameday.toxiproxy", "--host", "127.0.0.1"]


@pytest.fixture(scope="module", params=["ours", "the real one"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of the one kind, then of the other."""
    real = real_program()
    if request.param == "ours":
        with running(OURS) as session:
            yield f"http://127.0.0.1:{session.port}"
    elif real is None:
        pytest.skip("no real Toxiproxy: set GAMEDAY_TOXIPROXY or put toxiproxy-server on the PATH")
    else:
        with running([real], "-port") as session:
            yield f"http://127.0.0.1:{session.port}"


@pytest.fixture
async def server(url: str) -> Toxiproxy:
    """The server without a marker."""
    found = Toxiproxy(url)
    await found.call("DELETE", f"/proxies/{MARKER}")
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of a fraction of a second, to see one run out."""
    monkeypatch.setattr(remote_lock, "WATCHED_S", 0.6)
    monkeypatch.setattr(remote_lock, "LOOK_S", 0.05)
    monkeypatch.setattr(remote_lock, "SETTLED_S", 0.05)


async def text(server: Toxiproxy) -> str:
    found = await server.proxy(MARKER)
    assert found is not None
    assert found.enabled is False
    return found.upstream


async def left_by(server: Toxiproxy, run: str, until_s: float) -> None:
    """A marker of another host's run, which runs out then (seconds from now)."""
    mark = MarkerText(run, "elsewhere", round(wall_time_ns() / NS + until_s))
    body = {"name": MARKER, "listen": "127.0.0.1:0", "upstream": str(mark), "enabled": False}
    status, _ = await server.call("POST", "/proxies", body)
    assert status == 201


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        ("http://127.0.0.1:8474", False),
        ("http://127.0.0.2:8474", False),
        ("http://[::1]:8474", False),
        ("http://192.0.2.7:8474", True),
        ("http://nowhere.invalid:8474", False),
    ],
)
async def test_only_another_hosts_toxiproxy_is_marked(url: str, remote: bool) -> None:
    assert await is_remote(url, Allowed()) is remote


def test_a_text_that_gameday_did_not_write_is_refused_and_named() -> None:
    with pytest.raises(UsageError, match=r"'cache:6379', which no run of gameday has written"):
        MarkerText.parse("cache:6379")
    assert MarkerText.parse(str(MarkerText("r", "h", 7))) == MarkerText("r", "h", 7)


async def test_a_second_run_is_refused_and_names_the_first(server: Toxiproxy) -> None:
    first, second = (Marker(server, run, CLOCK) for run in ("run-1", "run-2"))
    await first.take()
    assert (await text(server)).startswith("gameday/run-1/")
    with pytest.raises(UsageError, match="run run-1 on host .* already uses") as caught:
        await second.take()
    assert caught.value.help == "there: gameday stop run-1"
    await second.drop()  # which is not its own to remove
    assert (await text(server)).startswith("gameday/run-1/")
    await first.drop()
    assert await server.proxy(MARKER) is None
    await second.take()


async def test_a_renewed_marker_is_good_for_three_leases_more(server: Toxiproxy) -> None:
    mine = Marker(server, "run-1", CLOCK)
    await mine.take()
    before = MarkerText.parse(await text(server))
    while MarkerText.parse(await text(server)) == before:
        assert await mine.renew() == ""
        await CLOCK.sleep(0.1)
    after = MarkerText.parse(await text(server))
    assert 0 < after.until_s - wall_time_ns() / NS <= STALE_AFTER_S


@pytest.mark.parametrize("until_s", [-1.0, 3600.0], ids=["run out", "of a clock far ahead"])
async def test_a_marker_that_nobody_renews_is_taken_over(server: Toxiproxy, until_s: float) -> None:
    await left_by(server, "dead", until_s)
    await Marker(server, "run-2", CLOCK).take()
    assert (await text(server)).startswith("gameday/run-2/")


async def test_a_marker_that_looks_run_out_but_is_renewed_is_respected(server: Toxiproxy) -> None:
    await left_by(server, "slow-clock", -100.0)
    taking = asyncio.create_task(Marker(server, "run-2", CLOCK).take())
    await CLOCK.sleep(0.2)
    upstream = str(MarkerText("slow-clock", "elsewhere", round(wall_time_ns() / NS - 95)))
    await server.call("POST", f"/proxies/{MARKER}", {"upstream": upstream, "enabled": False})
    with pytest.raises(UsageError, match="run slow-clock on host elsewhere"):
        await taking


async def test_two_that_find_a_stale_marker_at_once_do_not_both_get_it(server: Toxiproxy) -> None:
    await left_by(server, "dead", -1.0)
    both = [Marker(server, run, CLOCK).take() for run in ("run-1", "run-2")]
    ended = await asyncio.gather(*both, return_exceptions=True)
    assert [type(each) for each in ended].count(UsageError) == 1


async def test_a_run_whose_marker_was_taken_over_is_told(server: Toxiproxy) -> None:
    mine = Marker(server, "run-1", CLOCK)
    await mine.take()
    await server.call("DELETE", f"/proxies/{MARKER}")
    assert await mine.renew() == ""  # as after a restart of the server
    assert (await text(server)).startswith("gameday/run-1/")
    await server.call("DELETE", f"/proxies/{MARKER}")
    await left_by(server, "run-2", 10.0)
    assert "run run-2 on host elsewhere has taken" in await mine.renew()


async def test_a_server_that_is_gone_loses_the_marker_only_when_it_runs_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with toxiproxy() as url:
        mine = Marker(Toxiproxy(url), "run-1", CLOCK)
        await mine.take()
    assert await mine.renew() == ""
    monkeypatch.setattr(remote_lock, "wall_time_ns", lambda: wall_time_ns() + round(60 * NS))
    assert "cannot be renewed" in await mine.renew()
