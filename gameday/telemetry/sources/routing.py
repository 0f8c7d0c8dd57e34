"""Routing at each instant of a run: the traffic's series put out, notifications taken in."""

import asyncio
from collections.abc import Mapping, Sequence

from gameday.telemetry.promql import Labels
from gameday.telemetry.promql.labels import NAME
from gameday.telemetry.samples import NotificationLine, RoutingLine
from gameday.telemetry.sources.notifications import Alertmanager, OwnBridge, Receiver, RoutingError


class Routing:
    """The receiver and the Alertmanager of a run, either of which may be missing."""

    def __init__(self, receiver: Receiver | None, alertmanager: Alertmanager | None) -> None:
        self._receiver = receiver
        self._alertmanager = alertmanager

    async def open(self) -> None:
        """Open the port for notifications, where this process has it. Raises UsageError."""
        if isinstance(self._receiver, OwnBridge):
            await self._receiver.open()

    async def exchange(self, series: Mapping[Labels, float]) -> RoutingLine | None:
        """Routing as `samples` has it; None where nobody is asked."""
        if self._receiver is None and self._alertmanager is None:
            return None
        notified, put, suppressed = await asyncio.gather(
            self._notified(), self._put(series), self._suppressed(), return_exceptions=True
        )
        problems = []
        for each in (notified, put, suppressed):
            if isinstance(each, RoutingError):
                problems.append(each.message)
            elif isinstance(each, BaseException):
                raise each
        return RoutingLine(
            # Where there is a receiver, the problem says why it tells nothing.
            notified=[] if isinstance(notified, BaseException) else notified,
            suppressed=[] if isinstance(suppressed, BaseException) else suppressed,
            problem="; ".join(problems) or None,
        )

    async def _notified(self) -> Sequence[NotificationLine] | None:
        return None if self._receiver is None else await self._receiver.take()

    async def _put(self, series: Mapping[Labels, float]) -> None:
        if self._receiver is not None:
            await self._receiver.put_series(exposition(series))

    async def _suppressed(self) -> Sequence[str]:
        return [] if self._alertmanager is None else await self._alertmanager.suppressed()

    async def close(self) -> None:
        """Let go of connections, and of the port."""
        for each in (self._receiver, self._alertmanager):
            if each is not None:
                await each.close()


def exposition(series: Mapping[Labels, float]) -> bytes:
    """Series in Prometheus' text format, without types."""
    lines = [f"{_head(labels)} {value}\n" for labels, value in series.items()]
    return "".join(sorted(lines)).encode()


def _head(labels: Labels) -> str:
    """`name{label="value",…}`."""
    pairs = dict(labels)
    name = pairs.pop(NAME)
    told = ",".join(f'{key}="{_escaped(value)}"' for key, value in pairs.items())
    return f"{name}{{{told}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
