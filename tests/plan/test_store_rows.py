"""Stores that are the audit alone: real ones, read without a change, or an error and no half."""

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from gameday.core.errors import GamedayError, UsageError
from gameday.injection.drivers.request import Sender
from gameday.plan.audit_answer import AuditAnswer, ask
from gameday.plan.stores.mysql import MysqlAddress
from gameday.spec.system import System
from gameday.spec.tls import Tls
from tests.support.mariadb import MariaDb, running_mariadb
from tests.support.sut_stores import (
    Stores,
    free_port,
    postgres_server,
    redis_server,
    running_stores,
    wait_until,
)

SYSTEM: dict[str, Any] = {
    "name": "own",
    "base_url": "http://127.0.0.1:1",
    "requests": {"issue": {"post": "/", "outcomes": {"issued": {"status": 200}}}},
}


async def asked(
    name: str,
    store: dict[str, Any],
    address: str,
    *,
    coupon: int | str = "C",
    tls: Tls | None = None,
) -> AuditAnswer:
    key = "dsn" if name == "postgres" else "url"
    stores = {name: {key: {"env": "AT"}, **store}}
    told = {**SYSTEM, "audit": {"store": name}, "stores": stores}
    system = System.model_validate_json(json.dumps(told))
    sender = Sender(system.base_url, {"coupon": coupon}, {"AT": address}, tls=tls)
    return await ask(system, sender)


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with running_stores() as started:
        yield started


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    with running_mariadb() as started:
        started.do(
            "CREATE TABLE sales (id INT, code VARCHAR(99), size INT, bin BINARY(16))",
            "CREATE TABLE claims (sale VARCHAR(99), member VARCHAR(250), code TEXT)",
            "INSERT INTO sales VALUES (7, 'C', 5, UNHEX(REPEAT('0a', 16))), (8, 'D', 9, NULL)",
            "INSERT INTO claims VALUES ('C', 'u00042', 'a'), ('C', '43', NULL), ('D', 'z', 'z')",
            "CREATE TABLE many AS SELECT seq AS member, seq AS code FROM seq_1_to_30000",
            "CREATE TABLE wide (member INT, code LONGTEXT)",
            "INSERT INTO wide VALUES (1, REPEAT('x', 2000))",
        )
        yield started


ROWS = "SELECT member, code FROM claims WHERE sale = {coupon}"


async def test_a_mariadb_tells_rows_stock_and_what_is_left(mariadb: MariaDb) -> None:
    counts = {
        "stock": "SELECT size FROM sales WHERE code = {coupon}",
        "remaining": "SELECT size - 2 FROM sales WHERE code = {coupon}",
    }
    found = await asked("mysql", {"rows": ROWS, **counts}, mariadb.url())
    assert set(found.rows) == {("u00042", "a"), (43, "")}
    assert found.stock == 5
    assert found.views == {"mysql": {"remaining": 3, "holders": None, "current": True}}


@pytest.mark.parametrize(
    ("user", "read_as"),
    [
        ("NULL", "null"),
        ("18446744073709551616", "18446744073709551616"),
        ("CAST(42 AS DECIMAL(20, 0))", 42),
        ("42.0", 42),
        ("HEX(bin)", "0A" * 16),
        ("DATE '2026-11-30'", "2026-11-30"),
        ("'쿠폰'", "쿠폰"),
    ],
)
async def test_a_user_of_a_mariadb_is_whatever_it_calls_it(
    mariadb: MariaDb, user: str, read_as: object
) -> None:
    query = f"SELECT {user}, 'a' FROM sales WHERE code = {{coupon}}"
    found = await asked("mysql", {"rows": query}, mariadb.url())
    assert list(found.rows) == [(read_as, "a")]


async def test_a_number_that_the_system_made_up_is_a_campaign_too(mariadb: MariaDb) -> None:
    query = "SELECT size, code FROM sales WHERE id = {coupon}"
    assert list((await asked("mysql", {"rows": query}, mariadb.url(), coupon=7)).rows) == [(5, "C")]


@pytest.mark.parametrize("coupon", ["' OR 1 = 1 -- ", "\\' OR 1 = 1 -- ", '"', "%s", "쿠폰"])
async def test_a_coupon_is_a_literal_whatever_it_is(mariadb: MariaDb, coupon: str) -> None:
    assert not len((await asked("mysql", {"rows": ROWS}, mariadb.url(), coupon=coupon)).rows)


async def test_many_rows_of_a_mariadb_come_in_pieces(mariadb: MariaDb) -> None:
    found = await asked("mysql", {"rows": "SELECT member, code FROM many"}, mariadb.url())
    assert len(found.rows) == 30_000


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT nothing FROM nowhere", "nowhere"),
        ("SELECT member FROM claims", "yields 1 column: write user and issue id"),
        ("SELECT member, code FROM wide", "over 1000 bytes"),
        ("SELECT SLEEP(99), 1", "max_statement_time|interrupted|no whole answer"),
        ("SELECT 1, 2; DELETE FROM claims", "SQL syntax"),
        ("WITH a AS (SELECT 1) SELECT 1, 2 INTO OUTFILE '/tmp/gameday-never' FROM a", "denied"),
    ],
)
async def test_a_query_that_cannot_be_rows_is_an_error(
    mariadb: MariaDb, query: str, says: str
) -> None:
    with pytest.raises(GamedayError, match=says) as caught:
        await asked("mysql", {"rows": query}, mariadb.url())
    assert "p@ss" not in str(caught.value)


async def test_a_mariadb_is_only_read_even_with_the_right_to_write(mariadb: MariaDb) -> None:
    mariadb.do("DROP FUNCTION IF EXISTS thief")
    mariadb.do(
        "CREATE FUNCTION thief() RETURNS INT MODIFIES SQL DATA"
        " BEGIN DELETE FROM claims; RETURN 1; END"
    )
    with pytest.raises(GamedayError, match="READ ONLY"):
        await asked("mysql", {"rows": "SELECT thief(), 1"}, mariadb.url("shop"))
    assert len((await asked("mysql", {"rows": ROWS}, mariadb.url())).rows) == 2


@pytest.mark.parametrize(
    "address",
    [
        "",
        "postgresql://a:topsecret@127.0.0.1/x",
        "mysql://a:topsecret@127.0.0.1",
        "mysql://a:top/secret@127.0.0.1:x/d",
        "mysql://a:topsecret@127.0.0.1:1/d",
        "mysql://127.0.0.1:99999/d",
    ],
)
async def test_an_address_that_leads_nowhere_shows_no_password(address: str) -> None:
    with pytest.raises(GamedayError) as caught:
        await asked("mysql", {"rows": ROWS}, address)
    assert "secret" not in f"{caught.value} {caught.value.help}"


@pytest.mark.parametrize("user", ["boss", "audit"])
async def test_a_replica_of_a_mariadb_is_no_audit(mariadb: MariaDb, user: str) -> None:
    mariadb.do(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='x'",
        "START SLAVE",
        "SET GLOBAL read_only = 1",
        user="boss",
    )
    try:
        with pytest.raises(GamedayError, match="is a replica"):
            await asked("mysql", {"rows": ROWS}, mariadb.url(user))
    finally:
        mariadb.do("SET GLOBAL read_only = 0", "STOP SLAVE", "RESET SLAVE ALL", user="boss")
    assert len((await asked("mysql", {"rows": ROWS}, mariadb.url(user))).rows) == 2


async def test_a_standby_of_a_postgres_is_no_audit(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    with postgres_server(tmp_path, "pw", is_standby=True) as port:
        url = f"postgresql://gameday:pw@127.0.0.1:{port}/postgres"
        with pytest.raises(GamedayError, match="is a standby"):
            await asked("postgres", {"rows": "SELECT 1, 2"}, url)


@pytest.mark.parametrize("key", ["stock", "remaining"])
async def test_a_number_of_two_rows_is_none(mariadb: MariaDb, stores: Stores, key: str) -> None:
    two = {"rows": "SELECT 1, 2", key: "SELECT 5 UNION ALL SELECT 6"}
    for name, address in (("mysql", mariadb.url()), ("postgres", stores.postgres())):
        with pytest.raises(GamedayError, match=f"`{key}` yields more than one row"):
            await asked(name, two, address)


@pytest.mark.parametrize("value", ["'Infinity'::numeric", "'NaN'::numeric", "'inf'::float8"])
async def test_what_is_no_finite_number_is_neither_a_user_nor_a_stock(
    stores: Stores, value: str
) -> None:
    with pytest.raises(GamedayError, match="which names nobody"):
        await asked("postgres", {"rows": f"SELECT {value}, 'a'"}, stores.postgres())
    counted = {"rows": "SELECT 1, 2", "stock": f"SELECT {value}"}
    with pytest.raises(GamedayError, match="no whole number"):
        await asked("postgres", counted, stores.postgres())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with a certificate of its own for 127.0.0.1."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=test", "-keyout", "key.pem"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate")
async def test_a_mariadb_over_tls_is_believed_where_somebody_vouches(certificate: Path) -> None:
    pem = certificate / "cert.pem"
    with running_mariadb(f"--ssl-cert={pem}", f"--ssl-key={certificate / 'key.pem'}") as own:
        url = f"{own.url()}?tls=true"
        query = {"rows": "SELECT VARIABLE_VALUE, 'a' FROM information_schema.SESSION_STATUS"
                 " WHERE VARIABLE_NAME = 'Ssl_version'"}  # fmt: skip
        with pytest.raises(GamedayError, match="certificate verify failed"):
            await asked("mysql", query, url)
        ((version, _),) = (await asked("mysql", query, url, tls=Tls(ca=str(pem)))).rows
        assert str(version).startswith("TLS")


async def test_a_wrong_password_is_told_without_it(mariadb: MariaDb) -> None:
    wrong = mariadb.url().replace("audit:", "audit:x")
    with pytest.raises(
        GamedayError, match="stores.mysql: OperationalError: Access denied"
    ) as caught:
        await asked("mysql", {"rows": ROWS}, wrong)
    assert "p@ss" not in str(caught.value)


async def test_a_mysql_elsewhere_is_not_connected_to() -> None:
    with pytest.raises(UsageError, match="is not this machine"):
        await asked("mysql", {"rows": ROWS}, "mysql://a:b@192.0.2.1/d")


@asynccontextmanager
async def hostile(say: bytes, *, forever: bool) -> AsyncIterator[str]:
    """A server that says something else than a MySQL would."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(say)
            while forever:
                writer.write(b"\xff" * 65_536)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"mysql://a:topsecret@127.0.0.1:{server.sockets[0].getsockname()[1]}/d"
    finally:
        server.close()


@pytest.mark.parametrize("say", [b"", b"HTTP/1.1 400\r\n\r\n", b"\0" * 100, b"\x05\0\0\0\x0a5.5\0"])
@pytest.mark.parametrize("forever", [False, True])
async def test_what_is_no_mysql_is_an_error_in_bounded_time(
    say: bytes, *, forever: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.plan.stores.mysql.STORE_S", 3.0)
    async with hostile(say, forever=forever) as address:
        with pytest.raises(GamedayError) as caught:
            await asked("mysql", {"rows": ROWS}, address)
    assert "secret" not in str(caught.value)


def test_an_address_has_its_parts_percent_decoded() -> None:
    at = MysqlAddress.parse("mariadb://a%40b:p%2Fw@[::1]:7/d%20e?tls=true", "key")
    assert (at.host, at.port, at.user, at.password) == ("::1", 7, "a@b", "p/w")
    assert (at.database, at.tls) == ("d e", True)
    assert "p/w" not in repr(at)


async def test_a_postgres_alone_takes_its_campaign_as_its_column_has_it(stores: Stores) -> None:
    connection = await asyncpg.connect(stores.postgres())
    await connection.execute(
        "DROP TABLE IF EXISTS own_claims; CREATE TABLE own_claims (sale int, who text, id uuid);"
        "INSERT INTO own_claims VALUES (7, 'u1', NULL), (8, 'u2', gen_random_uuid())"
    )
    await connection.close()
    found = await asked(
        "postgres",
        {
            "rows": "SELECT who, id FROM own_claims WHERE sale = $1",
            "stock": "SELECT 5 WHERE $1 > 0",
            "remaining": "SELECT 4::numeric",
        },
        stores.postgres(),
        coupon="7",
    )
    assert (list(found.rows), found.stock) == ([("u1", "")], 5)
    assert found.views["postgres"]["remaining"] == 4
    for query, says in {
        "SELECT who, id FROM own_claims WHERE sale = $1": "the campaign is 'C'",
        "SELECT who FROM own_claims": "yields 1 column",
    }.items():
        with pytest.raises(GamedayError, match=says):
            await asked("postgres", {"rows": query}, stores.postgres())


@pytest.fixture
def client(stores: Stores) -> "redis.Redis":
    found = redis.Redis.from_url(stores.redis())
    found.flushall()
    return found


@pytest.mark.parametrize(
    ("holders", "rows"),
    [
        ("set:{coupon}", [("u00042", ""), (43, "")]),
        ({"zset": "zset:{coupon}"}, [("u00042", ""), (43, "")]),
        ({"hash": "hash:{coupon}"}, [("u00042", ""), (43, "")]),
        ({"hash": "hash:{coupon}", "id": "value"}, [("u00042", "a"), (43, "b")]),
        ({"hash": "turned:{coupon}", "user": "value", "id": "field"}, [("u1", "a"), ("u1", "b")]),
        ({"hash": "turned:{coupon}", "user": "value"}, [("u1", ""), ("u1", "")]),
        ({"keys": "key[*]:{coupon}:{user}:x"}, [("u00042", ""), (43, "")]),
        ({"keys": "key[*]:{coupon}:{user}:x", "id": "value"}, [("u00042", "a"), (43, "b")]),
    ],
)
async def test_holders_of_a_redis_are_found_in_every_form(
    stores: Stores, client: "redis.Redis", holders: Any, rows: list[Any]
) -> None:
    for user, id_ in (("u00042", "a"), ("43", "b")):
        client.sadd("set:C", user)
        client.zadd("zset:C", {user: 1.0})
        client.hset("hash:C", user, id_)
        client.hset("turned:C", id_, "u1")
        client.set(f"key[*]:C:{user}:x", id_)
        client.set(f"key[*]:D:{user}:x", id_)
        client.set(f"keyX:C:{user}:x", id_)  # what an unescaped pattern would find
    client.set("left", 3)
    client.set("all", "5")
    store = {"holders": holders, "stock": "all", "remaining": "left"}
    found = await asked("redis", store, stores.redis())
    assert sorted(found.rows, key=str) == sorted(rows, key=str)
    assert (found.stock, found.views["redis"]["remaining"]) == (5, 3)


@pytest.mark.parametrize(
    ("holders", "says"),
    [
        ("set:{coupon}", "set:C expires"),
        ({"keys": "key:{coupon}:{user}"}, "key:C:1 expires"),
        ("text:{coupon}", "WRONGTYPE"),
        ({"keys": "set:{user}", "id": "value"}, "WRONGTYPE|expires"),
    ],
)
async def test_holders_that_expire_or_are_none_are_no_audit(
    stores: Stores, client: "redis.Redis", holders: Any, says: str
) -> None:
    client.sadd("set:C", "1")
    client.set("text:C", "1")
    client.set("key:C:1", "a", ex=600)
    client.expire("set:C", 600)
    with pytest.raises(GamedayError, match=says):
        await asked("redis", {"holders": holders}, stores.redis())


async def test_a_replica_of_a_redis_is_no_audit(stores: Stores, client: "redis.Redis") -> None:
    client.sadd("s", "1")
    client.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(GamedayError, match="is a replica"):
            await asked("redis", {"holders": "s"}, stores.redis())
    finally:
        client.replicaof("NO", "ONE")


@pytest.mark.parametrize(
    ("keys", "rows"), [("c:{user}", None), ("c:{{x}}:{user}", ["1"]), ("c:{{y}}:{user}", None)]
)
async def test_a_node_of_a_cluster_tells_of_its_own_keys_alone(
    tmp_path: Path, keys: str, rows: list[str] | None
) -> None:
    more: dict[str, Any] = {"cluster_enabled": "yes", "cluster_require_full_coverage": "no"}
    more["cluster_port"] = str(free_port())
    with redis_server(tmp_path, "pw", **more) as port, redis.Redis(port=port, password="pw") as one:
        slot = int(one.execute_command("CLUSTER", "KEYSLOT", "x"))
        one.execute_command("CLUSTER", "ADDSLOTS", slot)
        wait_until(lambda: _takes(one, "c:{x}:1"), 10.0, "the node is up")
        url = f"redis://:pw@127.0.0.1:{port}/0"
        if rows is None:
            with pytest.raises(GamedayError, match="several nodes of a cluster"):
                await asked("redis", {"holders": {"keys": keys}}, url)
        else:
            assert list((await asked("redis", {"holders": {"keys": keys}}, url)).rows) == [(1, "")]


def _takes(client: "redis.Redis", key: str) -> bool:
    try:
        return bool(client.set(key, "a"))
    except redis.RedisError:
        return False


async def test_many_holders_are_each_there_once_and_in_one_order(
    stores: Stores, client: "redis.Redis"
) -> None:
    client.mset({f"c:{n}": "x" for n in range(12_000)})
    client.sadd("s", *range(12_000))
    by_key = await asked("redis", {"holders": {"keys": "c:{user}"}}, stores.redis())
    by_set = await asked("redis", {"holders": "s"}, stores.redis())
    assert len(by_key.rows) == 12_000
    assert by_key.rows == by_set.rows
