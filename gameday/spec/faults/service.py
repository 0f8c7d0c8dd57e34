"""Faults of processes: the service or one of its stores ends, stands still, or starts anew."""

from datetime import timedelta
from typing import ClassVar, Final, Literal

from pydantic import Field

from gameday.core.units import Duration
from gameday.spec.changes import Change, ServiceChange
from gameday.spec.faults.base import Fault
from gameday.spec.yaml import Name

# What gameday's own stacks have. A compose project of somebody else has what its map names.
PARTS: Final = ("service", "redis", "postgres")
_LOOKED_AT = timedelta(seconds=5)


class ServiceFault(Fault):
    """A fault of a process of the stack: the `service` itself, or one that it calls."""

    target: Name = Field(
        description="Whose process: `service`, `redis` or `postgres`, or a name of --service-map",
        examples=["service"],
    )

    @property
    def on(self) -> str:
        return self.target


class Kill(ServiceFault):
    """The process and its children are killed, and started again after `duration`."""

    about: ClassVar[str] = "its process is killed"

    fault: Literal["service.kill"]

    def changes(self) -> list[Change]:
        return [ServiceChange(self.target, "kill")]


class Pause(ServiceFault):
    """The process and its children stand still for `duration`: connections open, no answer."""

    about: ClassVar[str] = "its process stands still"

    fault: Literal["service.pause"]

    def changes(self) -> list[Change]:
        return [ServiceChange(self.target, "pause")]


class Restart(ServiceFault):
    """The process is asked to end, and started again as soon as it has.

    `duration` (5s) is how long the effect of it is looked for; nothing is done at its end.
    """

    about: ClassVar[str] = "its process is restarted"

    fault: Literal["service.restart"]
    duration: Duration = Field(
        default=_LOOKED_AT, description="How long its effect is looked for", examples=["5s"]
    )

    def changes(self) -> list[Change]:
        return [ServiceChange(self.target, "restart")]


class RestartEmpty(ServiceFault):
    """Redis is killed, and started again after `duration` with nothing in it.

    What it held does not come back: the system must build it again from what is durable.
    """

    about: ClassVar[str] = "it restarts, and has lost its memory"

    fault: Literal["redis.restart"]
    target: Literal["redis"] = Field(default="redis", description="Only Redis can lose its memory")

    def changes(self) -> list[Change]:
        return [ServiceChange(self.target, "kill", forget=True)]


ServiceFaults = Kill | Pause | Restart | RestartEmpty
