"""A removal that is stuck: pressed step by step, with nobody else's toxic lost, and in time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import StuckFaultError
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.proxy import OWN_SERVER
from gameday.injection.process.launch import Launch
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.changes import Change, ProxyDown
from gameday.spec.undos import Undo, from_json
from tests.matrices.wedge import OURS, real_argv, server, with_connections
from tests.support.obstacles import SOMEBODYS, Whim, cache_behind_door, door
from tests.support.toxics import toxic
from tests.support.toxiproxies import redis_like, toxic_names

drivers = Drivers()

WITHIN_S = 10.0
LATENCY = toxic("redis", "latency", latency=20, jitter=0)


@dataclass
class Pressed:
    """One removal: the steps it took, what would take each back, and how long it lasted."""

    steps: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    undos: list[Sequence[Undo]] = field(default_factory=list)
    took_s: float = 0.0

    async def tell(self, step: str, why: str, undos: Sequence[Undo]) -> None:
        self.steps.append(step)
        self.why.append(why)
        self.undos.append(undos)

    async def undo(self, record: Undo, refused_s: float = 3.0) -> None:
        clock = SystemClock()
        begun_ns = clock.now_ns()
        try:
            await drivers.undo(
                record, policy=UndoPolicy(on_escalation=self.tell, refused_s=refused_s)
            )
        finally:
            self.took_s = (clock.now_ns() - begun_ns) / NS


def place(url: str, part: Path | None = None) -> InjectionContext:
    """Where to break the proxy `cache`; `part`: the server is the stack's own."""
    direct = Direct(parts={} if part is None else {OWN_SERVER: part})
    return InjectionContext("r1", url, {"redis": "cache"}, direct)


async def injected(site: InjectionContext, change: Change = LATENCY) -> Undo:
    """The change made."""
    undo = await drivers.prepare(change, site)
    await drivers.act(change, undo, site)
    return from_json(undo.as_json())  # as another process reads it


async def state(server: Toxiproxy) -> dict[str, Any]:
    """Each proxy: whether it is on, where it listens, and its toxics."""
    shown = await server.proxies()
    return {n: (p.enabled, p.listen, p.toxic_names) for n, p in shown.items()}


async def test_a_removal_that_works_is_not_pressed() -> None:
    async with cache_behind_door() as one:
        before = await state(one.behind)
        pressed = Pressed()
        await pressed.undo(await injected(place(one.url)))
        assert pressed.steps == []
        assert await state(one.behind) == before


async def test_a_removal_that_hangs_once_is_tried_again() -> None:
    async with cache_behind_door() as one:
        undo = await injected(place(one.url))
        whims: list[Whim] = ["hang"]
        one.rule = lambda m, p: whims.pop() if m == "DELETE" and whims else "pass"
        pressed = Pressed()
        await pressed.undo(undo)
        assert pressed.steps == ["retry"]
        assert "slow, not wedged" in pressed.why[0]
        assert await drivers.read_back(undo)


async def test_a_removal_that_connections_hold_up_works_while_the_proxy_is_off() -> None:
    async with cache_behind_door() as one:
        before = await state(one.behind)
        undo = await injected(place(one.url))
        off = False

        def rule(method: str, path: str) -> Whim:
            nonlocal off
            off = off or (method, path) == ("POST", "/proxies/cache")
            return "fail" if method == "DELETE" and not off else "pass"

        one.rule = rule
        pressed = Pressed()
        await pressed.undo(undo)
        assert pressed.steps == ["retry", "switch"]
        assert await state(one.behind) == before


async def test_a_proxy_made_anew_keeps_the_toxics_of_others() -> None:
    async with cache_behind_door() as one:
        before = await state(one.behind)
        undo = await injected(place(one.url))
        one.rule = lambda m, p: (
            "fail" if (m, p[:22]) == ("DELETE", "/proxies/cache/toxics/") else "pass"
        )
        pressed = Pressed()
        await pressed.undo(undo)
        assert pressed.steps == ["retry", "switch", "recreate"]
        assert await state(one.behind) == before
        assert one.bodies("POST /reset") == []


async def test_a_toxic_that_was_only_said_to_be_removed_is_not_believed() -> None:
    async with cache_behind_door() as one:
        undo = await injected(place(one.url))
        one.rule = lambda m, p: "pretend" if m == "DELETE" and "/toxics/" in p else "pass"
        pressed = Pressed()
        await pressed.undo(undo)
        assert pressed.steps == ["retry", "switch", "recreate"]
        assert pressed.why[0] == "it still reads back as there"


async def test_somebody_elses_toxiproxy_is_never_reset_nor_restarted() -> None:
    async with cache_behind_door() as one:
        undo = await injected(place(one.url))
        one.rule = lambda m, p: "fail" if m == "DELETE" else "pass"
        pressed = Pressed()
        with pytest.raises(StuckFaultError, match="it is stuck") as caught:
            await pressed.undo(undo)
        assert pressed.steps == ["retry", "switch", "recreate"]
        assert "gameday heal" in caught.value.help
        assert one.bodies("POST /reset") == []
        assert (await state(one.behind))["cache"][0], "the proxy is on again all the same"


async def test_a_toxiproxy_of_the_stack_is_reset_and_others_get_their_toxics_back(
    tmp_path: Path,
) -> None:
    async with cache_behind_door() as one:
        before = await state(one.behind)
        undo = await injected(place(one.url, running_part(tmp_path)))
        one.rule = lambda m, p: "fail" if m == "DELETE" else "pass"
        pressed = Pressed()
        await pressed.undo(undo)
        assert pressed.steps == ["retry", "switch", "recreate", "reset"]
        assert await state(one.behind) == before


def running_part(tmp_path: Path) -> Path:
    """The file of a part of a stack that is not to be started again here."""
    part = tmp_path / "toxiproxy.json"
    Launch(
        name=OWN_SERVER, token="t", argv=["true"], environment={}, folder=tmp_path, log=part
    ).write(part)
    return part


def wedged(method: str, path: str) -> Whim:
    """As the real one wedges: only `/version` answers."""
    del method
    return "pass" if path == "/version" else "hang"


async def test_a_wedged_toxiproxy_of_somebody_elses_ends_with_the_cure_in_time() -> None:
    async with cache_behind_door() as one:
        undo = await injected(place(one.url))
        one.rule = wedged
        pressed = Pressed()
        with pytest.raises(StuckFaultError, match="it is wedged") as caught:
            await pressed.undo(undo)
        assert caught.value.exit_code == 6
        assert "restart the Toxiproxy at" in caught.value.help
        assert pressed.took_s < WITHIN_S
        assert pressed.steps == ["retry", "switch"]
        deleted = one.bodies("DELETE /proxies/cache")
        assert all("/toxics/" in each for each in deleted), "that would hang everybody's API"


async def test_a_server_that_answers_nothing_at_all_is_not_called_wedged() -> None:
    async with cache_behind_door() as one:
        undo = await injected(place(one.url))
        one.rule = lambda m, p: "hang"
        pressed = Pressed()
        with pytest.raises(StuckFaultError, match="stopped, overloaded or cut off") as caught:
            await pressed.undo(undo)
        assert "answers again" in caught.value.help
        assert pressed.steps == ["retry"]
        assert pressed.took_s < WITHIN_S


async def test_a_wedged_toxiproxy_of_the_stack_is_restarted_once_and_filled(tmp_path: Path) -> None:
    async with (
        redis_like() as upstream,
        server(tmp_path, OURS, upstream) as one,
        door(one.url) as before,
    ):
        first = pid_of(one.part)
        was = await state(before.behind)
        site = place(before.url, one.part)
        undos = [await injected(site), await injected(site)]
        before.rule = lambda m, p: wedged(m, p) if pid_of(one.part) == first else "pass"
        both = [Pressed(), Pressed()]
        await asyncio.gather(*(p.undo(u) for p, u in zip(both, undos, strict=True)))
        assert sum("restart" in p.steps for p in both) == 1
        assert pid_of(one.part) != first
        assert await state(before.behind) == was
        assert max(p.took_s for p in both) < WITHIN_S


def pid_of(part: Path) -> int:
    launch = Launch.read(part)
    assert launch is not None
    return launch.pid


async def test_a_server_cut_off_for_a_while_is_waited_for() -> None:
    async with cache_behind_door() as one:
        undo = await injected(place(one.url))
        await one.shut()
        pressed = Pressed()
        undoing = asyncio.create_task(pressed.undo(undo, refused_s=20))
        await asyncio.sleep(1)
        assert not undoing.done()
        await one.open()
        await undoing
        assert await toxic_names(one.behind, "cache") == [SOMEBODYS]


async def test_a_server_that_stays_away_may_come_back_with_its_toxics() -> None:
    async with cache_behind_door() as one:
        undo = await injected(place(one.url))
        await one.shut()
        pressed = Pressed()
        with pytest.raises(StuckFaultError, match="could not be read back") as caught:
            await pressed.undo(undo, refused_s=0.5)
        assert "restart it" in caught.value.help
        assert pressed.took_s < WITHIN_S
        assert await drivers.read_back(undo) is None
        await one.open()
        assert await drivers.read_back(undo) is False


async def test_a_proxy_that_does_not_go_on_again_is_pressed_too() -> None:
    async with cache_behind_door() as one:
        before = await state(one.behind)
        undo = await injected(place(one.url), ProxyDown("redis"))
        fails: list[Whim] = ["fail", "fail"]
        one.rule = lambda m, p: fails.pop() if m == "POST" and fails else "pass"
        pressed = Pressed()
        await pressed.undo(undo)
        assert pressed.steps == ["retry", "switch"]
        assert await state(one.behind) == before


async def test_what_a_step_puts_at_risk_can_be_put_back_by_another_process() -> None:
    async with cache_behind_door() as one:
        before = await state(one.behind)
        undo = await injected(place(one.url))
        one.rule = lambda m, p: "fail" if m == "DELETE" and "/toxics/" in p else "pass"
        pressed = Pressed()
        await pressed.undo(undo)
        switch, recreate = pressed.undos[1:]
        await one.behind.enable("cache", enabled=False)  # killed before it was on again
        await drivers.undo(from_json(switch[0].as_json()))
        assert await state(one.behind) == before
        await one.behind.delete("cache")  # killed before it was made anew
        assert not await drivers.read_back(recreate[0])
        for _ in range(2):
            await drivers.undo(from_json(recreate[0].as_json()))
        assert await drivers.read_back(recreate[0])
        assert await state(one.behind) == before


@pytest.mark.parametrize("argv", [OURS, real_argv()], ids=["ours", "the real one"])
async def test_removals_with_many_connections_are_soon_over(
    tmp_path: Path, argv: Sequence[str] | None
) -> None:
    if argv is None:
        pytest.skip("no real Toxiproxy: set GAMEDAY_TOXIPROXY or put toxiproxy-server on the PATH")
    taken = await with_connections(tmp_path, argv, 2, 200)
    assert [one.stuck for one in taken] == ["", ""]
    assert max(one.took_s for one in taken) < WITHIN_S
