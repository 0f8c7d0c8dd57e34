"""Answers as they are: classes of statuses, texts, headers, and JSON of any shape."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from gameday.spec.request import IssueRequest, Match, statuses_of
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.worker.classify import Answers


def outcome(
    match: dict[str, Any], status: int, body: bytes, headers: dict[str, str] | None = None
) -> Outcome:
    raw = {"post": "/", "outcomes": {"issued": match, "refused": {"status": "4xx"}}}
    answers = Answers(IssueRequest.model_validate(raw))
    return answers.read(status, bytearray(body), headers or {}).outcome


@pytest.mark.parametrize(
    ("match", "status", "body", "fits"),
    [
        ({"status": "2xx"}, 204, b"", True),
        ({"status": "2xx"}, 299, b"x", True),
        ({"status": "2xx"}, 302, b"x", False),
        ({"status": ["2xx", 302]}, 302, b"x", True),
        ({"status": 200, "json": {"$": "ok"}}, 200, b'"ok"', True),
        ({"status": 200, "json": {"$": "ok"}}, 200, b'{"$": "ok"}', False),
        ({"status": 200, "json": {"$": True}}, 200, b"true", True),
        ({"status": 200, "json": {"$": True}}, 200, b"1", False),
        ({"status": 200, "json": {"$": 7}}, 200, b" 7.0\n", True),
        ({"status": 200, "json": {"$": []}}, 200, b"[]", True),
        ({"status": 200, "json": {"a.1.b": None}}, 200, b'{"a": [0, {"b": null}]}', True),
        ({"status": 200, "json": {"a.1.b": None}}, 200, b'{"a": [0, {}]}', False),
        ({"status": 200, "json": {"0": "ok"}}, 200, b'["ok"]', True),
        ({"status": 200, "text": {"equals": "OK"}}, 200, b" OK\r\n", True),
        ({"status": 200, "text": {"equals": "OK"}}, 200, b"OK!", False),
        (
            {"status": 200, "text": {"contains": "\ubc1c\uae09"}},
            200,
            "\ubc1c\uae09됨".encode(),
            True,
        ),
        ({"status": 200, "text": {"contains": "x"}}, 200, b"\xff\xfe", False),
        ({"status": 200, "text": {"matches": "^ok v[0-9]+$"}}, 200, b"ok v12\n", True),
        ({"status": 200, "text": {"matches": "^ok v[0-9]+$"}}, 200, b"ok vx", False),
        ({"status": 200, "text": {"contains": "end"}}, 200, b"x" * 70_000 + b"end", False),
    ],
)
def test_an_answer_is_read_as_it_is(
    match: dict[str, Any], status: int, body: bytes, fits: bool
) -> None:
    assert (outcome(match, status, body) is Outcome.ISSUED) == fits


def test_headers_are_found_whatever_their_case_and_all_must_fit() -> None:
    match = {"status": 200, "headers": {"X-Result": "ok", "Location": {"contains": "/v"}}}
    told = {"x-result": "ok", "location": "http://a/v/1"}
    assert outcome(match, 200, b"", told) is Outcome.ISSUED
    for name, value in told.items():
        assert outcome(match, 200, b"", {**told, name: "other"}) is Outcome.UNKNOWN
        assert outcome(match, 200, b"", {name: value}) is Outcome.UNKNOWN


def test_an_answer_of_one_value_may_be_captured_whole() -> None:
    raw = {"post": "/", "capture": {"issue_id": "$"}, "outcomes": {"issued": {"status": "2xx"}}}
    answers = Answers(IssueRequest.model_validate(raw))
    assert answers.read(201, b'"v12"') == (Outcome.ISSUED, Reason.NONE, b"v12", -1)
    assert answers.read(201, b"no json") == (Outcome.ISSUED, Reason.NONE, b"", -1)


@pytest.mark.parametrize(
    "text",
    [
        {},
        {"equals": "a", "contains": "b"},
        {"matches": "("},
        {"like": "x"},
        "ok",
    ],
)
def test_a_text_is_looked_at_in_one_way_that_works(text: Any) -> None:
    with pytest.raises(ValidationError):
        Match.model_validate({"status": 200, "text": text})


@pytest.mark.parametrize("status", ["6xx", "2x", "200", 99, True, []])
def test_what_is_no_status_is_none(status: object) -> None:
    with pytest.raises(ValidationError):
        Match.model_validate({"status": status}, strict=True)


def test_a_class_stands_for_a_hundred_statuses() -> None:
    assert statuses_of(["2xx", 404]) == {*range(200, 300), 404}


def test_a_request_has_one_body() -> None:
    raw = {"post": "/", "outcomes": {"issued": {"status": 200}}, "json": {}, "form": {"a": "b"}}
    with pytest.raises(ValidationError, match="one body"):
        IssueRequest.model_validate_json(json.dumps(raw))
