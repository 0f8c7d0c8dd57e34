"""Questions to the world before a day: PromQL, firing alerts, a program; asked in one way.

Go / no-go conditions and `skip_when` both ask here, so a question means the same in either. Each
has three answers: yes, no, and that nobody can tell.

- PromQL is read as the objectives, guards and probes of a run are (`telemetry.promql.readings`): a
  comparison is yes where any series is left; anything else is yes where any value is neither 0 nor
  NaN. An empty operand is no data, so nobody can tell; NaN is data, and compares false. `ALERTS`
  has series only while alerts are pending or firing: none of it is an answer, and means no.
- Alerts are those that fire and reach somebody: by Alertmanager, which knows silences and
  inhibitions, else by Prometheus.
- A program says yes with exit status 0, no with 1, and nothing that counts with any other. It runs
  in the folder of its file, and whatever it has started is ended with it.

No answer in time, a server that is gone, refuses or talks nonsense, a program that is not there:
nobody can tell. What that means is for whoever asks; both take it for "no day begins".
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gameday.core.errors import GamedayError, excerpt
from gameday.core.json import DAMAGED
from gameday.core.messages import Message
from gameday.core.processes.deadlines import cancelled
from gameday.core.secrets.redaction import Hidden, nothing
from gameday.injection.drivers.request import authorization
from gameday.spec.server import Server, server
from gameday.spec.system import System
from gameday.spec.tls import Tls
from gameday.telemetry.promql import EvaluationError, Query, SeriesStore, Value, parse, reading_at
from gameday.telemetry.promql.nodes import BinaryExpression, Node, is_scalar, selectors
from gameday.telemetry.promql.query import LOOKBACK_S, is_condition
from gameday.telemetry.sources.notifications import Alertmanager
from gameday.telemetry.sources.prometheus import asked_nodes
from gameday.telemetry.sources.prometheus_api import Prometheus, PrometheusError
from gameday.telemetry.sources.source import AnsweredInstant

LONGEST_OUTPUT: Final = 4096  # bytes of a command that are read for its last line
LONGEST_SECRET: Final = 4096  # bytes that are read before these, so that none is seen in part
LONGEST_LINE: Final = 200
MOST_SHOWN: Final = 5
LOOK_S: Final = 0.1
KILL_S: Final = 2.0
TAIL_S: Final = 1.0
HTTP_S: Final = 30.0  # of one request; the whole question has its own limit
_KEPT: Final = LONGEST_OUTPUT + LONGEST_SECRET
_NO: Final = 1  # the exit status that says no
_ALERT_SERIES: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


@dataclass(frozen=True, slots=True)
class QuestionReply:
    """An answer: yes, no, or None where nobody can tell; `seen` says what was seen."""

    holds: bool | None
    seen: Message


@dataclass(frozen=True, slots=True)
class Firing:
    """The names of the alerts that fire; None where nobody can tell, `problem` says why."""

    names: frozenset[str] | None
    problem: Message | None = None


async def in_time(
    work: Coroutine[Any, Any, QuestionReply],
    limit_s: float,
    stopped: Callable[[], bool] = lambda: False,
) -> QuestionReply:
    """An answer within its time. Raises nothing that a question raises.

    `stopped` becomes true where nobody waits any more.
    """
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    end_s = loop.time() + limit_s
    try:
        while not task.done() and loop.time() < end_s and not stopped():
            await asyncio.wait({task}, timeout=min(LOOK_S, max(0.0, end_s - loop.time())))
        if task.done():
            return task.result()
        if stopped():
            return QuestionReply(None, Message("asking.stopped"))
        return QuestionReply(None, Message("asking.late", limit=f"{limit_s:g} s"))
    except (GamedayError, OSError) as error:
        return QuestionReply(None, _of_error(error))
    except DAMAGED as error:  # an answer that nobody has thought of must not end who asks
        return QuestionReply(None, _problem(type(error).__name__))
    finally:
        await cancelled(task, within_s=KILL_S)


async def ask_expression(text: str, named: Server | None, system: System | None) -> QuestionReply:
    """Ask a Prometheus for an expression now: `named`, else that of the system.

    Raises GamedayError where it cannot be asked, or is no PromQL.
    """
    asked = named or (server(system.prometheus) if system else None)
    if asked is None:
        return QuestionReply(None, Message("asking.no_prometheus"))
    query = parse(text)
    hide = hidden(asked)
    client = _client(asked, system)
    try:
        values = await _values(query, client)
    except PrometheusError as error:
        return QuestionReply(None, _problem(hide(error.message)))
    finally:
        await client.close()
    wall_ns = values.wall_ns
    moment = AnsweredInstant(SeriesStore(LOOKBACK_S), wall_ns, values.by_text)
    try:
        holds = reading_at(query, moment)
        if holds is None and _is_told_by_absence(query, moment):
            holds = False
        if holds is None:
            return QuestionReply(None, Message("asking.no_data"))
        return QuestionReply(holds, _seen(query.node, moment, holds=holds))
    except EvaluationError as error:
        return QuestionReply(None, _problem(hide(error.message)))


async def ask_alerts(system: System | None) -> Firing:
    """Ask which alerts fire. Raises GamedayError where nobody can be asked."""
    manager = server(system.alertmanager) if system else None
    if system is not None and manager is not None:
        headers = authorization(manager, os.environ)
        routing = Alertmanager(manager.url, headers, HTTP_S, system.tls)
        try:
            return Firing(frozenset(await routing.active()))
        except GamedayError as error:
            return Firing(None, _of_error(error, hidden(manager)))
        finally:
            await routing.close()
    asked = server(system.prometheus) if system else None
    if asked is None:
        return Firing(None, Message("asking.no_prometheus"))
    client = _client(asked, system)
    try:
        alerts = await client.alerts()
    except PrometheusError as error:
        return Firing(None, _problem(hidden(asked)(error.message)))
    finally:
        await client.close()
    return Firing(frozenset(e.labels["alertname"] for e in alerts if e.state == "firing"))


async def ask_command(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], hide: Callable[[str], str]
) -> QuestionReply:
    """Run a program, without a shell; whatever it has started is ended with it."""
    where = _folder_of(argv, folder)
    reader, writer = os.pipe()  # ours, and not asyncio's: its end is not that of the program
    try:
        process = await asyncio.create_subprocess_exec(
            _program(argv[0], where),
            *argv[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            env=dict(environment),
            cwd=where,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(reader)
        why = getattr(error, "strerror", None) or str(error)
        told = {"program": excerpt(argv[0]), "problem": hide(why)}
        return QuestionReply(None, Message("asking.cannot_run", **told))
    finally:
        os.close(writer)
    tail = _Tail()
    reading = asyncio.ensure_future(tail.read(reader))
    try:
        status = await process.wait()
    finally:
        await _end(process)
        await asyncio.wait({reading}, timeout=TAIL_S)  # who left its session may hold it open
        await cancelled(reading, within_s=KILL_S)
    holds = {0: True, _NO: False}.get(status)
    return QuestionReply(holds, _ended(status, tail.last_line(hide)))


def hidden(asked: Server) -> Hidden:
    """A function that masks what a server knows us by: an answer may hold it again."""
    try:
        return Hidden(authorization(asked, os.environ).values())
    except GamedayError:
        return Hidden(())


@dataclass(frozen=True, slots=True)
class _Values:
    """What a Prometheus made of the parts of an expression at one instant of its clock."""

    wall_ns: int
    by_text: Mapping[str, Value | str]


async def _values(query: Query, client: Prometheus) -> _Values:
    """Ask for every part at the same instant of the server. Raises PrometheusError."""
    wall_ns = await client.wall_ns()
    found: dict[str, Value | str] = {}
    for node in asked_nodes([query]):
        value = await client.value(node.text, wall_ns)
        if isinstance(value, dict if is_scalar(node) else float):
            raise PrometheusError("another type of value than the expression has")
        found[node.text] = value
    return _Values(wall_ns, found)


def _client(asked: Server, system: System | None) -> Prometheus:
    tls = system.tls if system is not None else Tls()
    return Prometheus(asked.url, authorization(asked, os.environ), HTTP_S, tls)


def _is_told_by_absence(query: Query, moment: AnsweredInstant) -> bool:
    """True if every part that has no data reads alerts alone: then none is pending or firing."""
    empty = [node for node in asked_nodes([query]) if moment.value(node) == {}]
    return bool(empty) and all(_reads_alerts_alone(node) for node in empty)


def _reads_alerts_alone(node: Node) -> bool:
    read = list(selectors(node))
    return bool(read) and all(each.name in _ALERT_SERIES for each in read)


def _seen(node: Node, moment: AnsweredInstant, *, holds: bool) -> Message:
    """The value that decided: of the left side, where a comparison has filtered it away."""
    value = moment.value(node)
    while value == {} and not holds and isinstance(node, BinaryExpression) and is_condition(node):
        node = node.lhs
        value = moment.value(node)
    return value_seen(value)


def value_seen(value: Value) -> Message:
    """A value in a few words."""
    if not isinstance(value, dict):
        return Message("asking.value", values=f"{value:g}")
    if not value:
        return Message("asking.no_data")
    some = ", ".join(f"{each:g}" for each in list(value.values())[:MOST_SHOWN])
    if len(value) > MOST_SHOWN:
        return Message("asking.values", values=some, count=len(value))
    return Message("asking.value", values=some)


def _of_error(error: GamedayError | OSError, hide: Callable[[str], str] = nothing) -> Message:
    cure = f" ({error.help})" if isinstance(error, GamedayError) and error.help else ""
    return _problem(hide(f"{error}{cure}"))


def _problem(text: str) -> Message:
    return Message("asking.problem", problem=excerpt(text, LONGEST_LINE))


def _ended(status: int, last: str) -> Message:
    how = "exit" if status >= 0 else "signal"
    if not last:
        return Message(f"asking.{how}", number=abs(status))
    return Message(f"asking.{how}_last", number=abs(status), last=last)


def _folder_of(argv: Sequence[str], folder: Path) -> Path:
    """The folder that a command runs in: that of its file.

    Where what it names is only in the folder that gameday was called in, it runs there.
    """
    named = [each for each in argv if "/" in each and not each.startswith("/")]
    if any((folder / each).exists() for each in named):
        return folder
    return Path.cwd() if any(Path(each).exists() for each in named) else folder


def _program(name: str, where: Path) -> str:
    """The program: one with a slash counts from the folder that it runs in."""
    return str(where.absolute() / name) if "/" in name else name


class _Tail:
    """The end of what a program prints; all before it is read and forgotten."""

    def __init__(self) -> None:
        self._raw = b""

    async def read(self, file: int) -> None:
        """Read a pipe up to its end, and close it."""
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(file, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        try:
            while piece := await stream.read(LONGEST_OUTPUT):
                self._raw = (self._raw + piece)[-_KEPT:]
        finally:
            transport.close()

    def last_line(self, hide: Callable[[str], str]) -> str:
        """The last line without secrets: all is masked before anything is cut off."""
        text = hide(self._raw.decode(errors="replace"))
        if len(self._raw) == _KEPT:  # it may begin in the middle of a secret
            text = text[LONGEST_SECRET:]
        lines = text.strip().splitlines()
        return excerpt(lines[-1].strip(), LONGEST_LINE) if lines else ""


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        await process.wait()
