"""Faults: what can go wrong, as data. One class a fault, one file a family.

A fault names an effect (`network.latency`), a target, when it begins and how long it lasts.
`changes()` is pure: it says what would be altered, and `injection/drivers/` knows how. Adding a
fault means one class in a family file and its name in the list at that file's end.
"""

from typing import Annotated

from pydantic import Field

from gameday.spec.faults.base import Fault
from gameday.spec.faults.command import CommandFaults
from gameday.spec.faults.container import ContainerFaults
from gameday.spec.faults.network import Latency, NetworkFaults
from gameday.spec.faults.postgres import PostgresFaults
from gameday.spec.faults.redis import RedisFaults
from gameday.spec.faults.service import ServiceFaults
from gameday.spec.faults.traffic import Spike

AnyFault = Annotated[
    NetworkFaults
    | RedisFaults
    | PostgresFaults
    | ServiceFaults
    | ContainerFaults
    | CommandFaults
    | Spike,
    Field(discriminator="fault"),
]

__all__ = ["AnyFault", "Fault", "Latency", "Spike"]
