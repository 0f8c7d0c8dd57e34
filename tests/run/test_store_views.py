"""Whole runs whose system file names a store that is not the audit: it is read beside every kind.

A store that tells otherwise is caught, whatever the audit is; an audit that tells of nobody is a
question, but where a second source of this campaign agrees.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.foreign_runs import CLAIMS, SALE_SHOP, Finished, run, shop
from tests.support.mariadb import MariaDb, running_mariadb
from tests.support.sut_stores import Stores, running_stores

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ISSUE = {
    "post": "/claims",
    "json": {"member": "{user}", "sale": "{coupon}"},
    "capture": {"issue_id": "voucher"},
}
ROWS = "SELECT member, code FROM claims WHERE sale = {coupon}"
LEFT = "SELECT 40 - COUNT(*) FROM claims WHERE sale = {coupon}"


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with running_stores() as started:
        yield started


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    with running_mariadb() as started:
        started.do("CREATE TABLE claims (sale VARCHAR(99), member VARCHAR(99), code VARCHAR(99))")
        yield started


@pytest.fixture
def kept(mariadb: MariaDb, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where the shop keeps its claims; both stores are empty."""
    mariadb.do("DELETE FROM claims")
    redis.Redis.from_url(stores.redis()).flushall()
    monkeypatch.setenv("AUDIT_MYSQL", mariadb.url())
    monkeypatch.setenv("AUDIT_REDIS", stores.redis())
    return {"mysql": mariadb.url("shop"), "redis": stores.redis()}


def mysql(**queries: str) -> dict[str, Any]:
    return {"mysql": {"url": {"env": "AUDIT_MYSQL"}, **queries}}


HOLDERS = {"redis": {"url": {"env": "AUDIT_REDIS"}, "holders": "claims:{coupon}"}}


def audit_of(kind: str, url: str, folder: Path) -> dict[str, Any]:
    """An audit of a kind; a command asks the shop, too."""
    script = (
        "import csv, json, sys, urllib.request\n"
        f"told = json.load(urllib.request.urlopen({url!r} + f'/sales/{{sys.argv[1]}}/claims'))\n"
        "rows = [[e['member']['id'], e['voucher']] for e in told['data']['items']]\n"
        "if sys.argv[2] == 'csv':\n"
        "    csv.writer(sys.stdout).writerows([['member', 'code'], *rows])\n"
        "else:\n"
        "    rows = [{'userId': user, 'issueId': code} for user, code in rows]\n"
        "    print(json.dumps({'code': sys.argv[1], 'stock': 40, 'rows': rows}))\n"
    )
    (folder / "export.py").write_text(script)
    (folder / ".git").mkdir(exist_ok=True)
    command = [sys.executable, "export.py", "{coupon}"]
    kinds: dict[str, dict[str, Any]] = {
        "shaped": CLAIMS,
        "address": {**CLAIMS, "url": url},
        "own form": {"command": [*command, "own"]},
        "csv": {"command": [*command, "csv"], "format": "csv", "user": "member", "id": "code"},
        "redis": {"store": "redis"},
    }
    return kinds[kind]


@pytest.mark.parametrize("kind", ["shaped", "address", "own form", "csv", "redis"])
@pytest.mark.parametrize("left", [LEFT, "SELECT 77"], ids=["honest", "lies"])
def test_what_is_left_in_a_store_is_compared_beside_every_audit(
    tmp_path: Path, kept: dict[str, str], kind: str, left: str
) -> None:
    named = mysql(rows=ROWS, stock="SELECT 40", remaining=left) | (
        HOLDERS if kind == "redis" else {}
    )
    with shop(tmp_path, SALE_SHOP, stock=40, **kept) as url:
        done = run(
            tmp_path, url, ISSUE, audit=audit_of(kind, url, tmp_path), stores=named, stock=40
        )
    agree = done.check("stores_agree")
    if left == LEFT:
        assert done.code == 0, (done.told, done.wrong())
        assert agree["verdict"] == "valid"
    else:
        assert done.code == 1, (done.told, done.wrong())
        assert "77 remaining" in agree["summary"]
        assert set(done.wrong()) == {"stores_agree"}


def test_a_second_store_beside_a_redis_is_compared_by_its_users(
    tmp_path: Path, kept: dict[str, str], mariadb: MariaDb
) -> None:
    """The shop keeps nothing in MariaDB, which has somebody else of this campaign."""
    with shop(tmp_path, SALE_SHOP, stock=40, redis=kept["redis"]) as url:
        mariadb.do("INSERT INTO claims VALUES ('OTHER', '7', 'v')")
        named = mysql(rows="SELECT 4999, 'x' FROM claims WHERE sale = {coupon}") | HOLDERS
        done = run(tmp_path, url, ISSUE, audit={"store": "redis"}, stores=named, stock=40)
    assert done.code == 1, (done.told, done.wrong())
    assert "40 rows without the user" in done.check("stores_agree")["summary"]


def test_a_stock_that_is_not_the_campaigns_is_told_before_the_traffic(
    tmp_path: Path, kept: dict[str, str]
) -> None:
    with shop(tmp_path, SALE_SHOP, stock=40, **kept) as url:
        named = mysql(rows=ROWS, stock="SELECT 999")
        done = run(tmp_path, url, ISSUE, audit=CLAIMS, stores=named, stock=40)
    assert done.code == 2, done.told
    assert "it says stock 999, and the campaign has 40" in done.told


def test_a_stock_that_is_what_is_left_accuses_nobody(tmp_path: Path, kept: dict[str, str]) -> None:
    with shop(tmp_path, SALE_SHOP, stock=40, **kept) as url:
        done = run(
            tmp_path, url, ISSUE, audit=CLAIMS, stores=mysql(rows=ROWS, stock=LEFT), stock=40
        )
    assert done.code == 3, (done.told, done.wrong())
    assert "is its `stock` what is left" in done.wrong()["stores_agree"]


def test_rows_of_others_in_a_store_beside_an_audit_are_told_before_the_traffic(
    tmp_path: Path, kept: dict[str, str], mariadb: MariaDb
) -> None:
    mariadb.do("INSERT INTO claims VALUES ('OLD', '7', 'v')")
    with shop(tmp_path, SALE_SHOP, stock=40, **kept) as url:
        named = mysql(rows="SELECT member, code FROM claims")
        done = run(tmp_path, url, ISSUE, audit=CLAIMS, stores=named, stock=40)
    assert done.code == 2, done.told
    assert "stores.mysql: it tells of 1 issues, which nobody has asked for yet" in done.told


@pytest.mark.parametrize("kind", ["shaped", "other sale", "own form", "with a store"])
def test_a_total_loss_is_one_only_where_the_evidence_proves_it(
    tmp_path: Path, kept: dict[str, str], kind: str
) -> None:
    """All 40 are told "issued"; an audit has nobody. Of the last two it is proven that none is."""
    honest = kind == "other sale"
    with shop(tmp_path, SALE_SHOP, stock=40, forgets=0 if honest else 1, **kept) as url:
        other = {**CLAIMS, "get": "/sales/SALE/claims"}
        changes: dict[str, Any] = {"audit": audit_of("shaped", url, tmp_path), "stock": 40}
        if kind == "other sale":
            changes["campaign"] = {
                "create": {"post": "/sales", "json": {"name": "{coupon}", "size": "{stock}"}},
                "capture": {"coupon": "data.id"},
            }
            changes["audit"] = other
        if kind == "own form":
            changes["audit"] = audit_of("own form", url, tmp_path)
        if kind == "with a store":
            changes["stores"] = mysql(rows=ROWS)
        done = run(tmp_path, url, ISSUE, **changes)
    lost = done.check("no_lost_issuance")
    if kind in ("own form", "with a store"):
        assert (done.code, lost["verdict"]) == (1, "invalid"), (done.told, done.wrong())
        return
    assert (done.code, lost["verdict"]) == (3, "unknown"), (done.told, done.wrong())
    assert '40 were told "issued", and audit has nobody' in lost["summary"]
    assert ("holds no {coupon}" in lost["summary"]) == (kind == "other sale")
    for check in ("no_over_issuance", "one_per_user", "no_phantom"):
        assert done.check(check)["verdict"] == "unknown"


@pytest.mark.parametrize("swapped", [False, True])
def test_users_and_ids_in_each_others_place_are_asked_about(
    tmp_path: Path, kept: dict[str, str], swapped: bool
) -> None:
    """Vouchers that are numbers of users, too: v17 is 1017 of 5,000."""
    user, code = "member", "1000 + SUBSTRING(code, 2)"
    columns = f"{code}, {user}" if swapped else f"{user}, code"
    with shop(tmp_path, SALE_SHOP, stock=40, **kept) as url:
        done: Finished = run(
            tmp_path,
            url,
            {**ISSUE, "capture": {}} if swapped else ISSUE,
            audit={"store": "mysql"},
            stores=mysql(rows=f"SELECT {columns} FROM claims WHERE sale = {{coupon}}"),
            stock=40,
        )
    if not swapped:
        assert done.code == 0, (done.told, done.wrong())
        return
    assert done.code == 3, (done.told, done.wrong())
    assert "are user and id swapped" in done.wrong()["no_lost_issuance"]
    assert done.check("no_phantom")["verdict"] == "unknown"
