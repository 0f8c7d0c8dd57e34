"""Options become a sketch: what is one campaign in two paths is the campaign."""

from pathlib import Path
from typing import Any

import pytest

from gameday.core.errors import UsageError
from gameday.plan.first_files.asked import InitRequest, gather
from gameday.plan.first_files.sketch import Sketch


def sketch(folder: Path, **given: Any) -> Sketch:
    return gather(InitRequest(folder=folder, **{"url": "http://127.0.0.1:1/claim", **given}), None)


def test_a_code_in_the_paths_of_request_and_audit_is_the_campaign(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/v1/enter/SNEAK1?x=1"
    found = sketch(tmp_path, url=url, audit="/v1/winners/SNEAK1?all=1")
    assert found.request.path == "/v1/enter/{coupon}"
    assert found.audit == "/v1/winners/{coupon}?all=1"
    assert found.coupon == "SNEAK1"


def test_the_name_is_that_of_the_folder(tmp_path: Path) -> None:
    assert sketch(tmp_path / "My Shop").name == "my-shop"
    assert sketch(tmp_path / "\uac00").name == "my-system"
    assert sketch(tmp_path, name="other").name == "other"


@pytest.mark.parametrize(
    "given",
    [
        {"url": "http://127.0.0.1:1/a b"},
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://user:secret@127.0.0.1/"},
        {"body": "{"},
        {"body": "{}", "form": "a=1"},
        {"body": "[" * 5000},
        {"headers": ("nonsense",)},
        {"headers": ("A\nB: 1",)},
        {"audit": "http://elsewhere/"},
        {"audit": "//elsewhere/"},
        {"name": "No Name"},
        {"campaign": "{post: /x, nonsense: 1}"},
        {"campaign": "{post"},
    ],
)
def test_what_cannot_be_meant_is_one_error_without_credentials(tmp_path: Path, given: Any) -> None:
    with pytest.raises(UsageError) as told:
        sketch(tmp_path, **given)
    assert "secret" not in str(told.value)
