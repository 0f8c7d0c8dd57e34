"""Redis faults: what goes wrong in a Redis itself, the one under `stores.redis` of the system file.

gameday reaches it past the proxy, so that no network fault is in its own way.
"""

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from gameday.core.units import Duration, ms
from gameday.spec.changes import BlockRedis, Change, EvictKeys, ExpireKeys, FillMemory
from gameday.spec.faults.base import Fault
from gameday.spec.yaml import Name

LONGEST_SCRIPT = timedelta(seconds=1)
OFTEN_ENOUGH = timedelta(milliseconds=50)


class RedisFault(Fault):
    """A fault of the Redis under `stores.redis`."""

    target: Name = Field(default="redis", description="What the system file calls it as a service")

    @property
    def on(self) -> str:
        return self.target


class KeysFault(RedisFault):
    """A fault of some keys: a share of those that match a pattern, the same for the same keys."""

    keys: str = Field(
        default="*",
        min_length=1,
        max_length=1000,
        description="A pattern as of Redis' SCAN",
        examples=["stock:*"],
    )
    share: float = Field(
        default=1.0, gt=0, le=1, description="The share of the keys that match", examples=[0.5]
    )


class Evict(KeysFault):
    """Redis loses keys, once or `every` so often. Cannot be undone: the system must recover."""

    about: ClassVar[str] = "keys are lost (cannot be undone: the system must recover by itself)"

    fault: Literal["redis.evict"]
    every: Duration = Field(default=timedelta(0), description="How often; 0 = once, at `at`")

    @field_validator("every")
    @classmethod
    def _is_seldom(cls, every: timedelta) -> timedelta:
        if timedelta(0) < every < OFTEN_ENOUGH:
            raise ValueError("must be 0, or 50ms or longer")
        return every

    def changes(self) -> list[Change]:
        return [EvictKeys(self.keys, self.share, every_ms=ms(self.every))]


class Expire(KeysFault):
    """Keys get `ttl` to live. The end of the fault spares those that live; the others are lost."""

    about: ClassVar[str] = "keys run out (those that have cannot be given back)"

    fault: Literal["redis.expire"]
    ttl: Duration = Field(description="How long they live on", examples=["1s"])

    @field_validator("ttl")
    @classmethod
    def _lasts(cls, ttl: timedelta) -> timedelta:
        if ms(ttl) < 1:
            raise ValueError("must be 1ms or longer")
        return ttl

    def changes(self) -> list[Change]:
        return [ExpireKeys(self.keys, self.share, ttl_ms=ms(self.ttl))]


class Block(RedisFault):
    """A script keeps Redis busy for `busy`, again and again.

    Redis does one thing at a time: everybody waits for the script, and is served before the next.
    """

    about: ClassVar[str] = "everybody waits for a slow script"

    fault: Literal["redis.block"]
    busy: Duration = Field(default=timedelta(milliseconds=300), description="How long each time")

    @field_validator("busy")
    @classmethod
    def _is_bounded(cls, busy: timedelta) -> timedelta:
        if not 1 <= ms(busy) <= ms(LONGEST_SCRIPT):
            raise ValueError("must be 1ms to 1s: so long the end of the fault may have to wait")
        return busy

    def changes(self) -> list[Change]:
        return [BlockRedis(ms(self.busy))]


class Memory(RedisFault):
    """Redis has no memory left: it refuses to write, and forgets nothing. Reading goes on.

    `maxmemory` is set to less than is used, without eviction; the end of the fault restores both.
    """

    about: ClassVar[str] = "there is no memory left to write to"

    fault: Literal["redis.memory"]

    def changes(self) -> list[Change]:
        return [FillMemory()]


RedisFaults = Evict | Expire | Block | Memory
