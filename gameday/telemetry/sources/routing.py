"""Routing at each instant of a run: the traffic's series put out, notifications taken in."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from gameday.telemetry.promql import Labels
from gameday.telemetry.promql.labels import NAME
from gameday.telemetry.samples import NotificationLine, RoutedLine, RoutingLine
from gameday.telemetry.sources.notifications import Alertmanager, OwnBridge, Receiver, RoutingError

LOOK_EVERY: Final = 3  # instants, between two looks at what Alertmanager says of its receivers


class Routing:
    """The receiver and the Alertmanager of a run, either of which may be missing."""

    def __init__(self, receiver: Receiver | None, alertmanager: Alertmanager | None) -> None:
        self._receiver = receiver
        self._alertmanager = alertmanager
        self._waits: Mapping[str, float | None] = {}
        self._failed_before: int | None = None
        self._failed = 0
        self._until_look = 0

    async def open(self) -> None:
        """Open the port for notifications, where this process has it. Raises UsageError."""
        if isinstance(self._receiver, OwnBridge):
            await self._receiver.open()

    async def exchange(self, series: Mapping[Labels, float]) -> RoutingLine | None:
        """Routing as `samples` has it; None where nobody is asked."""
        if self._receiver is None and self._alertmanager is None:
            return None
        notified, put, routed, trouble = await asyncio.gather(
            self._notified(),
            self._put(series),
            self._routed(),
            self._look_at_receivers(),
            return_exceptions=True,
        )
        problems = []
        for each in (notified, put, routed, trouble):
            if isinstance(each, RoutingError):
                problems.append(each.message)
            elif isinstance(each, BaseException):
                raise each
        known = [] if isinstance(routed, BaseException) else routed
        return RoutingLine(
            # Where there is a receiver, the problem says why it tells nothing.
            notified=[] if isinstance(notified, BaseException) else notified,
            suppressed=sorted({e.alert for e in known if e.silenced_by or e.inhibited_by}),
            problem="; ".join(problems) or None,
            routed=known or None,
            waits=self._waits or None,
            failed=self._failed or None,
        )

    async def _notified(self) -> Sequence[NotificationLine] | None:
        return None if self._receiver is None else await self._receiver.take()

    async def _put(self, series: Mapping[Labels, float]) -> None:
        if self._receiver is not None:
            await self._receiver.put_series(exposition(series))

    async def _routed(self) -> Sequence[RoutedLine]:
        return [] if self._alertmanager is None else await self._alertmanager.routed()

    async def _look_at_receivers(self) -> None:
        """Now and then: how long it waits for more of a group, and what it could not deliver.

        What it could not before the run is no news; one that tells neither is asked again.
        """
        self._until_look -= 1
        if self._alertmanager is None or self._until_look > 0:
            return
        self._until_look = LOOK_EVERY
        with suppress(RoutingError):  # they explain what else is seen, and are no evidence alone
            if not self._waits:
                self._waits = await self._alertmanager.waits()
            failed = await self._alertmanager.failed()
            if self._failed_before is None:
                self._failed_before = failed
            self._failed = failed - self._failed_before

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
