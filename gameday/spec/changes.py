"""Changes that a fault, a playbook step or a stack makes, and their undos: plain data.

A `Change` says what is to be altered ("a latency toxic on proxy redis"); an `Undo` says how to
take one alteration back. There is one class a kind, and the driver of that kind in
`injection/drivers/` knows how to do it. JSON they are only in a file: `as_json` is what the plan
and the journal keep. `message` and `undone_by` are what the plan says; `needs` and `probed` what
a run must have and do for it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Literal

from gameday.core.json_objects import Json
from gameday.core.messages import Message, templates

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
    _said: ClassVar[str] = ""  # the id of its sentences in `[change]` and `[change.undo]`
    _named: ClassVar[Sequence[str]] = ("kind",)  # what a record says of the class

    def as_json(self) -> Json:
        named = {name: getattr(self, name) for name in self._named}
        return {**named, **asdict(self)}

    def message(self) -> Message:
        """A sentence about it; by its data where its class has none, so that none is left out."""
        if self._said:
            return Message(f"change.{self._said}", **asdict(self))
        listed = ", ".join(f"{name} {value}" for name, value in asdict(self).items())
        return Message("change.other", kind=self.kind, listed=listed)

    def undone_by(self) -> Message:
        """A phrase about what takes it back, or that nothing gives back what was lost."""
        if self._said:
            return Message(f"change.undo.{self._said}")
        return Message("change.undo.other", kind=self.kind)

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
    """

    kind: ClassVar[str] = "toxic"
    _said: ClassVar[str] = "toxic"
    type: str
    stream: Stream
    toxicity: float
    attributes: Mapping[str, int]

    def message(self) -> Message:
        some = Message("change.toxic_share", share=self.toxicity) if self.toxicity < 1 else ""
        way = Message(f"change.toxic_{self.stream}")
        what = self._what()
        return Message(
            "change.toxic", type=self.type, what=what, proxy=self.proxy, way=way, some=some
        )

    def _what(self) -> Message:
        """The attributes in words."""
        given = self.attributes
        match self.type:
            case "latency" if given.get("jitter"):
                name = "latency_jitter"
            case "timeout" if not given.get("timeout"):
                name = "timeout_never"
            case "slicer" if given.get("delay"):
                name = "slicer_apart"
            case _:
                name = self.type
        known = f"change.toxic_{name}"
        if known in templates():
            return Message(known, **given)
        listed = ", ".join(f"{name} {value}" for name, value in given.items())
        return Message("change.toxic_other", listed=listed)

    @property
    def latency_s(self) -> float | None:
        latency_ms = self.attributes.get("latency")
        return None if latency_ms is None else latency_ms / 1000


@dataclass(frozen=True, slots=True)
class ProxyDown(NetworkChange):
    """`proxy` refuses connections and drops the ones it has."""

    kind: ClassVar[str] = "proxy"
    _said: ClassVar[str] = "proxy_down"
    enabled: bool = field(default=False, init=False)


@dataclass(frozen=True, slots=True)
class ProxyFlap(ProxyDown):
    """`proxy` is down for `down_ms` and up for `up_ms` in turns; each time ± `jitter_ms`."""

    down_ms: int
    up_ms: int
    jitter_ms: int

    def message(self) -> Message:
        some = Message("change.flap_jitter", jitter_ms=self.jitter_ms) if self.jitter_ms else ""
        down_ms, up_ms = self.down_ms, self.up_ms
        return Message("change.flap", proxy=self.proxy, down_ms=down_ms, up_ms=up_ms, some=some)

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
    _said: ClassVar[str] = "traffic"
    scenario: str
    rate_per_s: float
    duration_s: float


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
    _said: ClassVar[str] = "evict"
    keys: str
    share: float
    every_ms: int

    def message(self) -> Message:
        often = _often(self.every_ms)
        return Message("change.evict", share=self.share, keys=repr(self.keys), often=often)


@dataclass(frozen=True, slots=True)
class ExpireKeys(RedisChange):
    """A `share` of the keys that match `keys` runs out after `ttl_ms`."""

    do: ClassVar[str] = "expire"
    _said: ClassVar[str] = "expire"
    keys: str
    share: float
    ttl_ms: int

    def message(self) -> Message:
        keys = repr(self.keys)
        return Message("change.expire", share=self.share, keys=keys, ttl_ms=self.ttl_ms)


@dataclass(frozen=True, slots=True)
class BlockRedis(RedisChange):
    """A script keeps Redis busy for `busy_ms`, again and again."""

    do: ClassVar[str] = "block"
    _said: ClassVar[str] = "block"
    busy_ms: int


@dataclass(frozen=True, slots=True)
class FillMemory(RedisChange):
    """Redis has no memory left to write to."""

    do: ClassVar[str] = "memory"
    _said: ClassVar[str] = "memory"


@dataclass(frozen=True, slots=True)
class SqlChange(StoreChange):
    """Something done to the PostgreSQL."""

    kind: ClassVar[str] = "sql"
    needs: ClassVar[str] = "stores.postgres"


@dataclass(frozen=True, slots=True)
class LockTable(SqlChange):
    """A session locks `table` against everybody."""

    do: ClassVar[str] = "lock"
    _said: ClassVar[str] = "lock"
    table: str


@dataclass(frozen=True, slots=True)
class SlowWrites(SqlChange):
    """Each statement that writes to `table` sleeps first, for as long as the fault lasts."""

    do: ClassVar[str] = "slow"
    _said: ClassVar[str] = "slow"
    table: str
    delay_ms: int
    lasts_ms: int


@dataclass(frozen=True, slots=True)
class IndexDropped(SqlChange):
    """`index` is missing; `concurrently`: dropped and made again without keeping writers out."""

    do: ClassVar[str] = "index"
    _said: ClassVar[str] = "index"
    index: str
    concurrently: bool


@dataclass(frozen=True, slots=True)
class TakeConnections(SqlChange):
    """Every connection that is left is taken; `end_others` ends those that others have."""

    do: ClassVar[str] = "connections"
    _said: ClassVar[str] = "connections"
    end_others: bool
    application: str | None = field(default=None, init=False)

    def message(self) -> Message:
        return Message("change.connections_ending" if self.end_others else "change.connections")


@dataclass(frozen=True, slots=True)
class EndSessions(SqlChange):
    """The sessions of `application`, None: of everybody else, end: once (0), or every so often."""

    do: ClassVar[str] = "kill"
    _said: ClassVar[str] = "kill"
    every_ms: int
    application: str | None

    def message(self) -> Message:
        whose = self.application or Message("change.kill_everybody")
        return Message("change.kill", whose=whose, often=_often(self.every_ms))


@dataclass(frozen=True, slots=True)
class ServiceChange(Change):
    """A process of the stack: `kill` and `pause` last, a `restart` is over at once.

    `forget`: it comes back with nothing of what it would remember.
    """

    kind: ClassVar[str] = "service"
    part: str
    do: Strike
    forget: bool = False

    def message(self) -> Message:
        empty = Message("change.service_forgets") if self.forget else ""
        return Message(f"change.service_{self.do}", part=self.part, empty=empty)

    def undone_by(self) -> Message:
        empty = Message("change.undo.service_empty") if self.forget else ""
        return Message(f"change.undo.service_{self.do}", empty=empty)


@dataclass(frozen=True, slots=True)
class ContainerChange(Change):
    """Something done to the containers of `part`, a service of the compose file."""

    part: str


@dataclass(frozen=True, slots=True)
class LimitChange(ContainerChange):
    """Each container gets no more than so many `cpus`, or so much memory."""

    kind: ClassVar[str] = "limit"
    _said: ClassVar[str] = "limit"
    cpus: float | None = None
    memory_bytes: int | None = None

    def message(self) -> Message:
        if self.memory_bytes is not None:
            return Message("change.limit_memory", part=self.part, mb=self.memory_bytes / 2**20)
        return Message("change.limit_cpu", part=self.part, cpus=self.cpus)


@dataclass(frozen=True, slots=True)
class PartitionChange(ContainerChange):
    """The containers leave every network that they share with those of `peer`."""

    kind: ClassVar[str] = "partition"
    _said: ClassVar[str] = "partition"
    peer: str


@dataclass(frozen=True, slots=True)
class CommandChange(Change):
    """A command of the system file is run; the file says which argv that is, and which undoes it.

    `checked`: another command of it tells whether the fault is in.
    """

    kind: ClassVar[str] = "command"
    name: str
    run: Sequence[str] = ()
    undo: Sequence[str] = ()
    checked: bool = False

    def message(self) -> Message:
        if not self.run:
            return Message("change.command_named", name=self.name)
        return Message("change.command", name=self.name, argv=in_one_line(self.run))

    def undone_by(self) -> Message:
        if not self.undo:
            return Message("change.undo.command_named", name=self.name)
        return Message("change.undo.command", argv=in_one_line(self.undo))


def in_one_line(argv: Sequence[str]) -> str:
    """An argv as a person can check it, and no terminal obeys it: a JSON list in ASCII."""
    return json.dumps(list(argv))


def _often(every_ms: int) -> Message:
    if every_ms:
        return Message("change.every", every_ms=every_ms)
    return Message("change.once")
