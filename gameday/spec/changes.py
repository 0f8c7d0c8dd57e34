"""Changes that a fault, a playbook step or a stack makes, and their undos: plain data.

A `Change` says what is to be altered ("a latency toxic on proxy redis"); an `Undo` says how to
take one alteration back. There is one class a kind, and the driver of that kind in
`injection/drivers/` knows how to do it. JSON they are only in a file: `as_json` is what the plan
and the journal keep.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

Strike = Literal["kill", "pause", "restart"]
Stream = Literal["downstream", "upstream"]


@dataclass(frozen=True, slots=True)
class Change:
    """One alteration of whatever kind."""

    kind: ClassVar[str]

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, slots=True)
class NetworkChange(Change):
    """Something done to the proxy in front of a service."""

    proxy: str


@dataclass(frozen=True, slots=True)
class ToxicChange(NetworkChange):
    """A toxic on `proxy`; attributes in Toxiproxy's own units (ms, µs for a slicer, kB/s).

    `downstream` are the answers, `upstream` the requests; `toxicity` the share of connections.
    """

    kind: ClassVar[str] = "toxic"
    type: str
    stream: Stream
    toxicity: float
    attributes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ProxyDown(NetworkChange):
    """`proxy` refuses connections and drops the ones it has."""

    kind: ClassVar[str] = "proxy"
    enabled: bool = field(default=False, init=False)


@dataclass(frozen=True, slots=True)
class ExtraTraffic(Change):
    """A scenario of its own, on top of the others, at a constant rate."""

    kind: ClassVar[str] = "traffic"
    scenario: str
    rate_per_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class StoreChange(Change):
    """Something done to a store that the system file names under `stores`, past its proxy."""

    do: ClassVar[str]

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "do": self.do, **asdict(self)}


@dataclass(frozen=True, slots=True)
class RedisChange(StoreChange):
    """Something done to the Redis."""

    kind: ClassVar[str] = "redis"


@dataclass(frozen=True, slots=True)
class EvictKeys(RedisChange):
    """A `share` of the keys that match `keys` is deleted: once (0), or every so often."""

    do: ClassVar[str] = "evict"
    keys: str
    share: float
    every_ms: int


@dataclass(frozen=True, slots=True)
class ExpireKeys(RedisChange):
    """A `share` of the keys that match `keys` runs out after `ttl_ms`."""

    do: ClassVar[str] = "expire"
    keys: str
    share: float
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class BlockRedis(RedisChange):
    """A script keeps Redis busy for `busy_ms`, again and again."""

    do: ClassVar[str] = "block"
    busy_ms: int


@dataclass(frozen=True, slots=True)
class FillMemory(RedisChange):
    """Redis has no memory left to write to."""

    do: ClassVar[str] = "memory"


@dataclass(frozen=True, slots=True)
class SqlChange(StoreChange):
    """Something done to the PostgreSQL."""

    kind: ClassVar[str] = "sql"


@dataclass(frozen=True, slots=True)
class LockTable(SqlChange):
    """A session locks `table` against everybody."""

    do: ClassVar[str] = "lock"
    table: str


@dataclass(frozen=True, slots=True)
class SlowWrites(SqlChange):
    """Each statement that writes to `table` sleeps first, for as long as the fault lasts."""

    do: ClassVar[str] = "slow"
    table: str
    delay_ms: int
    lasts_ms: int


@dataclass(frozen=True, slots=True)
class IndexDropped(SqlChange):
    """`index` is missing; `concurrently`: dropped and made again without keeping writers out."""

    do: ClassVar[str] = "index"
    index: str
    concurrently: bool


@dataclass(frozen=True, slots=True)
class TakeConnections(SqlChange):
    """Every connection that is left is taken; `end_others` ends those that others have."""

    do: ClassVar[str] = "connections"
    end_others: bool
    application: str | None = field(default=None, init=False)


@dataclass(frozen=True, slots=True)
class EndSessions(SqlChange):
    """The sessions of `application`, None: of everybody else, end: once (0), or every so often."""

    do: ClassVar[str] = "kill"
    every_ms: int
    application: str | None


@dataclass(frozen=True, slots=True)
class ServiceChange(Change):
    """A process of the stack: `kill` and `pause` last, a `restart` is over at once.

    `forget`: it comes back with nothing of what it would remember.
    """

    kind: ClassVar[str] = "service"
    part: str
    do: Strike
    forget: bool = False


def toxic(
    proxy: str,
    type_: str,
    *,
    stream: Stream = "downstream",
    toxicity: float = 1.0,
    **attributes: int,
) -> ToxicChange:
    """A toxic with its attributes by name, of all answers unless it is said otherwise."""
    return ToxicChange(proxy, type_, stream, toxicity, attributes)
