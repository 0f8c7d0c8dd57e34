"""Faults: what can go wrong, as data. One class a fault, one file a family.

A fault names an effect (`network.latency`), a target, when it begins and how long it lasts.
`changes()` is pure: it says what would be altered, and `effects/` knows how. Adding a fault
means one class in a family file and its place in `AnyFault`.
"""

from typing import Annotated

from pydantic import Field

from gameday.spec.faults.base import Fault
from gameday.spec.faults.network import (
    Bandwidth,
    Down,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from gameday.spec.faults.postgres import Connections, DropIndex, KillBackends, Lock, Slow
from gameday.spec.faults.redis import Block, Evict, Expire, Memory
from gameday.spec.faults.service import Kill, Pause, Restart, RestartEmpty
from gameday.spec.faults.traffic import Spike

AnyFault = Annotated[
    Latency
    | Timeout
    | Bandwidth
    | ResetPeer
    | SlowClose
    | Slicer
    | LimitData
    | Down
    | Evict
    | Expire
    | Block
    | Memory
    | Lock
    | Connections
    | KillBackends
    | DropIndex
    | Slow
    | Spike
    | Kill
    | Pause
    | Restart
    | RestartEmpty,
    Field(discriminator="fault"),
]

__all__ = [
    "AnyFault",
    "Bandwidth",
    "Block",
    "Connections",
    "Down",
    "DropIndex",
    "Evict",
    "Expire",
    "Fault",
    "Kill",
    "KillBackends",
    "Latency",
    "LimitData",
    "Lock",
    "Memory",
    "Pause",
    "ResetPeer",
    "Restart",
    "RestartEmpty",
    "Slicer",
    "Slow",
    "SlowClose",
    "Spike",
    "Timeout",
]
