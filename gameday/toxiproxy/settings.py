"""Settings that all proxies of one server share: the clock, the seed, the limits, the counters."""

import resource
from dataclasses import dataclass, field

from gameday.core.clock import Clock
from gameday.toxiproxy.metrics import Metrics
from gameday.toxiproxy.timers import Alarms

CONNECTIONS_MAX = 10_000  # two descriptors each; more would starve the API of them
CLIENTS_MAX = 500  # of the API: tests use a few; bounds memory
FILES_KEPT_FREE = 100  # for listeners and what a process has open anyway
FILES_PER_CONNECTION = 2  # the client's socket, and the upstream's


@dataclass(slots=True, kw_only=True)
class Shared:
    """Settings that never change, and the number of open connections, which does."""

    clock: Clock
    seed: int
    half_close: bool = False
    connections_max: int = CONNECTIONS_MAX
    clients_max: int = CLIENTS_MAX
    metrics: Metrics = field(default_factory=Metrics)
    connections_open: int = 0
    alarms: Alarms = field(init=False)

    def __post_init__(self) -> None:
        self.alarms = Alarms(self.clock)


def raise_file_limit() -> tuple[int, int]:
    """Allow as many open files as the system lets us.

    Returns how many connections that carries, and how many clients of the API beside them.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX, CLIENTS_MAX
    clients = max(8, min(CLIENTS_MAX, hard // 8))
    spare = (hard - FILES_KEPT_FREE - clients) // FILES_PER_CONNECTION
    return max(1, min(CONNECTIONS_MAX, spare)), clients
