"""`python -m tests.support.catalogue`: the metrics of the service, as its catalogue keeps them.

Made by the service's own classes; a test compares the names and labels with the file.
"""

import sys
from types import SimpleNamespace
from typing import Any

from prometheus_client.exposition import generate_latest

from system_under_test.metrics import DEPENDENCIES, Live, Metrics


def service_metrics() -> str:
    """An answer of the admin port's /metrics while one campaign is open."""
    metrics = Metrics()
    campaign = SimpleNamespace(
        code="COUPON", stock=1, strategy="redis", paused=False, paused_s=None
    )
    control: Any = SimpleNamespace(open=[campaign], limit_users=False)
    live = Live(control, lambda: 0)
    for name in DEPENDENCIES:
        lane: Any = SimpleNamespace(in_use=0, pace=SimpleNamespace(connections=8), live=8)
        live.watch(name, lane)
    live.books.rows["COUPON"] = live.books.redis_remaining["COUPON"] = 0
    metrics.registry.register(live)
    return generate_latest(metrics.registry).decode()


if __name__ == "__main__":
    sys.stdout.write(service_metrics())
