"""A change in a sentence, and what takes it back, from the records that the controller acts on.

A change without a sentence of its own is told by its data, so that nothing that will be touched
can be missing from the blast radius.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict

from gameday.spec.changes import (
    BlockRedis,
    Change,
    EndSessions,
    EvictKeys,
    ExpireKeys,
    ExtraTraffic,
    FillMemory,
    IndexDropped,
    LockTable,
    ProxyDown,
    ServiceChange,
    SlowWrites,
    StoreChange,
    TakeConnections,
    ToxicChange,
)

_STREAMS = {"downstream": "answers only", "upstream": "requests only"}
_DONE = {"kill": "killed", "pause": "stopped (SIGSTOP)", "restart": "asked to end"}


def what(change: Change) -> str:
    """A sentence about the change that will be made."""
    match change:
        case ToxicChange():
            return _toxic(change)
        case ProxyDown(proxy):
            return f"proxy {proxy} is disabled: connections are refused, open ones closed"
        case ExtraTraffic(scenario, rate, length):
            return f"{rate:g} more requests a second for {length:g} s (scenario {scenario})"
        case ServiceChange(part, do, forget):
            empty = ", and forgets what it holds" if forget else ""
            return f"the process of {part} is {_DONE.get(do, do)}{empty}"
        case StoreChange():
            return _in_redis(change) or _in_postgres(change) or _by_data(change)
        case _:
            return _by_data(change)


def undone_by(change: Change) -> str:
    """A phrase about what takes the change back, or that nothing gives back what was lost."""
    if isinstance(change, ServiceChange):
        empty = ", empty: what it held does not come back" if change.forget else ""
        return f"{_STARTED_BY[change.do]}{empty}"
    return _UNDONE.get(type(change), f"the undo of kind {change.kind} in the journal")


def _toxic(change: ToxicChange) -> str:
    some = "" if change.toxicity == 1 else f", on {change.toxicity:.0%} of the connections"
    tell = _TOXICS.get(change.type)
    text = tell(change.attributes) if tell else _by_data(change)
    return f"{text} on proxy {change.proxy}, {_STREAMS[change.stream]}{some}"


def _latency(attributes: Mapping[str, int]) -> str:
    jitter = attributes.get("jitter", 0)
    return f"a latency toxic of {attributes['latency']} ms" + (f" ± {jitter} ms" if jitter else "")


def _timeout(attributes: Mapping[str, int]) -> str:
    after = attributes["timeout"]
    ending = f"closed after {after} ms" if after else "never closed"
    return f"a timeout toxic (nothing passes, connections {ending})"


def _bandwidth(attributes: Mapping[str, int]) -> str:
    return f"a bandwidth toxic of {attributes['rate']} kB/s a connection"


def _reset_peer(attributes: Mapping[str, int]) -> str:
    return f"a reset_peer toxic (connections reset after {attributes['timeout']} ms)"


def _slow_close(attributes: Mapping[str, int]) -> str:
    return f"a slow_close toxic of {attributes['delay']} ms"


def _slicer(attributes: Mapping[str, int]) -> str:
    size, varies = attributes["average_size"], attributes["size_variation"]
    pause = f", {attributes['delay']} µs apart" if attributes["delay"] else ""
    return f"a slicer toxic (pieces of {size} ± {varies} bytes{pause})"


def _limit_data(attributes: Mapping[str, int]) -> str:
    return f"a limit_data toxic (connections close after {attributes['bytes']} bytes)"


def _in_redis(change: StoreChange) -> str:
    match change:
        case EvictKeys(keys, share, every_ms):
            lost = f"Redis loses {share:.0%} of the keys that match {keys!r}, {_often(every_ms)}"
            return f"{lost}; cannot be undone: the system must recover by itself"
        case ExpireKeys(keys, share, ttl_ms):
            return f"{share:.0%} of the keys that match {keys!r} in Redis get {ttl_ms} ms to live"
        case BlockRedis(busy_ms):
            return f"a script keeps Redis busy for {busy_ms} ms, again and again"
        case FillMemory():
            return "Redis has no memory left to write to (maxmemory, without eviction)"
        case _:
            return ""


def _in_postgres(change: StoreChange) -> str:
    match change:
        case LockTable(table):
            return f"PostgreSQL: table {table} is locked against everybody"
        case TakeConnections(end_others):
            others = ", those of others ended first" if end_others else ""
            return f"PostgreSQL: every connection that is left is taken{others}"
        case EndSessions(every_ms, application):
            whose = application or "everybody else"
            return f"PostgreSQL: the sessions of {whose} are ended, {_often(every_ms)}"
        case IndexDropped(index):
            return f"PostgreSQL: index {index} is dropped"
        case SlowWrites(table, delay_ms):
            return f"PostgreSQL: each write to {table} sleeps {delay_ms} ms first"
        case _:
            return ""


def _often(every_ms: int) -> str:
    return f"every {every_ms} ms" if every_ms else "once"


def _by_data(change: Change) -> str:
    listed = ", ".join(f"{name} {value}" for name, value in asdict(change).items())
    return f"{change.kind}: {listed}"


_TOXICS: Mapping[str, Callable[[Mapping[str, int]], str]] = {
    "latency": _latency,
    "timeout": _timeout,
    "bandwidth": _bandwidth,
    "reset_peer": _reset_peer,
    "slow_close": _slow_close,
    "slicer": _slicer,
    "limit_data": _limit_data,
}
_UNDONE: Mapping[type[Change], str] = {
    ToxicChange: "that one toxic removed, by its name",
    ProxyDown: "the proxy enabled again",
    ExtraTraffic: "the scenario ended; it ends with its worker as well",
    EvictKeys: "nothing: it only ends, and the system must recover what was lost",
    ExpireKeys: "keys that still live are spared; the others are lost",
    BlockRedis: "no script is sent any more; the last one ends by itself within 1 s",
    FillMemory: "maxmemory and its policy set back to what they were",
    LockTable: "the session that holds the lock ended",
    TakeConnections: "the sessions that hold them ended",
    EndSessions: "nothing: it only ends, whoever was cut off connects again",
    IndexDropped: "the index made again by its own definition",
    SlowWrites: "the trigger and its function dropped",
}
_STARTED_BY = {
    "kill": "it is started again",
    "pause": "it goes on (SIGCONT)",
    "restart": "it is started again, at once",
}
