"""Routing as a run sees it: what Alertmanager has notified of, and what it keeps back.

A notification comes through the bridge (`gameday.telemetry.bridge`), in a container of its own or
served by the collector itself. Without a receiver nobody knows whether an alert reaches anybody;
what Alertmanager silences or inhibits it tells when it is asked.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gameday.core import json
from gameday.core.clock import NS, Clock
from gameday.core.errors import FileError, UnknownError, UsageError
from gameday.core.json import JsonError
from gameday.core.network.http import OK, Ask, HttpClient, HttpError
from gameday.core.network.urls import Base
from gameday.spec.tls import Tls
from gameday.spec.yaml import compose
from gameday.telemetry.alerts.rules import parse_prometheus_duration
from gameday.telemetry.bridge import Board, BridgeServer
from gameday.telemetry.samples import NotificationLine, RoutedLine

LONGEST_WHY: Final = 200
MOST_ALERTS: Final = 20_000
MOST_ROUTED: Final = 200  # alerts that are told of one by one, and receivers
MOST_BY: Final = 5
MOST_FAILED: Final = 1e9
GROUP_WAIT_S: Final = 30.0  # Alertmanager's default
_MS: Final = 1_000_000
_FAILED: Final = re.compile(
    r"^alertmanager_notifications_failed_total(?:\{[^}\n]*\})? (\d+(?:\.\d+)?(?:e[+-]?\d+)?)$",
    re.MULTILINE | re.ASCII,
)


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
    silencedBy: list[str] = Field(default_factory=list)
    inhibitedBy: list[str] = Field(default_factory=list)


class _Named(_Answer):
    name: str


class _Routed(_Answer):
    labels: dict[str, str]
    status: _Status
    receivers: list[_Named] = Field(default_factory=list)
    fingerprint: str = ""


class _Silence(_Answer):
    createdBy: str = ""
    comment: str = ""


class _Config(_Answer):
    original: str


class _State(_Answer):
    config: _Config


_PAGE: Final = TypeAdapter(_Page)
_ROUTED: Final = TypeAdapter(list[_Routed])
_SILENCE: Final = TypeAdapter(_Silence)
_STATE: Final = TypeAdapter(_State)
T = TypeVar("T")


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
        self._silences: dict[str, str] = {}

    async def routed(self) -> list[RoutedLine]:
        """The alerts that it has, at most `MOST_ROUTED`: receivers, and what keeps each back."""
        alerts = await self._alerts("")
        names = {each.fingerprint: each.labels.get("alertname", "") for each in alerts}
        return [
            RoutedLine(
                alert=each.labels["alertname"],
                receivers=[one.name for one in each.receivers],
                silenced_by=[await self._silence(id_) for id_ in each.status.silencedBy[:MOST_BY]],
                inhibited_by=[names.get(by, by) for by in each.status.inhibitedBy[:MOST_BY]],
            )
            for each in alerts[:MOST_ROUTED]
            if each.labels.get("alertname")
        ]

    async def suppressed(self) -> list[str]:
        """The names of the alerts that are silenced or inhibited, each once."""
        return await self._names("active=false", "suppressed")

    async def active(self) -> list[str]:
        """The names of the alerts that fire and that people are notified of, each once."""
        return await self._names("silenced=false&inhibited=false", "active")

    async def waits(self) -> dict[str, float | None]:
        """How long each receiver waits for more of a group, in seconds, by its configuration."""
        ask = Ask("GET", self._base.at("/api/v2/status"), self._headers)
        text = _shaped(_STATE, await _answered(self._client, ask, OK)).config.original
        try:
            return group_waits(compose(text, "alertmanager.yml").plain())
        except FileError as error:
            raise RoutingError("Alertmanager: its configuration cannot be read") from error

    async def failed(self) -> int:
        """Number of notifications that it could not deliver since it was started."""
        ask = Ask("GET", self._base.at("/metrics"), self._headers)
        body = (await _answered(self._client, ask, OK)).decode(errors="replace")
        return round(sum(min(float(found[1]), MOST_FAILED) for found in _FAILED.finditer(body)))

    async def _silence(self, id_: str) -> str:
        """A silence in words: its id, who made it, and why; the id alone where it is not told."""
        if id_ not in self._silences and len(self._silences) < MOST_ROUTED:
            ask = Ask("GET", self._base.at(f"/api/v2/silence/{quote(id_, safe='')}"), self._headers)
            try:
                found = _shaped(_SILENCE, await _answered(self._client, ask, OK))
            except RoutingError:
                return id_[:LONGEST_WHY]
            told = f"{id_} by {found.createdBy}: {found.comment}"
            self._silences[id_] = told[:LONGEST_WHY]
        return self._silences.get(id_, id_[:LONGEST_WHY])

    async def _names(self, query: str, state: str) -> list[str]:
        alerts = await self._alerts(f"?{query}")
        names = (a.labels.get("alertname", "") for a in alerts if a.status.state == state)
        return sorted(set(names) - {""})

    async def _alerts(self, query: str) -> list[_Routed]:
        ask = Ask("GET", self._base.at(f"/api/v2/alerts{query}"), self._headers)
        alerts = _shaped(_ROUTED, await _answered(self._client, ask, OK))
        if len(alerts) > MOST_ALERTS:
            raise RoutingError(f"Alertmanager: {len(alerts)} alerts are more than {MOST_ALERTS}")
        return alerts

    async def close(self) -> None:
        await self._client.close()


def group_waits(config: Any) -> dict[str, float | None]:
    """`group_wait` in seconds by receiver; a route without one has that of the route above it."""
    found: dict[str, float | None] = {}
    left = [(config.get("route") if isinstance(config, dict) else None, "", GROUP_WAIT_S)]
    while left and len(found) < MOST_ROUTED:
        route, receiver, wait_s = left.pop()
        if not isinstance(route, dict):
            continue
        receiver = str(route.get("receiver") or receiver)[:LONGEST_WHY]
        with suppress(ValueError):
            wait_s = parse_prometheus_duration(str(route.get("group_wait") or "")) / NS
        found[receiver] = max(found.get(receiver) or 0.0, wait_s)
        below = route.get("routes")
        left += [(each, receiver, wait_s) for each in (below if isinstance(below, list) else ())]
    return found


def _shaped(form: TypeAdapter[T], body: bytes) -> T:
    """An answer of Alertmanager. Raises RoutingError."""
    try:
        return form.validate_python(json.parse(body))
    except (ValidationError, JsonError) as error:
        raise RoutingError("Alertmanager: an answer that is none of its") from error


async def _answered(client: HttpClient, ask: Ask, status: int) -> bytes:
    """The body of an answer with this status. Raises RoutingError."""
    try:
        answer = await client.ask(ask)
    except HttpError as error:
        raise RoutingError(f"{ask.url[:LONGEST_WHY]}: {error.message[:LONGEST_WHY]}") from error
    if answer.status != status:
        raise RoutingError(f"{ask.url[:LONGEST_WHY]}: status {answer.status}")
    return answer.body
