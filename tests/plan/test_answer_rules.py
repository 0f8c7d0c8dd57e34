"""Answers and formats of a system file that can never be are refused where they stand."""

from pathlib import Path

import pytest

from gameday.core.errors import FileError
from gameday.plan.validate import validate_system
from gameday.spec.inputs import load_system

SYSTEM = """name: own
base_url: http://127.0.0.1:1
requests:
  issue:
    post: {path}
    json: {body}
    outcomes:
      issued: {issued}
      sold_out: {sold_out}
audit: {{get: /audit}}
"""


def warnings(folder: Path, **parts: str) -> list[str]:
    usual = {
        "path": "/issue",
        "body": '{id: "{user}"}',
        "issued": "{status: 200}",
        "sold_out": "{status: 409}",
    }
    file = folder / "own.yaml"
    file.write_text(SYSTEM.format(**{**usual, **parts}))
    return [each.text for each in validate_system(load_system(file))]


@pytest.mark.parametrize(
    ("parts", "at", "problem", "cure"),
    [
        ({"issued": '{status: 200, json: {"": ok}}'}, "8:", "no path", "$ for the whole answer"),
        ({"issued": "{status: 200, json: {a..b: ok}}"}, "8:", "no path", "dots between them"),
        ({"issued": "{status: 2zz}"}, "8:", "2zz", "2xx"),
        ({"issued": "{status: 200, text: {matches: '('}}"}, "8:36:", "missing )", ""),
        ({"issued": "{status: 200, text: {matches: '(?=a)'}}"}, "8:36:", "'(?=a)' is not", ""),
        (
            {"issued": "{status: 200, headers: {X-A: {matches: '[z-a]'}}}"},
            "8:45:",
            "regular expression '[z-a]' is not understood",
            "",
        ),
        ({"body": '{id: "{iteration}"}'}, "4:", "no {user} in the request", "write {user}"),
        ({"body": '{id: "{user:5d}"}'}, "6:", "'5d' is no format", "{user:05d}"),
        ({"body": '{id: "{user:099d}"}'}, "6:", "99 digits are more than 40", "{user:05d}"),
        ({"body": '{id: "{coupon:05d}"}'}, "6:", "'coupon' is text", "{user:05d}"),
        ({"body": '{id: "{key:uuid}"}'}, "6:", "only a user is made a UUID", ""),
        ({"body": '{id: "{usr:uuid}"}'}, "6:", "unknown placeholder '{usr:uuid}'", ""),
        ({"path": '"/a/{iteration:uuid}"'}, "5:", "only a user", ""),
    ],
)
def test_what_can_never_be_is_refused_with_its_place_and_cure(
    tmp_path: Path, parts: dict[str, str], at: str, problem: str, cure: str
) -> None:
    with pytest.raises(FileError) as caught:
        warnings(tmp_path, **parts)
    told = str(caught.value) + str(caught.value.help)
    assert f"own.yaml:{at}" in told
    assert problem in told
    assert cure in told


def test_an_outcome_behind_one_that_takes_all_is_warned_of(tmp_path: Path) -> None:
    [told] = warnings(tmp_path, issued="{status: 2xx}", sold_out="{status: [200, 204]}")
    assert "'sold_out' can never match: 'issued' before it" in told
    assert (
        warnings(tmp_path, issued="{status: 200, text: {contains: ok}}", sold_out="{status: 2xx}")
        == []
    )


@pytest.mark.parametrize("text", ["{user:s}", "u{user:05d}", "{user:uuid}", "{iteration:03d}"])
def test_formats_are_known(tmp_path: Path, text: str) -> None:
    assert warnings(tmp_path, body=f'{{id: "{text}", who: "{{user}}"}}') == []


def test_who_asks_may_stand_anywhere_in_the_request(tmp_path: Path) -> None:
    body = '{"{user}": x}\n    query: {a: b}\n    headers: {X-Member: "uid={user:05d}"}'
    assert warnings(tmp_path, body="{}", path='"/members/{user:uuid}/claims"') == []
    assert warnings(tmp_path, body=body) == []


@pytest.mark.parametrize(
    "body", ["{}", '{id: "{key}"}', '{id: "{coupon}"}', '{id: "{user}-{attempt}"}']
)
def test_a_request_that_names_nobody_is_warned_of(tmp_path: Path, body: str) -> None:
    told = next(each for each in warnings(tmp_path, body=body) if "{user}" in each)
    assert "no {user} in the request" in told
    assert "will be unknown" in told
