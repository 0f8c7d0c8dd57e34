"""All starts of a run as columns, in the order they were meant to be made.

A record is a hundred bytes, and most questions need a few of them: so each field is taken out of
the records once, when it is first asked for, and kept. What every metric, check and chart says is
said over these columns.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.traffic.history import RECORD, History
from gameday.traffic.metrics.accounting import Figures, columns, unrecorded
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.schedule.virtual_users import VirtualUsers

Indices = npt.NDArray[np.intp]
_SELDOM: Final = ("issue_id", "remaining")
# Taken out of the records together, as each pass over them costs as much as what it takes.
_TOGETHER: Final = tuple(name for name in RECORD.names or () if name not in _SELDOM)


class Starts:
    """Every dispatched start of all histories; column `scenario` counts into `names`.

    Raises AccountingError when a history contradicts itself.
    """

    def __init__(self, histories: Sequence[History], *, so_far: bool = False) -> None:
        """All starts; with `so_far` only those that have a record, in the order of their end."""
        self.histories = tuple(sorted(histories, key=lambda one: one.scenario))
        self.names = tuple(sorted({history.scenario for history in histories}))
        self._so_far = so_far
        # Whose each part is, by its place in `histories`: the records of each, then made-up ones.
        self._owners = list(range(len(self.histories)))
        self._parts = [history.records for history in self.histories]
        self._taken = dict(columns(self._parts, _TOGETHER).by_name)
        self._made: dict[str, Figures] = {}
        if not so_far:
            self._complete()

    def _complete(self) -> None:
        begin = 0
        for owner, history in enumerate(self.histories):
            end = begin + len(history.records)
            made = unrecorded(history, self._taken["k"][begin:end])
            if len(made):
                self._owners.append(owner)
                self._parts.append(made)
            begin = end
        if len(self._parts) > len(self.histories):
            made_up = columns(self._parts[len(self.histories) :], _TOGETHER)
            for name, column in self._taken.items():
                self._taken[name] = np.concatenate([column, made_up[name]])

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __getitem__(self, name: str) -> Figures:
        """A field of all rows, or their `scenario`."""
        if name not in self._made:
            self._made[name] = self.scenario if name == "scenario" else self._ordered(name)
        return self._made[name]

    def pick(self, name: str, indices: Indices) -> Figures:
        """A field of a few rows, without taking it out of all."""
        at = indices if self._order is None else self._order[indices]
        found = np.zeros(len(at), dtype=RECORD[name])
        before = 0
        for part in self._parts:
            inside = np.flatnonzero((at >= before) & (at < before + len(part)))
            if len(inside):
                found[inside] = part[name][at[inside] - before]
            before += len(part)
        return found

    def _ordered(self, name: str) -> Figures:
        order = self._order
        column = self._taken.pop(name, None)
        if column is None:
            column = columns(self._parts, (name,))[name]
        return column if order is None else column[order]

    @cached_property
    def _order(self) -> Indices | None:
        """The index in the parts of each row in order; None where they are in order already."""
        if self._so_far or not len(self):
            return None
        ks, times = self._taken["k"], self._taken["intended_ns"]
        order = _by_number_alone(ks, times) if len(self.names) == 1 else None
        if order is None:
            whose = np.repeat(self._owners, [len(part) for part in self._parts])
            mine = [np.flatnonzero(whose == owner) for owner in range(len(self.histories))]
            order = np.concatenate([rows[_by_number(ks[rows], times[rows])] for rows in mine])
            if len(mine) > 1:
                order = order[np.argsort(times[order], kind="stable")]
        return order if (order[1:] - order[:-1] != 1).any() else None

    @cached_property
    def scenario(self) -> npt.NDArray[np.int32]:
        """The place of each row's scenario in `names`."""
        codes = [self.names.index(self.histories[owner].scenario) for owner in self._owners]
        lengths = [len(part) for part in self._parts]
        column = np.repeat(np.array(codes, dtype=np.int32), lengths)
        return column if self._order is None else column[self._order]

    def record(self, index: int) -> np.void:
        """One row as its history holds it."""
        at = index if self._order is None else int(self._order[index])
        for part in self._parts:
            if at < len(part):
                row: np.void = part[at]
                return row
            at -= len(part)
        raise IndexError(index)

    def derived(self, name: str, make: Callable[["Starts"], Figures]) -> Figures:
        """A column that is reckoned from others, made when it is first asked for."""
        if name not in self._made:
            self._made[name] = make(self)
        return self._made[name]

    @cached_property
    def t0_ns(self) -> int:
        return min((history.header.t0_ns for history in self.histories), default=0)

    @cached_property
    def last_ns(self) -> int:
        """The last instant that any record tells of."""
        return max(int(self[name].max(initial=0)) for name in ("ended_ns", "intended_ns"))

    @property
    def length_s(self) -> float:
        return max(self.last_ns - self.t0_ns, 0) / 1e9

    @cached_property
    def scenarios(self) -> Mapping[str, Scenario]:
        """Each scenario as it was asked for, by name."""
        return {history.scenario: history.header.spec for history in self.histories}

    @cached_property
    def sleep_ns(self) -> npt.NDArray[np.int64]:
        """The pause after each request, by scenario in the order of `names`."""
        pauses = [self.scenarios[name].sleep_ns for name in self.names]
        return np.array(pauses, dtype=np.int64)

    @property
    def closed(self) -> tuple[str, ...]:
        """The scenarios of virtual users: their requests have no intended time but the send."""
        return tuple(name for name in self.names if isinstance(self.scenarios[name], VirtualUsers))


Told = Sequence[History] | Starts


def gather(told: Told) -> Starts:
    """The starts of some histories. Raises AccountingError."""
    return told if isinstance(told, Starts) else Starts(told)


def _by_number_alone(ks: Figures, times: Figures) -> Indices | None:
    """The rows of one scenario by k, where that is the order of their times and leaves none out."""
    if int(ks.max()) >= len(ks):
        return None
    order = np.full(len(ks), -1, dtype=np.intp)
    order[ks] = np.arange(len(ks))
    ordered = times[order]
    in_order = bool((ordered[1:] > ordered[:-1]).all())
    return order if in_order and int(order.min()) >= 0 else None


def _by_number(ks: Figures, times: Figures) -> Indices:
    """The rows of one history by k, which is the order of their times; else by time."""
    if not len(ks):
        return np.zeros(0, dtype=np.intp)
    place = np.full(int(ks.max()) + 1, -1, dtype=np.intp)
    place[ks] = np.arange(len(ks))
    order = place[place >= 0]
    if (np.diff(times[order]) < 0).any():
        order = order[np.argsort(times[order], kind="stable")]
    return order
