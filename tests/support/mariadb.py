"""A real MariaDB for one test session, from Debian's programs; skipped where they are not."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.support.sut_stores import ending_with_me, free_port

PASSWORD = "p@ss/w:rd"
URL_PASSWORD = "p%40ss%2Fw%3Ard"


@dataclass(frozen=True, slots=True)
class MariaDb:
    """Its port; user `shop` may write to the database `shop`, `audit` only read, `boss` do all."""

    port: int

    def url(self, user: str = "audit") -> str:
        return f"mysql://{user}:{URL_PASSWORD}@127.0.0.1:{self.port}/shop"

    def connect(self, user: str = "shop", database: str | None = "shop") -> Any:
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=PASSWORD,
            database=database,
            autocommit=True,
        )

    def do(self, *statements: str, user: str = "shop") -> None:
        with self.connect(user) as connection, connection.cursor() as cursor:
            for each in statements:
                cursor.execute(each)


def program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running_mariadb(*more: str) -> Iterator[MariaDb]:
    """Start one on a free port, with `more` arguments. Skips where MariaDB is not installed."""
    server, install = program("mariadbd"), program("mariadb-install-db")
    if server is None or install is None:
        pytest.skip("no MariaDB here (Debian: mariadb-server-core)")
    folder = Path(tempfile.mkdtemp(prefix="gameday-mariadb-"))
    data, port = folder / "data", free_port()
    user = ["--user=root"] if os.geteuid() == 0 else []
    subprocess.run(
        [
            *(install, "--no-defaults", f"--datadir={data}", *user, "--skip-test-db"),
            *("--auth-root-authentication-method=normal", "--skip-name-resolve"),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        ending_with_me(
            [
                *(server, "--no-defaults", f"--datadir={data}", f"--port={port}", *user),
                *("--bind-address=127.0.0.1", f"--socket={folder / 'socket'}"),
                *("--skip-name-resolve", "--innodb-buffer-pool-size=32M"),
                *("--innodb-flush-log-at-trx-commit=0", "--server-id=7", *more),
            ]
        ),
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    log.close()
    try:
        _prepare(folder / "socket", process)
        yield MariaDb(port)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _prepare(path: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until it answers; make its database and users."""
    deadline = time.monotonic() + 60
    while not _listens(path):
        assert time.monotonic() < deadline and process.poll() is None, "MariaDB does not start"
        time.sleep(0.05)
    root = pymysql.connect(unix_socket=str(path), user="root", autocommit=True)
    with root, root.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        for name, rights in (("shop", "ALL"), ("audit", "SELECT")):
            cursor.execute(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
            cursor.execute(f"GRANT {rights} ON shop.* TO {name}@'127.0.0.1'")
        cursor.execute("CREATE USER boss@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
        cursor.execute("GRANT ALL ON *.* TO boss@'127.0.0.1'")
