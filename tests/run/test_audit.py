"""The audit: real stores are looked into, and compared with what the system says of itself."""

import asyncio
import io
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from gameday.core.clock import SystemClock
from gameday.evidence import journal
from gameday.evidence.audit import audit_of
from gameday.evidence.audit_sources import AuditSource
from gameday.evidence.journal import Journal
from gameday.evidence.rows import Rows
from gameday.injection.drivers.request import Sender
from gameday.plan.audit_answer import AuditAnswer
from gameday.plan.stores.postgres import with_short_texts
from gameday.plan.stores.redis import holders_of
from gameday.run import audit
from gameday.run.audit_file import AuditReading, mask
from gameday.run.teardown import _audit
from gameday.spec.system import System
from tests.support.sut_stores import Stores, running_stores

ANSWER = {"code": "C", "stock": 5, "rows": [{"userId": 1, "issueId": "a"}]}
SYSTEM: dict[str, Any] = {
    "name": "own",
    "base_url": "http://127.0.0.1:1",
    "requests": {"issue": {"post": "/", "outcomes": {"issued": {"status": 200}}}},
    "audit": {"get": "/audit/{coupon}"},
    "stores": {
        "postgres": {
            "dsn": {"env": "DSN"},
            "rows": "SELECT user_id, id FROM audit_rows WHERE coupon_code = $1",
        },
        "redis": {
            "url": {"env": "REDIS"},
            "remaining": "left:{coupon}",
            "holders": "holders:{coupon}",
        },
    },
    "authority": "postgres",
}


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with running_stores() as started:
        yield started


@asynccontextmanager
async def answering(body: object, status: str = "200 OK") -> AsyncIterator[str]:
    """A server whose audit says `body`; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        raw = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def filled(stores: Stores, *rows: tuple[int, str], holders: list[int]) -> None:
    """The stores hold these rows of campaign C, and one of another."""
    connection = await asyncpg.connect(stores.postgres())
    await connection.execute("DROP TABLE IF EXISTS audit_rows")
    await connection.execute("CREATE TABLE audit_rows (user_id bigint, id text, coupon_code text)")
    for user, name in rows:
        await connection.execute("INSERT INTO audit_rows VALUES ($1, $2, 'C')", user, name)
    await connection.execute("INSERT INTO audit_rows VALUES (99, 'z', 'D')")
    await connection.close()
    client = redis.asyncio.Redis.from_url(stores.redis())
    await client.flushall()
    await client.set("left:C", 5 - len(holders))
    if holders:
        await client.sadd("holders:C", *holders)
    await client.aclose()


async def read(
    held: Stores, body: object, *, secrets: Sequence[str] = (), **changes: object
) -> AuditReading:
    async with answering(body) as url:
        system = System.model_validate_json(json.dumps({**SYSTEM, "base_url": url, **changes}))
        environment = {"DSN": held.postgres(), "REDIS": held.redis()}
        sender = Sender(url, {"coupon": "C", "run": "r"}, environment)
        return await audit.read(system, sender, "C", 5, SystemClock(), secrets=secrets)


async def test_rows_come_from_the_authority_and_agree_with_the_answer(stores: Stores) -> None:
    await filled(stores, (1, "a"), holders=[1])
    found = await read(stores, {**ANSWER, "views": {"redis": {"current": True}}})
    assert (list(found.rows), found.rows_from, found.cut) == ([(1, "a")], "postgres", "consistent")
    assert found.answer_rows_equal is True
    assert found.views["redis"] == {"remaining": 4, "holders": [1], "current": True}
    assert found.problem == ""


async def test_an_answer_that_differs_from_the_store_is_told(stores: Stores) -> None:
    await filled(stores, (1, "a"), (2, "b"), holders=[])
    found = await read(stores, ANSWER)
    assert found.answer_rows_equal is False
    assert list(found.rows) == [(1, "a"), (2, "b")]
    assert found.views["redis"]["current"] is True


async def test_without_stores_the_answer_is_the_evidence(stores: Stores) -> None:
    found = await read(stores, ANSWER, stores={}, authority=None)
    assert (list(found.rows), found.rows_from, found.cut) == ([(1, "a")], "audit", "consistent")


async def test_a_store_that_cannot_be_read_leaves_the_cut_unknown(stores: Stores) -> None:
    await filled(stores, (1, "a"), holders=[])
    broken = {"postgres": {"dsn": {"env": "DSN"}, "rows": "SELECT nothing FROM nowhere"}}
    found = await read(stores, ANSWER, stores=broken)
    assert found.cut == "unknown"
    assert "nowhere" in found.problem
    found = await read(stores, ANSWER, stores=broken, secrets=["nowhere"])
    assert "nowhere" not in found.problem and "***" in found.problem


@pytest.mark.parametrize("rows", ["SELECT 1", "SELECT $1", "nonsense"])
async def test_sql_that_does_not_fit_is_a_problem_and_no_crash(stores: Stores, rows: str) -> None:
    found = await read(stores, ANSWER, stores={"postgres": {"dsn": {"env": "DSN"}, "rows": rows}})
    assert found.cut == "unknown"
    assert found.problem.startswith("stores:")


@pytest.mark.parametrize(
    ("user", "read_as"),
    [
        ("NULL", "null"),
        ("'u00042'", "u00042"),
        ("'42'", 42),
        ("42.0::float8", 42),
        ("18446744073709551616::numeric", "18446744073709551616"),
        ("'0c5f2a4e-8a0b-4e6e-9b0a-0123456789ab'::uuid", "0c5f2a4e-8a0b-4e6e-9b0a-0123456789ab"),
        ("'{1,2}'::int[]", "{1,2}"),
        ("now()::date - now()::date", 0),
        ("false", "false"),
    ],
)
async def test_a_user_of_a_store_is_whatever_the_store_calls_it(
    stores: Stores, user: str, read_as: object
) -> None:
    await filled(stores, holders=[])
    query = f"SELECT {user}, 'a' WHERE $1 <> ''"
    found = await read(stores, ANSWER, stores={"postgres": {"dsn": {"env": "DSN"}, "rows": query}})
    assert list(found.rows) == [(read_as, "a")], found.problem


async def test_members_of_a_set_are_users_whatever_they_are(stores: Stores) -> None:
    await filled(stores, (1, "a"), holders=[])
    client = redis.asyncio.Redis.from_url(stores.redis())
    await client.sadd("holders:C", "7", "u00042", b"\xff\x00", "x" * 2**20)
    await client.aclose()
    found = await read(stores, ANSWER)
    holders = found.views["redis"]["holders"]
    assert {7, "u00042", "\\xff\\x00"} == {each for each in holders if len(str(each)) < 60}
    assert len(holders) == 4 and max(len(str(each)) for each in holders) < 200


async def test_holders_that_expire_are_a_problem_of_their_own_view_alone(stores: Stores) -> None:
    await filled(stores, (1, "a"), holders=[1])
    client = redis.asyncio.Redis.from_url(stores.redis())
    await client.set("mark:C:1", "1", ex=600)
    await client.aclose()
    told = {"url": {"env": "REDIS"}, "remaining": "left:{coupon}"}
    by_key = {**told, "holders": {"keys": "mark:{coupon}:{user}"}}
    found = await read(stores, ANSWER, stores={**SYSTEM["stores"], "redis": by_key})
    assert (list(found.rows), found.cut, found.problem) == ([(1, "a")], "consistent", "")
    assert found.views["redis"] == {"remaining": 4, "holders": None, "current": True}
    assert "expires" in found.sources["redis"].problem


@pytest.mark.parametrize("key", ["remaining", "holders"])
async def test_a_fast_path_may_be_looked_into_for_one_thing(stores: Stores, key: str) -> None:
    await filled(stores, (1, "a"), holders=[1])
    fields = {
        "url": {"env": "REDIS"},
        key: {"remaining": "left:{coupon}", "holders": "holders:{coupon}"}[key],
    }
    found = await read(stores, ANSWER, stores={"redis": fields}, authority=None)
    one = {"remaining": 4, "holders": [1]}[key]
    assert found.views["redis"] == {"remaining": None, "holders": None, "current": True, key: one}


@pytest.mark.parametrize(
    ("keys", "holders", "told"),
    [
        ({"remaining": "no:{coupon}", "holders": "no:{coupon}"}, [1], (None, None, None)),
        ({"holders": "no:{coupon}"}, [1], (None, None, None)),
        ({"remaining": "no:{coupon}"}, [1], (None, None, None)),
        ({"remaining": "left:{coupon}", "holders": "no:{coupon}"}, [1], (4, None, True)),
        ({"remaining": "no:{coupon}", "holders": "holders:{coupon}"}, [1], (None, [1], True)),
    ],
)
async def test_what_is_absent_in_redis_says_nothing(
    stores: Stores, keys: dict[str, str], holders: list[int], told: tuple[object, ...]
) -> None:
    await filled(stores, (1, "a"), holders=holders)
    fields = {"redis": {"url": {"env": "REDIS"}, **keys}}
    found = await read(stores, ANSWER, stores=fields, authority=None)
    assert tuple(found.views["redis"].values()) == told
    said = {**ANSWER, "views": {"redis": {"current": True}}}  # the system vouches for it
    found = await read(stores, said, stores=fields, authority=None)
    assert found.views["redis"]["current"] is True
    if "holders" in keys:
        assert found.views["redis"]["holders"] == (holders if told[1] else [])


async def test_a_view_is_current_by_itself_only_where_no_action_could_switch_it_off(
    stores: Stores,
) -> None:
    await filled(stores, (1, "a"), holders=[1])
    assert (await read(stores, ANSWER)).views["redis"]["current"] is True
    switch = {"use-other": {"post": "/switch"}}
    assert (await read(stores, ANSWER, actions=switch)).views["redis"]["current"] is None
    told = {**ANSWER, "views": {"redis": {"current": False}}}
    assert (await read(stores, told)).views["redis"]["current"] is False


async def test_a_row_without_an_id_has_none(stores: Stores) -> None:
    await filled(stores, holders=[])
    nameless = {"postgres": {"dsn": {"env": "DSN"}, "rows": "SELECT 1, NULL WHERE $1 <> ''"}}
    body = {**ANSWER, "rows": [{"userId": 1, "issueId": None}]}
    found = await read(stores, body, stores=nameless)
    assert (list(found.rows), found.answer_rows_equal) == ([(1, "")], True)


async def test_redis_alone_is_looked_into_as_well(stores: Stores) -> None:
    await filled(stores, holders=[1])
    body = {**ANSWER, "views": {"redis": {"current": True}}}
    only = {"redis": SYSTEM["stores"]["redis"]}
    found = await read(stores, body, stores=only, authority=None)
    assert found.views["redis"] == {"remaining": 4, "holders": [1], "current": True}
    assert (found.rows_from, found.cut, found.answer_rows_equal) == ("audit", "consistent", None)


async def test_the_store_is_only_read(stores: Stores) -> None:
    await filled(stores, (1, "a"), holders=[])
    thief = {"postgres": {"dsn": {"env": "DSN"}, "rows": "DELETE FROM audit_rows RETURNING 1, $1"}}
    found = await read(stores, ANSWER, stores=thief)
    assert "read-only" in found.problem
    connection = await asyncpg.connect(stores.postgres())
    assert await connection.fetchval("SELECT count(*) FROM audit_rows") == 2
    await connection.close()


@pytest.mark.parametrize(
    "body",
    [
        *({}, [], {"stock": 5}, {"stock": 5, "rows": 1}, {"stock": 5, "rows": [{"userId": "x"}]}),
        *(
            {**ANSWER, "views": []},
            {**ANSWER, "views": ["redis"]},
            {**ANSWER, "views": {"redis": 1}},
        ),
    ],
)
async def test_an_answer_that_is_none_is_a_problem_and_no_crash(
    stores: Stores, body: object
) -> None:
    found = await read(stores, body, stores={}, authority=None)
    assert found.cut == "unknown"
    assert found.problem.startswith("audit answer:")


MANY = 30_000


@contextmanager
def serving(raw: bytes) -> Iterator[str]:
    """A server in a thread of its own, whose answer was made before; its address."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def hold_many(stores: Stores) -> bytes:
    """Both stores hold `MANY` rows of campaign C; what an honest service says of them."""
    await filled(stores, holders=list(range(MANY)))
    rows = [(user, f"id-{user:032}", "C") for user in range(MANY)]
    connection = await asyncpg.connect(stores.postgres())
    await connection.copy_records_to_table("audit_rows", records=rows)
    await connection.close()
    told = [{"userId": user, "issueId": id_} for user, id_, _ in rows]
    return json.dumps({"code": "C", "stock": MANY, "rows": told}).encode()


async def tick(turns: list[float]) -> None:
    """Note how much processor time this thread has had, turn after turn."""
    while True:
        turns.append(time.thread_time())
        await asyncio.sleep(0.005)


async def test_the_loop_of_a_run_goes_on_while_many_rows_are_audited(
    stores: Stores, tmp_path: Path
) -> None:
    with serving(await hold_many(stores)) as url:
        system = System.model_validate_json(json.dumps({**SYSTEM, "base_url": url}))
        environment = {"DSN": stores.postgres(), "REDIS": stores.redis()}
        book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
        run: Any = SimpleNamespace(
            system=system,
            sender=Sender(url, {"coupon": "C", "run": "r"}, environment),
            coupon="C",
            stock=MANY,
            users=None,
            clock=SystemClock(),
            dir=tmp_path,
            journal=book,
            secrets=set(),
            experiment=SimpleNamespace(campaign=SimpleNamespace(users=10), seed=7),
        )
        turns: list[float] = []
        ticking = asyncio.create_task(tick(turns))
        await asyncio.sleep(0)
        all_s = time.process_time()
        await _audit(run)
        all_s = time.process_time() - all_s
        turns.append(time.thread_time())
        ticking.cancel()
    # Processor time does not depend on what else this machine does.
    assert turns[-1] - turns[0] < 0.2 * all_s, "the loop's own thread did most of the work"
    assert max(b - a for a, b in itertools.pairwise(turns)) < 0.2 * all_s
    assert len(turns) > 10
    (record,) = journal.read(book.path).records
    assert (record.data["rows"], record.data["cut"], record.data["problem"]) == (
        MANY,
        "consistent",
        "",
    )
    found = audit_of(io.BytesIO((tmp_path / "audit.json").read_bytes()))
    assert len(found.rows) == len(found.answer_rows or ()) == MANY
    assert found.answer_rows_equal
    assert found.views[0].holders == frozenset(range(MANY))


def test_what_is_written_reads_as_what_was_found(tmp_path: Path) -> None:
    rows = Rows([(1, 'a"b')])
    beside: dict[str, Any] = {"stock": 2, "odd": [[], {}, None, "\u00e9"]}
    views: dict[str, Any] = {"redis": {"remaining": 1, "holders": [1], "current": None}, "b": {}}
    answer = AuditAnswer(rows, 2, beside)
    found = AuditReading("C", 2, rows=rows, answer=answer, views=views, problem="x\ny")
    found.write(tmp_path / "audit.json")
    assert json.loads((tmp_path / "audit.json").read_bytes()) == {
        "schema": 1,
        "campaign": "C",
        "stock": 2,
        "rows": [[1, 'a"b']],
        "rows_from": "audit",
        "cut": "unknown",
        "answer": {"rows": [{"userId": 1, "issueId": 'a"b'}], **beside},
        "answer_rows_equal": None,
        "views": views,
        "problem": "x\ny",
        "read_at_ns": 0,
        "sources": {},
    }


ODD = (
    {"more": [[7, "x"], [8, "y"]]},
    {"more": {"rows": [[7, "x"], [8, "y"]]}},
    {"answer": {"rows": [{"userId": 7, "issueId": "x"}, {"userId": 8, "issueId": "y"}]}},
    {"deep": {"answer": {"rows": [{"userId": 7, "issueId": "x"}]}}},
    {'"rows": [': [[7, "x"]], "x": '],\n"rows": [\n'},
)


@pytest.mark.parametrize("count", [0, 1, 2, 9_000])
@pytest.mark.parametrize("more", ODD)
def test_rows_read_line_by_line_are_those_read_whole(
    tmp_path: Path, count: int, more: dict[str, Any]
) -> None:
    """Whatever else a system answers is never taken for a row."""
    rows = Rows([(user, 'a"],\n' if user == 1 else f"id-{user}") for user in range(count)])
    answer = AuditAnswer(rows, 5, {**more, "stock": 5})
    found = AuditReading("C", 5, rows=rows, answer=answer, views={"b": {"remaining": 1, **more}})
    mask(found, [], System.model_validate_json(json.dumps(SYSTEM)), "")
    path = tmp_path / "audit.json"
    found.write(path)
    by_line = audit_of(io.BytesIO(path.read_bytes()))
    whole = audit_of(io.BytesIO(json.dumps(json.loads(path.read_bytes())).encode()))
    assert by_line.rows == whole.rows == by_line.answer_rows == whole.answer_rows == rows
    assert [each.tolist() for each in by_line.columns] == [each.tolist() for each in whole.columns]
    assert by_line.columns[0].tolist() == list(range(count))
    assert by_line.views == whole.views
    assert [each.holders for each in by_line.views] == [each.holders for each in whole.views]


async def test_an_answer_for_another_coupon_is_no_evidence(stores: Stores) -> None:
    found = await read(stores, {**ANSWER, "code": "D"}, stores={}, authority=None)
    assert (len(found.rows), found.cut) == (0, "unknown")
    assert found.problem == "audit answer: asked for C, it answers for 'D'"


async def test_an_id_of_a_megabyte_is_cut_by_the_server_and_refused(stores: Stores) -> None:
    rows = [(user, f"id-{user}") for user in range(60)]
    await filled(stores, *rows, (60, "x" * 1_000_000), holders=[])
    connection = await asyncpg.connect(stores.postgres())
    query = await with_short_texts(connection, SYSTEM["stores"]["postgres"]["rows"])
    longest = max(len(id_) for _, id_ in await connection.fetch(query, "C"))
    for kept in ("SELECT 1, 2 WHERE $1 <> ''", "SELECT 1, gen_random_uuid() WHERE $1 <> ''"):
        assert await with_short_texts(connection, kept) == kept
    wide = "SELECT repeat('9', 1_000_000), 1 WHERE $1 <> ''".replace("_", "")
    cut = await with_short_texts(connection, wide)
    assert len(await connection.fetchval(cut, "C")) == 1_001
    await connection.close()
    assert longest == 1_001
    found = await read(stores, ANSWER)
    assert "over 1000 bytes" in found.problem
    assert found.cut == "unknown"


@pytest.mark.parametrize(
    "rows",
    [
        "SELECT user_id, id, 3 FROM audit_rows WHERE coupon_code = $1 ORDER BY id;  ",
        "WITH a AS (TABLE audit_rows) SELECT user_id, id FROM a WHERE coupon_code = $1 -- x",
        "SELECT user_id, id::varchar AS id FROM audit_rows WHERE coupon_code = $1::text",
        "SELECT user_id AS id, id AS user_id FROM audit_rows WHERE coupon_code = $1",
        "SELECT user_id::text, id FROM audit_rows WHERE coupon_code = $1",
        "SELECT user_id::numeric, id FROM audit_rows WHERE coupon_code = $1",
        "SELECT user_id::float8, id::bpchar FROM audit_rows WHERE coupon_code = $1",
    ],
)
async def test_any_query_of_rows_is_read_as_it_is_written(stores: Stores, rows: str) -> None:
    await filled(stores, (1, "a"), (2, "bé"), holders=[])
    found = await read(stores, ANSWER, stores={"postgres": {"dsn": {"env": "DSN"}, "rows": rows}})
    assert sorted(found.rows) == [(1, "a"), (2, "bé")]
    assert found.problem == ""


async def test_many_holders_are_read_in_pieces_and_each_counts_once(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.plan.stores.redis.PIECE", 10)
    await filled(stores, (1, "a"), holders=list(range(3_000)))
    body = {**ANSWER, "views": {"redis": {"current": True}}}
    found = await read(stores, body)
    assert found.cut == "consistent"
    assert found.views["redis"]["holders"] == list(range(3_000))
    monkeypatch.setattr(audit, "MOST_HOLDERS", 2_999)
    found = await read(stores, body)
    assert "3000 holders are more than 2999" in found.sources["redis"].problem
    assert (found.cut, found.views["redis"]["holders"]) == ("consistent", None)


async def test_a_set_that_moves_while_it_is_read_is_no_consistent_cut(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(stores, (1, "a"), holders=list(range(3_000)))
    scan = holders_of

    async def joined(client: redis.asyncio.Redis, key: str) -> list[int | str]:
        users = await scan(client, key)
        await client.sadd(key, 1_000_000 + await client.scard(key))
        return users

    monkeypatch.setattr(audit, "holders_of", joined)
    found = await read(stores, ANSWER)
    assert (found.cut, found.problem) == ("moving", "")


LEFT = "SELECT 5 - count(*) FROM audit_rows WHERE coupon_code = $1"


async def test_what_is_left_in_a_postgres_is_a_view_of_its_own(stores: Stores) -> None:
    await filled(stores, (1, "a"), holders=[1])
    named = {**SYSTEM["stores"]["postgres"], "stock": "SELECT 5", "remaining": LEFT}
    found = await read(stores, ANSWER, stores={"postgres": named})
    assert found.views == {"postgres": {"remaining": 4, "holders": None, "current": True}}
    assert found.sources["postgres"] == AuditSource(("rows", "remaining"), 5)
    switch = {"use-other": {"post": "/switch"}}
    switched = await read(stores, ANSWER, stores={"postgres": named}, actions=switch)
    assert switched.views["postgres"]["current"] is None


async def test_a_count_that_is_none_takes_nothing_from_the_rows(stores: Stores) -> None:
    await filled(stores, (1, "a"), holders=[1])
    named = {**SYSTEM["stores"]["postgres"], "remaining": "SELECT nothing FROM audit_rows"}
    found = await read(stores, ANSWER, stores={"postgres": named})
    assert (list(found.rows), found.cut, found.problem) == ([(1, "a")], "consistent", "")
    assert "nothing" in found.sources["postgres"].problem
    assert found.views == {}


async def test_an_answer_that_does_not_come_takes_nothing_from_the_rows_of_the_store(
    stores: Stores,
) -> None:
    await filled(stores, (1, "a"), holders=[1])
    found = await read(stores, {"no": "rows"})
    assert (list(found.rows), found.rows_from, found.problem) == ([(1, "a")], "postgres", "")
    assert "lacks `stock` or `rows`" in found.sources["audit"].problem
    alone = await read(stores, {"no": "rows"}, stores={}, authority=None)
    assert "lacks `stock` or `rows`" in alone.problem


async def test_a_postgres_beside_a_redis_that_is_the_audit_is_a_view(stores: Stores) -> None:
    await filled(stores, (1, "a"), (2, "b"), holders=[1])
    found = await read(stores, ANSWER, audit={"store": "redis"})
    assert (list(found.rows), found.rows_from) == ([(1, "")], "redis")
    assert found.views["postgres"] == {"remaining": None, "holders": [1, 2], "current": True}
