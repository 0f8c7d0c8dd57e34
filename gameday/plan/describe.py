"""A change in a sentence, and what takes it back, from the records that the controller acts on.

A kind without a sentence of its own is told by its data, so that nothing that will be touched can
be missing from the blast radius.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gameday.spec.changes import Change

_STREAMS = {"downstream": "answers only", "upstream": "requests only"}


def what(change: Change) -> str:
    """What will be altered."""
    tell = _SENTENCES.get(change.kind)
    return tell(change.data) if tell is not None else f"{change.kind}: {_listed(change.data)}"


def undone_by(change: Change) -> str:
    """What takes it back; what cannot be given back is said."""
    by_do = _UNDONE.get((change.kind, str(change.data.get("do", ""))))
    if change.kind == "service" and change.data["forget"]:
        return f"{by_do}, empty: what it held does not come back"
    return by_do or _UNDOINGS.get(change.kind, f"the undo of kind {change.kind} in the journal")


def _toxic(data: Mapping[str, Any]) -> str:
    stream = _STREAMS[data["stream"]]
    share = data["toxicity"]
    some = "" if share == 1 else f", on {share:.0%} of the connections"
    tell, attributes = _TOXICS.get(data["type"]), data["attributes"]
    text = tell(attributes) if tell else f"a {data['type']} toxic ({_listed(attributes)})"
    return f"{text} on proxy {data['proxy']}, {stream}{some}"


def _latency(attributes: Mapping[str, Any]) -> str:
    jitter = attributes.get("jitter", 0)
    return f"a latency toxic of {attributes['latency']} ms" + (f" ± {jitter} ms" if jitter else "")


def _timeout(attributes: Mapping[str, Any]) -> str:
    after = attributes["timeout"]
    ending = f"closed after {after} ms" if after else "never closed"
    return f"a timeout toxic (nothing passes, connections {ending})"


def _bandwidth(attributes: Mapping[str, Any]) -> str:
    return f"a bandwidth toxic of {attributes['rate']} kB/s a connection"


def _reset_peer(attributes: Mapping[str, Any]) -> str:
    return f"a reset_peer toxic (connections reset after {attributes['timeout']} ms)"


def _proxy(data: Mapping[str, Any]) -> str:
    return f"proxy {data['proxy']} is disabled: connections are refused, open ones closed"


def _traffic(data: Mapping[str, Any]) -> str:
    rate, length = data["rate_per_s"], data["duration_s"]
    return f"{rate:g} more requests a second for {length:g} s (scenario {data['scenario']})"


def _slow_close(attributes: Mapping[str, Any]) -> str:
    return f"a slow_close toxic of {attributes['delay']} ms"


def _slicer(attributes: Mapping[str, Any]) -> str:
    size, varies = attributes["average_size"], attributes["size_variation"]
    pause = f", {attributes['delay']} µs apart" if attributes["delay"] else ""
    return f"a slicer toxic (pieces of {size} ± {varies} bytes{pause})"


def _limit_data(attributes: Mapping[str, Any]) -> str:
    return f"a limit_data toxic (connections close after {attributes['bytes']} bytes)"


def _redis(data: Mapping[str, Any]) -> str:
    share = f"{data.get('share', 1):.0%} of the keys that match {data.get('keys', '*')!r}"
    match data["do"]:
        case "evict":
            lost = f"Redis loses {share}, {_how_often(data['every_ms'])}"
            return f"{lost}; cannot be undone: the system must recover by itself"
        case "expire":
            return f"{share} in Redis get {data['ttl_ms']} ms to live"
        case "block":
            return f"a script keeps Redis busy for {data['busy_ms']} ms, again and again"
        case "memory":
            return "Redis has no memory left to write to (maxmemory, without eviction)"
        case do:
            return f"Redis: {do}, {_listed(data)}"


def _sql(data: Mapping[str, Any]) -> str:
    match data["do"]:
        case "lock":
            return f"PostgreSQL: table {data['table']} is locked against everybody"
        case "connections":
            others = ", those of others ended first" if data["end_others"] else ""
            return f"PostgreSQL: every connection that is left is taken{others}"
        case "kill":
            whose = data["application"] or "everybody else"
            return f"PostgreSQL: the sessions of {whose} are ended, {_how_often(data['every_ms'])}"
        case "index":
            return f"PostgreSQL: index {data['index']} is dropped"
        case "slow":
            return f"PostgreSQL: each write to {data['table']} sleeps {data['delay_ms']} ms first"
        case do:
            return f"PostgreSQL: {do}, {_listed(data)}"


def _how_often(every_ms: int) -> str:
    return f"every {every_ms} ms" if every_ms else "once"


def _service(data: Mapping[str, Any]) -> str:
    done = {"kill": "killed", "pause": "stopped (SIGSTOP)", "restart": "asked to end"}
    empty = ", and forgets what it holds" if data["forget"] else ""
    return f"the process of {data['part']} is {done.get(data['do'], data['do'])}{empty}"


def _listed(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items())


_TOXICS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "latency": _latency,
    "timeout": _timeout,
    "bandwidth": _bandwidth,
    "reset_peer": _reset_peer,
    "slow_close": _slow_close,
    "slicer": _slicer,
    "limit_data": _limit_data,
}
_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "toxic": _toxic,
    "proxy": _proxy,
    "traffic": _traffic,
    "redis": _redis,
    "sql": _sql,
    "service": _service,
}
_UNDONE: Mapping[tuple[str, str], str] = {
    ("redis", "evict"): "nothing: it only ends, and the system must recover what was lost",
    ("redis", "expire"): "keys that still live are spared; the others are lost",
    ("redis", "block"): "no script is sent any more; the last one ends by itself within 1 s",
    ("redis", "memory"): "maxmemory and its policy set back to what they were",
    ("sql", "lock"): "the session that holds the lock ended",
    ("sql", "connections"): "the sessions that hold them ended",
    ("sql", "kill"): "nothing: it only ends, whoever was cut off connects again",
    ("sql", "index"): "the index made again by its own definition",
    ("sql", "slow"): "the trigger and its function dropped",
    ("service", "kill"): "it is started again",
    ("service", "pause"): "it goes on (SIGCONT)",
    ("service", "restart"): "it is started again, at once",
}
_UNDOINGS: Mapping[str, str] = {
    "toxic": "that one toxic removed, by its name",
    "proxy": "the proxy enabled again",
    "traffic": "the scenario ended; it ends with its worker as well",
}
