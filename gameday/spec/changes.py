"""Changes that a fault, a playbook step or a stack makes, and their undos: plain data.

A `Change` says what is to be altered ("a latency toxic on proxy redis"); an `Undo` says how to
take one alteration back. There is one class a kind, and the driver of that kind in
`injection/drivers/` knows how to do it. JSON they are only in a file: `as_json` is what the plan
and the journal keep. `describe` and `undone_by` are what the plan says; `needs` and `probed` what
a run must have and do for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Literal

from gameday.core.json_objects import Json

Strike = Literal["kill", "pause", "restart"]
Stream = Literal["downstream", "upstream"]


@dataclass(frozen=True, slots=True)
class Change:
    """One alteration of whatever kind.

    `needs` is the key that the system file must have for it. `probed`: a probe through the proxy
    shows it; all else is read back, or measured where it is made.
    """

    kind: ClassVar[str]
    needs: ClassVar[str] = ""
    probed: ClassVar[bool] = False
    _undone_by: ClassVar[str] = ""
    _named: ClassVar[Sequence[str]] = ("kind",)  # what a record says of the class

    def as_json(self) -> Json:
        named = {name: getattr(self, name) for name in self._named}
        return {**named, **{name: one for name, one in asdict(self).items() if name != "text"}}

    def describe(self) -> str:
        """A sentence about it; by its data where its class has none, so that none is left out."""
        listed = ", ".join(f"{name} {value}" for name, value in asdict(self).items())
        return f"{self.kind}: {listed}"

    def undone_by(self) -> str:
        """A phrase about what takes it back, or that nothing gives back what was lost."""
        return self._undone_by or f"the undo of kind {self.kind} in the journal"

    @property
    def latency_s(self) -> float | None:
        """The time by which it makes every answer later; None where it is no latency."""
        return None

    @property
    def share_of_time(self) -> float:
        """The share of the fault's time for which it is there: less than 1 if it comes and goes."""
        return 1.0

    @property
    def period_s(self) -> float | None:
        """The time from one coming to the next; None where it stays."""
        return None


@dataclass(frozen=True, slots=True)
class NetworkChange(Change):
    """Something done to the proxy in front of a service."""

    needs: ClassVar[str] = "toxiproxy"
    probed: ClassVar[bool] = True
    proxy: str


@dataclass(frozen=True, slots=True)
class ToxicChange(NetworkChange):
    """A toxic on `proxy`; attributes in Toxiproxy's own units (ms, µs for a slicer, kB/s).

    `downstream` are the answers, `upstream` the requests; `toxicity` the share of connections.
    `text` says the attributes in words, and is no part of the record.
    """

    kind: ClassVar[str] = "toxic"
    _undone_by: ClassVar[str] = "that one toxic removed, by its name"
    type: str
    stream: Stream
    toxicity: float
    attributes: Mapping[str, int]
    text: str = field(default="", compare=False)

    def describe(self) -> str:
        some = "" if self.toxicity == 1 else f", on {self.toxicity:.0%} of the connections"
        way = {"downstream": "answers only", "upstream": "requests only"}[self.stream]
        return f"a {self.type} toxic {self.text} on proxy {self.proxy}, {way}{some}"

    @property
    def latency_s(self) -> float | None:
        latency_ms = self.attributes.get("latency")
        return None if latency_ms is None else latency_ms / 1000


@dataclass(frozen=True, slots=True)
class ProxyDown(NetworkChange):
    """`proxy` refuses connections and drops the ones it has."""

    kind: ClassVar[str] = "proxy"
    _undone_by: ClassVar[str] = "the proxy enabled again"
    enabled: bool = field(default=False, init=False)

    def describe(self) -> str:
        return f"proxy {self.proxy} is disabled: connections are refused, open ones closed"


@dataclass(frozen=True, slots=True)
class ProxyFlap(ProxyDown):
    """`proxy` is down for `down_ms` and up for `up_ms` in turns; each time ± `jitter_ms`."""

    down_ms: int
    up_ms: int
    jitter_ms: int

    def describe(self) -> str:
        some = f" (each ± {self.jitter_ms} ms)" if self.jitter_ms else ""
        turns = f"{self.down_ms} ms disabled and {self.up_ms} ms enabled in turns{some}"
        return f"proxy {self.proxy} is {turns}: connections are refused, open ones closed"

    @property
    def share_of_time(self) -> float:
        return self.down_ms / (self.down_ms + self.up_ms)

    @property
    def period_s(self) -> float | None:
        return (self.down_ms + self.up_ms) / 1000


@dataclass(frozen=True, slots=True)
class ExtraTraffic(Change):
    """A scenario of its own, on top of the others, at a constant rate."""

    kind: ClassVar[str] = "traffic"
    _undone_by: ClassVar[str] = "the scenario ended; it ends with its worker as well"
    scenario: str
    rate_per_s: float
    duration_s: float

    def describe(self) -> str:
        rate, length = self.rate_per_s, self.duration_s
        return f"{rate:g} more requests a second for {length:g} s (scenario {self.scenario})"


@dataclass(frozen=True, slots=True)
class StoreChange(Change):
    """Something done to a store that the system file names under `stores`, past its proxy."""

    do: ClassVar[str]
    _named: ClassVar[Sequence[str]] = ("kind", "do")


@dataclass(frozen=True, slots=True)
class RedisChange(StoreChange):
    """Something done to the Redis."""

    kind: ClassVar[str] = "redis"
    needs: ClassVar[str] = "stores.redis"


@dataclass(frozen=True, slots=True)
class EvictKeys(RedisChange):
    """A `share` of the keys that match `keys` is deleted: once (0), or every so often."""

    do: ClassVar[str] = "evict"
    _undone_by: ClassVar[str] = "nothing: it only ends, and the system must recover what was lost"
    keys: str
    share: float
    every_ms: int

    def describe(self) -> str:
        which = f"{self.share:.0%} of the keys that match {self.keys!r}"
        lost = f"Redis loses {which}, {_often(self.every_ms)}"
        return f"{lost}; cannot be undone: the system must recover by itself"


@dataclass(frozen=True, slots=True)
class ExpireKeys(RedisChange):
    """A `share` of the keys that match `keys` runs out after `ttl_ms`."""

    do: ClassVar[str] = "expire"
    _undone_by: ClassVar[str] = "keys that still live are spared; the others are lost"
    keys: str
    share: float
    ttl_ms: int

    def describe(self) -> str:
        which = f"{self.share:.0%} of the keys that match {self.keys!r}"
        return f"{which} in Redis get {self.ttl_ms} ms to live"


@dataclass(frozen=True, slots=True)
class BlockRedis(RedisChange):
    """A script keeps Redis busy for `busy_ms`, again and again."""

    do: ClassVar[str] = "block"
    _undone_by: ClassVar[str] = "no script is sent any more; the last one ends by itself within 1 s"
    busy_ms: int

    def describe(self) -> str:
        return f"a script keeps Redis busy for {self.busy_ms} ms, again and again"


@dataclass(frozen=True, slots=True)
class FillMemory(RedisChange):
    """Redis has no memory left to write to."""

    do: ClassVar[str] = "memory"
    _undone_by: ClassVar[str] = "maxmemory and its policy set back to what they were"

    def describe(self) -> str:
        return "Redis has no memory left to write to (maxmemory, without eviction)"


@dataclass(frozen=True, slots=True)
class SqlChange(StoreChange):
    """Something done to the PostgreSQL."""

    kind: ClassVar[str] = "sql"
    needs: ClassVar[str] = "stores.postgres"


@dataclass(frozen=True, slots=True)
class LockTable(SqlChange):
    """A session locks `table` against everybody."""

    do: ClassVar[str] = "lock"
    _undone_by: ClassVar[str] = "the session that holds the lock ended"
    table: str

    def describe(self) -> str:
        return f"PostgreSQL: table {self.table} is locked against everybody"


@dataclass(frozen=True, slots=True)
class SlowWrites(SqlChange):
    """Each statement that writes to `table` sleeps first, for as long as the fault lasts."""

    do: ClassVar[str] = "slow"
    _undone_by: ClassVar[str] = "the trigger and its function dropped"
    table: str
    delay_ms: int
    lasts_ms: int

    def describe(self) -> str:
        return f"PostgreSQL: each write to {self.table} sleeps {self.delay_ms} ms first"


@dataclass(frozen=True, slots=True)
class IndexDropped(SqlChange):
    """`index` is missing; `concurrently`: dropped and made again without keeping writers out."""

    do: ClassVar[str] = "index"
    _undone_by: ClassVar[str] = "the index made again by its own definition"
    index: str
    concurrently: bool

    def describe(self) -> str:
        return f"PostgreSQL: index {self.index} is dropped"


@dataclass(frozen=True, slots=True)
class TakeConnections(SqlChange):
    """Every connection that is left is taken; `end_others` ends those that others have."""

    do: ClassVar[str] = "connections"
    _undone_by: ClassVar[str] = "the sessions that hold them ended"
    end_others: bool
    application: str | None = field(default=None, init=False)

    def describe(self) -> str:
        others = ", those of others ended first" if self.end_others else ""
        return f"PostgreSQL: every connection that is left is taken{others}"


@dataclass(frozen=True, slots=True)
class EndSessions(SqlChange):
    """The sessions of `application`, None: of everybody else, end: once (0), or every so often."""

    do: ClassVar[str] = "kill"
    _undone_by: ClassVar[str] = "nothing: it only ends, whoever was cut off connects again"
    every_ms: int
    application: str | None

    def describe(self) -> str:
        whose = self.application or "everybody else"
        return f"PostgreSQL: the sessions of {whose} are ended, {_often(self.every_ms)}"


@dataclass(frozen=True, slots=True)
class ServiceChange(Change):
    """A process of the stack: `kill` and `pause` last, a `restart` is over at once.

    `forget`: it comes back with nothing of what it would remember.
    """

    kind: ClassVar[str] = "service"
    part: str
    do: Strike
    forget: bool = False

    def describe(self) -> str:
        done = {"kill": "killed", "pause": "stopped (SIGSTOP)", "restart": "asked to end"}[self.do]
        empty = ", and forgets what it holds" if self.forget else ""
        return f"the process of {self.part} is {done}{empty}"

    def undone_by(self) -> str:
        empty = ", empty: what it held does not come back" if self.forget else ""
        return f"{_STARTED_BY[self.do]}{empty}"


@dataclass(frozen=True, slots=True)
class ContainerChange(Change):
    """Something done to the containers of `part`, a service of the compose file."""

    part: str


@dataclass(frozen=True, slots=True)
class LimitChange(ContainerChange):
    """Each container gets no more than so many `cpus`, or so much memory."""

    kind: ClassVar[str] = "limit"
    _undone_by: ClassVar[str] = "the limits of before; one that was ended by it is started again"
    cpus: float | None = None
    memory_bytes: int | None = None

    def describe(self) -> str:
        if self.memory_bytes is not None:
            most = f"{self.memory_bytes / 2**20:g} MB of memory, and no swap"
        else:
            most = f"{self.cpus:g} CPUs"
        return f"each container of {self.part} gets at most {most}"


@dataclass(frozen=True, slots=True)
class PartitionChange(ContainerChange):
    """The containers leave every network that they share with those of `peer`."""

    kind: ClassVar[str] = "partition"
    _undone_by: ClassVar[str] = "they join them again, with the names and addresses of before"
    peer: str

    def describe(self) -> str:
        return f"the containers of {self.part} leave the networks that they share with {self.peer}"


_STARTED_BY = {
    "kill": "it is started again",
    "pause": "it goes on (SIGCONT)",
    "restart": "it is started again, at once",
}


def _often(every_ms: int) -> str:
    return f"every {every_ms} ms" if every_ms else "once"
