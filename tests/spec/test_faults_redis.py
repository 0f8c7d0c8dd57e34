"""Redis faults against a real Redis: there while they last, gone when undone, by whoever undoes."""

import asyncio
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import RedisError

from gameday.core.clock import SystemClock
from gameday.core.errors import UsageError
from gameday.core.messages import Message
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.store_sessions import StoreError
from gameday.spec.changes import Change
from gameday.spec.faults.redis import Block, Evict, Expire, Memory
from gameday.spec.request import FromEnv
from gameday.spec.system import RedisStore, Stores
from gameday.spec.undos import Undo, from_json
from tests.support.sut_stores import redis_server

drivers = Drivers()

RUN = "20261123T083000Z-redis-evict-k3f9"
STORES = Stores(redis=RedisStore(url=FromEnv(env="A"), remaining="stock", holders="holders"))
Client = redis.asyncio.Redis


@pytest.fixture(scope="module")
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A store of the tests' own; of the program on PATH that is asked for by a parameter."""
    password, asked = secrets.token_hex(8), getattr(request, "param", "")
    if asked and shutil.which(asked) is None:
        pytest.skip(f"no {asked} on PATH")
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder), password, program=asked) as port,
    ):
        yield f"redis://:{password}@127.0.0.1:{port}/0"


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    one: Client = Client.from_url(url, decode_responses=True, socket_timeout=10, retry=None)
    try:
        await one.flushall()
        yield one
    finally:
        await one.aclose()


def site(url: str) -> InjectionContext:
    return InjectionContext(RUN, None, {}, Direct(STORES, {"A": url}))


async def begin(fault: Any, where: InjectionContext) -> tuple[Change, Undo]:
    """The fault, acted; how it is undone as another process reads it."""
    (change,) = fault.changes()
    undo = await drivers.prepare(change, where)
    await drivers.act(change, undo, where)
    return change, from_json(json.loads(json.dumps(undo.as_json())))


def fault(kind: Any, **keys: Any) -> Any:
    name = {Evict: "evict", Expire: "expire", Block: "block", Memory: "memory"}[kind]
    return kind.model_validate({"fault": f"redis.{name}", "at": "5s", "duration": "5s", **keys})


async def eventually(true: Any, within_s: float = 5.0) -> bool:
    clock = SystemClock()
    deadline_ns = clock.now_ns() + int(within_s * 1e9)
    while not await true():
        if clock.now_ns() > deadline_ns:
            return False
        await clock.sleep(0.02)
    return True


async def test_a_share_of_the_matching_keys_is_lost_and_told(url: str) -> None:
    async with client(url) as redis:
        await redis.mset({f"stock:{n}": n for n in range(10)} | {"holders:1": "x"})
        _, undo = await begin(fault(Evict, keys="stock:*", share=0.25), site(url))
        assert len(await redis.keys("stock:*")) == 7  # 2.5 of 10 are 3
        assert await redis.exists("holders:1")
        assert await drivers.dose(undo) == (
            True,
            3.0,
            "keys",
            Message("dose.keys_deleted", count=3),
        )
        assert await drivers.read_back(undo, {"A": url}) is True
        await drivers.undo(undo, {"A": url})


async def test_no_key_lost_is_no_dose(url: str) -> None:
    async with client(url):
        _, undo = await begin(fault(Evict, keys="nothing:*"), site(url))
        told = await drivers.dose(undo)
        assert told is not None
        assert told[0] is False


async def test_keys_are_lost_again_and_again_until_it_is_undone(url: str) -> None:
    async with client(url) as redis:

        async def lost() -> bool:
            return not await redis.exists("guard:1")

        _, undo = await begin(fault(Evict, every="50ms"), site(url))
        for _ in range(2):
            await redis.set("guard:1", "x")
            assert await eventually(lost)
        assert await drivers.read_back(undo, {"A": url}) is False
        await drivers.undo(undo, {"A": url})
        assert await drivers.read_back(undo, {"A": url}) is True
        await redis.set("guard:1", "x")
        assert not await eventually(lost, 0.2)


async def test_keys_run_out_and_those_that_live_are_spared_by_the_undo(url: str) -> None:
    async with client(url) as redis:
        await redis.mset({"a": 1, "b": 2, "c": 3})
        await redis.pexpire("b", 500_000)
        before = await redis.pexpiretime("b")
        _, undo = await begin(fault(Expire, ttl="100s"), site(url))
        assert all([0 < await redis.ttl(key) <= 100 for key in "abc"])
        assert await drivers.read_back(undo, {"A": url}) is False
        told = await drivers.dose(undo)
        assert told is not None
        assert told[:3] == (True, 3.0, "keys")
        await redis.expire("c", 7)  # somebody else's from now on
        await drivers.undo(undo, {"A": url})
        await drivers.undo(undo, {"A": url})
        assert await redis.ttl("a") == -1
        assert await redis.pexpiretime("b") == before
        assert 0 < await redis.ttl("c") <= 7
        assert await drivers.read_back(undo, {"A": url}) is True


async def test_keys_that_have_run_out_stay_lost(url: str) -> None:
    async with client(url) as redis:
        await redis.mset({"a": 1, "b": 2})
        _, undo = await begin(fault(Expire, keys="a", ttl="10ms"), site(url))

        async def out() -> bool:
            return not await redis.exists("a")

        assert await eventually(out)
        assert await drivers.read_back(undo, {"A": url}) is False
        await drivers.undo(undo, {"A": url})
        assert await redis.keys("*") == ["b"]
        assert await drivers.read_back(undo, {"A": url}) is True


async def test_keys_that_cannot_be_let_run_out_are_told_before(url: str) -> None:
    async with client(url) as redis:
        with pytest.raises(StoreError, match="no key matches 'x'"):
            await begin(fault(Expire, keys="x", ttl="10s"), site(url))
        await redis.mset({f"k{n}": n for n in range(1001)})
        with pytest.raises(StoreError, match="1001 keys match"):
            await begin(fault(Expire, ttl="10s"), site(url))


@pytest.mark.parametrize("url", ["", "redis-server"], indirect=True, ids=["package", "PATH"])
async def test_everybody_waits_for_the_script_until_it_is_undone(url: str) -> None:
    async with client(url) as redis:
        clock = SystemClock()
        _, undo = await begin(fault(Block, busy="150ms"), site(url))

        async def waited_ms() -> float:
            began = clock.now_ns()
            await redis.ping()
            return (clock.now_ns() - began) / 1e6

        async def slow() -> bool:
            return await waited_ms() > 100

        assert await eventually(slow)
        assert await drivers.read_back(undo, {"A": url}) is False
        await drivers.undo(undo, {"A": url})
        assert await drivers.read_back(undo, {"A": url}) is True
        assert min([await waited_ms() for _ in range(5)]) < 75


async def test_another_process_ends_the_script_of_one_that_is_frozen(url: str) -> None:
    """The task is left alone here, as if its process stood still: its connection is ended."""
    async with client(url) as redis:
        (change,) = fault(Block, busy="20ms").changes()
        where = site(url)
        undo = await drivers.prepare(change, where)
        await drivers.act(change, undo, where)
        other = f"""
import asyncio, json
from gameday.injection.drivers import Drivers
from gameday.spec.undos import Undo, from_json
undo = from_json(json.loads({json.dumps(undo.as_json())!r}))
asyncio.run(Drivers().undo(undo, {{"A": {url!r}}}))
print(asyncio.run(Drivers().read_back(undo, {{"A": {url!r}}})))
"""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", other, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        assert said.strip() == b"True"
        assert not [one for one in await redis.client_list() if one["name"].startswith("gameday-")]
        await drivers.undo(undo)


async def test_a_full_redis_refuses_to_write_and_forgets_nothing(url: str) -> None:
    async with client(url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        await redis.set("kept", "x")
        _, undo = await begin(fault(Memory), site(url))
        with pytest.raises(RedisError, match="OOM|maxmemory"):
            await redis.set("new", "y")
        assert await redis.get("kept") == "x"
        assert await drivers.read_back(undo, {"A": url}) is False
        await drivers.undo(undo, {"A": url})
        await drivers.undo(undo, {"A": url})
        assert await drivers.read_back(undo, {"A": url}) is True
        assert await redis.config_get("maxmemory*") == {
            **await redis.config_get("maxmemory*"),
            "maxmemory": "0",
            "maxmemory-policy": "allkeys-lru",
        }
        await redis.set("new", "y")


async def test_half_of_a_full_redis_is_there_and_put_back(url: str) -> None:
    """Two commands set it and two put it back, and the second of either may fail."""
    async with client(url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        _, undo = await begin(fault(Memory), site(url))
        await redis.config_set("maxmemory", 0)  # as before, while the policy still is the fault's
        assert await drivers.read_back(undo, {"A": url}) is False
        await drivers.undo(undo, {"A": url})
        assert await drivers.read_back(undo, {"A": url}) is True
        policy = await redis.config_get("maxmemory-policy")
        assert policy == {"maxmemory-policy": "allkeys-lru"}


async def test_a_setting_that_somebody_has_changed_is_left_alone(url: str) -> None:
    async with client(url) as redis:
        _, undo = await begin(fault(Memory), site(url))
        await redis.config_set("maxmemory", 900_000_000)
        await drivers.undo(undo, {"A": url})
        assert (await redis.config_get("maxmemory"))["maxmemory"] == "900000000"
        await redis.config_set("maxmemory", 0)


async def test_more_room_by_somebody_else_does_not_hide_the_policy_of_the_fault(url: str) -> None:
    async with client(url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        await redis.config_set("maxmemory", 500_000_000)
        (change,) = fault(Memory).changes()
        undo = await drivers.prepare(change, site(url))
        assert await drivers.read_back(undo, {"A": url}) is True  # it has not acted yet
        await drivers.act(change, undo, site(url))
        await redis.config_set("maxmemory", 900_000_000)
        assert await drivers.read_back(undo, {"A": url}) is False
        await drivers.undo(undo, {"A": url})
        assert await drivers.read_back(undo, {"A": url}) is True
        found = await redis.config_get("maxmemory*")
        assert (found["maxmemory"], found["maxmemory-policy"]) == ("900000000", "allkeys-lru")
        await redis.config_set("maxmemory", 0)


async def test_a_redis_that_is_away_is_not_known_to_have_forgotten() -> None:
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder), "pw") as port:
        url = f"redis://:pw@127.0.0.1:{port}/0"
        _, block = await begin(fault(Block, busy="10ms"), site(url))
        _, memory = await begin(fault(Memory), site(url))
    for undo in (block, memory):
        await drivers.undo(undo, {"A": url})
        gone, why = await drivers.look(undo, {"A": url})
        assert gone is None
        assert "not known to have ended" in why


async def test_a_redis_at_another_address_tells_nothing_of_the_one_that_was_changed(
    url: str,
) -> None:
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder), "pw") as port:
        other = f"redis://:pw@127.0.0.1:{port}/0"
        async with client(url) as redis:
            _, undo = await begin(fault(Memory), site(url))
            gone, why = await drivers.look(undo, {"A": other})
            assert gone is None
            assert f"127.0.0.1:{port}" in why
            assert "pw" not in why
            await drivers.undo(undo, {"A": url})
            assert await drivers.read_back(undo, {"A": url}) is True
            await redis.ping()


async def test_a_redis_restarted_since_has_forgotten() -> None:
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder), "pw") as port:
        url = f"redis://:pw@127.0.0.1:{port}/0"
        _, undo = await begin(fault(Memory), site(url))
        elsewhere = {**undo.as_json()["server"], "id": "x"}
        before = {**undo.as_json(), "maxmemory": 7, "server": {**elsewhere, "now_s": 1.0}}
        gone, why = await drivers.look(from_json({"kind": "redis", **before}), {"A": url})
        assert (gone, why) == (True, "the store was restarted since")
        later = {**before, "server": {**elsewhere, "now_s": 4e9}}
        gone, why = await drivers.look(from_json({"kind": "redis", **later}), {"A": url})
        assert gone is None
        assert "another server" in why


async def test_no_password_is_in_the_undo(url: str) -> None:
    async with client(url):
        _, undo = await begin(fault(Evict), site(url))
        assert undo.as_json()["url"] == {"env": "A"}
        assert url.split(":")[2].split("@")[0] not in json.dumps(undo.as_json())


async def test_a_system_without_a_redis_says_what_to_add() -> None:
    (change,) = fault(Memory).changes()
    with pytest.raises(UsageError, match="names none"):
        await drivers.prepare(change, InjectionContext(RUN, None, {}))


async def test_a_wrong_address_is_told_not_raised_as_something_else() -> None:
    (change,) = fault(Memory).changes()
    with pytest.raises(StoreError, match="redis: "):
        await drivers.prepare(change, site("redis://127.0.0.1:1/0"))


@pytest.mark.parametrize(
    ("kind", "keys", "what"),
    [
        (Evict, {"share": 0}, "share"),
        (Evict, {"share": 1.5}, "share"),
        (Evict, {"every": "1ms"}, "every"),
        (Expire, {"ttl": 0}, "ttl"),
        (Block, {"busy": "2s"}, "busy"),
        (Block, {"busy": 0}, "busy"),
    ],
)
def test_a_dose_out_of_bounds_is_refused(kind: Any, keys: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        fault(kind, **keys)
