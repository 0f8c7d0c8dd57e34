"""Measuring on a machine whose host takes processors away in bursts: again, for all alike.

Each measurement notes how much of all processors' time was stolen meanwhile. Where that is more
than one part in twenty it is made again, at most three times in all, and the least disturbed one
counts. One that nearly did what was asked for is made again, too, calm or not: a single burst of
15 ms is enough for a miss. A time limit goes before: when the time of a part is over nothing is
made again, and no round of it begins but the first. What fails is said, and leaves the others
alone.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

import psutil

from gameday.core.errors import GamedayError

STOLEN_MAX: Final = 0.05
TRIES: Final = 3
# What a tool that is broken, or that says something else than it used to, ends in.
FAILURES: Final = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AssertionError,
    EOFError,
    GamedayError,
    subprocess.SubprocessError,
)

T = TypeVar("T")


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def stolen_s() -> float:
    """Seconds of all processors that the host has kept since boot; 0 where nobody tells."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


@dataclass(slots=True)
class Tally:
    """How one tool was disturbed: a share for each measurement that counts."""

    stolen: list[float] = field(default_factory=list)
    repeated: int = 0
    failed: int = 0

    def __str__(self) -> str:
        if not self.stolen:
            return "–"
        middle, worst = statistics.median(self.stolen), max(self.stolen)
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{middle:.1%}, at most {worst:.1%}; {self.repeated} again{failed}"


class Calm:
    """Makes measurements, and remembers how disturbed those of each tool were."""

    def __init__(
        self,
        until_s: float = float("inf"),
        now_s: Callable[[], float] = time.monotonic,
        stolen: Callable[[], float] = stolen_s,
    ) -> None:
        self.until_s = until_s
        self.tallies: dict[str, Tally] = {}
        self._now_s = now_s
        self._stolen_s = stolen

    @property
    def over(self) -> bool:
        return self._now_s() >= self.until_s

    def rounds(self, count: int) -> Iterator[int]:
        """Up to `count`: the first in any case, the others while there is time."""
        for number in range(count):
            if number and self.over:
                say(f"no time for more: {number} of {count} rounds")
                return
            yield number

    def take(
        self, name: str, measure: Callable[[], T], judge: Callable[[T], bool | None] | None = None
    ) -> T | None:
        """The least disturbed of up to three; None where all failed.

        `judge` says True of one that will do, calm or not; False of one that will not; and None
        of one that nearly did, which does not end the search even if it was calm.
        """
        tally = self.tallies.setdefault(name, Tally())
        best: tuple[float, T] | None = None
        for number in range(TRIES):
            if number and self.over:
                break
            tally.repeated += number > 0
            stolen, found = self._one(name, measure)
            if found is None:
                tally.failed += 1
                continue
            said = False if judge is None else judge(found)
            if said or best is None or stolen < best[0]:
                best = stolen, found
            if said or (said is False and stolen <= STOLEN_MAX):
                break
        if best is None:
            return None
        tally.stolen.append(best[0])
        return best[1]

    def _one(self, name: str, measure: Callable[[], T]) -> tuple[float, T | None]:
        before_s, began_s = self._stolen_s(), self._now_s()
        found: T | None = None
        try:
            found = measure()
        except FAILURES as error:
            say(f"{name} FAILED: {type(error).__name__}: {error}")
        took_s = max(self._now_s() - began_s, 1e-9) * (os.cpu_count() or 1)
        return (self._stolen_s() - before_s) / took_s, found
