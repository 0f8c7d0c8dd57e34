"""`python -m tests.matrices.broken [names…]`: settings in which a fault does not reach the service.

Each is a small real setting (a Redis, a Toxiproxy, a service) put together wrongly, or right, with
a whole `gameday run … --stack external` on it. A wrong one must end with exit code 3 (6 where the
removal cannot be proven) and never say `injected: yes` or `passed`; a right one must say
`injected: yes`. Exit code 1 when one does not.
`--list` names them, `--jobs N` runs N at a time.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from tests.matrices.broken_parts import (
    CLOCK,
    REAL,
    Issuer,
    Lie,
    Redis,
    Toxi,
    liar,
    mystery,
    real_redis,
    start_toxi,
    told,
    until,
    web,
)

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
INTERRUPTED = 5
LATENCY = "{fault: network.latency, target: store, latency: 300ms, at: 3s, duration: 4s}"
METRIC = (
    "'histogram_quantile(0.95, sum by (le) "
    '(rate(dependency_seconds_bucket{dependency="store"}[3s])))\''
)
SYSTEM = """
name: own
base_url: http://127.0.0.1:{port}
metrics: [http://127.0.0.1:{port}/metrics]
requests:
  issue:
    post: /issue
    json: {{user: "{{user}}"}}
    capture: {{issue_id: coupon.id}}
    timeout: 3s
    outcomes:
      issued: {{status: 200}}
      duplicate: {{status: 409}}
      refused: {{status: 503}}
audit: {{get: /audit}}
settle: 200ms
proxies: {{store: {{proxy: {proxy}{spoken}}}}}
toxiproxy: {api}
{dependencies}
"""
EXPERIMENT = """
name: broken-drop
campaign: {{coupon: DROP, users: 1000000}}
traffic: {traffic}
method: [{fault}]
"""


@dataclass
class Stage:
    """One setting while it is built: a service that asks a Redis through a Toxiproxy."""

    stack: AsyncExitStack
    redis: Redis
    toxi: Toxi
    issuer: Issuer
    api: str
    proxy: str = "store"
    fault: str = LATENCY
    traffic: str = "{drop: {executor: constant-arrival-rate, rate: 40/s, duration: 8s}}"
    metric: bool = True
    store_port: int = 0
    pid: int = 0
    meanwhile: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)

    async def behind(self, lie: Lie) -> None:
        """Put a server that lies before the API."""
        self.api = await self.stack.enter_async_context(liar(self.toxi.url, lie))

    async def another_toxi(self, *, real: bool = False) -> Toxi:
        toxi = await start_toxi(real=real)
        self.stack.push_async_callback(toxi.end)
        return toxi

    def once_broken(self, act: Callable[[str], Awaitable[object]], after_s: float = 1.0) -> None:
        """Do something a second after gameday's toxic is in; it is told the toxic's path."""

        async def wait_and_act() -> None:
            async def is_in() -> bool:
                return bool(await self.toxi.broken())

            await until(is_in, "the fault", PATIENCE_S)
            path = f"/proxies/{self.proxy}/toxics/{await self.toxi.broken()}"
            await CLOCK.sleep(after_s)
            await act(path)

        self.meanwhile.append(wait_and_act)

    async def unknown_protocol(self) -> None:
        """Another store, which only the service can talk to."""
        port = await self.stack.enter_async_context(mystery())
        self.issuer.question = b"tell me\n"
        self.issuer.address = ("127.0.0.1", await self.toxi.proxy("odd", port))
        self.proxy, self.store_port = "odd", port

    def worker(self) -> psutil.Process:
        """The traffic worker of the run under way."""
        for child in psutil.Process(self.pid).children(recursive=True):
            if "gameday.traffic.worker" in " ".join(child.cmdline()):
                return child
        raise LookupError("no traffic worker")


Build = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Environment:
    """A way to put it together, whether the fault is there then, and how a run must end if not."""

    name: str
    build: Build
    healthy: bool
    real: bool
    code: int = 3

    @property
    def about(self) -> str:
        return (self.build.__doc__ or "").split("\n")[0].rstrip(".")


@dataclass(frozen=True)
class Row:
    """What a run in an environment ended with."""

    environment: Environment
    code: int
    verdict: str
    injected: list[str]
    why: str
    took_s: float

    @property
    def fine(self) -> bool:
        if self.environment.healthy:
            return self.injected == ["yes"]
        return (
            self.code == self.environment.code
            and self.verdict == "unknown"
            and "yes" not in self.injected
        )

    def line(self) -> str:
        mark = "  " if self.fine else "!!"
        said = ",".join(self.injected) or "-"
        return f"{mark} {self.environment.name:28} exit {self.code}  {said:8} {self.why}"


async def run(environment: Environment, redis: Redis) -> Row:
    """Build it, run gameday on it, and take it down."""
    begun = monotonic()
    async with AsyncExitStack() as stack:
        toxi = await start_toxi(real=environment.real)
        stack.push_async_callback(toxi.end)
        issuer = Issuer(("127.0.0.1", await toxi.proxy("store", redis.port)))
        stack.callback(issuer.close)
        stage = Stage(stack, redis, toxi, issuer, toxi.url, store_port=redis.port)
        await environment.build(stage)
        port = await stack.enter_async_context(web(issuer.handle))
        folder = Path(tempfile.mkdtemp(prefix="gameday-broken-run-"))
        code, out = await _gameday(stage, folder, port)
        found = list(folder.glob("runs/*/result.json"))
        if not found:
            return Row(environment, code, "no result", [], out[-200:], monotonic() - begun)
        result = json.loads(found[0].read_bytes())
    return Row(
        environment,
        code,
        result["verdict"],
        told(result),
        _why(result, found[0].parent),
        monotonic() - begun,
    )


async def _gameday(stage: Stage, folder: Path, port: int) -> tuple[int, str]:
    """A whole run in a child process: its exit code, and what it said."""
    (folder / "system.yaml").write_text(
        SYSTEM.format(
            port=port,
            proxy=stage.proxy,
            spoken=", protocol: redis" if stage.proxy == "store" else "",
            api=stage.api,
            dependencies=f"dependencies: {{store: {METRIC}}}" if stage.metric else "",
        )
    )
    experiment = folder / "broken-drop.yaml"
    experiment.write_text(EXPERIMENT.format(traffic=stage.traffic, fault=stage.fault))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gameday", "run", str(experiment), "--stack", "external"),
        *("--system", str(folder / "system.yaml"), "--runs", str(folder / "runs")),
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    stage.pid = process.pid
    tasks = [asyncio.create_task(act()) for act in stage.meanwhile]
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    (folder / "out.txt").write_bytes(out)
    problems = [repr(one) for one in done if isinstance(one, Exception)]
    return process.returncode or 0, "; ".join([out.decode(), *problems])


def _why(result: dict[str, Any], run_dir: Path) -> str:
    """What the journal says of the dose, else why the run ended."""
    records = [json.loads(line) for line in (run_dir / "journal.jsonl").read_text().splitlines()]
    dosed = [record["why"] for record in records if record["event"] == "fault.dosed"]
    ended = [record["why"] for record in records if record["event"] == "run.ended"]
    return str((dosed or ended or [result["ended"]])[-1])


async def run_all(wanted: Sequence[Environment], jobs: int) -> list[Row]:
    """Run them, some at a time; each line is printed when its run is over."""
    gate = asyncio.Semaphore(jobs)
    async with real_redis() as redis:

        async def one(environment: Environment) -> Row:
            async with gate:
                row = await run(environment, redis)
                if row.code == INTERRUPTED:  # by a machine too busy to renew a lease in 5 s
                    row = await run(environment, redis)
                print(row.line(), flush=True)
                return row

        return list(await asyncio.gather(*map(one, wanted)))


def main() -> int:
    """Run what was asked for, and tell which did not end as they must."""
    from tests.matrices.broken_environments import ENVIRONMENTS

    parser = argparse.ArgumentParser(prog="python -m tests.matrices.broken")
    parser.add_argument("names", nargs="*", metavar="name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    unknown = set(asked.names) - {one.name for one in ENVIRONMENTS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; see --list")
    wanted = [one for one in ENVIRONMENTS if not asked.names or one.name in asked.names]
    if asked.list:
        print("\n".join(f"{one.name:28} {one.about}" for one in wanted))
        return 0
    left_out = [one.name for one in wanted if one.real and not REAL.exists()]
    if left_out:
        print(f"left out, no real Toxiproxy here (GAMEDAY_TOXIPROXY): {', '.join(left_out)}")
    rows = asyncio.run(run_all([one for one in wanted if one.name not in left_out], asked.jobs))
    wrong = [row.environment.name for row in rows if not row.fine]
    broken = sum(not row.environment.healthy for row in rows)
    print(
        f"{broken} broken and {len(rows) - broken} healthy environments; wrong: {wrong or 'none'}"
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
