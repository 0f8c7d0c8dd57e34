"""PostgreSQL faults: what goes wrong in the database itself, the one under `stores.postgres`.

gameday reaches it past the proxy, as whom the system file says; that role must be able to do what
is asked. What sessions hold ends with them, and the server ends them when gameday is not heard of.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from gameday.core.units import Duration, ms
from gameday.spec.changes import (
    Change,
    EndSessions,
    IndexDropped,
    LockTable,
    SlowWrites,
    TakeConnections,
)
from gameday.spec.faults.base import Fault
from gameday.spec.yaml import Name

# Names as `CREATE TABLE` without quotes makes them, with or without a schema.
Relation = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?$")
]
LONGEST_SLEEP = timedelta(minutes=1)
OFTEN_ENOUGH = timedelta(milliseconds=100)


class PostgresFault(Fault):
    """A fault of the PostgreSQL under `stores.postgres`."""

    target: Name = Field(
        default="postgres", description="What the system file calls it as a service"
    )

    @property
    def on(self) -> str:
        return self.target


class Lock(PostgresFault):
    """A session locks `table` against everybody, reading and writing, as a migration may do."""

    about: ClassVar[str] = "a table is locked"

    fault: Literal["postgres.lock"]
    table: Relation = Field(description="The table that nobody else can use", examples=["coupons"])

    def changes(self) -> list[Change]:
        return [LockTable(self.table)]


class Connections(PostgresFault):
    """Every connection that the server has left is taken, so that nobody can open another.

    A service that keeps its connections open does not notice, unless `end_others` ends them too.
    """

    about: ClassVar[str] = "no more connections are to be had"

    fault: Literal["postgres.connections"]
    end_others: bool = Field(
        default=False, description="Whether the connections of others to the database end too"
    )

    def changes(self) -> list[Change]:
        return [TakeConnections(end_others=self.end_others)]


class KillBackends(PostgresFault):
    """The sessions of others are ended by the server, once or `every` so often."""

    about: ClassVar[str] = "its sessions are ended"

    fault: Literal["postgres.kill_backends"]
    every: Duration = Field(default=timedelta(0), description="How often; 0 = once, at `at`")
    application: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        description="Only sessions of this application_name; default: all of the database",
        examples=["checkout"],
    )

    @field_validator("every")
    @classmethod
    def _is_seldom(cls, every: timedelta) -> timedelta:
        if timedelta(0) < every < OFTEN_ENOUGH:
            raise ValueError("must be 0, or 100ms or longer")
        return every

    def changes(self) -> list[Change]:
        return [EndSessions(ms(self.every), self.application)]


class DropIndex(PostgresFault):
    """An index is missing, and made again as it was. One that keeps a constraint is refused."""

    about: ClassVar[str] = "an index is missing"

    fault: Literal["postgres.drop_index"]
    index: Relation = Field(
        description="The index, with its schema where that is not on the path",
        examples=["issuances_coupon_code"],
    )
    concurrently: bool = Field(
        default=False, description="Drop and make it without keeping writers out meanwhile"
    )

    def changes(self) -> list[Change]:
        return [IndexDropped(self.index, concurrently=self.concurrently)]


class Slow(PostgresFault):
    """Each statement that writes to `table` sleeps for `delay` first; reading is not slowed.

    A trigger does it, and stops sleeping 10 s after the fault's time if nobody removes it.
    """

    about: ClassVar[str] = "writes to a table are slow"

    fault: Literal["postgres.slow"]
    table: Relation = Field(
        description="The table that is slow to write to", examples=["issuances"]
    )
    delay: Duration = Field(description="How long each statement sleeps", examples=["300ms"])

    @field_validator("delay")
    @classmethod
    def _is_bounded(cls, delay: timedelta) -> timedelta:
        if not 1 <= ms(delay) <= ms(LONGEST_SLEEP):
            raise ValueError("must be 1ms to 1m")
        return delay

    def changes(self) -> list[Change]:
        return [SlowWrites(self.table, delay_ms=ms(self.delay), lasts_ms=ms(self.duration))]


PostgresFaults = Lock | Connections | KillBackends | DropIndex | Slow
