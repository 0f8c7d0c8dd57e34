"""Holders that a Redis keeps: in a set, a sorted set, a hash, or one key a user.

All of them are scanned in pieces (SSCAN, ZSCAN, HSCAN, SCAN; never KEYS, SMEMBERS or HGETALL): a
set may be larger than memory, and a store that holds still for us is a fault of its own. A scan may
tell of somebody twice; a user or a field is there once.

Keys that expire are no audit: whether one that is not there was ever there, nobody can tell.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis.asyncio

from gameday.core.errors import UsageError
from gameday.evidence.rows import (
    MOST_BYTES,
    SHORT_ID,
    Column,
    RowError,
    Rows,
    User,
    columns_of,
    issue_id,
    user_of,
)
from gameday.injection.drivers.request import secret
from gameday.plan.stores import (
    PIECE,
    STATEMENT_TIMEOUT_MS,
    STORE_S,
    StoreReadError,
    StoreRows,
)
from gameday.plan.stores.postgres import unusable
from gameday.plan.stores.values import count_value, text_of
from gameday.spec.system import RedisHolders, RedisStore
from gameday.spec.template import fill_text

MOST_HOLDERS: Final = 8_000_000  # as many as an answer has room for beside its rows; 320 MB
MOST_HELD: Final = 4_000_000  # where a set is the audit itself
_SCANS: Final = {"set": "s", "zset": "z", "hash": "h"}
_ELSEWHERE: Final = (
    redis.exceptions.ClusterCrossSlotError,
    redis.exceptions.AskError,
    redis.exceptions.ClusterError,
)
_AT_ONCE: Final = 50_000  # pairs that become rows
_GLOB: Final = str.maketrans({each: f"\\{each}" for each in "*?[]\\^"})
_LOOKED_AT: Final = 200 * MOST_HOLDERS  # keys of others that a scan for ours may pass


@asynccontextmanager
async def session(
    store: RedisStore, environment: Mapping[str, str]
) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of the store, for a bounded time. Raises UsageError or StoreReadError."""
    url = secret(store.url, environment)
    try:
        client = redis.asyncio.Redis.from_url(url, socket_timeout=STATEMENT_TIMEOUT_MS / 1000)
    except (ValueError, TypeError) as error:
        raise unusable("stores.redis.url", error) from error
    try:
        async with asyncio.timeout(STORE_S):
            await _must_be_master(client)
            yield client
    except redis.RedisError as error:
        raise StoreReadError(f"stores.redis: {type(error).__name__}: {error}") from error
    finally:
        await client.aclose()


async def read_redis(store: RedisStore, campaign: str, environment: Mapping[str, str]) -> StoreRows:
    """One reading of a Redis: who holds one, its stock, and what is left.

    Raises UsageError, RowError or StoreReadError.
    """
    where, values = store.where, {"coupon": campaign}
    if where is None and store.stock is None and store.remaining is None:
        raise UsageError("stores.redis: no `holders`")
    found = StoreRows()
    async with session(store, environment) as client:
        held = HolderSet()
        if where is not None:
            async for piece in scan(client, where, campaign):
                held.add(piece)
        held.put_into(found.rows)
        for key in ("stock", "remaining"):
            named = getattr(store, key)
            if named is not None:
                raw = await client.get(fill_text(named, values))
                setattr(found, key, None if raw is None else count_value(key, raw))
    return found


Pairs = Sequence[tuple[str, str, str]]
"""Users and the ids of their issues, "" for none; and what tells two issues of one user apart."""


class HolderSet:
    """Pairs that a scan told of, each once: some 40 bytes for each, however often it is told."""

    def __init__(self) -> None:
        self._pieces: list[npt.NDArray[np.bytes_]] = []
        self._count = self._widest = 0

    def add(self, pairs: Pairs) -> None:
        """Raises RowError for too many."""
        if not pairs:
            return
        users = [str(user_of(user)) for user, _, _ in pairs]  # a NUL is an escape from here on
        ids = [issue_id(id_) for _, id_, _ in pairs]
        apart = [mark and f"{mark}." for _, _, mark in pairs]  # NULs at the end are cut off
        all_ = zip(users, ids, apart, strict=True)
        both = [f"{user}\0{id_}\0{mark}".encode() for user, id_, mark in all_]
        piece = np.array(both, dtype=np.bytes_)
        self._pieces.append(piece)
        self._count += len(piece)
        self._widest = max(self._widest, piece.dtype.itemsize)
        if self._count > 2 * MOST_HELD or self._count * self._widest > MOST_BYTES:
            raise RowError(f"more than {MOST_HELD} holders, or very long ones")

    def put_into(self, rows: Rows) -> None:
        """Add them to rows, in one order however the scan came across them."""
        if not self._pieces:
            return
        found = np.unique(np.concatenate(self._pieces))
        for at in range(0, len(found), _AT_ONCE):
            told = [f"{raw.decode()}\0\0" for raw in found[at : at + _AT_ONCE].tolist()]
            pairs = [each.split("\0", 2)[:2] for each in told]
            rows.add([user for user, _ in pairs], [id_ for _, id_ in pairs])


async def scan(
    client: redis.asyncio.Redis, where: RedisHolders, campaign: str
) -> AsyncIterator[Pairs]:
    """Pairs in pieces; a pair may come twice. Raises RowError or RedisError."""
    if where.keys is not None:
        async for found in _keys(client, where, where.keys, campaign):
            yield found
        return
    key = fill_text(where.key, {"coupon": campaign})
    if await client.pttl(key) >= 0:
        raise RowError(f"{key} expires: who is not in it may have been there")
    kind = next(name for name in ("set", "zset", "hash") if getattr(where, name) is not None)
    ask: Callable[..., Awaitable[tuple[int, Any]]] = getattr(client, f"{_SCANS[kind]}scan")
    cursor = -1
    while cursor:
        cursor, told = await ask(key, max(int(cursor), 0), count=PIECE)
        match kind:
            case "set":
                yield [(text_of(member), "", "") for member in told]
            case "zset":
                yield [(text_of(member), "", "") for member, _ in told]
            case _:
                yield [_of_hash(where, text_of(f), text_of(v)) for f, v in told.items()]


def _of_hash(where: RedisHolders, field: str, value: str) -> tuple[str, str, str]:
    """A field is an issue, also where it is not its id: a user as value may have several."""
    both = {"field": field, "value": value, None: ""}
    return both[where.user], both[where.id], field if where.user == "value" else ""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Text before and behind the user in a key."""

    before: str
    behind: str

    @classmethod
    def of(cls, keys: str, campaign: str) -> "_Pattern":
        before, _, behind = keys.partition("{user}")
        values = {"coupon": campaign}
        return cls(fill_text(before, values), fill_text(behind, values))

    @property
    def glob(self) -> str:
        return f"{self.before.translate(_GLOB)}*{self.behind.translate(_GLOB)}"

    def user_of(self, key: str) -> str:
        return key[len(self.before) : len(key) - len(self.behind)]


async def _keys(
    client: redis.asyncio.Redis, where: RedisHolders, keys: str, campaign: str
) -> AsyncIterator[Pairs]:
    """One key a user. Raises RowError where they expire: then nobody knows who is missing."""
    pattern = _Pattern.of(keys, campaign)
    await _must_be_here(client, pattern)
    cursor, passed = -1, 0
    while cursor:
        cursor, raw = await client.scan(max(int(cursor), 0), match=pattern.glob, count=PIECE)
        passed += PIECE
        if passed > _LOOKED_AT:
            raise RowError("the scan does not come to an end")
        for at in range(0, len(raw), PIECE):
            yield await _values(client, where, pattern, raw[at : at + PIECE])


async def _must_be_here(client: redis.asyncio.Redis, pattern: _Pattern) -> None:
    """Raise RowError where other keys of that pattern may be on other nodes of a cluster.

    A scan tells of one node alone. A request with several keys is refused by every node, unless all
    of them are in one slot, and here; and it takes no right that a reader has not.
    """
    try:
        await client.exists(*(f"{pattern.before}{each}{pattern.behind}" for each in "abcd"))
    except _ELSEWHERE as error:
        raise RowError("`keys` are on several nodes of a cluster, and one is asked") from error


async def _must_be_master(client: redis.asyncio.Redis) -> None:
    """Raise StoreReadError for a replica: what it does not have yet would be missing."""
    try:
        role = (await client.role())[0]
    except redis.ResponseError:  # no right to ask, or no such command: nobody can tell
        return
    if text_of(role) != "master":
        raise StoreReadError("stores.redis is a replica, which may lag behind: name its master")


async def _values(
    client: redis.asyncio.Redis, where: RedisHolders, pattern: _Pattern, keys: Sequence[bytes | str]
) -> Pairs:
    async with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.pttl(key)
            if where.id is not None:
                pipe.get(key)
        told = await pipe.execute()
    step = 1 if where.id is None else 2
    expiring = [key for key, left in zip(keys, told[::step], strict=True) if left >= 0]
    if expiring:
        text = f"{text_of(expiring[0])} expires: keys that are not there may have been there"
        raise RowError(text)
    raws = told[1::2] if where.id is not None else [None] * len(keys)
    ids = ["" if raw is None else text_of(raw) for raw in raws]
    users = [pattern.user_of(text_of(key)) for key in keys]
    return [(user, id_, "") for user, id_ in zip(users, ids, strict=True)]


async def holders_of(client: redis.asyncio.Redis, key: str) -> list[User]:
    """The members of the set in order, each once: a scan may tell of one again."""
    pieces: list[Column] = []
    told, cursor = 0, -1
    while cursor:
        cursor, members = await client.sscan(key, max(cursor, 0), count=PIECE)
        told += len(members)
        if told > 2 * MOST_HOLDERS:
            raise RowError(f"more than {MOST_HOLDERS} holders")
        pieces += columns_of(list(map(text_of, members)))
    if not told:
        return []
    if all(piece.dtype.kind == "i" for piece in pieces):
        numbers: list[User] = np.unique(np.concatenate(pieces)).tolist()
        return numbers
    texts = [piece.astype(np.bytes_) for piece in pieces]
    wide = [each for each in texts if each.dtype.itemsize > SHORT_ID]
    users = _distinct([each for each in texts if each.dtype.itemsize <= SHORT_ID])
    if wide:  # the few of them are kept apart, or every text would be as wide
        users = sorted({*users, *_distinct(wide)})
    return [user_of(user.decode()) for user in users]


def _distinct(texts: Sequence[npt.NDArray[np.bytes_]]) -> list[bytes]:
    """Texts in order, each once."""
    found: list[bytes] = np.unique(np.concatenate(texts)).tolist() if texts else []
    return found
