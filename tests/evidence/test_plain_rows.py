"""Rows that are taken from their lines at once are the rows that JSON says."""

import json
import random
from collections.abc import Callable, Sequence

import pytest

from gameday.evidence.plain_rows import plain_rows
from gameday.evidence.rows import Rows

Made = Callable[[random.Random], object]
IDS: Sequence[Made] = (
    lambda rng: f"a-{rng.randrange(10**6)}",
    lambda rng: f"{rng.getrandbits(128):032x}",
    lambda _: "",
    lambda rng: str(rng.randrange(10**9)),
    lambda rng: "x" * rng.randrange(1, 200),
    lambda rng: rng.choice(
        ['a"b', "a\\b", "쿠폰", "a, b", '], ["', "a\tb", "\x7f", "~", "[1,", " "]
    ),
    lambda rng: rng.choice([None, 7, -1, "a"]),
)
USERS: Sequence[Made] = (
    lambda rng: rng.randrange(3_000_000),
    lambda rng: rng.choice([0, -1, 10**18, 10**18 - 1, 2**63, 10**30, 7]),
    lambda rng: f"user-{rng.randrange(1000)}",
    lambda rng: f"{rng.getrandbits(128):032x}",
    lambda rng: rng.choice(["42", "-42", "0042", "-", "7f3a9", "1e5", "9" * 20, "-" + "9" * 19]),
    lambda rng: rng.choice(["", "9223372036854775808", "-9223372036854775808", "x" * 61, "사용자"]),
    lambda rng: rng.choice([None, True, 4.0, 4.5, [1], {"a": 1}, "a"]),
)


@pytest.mark.parametrize("seed", range(200))
def test_plain_rows_are_those_that_json_says(seed: int) -> None:
    rng = random.Random(seed)
    kinds = rng.choice([rng.sample(USERS, 1), rng.sample(USERS, 2)])
    ids = rng.choice([rng.sample(IDS, 1), rng.sample(IDS, 2)])
    told = [[rng.choice(kinds)(rng), rng.choice(ids)(rng)] for _ in range(rng.randrange(1, 40))]
    ascii_only = rng.random() < 0.5
    lines = "".join(json.dumps(row, ensure_ascii=ascii_only) + ",\n" for row in told).encode()
    found = plain_rows(lines)
    if found is None:
        return
    plain, slow = Rows(), Rows()
    plain.add_columns(*found)
    slow.add([user for user, _ in told], [id_ for _, id_ in told])
    assert [*plain] == [*slow]
    assert [users.dtype.kind for users, _ in plain.pieces] == [
        users.dtype.kind for users, _ in slow.pieces[:1]
    ]


@pytest.mark.parametrize(
    "row",
    [
        [7, "a-1"],
        ["ann", "a-1"],
        ["9e107d9d-372b-4f0e-a5c1-000000000001", "9e107d9d-372b-4f0e-a5c1-000000000002"],
        ["0042", ""],
        [0, "7"],
    ],
)
def test_rows_of_nearly_all_systems_are_plain(row: Sequence[object]) -> None:
    found = plain_rows(f"{json.dumps(row)},\n".encode() * 3)
    assert found is not None
    rows = Rows()
    rows.add_columns(*found)
    assert [*rows] == [tuple(row)] * 3


@pytest.mark.parametrize(
    "lines",
    [
        b'[7, "a"],\n[8, "b"]\n',
        b'[7, "a"],\n[8 , "b"],\n',
        b'[7, "a"] ,\n',
        b'[7,  "a"],\n',
        b'[7, "a"],\r\n',
        b'["7", "a"],\n',
        b'[, "a"],\n',
        b'[7"a, "],\n',
        b'"[7, a"],\n',
        b'[7, "a"],\n[], "",\n',
        b'["x", "a"],\n["y" ,"b"],\n',
        b'["x"], ["a"],\n',
        b'\n[7, "a"],',
        b'\n[7, "a"',
        b'[007, "a"],\n',
        b'[-7, "a"],\n',
        b'[1234567890123456789, "a"],\n',
        b'[7, "a\\u0041"],\n',
        b'[7, "\xea\xb0\x80"],\n',
    ],
)
def test_a_line_of_another_form_is_not_plain(lines: bytes) -> None:
    assert plain_rows(lines) is None
