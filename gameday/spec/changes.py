"""What a fault, a playbook step or a stack changes, and how to take it back: plain data.

A `Change` says what is to be altered ("a latency toxic on proxy redis"); an `Undo` says how to
take one alteration back. Both are flat records that survive JSON, so that the plan can print
them, the journal can keep them, and another process can undo them without the experiment.
`kind` names the file in `effects/` that knows how to do it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "toxic", "proxy", "traffic", "request", "process", "folder", "redis", "sql", "service"
]


@dataclass(frozen=True, slots=True)
class Change:
    """One alteration. `data` holds only what JSON can hold."""

    kind: Kind
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.data}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Change":
        return cls(record["kind"], {k: v for k, v in record.items() if k != "kind"})


@dataclass(frozen=True, slots=True)
class Undo:
    """How to take one change back, by whoever finds this record. Undoing twice is harmless."""

    kind: Kind
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.data}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Undo":
        return cls(record["kind"], {k: v for k, v in record.items() if k != "kind"})


def toxic(
    proxy: str,
    type_: str,
    *,
    stream: str = "downstream",
    toxicity: float = 1.0,
    **attributes: int,
) -> Change:
    """A toxic on `proxy`; attributes in Toxiproxy's own units (ms, µs for a slicer, kB/s).

    `downstream` are the answers, `upstream` the requests; `toxicity` the share of connections.
    """
    data = {"proxy": proxy, "type": type_, "stream": stream, "toxicity": toxicity}
    return Change("toxic", {**data, "attributes": attributes})


def proxy_down(proxy: str) -> Change:
    """`proxy` refuses connections and drops the ones it has."""
    return Change("proxy", {"proxy": proxy, "enabled": False})


def extra_traffic(scenario: str, rate_per_s: float, duration_s: float) -> Change:
    """A scenario of its own, on top of the others, at a constant rate."""
    data = {"scenario": scenario, "rate_per_s": rate_per_s, "duration_s": duration_s}
    return Change("traffic", data)


def in_redis(do: str, **how: Any) -> Change:
    """Something done to the Redis that the system file names under `stores`, past its proxy."""
    return Change("redis", {"do": do, **how})


def in_postgres(do: str, **how: Any) -> Change:
    """Something done to the PostgreSQL that the system file names under `stores`."""
    return Change("sql", {"do": do, **how})


def part_struck(part: str, do: str, *, forget: bool = False) -> Change:
    """A process of the stack: `kill` and `pause` last, a `restart` is over at once.

    `forget`: it comes back with nothing of what it would remember.
    """
    return Change("service", {"part": part, "do": do, "forget": forget})
