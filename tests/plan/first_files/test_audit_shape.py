"""The shape of an audit is only what one known row proves."""

from typing import Any

import pytest

from gameday.plan.first_files.audit_shape import Shape, shape_of


@pytest.mark.parametrize(
    ("told", "shape"),
    [
        (
            {"data": {"items": [{"memberId": "U7", "voucher": {"code": "v1"}}]}, "total": 1},
            Shape(rows="data.items", user="memberId", id="voucher.code", answered="v1"),
        ),
        ([{"who": 7, "at": 1}, {"who": 9}], Shape(rows="$", user="who")),
        ({"users": ["u7", "u8"]}, Shape(rows="users", user="$")),
        (
            [{"who": "u7", "id": "other"}, {"who": "u7", "id": "v1"}],
            Shape(rows="$", user="who", id="id", answered="v1"),
        ),
        (
            {"rows": [{"userId": "u7", "id": 12}]},
            Shape(rows="rows", user="userId", id="id", answered="12"),
        ),
    ],
)
def test_rows_users_and_ids_are_found_where_they_are(told: Any, shape: Shape) -> None:
    assert shape_of(told, {"u7", "7"}, {"v1", "12"}) == shape


@pytest.mark.parametrize(
    "told",
    [
        {"items": [{"memberId": "u8"}]},
        {"items": []},
        {"a.b": [{"u": "u7"}], "": ["u7"]},
        {"a": {"b": {"c": {"d": ["u7"]}}}},
        [[["u7"]]],
        "u7",
        None,
        {"items": [{"ok": True, "n": None, "f": 7.0}]},
        [{"x" * 100: "u7"}] * 100_000,
    ],
)
def test_what_is_not_proven_is_not_proposed(told: Any) -> None:
    assert shape_of(told, {"u7", "7"}, {"v1"}) is None
