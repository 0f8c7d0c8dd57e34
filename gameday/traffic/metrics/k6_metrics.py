"""k6's metrics of some starts, and of the part of them that carries certain tags.

Tags are k6's (scenario, status, method, name, url, proto, group, expected_response) and gameday's
own: outcome, reason, and window, which is where in the run a start was due (before a fault,
during, after). Every attempt of a start that was asked again is a request.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.traffic.history import Outcome, Reason
from gameday.traffic.metrics.concurrency import most_open
from gameday.traffic.metrics.percentiles import (
    INTENDED,
    ITERATION,
    Fields,
    blocked_ns,
    figures,
    has_sample,
    is_timed,
    open_in_the_end,
    spans,
    store,
)
from gameday.traffic.metrics.records import Starts
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.schedule.virtual_users import VirtualUsers
from gameday.traffic.thresholds import METRICS, MetricKey

Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp] | slice
Window = tuple[int, int]

_PIECE: Final = 1 << 14  # rows that fit into a processor's cache
EXPECTED: Final = (Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.ACCEPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Context that the records do not hold. Windows are from and to, in ns of the run's clock.

    `tags` are those that all requests share, such as the method; `windows` the stretches of the
    run by name; `apart` those in which a step refused requests on purpose.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    windows: Mapping[str, Sequence[Window]] = field(default_factory=dict)
    apart: Sequence[Window] = ()


def request_tags(method: str, path: str) -> dict[str, str]:
    """The tags that all requests of a run share, as k6 names them."""
    return {"method": method, "name": path, "url": path, "proto": "HTTP/1.1", "group": ""}


@dataclass(frozen=True, slots=True)
class StartSelection:
    """Some starts of a run, by their places in it; all where `kept` is None."""

    starts: Starts
    kept: Places | None = None
    about: About = About()

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        return self._of(self.starts[name])

    def __len__(self) -> int:
        if isinstance(self.kept, slice):
            return len(range(*self.kept.indices(len(self.starts))))
        return len(self.starts) if self.kept is None else len(self.kept)

    def _of(self, whole: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return whole if self.kept is None else whole[self.kept]

    def tagged(self, tags: Mapping[str, str]) -> "StartSelection":
        """The starts of all that carry all these tags."""
        masks = [_carries(self, tag, value) for tag, value in tags.items()]
        if not masks:
            return self
        return StartSelection(self.starts, _places(np.logical_and.reduce(masks)), self.about)

    def could_happen(self, tags: Mapping[str, str]) -> bool:
        """True if the tags' values exist at all, so that none counted means none happened."""
        known = {
            "scenario": set(self.starts.names),
            "outcome": {outcome.text for outcome in Outcome},
            "reason": {reason.text for reason in Reason},
            "status": {"0", *(str(status) for status in range(100, 600))},
            "expected_response": {"true", "false"},
            "window": set(self.about.windows),
        }
        return len(self.starts) > 0 and all(
            value in known.get(tag, {self.about.tags.get(tag)}) for tag, value in tags.items()
        )

    def derived(self, name: str, make: Callable[[Starts], npt.NDArray[np.generic]]) -> Times:
        """A column that is reckoned from others, once for all parts."""
        return np.asarray(self._of(self.starts.derived(name, make)))


def _places(kept: Mask) -> Places:
    """The rows where the mask is true: a slice where there are no gaps, as in a window."""
    at = np.flatnonzero(kept)
    if len(at) and int(at[-1]) - int(at[0]) + 1 == len(at):
        return slice(int(at[0]), int(at[-1]) + 1)
    return at


def _carries(part: StartSelection, tag: str, value: str) -> Mask:
    starts = part.starts
    if tag == "window":
        return inside(starts["intended_ns"], part.about.windows.get(value, ()))
    if tag == "expected_response":
        expected = starts.derived("expected", _expected)
        return expected if value == "true" else ~expected & (value == "false")
    codes: Mapping[str, Mapping[str, int]] = {
        "scenario": {name: code for code, name in enumerate(starts.names)},
        "outcome": {outcome.text: int(outcome) for outcome in Outcome},
        "reason": {reason.text: int(reason) for reason in Reason},
        "status": {str(status): status for status in range(1000)},
    }
    if tag in codes:
        kept: Mask = starts[tag] == codes[tag].get(value, -1)
        return kept
    return np.full(len(starts), part.about.tags.get(tag) == value)


def _expected(starts: Starts) -> Mask:
    masks = [starts["outcome"] == outcome for outcome in EXPECTED]
    return np.asarray(np.logical_or.reduce(masks))


def inside(times: Times, windows: Sequence[Window]) -> Mask:
    """Which instants lie in one of the windows, its end not included."""
    found = np.zeros(len(times), dtype=bool)
    for begin_ns, end_ns in windows:
        found |= (times >= begin_ns) & (times < end_ns)
    return found


def metric(
    asked: MetricKey, part: StartSelection, percentiles: Sequence[float]
) -> Mapping[str, float] | None:
    """The figures of a metric, of the part that carries its tags; None when it has no sample.

    A counter of something that did not happen is 0 as long as there was traffic in which it could.
    """
    if not len(part):
        zero = asked.kind == "counter" and part.could_happen(asked.tags)
        return {"count": 0, "rate": 0.0} if zero else None
    if asked.kind == "trend":
        samples, waiting = trend_samples(asked.metric, part)
        return figures(store(samples), waiting, percentiles)
    if asked.kind == "counter":
        total, length_s = counted(asked.metric, part), part.starts.length_s
        return {"count": total, "rate": total / length_s if length_s else 0.0}
    return _gauge(asked.metric, part) if asked.kind == "gauge" else _failed(part)


def trend_samples(name: str, part: StartSelection) -> tuple[Times, Times]:
    """The samples of a trend in ns, and how long the requests had taken that stayed open."""
    has = part.derived(
        f"has {name}",
        lambda all_: has_sample(name, all_, all_.derived("timed", is_timed)),
    )
    samples = part.derived(f"span {name}", lambda all_: _spans(name, all_))
    if not has.all():
        samples = samples[np.flatnonzero(has)]
    if not part.starts.derived("open", _open).any():
        return samples, samples[:0]
    return samples, open_in_the_end(name, part, part.starts.last_ns)


def _open(starts: Starts) -> Mask:
    found: Mask = starts["reason"] == Reason.INTERRUPTED
    return found


def _blocked(starts: Starts) -> Times:
    return _in_pieces(starts, blocked_ns)


def _spans(name: str, starts: Starts) -> Times:
    blocked = starts.derived("blocked", _blocked)
    if name == "http_req_blocked":
        return blocked
    found = _in_pieces(starts, lambda piece: spans(name, piece, piece.derived("blocked", _blocked)))
    if name == ITERATION and starts.sleep_ns.any():
        found = found + starts.sleep_ns[starts.scenario]
    return found


def _in_pieces(starts: Starts, reckon: Callable[[StartSelection], Times]) -> Times:
    """A column reckoned piece by piece: what is in between stays near the processor."""
    found = np.empty(len(starts), dtype=np.int64)
    for begin in range(0, len(starts), _PIECE):
        piece = slice(begin, begin + _PIECE)
        found[piece] = reckon(StartSelection(starts, piece))
    return found


def counted(name: str, rows: Fields) -> int:
    """A counter's value."""
    outcome = np.asarray(rows["outcome"])
    asked = outcome != Outcome.DROPPED
    if name == "http_reqs":
        return _sum(np.maximum(rows["attempts"], 1), asked)
    if name == "iterations":
        return int(np.count_nonzero(asked & (rows["reason"] != Reason.INTERRUPTED)))
    if name == "dropped_iterations":
        return len(rows) - int(np.count_nonzero(asked))
    if name == "data_sent":
        return _sum(np.asarray(rows["bytes_sent"]), asked)
    return (_sum(rows["received_64k"], asked) << 16) + _sum(rows["bytes_received"], asked)


def _sum(column: npt.NDArray[np.integer], kept: Mask) -> int:
    return int((column * kept).sum(dtype=np.int64))


def refused_on_purpose(rows: Fields, apart: Sequence[Window]) -> Mask:
    """Refusals that a step asked for: answered so, and open within one of its windows."""
    found = np.zeros(len(rows), dtype=bool)
    for begin_ns, end_ns in apart:
        found |= (rows["ended_ns"] >= begin_ns) & (rows["sent_ns"] < end_ns)
    if apart:
        found &= (rows["outcome"] == Outcome.REFUSED) & (rows["status"] > 0)
    return found


def failures(rows: Fields, apart: Sequence[Window]) -> tuple[int, int]:
    """The failed requests, and all that count; one that a full system did not take has failed.

    An attempt that was made again had failed.
    """
    outcome = np.asarray(rows["outcome"])
    dropped = outcome == Outcome.DROPPED
    full = dropped & (rows["reason"] == Reason.SYSTEM_SATURATED)
    counts = ~dropped | full
    if apart:
        counts &= ~refused_on_purpose(rows, apart)
    bad = (outcome == Outcome.REFUSED) | (outcome == Outcome.UNKNOWN) | full
    total = int(np.count_nonzero(counts))
    again = _sum(np.maximum(rows["attempts"], 1), counts) - total
    return int(np.count_nonzero(bad & counts)) + again, total + again


def _failed(part: StartSelection) -> Mapping[str, float] | None:
    """k6's rate: `passes` are the failures."""
    bad, total = failures(part, part.about.apart)
    if not total:
        return None
    return {"rate": bad / total, "passes": bad, "fails": total - bad}


def _gauge(name: str, part: StartSelection) -> Mapping[str, float]:
    """Virtual users: those at work, and those there were, where a scenario says how many."""
    if part.kept is None:  # asked for twice, of all starts
        most = int(part.starts.derived("at work", lambda _: np.array(_most_at_work(part))))
    else:
        most = _most_at_work(part)
    if name == "vus":
        return {"value": 0, "min": 0, "max": most}
    codes = np.flatnonzero(np.bincount(np.asarray(part["scenario"]))).tolist()
    given = sum(_given(part.starts.scenarios[part.starts.names[code]]) for code in codes)
    most = max(most, given)
    return {"value": most, "min": 0, "max": most}


def _given(scenario: Scenario) -> int:
    if isinstance(scenario, VirtualUsers):
        return scenario.most_vus
    return 0 if scenario.limit is None else scenario.limit.first


def _most_at_work(part: StartSelection) -> int:
    """After each send: sent so far, less those that had ended and paused."""
    sent, ended = np.asarray(part["sent_ns"]), np.asarray(part["ended_ns"])
    pause = part.starts.sleep_ns[part["scenario"]] if part.starts.sleep_ns.any() else 0
    asked = sent > 0
    over = asked & (ended > 0)
    ends = ended + pause if part.starts.sleep_ns.any() else ended
    return most_open(_only(sent, asked), _only(ends, over))


def _only(times: Times, kept: Mask) -> Times:
    return times if kept.all() else times[np.flatnonzero(kept)]


def all_metrics(
    part: StartSelection, percentiles: Sequence[float]
) -> dict[str, Mapping[str, float]]:
    """Every metric of the run that has a sample, and the parts that are always told."""
    found = {}
    for tags, names in [({}, list(METRICS)), *_sub_metrics(part)]:
        tagged = part.tagged(tags)
        for asked in (MetricKey(name, tags) for name in names):
            said = metric(asked, tagged, percentiles)
            if said is not None:
                found[asked.text] = said
    return found


def _sub_metrics(part: StartSelection) -> list[tuple[dict[str, str], Sequence[str]]]:
    """By outcome, by scenario where there are several, and by window."""
    counts = np.bincount(part["outcome"], minlength=len(Outcome))
    there = [one for one in Outcome if one != Outcome.DROPPED and counts[one]]
    duration = ("http_req_duration",)
    several = ("http_reqs", "http_req_failed", "http_req_duration", INTENDED)
    names = part.starts.names
    return [
        *(({"expected_response": "true"}, duration) for _ in range(bool(there))),
        *(({"outcome": outcome.text}, duration) for outcome in there),
        *(({"scenario": name}, several) for name in names if len(names) > 1),
        *(({"window": name}, several) for name in part.about.windows),
    ]
