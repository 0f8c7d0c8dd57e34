"""The fast path: one atomic Redis script that admits, and the view of the rows it decides on.

For each campaign Redis holds a guard (the epoch and view it was built for), the stock left, the
set of holders, and the reservations not yet confirmed as recorded. A reservation names the guard
it was admitted under; where the key is absent or another's, the script refuses. The guard in Redis
also names the server's start (its `run_id`), which each connection asks for when it is opened: one
that came back with an older dump, or a replica that took over, holds another's guard. So neither an
emptied nor an outdated Redis ever issues. It is rebuilt from the rows in one MULTI, guard and all.

Reserving is idempotent by reservation id, and a released id leaves a tombstone, so that a
reservation delayed in the network cannot take effect after it was given up.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha1

from redis.asyncio.connection import Connection as _RedisConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import NoScriptError, RedisError

RESERVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
local left = tonumber(redis.call('GET', KEYS[2]))
if not left then return {0} end
local now = redis.call('TIME')[1]
local before, answers = left, {1}
for i = 2, #ARGV, 2 do
  local id, user = ARGV[i], ARGV[i + 1]
  local known = redis.call('HGET', KEYS[4], id)
  if known then
    answers[#answers + 1] = string.sub(known, 1, 1) == 'x' and -3 or left
  elseif redis.call('SISMEMBER', KEYS[3], user) == 1 then
    answers[#answers + 1] = -2
  elseif left <= 0 then
    answers[#answers + 1] = -1
  else
    redis.call('SADD', KEYS[3], user)
    redis.call('HSET', KEYS[4], id, user .. ':' .. now)
    left = left - 1
    answers[#answers + 1] = left
  end
end
if left ~= before then redis.call('SET', KEYS[2], left) end
return answers
"""

RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local now = redis.call('TIME')[1]
local freed = 0
for i = 2, #ARGV do
  local known = redis.call('HGET', KEYS[4], ARGV[i])
  if known and string.sub(known, 1, 1) ~= 'x' then
    redis.call('SREM', KEYS[3], string.match(known, '^%-?%d+'))
    freed = freed + 1
  end
  redis.call('HSET', KEYS[4], ARGV[i], 'x:' .. now)
end
redis.call('INCRBY', KEYS[2], freed)
return freed
"""

SOLD_OUT, DUPLICATE, RELEASED = -1, -2, -3
CALL_TIMEOUT_S = 1.0
_CHUNK = 1000
_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)
_SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (RESERVE, RELEASE)
}


class Connection(_RedisConnection):
    """A connection that knows with which start of the server it speaks."""

    run_id = ""

    def mark(self, guard: str) -> str:
        """The guard as it stands in this server."""
        return f"{guard}@{self.run_id}"


def keys(code: str) -> tuple[str, str, str, str]:
    """The keys of a campaign: guard, stock left, holders, reservations not yet confirmed."""
    return f"guard:{code}", f"stock:{code}", f"holders:{code}", f"reservations:{code}"


async def connect(url: str, answer_s: float | None = None) -> Connection:
    """One connection, shaken hands in two round trips; raises OSError or RedisError.

    Each of them has `answer_s`, if that is given: so a Redis that answers a call in its time can be
    connected to as well, and one that does not answer is given up as soon.
    """
    connection = Connection(
        **parse_url(url),
        protocol=2,
        driver_info=None,
        lib_name=None,
        lib_version=None,
        socket_timeout=answer_s,
        socket_connect_timeout=CALL_TIMEOUT_S,
    )
    await connection.connect()  # type: ignore[no-untyped-call]
    try:
        told = await call(connection, "INFO", "server")
    except BaseException:
        await close(connection)
        raise
    found = _RUN_ID.search(told) if isinstance(told, bytes) else None
    connection.run_id = found[1].decode() if found else ""
    connection.socket_timeout = None  # from here on whoever calls has a limit
    return connection


def alive(connection: Connection) -> bool:
    """Tell whether the other side has left the idle connection open."""
    reader = connection._reader  # noqa: SLF001 - redis-py has no public way to ask without reading
    return reader is not None and reader.exception() is None and not reader.at_eof()


async def close(connection: Connection) -> None:
    """Drop the connection, whatever state it is in."""
    await connection.disconnect(nowait=True)


async def call(connection: Connection, *command: str | int) -> object:
    """Send one command and read its answer."""
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()


async def script(connection: Connection, source: str, code: str, *args: str | int) -> object:
    """Run a script on the keys of `code`; teaches it to a Redis that has forgotten it."""
    names = keys(code)
    try:
        return await call(connection, "EVALSHA", _SHA[source], len(names), *names, *args)
    except NoScriptError:
        return await call(connection, "EVAL", source, len(names), *names, *args)


async def reserve(
    connection: Connection, code: str, guard: str, asked: Sequence[tuple[str, int]]
) -> list[int] | None:
    """Reserve for each (id, user): coupons left or a negative code; None: another guard."""
    flat = [value for pair in asked for value in pair]
    answer = await script(connection, RESERVE, code, connection.mark(guard), *flat)
    if not isinstance(answer, list):
        message = f"reserve answered {answer!r}"
        raise RedisError(message)
    return answer[1:] if answer[0] else None


async def release(connection: Connection, code: str, guard: str, ids: Sequence[str]) -> object:
    """Give the reservations back and forbid them for good; nothing under another guard."""
    return await script(connection, RELEASE, code, connection.mark(guard), *ids)


async def confirm(connection: Connection, code: str, ids: Sequence[str]) -> None:
    """Forget reservations that are recorded, or tombstones that are old."""
    await call(connection, "HDEL", keys(code)[3], *ids)


async def rebuild(
    connection: Connection, code: str, guard: str, left: int, holders: Sequence[int]
) -> None:
    """Replace the whole view of a campaign, in one transaction and one round trip."""
    guard_key, stock_key, holders_key, reservations_key = keys(code)
    commands: list[tuple[str | int, ...]] = [
        ("MULTI",),
        ("DEL", holders_key, reservations_key),
        *_added(holders_key, holders),
        ("SET", stock_key, left),
        ("SET", guard_key, connection.mark(guard)),
        ("EXEC",),
    ]
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    for _ in commands:
        await connection.read_response()


def _added(key: str, holders: Sequence[int]) -> Iterator[tuple[str | int, ...]]:
    for i in range(0, len(holders), _CHUNK):
        yield ("SADD", key, *holders[i : i + _CHUNK])


async def look(connection: Connection, code: str, last: tuple[str, str]) -> list[object]:
    """Guard, stock left, then `last` applied to holders and to reservations, at one instant.

    A guard of another start of the server is shown as it stands there, which no campaign has.
    """
    guard_key, stock_key, holders_key, reservations_key = keys(code)
    commands = [
        ("MULTI",),
        ("GET", guard_key),
        ("GET", stock_key),
        (last[0], holders_key),
        (last[1], reservations_key),
        ("EXEC",),
    ]
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    answers = [await connection.read_response() for _ in commands]
    seen = answers[-1]
    if not isinstance(seen, list):
        message = f"EXEC answered {seen!r}"
        raise RedisError(message)
    own = connection.mark("").encode()
    if isinstance(seen[0], bytes):
        seen[0] = seen[0].removesuffix(own)
    return seen


async def reservations(connection: Connection, code: str) -> tuple[int, list[tuple[str, str, int]]]:
    """Redis' time in seconds, and each open reservation as (id, user or "x", since)."""
    clock = await call(connection, "TIME")
    fields = await call(connection, "HGETALL", keys(code)[3])
    if not isinstance(clock, list) or not isinstance(fields, list):
        message = f"TIME answered {clock!r}"
        raise RedisError(message)
    kept = []
    for id_, value in zip(fields[::2], fields[1::2], strict=True):
        user, _, since = value.decode().partition(":")
        kept.append((id_.decode(), user, int(since)))
    return int(clock[0]), kept
