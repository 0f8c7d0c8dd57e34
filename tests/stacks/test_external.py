"""The external stack: nothing is started, and what it can do is found out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gameday.core.errors import UsageError
from gameday.spec.system import System
from gameday.stacks.external import ExternalStack
from gameday.stacks.stack import new_work_dir
from tests.support.stack_parts import Ground, document_of


def external(**more: object) -> System:
    return System.model_validate({**document_of(), **more})


@asynccontextmanager
async def toxiproxy() -> AsyncIterator[str]:
    """Something that answers as Toxiproxy's `GET /version` does."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"version": "2.12.0"}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


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


async def test_the_network_can_be_broken_only_where_a_toxiproxy_answers(tmp_path: Path) -> None:
    site = Ground(tmp_path, new_work_dir()).site
    stack = ExternalStack()

    await stack.start(external(), site)
    assert stack.kinds == {"traffic", "request"}
    assert "names no toxiproxy" in stack.lacks

    await stack.start(external(toxiproxy="http://127.0.0.1:9"), site)
    assert "toxic" not in stack.kinds
    assert "127.0.0.1:9" in stack.lacks

    async with toxiproxy() as url:
        await stack.start(external(toxiproxy=url), site)
    assert stack.kinds >= {"toxic", "proxy"}
    assert stack.lacks == ""
