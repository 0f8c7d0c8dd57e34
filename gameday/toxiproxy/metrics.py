"""The two byte counters that Toxiproxy offers to Prometheus, and those of the process.

Bytes are added when a link ends, as in Toxiproxy, so long-lived connections show nothing until
they close. Without a flag there are no metrics and no bytes are counted.
"""

from collections.abc import Mapping

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

LABELS = ("direction", "listener", "proxy", "upstream")
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The figures that `/metrics` answers with; none unless a flag asks for them."""

    def __init__(self, *, proxies: bool = False, runtime: bool = False) -> None:
        self.counts_proxies = proxies
        self.enabled = proxies or runtime
        self._registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        if proxies:
            self._received = self._counter("toxiproxy_proxy_received_bytes")
            self._sent = self._counter("toxiproxy_proxy_sent_bytes")
        if runtime:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)

    def _counter(self, name: str) -> Counter:
        return Counter(name, "", LABELS, registry=self._registry)

    def link_ended(self, labels: Mapping[str, str], received: int, sent: int) -> None:
        """A link with these labels carried so many bytes."""
        if self.counts_proxies:
            self._received.labels(**labels).inc(received)
            self._sent.labels(**labels).inc(sent)

    def text(self) -> bytes:
        return generate_latest(self._registry)
