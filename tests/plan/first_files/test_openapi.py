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
from gameday.plan.first_files.sketch import BodySketch

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
