"""Vitals of the generator while it sent: a line a second of each worker, and of the canary.

`vitals.jsonl` has one writer, who started the workers, and two kinds of line. `t` is seconds from
t = 0, sums (names that end in `_s`) count from the start of the process, so a line that is lost
loses nothing but its own moment:

    {"who": "worker-0", "t", "open", "cpu_s", "waited_s", "throttled_s", "stolen_s", "gc_s",
     "stalls": [[at_s, ms], …], "time_wait"}
        its own processor time, its wait for a processor, the time its control group was
        throttled, the time that other machines took from this one's processors (all together),
        pauses to collect garbage, each time its event loop stood still, ports in TIME_WAIT
    {"who": "canary", "t", "took_ms": number|null, "lag_ms"}
        a request that changes nothing, from the controller: how long its answer took (null: none)
        and how late it was itself

A figure that this system does not tell is 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gameday.core import files
from gameday.core.json import read_lines

CANARY: Final = "canary"
LONGEST_LINE: Final = files.MIB


@dataclass(frozen=True, slots=True)
class Stall:
    """The event loop came back at `at_s`, `ms` milliseconds too late."""

    at_s: float
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSample:
    """One worker at one instant; the sums count from the start of its process."""

    who: str
    t_s: float
    open: int = 0
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

    t_s: float
    took_ms: float | None
    lag_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """All that was heard of the workers and the canary, in the order it came."""

    worker_samples: Sequence[WorkerSample] = ()
    health_samples: Sequence[HealthSample] = ()


def worker_sample_from_json(line: Mapping[str, Any]) -> WorkerSample:
    """A worker's line. Raises KeyError, TypeError or ValueError where it is none."""
    sums = {
        name: float(line.get(name, 0.0))
        for name in ("cpu_s", "waited_s", "throttled_s", "stolen_s", "gc_s")
    }
    return WorkerSample(
        who=str(line.get("who", "worker-0")),
        t_s=float(line["t"]),
        open=int(line.get("open", 0)),
        stalls=tuple(Stall(float(at), float(ms)) for at, ms in line.get("stalls", ())),
        time_wait=int(line.get("time_wait", 0)),
        **sums,
    )


def health_sample_from_json(line: Mapping[str, Any]) -> HealthSample:
    """A line of the canary. Raises KeyError, TypeError or ValueError where it is none."""
    took = line["took_ms"]
    return HealthSample(
        t_s=float(line["t"]),
        took_ms=None if took is None else float(took),
        lag_ms=float(line.get("lag_ms", 0.0)),
    )


def _sample(line: Mapping[str, Any]) -> WorkerSample | HealthSample:
    """A line of either kind. Raises as their readers do."""
    is_canary = line.get("who") == CANARY
    return health_sample_from_json(line) if is_canary else worker_sample_from_json(line)


def _vitals(samples: Iterable[WorkerSample | HealthSample]) -> Vitals:
    every = tuple(samples)
    return Vitals(
        tuple(each for each in every if isinstance(each, WorkerSample)),
        tuple(each for each in every if isinstance(each, HealthSample)),
    )


def of(lines: Iterable[Mapping[str, Any]]) -> Vitals:
    """The vitals that JSON lines tell. Raises as the lines' readers do."""
    return _vitals(map(_sample, lines))


def read(path: Path, damaged: Callable[[str], None] | None = None) -> Vitals:
    """The file, up to the first line that is torn or cannot be read; `damaged` is told which.

    A run from before there were vitals has no such file: nothing is known of its workers.
    """
    if not path.exists():
        return Vitals()
    return _vitals(read_lines(path, LONGEST_LINE, _sample, damaged))
