"""Go / no-go conditions: asked before a day begins, or before each experiment.

Only a clear yes means go: no data, no answer, an answer that is no number, a program that is not
there or does not end in time all mean no go, and are told as such.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gameday.core.errors import GamedayError, UsageError, excerpt
from gameday.core.processes.deadlines import cancelled
from gameday.injection.drivers.request import authorization
from gameday.spec.day import Condition
from gameday.spec.server import server
from gameday.spec.system import System
from gameday.telemetry.promql import Value, parse
from gameday.telemetry.promql.evaluate import is_true
from gameday.telemetry.promql.nodes import BinaryExpression
from gameday.telemetry.promql.query import Query, is_condition
from gameday.telemetry.sources.prometheus_api import Prometheus

LONGEST_OUTPUT: Final = 4096  # bytes of a command that are read for its last line
LONGEST_LINE: Final = 200
LOOK_S: Final = 0.1
KILL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one condition; `why` says what was seen."""

    name: str
    go: bool
    why: str


async def ask(
    condition: Condition,
    system: System,
    environment: Mapping[str, str],
    stopped: Callable[[], bool] = lambda: False,
) -> Answered:
    """Ask one condition, within its time; `stopped` becomes true where nobody waits any more."""
    work = _command(condition, environment) if condition.command else _expression(condition, system)
    task = asyncio.ensure_future(work)
    limit_s = condition.timeout.total_seconds()
    loop = asyncio.get_running_loop()
    end_s = loop.time() + limit_s
    try:
        while not task.done() and loop.time() < end_s and not stopped():
            await asyncio.wait({task}, timeout=min(LOOK_S, max(0.0, end_s - loop.time())))
        if not task.done():
            why = (
                "it was not waited for: the day ends" if stopped() else f"no answer: {limit_s:g} s"
            )
            return Answered(condition.name, go=False, why=why)
        go, why = task.result()
        return Answered(condition.name, go, why)
    except (GamedayError, OSError) as error:
        return Answered(condition.name, go=False, why=str(error))
    finally:
        await cancelled(task, within_s=KILL_S)


async def _expression(condition: Condition, system: System) -> tuple[bool, str]:
    """The value of an expression now, by the Prometheus of the condition or of the system."""
    named = server(condition.prometheus) or server(system.prometheus)
    if named is None:
        raise UsageError("no Prometheus to ask: the system names none")
    timeout_s = condition.timeout.total_seconds()
    headers = authorization(named, os.environ)
    client = Prometheus(named.url, headers, timeout_s, system.tls)
    query = parse(condition.expr or "")
    try:
        value = await client.value(query.text)
        if _is_yes(query, value):
            return True, value_text(value)
        return False, await _why_not(query, value, client)
    finally:
        await client.close()


def _is_yes(query: Query, value: Value) -> bool:
    if not isinstance(value, dict):
        return is_true(value)
    if query.is_condition:
        return bool(value)
    return any(is_true(each) for each in value.values())


async def _why_not(query: Query, value: Value, client: Prometheus) -> str:
    """The value of the left side, where the comparison has filtered it away; or no data."""
    node = query.node
    if isinstance(node, BinaryExpression) and is_condition(node):
        left = await client.value(node.lhs.text)
        return value_text(left)
    return value_text(value)


def value_text(value: Value) -> str:
    """A value in a few words."""
    if not isinstance(value, dict):
        return f"it is {value:g}"
    if not value:
        return "no data"
    some = ", ".join(f"{each:g}" for each in list(value.values())[:5])
    more = f", … ({len(value)} values)" if len(value) > 5 else ""
    return f"it is {some}{more}"


async def _command(condition: Condition, environment: Mapping[str, str]) -> tuple[bool, str]:
    """Run a program; whatever it has started is ended with it."""
    argv = list(condition.command or ())
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return False, f"{excerpt(argv[0])} cannot be run: {why}"
    try:
        last = await _last_line(process)
        status = await process.wait()
    finally:
        await _end(process)
    how = f"exit status {status}" if status >= 0 else f"ended by signal {-status}"
    return status == 0, f"{how}: {last}" if last else how


async def _last_line(process: asyncio.subprocess.Process) -> str:
    """The last line that it prints; all before it is read and forgotten."""
    tail = b""
    while process.stdout is not None and (piece := await process.stdout.read(LONGEST_OUTPUT)):
        tail = (tail + piece)[-LONGEST_OUTPUT:]
    lines = tail.decode(errors="replace").strip().splitlines()
    return excerpt(lines[-1].strip(), LONGEST_LINE) if lines else ""


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        await process.wait()
