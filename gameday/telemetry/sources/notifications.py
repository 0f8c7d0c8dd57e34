"""Routing as a run sees it: what Alertmanager has notified of, and what it keeps back.

A notification comes through the bridge (`gameday.telemetry.bridge`), in a container of its own or
served by the collector itself. Without a receiver nobody knows whether an alert reaches anybody;
what Alertmanager silences or inhibits it tells when it is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gameday.core import json
from gameday.core.clock import Clock
from gameday.core.errors import UnknownError, UsageError
from gameday.core.json import JsonError
from gameday.core.network.http import OK, Ask, HttpClient, HttpError
from gameday.core.network.urls import Base
from gameday.spec.tls import Tls
from gameday.telemetry.bridge import Board, BridgeServer
from gameday.telemetry.samples import NotificationLine

LONGEST_WHY: Final = 200
MOST_ALERTS: Final = 20_000
_MS: Final = 1_000_000


class RoutingError(UnknownError):
    """No answer of Alertmanager or of the bridge, or none that can be used."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Notified(_Answer):
    status: Literal["firing", "resolved"]
    receiver: str
    labels: dict[str, str]


class _Kept(_Answer):
    age_ms: Annotated[int, Field(ge=0, lt=2**40)]
    alert: _Notified


class _Page(_Answer):
    boot: str
    next: Annotated[int, Field(ge=0, lt=2**60)]
    lost: bool
    alerts: list[_Kept]


class _Status(_Answer):
    state: Literal["unprocessed", "active", "suppressed"]


class _Routed(_Answer):
    labels: dict[str, str]
    status: _Status


_PAGE: Final = TypeAdapter(_Page)
_ROUTED: Final = TypeAdapter(list[_Routed])


class Receiver(Protocol):
    """The place where notifications arrive."""

    async def put_series(self, text: bytes) -> None:
        """Leave the traffic's series for Prometheus. Raises RoutingError."""
        ...

    async def take(self) -> Sequence[NotificationLine]:
        """Notifications that are new, as `samples` has them. Raises RoutingError."""
        ...

    async def close(self) -> None: ...


class OwnBridge:
    """The bridge that this process serves itself."""

    def __init__(self, host: str, port: int, token: str, clock: Clock) -> None:
        self._board = Board()
        self._server = BridgeServer(self._board, token)
        self._where = (host, port)
        self._pages = _Pages(clock)

    async def open(self) -> None:
        """Listen. Raises UsageError."""
        try:
            await self._server.start(*self._where)
        except OSError as error:
            why = f"cannot listen at {self._where[0]}:{self._where[1]}: {error.strerror}"
            raise UsageError(why, help="--webhook-listen ADDR:PORT") from error

    @property
    def port(self) -> int:
        return self._server.port

    async def put_series(self, text: bytes) -> None:
        self._board.put_series(text)

    async def take(self) -> Sequence[NotificationLine]:
        return self._pages.turned(self._board.after(self._pages.cursor))

    async def close(self) -> None:
        await self._server.close()


class RemoteBridge:
    """The bridge at an address."""

    def __init__(self, url: str, token: str, timeout_s: float, tls: Tls, clock: Clock) -> None:
        self._base = Base.parse(url)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._client = HttpClient(timeout_s, verify=tls.needed_for(url))
        self._pages = _Pages(clock)

    async def put_series(self, text: bytes) -> None:
        ask = Ask("PUT", self._base.at("/series"), self._headers, raw=text)
        await _answered(self._client, ask, 204)

    async def take(self) -> Sequence[NotificationLine]:
        url = self._base.at(f"/alerts?after={self._pages.cursor}")
        body = await _answered(self._client, Ask("GET", url, self._headers), OK)
        return self._pages.turned(body)

    async def close(self) -> None:
        await self._client.close()


class _Pages:
    """The cursor into a board, and the reading of what comes after it."""

    def __init__(self, clock: Clock) -> None:
        self.cursor = 0
        self._boot = ""
        self._clock = clock

    def turned(self, raw: bytes) -> list[NotificationLine]:
        """The notifications of one page. Raises RoutingError."""
        now_ns = self._clock.now_ns()
        try:
            page = _PAGE.validate_python(json.parse(raw))
        except (ValidationError, JsonError) as error:
            raise RoutingError("the bridge: an answer that is none of a bridge's") from error
        if self._boot not in ("", page.boot):
            self._boot, self.cursor = page.boot, 0  # all that it knew before is gone
            raise RoutingError("the bridge has started anew: notifications may be lost")
        self._boot, self.cursor = page.boot, page.next
        if page.lost:
            raise RoutingError("the bridge: notifications are lost, too many came at once")
        return [
            NotificationLine(
                at_ns=now_ns - kept.age_ms * _MS,
                state=kept.alert.status,
                receiver=kept.alert.receiver,
                labels=kept.alert.labels,
            )
            for kept in page.alerts
            if kept.alert.labels.get("alertname")
        ]


class Alertmanager:
    """One Alertmanager; `headers` hold what it asks for. Every call raises RoutingError alone.

    Source: https://github.com/prometheus/alertmanager, api/v2/openapi.yaml (checked with 0.25).
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float, tls: Tls) -> None:
        self._base = Base.parse(url)
        self._headers = headers
        self._client = HttpClient(timeout_s, verify=tls.needed_for(url))

    async def suppressed(self) -> list[str]:
        """The names of the alerts that are silenced or inhibited, each once."""
        return await self._names("active=false", "suppressed")

    async def active(self) -> list[str]:
        """The names of the alerts that fire and that people are notified of, each once."""
        return await self._names("silenced=false&inhibited=false", "active")

    async def _names(self, query: str, state: str) -> list[str]:
        ask = Ask("GET", self._base.at(f"/api/v2/alerts?{query}"), self._headers)
        body = await _answered(self._client, ask, OK)
        try:
            alerts = _ROUTED.validate_python(json.parse(body))
        except (ValidationError, JsonError) as error:
            raise RoutingError("Alertmanager: an answer that is none of its") from error
        if len(alerts) > MOST_ALERTS:
            raise RoutingError(f"Alertmanager: {len(alerts)} alerts are more than {MOST_ALERTS}")
        names = (a.labels.get("alertname", "") for a in alerts if a.status.state == state)
        return sorted(set(names) - {""})

    async def close(self) -> None:
        await self._client.close()


async def _answered(client: HttpClient, ask: Ask, status: int) -> bytes:
    """The body of an answer with this status. Raises RoutingError."""
    try:
        answer = await client.ask(ask)
    except HttpError as error:
        raise RoutingError(f"{ask.url[:LONGEST_WHY]}: {error.message[:LONGEST_WHY]}") from error
    if answer.status != status:
        raise RoutingError(f"{ask.url[:LONGEST_WHY]}: status {answer.status}")
    return answer.body
