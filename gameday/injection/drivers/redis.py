"""Things done to a Redis itself, past its proxy: keys gone or about to go, time and room taken.

`evict` deletes keys, `expire` lets them run out, `block` keeps Redis busy with a slow script, and
`memory` leaves no room to write. What Redis has forgotten nobody can give back: an old counter
put back would hand out coupons twice. So undoing `evict` ends it and restores nothing.

A blocking script runs for a second at most and is then sent again, so that it ends within that
second when its sender is stopped, frozen or killed, whoever is left to undo it.
"""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
from redis.exceptions import NoPermissionError, RedisError

from gameday.core.clock import NS, Clock, SystemClock
from gameday.core.errors import GamedayError, UsageError
from gameday.core.network.addresses import refusal
from gameday.injection.context import InjectionContext
from gameday.injection.drivers.store_sessions import (
    Held,
    StoreError,
    StoreGoneError,
    address,
    away,
    part_of,
    refused,
    server,
    short,
    thrown_away,
    unless_another,
    wanted,
)
from gameday.injection.proof import THERE, State
from gameday.spec.changes import (
    BlockRedis,
    EvictKeys,
    ExpireKeys,
    FillMemory,
    RedisChange,
    Undo,
)

CONNECT_S = 3.0
ANSWER_S = 5.0
MOST_KEYS = 100_000
MOST_KEYS_JOURNALED = 1_000
BATCH = 500
FIRST_PART = 8
# Counted, because no clock can be asked inside every script: TIME stands still there since
# Redis 7.2, and os.clock came with 7.4 and Valkey 8.
BUSY = "for _ = 1, tonumber(ARGV[1]) do end"
ROUNDS_A_S = 20_000_000  # measured with five processes a core; the first script is rather too short

_HELD = Held()
_Client = redis.asyncio.Redis


async def prepare(change: RedisChange, context: InjectionContext) -> Undo:
    """Read what the undo will need. Raises StoreError when Redis does not answer."""
    store = context.direct.stores.redis
    if store is None:
        raise UsageError(
            "this experiment breaks Redis itself, but the system names none",
            help="add `redis:` with its `url` under `stores` of the system file",
        )
    reference = store.url.model_dump(mode="json")
    data: dict[str, Any] = {"do": change.do, "url": reference, "name": short(context.next_name())}
    data |= part_of(context, "redis")
    _HELD.know(data["name"], context.direct.environment)
    async with _redis(data, context.direct.environment) as client:
        match change:
            case ExpireKeys():
                data |= await _look_at_keys(client, change)
            case FillMemory():
                data |= await _look_at_memory(client)
            case _:
                data["lasts"] = _lasts(change)
        data["server"] = await _server(client, data, context.direct.environment)
    return Undo("redis", data)


async def act(
    change: RedisChange, undo: Undo, context: InjectionContext, clock: Clock | None = None
) -> None:
    """Do it; what has to go on goes on in a task of its own until `undo`."""
    data, environment = undo.data, context.direct.environment
    if isinstance(change, BlockRedis | EvictKeys) and _lasts(change):
        client = await _open(data, environment, data["name"])
        go_on = _go_on(client, change, data["name"], clock or SystemClock())
        await _HELD.start(data["name"], go_on)
        return
    async with _redis(data, environment) as client:
        match change:
            case EvictKeys():
                _HELD.count(data["name"], await _evict(client, change))
            case ExpireKeys():
                _HELD.count(data["name"], await _let_run_out(client, data))
                await _HELD.start(data["name"], _stay(clock or SystemClock()))
            case FillMemory():
                await client.config_set("maxmemory-policy", "noeviction")
                await client.config_set("maxmemory", data["maxmemory"])
            case _:
                raise ValueError(f"no such thing to do to a Redis: {change.do!r}")


def _lasts(change: RedisChange) -> bool:
    """True for a change that has to be made again and again."""
    return isinstance(change, BlockRedis) or (isinstance(change, EvictKeys) and change.every_ms > 0)


async def undo(record: Undo, environment: Mapping[str, str] | None = None) -> None:
    """End it, and put back what can be put back and is still as this run set it."""
    data = record.data
    await _HELD.stop(data["name"])
    environment = _HELD.secrets(data["name"], environment)
    if data["do"] == "evict" and not data["lasts"]:
        return
    try:
        async with _redis(data, environment) as client:
            match data["do"]:
                case "expire":
                    await _keep(client, data)
                case "memory":
                    await _restore_memory(client, data)
                case _:
                    for each in await _clients(client, data["name"]):
                        await client.client_kill_filter(_id=each)
    except StoreGoneError:
        if data["do"] == "expire" and not thrown_away(data):
            raise  # a Redis that keeps its data on a disk may come back with it


async def look(record: Undo, environment: Mapping[str, str] | None = None) -> State:
    """State of the change: gone when nothing of it goes on. Deleted keys stay deleted.

    Raises StoreError.
    """
    data = record.data
    environment = _HELD.secrets(data["name"], environment)
    if data["do"] == "evict" and not data["lasts"]:
        return State(gone=True, why="over at once: nothing of it stays")
    if data["do"] == "expire" and _HELD.goes_on(data["name"]):
        # until it is undone, though by now all of the keys may have run out
        return State(gone=False, why=THERE)
    try:
        async with _redis(data, environment) as client:
            if await _is_there(client, data):
                return State(gone=False, why=THERE)
            return unless_another(data, await _server(client, data, environment))
    except StoreGoneError as error:
        return away(data, error, on_disk=data["do"] == "expire")


async def _is_there(client: _Client, data: Mapping[str, Any]) -> bool:
    match data["do"]:
        case "expire":
            return bool(await _running_out(client, data))
        case "memory":
            return await _maxmemory(client) == int(data["maxmemory"])
        case _:
            return bool(await _clients(client, data["name"]))


async def _server(
    client: _Client, data: Mapping[str, Any], environment: Mapping[str, str] | None
) -> dict[str, Any]:
    """Which server answers; Redis has another `run_id` after each start."""
    url = address(data["url"], environment)
    database = str(client.connection_pool.connection_kwargs.get("db") or 0)
    try:
        told = await client.info("server")
        now_s = float((await client.time())[0])
    except NoPermissionError:  # it is the same as far as this user may know
        return server(url, "", 0, 0, database=database)
    began_s = now_s - float(told["uptime_in_seconds"])
    return server(url, str(told["run_id"]), began_s, now_s, database=database)


async def dose(data: Mapping[str, Any]) -> tuple[bool, float, str, str] | None:
    """The number of keys that were hit; None where reading back tells it."""
    if data["do"] not in ("evict", "expire"):
        return None
    count = _HELD.done(data["name"])
    what = "deleted" if data["do"] == "evict" else "given a short time to live"
    return count > 0, float(count), "keys", f"{count} keys were {what}"


@asynccontextmanager
async def _redis(
    data: Mapping[str, Any], environment: Mapping[str, str] | None
) -> AsyncIterator[_Client]:
    client = await _open(data, environment)
    try:
        yield client
    except (RedisError, OSError, TimeoutError) as error:
        raise _store_error(error) from error
    finally:
        await client.aclose()


async def _open(
    data: Mapping[str, Any], environment: Mapping[str, str] | None, name: str | None = None
) -> _Client:
    """A client with one connection. Raises StoreError, StoreGoneError when nothing listens."""
    try:
        client: _Client = _Client.from_url(
            address(data["url"], environment),
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=None,
            single_connection_client=True,
            client_name=name,
            decode_responses=True,
            encoding_errors="surrogateescape",  # a key may be any bytes
        )
    except (ValueError, TypeError):
        raise _unreadable() from None
    try:
        await client.initialize()
        await client.ping()
    except TypeError:  # of an option that it does not know
        raise _unreadable() from None
    except (RedisError, OSError, TimeoutError) as error:
        await client.aclose()
        raise _store_error(error) from error
    return client


def _unreadable() -> StoreError:
    """An error without the library's text, which quotes a piece of the address or the password."""
    help = "write redis://:PASSWORD@HOST:PORT/NUMBER"
    return StoreError("redis: its address cannot be read", help=help)


def _store_error(error: Exception) -> GamedayError:
    if (not_allowed := refusal(error)) is not None:
        return not_allowed
    kind = StoreGoneError if refused(error) else StoreError
    return kind(f"redis: {type(error).__name__}: {error}")


async def _go_on(client: _Client, change: BlockRedis | EvictKeys, name: str, clock: Clock) -> None:
    """Block or evict again and again, until cancelled or Redis does not let us."""
    busy_s = change.busy_ms / 1000 if isinstance(change, BlockRedis) else 0.0
    rounds = busy_s / FIRST_PART * ROUNDS_A_S
    try:
        while wanted():
            if isinstance(change, EvictKeys):
                _HELD.count(name, await _evict(client, change))
                await clock.sleep(change.every_ms / 1000)
            else:
                rounds = await _block(client, busy_s, rounds, clock)
                await clock.sleep(0.001)
    except (RedisError, OSError, TimeoutError):
        return  # it reads back as gone, and the witnesses will say so
    finally:
        await asyncio.shield(client.aclose())


async def _stay(clock: Clock) -> None:
    """Keep the fault in place in this process' eyes, until cancelled."""
    while True:
        await clock.sleep(60.0)


async def _block(client: _Client, busy_s: float, rounds: float, clock: Clock) -> float:
    """One script of `rounds`; how many the next needs to take `busy_s` on a machine as loaded."""
    begun_ns = clock.now_ns()
    await client.eval(BUSY, 0, str(int(rounds)))
    took_s = max((clock.now_ns() - begun_ns) / NS, 0.001)
    # Felt its way up into; a script that the machine held up must not leave the next with nothing.
    return max(rounds / 20, min(rounds * busy_s / took_s, 2 * rounds), 1.0)


async def _chosen(client: _Client, pattern: str, share: float) -> list[str]:
    """A share of the keys that match, the same for the same keys. Raises StoreError."""
    found: set[str] = set()
    async for key in client.scan_iter(match=pattern, count=1000):
        found.add(key)
        if len(found) > MOST_KEYS:
            cure = "name a narrower pattern under `keys`"
            raise StoreError(f"redis: {pattern!r} is more than {MOST_KEYS} keys", help=cure)
    ordered = sorted(found, key=_digest)
    return ordered[: math.ceil(share * len(ordered))]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


async def _evict(client: _Client, change: EvictKeys) -> int:
    keys = await _chosen(client, change.keys, change.share)
    gone = 0
    for i in range(0, len(keys), BATCH):
        gone += int(await client.unlink(*keys[i : i + BATCH]))
    return gone


async def _look_at_keys(client: _Client, change: ExpireKeys) -> dict[str, Any]:
    """The keys that will run out, when each would have without us (-1: never), and when then."""
    keys = await _chosen(client, change.keys, change.share)
    if not keys:
        raise StoreError(f"redis: no key matches {change.keys!r}")
    if len(keys) > MOST_KEYS_JOURNALED:
        raise StoreError(
            f"redis: {len(keys)} keys match {change.keys!r}; {MOST_KEYS_JOURNALED} can be undone",
            help="name a narrower pattern under `keys`, or a smaller `share`",
        )
    before = await _expiries(client, keys)
    seconds, micros = await client.time()
    at_ms = seconds * 1000 + micros // 1000 + change.ttl_ms
    return {"keys": dict(zip(keys, before, strict=True)), "at_ms": at_ms}


async def _expiries(client: _Client, keys: Sequence[str]) -> list[int]:
    """When each runs out, in ms since 1970; -1 never, -2 there is no such key."""
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.pexpiretime(key)
    return [int(at) for at in await pipe.execute()]


async def _let_run_out(client: _Client, data: Mapping[str, Any]) -> int:
    pipe = client.pipeline(transaction=False)
    for key in data["keys"]:
        pipe.pexpireat(key, data["at_ms"])
    return sum(bool(done) for done in await pipe.execute())


async def _running_out(client: _Client, data: Mapping[str, Any]) -> list[str]:
    """The keys that still run out when this run said."""
    keys = list(data["keys"])
    found = await _expiries(client, keys)
    return [key for key, at in zip(keys, found, strict=True) if at == data["at_ms"]]


async def _keep(client: _Client, data: Mapping[str, Any]) -> None:
    """Give keys that have not expired yet their old time to live back."""
    pipe = client.pipeline(transaction=False)
    for key in await _running_out(client, data):
        before = data["keys"][key]
        if before < 0:
            pipe.persist(key)
        else:
            pipe.pexpireat(key, before)
    await pipe.execute()


async def _maxmemory(client: _Client) -> int:
    return int((await client.config_get("maxmemory"))["maxmemory"] or 0)


async def _look_at_memory(client: _Client) -> dict[str, Any]:
    """The setting there is, and one that is certainly less than what is used."""
    policy = (await client.config_get("maxmemory-policy"))["maxmemory-policy"]
    used = int((await client.info("memory"))["used_memory"])
    before = await _maxmemory(client)
    full = max(1, used // 2)
    if 0 < before <= full:
        raise StoreError(f"redis: it is full already: {used} bytes used, maxmemory {before}")
    return {"maxmemory": full, "maxmemory_before": before, "policy_before": policy}


async def _restore_memory(client: _Client, data: Mapping[str, Any]) -> None:
    """Only where the setting is still this run's."""
    if await _maxmemory(client) == data["maxmemory"]:
        await client.config_set("maxmemory", data["maxmemory_before"])
        await client.config_set("maxmemory-policy", data["policy_before"])


async def _clients(client: _Client, name: str) -> list[str]:
    """The connections of that name: only this run has one."""
    return [each["id"] for each in await client.client_list() if each["name"] == name]
