"""The last minutes of every series, in memory: what expressions are evaluated over.

A store takes whole scrapes. A series that the next scrape of the same source no longer has is
over at once, as in Prometheus: it gets a staleness mark, and selecting it finds nothing. A
scrape that failed is a scrape without series. Only the last `retention_s` are kept.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterable

from gameday.core.clock import NS
from gameday.telemetry.promql.labels import NAME, Labels, nameless, value_of
from gameday.telemetry.promql.nodes import Selector
from gameday.telemetry.promql.query import LOOKBACK_S

STALE = float("nan")
_CACHED_SELECTORS = 2048  # some times what experiments and rules name; bounds memory


class Series:
    """The samples of one label set, oldest first; `STALE` itself among the values is a mark."""

    __slots__ = ("labels", "marks", "nameless", "times", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.nameless = nameless(labels)
        self.times: list[int] = []
        self.values: list[float] = []
        self.marks = 0

    def append(self, t_ns: int, value: float) -> bool:
        """Take a sample; False where it is not newer than the last."""
        if self.times and t_ns <= self.times[-1]:
            return False
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


class SeriesStore:
    """Series by name and labels; `wall_offset_ns` turns instants into wall time for `time()`."""

    def __init__(self, retention_s: float = LOOKBACK_S + 60, *, wall_offset_ns: int = 0) -> None:
        self.retention_ns = int(retention_s * NS)
        self.wall_offset_ns = wall_offset_ns
        self._series: dict[Labels, Series] = {}
        self._by_name: dict[str, dict[Labels, Series]] = {}
        self._live: dict[str, dict[Labels, Series]] = {}
        self._selected: dict[tuple[object, ...], list[Series]] = {}
        self._past: dict[Hashable, dict[int, dict[Labels, float]]] = {}
        self._past_until_ns: int | None = None
        self.forgotten_ns: int | None = None
        self._sweep_ns: int | None = None

    def __len__(self) -> int:
        return len(self._series)

    def append(
        self, t_ns: int, series: Iterable[tuple[Labels, float]], source: str | None = None
    ) -> int:
        """Take one scrape at `t_ns`; the number of samples refused as not newer is returned.

        With a `source`, series that its last scrape had and this one has not are marked stale.
        """
        if self._past_until_ns is not None and t_ns <= self._past_until_ns:
            self._void_past(t_ns)
        seen: dict[Labels, Series] = {}
        refused = 0
        for labels, value in series:
            held = self._series.get(labels) or self._create(labels)
            refused += not held.append(t_ns, value)
            seen[labels] = held
        if source is not None:
            for labels, held in self._live.get(source, {}).items():
                if labels not in seen:
                    held.append(t_ns, STALE)
            self._live[source] = seen
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

    def past(self, key: Hashable, until_ns: int) -> dict[int, dict[Labels, float]]:
        """The values by instant, up to `until_ns`, that a subquery came to and can come back to.

        A sample that is taken later voids what is not older than it.
        """
        self._past_until_ns = max(until_ns, self._past_until_ns or until_ns)
        if len(self._past) >= _CACHED_SELECTORS and key not in self._past:
            self._past.clear()
        return self._past.setdefault(key, {})

    def _void_past(self, t_ns: int) -> None:
        for known in self._past.values():
            for each_ns in [each_ns for each_ns in known if each_ns >= t_ns]:
                del known[each_ns]
        self._past_until_ns = t_ns - 1

    def _candidates(self, selector: Selector) -> Iterable[Series]:
        if selector.name:
            return self._by_name.get(selector.name, {}).values()
        return self._series.values()

    def _create(self, labels: Labels) -> Series:
        held = Series(labels)
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
        self.forgotten_ns = t_ns - self.retention_ns
        for held in list(self._series.values()):
            held.trim(t_ns - self.retention_ns)
            if not held.times:
                self._forget(held.labels)

    def _forget(self, labels: Labels) -> None:
        name = value_of(labels, NAME)
        del self._series[labels]
        del self._by_name[name][labels]
        if not self._by_name[name]:
            del self._by_name[name]
        self._selected.clear()


def _accepts(selector: Selector, held: Series) -> bool:
    return all(matcher.accepts(held.labels) for matcher in selector.matchers)
