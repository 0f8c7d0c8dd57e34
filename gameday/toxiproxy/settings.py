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
HELD_BYTES_MAX = 256 * 1024 * 1024
"""The bytes that all links hold late together; beyond them only `HELD_BYTES_LEFT` each.

Toxiproxy holds up to 33 MB for each connection, so readers that stand still behind a latency take
any machine's memory. One link may still hold that much: a reader is slowed down earlier than by
Toxiproxy only where eight such links are full at once. Not counted is the one read (250 KB at most)
that a link may keep before its first toxic, or a client while its upstream is dialled.
"""
HELD_BYTES_LEFT = 64 * 1024  # what a link may hold whatever the others do, so none stands still


class HeldBytes:
    """The bytes that latencies hold in all links of a server."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


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
    held: HeldBytes = field(default_factory=HeldBytes)
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
