"""`start.setup` on a real embedded stack: schema and seed before the service, and what fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from gameday.core.errors import StackError
from gameday.spec.system import System
from gameday.stacks.embedded import EmbeddedStack
from gameday.stacks.stack import new_work_dir
from tests.support.stack_parts import SERVICE, Ground, document_of

PARTS = {
    "DB_HOST": "{postgres_host}",
    "DB_PORT": "{postgres_port}",
    "DB_USER": "{postgres_user}",
    "DB_PASSWORD": "{postgres_password}",
    "DB_NAME": "{postgres_database}",
}
NEEDS_A_TABLE = f"""
import asyncio, os, asyncpg
async def look():
    names = ("HOST", "PORT", "USER", "PASSWORD", "NAME")
    host, port, user, password, name = (os.environ["DB_" + each] for each in names)
    db = await asyncpg.connect(
        host=host, port=int(port), user=user, password=password, database=name, ssl=False)
    print("there are", await db.fetchval("SELECT count(*) FROM coupons"), flush=True)
    await db.close()
asyncio.run(look())
{SERVICE}
"""
SEED = """
import asyncio, os, asyncpg
async def seed():
    at = {k: os.environ["DB_" + k.upper()] for k in ("host", "port", "user", "password")}
    db = await asyncpg.connect(**at, database=os.environ["DB_NAME"], ssl=False)
    await db.execute("INSERT INTO coupons VALUES ('SALE', 600)")
    print("seeded as", os.environ["DB_PASSWORD"], flush=True)
    await db.close()
asyncio.run(seed())
"""
SCHEMA = "CREATE TABLE coupons (code text PRIMARY KEY, stock int);\nSELECT 1;\n"


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path, new_work_dir())
    yield made
    assert made.left() == []


def system_of(folder: Path, setup: list[Any], program: str = SERVICE, **env: str) -> System:
    (folder / "service.py").write_text(program)
    document = document_of(**env)
    document["start"]["setup"] = setup
    return System.model_validate(document)


async def test_schema_and_seed_come_before_a_service_that_is_told_the_parts(
    tmp_path: Path, ground: Ground
) -> None:
    (tmp_path / "schema.sql").write_text(SCHEMA)
    (tmp_path / "seed.py").write_text(SEED)
    setup = [{"sql": "schema.sql"}, ["python", "seed.py", "{postgres_port}"]]
    stack = EmbeddedStack()
    up = await stack.start(system_of(tmp_path, setup, NEEDS_A_TABLE, **PARTS), ground.site)
    try:
        assert {"setup-1", "setup-2"} < set(up.logs)
        assert "executed" in up.logs["setup-1"].read_text()
        assert "seeded as" in up.logs["setup-2"].read_text()
        assert "there are 1" in up.logs["service"].read_text()
        assert up.environment["DB_PASSWORD"] in up.secrets
        assert up.environment["DB_PORT"] in up.proxied["postgres"]
        db = await asyncpg.connect(up.direct["postgres"], ssl=False)
        assert await db.fetchval("SELECT stock FROM coupons") == 600
        await db.close()
    finally:
        assert await stack.stop() == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1;\n\nCREATE TABEL x ();\n", "line 3: syntax error"),
        ("COPY x FROM stdin;\n1\n\\.\n", "psql"),
        ("SELECT pg_sleep(0); SELECT * FROM nowhere;", "nowhere"),
    ],
)
async def test_sql_that_fails_is_told_with_its_line_and_nothing_is_left(
    tmp_path: Path, ground: Ground, sql: str, said: str
) -> None:
    (tmp_path / "schema.sql").write_text(sql)
    with pytest.raises(StackError) as told:
        await EmbeddedStack().start(system_of(tmp_path, [{"sql": "schema.sql"}]), ground.site)
    assert said in told.value.message + told.value.help
    assert "setup-1" in told.value.message


async def test_a_command_that_fails_ends_the_start_with_its_whole_cause_and_no_password(
    tmp_path: Path, ground: Ground
) -> None:
    (tmp_path / "migrate.py").write_text(
        "import os\nprint('with', os.environ['DB_PASSWORD'], flush=True)\n"
        "try:\n    {}['coupons']\nexcept KeyError as error:\n"
        "    raise RuntimeError('no migration 7 ' + 'x' * 255 + os.environ['DB_PASSWORD'])"
        " from error\n"
    )
    with pytest.raises(StackError) as told:
        setup = [["python", "migrate.py"], ["python", "never.py"]]
        await EmbeddedStack().start(system_of(tmp_path, setup, **PARTS), ground.site)
    message = told.value.message
    assert message.startswith("setup-1: it ended with exit code 1")
    assert "KeyError: 'coupons'" in message
    assert "RuntimeError: no migration 7" in message
    log = (ground.site.logs_dir / "setup-1.log").read_text()
    password = log.split("with ", 1)[1].splitlines()[0]
    assert len(password) > 20
    assert password[:8] not in message  # nor its beginning, where a long line is cut


async def test_an_open_redis_lets_a_client_in_that_takes_no_password(
    tmp_path: Path, ground: Ground
) -> None:
    stack = EmbeddedStack()
    system = system_of(tmp_path, [], CACHE="{redis_url}", OTHER="{redis}")
    up = await stack.start(system, ground.site)
    try:
        assert up.environment["CACHE"] == up.environment["OTHER"]
        assert "@" not in up.environment["CACHE"]
        assert "127.0.0.1" in up.environment["CACHE"]
        async with redis.asyncio.Redis.from_url(up.environment["CACHE"]) as client:
            assert await asyncio.wait_for(client.ping(), 10)
    finally:
        assert await stack.stop() == []
