"""Setup of a service before its start: commands and files of SQL, in their order, each once.

A command runs as the service will: in the folder of the system file, with its environment. A file
of SQL is executed in the embedded PostgreSQL by gameday itself, past the proxy. The output of each
step is a log of its own among those of the run (`setup-1.log`), and the first that fails ends the
start.
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg

from gameday.core import files
from gameday.core.errors import StackError
from gameday.core.secrets.redaction import Hidden
from gameday.injection.process.launch import Launch
from gameday.spec.start import SQL_BYTES, SetupStep, SqlFile
from gameday.stacks.placeholders import argv_of
from gameday.stacks.postgres import execute
from gameday.stacks.supervisor import Supervisor

SETUP_S: Final = 60.0
"""For each step. The start as a whole has 90 s (`core/stack_registry.py`)."""
_CLIENT_ONLY: Final = re.compile(r"^(\\|COPY\s.*\sFROM\s+stdin)", re.IGNORECASE | re.MULTILINE)


async def set_up(
    supervisor: Supervisor,
    steps: list[SetupStep],
    values: Mapping[str, str],
    environment: Mapping[str, str],
) -> None:
    """Take all steps. Raises StackError, which shows what the one that failed had to say."""
    folder = supervisor.workdir.system_dir.resolve()
    for number, step in enumerate(steps, 1):
        name = f"setup-{number}"
        if isinstance(step, SqlFile):
            await _execute(supervisor, name, folder / step.sql, values["postgres_direct"])
            continue
        task = Launch(name=name, argv=argv_of(step, values), environment=environment, folder=folder)
        part = supervisor.launch(task)
        try:
            await part.finish(SETUP_S, supervisor.clock)
        finally:
            await supervisor.drop(part)


async def _execute(supervisor: Supervisor, name: str, path: Path, dsn: str) -> None:
    """Execute a file of SQL; its log says how that went."""
    log = supervisor.workdir.logs_dir / f"{name}.log"
    supervisor.logs[name] = log
    hide = Hidden(supervisor.secrets)
    try:
        text = await asyncio.to_thread(_read, path)
        await _sql(text, dsn)
    except StackError as error:
        problem = hide(error.message)
        await asyncio.to_thread(log.write_text, f"{path}: {problem}\n")
        raise StackError(f"{name}: {path}: {problem}", help=error.help) from error
    await asyncio.to_thread(log.write_text, f"{path}: executed, {len(text)} characters\n")


def _read(path: Path) -> str:
    try:
        return files.read_bytes(path, SQL_BYTES).decode()
    except OSError as error:
        raise StackError(
            f"cannot be read: {error.strerror}", help="paths count from the system file"
        ) from error
    except UnicodeDecodeError as error:
        raise StackError(f"byte {error.start + 1} is not UTF-8", help="save it as UTF-8") from error


async def _sql(text: str, dsn: str) -> None:
    try:
        await execute(dsn, text, SETUP_S)
    except TimeoutError as error:
        raise StackError(f"it takes longer than {SETUP_S:g} s") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        position = str(getattr(error, "position", None) or "")
        line = text.count("\n", 0, int(position) - 1) + 1 if position.isdecimal() else 0
        cure = "only `psql` knows COPY … FROM stdin and lines that begin with a backslash"
        raise StackError(
            f"{f'line {line}: ' if line else ''}{error}",
            help=cure if _CLIENT_ONLY.search(text) else "",
        ) from error
