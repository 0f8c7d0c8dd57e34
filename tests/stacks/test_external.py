"""The external stack: nothing is started, and the secrets of its file are found."""

from pathlib import Path

import pytest

from gameday.core.errors import UsageError
from gameday.spec.system import System
from gameday.stacks.external import ExternalStack
from gameday.stacks.stack import new_work_dir
from tests.support.stack_parts import Ground, document_of


def external(**more: object) -> System:
    return System.model_validate({**document_of(), **more})


async def test_it_takes_the_system_as_it_is_with_the_secrets_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_DSN", "postgresql://x")
    monkeypatch.setenv("THEIR_TOKEN", "t0ken")
    monkeypatch.setenv("NOT_NAMED", "y")
    system = external(
        stores={"postgres": {"dsn": {"env": "THEIR_DSN"}, "rows": "SELECT 1"}},
        actions={"stop": {"post": "/stop", "headers": {"Authorization": {"env": "THEIR_TOKEN"}}}},
    )
    ground = Ground(tmp_path, new_work_dir())
    stack = ExternalStack()

    up = await stack.start(system, ground.site)

    assert up.system == system
    assert up.environment == {"THEIR_DSN": "postgresql://x", "THEIR_TOKEN": "t0ken"}
    assert up.secrets == {"postgresql://x", "t0ken"}
    assert (ground.announced, await stack.stop()) == ([], [])


async def test_a_variable_that_is_not_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THEIR_DSN", raising=False)
    system = external(stores={"postgres": {"dsn": {"env": "THEIR_DSN"}, "rows": "SELECT 1"}})
    with pytest.raises(UsageError, match="THEIR_DSN"):
        await ExternalStack().start(system, Ground(tmp_path, new_work_dir()).site)
