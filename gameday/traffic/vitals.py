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

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gameday.core import files
from gameday.core.json import DAMAGED

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


def of(lines: Iterator[Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> Vitals:
    """The vitals that JSON lines tell. Raises as the lines' readers do."""
    worker_samples: list[WorkerSample] = []
    health_samples: list[HealthSample] = []
    for line in lines:
        if line.get("who") == CANARY:
            health_samples.append(health_sample_from_json(line))
        else:
            worker_samples.append(worker_sample_from_json(line))
    return Vitals(tuple(worker_samples), tuple(health_samples))


def read(path: Path, damaged: Callable[[str], None] | None = None) -> Vitals:
    """The file, up to the first line that is torn or cannot be read; `damaged` is told which.

    A run from before there were vitals has no such file: nothing is known of its workers.
    """
    if not path.exists():
        return Vitals()
    found: list[Mapping[str, Any]] = []
    try:
        with files.open_file(path) as file:
            for number, raw in files.lines(file, LONGEST_LINE):
                found.append(_line(number, raw))
    except OSError as error:
        damage = f"cannot be read: {error.strerror}"
    except ValueError as error:
        damage = str(error)
    else:
        damage = ""
    if damage and damaged is not None:
        damaged(damage)
    return of(found)


def _line(number: int, raw: bytes) -> Mapping[str, Any]:
    """One line, which `of` can read. Raises ValueError."""
    try:
        line: Mapping[str, Any] = json.loads(raw)
        of([line])
    except DAMAGED as error:
        raise ValueError(f"line {number} cannot be read") from error
    return line
