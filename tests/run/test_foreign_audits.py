"""Whole runs whose audit is elsewhere: in pages, in a store alone, in a command; and run twice.

An honest shop passes, one that gives out too many or keeps too few is caught, and what shows half
of what there is leaves everything unknown.
"""

import json
import re
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
    "json": {"member": "{user:s}", "sale": "{coupon}"},
    "capture": {"issue_id": "voucher"},
}
SHAPE = {**CLAIMS, "stock": "data.limit", "remaining": "data.left"}
PAGED = {**SHAPE, "query": {"page": "{page}"}, "paging": {"from": 1}}
LINKED = {**SHAPE, "query": {"page": "1"}, "paging": {"next": "links.next"}}


def ask(tmp_path: Path, url: str, **changes: Any) -> Finished:
    return run(tmp_path, url, ISSUE, **changes)


def rows_of(done: Finished) -> list[Any]:
    found: list[Any] = json.loads((done.dir / "audit.json").read_text())["rows"]
    return found


@pytest.mark.parametrize(
    "audit",
    [
        SHAPE,
        PAGED,
        {**PAGED, "total": "data.count"},
        LINKED,
        {**SHAPE, "query": {"offset": "{offset}", "limit": "17"}, "paging": {}},
        {
            **SHAPE,
            "query": {"cursor": "{next}"},
            "total": "data.count",
            "paging": {"next": "nextCursor"},
        },
    ],
    ids=["whole", "pages", "total", "links", "offset", "cursor"],
)
def test_an_honest_shop_passes_in_whatever_form_its_claims_are_told(
    tmp_path: Path, audit: dict[str, Any]
) -> None:
    by_cursor = "cursor" in audit.get("query", {})
    with shop(tmp_path, SALE_SHOP, stock=60, by_cursor=by_cursor) as url:
        done = ask(tmp_path, url, audit=audit)
    assert done.code == 0, (done.told, done.wrong())
    assert len(rows_of(done)) == 60
    assert done.check("stores_agree")["verdict"] == "valid"


@pytest.mark.parametrize("audit", [PAGED, LINKED], ids=["pages", "links"])
def test_a_shop_that_gives_out_too_many_is_caught_over_pages(
    tmp_path: Path, audit: dict[str, Any]
) -> None:
    with shop(tmp_path, SALE_SHOP, stock=50, oversells=3) as url:
        done = ask(tmp_path, url, audit=audit)
    assert done.code == 1, done.told
    assert done.check("no_over_issuance")["verdict"] == "invalid"
    assert len(rows_of(done)) == 53


@pytest.mark.parametrize(
    ("pages", "audit", "says"),
    [
        ("repeat", PAGED, "stands on two of its pages"),
        ("short", {**LINKED, "total": "data.count"}, "it tells of 60 issues in all, and 20 came"),
        ("loop", LINKED, "leads back to"),
        ("elsewhere", LINKED, "its next page is somewhere else"),
        ("move", PAGED, "stands on two of its pages|changed from one reading"),
        ("", {**PAGED, "paging": {"from": 1, "most": 2}}, "more than 2 pages"),
        ("", {**LINKED, "paging": {"next": "links.onward"}}, "is in none of its answers"),
    ],
    ids=["repeat", "short", "loop", "elsewhere", "move", "most", "nowhere"],
)
def test_half_an_audit_is_never_a_verdict(
    tmp_path: Path, pages: str, audit: dict[str, Any], says: str
) -> None:
    """The shop is honest; whatever its pages do, nobody is accused, and nothing certified."""
    with shop(tmp_path, SALE_SHOP, stock=60, pages=pages) as url:
        done = ask(tmp_path, url, audit=audit)
    assert done.code in (3, 4), (done.told, done.wrong())
    assert re.search(says, done.told), done.told
    verdicts = {each["name"]: each["verdict"] for each in done.result["checks"]}
    assert "invalid" not in verdicts.values(), verdicts
    for name in ("no_lost_issuance", "no_over_issuance", "one_per_user"):
        assert verdicts[name] == "unknown", verdicts


@pytest.mark.parametrize("oversells", [0, 80])
def test_what_is_issued_after_its_answer_was_given_up_is_waited_for(
    tmp_path: Path, oversells: int
) -> None:
    """All 120 claims are kept 3.5 s after they were asked for; nobody waits longer than 1 s."""
    with shop(tmp_path, SALE_SHOP, stock=40, oversells=oversells, late_s=3.5) as url:
        done = run(tmp_path, url, {**ISSUE, "timeout": "1s"}, audit=SHAPE, stock=40)
    assert len(rows_of(done)) == 40 + oversells, done.told
    books = done.check("no_over_issuance")
    assert books["verdict"] == ("invalid" if oversells else "valid"), books


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with running_stores() as started:
        yield started


REDIS = [
    "claims:{coupon}",
    {"hash": "vouchers:{coupon}", "user": "value", "id": "field"},
    {"keys": "claim:{coupon}:{user}", "id": "value"},
]


@pytest.mark.parametrize("holders", REDIS, ids=["set", "hash", "keys"])
@pytest.mark.parametrize("forgets", [0, 9])
def test_a_redis_alone_is_an_audit(
    tmp_path: Path, stores: Stores, holders: Any, forgets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.Redis.from_url(stores.redis()).flushall()
    monkeypatch.setenv("AUDIT_REDIS", stores.redis())
    with shop(tmp_path, SALE_SHOP, stock=40, forgets=forgets, redis=stores.redis()) as url:
        done = ask(
            tmp_path,
            url,
            audit={"store": "redis"},
            stores={"redis": {"url": {"env": "AUDIT_REDIS"}, "holders": holders}},
            stock=40,
        )
    assert done.code == (1 if forgets else 0), (done.told, done.wrong())
    lost = done.check("no_lost_issuance")
    assert lost["verdict"] == ("invalid" if forgets else "valid")
    assert len(rows_of(done)) == 40 - (40 // forgets if forgets else 0)
    assert stores.password not in done.told


def test_a_redis_without_a_single_holder_is_asked_about_and_accuses_nobody(
    tmp_path: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.Redis.from_url(stores.redis()).flushall()
    monkeypatch.setenv("AUDIT_REDIS", stores.redis())
    holders = {"keys": "misspelt:{coupon}:{user}", "id": "value"}
    with shop(tmp_path, SALE_SHOP, stock=40, redis=stores.redis()) as url:
        done = ask(
            tmp_path,
            url,
            audit={"store": "redis"},
            stores={"redis": {"url": {"env": "AUDIT_REDIS"}, "holders": holders}},
            stock=40,
        )
    assert done.code == 3, (done.told, done.wrong())
    for check in ("no_lost_issuance", "no_over_issuance"):
        assert done.check(check)["verdict"] == "unknown"
    assert "have they expired" in done.told


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    with running_mariadb() as started:
        started.do("CREATE TABLE claims (sale VARCHAR(99), member VARCHAR(99), code VARCHAR(99))")
        yield started


@pytest.mark.parametrize("oversells", [0, 2])
def test_a_mariadb_alone_is_an_audit_and_the_same_experiment_runs_twice(
    tmp_path: Path, mariadb: MariaDb, oversells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mariadb.do("DELETE FROM claims")
    monkeypatch.setenv("AUDIT_MYSQL", mariadb.url())
    monkeypatch.setenv("RESET_MYSQL", mariadb.url("shop"))
    system: dict[str, Any] = {
        "audit": {"store": "mysql"},
        "stores": {
            "mysql": {
                "url": {"env": "AUDIT_MYSQL"},
                "rows": "SELECT member, code FROM claims WHERE sale = {coupon}",
            }
        },
        "before_run": [
            {"post": "/admin/reset"},
            {
                "sql": ["DELETE FROM claims WHERE sale = {coupon}", "SELECT 1"],
                "store": "mysql",
                "url": {"env": "RESET_MYSQL"},
            },
        ],
        "stock": 40,
    }
    with shop(tmp_path, SALE_SHOP, stock=40, oversells=oversells, mysql=mariadb.url("shop")) as url:
        for _ in range(2):
            done = ask(tmp_path, url, **system)
            assert done.code == (1 if oversells else 0), (done.told, done.wrong())
            assert len(rows_of(done)) == 40 + oversells
    assert len(list((tmp_path / "runs").iterdir())) == 2
    everything = b"".join(p.read_bytes() for p in (tmp_path / "runs").rglob("*") if p.is_file())
    assert b"p@ss/w:rd" not in everything and b"p%40ss" not in everything


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_a_command_is_an_audit(tmp_path: Path, format_: str) -> None:
    file = tmp_path / "claims.csv"
    (tmp_path / "export.py").write_text(
        "import csv, json, os, sys\n"
        "from pathlib import Path\n"
        f"path = Path({str(file)!r})\n"
        "lines = path.read_text().splitlines() if path.exists() else []\n"
        "assert os.environ['WHO'] == 'auditor'\n"
        "mine = [each.split(',')[1:] for each in lines if each.split(',')[0] == sys.argv[1]]\n"
        "if sys.argv[2] == 'csv':\n"
        "    out = csv.writer(sys.stdout)\n"
        "    out.writerows([['member', 'code'], *mine])\n"
        "else:\n"
        "    json.dump(mine, sys.stdout)\n"
    )
    (tmp_path / ".git").mkdir()
    shape = {"user": "member", "id": "code"} if format_ == "csv" else {"rows": "$", "user": "0"}
    shape |= {} if format_ == "csv" else {"id": "1"}
    audit = {
        "command": [sys.executable, "export.py", "{coupon}", format_],
        "format": format_,
        "env": {"WHO": "auditor"},
        **shape,
    }
    with shop(tmp_path, SALE_SHOP, stock=40, file=str(file)) as url:
        done = ask(tmp_path, url, audit=audit, stock=40)
    assert done.code == 0, (done.told, done.wrong())
    assert len(rows_of(done)) == 40


def test_a_sale_whose_id_the_shop_makes_up_is_followed_and_each_run_has_its_own(
    tmp_path: Path,
) -> None:
    """The shop takes the id as a number alone, as it told it."""
    campaign = {
        "create": {"post": "/sales", "json": {"name": "{coupon}", "size": "{stock}"}},
        "capture": {"coupon": "data.id"},
    }
    with shop(tmp_path, SALE_SHOP, stock=1, strict=True) as url:
        first = ask(tmp_path, url, audit=SHAPE, campaign=campaign, stock=40)
        again = ask(tmp_path, url, audit=SHAPE, campaign=campaign, stock=40)
    for done in (first, again):
        assert done.code == 0, (done.told, done.wrong())
        assert len(rows_of(done)) == 40
    coupons = [
        json.loads((done.dir / "inputs" / "effective.json").read_text())["coupon"]
        for done in (first, again)
    ]
    assert all(each.isdecimal() for each in coupons) and coupons[0] != coupons[1]


def test_an_audit_that_looks_at_all_sales_is_refused_before_the_traffic(tmp_path: Path) -> None:
    with shop(tmp_path, SALE_SHOP, stock=40) as url:
        assert ask(tmp_path, url, audit=SHAPE, stock=40).code == 0
        campaign = {
            "create": {"post": "/sales", "json": {"name": "{coupon}", "size": "{stock}"}},
            "capture": {"coupon": "data.id"},
        }
        others = {**SHAPE, "get": "/sales/SALE/claims"}
        done = ask(tmp_path, url, audit=others, campaign=campaign, stock=40)
    assert done.code == 2, done.told
    assert "does it look at {coupon}?" in done.told


def test_what_cannot_be_done_before_a_run_ends_it_without_traffic(tmp_path: Path) -> None:
    acts = [{"post": "/admin/reset"}, {"command": ["sh", "-c", "echo no room >&2; exit 3"]}]
    (tmp_path / ".git").mkdir()
    with shop(tmp_path, SALE_SHOP, stock=40) as url:
        done = ask(tmp_path, url, audit=SHAPE, stock=40, before_run=acts)
    assert done.code in (3, 4), done.told
    assert "before_run.1" in done.told and "no room" in done.told
    assert not list((done.dir / "history").iterdir())
