"""JSON of others: what is JSON is read, everything else is one error, and fast."""

import json as standard
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.files import MIB
from gameday.core.json import JsonError, parse, read_lines

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
    "digits-before-a-short-exponent": b" " * 20 + b"1" + b"0" * 229 + b"e99",
    "as-few-digits-as-are-too-many": b" " * 75 + b"2" + b"0" * 209 + b"e99",
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


MANY = {
    "objects": b"{},",
    "lists": b"[],",
    "keys": b'{"a":0},',
    "in-lists": b"[[]],",
    "texts": '"é",'.encode(),
}


@pytest.mark.parametrize("each", MANY.values(), ids=MANY)
def test_what_bytes_become_is_bounded_before_it_is_made(each: bytes, tmp_path: Path) -> None:
    raw = b"[" + each * (16 * MIB // len(each)) + b"0]"
    path = tmp_path / "lines"
    path.write_bytes(raw + b"\n")
    damage: list[str] = []
    tracemalloc.start()
    try:
        with pytest.raises(JsonError, match="more than 300,000 lists and objects"):
            parse(raw, 300_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MIB
    if each[:1] != b'"':
        with pytest.raises(JsonError, match="more than 1,000,000 lists and objects"):
            parse(raw)
        assert list(read_lines(path, 32 * MIB, len, damage.append, largest=32 * MIB)) == []
        assert damage == ["line 1 cannot be read"]


def test_as_much_as_can_be_meant_is_read() -> None:
    few = [{"metric": {f"label_{n}": "some value" for n in range(20)}, "value": [1.5, "1"]}]
    assert len(parse(standard.dumps(few * 20_000).encode(), 300_000)) == 20_000
    numbers = b"[" + b"1234567," * 3_000_000 + b"0]"
    assert len(parse(numbers)) == 3_000_001


def test_a_file_of_lines_that_is_larger_than_it_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"1\n" * 100)
    damage: list[str] = []
    assert list(read_lines(path, 10, int, damage.append, largest=200)) == [1] * 100
    assert list(read_lines(path, 10, int, damage.append, largest=199)) == []
    assert damage == ["cannot be read: it is larger than 199 bytes"]
