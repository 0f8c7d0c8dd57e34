"""A compose file of somebody: what is asked, what it calls, and no password that is copied."""

from pathlib import Path

import pytest

from gameday.core.errors import UsageError
from gameday.plan.first_files.compose_file import UnclearServiceError, read_project
from gameday.stacks.service_map import ServiceMap

SHOP = """
x-common: &common
  restart: always
services:
  gateway:
    image: nginx:1.27
    ports: ["80:80"]
  api:
    <<: *common
    build: .
    ports: ["127.0.0.1:${API_PORT:-8000}:3000"]
    environment:
      DATABASE_URL: postgresql://shop:hunter22@db:5432/shop
      DEBUG: "1"
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_started}
      queue: {condition: service_started}
  db:
    image: docker.io/library/postgres:17-alpine
    ports: ["5433:5432"]
    environment: [POSTGRES_PASSWORD=hunter22, POSTGRES_USER=shop]
  cache:
    image: valkey/valkey:9
  queue:
    image: rabbitmq:4-management
    expose: [5672]
"""


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 8)
)


def compose(folder: Path, text: str = SHOP) -> Path:
    path = folder / "compose.yml"
    path.write_text(text)
    return path


def test_address_dependencies_and_stores_are_proposed(tmp_path: Path) -> None:
    found = read_project(compose(tmp_path), "api")
    assert found.base_url == "http://127.0.0.1:8000"
    assert found.service_map == "postgres=db,redis=cache,rabbitmq=queue:5672,service=api"
    assert ServiceMap.parse(found.service_map).callers == ("api",)
    assert [(each.kind, each.variable) for each in found.stores] == [("postgres", "AUDIT_POSTGRES")]
    assert found.stores[0].address == "postgresql://USER:PASSWORD@127.0.0.1:5433/DATABASE"


def test_the_service_is_the_one_that_is_built_here_and_no_gateway(tmp_path: Path) -> None:
    assert read_project(compose(tmp_path), None).service == "api"


def test_passwords_are_named_and_never_copied(tmp_path: Path) -> None:
    found = read_project(compose(tmp_path), None)
    assert "hunter22" not in repr(found)
    assert list(found.notes) == [
        "compose.yml: api.DATABASE_URL is a secret: it is not copied",
        "compose.yml: db.POSTGRES_PASSWORD is a secret: it is not copied",
    ]


def test_variables_come_from_the_env_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("API_PORT=8123\n")
    assert read_project(compose(tmp_path), None).base_url == "http://127.0.0.1:8123"


def test_where_two_services_could_be_meant_it_asks(tmp_path: Path) -> None:
    text = "services: {a: {build: ., ports: ['1:1']}, b: {build: ., ports: ['2:2']}}"
    with pytest.raises(UnclearServiceError, match="a, b") as told:
        read_project(compose(tmp_path, text), None)
    assert told.value.help == "name the one that issues: --service a"
    assert read_project(compose(tmp_path, text), "b").base_url == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    "text",
    [
        "services: {a: {build: .}}",
        "services: {a: {image: redis, ports: ['6379:6379']}}",
        "services: 3",
        "[1, 2]",
        "a: &a [*a]",
        "a: b: c",
        "\x00",
        BOMB,
        MERGES,
        "services: {'a,b=c': {image: redis}, a: {build: ., ports: ['1:1']}}",
        "services: {a: {build: '" + "$LONG" * 9000 + "'}}",
        "services: {a: !!python/object/apply:os.system [id]}",
    ],
)
def test_what_is_no_project_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_text(f"LONG={'x' * 1000}")
    with pytest.raises(UsageError):
        read_project(compose(tmp_path, text), None)


def test_a_fifo_and_a_file_that_is_not_there_are_errors(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "nothing.yml"):
        with pytest.raises(UsageError):
            read_project(tmp_path / name, None)
