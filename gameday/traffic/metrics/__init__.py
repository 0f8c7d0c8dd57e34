"""Metrics of requests: one code for the live metrics, the summary and the judging.

Everything here is a pure fold of history records. `Fold` follows a history that grows and yields
the `k6_*` series; `complete` adds the starts that left no record; `summary` gives k6's figures of
a finished run, `measure` those of one metric or tagged part; `generator` says whether the worker
kept its schedule, `system_limit` from which rate on the system did not carry its traffic.
"""

from gameday.traffic.metrics.accounting import AccountingError, complete
from gameday.traffic.metrics.generator import GeneratorStatus, Rule, generator
from gameday.traffic.metrics.k6_metrics import About, request_tags
from gameday.traffic.metrics.live_traffic import BUCKETS_S, Fold, LiveTraffic, Moment
from gameday.traffic.metrics.records import Starts
from gameday.traffic.metrics.running import RunningTotals
from gameday.traffic.metrics.summary import TrafficSummary, measure, summary, threshold_outcome
from gameday.traffic.metrics.system_limit import Bounds, SystemLimit, system_limit

__all__ = [
    "BUCKETS_S",
    "About",
    "AccountingError",
    "Bounds",
    "Fold",
    "GeneratorStatus",
    "LiveTraffic",
    "Moment",
    "Rule",
    "RunningTotals",
    "Starts",
    "SystemLimit",
    "TrafficSummary",
    "complete",
    "generator",
    "measure",
    "request_tags",
    "summary",
    "system_limit",
    "threshold_outcome",
]
