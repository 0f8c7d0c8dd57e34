"""What must hold whatever happens to stores and strategies: no coupon too many, none lost."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
import redis

from system_under_test import monitor
from tests.support.sut_stores import (
    DelayProxy,
    Http,
    Service,
    Stores,
    redis_server,
    running_service,
    running_stores,
)


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with running_stores() as stores:
        yield stores


@dataclass(slots=True)
class Told:
    """What users were told: statuses and codes, seconds, and the ids of those who got a coupon."""

    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    issued: set[tuple[int, str]] = field(default_factory=set)

    def p95_s(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.95)]


async def ask(http: Http, code: str, user: int, told: Told) -> None:
    began = time.perf_counter()
    body = {"userId": user, "couponCode": code}
    status, answer = await http.post("/api/v1/coupons/issue", body)
    told.seconds.append(time.perf_counter() - began)
    if status == 200:
        told.issued.add((user, answer["issueId"]))
    told.answers[str(status) if status == 200 else f"{status} {answer['code']}"] += 1


async def arrive(service: Service, code: str, rate: float, users: range) -> Told:
    """Users arrive at `rate` a second, whether or not the earlier ones were answered."""
    told = Told()
    async with aclosing(Http(service.port)) as http, asyncio.TaskGroup() as group:
        start = time.perf_counter()
        for i, user in enumerate(users):
            await asyncio.sleep(max(0.0, start + i / rate - time.perf_counter()))
            group.create_task(ask(http, code, user, told))
    return told


async def admin(service: Service, path: str, **body: object) -> float:
    """Make an admin call from a thread; the seconds it took."""
    began = time.perf_counter()
    answer = await asyncio.to_thread(service.admin, path, **body)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - began


async def settled(service: Service, within_s: float = 10) -> None:
    """Wait until no reservation is open for the sweeper."""
    deadline = time.monotonic() + within_s
    while (await asyncio.to_thread(service.metrics))["issuance_unsettled"]:
        assert time.monotonic() < deadline, "reservations are not settled"
        await asyncio.sleep(0.1)


def rows_of(service: Service, code: str) -> list[tuple[int, str]]:
    return [(row["userId"], row["issueId"]) for row in service.audit(code)["rows"]]


def assert_safe(service: Service, code: str, told: Told) -> None:
    """Rows within the stock, one a user, and every acknowledged issue among them."""
    audit = service.audit(code)
    rows = [(row["userId"], row["issueId"]) for row in audit["rows"]]
    assert len(rows) <= audit["stock"]
    assert len({user for user, _ in rows}) == len(rows)
    assert told.issued <= set(rows)


def assert_view_is_the_rows(service: Service, code: str) -> None:
    audit = service.audit(code)
    view = audit["views"]["redis"]
    assert view["current"] is True
    assert view["holders"] == [row["userId"] for row in audit["rows"]]
    assert view["remaining"] == audit["stock"] - len(audit["rows"])


async def test_switches_and_pauses_under_load_on_two_replicas_lose_and_invent_nothing(
    stores: Stores,
) -> None:
    with running_service(stores) as one, running_service(stores) as two:
        code = one.create(1200)
        told = Told()

        async def switch() -> None:
            for strategy in ("postgres", "redis") * 4:
                await admin(one, "strategy", strategy=strategy, campaign=code)
            await admin(two, "pause", campaign=code)
            await admin(two, "resume", campaign=code)

        async with (
            aclosing(Http(one.port)) as first,
            aclosing(Http(two.port)) as second,
            asyncio.TaskGroup() as group,
        ):
            doors = (first, second)
            switching = group.create_task(switch())
            asked, calm = 0, 0
            # Everybody asks once more after the last change, and again while coupons are left: a
            # replica hears of the other's resume at its next poll, and refuses until then.
            while asked < 2000 or calm < 1500 or (len(told.issued) < 1200 and calm < 15_000):
                calm += 100 if switching.done() else 0
                users = [user % 1500 for user in range(asked, asked + 100)]
                await asyncio.gather(*(ask(doors[u % 2], code, u, told) for u in users))
                asked += 100
        assert switching.done()
        assert_safe(one, code, told)
        assert len(rows_of(one, code)) == len(told.issued) == 1200
        assert {said for said in told.answers if said.startswith("5")} <= {
            "503 PAUSED", "503 FENCED",
        }  # fmt: skip
        fenced = one.metrics()["issuance_fenced_total"] + two.metrics()["issuance_fenced_total"]
        assert fenced > 0
        await admin(two, "strategy", strategy="redis", campaign=code)
        assert_view_is_the_rows(two, code)


@pytest.mark.parametrize("unfenced", ["0", "1"])
async def test_a_switch_while_redis_is_slow_over_issues_only_when_it_is_not_fenced(
    stores: Stores, unfenced: str
) -> None:
    with (
        DelayProxy(stores.redis_port) as proxy,
        running_service(stores, proxy.port, SUT_UNFENCED_SWITCH=unfenced) as service,
    ):
        code = service.create(150)
        proxy.delay_s = 0.3
        arriving = asyncio.create_task(arrive(service, code, 100, range(260)))
        await asyncio.sleep(1.2)
        took_s = await admin(service, "strategy", strategy="postgres")
        told = await arriving
        rows = rows_of(service, code)
        if unfenced == "1":
            assert len(rows) > 150 + 10
        else:
            assert len(rows) == 150
            assert_safe(service, code, told)
            assert set(told.answers) == {"200", "409 SOLD_OUT"}
        assert took_s < 1


async def test_a_slow_redis_slows_requests_down_and_does_not_pile_them_up(stores: Stores) -> None:
    with (
        DelayProxy(stores.redis_port) as proxy,
        running_service(stores, proxy.port) as service,
    ):
        code = service.create(10_000)
        proxy.delay_s = 0.3
        told = await arrive(service, code, 100, range(400))
        assert told.answers == {"200": 400}
        assert 0.3 <= told.p95_s() < 0.9
        proxy.delay_s = 0
        assert (await arrive(service, code, 100, range(400, 500))).answers == {"200": 100}
        assert_view_is_the_rows(service, code)


@pytest.mark.filterwarnings("ignore:.*lib_name:DeprecationWarning")
async def test_a_slow_redis_is_connected_to_and_pinged_as_long_as_it_answers_in_time(
    stores: Stores,
) -> None:
    """A connection takes more answers than one: each has its time, as a ping has."""
    seen: list[bool] = []

    def observe(elapsed_s: float, worked: bool) -> None:
        del elapsed_s
        seen.append(worked)

    metrics: Any = SimpleNamespace(dependency=lambda name: observe)
    with DelayProxy(stores.redis_port) as proxy:
        url = stores.redis(proxy.port)
        proxy.delay_s = 0.6
        target = monitor.RedisPing(url)
        pinging = asyncio.create_task(monitor.ping("redis", metrics, target))
        async with asyncio.timeout(10):
            while not seen:
                await asyncio.sleep(0.02)
        pinging.cancel()
        await target.hang_up()
        assert seen[0]

        nothing: Any = None
        comparison = monitor.Comparison(nothing, url, nothing, nothing)
        campaign: Any = SimpleNamespace(code="C", guard="1:a")
        assert await comparison._view(campaign) is None  # noqa: SLF001 - and raises nothing
        await comparison._hang_up()  # noqa: SLF001


async def test_closing_under_load_leaves_no_reservation_behind(stores: Stores) -> None:
    with running_service(stores) as service:
        code = service.create(5000)
        arriving = asyncio.create_task(arrive(service, code, 400, range(400)))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(service.close, code)
        closed = rows_of(service, code)
        told = await arriving
        await settled(service)
        assert set(told.answers) == {"200", "404 CAMPAIGN_CLOSED"}
        assert rows_of(service, code) == closed
        assert_safe(service, code, told)
        assert_view_is_the_rows(service, code)


async def test_an_emptied_redis_never_issues_and_is_rebuilt_from_the_rows(stores: Stores) -> None:
    with running_service(stores) as service, redis.Redis.from_url(stores.redis()) as direct:
        code = service.create(50)
        told = await arrive(service, code, 200, range(30))
        direct.flushall()
        assert service.issue(3, code).json()["code"] == "DUPLICATE"
        after = await arrive(service, code, 200, range(30, 80))
        assert after.answers == {"200": 20, "409 SOLD_OUT": 30}
        direct.delete(f"stock:{code}")
        assert service.issue(99, code).json()["code"] == "SOLD_OUT"
        assert_safe(service, code, told)
        assert_view_is_the_rows(service, code)


async def test_a_redis_that_comes_back_with_an_older_dump_issues_nothing_from_it(
    stores: Stores, tmp_path: Path
) -> None:
    """The same guard, coupons left and fewer holders: only the server's start differs."""
    with (
        redis_server(tmp_path, stores.password) as older,
        DelayProxy(stores.redis_port) as proxy,
        running_service(stores, proxy.port) as service,
        redis.Redis.from_url(stores.redis()) as direct,
        redis.Redis.from_url(stores.redis(older)) as dump,
    ):
        code = service.create(50)
        told = await arrive(service, code, 200, range(20))
        for key in (f"guard:{code}", f"stock:{code}", f"holders:{code}", f"reservations:{code}"):
            if content := direct.dump(key):
                dump.restore(key, 0, content)
        told.issued |= (await arrive(service, code, 200, range(20, 40))).issued
        assert len(told.issued) == 40

        proxy.cut()
        proxy.upstream = older
        proxy.restore()
        async with asyncio.timeout(20):
            while (await arrive(service, code, 200, range(1))).answers != {"409 DUPLICATE": 1}:
                await asyncio.sleep(0.1)
        late = await arrive(service, code, 200, range(100, 130))
        assert late.answers == {"200": 10, "409 SOLD_OUT": 20}
        told.issued |= late.issued
        await settled(service)
        assert_safe(service, code, told)  # the audit itself asks past the proxy, the first Redis
        assert (dump.get(f"stock:{code}"), dump.scard(f"holders:{code}")) == (b"0", 50)


async def test_a_user_who_asks_twice_at_once_takes_no_others_place(stores: Stores) -> None:
    with running_service(stores) as service:
        code = service.create(2)
        await admin(service, "strategy", strategy="postgres", campaign=code)
        connection = await asyncpg.connect(stores.postgres())
        epoch = await connection.fetchval("SELECT epoch FROM campaign WHERE code = $1", code)
        row = await connection.fetchrow(
            "SELECT * FROM issue_directly($1, $2, $3, $4)",
            code,
            epoch,
            ["a1", "a2", "b1"],
            [1, 1, 2],
        )
        await connection.close()
        assert row is not None
        assert (row["fenced"], row["coupons_left"]) == (False, 0)
        assert set(row["recorded"]) == {"a1", "b1"}


async def test_holders_missing_from_redis_are_noticed_and_put_back(stores: Stores) -> None:
    with running_service(stores) as service, redis.Redis.from_url(stores.redis()) as direct:
        code = service.create(50)
        told = await arrive(service, code, 200, range(20))
        direct.delete(f"holders:{code}")
        assert service.issue(3, code).json()["code"] == "DUPLICATE"
        await settled(service)
        assert_safe(service, code, told)
        assert_view_is_the_rows(service, code)


async def test_reservations_whose_answer_was_lost_are_released(stores: Stores) -> None:
    with (
        DelayProxy(stores.redis_port) as proxy,
        running_service(stores, proxy.port) as service,
    ):
        code = service.create(20)
        proxy.delay_s = 1.5
        told = await arrive(service, code, 100, range(10))
        assert told.answers == {"504 REDIS_ANSWER_LOST": 10}
        assert max(told.seconds) < 2.5
        proxy.delay_s = 0
        await settled(service)
        assert rows_of(service, code) == []
        again = await arrive(service, code, 100, range(30))
        assert again.answers == {"200": 20, "409 SOLD_OUT": 10}
        assert_view_is_the_rows(service, code)


async def test_without_redis_requests_are_refused_at_once_until_postgres_takes_over(
    stores: Stores,
) -> None:
    with (
        DelayProxy(stores.redis_port) as proxy,
        running_service(stores, proxy.port) as service,
    ):
        code = service.create(100)
        before = await arrive(service, code, 100, range(10))
        proxy.cut()
        down = await arrive(service, code, 100, range(10, 50))
        assert set(down.answers) <= {"503 REDIS_UNAVAILABLE", "504 REDIS_ANSWER_LOST"}
        assert down.answers["503 REDIS_UNAVAILABLE"] >= 35
        assert down.p95_s() < 0.2
        to_redis = await asyncio.to_thread(service.admin, "strategy", strategy="redis")
        assert to_redis.status_code == 503
        assert await admin(service, "strategy", strategy="postgres") < 1
        after = await arrive(service, code, 100, range(50, 90))
        assert after.answers == {"200": 40}
        assert service.metrics()['dependency_errors_total{dependency="redis"}'] > 0
        proxy.restore()
        await admin(service, "strategy", strategy="redis")
        await settled(service)
        deadline = time.monotonic() + 5
        while service.issue(95, code).status_code == 503:
            assert time.monotonic() < deadline, "Redis connections are not repaired"
        before.issued |= after.issued
        assert_safe(service, code, before)
        assert_view_is_the_rows(service, code)


async def test_postgres_going_away_and_coming_back_loses_no_acknowledged_issue(
    stores: Stores,
) -> None:
    with (
        DelayProxy(stores.postgres_port) as proxy,
        running_service(stores, postgres_port=proxy.port) as service,
    ):
        code = service.create(1000)
        arriving = asyncio.create_task(arrive(service, code, 100, range(300)))
        await asyncio.sleep(1.0)
        proxy.cut()
        await asyncio.sleep(0.7)
        proxy.restore()
        told = await arriving
        assert set(told.answers) <= {
            "200", "503 POSTGRES_UNAVAILABLE", "503 REDIS_UNAVAILABLE", "504 POSTGRES_ANSWER_LOST",
        }  # fmt: skip
        assert told.answers["503 POSTGRES_UNAVAILABLE"] > 10
        assert told.answers["200"] > 150
        await settled(service)
        assert service.issue(999, code).status_code == 200
        assert_safe(service, code, told)
        assert_view_is_the_rows(service, code)


async def test_an_insert_whose_answer_was_lost_keeps_its_coupon(stores: Stores) -> None:
    with (
        DelayProxy(stores.postgres_port) as proxy,
        running_service(stores, postgres_port=proxy.port) as service,
    ):
        code = service.create(20)
        proxy.delay_s = 3.5
        told = await arrive(service, code, 100, range(5))
        assert told.answers == {"504 POSTGRES_ANSWER_LOST": 5}
        proxy.delay_s = 0
        await settled(service, within_s=20)
        assert len(rows_of(service, code)) == 5
        assert service.issue(3, code).json()["code"] == "DUPLICATE"
        assert_view_is_the_rows(service, code)


async def test_a_slow_postgres_keeps_its_throughput_under_both_strategies(stores: Stores) -> None:
    with (
        DelayProxy(stores.postgres_port) as proxy,
        running_service(stores, postgres_port=proxy.port) as service,
    ):
        code = service.create(10_000)
        for first, strategy in ((0, "redis"), (1000, "postgres")):
            proxy.delay_s = 0
            await admin(service, "strategy", strategy=strategy)
            proxy.delay_s = 0.3
            told = await arrive(service, code, 100, range(first, first + 200))
            assert told.answers == {"200": 200}
            assert told.p95_s() < 1.0
            assert_safe(service, code, told)


async def test_what_a_dead_replica_left_reserved_comes_back(stores: Stores) -> None:
    with running_service(stores) as service, redis.Redis.from_url(stores.redis()) as direct:
        code = service.create(2)
        direct.sadd(f"holders:{code}", 77)
        direct.hset(f"reservations:{code}", "dead-1", "77:1")
        direct.decr(f"stock:{code}")
        assert service.issue(1, code).status_code == 200
        assert service.issue(2, code).json()["code"] == "SOLD_OUT"
        deadline = time.monotonic() + 15
        while service.issue(2, code).status_code != 200:
            assert time.monotonic() < deadline, "the abandoned reservation is still held"
            await asyncio.sleep(0.2)
        assert_view_is_the_rows(service, code)


async def test_a_replica_ends_cleanly_when_told_to(stores: Stores) -> None:
    with running_service(stores) as service:
        code = service.create(10)
        assert service.issue(1, code).status_code == 200
        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(service.process.wait, 10) == 0
        assert "Traceback" not in service.log.read_text()
