"""What one answer teaches: as little as it shows."""

import json
from typing import Any

import pytest

from gameday.core.network.http import Answer
from gameday.plan.first_files.answer import Again, Learnt, learn, learn_again


def learnt(
    status: int, body: Any, kind: str = "application/json", *, audited: bool = True
) -> Learnt:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return learn(
        Answer(status, {"content-type": kind}, raw), audited=audited, sent=frozenset({"7"})
    )


def test_a_good_answer_is_matched_as_narrowly_as_it_tells() -> None:
    told = learnt(200, {"success": True, "data": {"orderId": "o1", "id": 9}, "remaining": 4})
    assert [(each.name, each.match) for each in told.outcomes] == [
        ("issued", {"status": 200, "json": {"success": True}})
    ]
    assert told.capture == {"remaining": "remaining"}
    assert list(told.ids.items()) == [("data.orderId", "o1"), ("data.id", "9")]


def test_a_number_that_tells_the_outcome_is_part_of_the_match() -> None:
    told = learnt(200, {"code": 0, "msg": "no error", "data": {"entry": "e1"}})
    assert told.outcomes[0].match == {"status": 200, "json": {"code": 0}}
    other = Answer(200, {}, json.dumps({"code": 1001, "message": "already entered"}).encode())
    second = learn_again(told, other, frozenset()).outcome
    assert second is not None
    assert second.match == {"status": 200, "json": {"code": 1001}}
    gone = Answer(200, {}, json.dumps({"code": 1002, "message": "sold out"}).encode())
    assert learn_again(told, gone, frozenset()).outcome is None


@pytest.mark.parametrize(
    ("status", "body", "match"),
    [
        (200, {"message": "Coupon issued!", "id": "a"}, {"json": {"message": "Coupon issued!"}}),
        (200, b"enjoy your ticket\n", {"text": {"equals": "enjoy your ticket"}}),
        (200, {"message": "number 5 is yours"}, {}),
        (200, {"message": "welcome 7"}, {}),
        (201, {"message": "Coupon issued!"}, {}),
    ],
)
def test_a_good_status_alone_is_told_by_its_sentence_or_said_to_be_too_wide(
    status: int, body: Any, match: Any
) -> None:
    told = learnt(status, body, "text/plain" if isinstance(body, bytes) else "application/json")
    assert told.outcomes[0].match == {"status": status, **match}
    assert bool(told.notes) is (status == 200 and not match)


def test_without_an_audit_nothing_is_called_issued() -> None:
    assert learnt(201, {}, audited=False).outcomes[0].name == "accepted"
    assert learnt(202, {"ticket": "t1"}).outcomes[0].name == "accepted"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"success": False}),
        (200, {"result": "SOLD_OUT"}),
        (200, {"status": "failed"}),
        (200, {"message": "Sorry, sold out"}),
        (200, {"code": 1002, "msg": "sold out"}),
        (200, {"code": 500, "msg": "internal error"}),
        (200, b"error: no such event"),
        (404, {}),
        (302, b""),
        (502, b"<html>bad gateway</html>"),
    ],
)
def test_a_refusal_teaches_nothing_and_says_why(status: int, body: Any) -> None:
    told = learnt(status, body)
    assert told.problem
    assert told.cure
    assert told.outcomes == ()


def test_a_page_is_no_answer() -> None:
    assert "page" in learnt(200, b"<!DOCTYPE html><title>x</title>", "text/html").problem


def test_what_was_sent_is_no_id_and_neither_is_the_user() -> None:
    assert learnt(200, {"id": "7", "user": {"id": "u1"}, "code": 200}).ids == {}


@pytest.mark.parametrize(
    "body",
    [
        {"a.b": {"id": "x"}, "": {"id": "y"}, "i\x1bd": {"id": "z"}},
        {"id": "x" * 5000},
        [[[["deep"]]]],
        b"\xff\xfe\x00",
        b"{" * 100_000,
        b'{"id": 1e400}',
    ],
)
def test_hostile_answers_give_no_path_and_no_error(body: Any) -> None:
    told = learnt(200, body)
    assert told.ids == {}
    assert told.seen.isprintable()


def again(status: int, body: Any, first: Any = None) -> Again:
    told = learnt(201, {"id": "a1"} if first is None else first)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return learn_again(told, Answer(status, {}, raw), frozenset())


@pytest.mark.parametrize(
    ("status", "body", "match"),
    [
        (409, {"error": {"code": "ALREADY_ISSUED"}}, {"json": {"error.code": "ALREADY_ISSUED"}}),
        (200, {"result": "DUPLICATE"}, {"json": {"result": "DUPLICATE"}}),
        (409, {"message": "has one already", "status": 409}, {"text": {"contains": "already"}}),
        (409, b"You already have it", {"text": {"contains": "already"}}),
    ],
)
def test_a_second_answer_that_says_already_is_the_duplicate(
    status: int, body: Any, match: Any
) -> None:
    found = again(status, body).outcome
    assert found is not None
    assert found.name == "duplicate"
    assert found.match == {"status": status, **match}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, {"code": "SOLD_OUT"}),
        (409, {"code": "SOLD_OUT_ALREADY"}),
        (409, {"code": "E1234"}),
        (500, {"message": "duplicate key value violates unique constraint"}),
        (503, b"already"),
        (429, {}),
    ],
)
def test_a_second_answer_of_another_meaning_is_only_told(status: int, body: Any) -> None:
    found = again(status, body)
    assert found.outcome is None
    assert found.note


def test_a_second_one_is_seen_by_its_id() -> None:
    assert again(201, {"id": "a2"}).semantics == {"per_user": "many"}
    assert again(200, {"id": "a1"}).semantics == {"replay": "idempotent"}
    assert again(201, {}, first={}).note


def test_what_is_said_of_an_answer_in_the_file_has_its_keys_and_no_value() -> None:
    told = learnt(200, {"success": True, "token": "eyJS3CR3T", "code": "S3CR3T-1"})
    assert told.seen == "200 {success, token, code}"
    assert told.outcomes[0].why == "seen: 200 {success, token, code}"
    text = learnt(201, b"S3CR3T-1", "text/plain")
    again = learn_again(text, Answer(409, {}, b"already, S3CR3T-1"), frozenset())
    assert again.outcome is not None
    for why in (text.outcomes[0].why, again.outcome.why):
        assert "S3CR3T" not in why


def test_an_id_in_a_list_is_found_and_another_one_there_is_not_taken_for_one_more() -> None:
    told = learnt(201, {"data": {"coupons": [{"id": "c1"}]}})
    assert told.ids == {"data.coupons.0.id": "c1"}
    other = Answer(201, {}, json.dumps({"data": {"coupons": [{"id": "c2"}]}}).encode())
    again = learn_again(told, other, frozenset())
    assert again.semantics == {}
    assert "one more?" in again.note
