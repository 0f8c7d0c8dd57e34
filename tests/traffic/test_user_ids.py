"""Ids of users: what a request calls them, and who an audit means by what it calls them."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.errors import UsageError
from gameday.spec.request import IssueRequest
from gameday.traffic.user_ids import FOREIGN, MOST_USERS, UserIds, Uuids
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.request import RequestBytes

USERS = 1_000_000
TEMPLATES = (
    "{user}",
    "{user:s}",
    "{user:05d}",
    "{user:uuid}",
    "u{user:05d}",
    "U-{user}@shop.example",
    "9223372036854{user:06d}",
    "99999999999999999999{user:09d}",
    "1{user}",
    "{coupon}/{user:uuid}",
    "회원-{user:03d}",
)
indices = st.one_of(st.integers(0, USERS - 1), st.sampled_from([0, 1, 9, 10, 99_999, 100_000]))


def request_of(template: object, **changes: Any) -> IssueRequest:
    outcomes = {"issued": {"status": 200}}
    raw = {"post": "/issue", "json": {"id": template}, "outcomes": outcomes, **changes}
    return IssueRequest.model_validate(raw)


def ids_of(template: object, users: int = USERS, seed: int = 7, **changes: Any) -> UserIds:
    return UserIds.of(request_of(template, **changes), {"coupon": "C", "run": "r"}, users, seed)


def read(ids: UserIds, *texts: str) -> list[int]:
    found: list[int] = ids.read(np.array([t.encode() for t in texts], dtype=np.bytes_)).tolist()
    return found


def config_of(request: IssueRequest, url: str = "http://127.0.0.1:1", coupon: str = "C") -> Config:
    return Config(
        worker=0,
        workers=1,
        history_dir=Path("unused"),
        seed=7,
        run="r",
        coupon=coupon,
        users=USERS,
        base_url=url,
        request=request,
    )


def sent(
    request: IssueRequest,
    user: int,
    url: str = "http://127.0.0.1:1",
    coupon: str = "C",
    **start: Any,
) -> tuple[str, Any]:
    """The first line, and the body that goes out for a user."""
    config = config_of(request, url, coupon)
    raw = RequestBytes(config).render(user, **start).decode()
    head, _, body = raw.partition("\r\n\r\n")
    length = re.search(r"Content-Length: (\d+)", head)
    assert length is not None
    assert int(length[1]) == len(body.encode())
    return head.split("\r\n")[0], json.loads(body) if body else None


@pytest.mark.parametrize("template", TEMPLATES)
@given(index=indices)
def test_what_a_request_calls_a_user_is_read_back_as_that_user(template: str, index: int) -> None:
    ids = ids_of(template)
    if template == "{user:05d}":  # 12345 may as well be a key of the system's own
        assert read(ids, f"{index:05d}") == [index if index < 10_000 else FOREIGN]
        ids = ids.with_numbers() or ids
    _, body = sent(request_of(template), index)
    assert read(ids, str(body["id"])) == [index]
    assert read(ids, str(body["id"]).swapcase()) == [index]
    assert str(ids.id_of(index)) == str(body["id"])


@pytest.mark.parametrize("template", ["{user:05d}", "u{user:05d}", "{user:uuid}"])
def test_an_id_of_another_run_or_of_nobody_is_foreign(template: str) -> None:
    ids = ids_of(template, users=1000)
    assert read(ids, ids_of(template).id_of(1000)) == [FOREIGN]  # type: ignore[arg-type]
    hostile = ["", "x", "null", "u", "u42", "-1", "1e3", "u00042 ", "<b>u00042</b>", "٠٠٠٤٢"]
    known = [found for found in read(ids, *hostile) if found != FOREIGN]
    assert known == []
    if template == "{user:uuid}":
        assert read(ids, str(ids_of(template, seed=8).id_of(42))) == [FOREIGN]
        assert read(ids, str(uuid.UUID(int=0)), "g" * 36, "-" * 36, "0" * 32) == [FOREIGN] * 4


@given(st.integers(0, MOST_USERS - 1), st.integers(0, 2**64))
def test_a_uuid_is_one_of_version_4_and_leads_back_to_its_user(index: int, seed: int) -> None:
    made = uuid.UUID(Uuids.of(seed).text(index))
    assert (made.version, made.variant) == (4, uuid.RFC_4122)
    ids = ids_of("{user:uuid}", users=MOST_USERS, seed=seed)
    assert read(ids, str(made), str(made).upper(), made.hex) == [index] * 3


def test_uuids_of_many_users_differ_and_any_flipped_bit_is_found_out() -> None:
    uuids = Uuids.of(7)
    made = [uuids.text(index) for index in range(2_000)]
    assert len(set(made)) == len(made)
    ids = ids_of("{user:uuid}")
    whole = uuid.UUID(made[42]).int
    flipped = [str(uuid.UUID(int=whole ^ (1 << bit))) for bit in range(128)]
    assert read(ids, *flipped) == [FOREIGN] * 128


@pytest.mark.parametrize("template", ["u{user:05d}", "{user:05d}", "{key}-{user}", "x{user}"])
def test_a_number_is_a_user_only_where_a_request_sends_one_or_the_run_shows_it(
    template: str,
) -> None:
    ids = ids_of(template)
    assert ids.read(np.array([42, 0, 10**6, -1])).tolist() == [FOREIGN] * 4
    assert read(ids, "42", "0") == [FOREIGN] * 2
    numbered = ids.with_numbers()
    assert numbered is not None
    assert numbered.id_of(42) == ids.id_of(42)
    assert numbered.read(np.array([42, 0, 10**6, -1])).tolist() == [42, 0, FOREIGN, FOREIGN]
    assert read(numbered, "42", "0", "-1", "1e3", "4.0") == [42, 0, FOREIGN, FOREIGN, FOREIGN]


@pytest.mark.parametrize("template", ["{user:uuid}", "{user}", "1{user}"])
def test_a_number_alone_is_never_asked_for_where_it_is_nobody_or_anybody(template: str) -> None:
    assert ids_of(template).with_numbers() is None


def test_the_number_of_a_start_is_no_user() -> None:
    ids = ids_of("{iteration}")
    assert ids.name_nobody
    assert ids.read(np.array([0, 7])).tolist() == [FOREIGN] * 2
    assert read(ids, "0", "7") == [FOREIGN] * 2
    assert ids.id_of(7) == 7
    assert ids.with_numbers() is None


def test_a_number_is_never_read_as_another_user_where_the_whole_value_is_a_number_too() -> None:
    assert read(ids_of("1{user}"), "17", "7", "1", "142") == [7, FOREIGN, FOREIGN, 42]
    assert ids_of("1{user}").read(np.array([17, 7])).tolist() == [7, FOREIGN]


def test_a_number_is_its_user_as_ever_whatever_stands_beside_it_in_the_request() -> None:
    ids = ids_of({"phone": "8210{user}", "who": "{user}"})
    told = [0, 42, 821042, 999_999, 10**6, 5 * 10**9]
    assert ids.read(np.array(told)).tolist() == told
    assert read(ids, *map(str, told)) == told
    assert ids.id_of(42) == 42
    assert read(ids, "8210999999") == [999_999]  # too large for a number of anybody's
    few = ids_of({"phone": "8210{user}", "who": "{user}"}, users=5_000)
    assert few.read(np.array([8210, 82107, 821042, 9_000])).tolist() == [8210, 7, 42, 9_000]
    by_phone = ids.without_numbers()
    assert by_phone is not None
    assert by_phone.read(np.array([42, 821042])).tolist() == [FOREIGN, 42]


def test_the_body_says_who_a_user_is_before_path_and_headers_do() -> None:
    changes: dict[str, Any] = {
        "post": "/shops/s-{user}/issue",
        "headers": {"Cookie": "a=1; uid=c{user:04d}"},
    }
    ids = ids_of({"who": ["{user:uuid}"]}, **changes)
    assert ids.id_of(42) == Uuids.of(7).text(42)
    assert read(ids, "s-42", "c0042", "42", "C0042", "c42") == [42, 42, FOREIGN, 42, FOREIGN]


@pytest.mark.parametrize(
    "text",
    ["<who id='{user}'/>", "<who>{user}</who>", 'who("{user}")', "who={user}&x=1", "[{user}]"],
)
def test_a_user_is_found_in_a_text_of_any_form(text: str) -> None:
    ids = UserIds.of(request_of(None, json=None, text=text), {}, USERS, 7)
    assert ids.are_numbers


def test_a_value_that_varies_otherwise_is_no_id_but_its_user_is() -> None:
    ids = ids_of("{key}-{user:05d}").with_numbers()
    assert ids is not None
    assert read(ids, "r-drop-1-00042", "00042") == [FOREIGN, 42]
    uuids = ids_of("{key}-{user:uuid}")
    assert read(uuids, Uuids.of(7).text(42)) == [42]


@pytest.mark.parametrize("text", ["{user:99d}", "{user:x}", "{", "{nobody}-{user:05d}", "{{user}}"])
def test_a_template_that_no_plan_lets_pass_does_no_harm(text: str) -> None:
    assert ids_of(text).read(np.array([3])).tolist() == [FOREIGN]


def test_a_value_that_is_one_bare_placeholder_keeps_its_type() -> None:
    body = {
        "bare": "{user}",
        "number": "{user:d}",
        "text": "{user:s}",
        "padded": "{user:05d}",
        "list": ["{user}", "{iteration}"],
        "{user}": "x{user}",
        "count": "{iteration:03d}",
        "key": "{key}",
        "attempt": "{attempt}",
        "coupon": "{coupon}",
        "brace": "{{user}}",
    }
    line, told = sent(
        request_of(body, post="/u/{user:05d}?i={iteration}"), 42, key="k", attempt=2, iteration=9
    )
    assert line == "POST /u/00042?i=9 HTTP/1.1"
    assert told == {
        "id": {
            "bare": 42,
            "number": 42,
            "text": "42",
            "padded": "00042",
            "list": [42, 9],
            "42": "x42",
            "count": "009",
            "key": "k",
            "attempt": "k-2",
            "coupon": "C",
            "brace": "{user}",
        }
    }


@pytest.mark.parametrize(
    "url", ["http://timeslot-1-api:80", "http://slot-0-a:80/slot-1-/slot-length-"]
)
def test_no_text_of_a_person_is_taken_for_what_varies(url: str) -> None:
    raw = {"id": "{user}", "x": "slot-0-{user:s}", "slot-1-": "sl{coupon}t-0-", "y": "slotx-1-"}
    request = request_of(raw, headers={"X-Slot": "timeslot-2-{user}"}, post="/slot-0-/{user}")
    line, told = sent(request, 42, url=url, coupon="o")
    _, _, prefix = url.removeprefix("http://").partition("/")
    assert line == f"POST {'/' if prefix else ''}{prefix}/slot-0-/42 HTTP/1.1"
    texts = {"id": 42, "x": "slot-0-42", "slot-1-": "slot-0-", "y": "slotx-1-"}
    assert told == {"id": texts}


def test_a_host_that_looks_like_a_slot_stays_as_it_is() -> None:
    config = config_of(request_of("{user}"), url="http://timeslot-1-api:8080")
    head = RequestBytes(config).render(42).decode().partition("\r\n\r\n")[0]
    assert "Host: timeslot-1-api:8080" in head


@pytest.mark.parametrize("text", ["{user:5d}", "{user:041d}", "{coupon:05d}", "{key:uuid}", "{x}"])
def test_a_worker_refuses_a_format_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="no placeholder here"):
        sent(request_of(text), 1)
