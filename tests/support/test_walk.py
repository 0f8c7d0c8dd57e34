"""The counts of a walk, on a package small enough to count by hand."""

from pathlib import Path

import pytest

from tests.support.walk import ENTRY, Walk, functions, layers

CLI = """
from gameday.core.clock import Clock
from gameday.run.execute import execute


def run() -> None:
    clock = Clock()
    execute(clock)
    clock.stop()
"""
EXECUTE = """
from gameday.core.clock import Clock


def execute(clock: Clock) -> None:
    clock.start()
    for each in (clock.start, _rest):
        each()


def _rest() -> None: ...
"""
CLOCK = """
class Clock:
    def __init__(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...
"""


def test_a_walk_reads_each_function_once_in_the_order_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"cli/run": CLI, "run/execute": EXECUTE, "core/clock": CLOCK}.items():
        path = tmp_path / "gameday" / f"{name}.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        for folder in (path.parent, path.parent.parent):
            (folder / "__init__.py").touch()
    rank = layers(tmp_path)
    assert (rank["cli"], rank["run"], rank["core"]) == (2, 1, 0)

    walk = Walk(functions(tmp_path), rank)
    walk.follow(ENTRY)

    assert walk.read == 6
    assert walk.files == ["cli/run.py", "core/clock.py", "run/execute.py"]
    # run: clock, back, execute: clock, back; back, clock.
    assert (walk.moves, walk.climbs, walk.returns) == (7, 3, 5)
