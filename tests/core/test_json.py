"""JSON of others: what is JSON is read, everything else is one error, and fast."""

import json as standard
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.json import JsonError, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)

REFUSED = {
    "nothing": b"",
    "nan": b"NaN",
    "infinity": b"[-Infinity]",
    "as-large-as-infinity": b'{"a": [1e999]}',
    "negative": b"-1e309",
    "as-large-with-zeros": b"[1.5E+0400]",
    "digits": b"9" * 309,
    "many-digits": b"9" * 1_000_000,
    "many-digits-and-a-point": b"9" * 1_000_000 + b".5",
    "deep-lists": b"[" * 1_000_000,
    "deep-objects": b'{"a":' * 1_000_000,
    "deep-and-closed": b"[" * 1_000 + b"]" * 1_000,
    "half-a-pair": b'"\\ud800"',
    "the-other-half": b'"\\udc00"',
    "not-utf8": b'"\xff"',
    "utf16": "[1]".encode("utf-16"),
    "encoded-surrogate": b'"\xed\xa0\x80"',
    "two-values": b"1 2",
    "control-character": b'"\x00"',
    "cut": b'{"a": [1, 2',
}


@given(VALUES)
def test_what_is_json_is_read_as_every_reader_does(value: Any) -> None:
    assert parse(standard.dumps(value).encode()) == value


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_is_refused_with_why_and_at_once(raw: bytes) -> None:
    begun_s = time.process_time()
    with pytest.raises(JsonError, match="not JSON: .+"):
        parse(raw)
    assert time.process_time() - begun_s < 1


def test_a_large_number_that_is_none_is_left_alone() -> None:
    text = f'["1e999 and {"9" * 400}", 1e300, {10**30}, "id-3e456"]'
    assert parse(text.encode()) == [f"1e999 and {'9' * 400}", 1e300, 10**30, "id-3e456"]
    assert parse(b"\xef\xbb\xbf[1]") == [1]


def test_the_depth_and_the_digits_are_named() -> None:
    with pytest.raises(JsonError, match="nested deeper than 200"):
        parse(REFUSED["deep-lists"])
    with pytest.raises(JsonError, match="of more than 308 digits"):
        parse(REFUSED["many-digits"])
