"""A sample of the scenarios' matrix: one session at a table, by the command line alone."""

from pathlib import Path

import pytest

from tests.matrices import scenarios


def test_a_shipped_drill_is_held_at_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    one = scenarios.tabletop("redis-slow", tmp_path)
    assert one.wrong == ""
