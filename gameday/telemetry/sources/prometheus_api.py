"""A client of Prometheus' HTTP API, as far as it is asked: values, alerts, rules, targets.

Whoever answers may be broken or hostile: an answer is bounded in bytes, nesting and total time, no
redirect is followed, and what is not of the documented form is one error with its reason. Source:
https://prometheus.io/docs/prometheus/latest/querying/api/ (checked with 2.42).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from gameday.core.clock import NS, Clock
from gameday.core.errors import UnknownError
from gameday.core.json import JsonError
from gameday.core.network.http import OK, Answer, Ask, HttpClient, HttpError
from gameday.core.network.urls import Base
from gameday.core.secrets.redaction import Hidden
from gameday.spec.tls import Tls
from gameday.telemetry.promql import Labels, Value, label_set

LARGEST: Final = 16 * 1024 * 1024  # 20,000 series of 800 bytes
MOST_OBJECTS: Final = 300_000  # 20,000 series of 20 labels: some 70 MB, and 8 are read at once
MOST_SERIES: Final = 20_000  # as of a target of our own
MOST_ALERTS: Final = 20_000  # ten times what is told; bounds memory
MOST_LABELS: Final = 200  # of a series; people name ten
LONGEST_WHY: Final = 200  # an error may quote a whole answer
_CLOCK_ASKS: Final = 3  # the quickest counts: one may be held up
_LARGEST_WALL_S: Final = 2**33  # the year 2242
_INSTANT: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", re.ASCII)
T = TypeVar("T")


class PrometheusError(UnknownError):
    """No answer of Prometheus, or none that can be used."""


class _Answer(BaseModel):
    """A part of an answer; what is not asked for is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


def _go_duration(value: object) -> float:
    """`1m30s` or `500ms` in seconds, as Go prints it. Raises ValueError."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) < 40 else None
    if not found or not value:
        raise ValueError("no duration")
    hours, minutes, seconds, ms = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + ms / 1000


def _wall_ns(value: object) -> int:
    """An instant by RFC 3339 in ns since 1970. Raises ValueError."""
    found = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("no instant")
    try:
        whole = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
        wall_s = int(whole.timestamp())
    except OverflowError as error:
        raise ValueError("no instant") from error
    if not 0 <= wall_s < _LARGEST_WALL_S:
        raise ValueError("no instant of a run")
    return wall_s * NS + int((found[2] or "0").ljust(9, "0"))


GoDuration = Annotated[float, BeforeValidator(_go_duration)]
WallNs = Annotated[int, BeforeValidator(_wall_ns)]
Texts = Mapping[str, str]
_Labels = Annotated[dict[str, str], Field(max_length=MOST_LABELS)]


class ApiAlert(_Answer):
    """A pending or firing alert; `value` is not read."""

    labels: _Labels
    state: Literal["pending", "firing"]
    active_at: WallNs = Field(alias="activeAt")


class ApiRule(_Answer):
    """A rule of Prometheus; a recording rule has `type: recording`."""

    name: str
    type: str
    query: str = ""
    duration: float = 0.0
    health: str = "unknown"
    last_error: str = Field(default="", alias="lastError")


class ApiGroup(_Answer):
    """A group of rules, evaluated every `interval` seconds."""

    name: str
    interval: float
    rules: list[ApiRule]


class ApiTarget(_Answer):
    """A target that Prometheus scrapes every `interval_s`."""

    labels: _Labels
    health: str = "unknown"
    interval_s: GoDuration = Field(alias="scrapeInterval")


_Stamped = Annotated[tuple[float, str], Field(strict=False)]  # JSON knows no tuples


class _Sample(_Answer):
    metric: _Labels = Field(default_factory=dict)
    value: _Stamped


class _Result(_Answer):
    resultType: str
    result: list[Any]


_NUMBER: Final = TypeAdapter(_Stamped)
_SAMPLES: Final = TypeAdapter(list[_Sample])
_RESULT: Final = TypeAdapter(_Result)


class _Alerts(_Answer):
    alerts: list[ApiAlert]


class _Groups(_Answer):
    groups: list[ApiGroup]


class _Targets(_Answer):
    active: list[ApiTarget] = Field(alias="activeTargets")


class _Build(_Answer):
    version: str


class Prometheus:
    """One Prometheus; `headers` hold what it asks for. Every call raises PrometheusError alone."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float, tls: Tls) -> None:
        self._base = Base.parse(url)
        self._headers = headers
        self._hide = Hidden(headers.values())  # an error quotes what was sent, and is cut off
        verify = tls.needed_for(url)
        self._client = HttpClient(timeout_s, verify=verify, most_bytes=LARGEST)

    async def close(self) -> None:
        await self._client.close()

    async def value(self, expression: str, wall_ns: int | None = None) -> Value:
        """The value of an expression at an instant of the server's clock, default its now."""
        found = await self._result(expression, wall_ns)
        if found.resultType == "scalar":
            return _number(_shaped(_NUMBER, found.result)[1])
        if found.resultType != "vector":
            raise PrometheusError(f"a {found.resultType[:40]} where a vector is needed")
        if len(found.result) > MOST_SERIES:
            raise PrometheusError(f"{len(found.result)} series are more than {MOST_SERIES}")
        samples = _shaped(_SAMPLES, found.result)
        vector: dict[Labels, float] = {
            label_set(sample.metric): _number(sample.value[1]) for sample in samples
        }
        if len(vector) != len(samples):
            raise PrometheusError("two results have the same labels")
        return vector

    async def wall_ns(self) -> int:
        """The server's wall clock."""
        found = await self._result("time()", None)
        wall_s = float(_shaped(_NUMBER, found.result)[0])
        if not 0 < wall_s < _LARGEST_WALL_S:
            raise PrometheusError("its clock cannot be read")
        return round(wall_s * NS)

    async def clock_ahead_ns(self, clock: Clock) -> tuple[int, int]:
        """The server's wall clock minus our monotonic one, and how wrong that may be."""
        found = []
        for _ in range(_CLOCK_ASKS):
            begun_ns = clock.now_ns()
            wall_ns = await self.wall_ns()
            took_ns = clock.now_ns() - begun_ns
            found.append((took_ns, wall_ns - begun_ns - took_ns // 2))
        took_ns, ahead_ns = min(found)
        return ahead_ns, took_ns // 2

    async def alerts(self) -> Sequence[ApiAlert]:
        """Every alert that is pending or firing."""
        alerts = (await self._data("/api/v1/alerts", _Alerts)).alerts
        if len(alerts) > MOST_ALERTS:
            raise PrometheusError(f"{len(alerts)} alerts are more than {MOST_ALERTS}")
        if not all(alert.labels.get("alertname") for alert in alerts):
            raise PrometheusError("an alert has no name")
        return alerts

    async def groups(self) -> Sequence[ApiGroup]:
        """Every group of rules."""
        return (await self._data("/api/v1/rules", _Groups)).groups

    async def targets(self) -> Sequence[ApiTarget]:
        """Every target that is scraped."""
        return (await self._data("/api/v1/targets?state=active", _Targets)).active

    async def version(self) -> str:
        return (await self._data("/api/v1/status/buildinfo", _Build)).version[:40]

    async def _result(self, expression: str, wall_ns: int | None) -> _Result:
        form = {"query": expression}
        if wall_ns is not None:
            form["time"] = f"{wall_ns // NS}.{wall_ns % NS:09d}"[:-6]  # it takes milliseconds
        return _shaped(_RESULT, await self._ask("/api/v1/query", form))

    async def _data(self, path: str, kind: type[T]) -> T:
        return _shaped(TypeAdapter(kind), await self._ask(path))

    async def _ask(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The `data` of an answer."""
        try:
            url = self._base.at(path)
            answer = await self._client.ask(Ask("GET", url, self._headers, query))
            return _data_of(answer, self._hide)
        except (HttpError, JsonError) as error:
            raise PrometheusError(self._hide(error.message)[:LONGEST_WHY]) from error


def _data_of(answer: Answer, hide: Callable[[str], str]) -> Any:
    """The data of an answer. Raises PrometheusError with the server's own reason where it has."""
    body: Any = None
    if "json" in answer.headers.get("content-type", ""):
        body = answer.json(MOST_OBJECTS)
    if not isinstance(body, dict):
        raise PrometheusError(f"status {answer.status}, and no JSON: is this a Prometheus?")
    if answer.status != OK or body.get("status") != "success":
        why = body.get("error")
        told = f": {hide(why)[:LONGEST_WHY]}" if isinstance(why, str) else ""
        raise PrometheusError(f"status {answer.status}{told}")
    return body.get("data")


def _shaped(form: TypeAdapter[T], value: Any) -> T:
    """A value of the documented form. Raises PrometheusError."""
    try:
        return form.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "data"
        raise PrometheusError(f"{where[:80]}: {first['msg'][:80]}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PrometheusError(f"not a number: {text[:40]!r}") from None
