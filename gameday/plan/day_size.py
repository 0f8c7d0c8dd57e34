"""Disk and time that a game day takes: the runs of its agenda together, before any is begun."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gameday.plan.rules.day import experiments, planned_s
from gameday.plan.traffic_size import evidence_bytes
from gameday.spec.day import BreakItem
from gameday.spec.day_files import LoadedDay
from gameday.spec.inputs import LoadedExperiment


@dataclass(frozen=True, slots=True)
class ItemSize:
    """An item of the agenda; `experiment` is None for a break."""

    experiment: LoadedExperiment | None
    length_s: float
    disk_bytes: int
    optional: bool = False


@dataclass(frozen=True, slots=True)
class DaySize:
    """A whole day, with everything that is optional in it."""

    items: Sequence[ItemSize]

    @property
    def length_s(self) -> float:
        """Seconds of breaks and traffic; the starts of stacks come on top."""
        return sum(each.length_s for each in self.items)

    @property
    def disk_bytes(self) -> int:
        return sum(each.disk_bytes for each in self.items)

    @property
    def least_bytes(self) -> int:
        """Disk of the runs that are not optional."""
        return sum(each.disk_bytes for each in self.items if not each.optional)


def day_size(loaded: LoadedDay, *, short: bool = False) -> DaySize:
    """The size of a day. Raises FileError at the item whose experiment cannot be had."""
    return DaySize(list(_items(loaded, short=short)))


def _items(loaded: LoadedDay, *, short: bool) -> Iterator[ItemSize]:
    found = iter(experiments(loaded, short=short))
    for item in loaded.day.agenda:
        if isinstance(item, BreakItem):
            yield ItemSize(None, planned_s(item, None), 0)
            continue
        experiment = next(found)
        needed = evidence_bytes(experiment.experiment)
        yield ItemSize(experiment, planned_s(item, experiment), needed, item.optional)


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder, which need not be there yet. Raises OSError."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
