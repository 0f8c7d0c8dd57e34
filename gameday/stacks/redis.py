"""A real Redis of the stack's own: in memory only, on loopback, behind a random password.

Without a password any local user could rewrite the evidence. It stands in a file that only its
owner may read, not in the arguments, which everybody may. A service whose client cannot take a
password asks for an open one (`{redis_url}`), which is never the authority, and that is said.
"""

import asyncio
from dataclasses import dataclass

import redis.asyncio
import redis.exceptions

from gameday.injection.process.launch import Launch, Question
from gameday.stacks.binaries import redis_server, redis_title
from gameday.stacks.managed_process import Part
from gameday.stacks.ports import HOST, with_ports
from gameday.stacks.supervisor import Supervisor, plain_environment, write_private

READY_S = 10.0


@dataclass(frozen=True, slots=True)
class Store:
    """A running store; `url` holds `{port}` in place of the port, so that a proxy's fits too."""

    part: Part
    port: int
    url: str
    binary: str


async def start_redis(supervisor: Supervisor, *, is_open: bool = False) -> Store:
    """Start it and wait until it answers; an open one asks for no password. Raises StackError."""
    binary = redis_server()
    title = await asyncio.to_thread(redis_title, binary)
    password = "" if is_open else supervisor.new_secret()
    folder = supervisor.folder / "redis"
    folder.mkdir(mode=0o700)
    login = f":{password}@" if password else ""
    url = f"redis://{login}{HOST}:{{port}}/0"

    async def start(ports: list[int]) -> Store:
        (port,) = ports
        config = folder / "redis.conf"
        write_private(config, _config(port, password))
        task = Launch(
            name="redis",
            argv=[str(binary.path), str(config)],
            environment=plain_environment(),
            folder=folder,
        )
        part = await supervisor.start(task, lambda: _answers(url.format(port=port)), READY_S)
        # Without the password, which any answer asks for, it is not let in; but it is there.
        ping = Question(HOST, port, b"PING\r\n", (b"-NOAUTH", b"+PONG"))
        remembered = [folder / name for name in ("dump.rdb", "appendonlydir")]
        part.is_healthy_when(ping, memory=remembered)
        return Store(part, port, url, title)

    store = await with_ports(1, start)
    supervisor.ports.append(store.port)
    return store


def _config(port: int, password: str) -> str:
    lines = [
        f"bind {HOST}",
        f"port {port}",
        *([f"requirepass {password}"] if password else []),
        'save ""',
        "appendonly no",
        "dir .",
        "daemonize no",
        "tcp-backlog 128",
    ]
    return "\n".join(lines) + "\n"


async def _answers(url: str) -> bool:
    client = redis.asyncio.Redis.from_url(url, socket_timeout=1.0, retry=None)
    try:
        return bool(await client.ping())
    except (redis.exceptions.RedisError, OSError):
        return False
    finally:
        await client.aclose()
