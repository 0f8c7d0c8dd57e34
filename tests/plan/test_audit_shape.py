"""Audits in somebody's own shape: the rows that are meant, or an error that says what is there."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gameday.core.errors import GamedayError
from gameday.evidence.rows import Rows
from gameday.injection.drivers.request import Sender
from gameday.plan.audit_answer import AuditAnswer, ask
from gameday.plan.audit_shape import ShapedReader, take_csv
from gameday.spec.audit import AuditCommand, AuditRequest
from gameday.spec.system import System

SYSTEM: dict[str, Any] = {
    "name": "own",
    "base_url": "http://127.0.0.1:1",
    "requests": {"issue": {"post": "/", "outcomes": {"issued": {"status": 200}}}},
}


def shape(**given: Any) -> AuditRequest:
    return AuditRequest.model_validate({"get": "/", **given})


def read(body: object, *, at_once: int = 7, **given: Any) -> list[Any]:
    rows = Rows()
    reader = ShapedReader(shape(**given), rows)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    for at in range(0, len(raw), at_once):
        reader.feed(raw[at : at + at_once])
    reader.end()
    return list(rows)


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ({"rows": [{"userId": 7, "issueId": "a"}]}, {"rows": "rows"}),
        ([{"userId": 7, "issueId": "a"}], {"rows": "$"}),
        ({"data": {"items": [{"m": {"id": 7}, "v": "a"}]}}, {"rows": "data.items", "user": "m.id"}),
        ([[7, "a"]], {"rows": "$", "user": "0", "id": "1"}),
        ([{"by": [{"id": 7}], "v": "a"}], {"rows": "$", "user": "by.0.id", "id": "v"}),
        ([{"rows": [7]}, {"rows": [8]}], {"rows": "0.rows", "user": "$"}),
        ([7], {"rows": "$", "user": "$"}),
        ({"members": ["7"]}, {"rows": "members", "user": "$"}),
    ],
)
def test_rows_are_found_wherever_they_are(body: object, given: dict[str, str]) -> None:
    found = read(body, at_once=7, **given)
    assert [user for user, _ in found] == [7]
    has_id = "id" in given or "user" not in given
    assert [id_ for _, id_ in found] == (["a"] if has_id else [""])


def test_an_empty_list_is_no_rows_and_a_row_may_have_no_id() -> None:
    assert read({"items": []}, rows="items", user="m") == []
    assert read([{"m": 7, "v": None}], rows="$", user="m", id="v") == [(7, "")]


def test_many_rows_are_read_as_they_come() -> None:
    body = {"data": {"n": 1, "items": [{"m": n, "v": f"v{n}"} for n in range(50_000)]}}
    found = read(body, at_once=65_536, rows="data.items", user="m", id="v")
    assert found == [(n, f"v{n}") for n in range(50_000)]


@pytest.mark.parametrize(
    ("body", "given", "says"),
    [
        ({"a": 1, "b": 2}, {"rows": "items"}, "`rows: items` leads nowhere: it has 'a', 'b'"),
        ({"d": {"x": 1}}, {"rows": "d.items"}, "leads nowhere: `d` has 'x'"),
        ({"d": {"items": {"x": 1}}}, {"rows": "d.items"}, "is not a list but an object, has 'x'"),
        ({"items": None}, {"rows": "items"}, "is not a list but None"),
        ({"items": "x"}, {"rows": "items"}, "is not a list but 'x'"),
        ({"items": [{"id": 7}]}, {"rows": "items", "user": "m"}, "one has 'id'"),
        ({"items": [{"m": 1}, {}]}, {"rows": "items", "user": "m"}, "one is empty"),
        ({"items": [{"m": 1}]}, {"rows": "items", "user": "m", "id": "v"}, "`id: v` leads nowhere"),
        ([1, 2], {"rows": "$", "user": "m"}, "`user: m` leads nowhere"),
        ({"items": [{"m": 1, "v": [1]}]}, {"rows": "items", "user": "m", "id": "v"}, "no id"),
        (b'{"items": [{"m": NaN}]}', {"rows": "items", "user": "m"}, "not JSON"),
        (b'{"items": [{"m": 1', {"rows": "items", "user": "m"}, "does not end"),
        (b'{"items": [{"m": 1}], "items": [{}]}', {"rows": "items", "user": "m"}, "there twice"),
        (b"[" * 1_000_000, {"rows": "0", "user": "$"}, "nested deeper|more than"),
    ],
)
def test_what_is_not_of_the_shape_says_what_there_is(
    body: object, given: dict[str, str], says: str
) -> None:
    with pytest.raises(GamedayError, match=says):
        read(body, at_once=4_096, **given)


def csv_rows(text: str | bytes, **given: str) -> list[Any]:
    rows = Rows()
    command = AuditCommand.model_validate({"command": ["x"], "format": "csv", **given})
    take_csv(text if isinstance(text, bytes) else text.encode(), command, rows)
    return list(rows)


def test_csv_is_read_by_the_names_of_its_columns() -> None:
    text = '\ufeffcode,"member",x\r\nv1,u7,"a,b"\r\n"v""2",8,\r\n'
    assert csv_rows(text, user="member", id="code") == [("u7", "v1"), (8, 'v"2')]
    assert csv_rows("member\n7\n\n8\n", user="member") == [(7, ""), (8, "")]
    assert csv_rows("userId,issueId\n") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "that column is not there; its first line has nothing"),
        ("a,b\n1,2\n", "that column is not there; its first line has 'a', 'b'"),
        ("member,member\n1,2\n", "that column is twice"),
        ("member,code\n1\n", "line 2 of its CSV has 1 values"),
        ('member,code\n"1,2\n', "its CSV: unexpected end of data"),
        (b"member,code\n\xff,1\n", "byte 13 of its CSV is not UTF-8"),
        ("member,code\n1," + "x" * 200_000 + "\n", "field larger than"),
    ],
)
def test_csv_that_is_none_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(GamedayError, match=says):
        csv_rows(text, user="member", id="code")


Page = Callable[[str, dict[str, list[str]]], object]


@asynccontextmanager
async def serving(page: Page) -> AsyncIterator[str]:
    """A server whose answer is what `page` makes of a path and its query; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        parts = urlsplit(head.split()[1])
        raw = json.dumps(page(parts.path, parse_qs(parts.query))).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
        writer.write(f"Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def asked(page: Page, prefix: str = "", **audit: Any) -> AuditAnswer:
    async with serving(page) as url:
        whole = {"get": "/audit", "rows": "items", "user": "m", **audit}
        told = {**SYSTEM, "base_url": f"{url}{prefix}", "audit": whole}
        system = System.model_validate_json(json.dumps(told))
        return await ask(system, Sender(system.base_url, {"coupon": "C"}, {}))


def five(path: str, query: dict[str, list[str]]) -> object:
    """Pages of two of five members."""
    at = int(query.get("at", ["0"])[0])
    some = [{"m": n} for n in range(5)[at : at + 2]]
    more = f"{path}?at={at + 2}" if at + 2 < 5 else None
    return {"items": some, "next": more, "url": f"?at={at + 2}" if more else None, "all": 5}


@pytest.mark.parametrize("next_", ["next", "url"])
@pytest.mark.parametrize("prefix", ["", "/shop"])
async def test_pages_are_followed_to_their_end(next_: str, prefix: str) -> None:
    found = await asked(five, prefix, paging={"next": next_})
    assert [user for user, _ in found.rows] == [0, 1, 2, 3, 4]
    assert found.stock is None


async def test_a_token_is_left_out_of_the_first_request() -> None:
    seen: list[list[str]] = []

    def page(_: str, query: dict[str, list[str]]) -> object:
        seen.append(query.get("t", []))
        number = int(query.get("t", ["0"])[0])
        return {"items": [{"m": number}], "token": number + 1 if number < 3 else None}

    found = await asked(page, query={"t": "{next}", "of": "{coupon}"}, paging={"next": "token"})
    assert [user for user, _ in found.rows] == [0, 1, 2, 3]
    assert seen == [[], ["1"], ["2"], ["3"]]


@pytest.mark.parametrize(
    ("onward", "says"),
    [
        ("http://127.0.0.2/audit?at=2", "its next page is somewhere else"),
        ("//evil.example/audit", "its next page is somewhere else"),
        ("https://127.0.0.1/audit", "its next page is somewhere else"),
        ("file:///etc/passwd", "its next page is somewhere else"),
        ("http://user:secret@127.0.0.1/x", "its next page is somewhere else"),
        ("audit?at=2", "its next page is somewhere else"),
        ([1], "neither an address nor a token"),
        (True, "neither an address nor a token"),
    ],
)
async def test_a_next_page_elsewhere_is_not_asked_for(onward: object, says: str) -> None:
    with pytest.raises(GamedayError, match=says):
        await asked(lambda *_: {"items": [{"m": 1}], "next": onward}, paging={"next": "next"})


@pytest.mark.parametrize(
    ("page", "audit", "says"),
    [
        (
            lambda _, q: {"items": [{"m": int(q["p"][0]) // 2}]},
            {"query": {"p": "{page}"}, "paging": {"most": 9}},
            "more than 9 pages",
        ),
        (
            lambda _, q: {"items": [{"m": 1}] if int(q["p"][0]) < 3 else []},
            {"query": {"p": "{page}"}, "paging": {}},
            "stands on two of its pages",
        ),
        (
            lambda *_: {"items": [{"m": 1}], "next": "/audit?at=1"},
            {"paging": {"next": "next"}},
            "leads back to",
        ),
        (lambda *_: {"items": [{"m": 1}]}, {"paging": {"next": "next"}}, "in none of its answers"),
        (
            lambda *_: {"items": [{"m": 1}], "all": 2},
            {"paging": {"next": "next"}, "total": "all"},
            "tells of 2 issues in all, and 1 came",
        ),
        (lambda *_: {"items": [{"m": 1}], "all": "x"}, {"total": "all"}, "`total: all`"),
        (lambda *_: {"items": [{"m": 1}]}, {"stock": "of.all"}, "`stock: of.all` leads nowhere"),
        (lambda *_: {"items": [], "n": -1}, {"stock": "n"}, "not a number from 0"),
    ],
)
async def test_pages_that_do_not_fit_together_are_no_audit(
    page: Page, audit: dict[str, Any], says: str
) -> None:
    with pytest.raises(GamedayError, match=says):
        await asked(page, **audit)


@pytest.mark.parametrize("total", [None, "all"])
async def test_an_empty_page_in_the_middle_is_no_end(total: str | None) -> None:
    pages = {"1": [{"m": 1}, {"m": 2}], "3": [{"m": 3}, {"m": 4}]}

    def page(_: str, query: dict[str, list[str]]) -> object:
        return {"items": pages.get(query["p"][0], []), "all": 4}

    shape: dict[str, Any] = {"query": {"p": "{page}"}, "paging": {}}
    if total is None:
        with pytest.raises(GamedayError, match="is empty, and not the last: name its `total`"):
            await asked(page, **shape)
    else:
        assert len((await asked(page, **shape, total=total)).rows) == 4


async def test_a_page_behind_the_last_may_be_an_error_and_is_none_of_the_most() -> None:
    def page(_: str, query: dict[str, list[str]]) -> object:
        number = int(query["p"][0])
        return (
            {"items": [{"m": number}] if 0 < number < 3 else []} if number < 4 else "no such page"
        )

    found = await asked(page, query={"p": "{page}"}, paging={"most": 3})
    assert [user for user, _ in found.rows] == [1, 2]


async def test_numbers_beside_the_rows_are_told_with_them() -> None:
    found = await asked(
        lambda *_: {"items": [{"m": 1}], "of": {"all": "7", "left": 6.0}},
        stock="of.all",
        remaining="of.left",
    )
    assert (found.stock, list(found.rows)) == (7, [(1, "")])
    assert found.views == {"audit": {"remaining": 6, "holders": None, "current": True}}


async def test_the_same_issue_twice_on_one_page_is_two_rows() -> None:
    found = await asked(
        lambda *_: {"items": [{"m": 1}, {"m": 1}], "next": None}, paging={"next": "next"}
    )
    assert list(found.rows) == [(1, ""), (1, "")]


@pytest.mark.parametrize(
    "beside",
    [
        {"next": "/audit?page=2"},
        {"links": {"next": "/audit?page=2"}},
        {"_links": {"next": {"href": "/audit?page=2"}}},
        {"nextPageToken": "abc"},
        {"has_more": True},
        {"pageInfo": {"hasNextPage": True}},
        {"totalElements": 3, "totalPages": 1},
        {"meta": {"total_pages": 2}},
        {"last": False},
    ],
)
async def test_an_answer_that_says_that_there_is_more_is_no_audit_by_itself(
    beside: dict[str, Any],
) -> None:
    """Who has not named its pages would be told that everything on the others was lost."""
    with pytest.raises(GamedayError, match="not all there is .*name `paging`"):
        await asked(lambda *_: {"items": [{"m": 1}], **beside})
    settled = await asked(lambda *_: {"items": [{"m": 1}], "n": 1, **beside}, total="n")
    assert len(settled.rows) == 1


@pytest.mark.parametrize(
    "beside",
    [
        {"next": None, "links": {"next": ""}, "has_more": False},
        {"totalElements": 1, "totalPages": 1, "last": True},
        {"total": 500, "count": 90, "page": 1, "next_sale": "2027"},
        {"meta": [1, 2], "links": "next", "pageInfo": None},
    ],
)
async def test_an_answer_that_is_all_there_is_needs_no_pages(beside: dict[str, Any]) -> None:
    assert len((await asked(lambda *_: {"items": [{"m": 1}], **beside})).rows) == 1


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_pages_from_0_that_are_read_from_1_are_noticed(count: int) -> None:
    """Else whoever stands on the first page would count as lost."""

    def page(_: str, query: dict[str, list[str]]) -> object:
        at = 2 * int(query["p"][0])
        return {"items": [{"m": n} for n in range(count)[at : at + 2]]}

    with pytest.raises(GamedayError, match="write `from: 0`"):
        await asked(page, query={"p": "{page}"}, paging={"from": 1})
    found = await asked(page, query={"p": "{page}"}, paging={"from": 0})
    assert len(found.rows) == count


@pytest.mark.parametrize("zero", ["first", "nothing", "no list"])
async def test_a_system_whose_pages_begin_at_1_may_answer_anything_for_page_0(zero: str) -> None:
    def page(_: str, query: dict[str, list[str]]) -> object:
        number = int(query["p"][0])
        if number == 0 and zero == "no list":
            return {"error": "no such page"}
        number = 1 if number == 0 and zero == "first" else number
        return {"items": [{"m": n} for n in range(1, 6)[max(0, 2 * number - 2) : 2 * number]]}

    found = await asked(page, query={"p": "{page}"}, paging={"from": 1})
    assert [user for user, _ in found.rows] == [1, 2, 3, 4, 5]
