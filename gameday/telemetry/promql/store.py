"""The last minutes of every series, in memory: what expressions are evaluated over.

A store takes whole scrapes. A series that the next scrape of the same source no longer has is
over at once, as in Prometheus: it gets a staleness mark, and selecting it finds nothing. A
scrape that failed is a scrape without series. Only the last `retention_s` are kept.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Hashable, Iterable, Mapping
from copy import copy

from gameday.core.clock import NS
from gameday.telemetry.promql.labels import NAME, Labels, nameless, value_of
from gameday.telemetry.promql.nodes import Node, Selector, may_read
from gameday.telemetry.promql.query import LOOKBACK_S

STALE = float("nan")
_CACHED_SELECTORS = 2048  # some times what experiments and rules name; bounds memory


class Series:
    """The samples of one label set, oldest first; `STALE` itself among the values is a mark."""

    __slots__ = ("falls", "labels", "marks", "nameless", "times", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.nameless = nameless(labels)
        self.times: list[int] = []
        self.values: list[float] = []
        self.marks = 0  # of staleness, among the values
        self.falls = 0  # values that were less than the one before, since the first

    def append(self, t_ns: int, value: float) -> bool:
        """Take a sample; False where it is not newer than the last, nor the same once more."""
        if self.times:
            if t_ns <= self.times[-1]:
                return t_ns == self.times[-1] and _is_same(value, self.values[-1])
            self.falls += value < self.values[-1]
        self.times.append(t_ns)
        self.values.append(value)
        self.marks += value is STALE
        return True

    def trim(self, oldest_ns: int) -> None:
        """Forget what lies before an instant."""
        gone = bisect_left(self.times, oldest_ns)
        if gone:
            self.marks -= sum(value is STALE for value in self.values[:gone])
            del self.times[:gone]
            del self.values[:gone]


class _Past:
    """The values of a subquery's expression by instant, and which names they may come from."""

    __slots__ = ("_node", "_reads", "until_ns", "values")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._reads: dict[str, bool] = {}
        self.until_ns = 0
        self.values: dict[int, dict[Labels, float]] = {}

    def reads(self, name: str) -> bool:
        found = self._reads.get(name)
        if found is None:
            if len(self._reads) >= _CACHED_SELECTORS:
                self._reads.clear()
            found = self._reads[name] = may_read(self._node, name)
        return found

    def void(self, t_ns: int) -> None:
        for each_ns in [each_ns for each_ns in self.values if each_ns >= t_ns]:
            del self.values[each_ns]
        self.until_ns = t_ns - 1


class SeriesStore:
    """Series by name and labels; `wall_offset_ns` turns instants into wall time for `time()`.

    `first_ns` is the earliest instant of all that was taken, which may be forgotten by now;
    `created` counts all series there ever were, `created_characters` those of their labels.
    """

    def __init__(self, retention_s: float = LOOKBACK_S + 60, *, wall_offset_ns: int = 0) -> None:
        self.retention_ns = int(retention_s * NS)
        self.wall_offset_ns = wall_offset_ns
        self._series: dict[Labels, Series] = {}
        self._by_name: dict[str, dict[Labels, Series]] = {}
        self._live: dict[str, dict[Labels, Series]] = {}
        self._selected: dict[tuple[object, ...], list[Series]] = {}
        self._past: dict[Hashable, _Past] = {}
        self._past_until_ns: int | None = None
        self.forgotten_ns: int | None = None
        self.first_ns: int | None = None
        self.created = self.created_characters = 0
        self._sweep_ns: int | None = None

    def __len__(self) -> int:
        return len(self._series)

    def __contains__(self, labels: Labels) -> bool:
        return labels in self._series

    def append(
        self, t_ns: int, series: Iterable[tuple[Labels, float]], source: str | None = None
    ) -> int:
        """Take one scrape at `t_ns`; the number of samples refused as not newer is returned.

        With a `source`, series that its last scrape had and this one has not are marked stale.
        """
        seen: dict[Labels, Series] = {}
        refused = 0
        if self.first_ns is None or t_ns < self.first_ns:
            self.first_ns = t_ns
        for labels, value in series:
            held = self._series.get(labels) or self._create(labels)
            if held.append(t_ns, value):
                seen[labels] = held
            else:
                refused += 1
        before: Mapping[Labels, Series] = {}
        if source is not None:
            before = self._live.get(source, {})
            for labels, held in before.items():
                if labels not in seen:
                    held.append(t_ns, STALE)
            self._live[source] = seen
        if self._past_until_ns is not None and t_ns <= self._past_until_ns:
            self._void_past(t_ns, {value_of(labels, NAME) for labels in (*seen, *before)})
        self._sweep(t_ns)
        return refused

    def select(self, selector: Selector) -> list[Series]:
        """Every series that all matchers accept."""
        found = self._selected.get(selector.matchers)
        if found is None:
            if len(self._selected) >= _CACHED_SELECTORS:
                self._selected.clear()
            found = [held for held in self._candidates(selector) if _accepts(selector, held)]
            self._selected[selector.matchers] = found
        return found

    def apart(self) -> "SeriesStore":
        """The same series, with a memory of its own of what was selected and evaluated.

        It is to be read at once: what is taken later need not be in it.
        """
        found = copy(self)
        found.forget_evaluated()
        return found

    def forget_evaluated(self) -> None:
        """Select and evaluate everything anew; a copy has caches of its own from here on."""
        self._selected, self._past, self._past_until_ns = {}, {}, None

    def past(self, key: Hashable, node: Node, until_ns: int) -> dict[int, dict[Labels, float]]:
        """The values of a node by instant, up to `until_ns`, that a subquery can come back to.

        A sample that is taken later, and that the node may read, voids what is not older than it.
        """
        self._past_until_ns = max(until_ns, self._past_until_ns or until_ns)
        if len(self._past) >= _CACHED_SELECTORS and key not in self._past:
            self._past.clear()
        past = self._past.get(key)
        if past is None:
            past = self._past[key] = _Past(node)
        past.until_ns = max(until_ns, past.until_ns)
        return past.values

    def _void_past(self, t_ns: int, names: Collection[str]) -> None:
        for past in self._past.values():
            if past.until_ns >= t_ns and any(map(past.reads, names)):
                past.void(t_ns)
        self._past_until_ns = max((past.until_ns for past in self._past.values()), default=None)

    def _candidates(self, selector: Selector) -> Iterable[Series]:
        if selector.name:
            return self._by_name.get(selector.name, {}).values()
        return self._series.values()

    def _create(self, labels: Labels) -> Series:
        held = Series(labels)
        self.created += 1
        self.created_characters += sum(len(key) + len(value) for key, value in labels)
        self._series[labels] = held
        self._by_name.setdefault(value_of(labels, NAME), {})[labels] = held
        self._selected.clear()
        return held

    def _sweep(self, t_ns: int) -> None:
        """Every now and then, forget what is past its retention."""
        if self._sweep_ns is None:
            self._sweep_ns = t_ns
        if t_ns - self._sweep_ns < max(NS, self.retention_ns // 8):
            return
        self._sweep_ns = t_ns
        self.forget_before(t_ns - self.retention_ns)

    def forget_before(self, oldest_ns: int) -> None:
        """Forget every sample before an instant, and series without any."""
        self.forgotten_ns = oldest_ns
        for held in list(self._series.values()):
            held.trim(oldest_ns)
            if not held.times:
                self._forget(held.labels)

    def _forget(self, labels: Labels) -> None:
        name = value_of(labels, NAME)
        del self._series[labels]
        del self._by_name[name][labels]
        if not self._by_name[name]:
            del self._by_name[name]
        self._selected.clear()


def _is_same(value: float, other: float) -> bool:
    """True for equal values, and for two that are no number; a mark of staleness is none."""
    if value is STALE or other is STALE:
        return False
    return value == other or (math.isnan(value) and math.isnan(other))


def _accepts(selector: Selector, held: Series) -> bool:
    return all(matcher.accepts(held.labels) for matcher in selector.matchers)
