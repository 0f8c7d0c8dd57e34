"""The request that issues, out of an OpenAPI document; anybody may have written that."""

import json
from typing import Any

import pytest

from gameday.core.errors import UsageError
from gameday.plan.first_files.examples import Templates
from gameday.plan.first_files.openapi import (
    ApiDocument,
    UnclearError,
    base_of,
    outcomes_of,
    read_api,
    request_of,
)
from gameday.plan.first_files.sketch import BodySketch, RequestSketch

ORDER = {
    "type": "object",
    "required": ["memberId", "quantity"],
    "properties": {
        "memberId": {"type": "string", "format": "uuid"},
        "couponCode": {"type": "string", "example": "SPRING"},
        "quantity": {"type": "integer", "minimum": 1},
        "comment": {"type": "string"},
    },
}
PATHS: dict[str, Any] = {
    "/auth/login": {"post": {"operationId": "login"}},
    "/coupons/{couponId}/issue": {
        "parameters": [{"$ref": "#/components/parameters/coupon"}],
        "post": {
            "operationId": "issueCoupon",
            "requestBody": {
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
            },
            "responses": {
                "201": {"description": "issued"},
                "404": {"description": "no such coupon"},
                "409": {"description": "This member has one already"},
                "410": {"description": "Sold out"},
                "default": {"description": "anything"},
            },
        },
    },
    "/coupons": {"get": {"operationId": "listCoupons"}},
}
COUPON = {"name": "couponId", "in": "path", "required": True, "schema": {"type": "string"}}


def document(paths: Any = PATHS, **more: Any) -> bytes:
    parts = {"schemas": {"Order": ORDER}, "parameters": {"coupon": COUPON}}
    whole = {"openapi": "3.1.0", "info": {"title": "Shop"}, "paths": paths, "components": parts}
    return json.dumps({**whole, **more}).encode()


def api(paths: Any = PATHS, **more: Any) -> ApiDocument:
    return read_api(document(paths, **more), "api.json")


def test_the_operation_that_issues_is_found_and_its_request_made() -> None:
    found = api()
    templates = Templates()
    request = request_of(found, found.pick(None), templates)
    assert request.line == "POST /coupons/{coupon}/issue"
    value = {"memberId": "{user:uuid}", "couponCode": "SPRING", "quantity": 1}
    assert request.body == BodySketch(form="json", value=value)
    assert request.guessed == ["quantity = 1"]
    assert templates.coupon == "CODE"


def test_what_the_document_says_of_statuses_becomes_outcomes() -> None:
    found = api()
    said = outcomes_of(found, found.pick(None), audited=True)
    assert {each.name: each.match for each in said} == {
        "issued": {"status": 201},
        "duplicate": {"status": 409},
        "sold_out": {"status": 410},
        "refused": {"status": [404]},
    }


def test_a_status_that_means_two_things_is_left_open() -> None:
    answers = {"409": {"description": "sold out, or the member has one already"}}
    found = api({"/claim": {"post": {"summary": "claim a coupon", "responses": answers}}})
    assert outcomes_of(found, found.pick(None), audited=True) == []


def test_where_it_is_not_clear_which_issues_nothing_is_guessed() -> None:
    paths: Any = {"/orders": {"post": {}}, "/claims": {"post": {}}}
    with pytest.raises(UnclearError, match="POST /orders") as told:
        api(paths).pick(None)
    assert "--operation 'POST /orders'" in told.value.help
    assert api(paths).pick("post /claims").path == "/claims"
    with pytest.raises(UsageError, match="there is no"):
        api(paths).pick("POST /nothing")


@pytest.mark.parametrize(
    ("servers", "given", "read_from", "base"),
    [
        ([{"url": "http://10.0.0.1/v1"}], None, None, "http://10.0.0.1/v1"),
        ([{"url": "http://10.0.0.1/v1"}], "http://127.0.0.1:1", None, "http://127.0.0.1:1"),
        ([{"url": "/v2"}], None, "http://127.0.0.1:9/openapi.json", "http://127.0.0.1:9/v2"),
        ([], None, "http://127.0.0.1:9/docs/openapi.json", "http://127.0.0.1:9/"),
    ],
)
def test_the_base_is_what_was_given_or_what_the_document_says(
    servers: Any, given: str | None, read_from: str | None, base: str
) -> None:
    assert base_of(api(servers=servers), given, read_from) == base


@pytest.mark.parametrize(
    "server",
    [
        "http://127.0.0.1:2375",
        "https://other.example",
        "//127.0.0.1:2375/x",
        "https://staging.example:8443/v1",
        "https://staging.example@127.0.0.1/",
        "http://[",
    ],
)
def test_no_server_of_a_document_leads_to_another_host_or_port(server: str) -> None:
    with pytest.raises(UsageError, match="answers elsewhere") as told:
        base_of(api(servers=[{"url": server}]), None, "https://staging.example/openapi.json")
    assert told.value.help.endswith("--url https://staging.example")
    given = base_of(api(servers=[{"url": server}]), "http://127.0.0.1:7", "https://staging.example")
    assert given == "http://127.0.0.1:7"


def test_of_several_servers_the_one_of_the_document_is_taken() -> None:
    servers = [{"url": "https://shop.example"}, {"url": "http://localhost:8000/v1"}]
    base = base_of(api(servers=servers), None, "http://127.0.0.1:8000/openapi.json")
    assert base == "http://localhost:8000/v1"


def test_a_file_that_says_no_address_asks_for_one() -> None:
    with pytest.raises(UsageError, match="where the system answers"):
        base_of(api(servers=[{"url": "/v2"}]), None, "")


def test_references_in_a_circle_and_to_elsewhere_end() -> None:
    circle = {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/circle"}}}
    paths = {
        "/claim": {
            "post": {
                "summary": "claim a coupon",
                "parameters": [{"$ref": "file:///etc/passwd"}, {"$ref": "#/nowhere"}],
                "requestBody": {"content": {"application/json": {"schema": circle}}},
            }
        }
    }
    found = api(paths, circle=circle)
    request = request_of(found, found.pick(None), Templates())
    assert request.body is not None
    assert "passwd" not in repr(request)


@pytest.mark.parametrize(
    "raw",
    [
        b"<!doctype html>",
        b"[1, 2]",
        b"{}",
        b'{"paths": 3}',
        b'{"paths": {}, "a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"a: &a [x]\nb: !!python/object/apply:os.system ['id']",
        b"\x00\xff",
        b'{"paths": 1e999}',
        b"- " * 20_000,
    ],
)
def test_what_is_no_document_is_one_error(raw: bytes) -> None:
    with pytest.raises(UsageError):
        read_api(raw, "api.json")


def test_yaml_and_swagger_2_are_read() -> None:
    raw = b"""
swagger: "2.0"
host: 127.0.0.1:7
basePath: /v1
paths:
  /vouchers/claim:
    post:
      parameters:
        - {in: body, name: body, schema: {properties: {userId: {type: integer}}}}
      responses: {200: {description: ok}}
"""
    found = read_api(raw, "api.yaml")
    request = request_of(found, found.pick(None), Templates())
    assert base_of(found, None, None) == "http://127.0.0.1:7/v1"
    assert request.body == BodySketch(form="json", value={"userId": "{user}"})


def claim(schema: Any, **more: Any) -> ApiDocument:
    body = {"content": {"application/json": {"schema": schema}}}
    return api({"/claim": {"post": {"summary": "claim a coupon", "requestBody": body}}}, **more)


def ask(found: ApiDocument, **more: Any) -> RequestSketch:
    return request_of(found, found.pick(None), Templates(), **more)


def test_a_schema_within_itself_is_not_entered_again() -> None:
    again = {"$ref": "#/Node"}
    keys: Any = {"memberId": {"type": "integer"}, **dict.fromkeys("abcde", again)}
    node = {"properties": keys, "required": ["a"]}
    found = ask(claim(again, Node=node))
    assert found.body is not None
    assert found.body.value == {"memberId": "{user}", "a": None}
    free = {"properties": dict.fromkeys("abcde", again)}
    assert ask(claim(again, Node=free)).body == BodySketch(form="json", value={})


@pytest.mark.parametrize("example", [False, True])
def test_a_schema_without_an_end_is_refused_and_a_body_of_ones_own_helps(*, example: bool) -> None:
    levels = {
        f"L{n}": {"properties": {f"k{k}": {"$ref": f"#/L{n + 1}"} for k in range(40)}}
        for n in range(8)
    }
    schema = {"example": {"a": [0] * 100_000}} if example else {"$ref": "#/L0"}
    found = claim(schema, **levels)
    with pytest.raises(UsageError, match="more than 2000 values") as told:
        ask(found)
    assert "--json" in told.value.help
    assert ask(found, with_body=False).body is None


def test_dates_and_numbers_of_yaml_stay_what_json_can_say() -> None:
    raw = b"""
paths:
  /vouchers/claim:
    post:
      requestBody:
        content:
          application/json:
            schema:
              required: [userId, day, at]
              properties:
                userId: {type: string, example: u1}
                day: {type: string, format: date, example: 2024-01-01}
                at: {type: string, default: 2024-01-01T10:00:00Z}
      responses: {200: {description: ok}}
"""
    found = read_api(raw, "api.yaml")
    body = request_of(found, found.pick(None), Templates()).body
    assert body is not None
    assert body.value == {"userId": "u{user}", "day": "2024-01-01", "at": "2024-01-01T10:00:00Z"}
    assert outcomes_of(found, found.pick(None), audited=True)[0].match == {"status": 200}


MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 8)
)


@pytest.mark.parametrize("raw", [MERGES, "paths: {/a: {post: !!set {a, b}}}", "paths: !!binary x"])
def test_merge_keys_without_an_end_and_tags_are_one_error(raw: str) -> None:
    with pytest.raises(UsageError, match="values, aliases|tag"):
        read_api(raw.encode(), "api.yaml")
