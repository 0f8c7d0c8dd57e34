"""Broken system files through one `gameday validate`: place, value and a cure that works."""

from pathlib import Path

from tests.matrices.broken_systems import BROKEN, errors_of, wrong_with


def test_each_broken_system_file_is_told_with_its_place_and_a_cure_that_works(
    tmp_path: Path,
) -> None:
    assert len({case.text for case in BROKEN}) >= 60
    assert [*wrong_with(BROKEN, tmp_path)] == []


def test_a_secret_that_stands_in_a_file_is_not_said_again(tmp_path: Path) -> None:
    cases = [case.text for case in BROKEN if "u:secret@" in case.text]
    (error,) = errors_of(cases, tmp_path)
    assert error is not None
    assert "secret@" not in str(error)
