"""A change in a sentence, and what takes it back, from the records that the controller acts on.

A kind without a sentence of its own is told by its data, so that nothing that will be touched can
be missing from the blast radius.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gameday.changes import Change

_STREAMS = {"downstream": "answers only", "upstream": "requests only"}


def what(change: Change) -> str:
    """What will be altered."""
    tell = _SENTENCES.get(change.kind)
    return tell(change.data) if tell is not None else f"{change.kind}: {_listed(change.data)}"


def undone_by(change: Change) -> str:
    """What takes it back, and who sees to it when the run cannot."""
    return _UNDOINGS.get(change.kind, f"the undo of the {change.kind} that is journaled before it")


def _toxic(data: Mapping[str, Any]) -> str:
    stream = _STREAMS[data["stream"]]
    share = data["toxicity"]
    some = "" if share == 1 else f", on {share:.0%} of the connections"
    tell = _TOXICS.get(data["type"])
    dose = f" of {_listed(data['attributes'])}" if data["attributes"] else ""
    text = tell(data["attributes"]) if tell is not None else f"a {data['type']} toxic{dose}"
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


def _listed(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items())


_TOXICS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "latency": _latency,
    "timeout": _timeout,
    "bandwidth": _bandwidth,
    "reset_peer": _reset_peer,
}
_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "toxic": _toxic,
    "proxy": _proxy,
    "traffic": _traffic,
}
_UNDOINGS: Mapping[str, str] = {
    "toxic": "that one toxic removed, by its name",
    "proxy": "the proxy enabled again",
    "traffic": "the scenario ended; it ends with its worker as well",
}
