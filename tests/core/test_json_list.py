"""A long list read as it comes is the list that every reader sees, however it is cut."""

import json
import tracemalloc
from random import Random
from typing import Any

import pytest

from gameday.core import json_list
from gameday.core.json import JsonError
from gameday.core.json_list import MOST_BESIDE, PIECE, LongList


def read(raw: bytes, size: int) -> tuple[list[Any], Any]:
    found: list[Any] = []
    reading = LongList("rows", found.extend)
    for at in range(0, len(raw), size):
        reading.feed(raw[at : at + size])
    return found, reading.end()


def text(draw: Random) -> str:
    return "".join(draw.choices('ab"\\]}{[,: \n\u00e9', k=draw.randrange(6)))


def value(draw: Random, depth: int = 0) -> Any:
    match draw.randrange(6 if depth < 3 else 4):
        case 0:
            return None
        case 1:
            return draw.randrange(99)
        case 2:
            return text(draw)
        case 3:
            return "rows"
        case 4:
            return [value(draw, depth + 1) for _ in range(draw.randrange(3))]
        case _:
            return mapping(draw, depth + 1)


def mapping(draw: Random, depth: int = 0) -> dict[str, Any]:
    return {text(draw): value(draw, depth) for _ in range(draw.randrange(3))}


def test_it_reads_what_every_reader_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_list, "PIECE", 16)
    for seed in range(1_500):
        draw = Random(seed)
        rows = [mapping(draw) for _ in range(draw.randrange(8))]
        whole = {**mapping(draw), "rows": rows, **mapping(draw)}
        indent = draw.choice([None, 1])
        raw = json.dumps(whole, indent=indent, ensure_ascii=indent is None).encode()
        found, beside = read(raw, draw.randrange(1, 40))
        assert (found, beside) == (rows, {**whole, "rows": []}), seed


def test_many_rows_come_in_pieces_and_in_order() -> None:
    rows = [{"userId": n, "issueId": f"id}},{{ {n}"} for n in range(60_000)]
    raw = json.dumps({"stock": 1, "rows": rows, "views": {}}).encode()
    found, beside = read(raw, 65_536)
    assert found == rows
    assert beside == {"stock": 1, "rows": [], "views": {}}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[",
        b'{"rows": [',
        b'{"rows": [{}',
        b'{"rows": [{}]',
        b'{"rows": [{}}]}',
        b'{"rows": [,{}]}',
        b'{"rows": [{}], "rows": [{}]}',
        b'{"rows": [{"a": 1e999}]}',
        b'{"rows": [{"a": NaN}]}',
        b'["rows": [{}]]',
        b'{"rows": [' + b"[" * 10_000_000,
        b'{"rows": [' + b'{"a":' * 2_000_000,
        b'{"rows": [{"a": "' + b"x" * 10_000_000,
        b'{"a": ' + b"[" * 10_000_000,
        b'{"rows": [], "a": [' + b"{}," * 2_000_000 + b"{}]}",
        b'{"rows": [{"a": [' + b"{}," * 2_000_000 + b"{}]}]}",
    ],
    ids=range(17),
)
def test_what_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(JsonError):
        read(raw, 65_536)


def test_other_values_than_objects_are_handed_on_to_be_refused_by_whoever_knows() -> None:
    assert read(b'{"rows": [1, 2]}', 3) == ([1, 2], {"rows": []})
    assert read(b"7", 3) == ([], 7)
    assert read(b'{"rows": 7}', 3) == ([], {"rows": 7})
    assert read(b'{"\\u0072ows": [{}]}', 3) == ([{}], {"rows": []})


@pytest.mark.parametrize("text", [b"x" * PIECE, b"\\n" * (PIECE // 2)])
@pytest.mark.parametrize("begin", [b'{"a": "', b'{"rows": [{"a": "'])
def test_a_string_without_end_costs_no_more_than_is_kept(begin: bytes, text: bytes) -> None:
    reader = LongList("rows", lambda _: None)
    tracemalloc.start()
    try:
        with pytest.raises(JsonError, match="over|more than 64 MiB"):
            for piece in (begin, *[text] * 80):
                reader.feed(piece)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5 * MOST_BESIDE


def test_rows_of_several_objects_may_come_all_at_once() -> None:
    rows = [{"userId": n, "issueId": "a", "of": {"in": []}} for n in range(105_000)]
    found, _ = read(json.dumps({"rows": rows}).encode(), 1 << 26)
    assert found == rows


@pytest.mark.parametrize("path", [(), ("rows",), ("data", "rows"), ("rows", "rows", "rows")])
def test_a_list_may_lie_deeper_or_be_all_there_is(
    monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]
) -> None:
    monkeypatch.setattr(json_list, "PIECE", 16)
    for seed in range(600):
        draw = Random(seed)
        rows = [mapping(draw) for _ in range(draw.randrange(8))]
        whole: Any = rows
        beside: Any = []
        for step in reversed(path):
            before, behind = mapping(draw), mapping(draw)
            others = {key: each for key, each in behind.items() if key != step}
            whole = {**before, step: whole, **others}
            beside = {**before, step: beside, **others}
        indent = draw.choice([None, 1])
        raw = json.dumps(whole, indent=indent, ensure_ascii=indent is None).encode()
        found: list[Any] = []
        reading, size = LongList(path, found.extend), draw.randrange(1, 40)
        for at in range(0, len(raw), size):
            reading.feed(raw[at : at + size])
        assert (reading.end(), found) == (beside, rows), seed


@pytest.mark.parametrize(
    "raw",
    [
        b'{"data": {"rows": [{}]}, "data": {}}',
        b'{"data": {"rows": [{}]}, "data": {"rows": [{}]}}',
        b'{"data": {"rows": [{}]',
    ],
)
def test_a_deeper_list_that_is_there_twice_or_cut_is_refused(raw: bytes) -> None:
    reading = LongList(("data", "rows"), lambda _: None)
    with pytest.raises(JsonError):
        reading.feed(raw)
        reading.end()


def test_a_list_of_the_same_name_elsewhere_is_not_the_one() -> None:
    whole = {"x": {"data": {"rows": [1]}}, "rows": [2], "data": [{"rows": [3]}, {"data": {}}]}
    found: list[Any] = []
    reading = LongList(("data", "rows"), found.extend)
    reading.feed(json.dumps(whole).encode())
    assert (reading.end(), found) == (whole, [])
