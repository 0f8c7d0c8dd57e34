"""Traffic faults: more or other requests than planned."""

from typing import ClassVar, Literal

from pydantic import Field

from gameday.core.units import Rate, seconds
from gameday.spec.changes import Change, ExtraTraffic
from gameday.spec.faults.base import Fault


class Spike(Fault):
    """`rate` more requests on top of the others: a scenario of its own, named by the fault's id."""

    about: ClassVar[str] = "more requests on top"

    fault: Literal["traffic.spike"]
    rate: Rate = Field(description="So many requests more", examples=["700/s"])

    @property
    def on(self) -> str:
        return "traffic"

    def changes(self) -> list[Change]:
        name = self.id or "traffic.spike-1"
        return [ExtraTraffic(name, self.rate.per_s, seconds(self.duration))]
