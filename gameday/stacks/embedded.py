"""The embedded stack: everything an experiment needs, from Python packages, on free ports.

Redis, PostgreSQL and the Toxiproxy server start side by side; then come the proxies, then the
service. Only the stores that the system file's `start` names are started. On Linux the kernel
ends every part when this process dies, unless the stack is to outlive it (`gameday up`).
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from gameday.core.errors import StackError, UsageError
from gameday.spec.start import Start
from gameday.spec.system import System
from gameday.stacks.binaries import postgres, redis_server
from gameday.stacks.placeholders import asked_for, is_open, stores_of, values_of
from gameday.stacks.postgres import start_postgres
from gameday.stacks.redis import Store, start_redis
from gameday.stacks.service import Order, start_service
from gameday.stacks.stack import Addresses, Running, StackWorkdir, whole_or_nothing
from gameday.stacks.supervisor import SERVICE, Supervisor
from gameday.stacks.toxiproxy import Proxies, add_proxies, start_toxiproxy

READY_S = 30.0
_FINDERS = {"redis": redis_server, "postgres": postgres}


class EmbeddedStack:
    """Starts all of it. `outlives`: it is to run on when this process has ended.

    `open_toxiproxy`: whoever reaches its Toxiproxy may change what it does, without a token.
    """

    def __init__(
        self, *, ready_s: float = READY_S, outlives: bool = False, open_toxiproxy: bool = False
    ) -> None:
        self._ready_s = ready_s
        self._outlives = outlives
        self._open_toxiproxy = open_toxiproxy
        self._supervisor: Supervisor | None = None

    async def start(self, system: System, workdir: StackWorkdir) -> Running:
        """Put it up. Raises StackError that names the part; nothing is left then."""
        if self._supervisor is not None:
            raise StackError("this stack is already started")
        start = _start_of(system)
        asked = asked_for(start)
        for store in stores_of(asked):
            _FINDERS[store]()  # before anything is made: a missing program is soon told
        supervisor = self._supervisor = Supervisor(workdir, outlives=self._outlives)
        async with whole_or_nothing(self.stop):
            supervisor.make_folder()
            running = await self._put_up(supervisor, system, start, asked)
            supervisor.must_run()
            return running

    async def stop(self) -> list[str]:
        """Take it down: the service first. Returns what could not be stopped."""
        if self._supervisor is None:
            return []
        left = await self._supervisor.stop()
        if not left:
            self._supervisor = None
        return left

    def ended(self) -> list[str]:
        """The parts that should run but do not."""
        return [] if self._supervisor is None else self._supervisor.ended()

    def replicas(self) -> Mapping[str, str]:
        """Nobody adds one."""
        return {}

    async def _put_up(
        self, supervisor: Supervisor, system: System, start: Start, asked: frozenset[str]
    ) -> Running:
        stores, proxies = await self._start_stores(supervisor, system, asked)
        direct = {name: store.url.format(port=store.port) for name, store in stores.items()}
        names = {name: system.proxy_of(name) for name in stores}
        proxied = {
            name: store.url.format(port=proxies.ports[names[name]])
            for name, store in stores.items()
        }
        values = {"secret": supervisor.new_secret()}
        for name in stores:
            values |= values_of(name, proxied[name]) | values_of(f"{name}_direct", direct[name])
        where = Addresses(None, None, proxies.url, names)
        service = await start_service(
            supervisor, Order(system, start, values, asked, where, self._ready_s)
        )
        return Running(
            system=service.system,
            environment=service.environment,
            addresses=service.addresses,
            direct=direct,
            proxied=proxied,
            logs=dict(supervisor.logs),
            secrets=frozenset(supervisor.secrets),
            binaries={name: store.binary for name, store in stores.items()},
            parts=supervisor.files(),
            token_file=proxies.token_file,
        )

    async def _start_stores(
        self, supervisor: Supervisor, system: System, asked: frozenset[str]
    ) -> tuple[Mapping[str, Store], Proxies]:
        """The stores asked for and the proxies before them; no server without a store."""
        wanted = stores_of(asked)
        if not wanted:
            return {}, Proxies(None, {})
        server, *started = await _together(
            start_toxiproxy(supervisor, is_open=self._open_toxiproxy),
            *(_start_store(name, supervisor, asked) for name in wanted),
        )
        stores = dict(zip(wanted, started, strict=True))
        upstreams = {system.proxy_of(name): store.port for name, store in stores.items()}
        return stores, await add_proxies(supervisor, server, upstreams)


async def _start_store(name: str, supervisor: Supervisor, asked: frozenset[str]) -> Store:
    if name == "redis":
        return await start_redis(supervisor, is_open=is_open(asked))
    return await start_postgres(supervisor)


async def _together(*starting: Coroutine[Any, Any, Any]) -> list[Any]:
    """Await all at once; the first that fails cancels the others and is what is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in starting]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _start_of(system: System) -> Start:
    if system.start is None:
        raise UsageError(
            f"system {system.name!r} has no `start`: the embedded stack cannot start it",
            help=f"run it yourself and use --stack external, or tell how it starts ({SERVICE})",
        )
    return system.start
