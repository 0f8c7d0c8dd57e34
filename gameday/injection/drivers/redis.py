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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import redis.asyncio
from redis.exceptions import NoPermissionError, RedisError

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError
from gameday.core.network.allow_list import refusal
from gameday.injection.context import InjectionContext
from gameday.injection.drivers.driver import Dose, Environment
from gameday.injection.drivers.held import wanted
from gameday.injection.drivers.store_sessions import (
    StoreDriver,
    StoreError,
    address,
    extended,
    no_store,
    server,
    store_error,
)
from gameday.injection.removal_proof import State
from gameday.spec.changes import (
    BlockRedis,
    EvictKeys,
    ExpireKeys,
    FillMemory,
    RedisChange,
)
from gameday.spec.undos import ExpiryUndo, MemoryUndo, RedisUndo, StoreServer

CONNECT_S = 3.0  # a dead address never answers
ANSWER_S = 5.0  # a busy script holds up every command for as long as it runs
MOST_KEYS = 100_000
MOST_KEYS_JOURNALED = 1_000
BATCH = 500  # keys a command, so that none holds the server up
FIRST_PART = 8  # the first script is an eighth, to measure how fast this server counts
# Counted, because no clock can be asked inside every script: TIME stands still there since
# Redis 7.2, and os.clock came with 7.4 and Valkey 8.
BUSY = "for _ = 1, tonumber(ARGV[1]) do end"
ROUNDS_A_S = 20_000_000  # measured with five processes a core; the first script is rather too short

_Client = redis.asyncio.Redis
_NO_EVICTION = "noeviction"


class RedisDriver(StoreDriver):
    """Changes of a Redis."""

    store = "redis"

    def record(self, change: RedisChange, context: InjectionContext) -> RedisUndo:
        """The undo as far as it is known before Redis is asked. Raises UsageError."""
        store = context.direct.stores.redis
        if store is None:
            raise no_store("Redis itself", "redis", "url")
        make = partial(RedisUndo, url=store.url.model_dump(mode="json"))
        return self.begun(make, change.do, context)

    async def read(
        self, change: RedisChange, undo: RedisUndo, environment: Environment
    ) -> RedisUndo:
        """The undo with what only Redis knows."""
        async with _redis(undo, environment) as client:
            undo = replace(undo, server=await _server(client, undo, environment))
            match change:
                case ExpireKeys():
                    return await _look_at_keys(client, change, undo)
                case FillMemory():
                    return await _look_at_memory(client, undo)
                case _:
                    return replace(undo, lasts=_lasts(change))

    async def act(self, change: RedisChange, undo: RedisUndo, context: InjectionContext) -> None:
        """Do it; what has to go on goes on in a task of its own until `undo`."""
        environment = context.direct.environment
        if isinstance(change, BlockRedis | EvictKeys) and _lasts(change):
            client = await _open(undo, environment, undo.name)
            go_on = _go_on(client, change, undo.name, self)
            await self.held.start(undo.name, go_on)
            return
        async with _redis(undo, environment) as client:
            match undo:
                case ExpiryUndo():
                    self.held.count(undo.name, await _let_run_out(client, undo))
                    await self.held.start(undo.name, _stay(self.clock))
                case MemoryUndo():
                    await client.config_set("maxmemory-policy", _NO_EVICTION)
                    await client.config_set("maxmemory", undo.maxmemory)
                case _ if isinstance(change, EvictKeys):
                    self.held.count(undo.name, await _evict(client, change))
                case _:
                    raise ValueError(f"no such thing to do to a Redis: {change.do!r}")

    async def restore(self, record: RedisUndo, environment: Environment) -> None:
        """Put back what can be put back and is still as this run set it."""
        if _is_over_at_once(record):
            return
        async with _redis(record, environment) as client:
            match record:
                case ExpiryUndo():
                    await _keep(client, record)
                case MemoryUndo():
                    await _restore_memory(client, record)
                case _:
                    for each in await _clients(client, record.name):
                        await client.client_kill_filter(_id=each)

    def on_disk(self, record: RedisUndo) -> bool:
        """True for an expiry: a Redis that keeps its data on a disk may come back with it."""
        return isinstance(record, ExpiryUndo)

    async def look(self, record: RedisUndo, environment: Environment) -> State:
        """State of the change: gone when nothing of it goes on. Deleted keys stay deleted.

        Raises StoreError.
        """
        if _is_over_at_once(record):
            return State(gone=True, why="over at once: nothing of it stays")
        return await super().look(record, environment)

    def is_held(self, record: RedisUndo) -> bool:
        """True until an expiry is undone, though by now all of the keys may have run out."""
        return isinstance(record, ExpiryUndo)

    async def seen(self, record: RedisUndo, environment: Environment) -> tuple[bool, StoreServer]:
        async with _redis(record, environment) as client:
            return await _is_there(client, record), await _server(client, record, environment)

    async def dose(self, record: RedisUndo) -> Dose | None:
        """The number of keys that were hit; None where reading back tells it."""
        if record.do not in ("evict", "expire"):
            return None
        what = "deleted" if record.do == "evict" else "expiring"
        return self.counted(record, "keys", what)


def _lasts(change: RedisChange) -> bool:
    """True for a change that has to be made again and again."""
    return isinstance(change, BlockRedis) or (isinstance(change, EvictKeys) and change.every_ms > 0)


def _is_over_at_once(record: RedisUndo) -> bool:
    return record.do == "evict" and not record.lasts


async def _is_there(client: _Client, record: RedisUndo) -> bool:
    match record:
        case ExpiryUndo():
            return bool(await _running_out(client, record))
        case MemoryUndo():
            return await _is_limited(client, record)
        case _:
            return bool(await _clients(client, record.name))


async def _server(client: _Client, record: RedisUndo, environment: Environment) -> StoreServer:
    """Which server answers; Redis has another `run_id` after each start."""
    url = address(record.url, environment)
    database = str(client.connection_pool.connection_kwargs.get("db") or 0)
    try:
        told = await client.info("server")
        now_s = float((await client.time())[0])
    except NoPermissionError:  # it is the same as far as this user may know
        return server(url, "", 0, 0, database=database)
    began_s = now_s - float(told["uptime_in_seconds"])
    return server(url, str(told["run_id"]), began_s, now_s, database=database)


@asynccontextmanager
async def _redis(record: RedisUndo, environment: Environment) -> AsyncIterator[_Client]:
    client = await _open(record, environment)
    try:
        yield client
    except (RedisError, OSError, TimeoutError) as error:
        raise _store_error(error) from error
    finally:
        await client.aclose()


async def _open(record: RedisUndo, environment: Environment, name: str | None = None) -> _Client:
    """A client with one connection. Raises StoreError, StoreGoneError when nothing listens."""
    try:
        client: _Client = _Client.from_url(
            address(record.url, environment),
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
    return store_error("redis", error)


async def _go_on(
    client: _Client, change: BlockRedis | EvictKeys, name: str, driver: RedisDriver
) -> None:
    """Block or evict again and again, until cancelled or Redis does not let us."""
    clock = driver.clock
    busy_s = change.busy_ms / 1000 if isinstance(change, BlockRedis) else 0.0
    rounds = busy_s / FIRST_PART * ROUNDS_A_S
    try:
        while wanted():
            if isinstance(change, EvictKeys):
                driver.held.count(name, await _evict(client, change))
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


async def _look_at_keys(client: _Client, change: ExpireKeys, undo: RedisUndo) -> ExpiryUndo:
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
    return extended(ExpiryUndo, undo, keys=dict(zip(keys, before, strict=True)), at_ms=at_ms)


async def _expiries(client: _Client, keys: Sequence[str]) -> list[int]:
    """When each runs out, in ms since 1970; -1 never, -2 there is no such key."""
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.pexpiretime(key)
    return [int(at) for at in await pipe.execute()]


async def _let_run_out(client: _Client, undo: ExpiryUndo) -> int:
    pipe = client.pipeline(transaction=False)
    for key in undo.keys:
        pipe.pexpireat(key, undo.at_ms)
    return sum(bool(done) for done in await pipe.execute())


async def _running_out(client: _Client, record: ExpiryUndo) -> list[str]:
    """The keys that still run out when this run said."""
    keys = list(record.keys)
    found = await _expiries(client, keys)
    return [key for key, at in zip(keys, found, strict=True) if at == record.at_ms]


async def _keep(client: _Client, record: ExpiryUndo) -> None:
    """Give keys that have not expired yet their old time to live back."""
    pipe = client.pipeline(transaction=False)
    for key in await _running_out(client, record):
        before = record.keys[key]
        if before < 0:
            pipe.persist(key)
        else:
            pipe.pexpireat(key, before)
    await pipe.execute()


async def _is_limited(client: _Client, record: MemoryUndo) -> bool:
    """True while any of its two settings is this run's: either may have failed to be altered."""
    return await _is_full(client, record) or await _keeps_all(client, record)


async def _is_full(client: _Client, record: MemoryUndo) -> bool:
    return await _maxmemory(client) == record.maxmemory


async def _keeps_all(client: _Client, record: MemoryUndo) -> bool:
    """True if the policy is the fault's, and was another before.

    Many servers have that policy by themselves, so it is asked which server this is.
    """
    if record.policy_before == _NO_EVICTION or await _policy(client) != _NO_EVICTION:
        return False
    return record.server is None or await _run_id(client) in ("", record.server.id)


async def _run_id(client: _Client) -> str:
    """The server's name for itself since it was started; "" where this user may not know it."""
    try:
        return str((await client.info("server"))["run_id"])
    except NoPermissionError:
        return ""


async def _policy(client: _Client) -> str:
    return str((await client.config_get("maxmemory-policy"))["maxmemory-policy"])


async def _maxmemory(client: _Client) -> int:
    return int((await client.config_get("maxmemory"))["maxmemory"] or 0)


async def _look_at_memory(client: _Client, undo: RedisUndo) -> MemoryUndo:
    """The setting there is, and one that is certainly less than what is used."""
    policy = await _policy(client)
    used = int((await client.info("memory"))["used_memory"])
    before = await _maxmemory(client)
    full = max(1, used // 2)
    if 0 < before <= full:
        raise StoreError(f"redis: it is full already: {used} bytes used, maxmemory {before}")
    return extended(MemoryUndo, undo, maxmemory=full, maxmemory_before=before, policy_before=policy)


async def _restore_memory(client: _Client, record: MemoryUndo) -> None:
    """Each of its two settings, only where it is still this run's."""
    if await _is_full(client, record):
        await client.config_set("maxmemory", record.maxmemory_before)
    if await _keeps_all(client, record):
        await client.config_set("maxmemory-policy", record.policy_before)


async def _clients(client: _Client, name: str) -> list[str]:
    """The connections of that name: only this run has one."""
    return [each["id"] for each in await client.client_list() if each["name"] == name]
