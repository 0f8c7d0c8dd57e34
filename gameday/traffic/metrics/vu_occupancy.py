"""Occupancy of virtual users: what kept them busy, and the most starts they can make.

A user who sleeps after each request starts at most once in that time, however fast the system is:
50 who sleep 1 s make 50 starts a second. Where all are busy a start finds none free and is
dropped. Whose doing that is shows in what they were busy with: asleep is ours, and so is too small
a number of them for a system as fast as it is asked to be; waiting for an answer that takes longer
than that is the system's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gameday.traffic.history import History, Outcome, Reason
from gameday.traffic.metrics.accounting import Records, complete

MOSTLY: Final = 0.5  # more than half of the busy time decides who is to blame
ALL_BUSY: Final = 0.99  # one of a hundred may be between two requests at an instant
GRID: Final = 512  # instants that are looked at: a share is good to 0.2 %
_CONNECTING: Final = ("connecting_ms", "tls_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """The virtual users of one scenario from its first start to its last answer.

    `all_busy` is the share of the time in which none was free. The other four share out the time
    they were busy: asleep, waiting for the system, for a connection, and for us to send.
    """

    scenario: str
    most: int
    all_busy: float
    think: float
    server: float
    blocked: float
    own: float
    no_vus: int
    enough: int

    @property
    def held_by_system(self) -> bool:
        """True if a slow system kept them busy, but would not if it were as fast as asked."""
        return self.enough <= self.most and self.server + self.blocked >= MOSTLY


def occupancies(histories: Sequence[History], bound_ms: float) -> list[Occupancy]:
    """One for each scenario with a VU limit. `bound_ms` is how fast the system ought to be."""
    by_name: dict[str, list[History]] = {}
    for history in histories:
        by_name.setdefault(history.scenario, []).append(history)
    found = (_occupancy(name, parts, bound_ms) for name, parts in by_name.items())
    return [one for one in found if one is not None]


def _occupancy(name: str, parts: Sequence[History], bound_ms: float) -> Occupancy | None:
    scenario = parts[0].header.spec
    limit, pause_s = scenario.limit, scenario.sleep_s
    if limit is None:
        return None
    records = np.concatenate([complete(part) for part in parts])
    dropped = records["outcome"] == Outcome.DROPPED
    no_vus = int((dropped & (records["reason"] == Reason.NO_VUS)).sum())
    asked = records[~dropped]
    peak = scenario.highest_rate(0, float("inf"))
    enough = int(np.ceil(peak * (pause_s + bound_ms / 1000)))
    shares = _shares(asked, pause_s)
    return Occupancy(
        scenario=name,
        most=limit.most,
        all_busy=_all_busy(asked, pause_s, limit.most),
        no_vus=no_vus,
        enough=enough,
        **shares,
    )


def _spans(asked: Records, pause_s: float) -> tuple[Any, Any]:
    """From when to when each start kept a virtual user, in ns; one that never ended kept it on."""
    begin = np.where(asked["sent_ns"] > 0, asked["sent_ns"], asked["intended_ns"])
    begin = np.minimum(begin, np.where(asked["intended_ns"] > 0, asked["intended_ns"], begin))
    last = max(int(asked["ended_ns"].max(initial=0)), int(begin.max(initial=0)))
    end = np.where(asked["ended_ns"] > 0, asked["ended_ns"] + round(pause_s * 1e9), last)
    return begin, np.maximum(end, begin)


def _all_busy(asked: Records, pause_s: float, most: int) -> float:
    """The share of the time in which at least `most` were busy, looked at on a fine grid."""
    if not len(asked) or not most:
        return 0.0
    begin, end = _spans(asked, pause_s)
    until = max(int(begin.max()), int(asked["ended_ns"].max(initial=0)))
    grid = np.linspace(begin.min(), until, GRID)
    busy = np.searchsorted(np.sort(begin), grid, "right") - np.searchsorted(
        np.sort(end), grid, "right"
    )
    return float((busy >= most * ALL_BUSY).mean())


def _shares(asked: Records, pause_s: float) -> dict[str, float]:
    """The share of the busy time by activity, from 0 to 1."""
    sent = asked[asked["sent_ns"] > 0]
    ended = sent[sent["ended_ns"] > 0]
    begin, end = _spans(asked, 0.0)
    whole_s = float((end - begin).sum()) / 1e9
    names = [name for name in _CONNECTING if name in (asked.dtype.names or ())]
    blocked_s = sum(float(ended[name].astype(float).sum()) for name in names) / 1e3
    own_s = float(np.maximum(sent["sent_ns"] - sent["intended_ns"], 0).sum()) / 1e9
    think_s = pause_s * int((asked["ended_ns"] > 0).sum())
    server_s = max(whole_s - blocked_s - own_s, 0.0)
    total_s = max(think_s + server_s + blocked_s + own_s, 1e-9)
    parts = {"think": think_s, "server": server_s, "blocked": blocked_s, "own": own_s}
    return {name: value / total_s for name, value in parts.items()}
