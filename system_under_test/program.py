"""The program: open the stores, start the background work, open both doors, close in order."""

import asyncio
import logging
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import asyncpg
import uvicorn
from redis.exceptions import RedisError, ResponseError

from system_under_test import fastpath, issuing, ledger, monitor, schema
from system_under_test.admin import AdminServer, Changes
from system_under_test.api import Api, Parts
from system_under_test.audit import Audit
from system_under_test.control import BROKEN, Control
from system_under_test.lane import Lane, Pace, Store
from system_under_test.metrics import Live, Metrics
from system_under_test.settings import Settings
from system_under_test.sweeper import Sweeper

START_WITHIN_S = 30.0
STOP_WITHIN_S = 5

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Uvicorn, leaving signals to `serve`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Run one replica until SIGTERM or SIGINT; raises what a store raises when it is not there.

    It leaves as behind any balancer: it fails its health check, serves until that was seen, and
    finishes what it has. A second signal cuts the first part short.
    """
    raise_file_limit()
    async with asyncio.timeout(START_WITHIN_S):
        await _create_tables(settings)
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(_parts(settings))
        address = (settings.host, settings.admin_port)
        changes = Changes(parts.control, parts.live.lanes)
        admin = AdminServer(address, settings.admin_token, parts.metrics.registry, changes)
        stack.callback(admin.stop)
        api = Api(parts)
        config = uvicorn.Config(
            api,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=4096,
            # Longer than any balancer keeps an idle connection (HAProxy here: 30 s): who closes it
            # first may close it under a request that is on its way.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        server = Server(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(number, _leave, api, server, settings.drain_s)
        log.info("serving on port %d, admin port %d", settings.port, admin.port)
        await server.serve()


def _leave(api: Api, server: Server, drain_s: int) -> None:
    if api.draining or drain_s == 0:
        _ask_to_exit(server)
        return
    api.draining = True
    log.info("draining for %d s", drain_s)
    asyncio.get_running_loop().call_later(drain_s, _ask_to_exit, server)


def _ask_to_exit(server: Server) -> None:
    server.should_exit = True


def raise_file_limit() -> None:
    """Allow as many open files as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _create_tables(settings: Settings) -> None:
    """Create what is missing, waiting for a PostgreSQL that is still starting."""
    while True:
        try:
            connection = await asyncpg.connect(settings.database_url, timeout=5.0)
        except (OSError, asyncpg.CannotConnectNowError) as failure:
            log.info("waiting for postgres: %r", failure)
            await asyncio.sleep(0.1)
            continue
        try:
            await schema.create(connection, limit_users=settings.limit_users)
        finally:
            await connection.close()
        return


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[Parts]:
    """Everything behind the doors, started; stopped in reverse."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(_pool(settings.database_url, 2, 6))
        direct = await stack.enter_async_context(_pool(settings.audit_postgres, 1, 2))
        fenced = not settings.unfenced_switch
        if not fenced:
            log.error("SUT_UNFENCED_SWITCH=1: strategy switches will over-issue. For tests only.")
        control = Control(pool, settings.redis_url, fenced_switch=fenced)
        sweeper = Sweeper(pool, settings.redis_url, control)
        live = Live(control, lambda: sweeper.unsettled)
        metrics.registry.register(live)
        redis_lane, ledger_lane = _lanes(settings, metrics)
        for name, lane in (("redis", redis_lane), ("postgres", ledger_lane)):
            live.watch(name, lane)
            await lane.start()
            stack.push_async_callback(lane.stop)
        await control.refresh_open()
        comparison = monitor.Comparison(direct, settings.audit_redis, control, live)
        background = [control.poll(), sweeper.sweep(), comparison.run()]
        for _ in range(2):
            redis, postgres = settings.redis_url, settings.database_url
            background.append(monitor.ping("redis", metrics, monitor.RedisPing(redis)))
            background.append(monitor.ping("postgres", metrics, monitor.PostgresPing(postgres)))
        tasks = [asyncio.create_task(work) for work in background]
        for task in tasks:
            task.add_done_callback(_tell_if_broken)
        stack.callback(lambda: [task.cancel() for task in tasks])
        yield Parts(
            issuing=issuing.Issuing((redis_lane, ledger_lane), control, sweeper, metrics),
            control=control,
            audit=Audit(settings.audit_postgres, settings.audit_redis),
            metrics=metrics,
            live=live,
        )


def _tell_if_broken(task: asyncio.Task[None]) -> None:
    """A sweeper or a ping that broke must not be missing in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("background work broke: %s", task.get_coro(), exc_info=error)


@asynccontextmanager
async def _pool(dsn: str, least: int, most: int) -> AsyncIterator[asyncpg.Pool]:
    pool = await asyncpg.create_pool(
        dsn,
        min_size=least,
        max_size=most,
        timeout=3.0,
        server_settings=ledger.SERVER_LIMITS,
    )
    try:
        yield pool
    finally:
        pool.terminate()


def _lanes(settings: Settings, metrics: Metrics) -> tuple[issuing.ReserveLane, issuing.LedgerLane]:
    redis = Store(
        name="redis",
        open=lambda: fastpath.connect(settings.redis_url),
        close=fastpath.close,
        alive=fastpath.alive,
        refusals=(ResponseError,),
        broken=(OSError, RedisError),
        observe=metrics.dependency("redis"),
    )
    postgres = Store(
        name="postgres",
        open=lambda: ledger.connect(settings.database_url),
        close=ledger.close,
        alive=ledger.alive,
        refusals=(asyncpg.PostgresError,),
        broken=(*BROKEN, ledger.Gone),
        observe=metrics.dependency("postgres"),
    )
    return (
        Lane(redis, Pace(connections=settings.redis_connections), issuing.reserve),
        Lane(
            postgres,
            Pace(
                connections=settings.postgres_writers,
                batch=512,
                every_s=0.005,
                wait_s=2.0,
                answer_s=ledger.ANSWER_S,
            ),
            ledger.write,
        ),
    )
