"""Vitals of the generator while it sent: a line a second of each worker, and of the canary.

`vitals.jsonl` has one writer, who started the workers, and two kinds of line. `t` is seconds from
t = 0, sums (names that end in `_s`) count from the start of the process, so a line that is lost
loses nothing but its own moment:

    {"worker", "who": "worker-0", "t", "open", "loop_lag_ms", "cpu_s", "waited_s", "throttled_s",
     "stolen_s", "gc_s", "stalls": [[at_s, ms], …], "time_wait"}
        its own processor time, its wait for a processor, the time its control group was
        throttled, the time that other machines took from this one's processors (all together),
        pauses to collect garbage, each time its event loop stood still, ports in TIME_WAIT
    {"who": "canary", "t", "took_ms": number|null, "lag_ms"}
        a request that changes nothing, from the controller: how long its answer took (null: none)
        and how late it was itself

A figure that this system does not tell is 0.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from gameday.core import files
from gameday.core.json import read_lines
from gameday.core.json_objects import json_object, plain, read_object

CANARY: Final = "canary"
LONGEST_LINE: Final = files.MIB
LARGEST_BYTES: Final = files.GIB


class Stall(NamedTuple):
    """The event loop came back at `at_s`, `ms` milliseconds too late."""

    at_s: float
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSample:
    """One worker at one instant; the sums count from the start of its process."""

    worker: int | None = None
    who: str = "worker-0"
    t_s: float = field(metadata={"key": "t"})
    open: int = 0
    loop_lag_ms: float = 0.0
    cpu_s: float = 0.0
    waited_s: float = 0.0
    throttled_s: float = 0.0
    stolen_s: float = 0.0
    gc_s: float = 0.0
    stalls: tuple[Stall, ...] = ()
    time_wait: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSample:
    """One request of the canary; `took_ms` is None where no answer came."""

    who: str = CANARY
    t_s: float = field(metadata={"key": "t"})
    took_ms: float | None
    lag_ms: float = 0.0


Sample = WorkerSample | HealthSample


@dataclass(frozen=True, slots=True)
class Vitals:
    """All that was heard of the workers and the canary, in the order it came."""

    worker_samples: Sequence[WorkerSample] = ()
    health_samples: Sequence[HealthSample] = ()


def line(sample: Sample) -> bytes:
    """The line of the file for it."""
    return json.dumps(plain(sample)).encode() + b"\n"


def _sample(value: object) -> Sample:
    """A line of either kind. Raises ValueError where it is none."""
    is_canary = json_object(value).get("who") == CANARY
    class_: type[Sample] = HealthSample if is_canary else WorkerSample
    return read_object(class_, value)


def of(samples: Iterable[Sample]) -> Vitals:
    """The vitals that those samples are."""
    every = tuple(samples)
    return Vitals(
        tuple(each for each in every if isinstance(each, WorkerSample)),
        tuple(each for each in every if isinstance(each, HealthSample)),
    )


def read(path: Path, damaged: Callable[[str], None] | None = None) -> Vitals:
    """The file, up to the first line that is torn or cannot be read; `damaged` is told which.

    A run from before there were vitals has no such file: nothing is known of its workers.
    """
    if not path.exists():
        return Vitals()
    return of(read_lines(path, LONGEST_LINE, _sample, damaged, largest=LARGEST_BYTES))
