"""What every proxy of one server has in common: the clock, the seed, the limits, the counters."""

import resource
from dataclasses import dataclass, field

from gameday.clock import Clock
from gameday.toxiproxy.alarms import Alarms
from gameday.toxiproxy.metrics import Metrics

CONNECTIONS_MAX = 10_000
FILES_KEPT_FREE = 200
FILES_PER_CONNECTION = 2


@dataclass(slots=True, kw_only=True)
class Shared:
    """Settings that never change, and the number of open connections, which does."""

    clock: Clock
    seed: int
    half_close: bool = False
    connections_max: int = CONNECTIONS_MAX
    metrics: Metrics = field(default_factory=Metrics)
    connections_open: int = 0
    alarms: Alarms = field(init=False)

    def __post_init__(self) -> None:
        self.alarms = Alarms(self.clock)

    @property
    def counts_bytes(self) -> bool:
        return self.metrics.counts_proxies


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us; how many connections that carries."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, (hard - FILES_KEPT_FREE) // FILES_PER_CONNECTION))
