"""Examples of answers that match no outcome: few, unlike each other, and without secrets."""

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.spec.request import IssueRequest
from gameday.traffic.worker.answer_mask import SHOWN, AnswerMask
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.messages import UnmatchedAnswer, event_in
from gameday.traffic.worker.unmatched_answers import MOST_STATUSES, UnmatchedAnswers

CONFIG = Config(
    worker=0,
    workers=1,
    history_dir=Path(),
    seed=1,
    run="r",
    coupon="C",
    users=10,
    base_url="http://127.0.0.1:1",
    request=IssueRequest.model_validate(
        {
            "post": "/x",
            "headers": {"X-Api-Key": "key-{{of}}-all"},
            "outcomes": {"issued": {"status": 201}},
        }
    ),
)
PINS = {"pin": ["pin-of-0", "pin-of-1"]}


def mask() -> AnswerMask:
    return AnswerMask(CONFIG, PINS)


def told(answers: list[tuple[int, bytes]]) -> list[UnmatchedAnswer]:
    lines: list[bytes] = []
    notes = UnmatchedAnswers(mask(), lines.append)
    for status, body in answers:
        notes.note(1, status, body)
    found: list[Any] = [event_in(line) for line in lines]
    return found


def test_two_answers_that_differ_in_digits_alone_are_one() -> None:
    answers = [(502, f"gateway {n} is down".encode()) for n in range(500)]
    assert [each.said for each in told(answers)] == ["gateway 0 is down"]


def test_of_all_answers_few_are_told() -> None:
    words = ["one", "two", "three", "four", "five", "six"]
    answers = [(status, each.encode()) for status in range(500, 600) for each in words]
    found = told(answers)
    assert len(found) == 3 * MOST_STATUSES
    assert {each.status for each in found} == set(range(500, 500 + MOST_STATUSES))


def test_secrets_of_header_row_and_capture_and_what_is_called_so_are_masked_before_the_cut() -> (
    None
):
    said = {"a": "x" * (SHOWN - 10) + "pin-of-1", "key": "key-{of}-all", "got": "captured-1"}
    shown = mask().excerpt(json.dumps(said).encode(), 1, ["captured-1"])
    assert "pin" not in shown
    raw = json.dumps({"key": "key-{of}-all", "got": "captured-1", "own": "pin-of-1"}).encode()
    assert mask().excerpt(raw, 1, ["captured-1"]) == '{"key": "***", "got": "***", "own": "***"}'
    named = json.dumps({"data": {"accessToken": "abc", "list": [{"password": "x"}]}}).encode()
    found = json.loads(mask().excerpt(named, 1))
    assert found == {"data": {"accessToken": "***", "list": [{"password": "***"}]}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00\x1b[2J\r\n\x85",
        b"x" * 10_000_000,
        b'{"token": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"token": 1, "n": ' + b"9" * 10_000 + b"}",
        b'{"token": NaN, "half": "\\ud800", "\\u2028": 1e400}',
    ],
    ids=["empty", "no text", "huge", "deep", "long number", "odd"],
)
def test_whatever_came_becomes_a_short_line_that_can_be_printed(body: bytes) -> None:
    shown = mask().excerpt(body, 1)
    assert shown.isprintable()
    assert len(shown) <= 6 * SHOWN
    [found] = told([(500, body)])
    assert found.said == shown
