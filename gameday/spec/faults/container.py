"""Faults that only containers can have: less CPU or memory, or no way to another one."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from gameday.spec.changes import Change, LimitChange, PartitionChange
from gameday.spec.faults.base import Fault
from gameday.spec.faults.service import ServiceFault
from gameday.spec.yaml import Name

LEAST_CPUS = 0.01  # the engine takes no less
LEAST_BYTES = 6 * 2**20  # the engine takes no less
_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30}
_BYTES = re.compile(r"(\d+)\s*(KB|MB|GB)", re.ASCII)


def _bytes(given: object) -> int:
    """`64MB` → 67108864, as Docker counts. Raises ValueError, which says what to write instead."""
    match = _BYTES.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise ValueError(f"{given!r:.80} is not a size: write a number and KB, MB or GB")
    count = int(match[1]) * _UNITS[match[2]]
    if not LEAST_BYTES <= count <= 2**62:
        raise ValueError(f"{given!r} is less than 6MB, the least that a container can have")
    return count


Bytes = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema({"type": "string", "pattern": r"^\d+ ?(KB|MB|GB)$"}),
]


class CpuLimit(ServiceFault):
    """The containers of the target get at most `cpus` CPUs each, and are throttled above that."""

    about: ClassVar[str] = "its container has little CPU"

    fault: Literal["service.cpu"]
    cpus: float = Field(
        ge=LEAST_CPUS, le=1024, description="As docker's --cpus: 0.1 is a tenth", examples=[0.1]
    )

    def changes(self) -> list[Change]:
        return [LimitChange(self.target, cpus=self.cpus)]


class MemoryLimit(ServiceFault):
    """The containers of the target get at most `limit` of memory each, and no swap.

    One that needs more is ended by the kernel; it is started again when the fault is taken out.
    """

    about: ClassVar[str] = "its container has little memory"

    fault: Literal["service.memory"]
    limit: Bytes = Field(
        description="More than it uses now, where the kernel cannot take it back",
        examples=["64MB"],
    )

    def changes(self) -> list[Change]:
        return [LimitChange(self.target, memory_bytes=self.limit)]


class Partition(Fault):
    """The containers of the target leave each network that they share with those of `peer`.

    Neither finds or reaches the other: names do not resolve, open connections hang. Whoever else is
    only there is cut off from the target as well, and so are its ports on this machine.
    """

    about: ClassVar[str] = "its container is cut off from another"

    fault: Literal["network.partition"]
    target: Name = Field(
        description="The service of the compose file that leaves", examples=["redis"]
    )
    peer: Name = Field(description="The service that can reach it no more", examples=["toxiproxy"])

    @property
    def on(self) -> str:
        return self.target

    def changes(self) -> list[Change]:
        return [PartitionChange(self.target, self.peer)]


ContainerFaults = CpuLimit | MemoryLimit | Partition
