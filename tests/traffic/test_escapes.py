"""Values of others in requests: whatever they are, they stay values."""

import json
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.errors import UsageError
from gameday.core.network.urls import Base
from gameday.traffic import escapes
from gameday.traffic.escapes import UnfitError, escaped_column

BASE = Base.parse("http://127.0.0.1:8080/api")
texts = st.text(max_size=50) | st.sampled_from(
    ["", ".", "..", "a/b", "a\r\nX: 1", "%2e%2e", "\x7f"]
)


@given(texts)
def test_a_header_never_holds_a_line_end_or_a_control_character(text: str) -> None:
    try:
        raw = escapes.in_header(text)
    except UnfitError:
        return
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", raw)


@given(texts)
def test_a_segment_of_a_path_stays_one_and_reads_back_as_itself(text: str) -> None:
    try:
        raw = escapes.in_path(text)
    except UnfitError:
        return
    assert re.fullmatch(rb"[A-Za-z0-9_.~%-]+", raw)
    assert raw not in (b".", b"..")
    assert unquote(raw.decode()) == text


@given(texts)
def test_a_value_in_json_reads_back_as_itself(text: str) -> None:
    try:
        raw = escapes.in_json(text)
    except UnfitError:
        return
    assert json.loads(b'"' + raw + b'"') == text


@pytest.mark.parametrize("value", [1, -5, 2**70, 1.5, True, "one", "a\nb"])
def test_a_value_alone_keeps_its_type(value: object) -> None:
    assert json.loads(escapes.alone_in_json(value)) == value
    assert type(json.loads(escapes.alone_in_json(value))) is type(value)


@pytest.mark.parametrize(
    "value", [None, [], {}, float("nan"), float("inf"), 10**400, "x" * 9000, "\ud800"]
)
def test_what_is_no_value_is_unfit_everywhere_and_is_not_quoted(value: object) -> None:
    ways = (escapes.in_text, escapes.in_header, escapes.in_query, escapes.in_path)
    for way in (*ways, escapes.in_json, escapes.alone_in_json):
        with pytest.raises(UnfitError) as told:
            way(value)
        assert len(str(told.value)) < 100


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ("/orders/17", "orders/17"),
        ("/api/orders/17?x=1", "orders/17?x=1"),
        ("http://127.0.0.1:8080/api/orders/17", "orders/17"),
        ("/주문/17", "%EC%A3%BC%EB%AC%B8/17"),
    ],
)
def test_a_whole_path_is_one_of_the_same_server(told: str, path: str) -> None:
    assert escapes.path_of(told, BASE) == path.encode()


@pytest.mark.parametrize(
    "told",
    [
        *("http://elsewhere/orders", "https://127.0.0.1:8080/x", "//elsewhere/x", "orders/17", ""),
        *("/a/../../admin", "/a/%2E%2e/admin", "/a b", "/a\r\nX: 1", "/a\\b", "/a#b"),
        *("http://127.0.0.1:8080@elsewhere/x", "http://127.0.0.1:80800/x"),
    ],
)
def test_no_answer_leads_anywhere_else(told: str) -> None:
    with pytest.raises(UnfitError):
        escapes.path_of(told, BASE)


def test_a_column_is_refused_by_the_number_of_its_user_and_not_by_its_value() -> None:
    with pytest.raises(UsageError) as told:
        escaped_column("token", ["fine", "se\r\ncret"], escapes.in_header)
    assert "'token' of user 1" in told.value.message
    assert "cret" not in told.value.message
