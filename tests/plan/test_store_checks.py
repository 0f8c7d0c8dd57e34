"""Stores before a run: an error of a query is one before there is a campaign, too."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gameday.injection.drivers.request import Sender
from gameday.plan import service_checks, store_checks
from gameday.plan.finding import Finding
from gameday.spec.system import System
from tests.support.mariadb import MariaDb, running_mariadb
from tests.support.sut_stores import Stores, running_stores

pytestmark = pytest.mark.timeout(180)

CREATES = {"create": {"post": "/sales"}, "capture": {"coupon": "id"}}
ROWS = "SELECT member, code FROM claims WHERE sale = {coupon}"
COUNTS = {
    "stock": "SELECT size FROM sales WHERE code = {coupon}",
    "remaining": "SELECT size - sold FROM sales WHERE code = {coupon}",
}


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    with running_mariadb() as started:
        started.do(
            "CREATE TABLE claims (sale VARCHAR(99), member VARCHAR(99), code VARCHAR(99))",
            "CREATE TABLE sales (code VARCHAR(99), size INT, sold INT)",
            "INSERT INTO sales VALUES ('C', 5, 0), ('D', 5, 2)",
            "INSERT INTO claims VALUES ('D', '1', 'a'), ('D', '2', 'b')",
        )
        yield started


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with running_stores() as started:
        yield started


def system_of(store: dict[str, Any], audit: dict[str, Any], **changes: Any) -> System:
    told = {
        "name": "own",
        "base_url": "http://127.0.0.1:1",
        "requests": {"issue": {"post": "/", "outcomes": {"issued": {"status": 200}}}},
        "audit": audit,
        "stores": store,
        **changes,
    }
    return System.model_validate_json(json.dumps(told))


def mysql(**queries: str) -> dict[str, Any]:
    return {"mysql": {"url": {"env": "AT"}, **queries}}


def sender(address: str, coupon: str = "C") -> Sender:
    return Sender("http://127.0.0.1:1", {"coupon": coupon}, {"AT": address})


async def audit(store: dict[str, Any], address: str, **changes: Any) -> Finding:
    (kind,) = store
    system = system_of(store, {"store": kind}, **changes)
    (found,) = await service_checks.audit(system, sender(address, "none yet"), exists=False)
    return found


async def test_a_right_audit_is_no_warning_before_there_is_a_campaign(mariadb: MariaDb) -> None:
    for changes in ({"campaign": {"post": "/sales"}}, {"campaign": CREATES}):
        found = await audit(mysql(rows=ROWS, **COUNTS), mariadb.url(), **changes)
        assert (found.status, found.found) == ("ok", "stores.mysql answers")


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        ({"rows": ROWS.replace("member", "userid")}, "Unknown column 'userid'"),
        ({"rows": ROWS, **COUNTS, "remaining": "SELECT no FROM sales"}, "Unknown column 'no'"),
        ({"rows": ROWS, "stock": "SELECT 1 FROM nowhere"}, "nowhere"),
        ({"rows": "SELECT member FROM claims"}, "`rows` yields 1 column"),
    ],
    ids=["column", "remaining", "table", "one column"],
)
async def test_an_error_of_the_query_is_one_before_there_is_a_campaign(
    mariadb: MariaDb, queries: dict[str, str], says: str
) -> None:
    for changes in ({"campaign": {"post": "/sales"}}, {"campaign": CREATES}):
        found = await audit(mysql(**queries), mariadb.url(), **changes)
        assert found.status == "fail", found
        assert says in found.found, found


async def test_a_store_that_is_not_there_is_one_as_well(mariadb: MariaDb) -> None:
    gone = mariadb.url().replace(str(mariadb.port), "1")
    found = await audit(mysql(rows=ROWS), gone, campaign=CREATES)
    assert found.status == "fail"
    assert "no connection" in found.found and "p@ss" not in found.found


async def test_a_code_that_the_system_makes_up_is_no_error_of_a_postgres(stores: Stores) -> None:
    """`$1` may be a number, a text, or what no code of ours can be."""
    for kind in ("int", "text", "uuid"):
        rows = f"SELECT 1, 2 WHERE $1::{kind} IS NULL"
        store = {"postgres": {"dsn": {"env": "AT"}, "rows": rows}}
        found = await audit(store, stores.postgres(), campaign=CREATES)
        assert found.status == ("warn" if kind == "uuid" else "ok"), found
        bad = {"postgres": {"dsn": {"env": "AT"}, "rows": rows.replace("1, 2", "nobody, 2")}}
        wrong = await audit(bad, stores.postgres(), campaign=CREATES)
        assert wrong.status == "fail" and "nobody" in wrong.found


async def beside(
    store: dict[str, Any], address: str, coupon: str, stock: int = 5, **asked: bool
) -> list[Finding]:
    system = system_of(store, {"get": "/claims"})
    options: dict[str, bool] = {"planning": True, **asked}
    return await store_checks.beside(system, sender(address, coupon), stock, **options)


async def test_a_store_beside_the_audit_is_shown_with_all_that_it_tells(mariadb: MariaDb) -> None:
    (found,) = await beside(mysql(rows=ROWS, **COUNTS), mariadb.url(), "C")
    assert found.status == "ok"
    assert found.found == "stores.mysql answers; 0 rows; stock 5; 5 left"


async def test_what_cannot_be_before_anybody_has_asked_is_told(mariadb: MariaDb) -> None:
    found = await beside(mysql(rows=ROWS, **COUNTS), mariadb.url(), "D", 7)
    told = [(each.status, each.found) for each in found]
    assert told == [
        ("fail", "it tells of 2 issues, which nobody has asked for yet"),
        ("fail", "it says stock 5, and the campaign has 7"),
        ("warn", "it says 3 left of 7 before anybody has asked"),
    ]
    assert (await beside(mysql(rows=ROWS), mariadb.url(), "D", is_reset=True))[0].status == "ok"


@pytest.mark.parametrize("planning", [True, False])
async def test_a_store_that_cannot_be_read_forbids_a_plan_and_leaves_a_run_unknown(
    mariadb: MariaDb, planning: bool
) -> None:
    queries = {"rows": ROWS, "remaining": "SELECT no FROM sales"}
    (found,) = await beside(mysql(**queries), mariadb.url(), "C", planning=planning)
    assert found.status == ("fail" if planning else "warn")
    assert "Unknown column 'no'" in found.found
