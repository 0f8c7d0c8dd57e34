"""`skip_when`: whatever keeps a day from beginning now.

A question that nobody answers counts as yes: whoever wrote the condition wanted to be sure.
"""

import math
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gameday.core.errors import GamedayError, excerpt
from gameday.core.messages import Message
from gameday.core.network import event_loop
from gameday.core.network.allow_list import Allowed
from gameday.injection.drivers.request import authorization
from gameday.spec.schedule import SkipWhen
from gameday.spec.server import server
from gameday.spec.system import System
from gameday.telemetry.promql import Value
from gameday.telemetry.sources.notifications import Alertmanager
from gameday.telemetry.sources.prometheus_api import Prometheus

ANSWER_S: Final = 10.0
COMMAND_S: Final = 30.0
MOST_NAMED: Final = 5
IDLE_ALERTS: Final = ("Watchdog", "InfoInhibitor")  # always fire, by the rules of kube-prometheus


def why_skip(
    asked: SkipWhen, system: System | None, folder: Path, allowed: Allowed
) -> Message | None:
    """The first condition that holds, None where none does. Raises nothing of its own."""
    if asked.command is not None and (why := _command(asked.command, folder)) is not None:
        return why
    if asked.alerts is not None and (why := _alerts(asked.alerts, system, allowed)) is not None:
        return why
    return None if asked.expr is None else _expr(asked.expr, system, allowed)


def _command(argv: Sequence[str], folder: Path) -> Message | None:
    shown = excerpt(" ".join(argv))
    try:
        code = subprocess.run(
            argv,
            check=False,
            cwd=folder,
            timeout=COMMAND_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ).returncode
    except subprocess.TimeoutExpired:
        problem = f"no end after {COMMAND_S:g} s"
    except (OSError, ValueError) as error:
        problem = excerpt(str(error))
    else:
        if code == 1:
            return None
        if code == 0:
            return Message("schedule.left_out.command", command=shown)
        problem = f"exit code {code}"
    return Message("schedule.left_out.command_unknown", command=shown, problem=problem)


def _alerts(names: Sequence[str] | str, system: System | None, allowed: Allowed) -> Message | None:
    try:
        firing = event_loop.run(_firing(system), allowed)
    except (GamedayError, OSError) as error:
        return Message("schedule.left_out.alerts_unknown", problem=excerpt(str(error)))
    meant = firing - set(IDLE_ALERTS) if isinstance(names, str) else firing & set(names)
    if not meant:
        return None
    shown = [excerpt(each) for each in sorted(meant)]
    more = ["…"] if len(shown) > MOST_NAMED else []
    told = ", ".join([*shown[:MOST_NAMED], *more])
    return Message("schedule.left_out.alerts", alerts=told)


async def _firing(system: System | None) -> set[str]:
    """The names of what fires: by Alertmanager, which knows silences, else by Prometheus."""
    manager = server(system.alertmanager) if system else None
    if system is not None and manager is not None:
        headers = authorization(manager, os.environ)
        client = Alertmanager(manager.url, headers, ANSWER_S, system.tls)
        try:
            return set(await client.active())
        finally:
            await client.close()
    async with _PrometheusOf(system) as prometheus:
        alerts = await prometheus.alerts()
        return {each.labels["alertname"] for each in alerts if each.state == "firing"}


class _PrometheusOf:
    """The Prometheus of a system, closed in the end. Raises GamedayError where there is none."""

    def __init__(self, system: System | None) -> None:
        asked = server(system.prometheus) if system else None
        if system is None or asked is None:
            raise GamedayError("the system file names no `prometheus`")
        headers = authorization(asked, os.environ)
        self._client = Prometheus(asked.url, headers, ANSWER_S, system.tls)

    async def __aenter__(self) -> Prometheus:
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


def _expr(text: str, system: System | None, allowed: Allowed) -> Message | None:
    async def ask() -> Value:
        async with _PrometheusOf(system) as prometheus:
            return await prometheus.value(text)

    try:
        value = event_loop.run(ask(), allowed)
    except (GamedayError, OSError) as error:
        told = {"expr": excerpt(text), "problem": excerpt(str(error))}
        return Message("schedule.left_out.expr_unknown", **told)
    is_true = bool(value) and not (isinstance(value, float) and math.isnan(value))
    return Message("schedule.left_out.expr", expr=excerpt(text)) if is_true else None
