"""Undos, which take changes back: a class a kind of undo, and the reading of their records.

A record comes from a file, and not every file is what it should be. One that lacks what undoing
needs, or holds something else in its place, is no order that could be obeyed: what it stands for
is unknown, and no number in it is ever taken for a process that it does not mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from gameday.core.errors import UnknownError
from gameday.core.json_objects import Json, Some, checked, json_object, plain, read_object
from gameday.spec.undo_fields import (
    AbsolutePath,
    CommandSeconds,
    Pid,
    Reference,
    Sha256,
    String,
    Text,
    Url,
    signal_name,
    text_by_text,
)

_HELP = "look at the run's journal, and at what it was run on"


class NoRecordError(UnknownError):
    """An undo record that gameday has not written like that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Process of a server, as seen from where it was started."""

    pid: Pid
    start_time: Text
    seen_from: String


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreServer:
    """Identity of a store: where it was reached, its name for itself, since when it runs.

    Times are seconds since 1970 on its own clock; `now_s` is when the change was prepared.
    `database` is which of its databases was seen, None where that was not written down.
    """

    at: String
    id: String
    began_s: float
    now_s: float
    database: String | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToxicState:
    """A toxic as its server takes and shows it."""

    name: Text
    type: String = ""
    stream: String = "downstream"
    toxicity: float = 1.0
    attributes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyState:
    """A proxy as its server shows it, and as a record keeps it to put it back."""

    listen: String
    upstream: String
    enabled: bool
    toxics: tuple[ToxicState, ...] = ()

    @property
    def toxic_names(self) -> list[str]:
        return [toxic.name for toxic in self.toxics]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFile:
    """File in which the token of a Toxiproxy stands."""

    file: AbsolutePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a container as the engine shows them; 0 and less is none."""

    nano_cpus: int
    cpu_quota: int
    cpu_period: int
    memory: int
    memory_swap: int


@dataclass(frozen=True, slots=True)
class Throttling:
    """The kernel's count of a container's periods of CPU time, and of those with a wait in them."""

    periods: int = 0
    throttled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Place of a container in a network: how others find it there, and what it calls others.

    `ipv4` and `ipv6` are the addresses that it asked for, None where it took what it was given.
    """

    container: Text
    network: Text
    network_name: Text
    aliases: tuple[String, ...]
    links: tuple[String, ...]
    ipv4: Text | None = None
    ipv6: Text | None = None


def _token_file(value: object) -> TokenFile:
    return read_object(TokenFile, checked(json_object(value).keys() == {"file"}, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Record of how to take one change back, whoever finds it. Undoing twice is harmless."""

    _kind: ClassVar[str] = ""

    @property
    def kind(self) -> str:
        return self._kind

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **plain(self)}

    @property
    def thing(self) -> str:
        """The name or the path of what was changed, "" where it has none of its own."""
        return str(getattr(self, "name", "") or getattr(self, "path", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectUndo(Undo):
    """The containers, networks and volumes of a compose project are removed.

    Only those with the label of its stack, `token`. `engine` is the address of the container
    engine, and `engine_id` what it calls itself: another one there is not asked.
    """

    _kind: ClassVar[str] = "project"
    engine: Text
    engine_id: Text
    name: Text
    token: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUndo(Undo):
    """Undo of a change of a proxy, and what is needed should that get stuck.

    `ours` begins the names of this run's toxics. `part` says how the server is started, where the
    stack started it; then `was` has all its proxies, which a new start would lose, else this one.
    `names` are all its proxies, and `instance` its process where it is ours: by them a server that
    was restarted since is known. `project` is the compose project that it is a container of. A
    record of `was` is of the fault itself, one without of a step of its removal.
    """

    url: Url
    bearer: Annotated[TokenFile, _token_file] | None = None
    proxy: Text
    ours: Text | None = None
    part: AbsolutePath | None
    instance: Instance | None = None
    project: ProjectUndo | None = None
    names: tuple[String, ...] | None = None
    was: Mapping[str, ProxyState] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToxicUndo(NetworkUndo):
    """The toxic of that name is removed."""

    _kind: ClassVar[str] = "toxic"
    name: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyUndo(NetworkUndo):
    """The proxy is switched to what it was, or put back `whole`, toxics of others included."""

    _kind: ClassVar[str] = "proxy"
    enabled: bool | None = None
    whole: ProxyState | None = None

    def __post_init__(self) -> None:
        if self.enabled is None and self.whole is None:
            raise ValueError("'enabled' is missing")

    @property
    def on(self) -> bool:
        """True if the proxy was on."""
        return bool(self.enabled if self.whole is None else self.whole.enabled)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficUndo(Undo):
    """The extra scenario ends."""

    _kind: ClassVar[str] = "traffic"
    scenario: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUndo(Undo):
    """The process and its children are asked to end by `signal`, and then killed.

    `token` is the value of `GAMEDAY_PART` in the environment of its children. `part` is the file
    with its `Launch`. `start_time` is "" where it had ended before it was journaled.
    """

    _kind: ClassVar[str] = "process"
    pid: Pid
    start_time: String
    name: Text
    token: String | None = None
    signal: Annotated[str, signal_name] = "SIGTERM"
    seen_from: Text | None = None
    part: AbsolutePath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderUndo(Undo):
    """The folder is removed, if it bears the mark."""

    _kind: ClassVar[str] = "folder"
    path: AbsolutePath
    mark: Text | None = None
    seen_from: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestUndo(Undo):
    """The request is sent, as the system file writes it: its secrets are references.

    `project` is the compose project in which it is answered, `service` the service of it of which
    each replica has to take it.
    """

    _kind: ClassVar[str] = "request"
    action: String = ""
    base_url: Url
    request: Annotated[Json, json_object]
    values: Mapping[str, str | int] | None = None
    tls: Mapping[str, str | bool | None] | None = None
    project: ProjectUndo | None = None
    service: String = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUndo(Undo):
    """The part of the stack that `part` describes is started again, or goes on."""

    _kind: ClassVar[str] = "service"
    what: Literal["continue", "start"]
    do: String = ""
    forget: bool = False
    part: AbsolutePath
    name: String = ""
    pid: Pid | None = None
    start_time: String = ""
    seen_from: Text | None = None

    def __post_init__(self) -> None:
        if self.what == "continue" and (self.pid is None or not self.name):
            raise ValueError("'pid' or 'name' is missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerUndo(Undo):
    """The containers of a service of `project` are started again, or go on.

    `containers` has the name of each by its id, `started` since when each ran. `hosts` are the
    services of the compose file that they are of, which is several where a map gives them one name.
    `memory` is the dump of a Redis that is to come back empty.
    """

    _kind: ClassVar[str] = "container"
    what: Literal["continue", "start"]
    do: String = ""
    memory: AbsolutePath | None = None
    name: Text
    project: ProjectUndo
    containers: Annotated[Mapping[str, str], text_by_text]
    started: Annotated[Mapping[str, str], text_by_text]
    hosts: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUndo(Undo):
    """The containers of a service get the limits that each had `before`, by its id.

    Only where it still has the one that was asked for: `cpus` or `memory`, in bytes. `throttling`
    is what there was of it before, by id, for that of less CPU is judged by what came to it.
    """

    _kind: ClassVar[str] = "limit"
    name: Text
    project: ProjectUndo
    before: Some[Mapping[str, Limits]]
    cpus: float | None = None
    memory: int | None = None
    throttling: Mapping[str, Throttling] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.cpus is None) == (self.memory is None):
            raise ValueError("'cpus' or 'memory' is missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionUndo(Undo):
    """The containers of a service join the networks again that they shared with `peer`."""

    _kind: ClassVar[str] = "partition"
    name: Text
    peer: Text
    project: ProjectUndo
    endpoints: Some[tuple[Endpoint, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleUndo(Undo):
    """The service `name` gets so many replicas, and the balancer at `balancer` sends to them.

    `part` is the file with the `Launch` of the compose program.
    """

    _kind: ClassVar[str] = "scale"
    action: String = ""
    name: Text
    project: ProjectUndo
    replicas: int
    part: AbsolutePath
    balancer: Url | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUndo(Undo):
    """Undo of something that was done to a store; `name` is what the store calls it.

    `project` is the compose project that has the store, with its data.
    """

    do: Text
    name: Text
    part: AbsolutePath | None = None
    instance: Instance | None = None
    project: ProjectUndo | None = None
    server: StoreServer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUndo(StoreUndo):
    """Evicting or blocking ends: the connections of that name are closed."""

    _kind: ClassVar[str] = "redis"
    url: Reference
    lasts: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryUndo(RedisUndo):
    """Keys that have not run out by `at_ms` last as long as before (-1: for ever)."""

    keys: Mapping[str, int]
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUndo(RedisUndo):
    """The setting of before comes back, where it is still this run's."""

    maxmemory: int
    maxmemory_before: int
    policy_before: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlUndo(StoreUndo):
    """The sessions of that name end, or its trigger goes."""

    _kind: ClassVar[str] = "sql"
    dsn: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexUndo(SqlUndo):
    """The index is made again by its own definition."""

    index: Text
    definition: Text
    concurrently: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandUndo(Undo):
    """The undo of the command `name` of a system file is run: only an argv of that SHA-256.

    `files` are where it is looked up: the system file, and the run's copy of it. Both work in
    `folder`, `within_s` each. `checked` is the SHA-256 of the argv that tells whether the fault is
    in. `acting` is the file with the process that makes the change, while it does.
    """

    _kind: ClassVar[str] = "command"
    name: Text
    sha256: Sha256
    checked: Sha256 | None = None
    files: Some[tuple[AbsolutePath, ...]]
    folder: AbsolutePath
    within_s: CommandSeconds
    acting: AbsolutePath | None = None
    seen_from: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrangeUndo(Undo):
    """A record that is not one of gameday's: nothing is done by it, and nothing called gone."""

    record: Json
    why: str

    @property
    def kind(self) -> str:
        return str(self.record.get("kind"))

    @property
    def error(self) -> NoRecordError:
        return NoRecordError(self.why, help=_HELP)

    @property
    def thing(self) -> str:
        return str(self.record.get("name") or self.record.get("path") or "")

    def as_json(self) -> dict[str, Any]:
        return dict(self.record)


_CLASSES: Mapping[str, type[Undo]] = {
    "toxic": ToxicUndo,
    "proxy": ProxyUndo,
    "traffic": TrafficUndo,
    "process": ProcessUndo,
    "folder": FolderUndo,
    "request": RequestUndo,
    "service": ServiceUndo,
    "project": ProjectUndo,
    "container": ContainerUndo,
    "limit": LimitUndo,
    "partition": PartitionUndo,
    "scale": ScaleUndo,
    "redis evict": RedisUndo,
    "redis block": RedisUndo,
    "redis expire": ExpiryUndo,
    "redis memory": MemoryUndo,
    "command": CommandUndo,
    "sql lock": SqlUndo,
    "sql connections": SqlUndo,
    "sql kill": SqlUndo,
    "sql slow": SqlUndo,
    "sql index": IndexUndo,
}


def from_json(record: object) -> Undo:
    """The undo of a record; a StrangeUndo for one that gameday has not written like that."""
    try:
        return read(record)
    except NoRecordError as error:
        return StrangeUndo(record=json_object(record), why=error.message)


def read(given: object) -> Undo:
    """The same. Raises NoRecordError for one that lacks what undoing it needs, or mistakes it."""
    record = json_object(given)
    kind, do = record.get("kind"), record.get("do")
    class_ = _CLASSES.get(f"{kind} {do}" if kind in ("redis", "sql") else str(kind))
    try:
        if class_ is None:
            raise ValueError(f"the kind {kind!r:.80} is not known, or not with 'do' {do!r:.80}")
        return read_object(class_, record)
    except ValueError as error:
        raise NoRecordError(
            f"unknown: the record is not one of gameday's: {kind!s:.40}: {error}", help=_HELP
        ) from None
