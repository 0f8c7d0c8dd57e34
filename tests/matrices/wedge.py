"""How long taking a fault out takes, and what becomes of a wedge.

`python -m tests.matrices.wedge N`.

N removals with 2,000 live connections, on our Toxiproxy and on the real one; then N wedges of the
real one, staged on purpose: replies of 200 kB, clients that abort in the middle of them, a latency
toxic added and removed until the server shows the proxy no more although `/version` answers. As a
server that the stack started, each must end clean; as anybody else's, each must end with what to
do; all of them in time. Exit code 1 when one does not, or the 99th percentile is above 10 s.
"""

import argparse
import asyncio
import math
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import StuckFaultError
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.proxy import OWN_SERVER
from gameday.injection.process import process
from gameday.injection.process.launch import Launch, Question, start, until_ready
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.undos import ProxyState, ToxicState, Undo
from tests.support.toxics import toxic
from tests.support.toxiproxy_session import real_program

drivers = Drivers()

ALLOWED_S = 10.0
CONNECTIONS = 2000
SHARE = 0.05
MOST_CYCLES = 400
SOMEBODYS = ToxicState(name="somebody-elses", type="noop")
LATENCY = toxic("redis", "latency", latency=20, jitter=0)
OURS = (sys.executable, "-m", "gameday.toxiproxy", "--host", "127.0.0.1", "--port", "{port}")


@dataclass(frozen=True)
class Server:
    """A Toxiproxy started as a part of a stack, with the proxy `cache` at `port`."""

    url: str
    part: Path
    port: int

    def site(self, *, own: bool) -> InjectionContext:
        return InjectionContext(
            "w", self.url, {"redis": "cache"}, Direct(parts=self._parts(own=own))
        )

    def _parts(self, *, own: bool) -> dict[str, Path]:
        return {OWN_SERVER: self.part} if own else {}


@dataclass(frozen=True)
class Taken:
    """One removal: how long it took, by which steps; what it says where it did not succeed."""

    took_s: float
    steps: Sequence[str]
    stuck: str = ""
    cure: str = ""


def real_argv() -> tuple[str, ...] | None:
    """How the real one is started, None where there is none."""
    found = real_program()
    return None if found is None else (str(found), "-host", "127.0.0.1", "-port", "{port}")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def server(folder: Path, argv: Sequence[str], upstream: int) -> AsyncIterator[Server]:
    """That program as a part of a stack; its proxy has a toxic of somebody else's."""
    api, port = free_port(), free_port()
    part = folder / f"{OWN_SERVER}.json"
    launch = Launch(
        name=OWN_SERVER,
        token=secrets.token_hex(8),
        argv=[each.format(port=api) for each in argv],
        environment={**os.environ, "LOG_LEVEL": "error"},
        folder=Path.cwd(),
        log=folder / "toxiproxy.log",
        question=Question.get("127.0.0.1", api, "/version"),
    )
    started = start(launch, lambda now: now.write(part))
    try:
        assert await until_ready(started, 20, SystemClock())
        client = Toxiproxy(f"http://127.0.0.1:{api}")
        where = ProxyState(
            listen=f"127.0.0.1:{port}", upstream=f"127.0.0.1:{upstream}", enabled=True
        )
        await client.create("cache", where)
        await client.add_toxic("cache", SOMEBODYS)
        yield Server(client.url, part, port)
    finally:
        now = Launch.read(part) or started
        await process.end(now.process(), signal.SIGKILL, SystemClock())


@asynccontextmanager
async def load(*arguments: object) -> AsyncIterator[str]:
    """A process of `tests.matrices.wedge_load`; what it says when it is under way."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.matrices.wedge_load", *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        yield (await asyncio.wait_for(child.stdout.readline(), 60)).decode().strip()
    finally:
        child.kill()
        await child.wait()


async def take_out(undo: Undo) -> Taken:
    """Take it out, timed."""
    steps: list[str] = []

    async def tell(step: str, why: str, undos: Sequence[Undo]) -> None:
        del why, undos
        steps.append(step)

    clock = SystemClock()
    begun_ns = clock.now_ns()
    stuck = cure = ""
    try:
        await drivers.undo(undo, policy=UndoPolicy(on_escalation=tell))
    except StuckFaultError as error:
        stuck, cure = error.message, error.help
    return Taken((clock.now_ns() - begun_ns) / NS, steps, stuck, cure)


async def with_connections(
    folder: Path, argv: Sequence[str], count: int, connections: int
) -> list[Taken]:
    """`count` removals while so many connections live."""
    taken = []
    async with (
        load("serve") as upstream,
        server(folder, argv, int(upstream)) as one,
        load("hold", one.port, connections) as said,
    ):
        assert said == "held"
        for _ in range(count):
            site = one.site(own=True)
            undo = await drivers.prepare(LATENCY, site)
            await drivers.act(LATENCY, undo, site)
            taken.append(await take_out(undo))
            assert await drivers.read_back(undo)
    return taken


async def wedge(one: Server, *, own: bool) -> tuple[Undo, int] | None:
    """Add and remove a toxic under load until the server wedges; the undo that is due then."""
    server = Toxiproxy(one.url, 2.0)
    site = one.site(own=own)
    for cycle in range(MOST_CYCLES):
        undo = await drivers.prepare(LATENCY, site)
        try:
            await drivers.act(LATENCY, undo, site)
            await SystemClock().sleep(0.05)
            await server.remove_toxic("cache", undo.as_json()["name"])
        except ToxiproxyError:
            if await is_wedged(server):
                return undo, cycle
        await SystemClock().sleep(0.02)
    return None


async def is_wedged(server: Toxiproxy) -> bool:
    """`/version` answers, the proxy does not.

    For 12 s: a stuck link may hold a removal up for 5 s a chunk, and then let go.
    """
    await server.version()
    try:
        await server.within(12.0).proxy("cache")
    except ToxiproxyError:
        return True
    return False


async def wedged(folder: Path, argv: Sequence[str], share: float, *, own: bool) -> Taken | None:
    """One wedge, and the removal of the fault that is in it; None where it did not wedge."""
    async with (
        load("serve") as upstream,
        server(folder, argv, int(upstream)) as one,
        load("abort", one.port, share),
    ):
        staged = await wedge(one, own=own)
        if staged is None:
            return None
        undo, cycle = staged
        taken = await take_out(undo)
        if not taken.steps:
            say(f"  stuck in cycle {cycle}, but it let go by itself after more than 12 s")
            return None
        say(f"  wedged in cycle {cycle}: {taken.took_s:.2f} s by {', '.join(taken.steps)}")
        if not taken.stuck:
            found = await Toxiproxy(one.url).proxy("cache")
            assert found is not None
            assert found.enabled
            assert found.toxic_names == [SOMEBODYS.name]
        return taken


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def told(name: str, taken: Sequence[Taken]) -> bool:
    """Print the figures; whether they are good enough."""
    took = sorted(one.took_s for one in taken)
    p50, p99 = (took[math.ceil(share * len(took)) - 1] for share in (0.5, 0.99))
    steps = sum(bool(one.steps) for one in taken)
    figures = f"p50 {p50:.3f} s, p99 {p99:.3f} s, max {took[-1]:.3f} s"
    say(f"{name}: {len(taken)} removals, {figures}; {steps} needed more than one try")
    return p99 <= ALLOWED_S


async def measure(count: int, share: float, wedges: int) -> int:
    real = real_argv()
    good = True
    with tempfile.TemporaryDirectory(prefix="gameday-wedge-") as folder:
        for name, argv in (("ours", OURS), ("the real one", real)):
            if argv is None:
                say(f"{name}: left out, it is not here (GAMEDAY_TOXIPROXY)")
                continue
            taken = await with_connections(Path(folder), argv, count, CONNECTIONS)
            good &= told(f"{name}, {CONNECTIONS} connections", taken)
            good &= not any(one.stuck for one in taken)
        for own in (True, False) if real is not None else ():
            assert real is not None
            found = [await wedged(Path(folder), real, share, own=own) for _ in range(wedges)]
            ended = [one for one in found if one is not None]
            if len(ended) < len(found):
                say(f"{len(found) - len(ended)} of {len(found)} did not wedge")
            if ended:
                good &= told("wedged, of the stack" if own else "wedged, somebody else's", ended)
                good &= all(bool(one.stuck) != own for one in ended)
                say(f"  says: {ended[-1].stuck}\n  help: {ended[-1].cure}" if not own else "")
    return 0 if good else 1


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.wedge")
    parser.add_argument("count", type=int)
    parser.add_argument("--wedges", type=int, default=5)
    parser.add_argument("--share", type=float, default=SHARE, help="of requests that are aborted")
    chosen = parser.parse_args()
    return asyncio.run(measure(chosen.count, chosen.share, chosen.wedges))


if __name__ == "__main__":
    sys.exit(main())
