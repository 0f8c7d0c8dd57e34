"""What is said about requests: one code for the live metrics, the summary and the judging.

Everything here is a pure fold of history records. `Fold` follows a history that grows and yields
the `k6_*` series; `complete` adds the starts that left no record; `summary` gives k6's figures of
a finished run, `measure` those of one metric or tagged part; `generator` says whether the worker
kept its schedule, `own_limit` from which rate on the system did not carry its traffic;
`per_second` is for charts.
"""

from gameday.fold.books import BooksError, complete
from gameday.fold.generator import GeneratorStatus, generator
from gameday.fold.limit import Bounds, OwnLimit, own_limit
from gameday.fold.metrics import About, request_tags
from gameday.fold.moving import Seconds, per_second
from gameday.fold.rule import Rule
from gameday.fold.series import BUCKETS_S, Fold
from gameday.fold.starts import Starts
from gameday.fold.summary import TrafficSummary, measure, summary
from gameday.fold.tally import Tally

__all__ = [
    "BUCKETS_S",
    "About",
    "BooksError",
    "Bounds",
    "Fold",
    "GeneratorStatus",
    "OwnLimit",
    "Rule",
    "Seconds",
    "Starts",
    "Tally",
    "TrafficSummary",
    "complete",
    "generator",
    "measure",
    "own_limit",
    "per_second",
    "request_tags",
    "summary",
]
