"""Drawing inputs by seed and number, and watching what each does: its error, its time, its memory.

Everything happens in a child, so that an input that hangs or eats the memory is noticed and named,
and the rest goes on in another child. A case is a pure function of (seed, number).
"""

import multiprocessing
import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gameday.core.errors import GamedayError

LONGEST_S = 10.0  # on a processor or asleep; waiting for a processor is the machine's doing
STARVED = 30  # times that long, and it is a hang all the same
POLL_S = 0.2
MOST_MB = 500
_BUG = 70
_CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Case:
    """A reader, and how its input is drawn. `read` may raise GamedayError with a code below 70."""

    draw: Callable[[random.Random], Any]
    read: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Found:
    """An input that did what none may do."""

    reader: str
    number: int
    what: str
    input: str


@dataclass(slots=True)
class Done:
    """What was tried, and what was found."""

    found: list[Found] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    peak_mb: int = 0
    cpu_s: float = 0.0


def run(
    cases: Mapping[str, Case],
    seed: int,
    cpu_s: float,
    tell: Callable[[Found], None],
    only: Sequence[int] | None = None,
) -> Done:
    """Try inputs 0, 1, 2, … until the CPU time is spent, or those of `only`."""
    done, numbers, started_s = Done(), iter(only if only is not None else count()), _cpu_s()
    number, child = next(numbers, None), None
    try:
        while number is not None and done.cpu_s < cpu_s:
            child = child or _Child(cases, seed)
            tried = child.try_(number)
            name = _name(cases, number)
            done.counts[name] += 1
            done.peak_mb = max(done.peak_mb, tried.peak_mb)
            if tried.took_s > done.slowest_s:
                done.slowest_s, done.slowest = tried.took_s, f"{name}, case {number}"
            if tried.what:
                done.found.append(Found(name, number, tried.what, _shown(cases, seed, number)))
                tell(done.found[-1])
            if tried.over or tried.peak_mb > MOST_MB:
                child.end()
                child = None
            done.cpu_s = _cpu_s() - started_s + (child.cpu_s if child else 0.0)
            number = next(numbers, None)
    finally:  # the child waits for its next number for ever
        if child:
            child.end()
    return done


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(each.ru_utime + each.ru_stime for each in used)


@dataclass(slots=True)
class _Tried:
    """How one input went; `over`: its process must not be used again."""

    took_s: float
    peak_mb: int
    cpu_s: float
    what: str
    over: bool = False


class _Child:
    """A process that tries one input after the other."""

    def __init__(self, cases: Mapping[str, Case], seed: int) -> None:
        self.cpu_s = 0.0
        obeys, self._orders = _CONTEXT.Pipe(duplex=False)
        self._hears, says = _CONTEXT.Pipe(duplex=False)
        ours = (self._orders, self._hears)
        self._process = _CONTEXT.Process(target=_work, args=(cases, seed, (obeys, says), ours))
        self._process.start()
        obeys.close()
        says.close()

    def try_(self, number: int) -> _Tried:
        waited_s = self._waited_s()
        self._orders.send(number)
        begun_s = time.monotonic()
        while not self._hears.poll(POLL_S):
            took_s = time.monotonic() - begun_s
            if took_s - (self._waited_s() - waited_s) > LONGEST_S or took_s > STARVED * LONGEST_S:
                self._process.kill()
                return _Tried(LONGEST_S, 0, 0.0, f"a hang of over {LONGEST_S:g} s", over=True)
        try:
            tried = _Tried(*self._hears.recv())
        except EOFError:
            self._process.join()
            what = f"the process ended ({self._process.exitcode})"
            return _Tried(time.monotonic() - begun_s, 0, 0.0, what, over=True)
        self.cpu_s = tried.cpu_s
        return tried

    def _waited_s(self) -> float:
        """How long it wanted a processor and had none, which is no hang; 0 where nobody tells."""
        try:
            _, waited_ns, _ = Path(f"/proc/{self._process.pid}/schedstat").read_text().split()
        except (OSError, ValueError):
            return 0.0
        return int(waited_ns) / 1e9

    def end(self) -> None:
        """Let it end, or end it."""
        self._orders.close()
        self._process.join(LONGEST_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._hears.close()


def _name(cases: Mapping[str, Case], number: int) -> str:
    names = sorted(cases)
    return names[number % len(names)]


def _drawn(cases: Mapping[str, Case], seed: int, number: int) -> Any:
    name = _name(cases, number)
    return cases[name].draw(random.Random(f"{seed} {name} {number}"))


def _shown(cases: Mapping[str, Case], seed: int, number: int) -> str:
    shown = repr(_drawn(cases, seed, number))
    return shown if len(shown) < 2_000 else f"{shown[:1_500]} … ({len(shown)} characters)"


def _work(
    cases: Mapping[str, Case],
    seed: int,
    pipes: tuple[Connection, Connection],
    parents: tuple[Connection, Connection],
) -> None:
    """The child: one number after the other, until nobody asks any more."""
    for each in parents:
        each.close()
    orders, says = pipes
    while True:
        try:
            number = orders.recv()
        except EOFError:
            return
        begun_s, what = time.monotonic(), ""
        drawn = _drawn(cases, seed, number)
        before_mb = _peak_mb()  # what it takes to draw an input is nobody's but ours
        try:
            cases[_name(cases, number)].read(drawn)
        except GamedayError as error:
            if error.exit_code == _BUG:
                what = "".join(traceback.format_exception(error))
        except BaseException as error:  # noqa: BLE001  whatever it is, it is what is looked for
            what = "".join(traceback.format_exception(error))
        peak_mb = _peak_mb()
        if peak_mb > MOST_MB and peak_mb > before_mb and not what:
            what = f"{peak_mb} MB of memory"
        says.send((time.monotonic() - begun_s, peak_mb, _cpu_s(), what))


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
