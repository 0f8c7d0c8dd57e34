"""Ids of users who stand in a file, as an audit may spell them."""

import numpy as np
import pytest

from gameday.evidence.rows import column_of, users_of
from gameday.traffic.listed_ids import ListedIds, foreign_text
from gameday.traffic.user_ids import FOREIGN


def read(ids: ListedIds, told: list[object]) -> list[int]:
    found: list[int] = ids.read(column_of(users_of(told))).tolist()
    return found


def test_an_id_is_read_in_another_case_and_as_the_request_writes_it() -> None:
    ids = ListedIds(["Kim@b.co", "lee@b.co"], [("m-", "")])
    assert read(ids, ["kim@B.CO", "lee@b.co", "m-lee@b.co", "M-KIM@b.co", "x"]) == [0, 1, 1, 0, -1]


def test_numbers_are_read_as_texts_and_as_numbers() -> None:
    ids = ListedIds(["00042", "7", 2**70])
    assert read(ids, [42, 7, "00042", "0007", 2**70]) == [0, 1, 0, FOREIGN, 2]
    assert read(ids, [42, 7]) == [0, 1]


def test_a_number_of_many_digits_is_read_as_any_other() -> None:
    long = "7" * 5_000
    ids = ListedIds([f"00{long}", "-007", "-0"])
    assert read(ids, ["-7", -7, 0]) == [1, 1, 2]
    told = [f"00{long}".encode(), long.encode(), b"7" * 4_999]
    assert ids.read(np.array(told, dtype=np.bytes_)).tolist() == [0, 0, FOREIGN]


def test_two_users_who_differ_in_case_alone_are_never_mistaken() -> None:
    ids = ListedIds(["kim", "Kim", "a1", "A1"])
    assert read(ids, ["kim", "Kim", "KIM"]) == [0, 1, FOREIGN]


def test_a_spelling_that_two_users_share_is_nobodys() -> None:
    ids = ListedIds(["1", "01", "001"])
    assert read(ids, ["1", "01", "001", 1]) == [0, 1, 2, 0]


@pytest.mark.parametrize(("text", "told"), [("7", "id 7"), ("-7", "id -7"), ("kim", "kim")])
def test_a_foreign_number_is_never_that_of_a_row(text: str, told: str) -> None:
    assert foreign_text(text) == told


def test_an_empty_column_is_read() -> None:
    assert ListedIds(["a"]).read(np.zeros(0, dtype=np.int64)).tolist() == []
