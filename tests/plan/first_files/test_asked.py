"""Options become a sketch: what is one campaign in two paths is the campaign."""

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.core.errors import UsageError
from gameday.plan.first_files.asked import InitRequest, gather
from gameday.plan.first_files.openapi import read_api
from gameday.plan.first_files.sketch import Sketch


def sketch(folder: Path, **given: Any) -> Sketch:
    return gather(InitRequest(folder=folder, **{"url": "http://127.0.0.1:1/claim", **given}), None)


def test_a_code_in_the_paths_of_request_and_audit_is_the_campaign(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/v1/enter/SNEAK1?x=1"
    found = sketch(tmp_path, url=url, audit="/v1/winners/SNEAK1?all=1")
    assert found.request.path == "/v1/enter/{coupon}"
    assert found.audit == "/v1/winners/{coupon}?all=1"
    assert found.coupon == "SNEAK1"


def test_the_name_is_that_of_the_folder(tmp_path: Path) -> None:
    assert sketch(tmp_path / "My Shop").name == "my-shop"
    assert sketch(tmp_path / "\uac00").name == "my-system"
    assert sketch(tmp_path, name="other").name == "other"


@pytest.mark.parametrize(
    "given",
    [
        {"url": "http://127.0.0.1:1/a b"},
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://user:secret@127.0.0.1/"},
        {"body": "{"},
        {"body": "{}", "form": "a=1"},
        {"body": "[" * 5000},
        {"headers": ("nonsense",)},
        {"headers": ("A\nB: 1",)},
        {"audit": "http://elsewhere/"},
        {"audit": "//elsewhere/"},
        {"name": "No Name"},
        {"campaign": "{post: /x, nonsense: 1}"},
        {"campaign": "{post"},
        {"campaign": "{create: 3}"},
        {"campaign": "{create: {post: /x}, capture: {other: id}}"},
    ],
)
def test_what_cannot_be_meant_is_one_error_without_credentials(tmp_path: Path, given: Any) -> None:
    with pytest.raises(UsageError) as told:
        sketch(tmp_path, **given)
    assert "secret" not in str(told.value)


SECRETS = [
    {"url": "http://127.0.0.1:1/claim?api_key=QS3CR3T1"},
    {"url": "http://127.0.0.1:1/claim?key=QS3CR3T1"},
    {"url": "http://127.0.0.1:1/eyJhbGciS3CR3T1/claim"},
    {"body": '{"memberId": "7", "password": "S3CR3T1"}'},
    {"body": '{"memberId": "7", "accessToken": "S3CR3T1"}'},
    {"body": '{"auth": {"by": ["S3CR3T1"]}}'},
    {"body": '{"note": "Bearer S3CR3T1"}'},
    {"body": '{"sessionId": 31337}'},
    {"form": "user=7&password=S3CR3T1"},
    {"form": "user=7&otp=31337"},
    {"audit": "/audit?token=S3CR3T1"},
    {"campaign": "{post: /sales, json: {secret: S3CR3T1}}"},
    {"campaign": "{post: /sales, headers: {Authorization: S3CR3T1}}"},
    {"campaign": "{create: {post: /sales, headers: {Authorization: S3CR3T1}}}"},
    {"campaign": "{create: {post: /sales, json: {secret: S3CR3T1}}}"},
    {"campaign": "{post: '/sales', query: {db: 'redis://a:S3CR3T1@h'}}"},
]


@pytest.mark.parametrize("given", SECRETS)
def test_a_secret_that_the_file_would_show_is_refused_with_a_cure(
    tmp_path: Path, given: Any
) -> None:
    with pytest.raises(UsageError, match="is a secret") as told:
        sketch(tmp_path, **given)
    assert "{env: " in told.value.help
    assert "S3CR3T1" not in f"{told.value} {told.value.help}"
    assert "31337" not in f"{told.value} {told.value.help}"


@pytest.mark.parametrize(
    "name", ["X-Session-Id", "X-Access-Key", "X-Signature", "X-Key", "Api-Key", "Cookie"]
)
def test_a_secret_header_becomes_a_variable(tmp_path: Path, name: str) -> None:
    found = sketch(tmp_path, headers=(f"{name}: s3cret",))
    assert found.request.secret_headers == {name: name.upper().replace("-", "_")}
    assert "s3cret" not in repr(found)


def test_what_is_a_placeholder_or_no_secret_stays(tmp_path: Path) -> None:
    given = '{"password": "pw-{user}", "author": "Ann", "requestToken": "r1", "authorized": true}'
    found = sketch(tmp_path, body=given, headers=("Idempotency-Key: k1", "X-Shop: one"))
    assert found.request.secret_headers == {}
    assert found.request.headers == {"Idempotency-Key": "{key}", "X-Shop": "one"}
    assert found.request.body is not None
    assert found.request.body.value == {
        "password": "pw-{user}",
        "author": "Ann",
        "requestToken": "{key}",
        "authorized": True,
    }


def test_secrets_of_a_documents_examples_are_not_copied(tmp_path: Path) -> None:
    example = {"memberId": "m1", "password": "s3cret", "size": "L"}
    header = {"name": "X-Api-Key", "in": "header", "required": True, "example": "s3cret"}
    claim = {
        "summary": "claim a coupon",
        "parameters": [header],
        "requestBody": {"content": {"application/json": {"example": example}}},
    }
    api = read_api(json.dumps({"paths": {"/claim": {"post": claim}}}).encode(), "api.json")
    found = gather(InitRequest(folder=tmp_path, url="http://127.0.0.1:1", openapi="x"), api)
    assert "s3cret" not in repr(found)
    assert found.request.secret_headers == {"X-Api-Key": "X_API_KEY"}
    assert found.request.body is not None
    assert found.request.body.value == {"memberId": "m{user}", "password": "text", "size": "L"}


CREATED = "{create: {post: /sales}, capture: {coupon: data.id}}"


def test_a_number_in_the_paths_of_request_and_audit_is_a_campaign_that_is_captured(
    tmp_path: Path,
) -> None:
    url = "http://127.0.0.1:1/api/v1/sales/3/enter"
    found = sketch(tmp_path, url=url, audit="/api/v1/sales/3/all", campaign=CREATED)
    assert found.request.path == "/api/v1/sales/{coupon}/enter"
    assert found.audit == "/api/v1/sales/{coupon}/all"


def test_a_captured_campaign_that_no_request_uses_is_said(tmp_path: Path) -> None:
    found = sketch(tmp_path, body='{"user": 1}', audit="/all", campaign=CREATED)
    assert "write {coupon} where it belongs" in " ".join(found.notes)


def test_a_user_in_a_header_is_said_and_no_note_says_that_there_is_none(tmp_path: Path) -> None:
    example = sketch(tmp_path, headers=("X-User-Id: 101",))
    [note] = example.notes
    assert note.startswith("the header X-User-Id says who asks: {user} instead of 101, so that")
    assert sketch(tmp_path, headers=("X-User-Id: {user}",)).notes == ()
    [note] = sketch(tmp_path).notes
    assert note.startswith("no value of the request names a user")


def test_a_user_in_a_header_of_a_document_is_each_user(tmp_path: Path) -> None:
    schema = {"type": "integer"}
    header = {"name": "X-User-Id", "in": "header", "required": True, "schema": schema}
    paths = {"/claim": {"post": {"operationId": "claimTicket", "parameters": [header]}}}
    api = read_api(json.dumps({"openapi": "3.1.0", "paths": paths}).encode(), "api.json")
    found = gather(InitRequest(folder=tmp_path, url="http://127.0.0.1:1", openapi="x"), api)
    assert found.request.headers == {"X-User-Id": "{user}"}
    assert found.request.guessed == []
    assert "the header X-User-Id says who asks: {user}, so" in " ".join(found.notes)
