"""Probes against the real servers, where they are: MariaDB, memcached, RabbitMQ, Kafka, nginx.

GAMEDAY_KAFKA names a folder of Kafka's jars, GAMEDAY_MEMCACHED a memcached that is not in PATH. The
brokers' other addresses come from whoever runs them: GAMEDAY_AMQP and GAMEDAY_MONGODB (HOST:PORT).
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gameday.core.clock import SystemClock
from gameday.injection.verify.probe import ExpectedProtocol, ask, knock, look
from gameday.injection.verify.probe_verdict import show
from gameday.injection.verify.recovery import compare
from gameday.spec.proxies import Protocol
from gameday.stacks.ports import free_ports
from tests.matrices.broken_parts import start_toxi
from tests.support.toxics import toxic

CLOCK = SystemClock()
ELSEWHERE = ("127.0.0.2", 0)  # no loopback to MySQL, which counts what such a host leaves undone
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@asynccontextmanager
async def process(*argv: str, port: int, folder: Path) -> AsyncIterator[int]:
    """A server at work, once it takes connections."""
    log = (folder / "server.log").open("wb")
    made = await asyncio.create_subprocess_exec(*argv, cwd=folder, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(90):
            while (await knock(("127.0.0.1", port), CLOCK)).answer != "accepted":
                assert made.returncode is None, (folder / "server.log").read_text()[-2000:]
                await CLOCK.sleep(0.05)
        yield port
    finally:
        log.close()
        if made.returncode is None:
            made.kill()
        await made.wait()


async def output_of(*argv: str) -> str:
    """What a program prints, which must end well."""
    made = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await made.communicate()
    assert made.returncode == 0, said.decode(errors="replace")[-2000:]
    return said.decode(errors="replace")


@asynccontextmanager
async def mariadb(folder: Path, *options: str) -> AsyncIterator[int]:
    """A MariaDB of its own."""
    server, installer = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if server is None or installer is None:
        pytest.skip("there is no MariaDB")
    data = folder / "data"
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    making = [installer, "--no-defaults", f"--datadir={data}", *as_root]
    await output_of(*making, "--auth-root-authentication-method=normal")
    (port,) = free_ports(1)
    argv = [server, "--no-defaults", f"--datadir={data}", f"--port={port}", *as_root]
    argv += ["--bind-address=0.0.0.0", f"--socket={folder / 'db.sock'}", *options]
    async with process(*argv, port=port, folder=folder) as at:
        yield at


async def shown_through(port: int, protocol: Protocol) -> None:
    """A latency of answers and of requests, and a silence, are seen, and seen gone."""
    toxi = await start_toxi()
    try:
        listen = await toxi.proxy("p", port)
        expected = ExpectedProtocol(protocol, declared=True)
        spot = await look(("127.0.0.1", listen), CLOCK, ("127.0.0.1", port), expected)
        assert spot.protocol == protocol
        for change in (
            toxic("p", "latency", latency=300, jitter=0),
            toxic("p", "latency", stream="upstream", latency=300, jitter=0),
            toxic("p", "timeout", timeout=0),
        ):
            told = {k: v for k, v in change.as_json().items() if k not in ("kind", "proxy")}
            await toxi.ask("POST", "/proxies/p/toxics", {"name": "gameday-t", **told})
            async with asyncio.timeout(60):
                while not (seen := await show(change, spot, CLOCK)).ok:
                    pass  # the machine is busy
            assert seen.shown
            await toxi.ask("DELETE", "/proxies/p/toxics/gameday-t")
        async with asyncio.timeout(60):
            while not (await compare(spot, CLOCK)).is_calm:
                pass
    finally:
        await toxi.end()


async def test_a_mariadb_shows_faults_and_shuts_nobody_out(tmp_path: Path) -> None:
    users = tmp_path / "users.sql"
    users.write_text("CREATE USER 'shop'@'%' IDENTIFIED BY 'a-password-of-this-test';\n")
    async with mariadb(tmp_path, "--max-connect-errors=5", f"--init-file={users}") as port:
        await shown_through(port, "mysql")
        heard = await look(("127.0.0.1", port), CLOCK)
        assert heard.protocol == "mysql"

        # As a host that is not the loopback one, twenty times over what shuts a host out.
        async with relay_from_elsewhere(port) as relayed:
            for _ in range(100):
                assert (await ask(("127.0.0.1", relayed), "mysql", CLOCK))[0].answer == "answered"
            probe, said = await ask(("127.0.0.1", relayed), "mysql", CLOCK)
            assert b"blocked" not in said, said
            # The same host is shut out by those who leave in the middle: the count is at work.
            for _ in range(20):
                await ask(("127.0.0.1", relayed), "tcp", CLOCK)
            _, said = await ask(("127.0.0.1", relayed), "mysql", CLOCK)
        assert probe.answer == "answered"
        assert b"blocked" in said, said


@asynccontextmanager
async def relay_from_elsewhere(port: int) -> AsyncIterator[int]:
    """A way to a port by which the other end sees another address of this machine."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while raw := await reader.read(4096):
                writer.write(raw)
        except OSError:
            return
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port, local_addr=ELSEWHERE)
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_memcached_shows_faults(tmp_path: Path) -> None:
    server = os.environ.get("GAMEDAY_MEMCACHED") or shutil.which("memcached")
    if server is None:
        pytest.skip("there is no memcached")
    (port,) = free_ports(1)
    user = ["-u", "root"] if os.geteuid() == 0 else []
    argv = [server, "-l", "127.0.0.1", "-p", str(port), "-U", "0", *user]
    async with process(*argv, port=port, folder=tmp_path):
        await shown_through(port, "memcached")


async def test_an_nginx_shows_faults(tmp_path: Path) -> None:
    server = shutil.which("nginx")
    if server is None:
        pytest.skip("there is no nginx")
    (port,) = free_ports(1)
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/b;"
        f" proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f;"
        f" uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;"
        f" server {{ listen 127.0.0.1:{port}; return 200 ok; }} }}\n"
    )
    async with process(server, "-c", str(config), "-p", str(tmp_path), port=port, folder=tmp_path):
        await shown_through(port, "http")


async def test_a_kafka_shows_faults(tmp_path: Path) -> None:
    jars, java = os.environ.get("GAMEDAY_KAFKA", ""), shutil.which("java")
    if not jars or java is None:
        pytest.skip("there is no Kafka (GAMEDAY_KAFKA)")
    port, other = free_ports(2)
    config = tmp_path / "server.properties"
    config.write_text(
        "process.roles=broker,controller\nnode.id=1\n"
        f"controller.quorum.voters=1@127.0.0.1:{other}\n"
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{other}\n"
        "controller.listener.names=CONTROLLER\noffsets.topic.replication.factor=1\n"
        "transaction.state.log.replication.factor=1\n"
        f"log.dirs={tmp_path / 'logs'}\n"
    )
    tool = [java, "-cp", f"{jars}/*", "kafka.tools.StorageTool"]
    name = (await output_of(*tool, "random-uuid")).split()[-1]
    await output_of(*tool, "format", "-t", name, "-c", str(config))
    argv = [java, "-Xmx384m", "-cp", f"{jars}/*", "kafka.Kafka", str(config)]
    async with process(*argv, port=port, folder=tmp_path):
        await shown_through(port, "kafka")


@pytest.mark.parametrize(
    ("variable", "protocol"), [("GAMEDAY_AMQP", "amqp"), ("GAMEDAY_MONGODB", "mongodb")]
)
async def test_a_broker_or_a_store_that_is_there_shows_faults(
    variable: str, protocol: Protocol
) -> None:
    where = os.environ.get(variable, "")
    if not where:
        pytest.skip(f"{variable} names none")
    await shown_through(int(where.rpartition(":")[2]), protocol)
