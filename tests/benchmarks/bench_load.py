"""Our load beside wrk, hey, oha, k6 and Locust: one server, one machine, one run.

    python -m tests.benchmarks.bench_load [--quick] [--only NAME ...]

The server is Debian's nginx with one worker, answering from memory. Four questions, each asked of
all tools in turn, as often as the medians say (5 times; --quick: once, and shorter):

1. The highest rate held. Ours, k6 and oha are asked for rates, higher and higher, until more than
   0.1 % of the starts are late (10 ms, where the tool tells), dropped or missing; hey, Locust and
   wrk send as fast as answers come. Per core is per second of the tool's own CPU.
2. What 1,000 requests cost in CPU at 4,000/s, less what the tool spends on starting up; its memory.
3. The p95 that each reports at 4,000/s, beside what somebody saw meanwhile who had nothing else to
   do: a process with one connection that asks 200 times a second.
4. The server is stopped with SIGSTOP for 1.4 s at 2,000/s. The truth is arithmetic: a request due
   x seconds after the stop waits for the rest of it, and for those before it to be answered, at the
   rate that wrk got out of this server. wrk and Locust ask nobody while nobody answers.

It takes 25 minutes, --quick five. The tables are Markdown. Peers that are not there are said to
be missing (load_peers.py says where they are looked for). Run it on a machine that does nothing
else: our worker asks for a higher priority, which the others do not.
"""

import argparse
import math
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.load_peers import NAMES, PACED, POINTS, Shot, fire, program
from tests.benchmarks.load_target import Target, nginx, target, watched

MISSED_MAX = 0.001
SOME_PER_S = 4000
STALL_PER_S = 2000
STALL_S = 1.4
FIRST_PER_S = 2000
STEP = 1.07
NEAR_MS = 1.0
NEAR = 0.01
# Our aims, as ratios to what each peer reached in the same run: of rates, or of rates per core.
AIMS = {"locust": 5.0, "k6": 4.0, "oha": 0.5, "wrk": 0.25}
AIM_HEY_PER_CORE = 1.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    shot_s: int
    stall_rounds: int
    stalled_s: int


WHOLE = Size(rounds=5, shot_s=5, stall_rounds=5, stalled_s=30)
QUICK = Size(rounds=1, shot_s=3, stall_rounds=1, stalled_s=15)


@dataclass(slots=True)
class Figures:
    """What one tool did; all times in ms."""

    rate: float = math.nan
    per_core: float = math.nan
    cpu_ms: float = math.nan
    rss_mb: float = math.nan
    p95: float = math.nan
    seen_p50: float = math.nan
    seen_p95: float = math.nan
    stalled: list[dict[str, float]] = field(default_factory=list)
    stalls_s: list[float] = field(default_factory=list)


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


def hold(name: str, port: int, size: Size) -> list[Shot]:
    """The shots at the highest rate whose median holds: doubled, halved in between, confirmed."""

    def holds(rate: float) -> bool:
        return fire(name, port, round(rate), size.shot_s).missed < MISSED_MAX

    low, high = 0.0, float(FIRST_PER_S)
    while holds(high):
        low, high = high, high * 2
    low = low or high / 8
    while high / low > STEP:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    rate = low
    while rate > FIRST_PER_S / 16:
        shots = [fire(name, port, round(rate), size.shot_s) for _ in range(size.rounds)]
        if median([shot.missed for shot in shots]) < MISSED_MAX:
            return shots
        rate /= STEP
    return []


def flat_out(names: Sequence[str], port: int, size: Size) -> dict[str, list[Shot]]:
    """Shots without a rate, round after round."""
    shots: dict[str, list[Shot]] = {name: [] for name in names}
    for _ in range(size.rounds):
        for name in names:
            shots[name].append(fire(name, port, None, size.shot_s))
    return shots


def highest(names: Sequence[str], port: int, size: Size) -> dict[str, Figures]:
    """The first question."""
    shots = {name: hold(name, port, size) for name in names if name in PACED}
    shots |= flat_out([name for name in names if name not in PACED], port, size)
    found = {}
    for name in names:
        told = shots[name]
        found[name] = Figures(
            rate=median([shot.sent / shot.length_s for shot in told]),
            per_core=median([shot.sent / shot.cpu_s for shot in told]),
        )
        say(f"{name}: {found[name].rate:,.0f}/s, {found[name].per_core:,.0f} a CPU second")
    return found


def cost_and_p95(found: dict[str, Figures], port: int, size: Size) -> None:
    """The second and third question; wrk has no rate."""
    names = [name for name in found if name != "wrk"]
    starting = {
        name: median([fire(name, port, 100, 1).cpu_s for _ in range(min(3, size.rounds))])
        for name in names
    }
    shots: dict[str, list[tuple[Shot, list[float]]]] = {name: [] for name in names}
    for _ in range(size.rounds):
        for name in names:
            with watched(port) as seen:
                shot = fire(name, port, SOME_PER_S, size.shot_s)
            shots[name].append((shot, seen))
    for name, told in shots.items():
        one = found[name]
        one.cpu_ms = median(
            [max(0.0, s.cpu_s - starting[name]) * 1e6 / max(s.sent, 1) for s, _ in told]
        )
        one.rss_mb = median([shot.rss_mb for shot, _ in told])
        one.p95 = median([shot.ms["p95"] for shot, _ in told])
        one.seen_p50 = median([p50 for _, (p50, _) in told])
        one.seen_p95 = median([p95 for _, (_, p95) in told])
        say(f"{name}: p95 {one.p95:.2f} ms, seen {one.seen_p95:.2f}; CPU {one.cpu_ms:.0f} ms/1,000")


def stall(found: dict[str, Figures], server: Target, size: Size) -> None:
    """The fourth question."""
    for _ in range(size.stall_rounds):
        for name, one in found.items():
            stopped: list[float] = []
            thread = threading.Thread(target=_stop_in_the_middle, args=(server, size, stopped))
            thread.start()
            shot = fire(name, server.port, None if name == "wrk" else STALL_PER_S, size.stalled_s)
            thread.join()
            one.stalled.append(dict(shot.ms))
            one.stalls_s += stopped
            told = "  ".join(f"{point} {shot.ms.get(point, math.nan):.1f}" for point in POINTS)
            say(f"{name}: stopped for {stopped[0]:.3f} s: {told}")


def _stop_in_the_middle(server: Target, size: Size, stopped: list[float]) -> None:
    time.sleep(size.stalled_s / 2)
    stopped.append(server.stop_for(STALL_S))


def truth(stall_s: float, length_s: float, served_per_s: float, calm_ms: float) -> dict[str, float]:
    """The latencies that requests must have seen, at even distances in `length_s` seconds.

    Request number n after the stop is answered when the server goes on and has answered the n
    before it: so the wait falls from `stall_s` in a straight line. All others take `calm_ms`.
    """
    slope = 1 - STALL_PER_S / served_per_s
    shares = {"p50": 0.5, "p90": 0.1, "p95": 0.05, "p99": 0.01, "max": 0.0}
    return {
        point: max(calm_ms, (stall_s - share * length_s * slope) * 1000 + calm_ms)
        for point, share in shares.items()
    }


def near(figure: float, true: float) -> bool:
    return abs(figure - true) <= max(NEAR_MS, NEAR * true)


def rates_table(found: dict[str, Figures]) -> Iterator[str]:
    yield (
        "| | highest rate | per CPU second | CPU per 1,000 at 4,000/s | memory "
        "| p95 it reports at 4,000/s | p95 seen beside it |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, one in found.items():
        how = "held" if name in PACED else "flat out"
        yield (
            f"| {name} | {_text(one.rate, ',.0f')}/s {how} | {_text(one.per_core, ',.0f')} "
            f"| {_text(one.cpu_ms, '.0f')} ms | {_text(one.rss_mb, '.0f')} MB "
            f"| {_text(one.p95, '.2f')} ms | {_text(one.seen_p95, '.2f')} ms |"
        )


def stall_table(found: dict[str, Figures], size: Size) -> Iterator[str]:
    served = found["wrk"].rate if "wrk" in found else math.inf
    calm_ms = 0.2
    yield (
        f"| stopped {STALL_S} s of {size.stalled_s} s at {STALL_PER_S:,}/s, ms | "
        + " | ".join(POINTS)
        + " | near |"
    )
    yield "|---|" + "---:|" * len(POINTS) + "---|"
    stalls = [seconds for one in found.values() for seconds in one.stalls_s]
    true = truth(median(stalls), size.stalled_s, served, calm_ms)
    yield "| **truth** | " + " | ".join(f"{true[point]:,.1f}" for point in POINTS) + " | |"
    for name, one in found.items():
        told = {p: median([ms[p] for ms in one.stalled if p in ms]) for p in POINTS}
        fine = sum(near(told[point], true[point]) for point in POINTS)
        cells = " | ".join(_text(told[point], ",.1f") for point in POINTS)
        yield f"| {name} | {cells} | {fine} of {len(POINTS)} |"


def _text(figure: float, form: str) -> str:
    return "–" if math.isnan(figure) else format(figure, form)


def aims(found: dict[str, Figures]) -> Iterator[tuple[str, bool]]:
    """Each aim that can be judged with the peers that are there."""
    ours = found["gameday"]
    for name, ratio in AIMS.items():
        if name in found:
            reached = ours.rate / found[name].rate
            yield f"{reached:.2f} x {name}, aim {ratio:g}", reached >= ratio
    if "hey" in found:
        reached = ours.per_core / found["hey"].per_core
        yield f"{reached:.2f} x hey per core, aim {AIM_HEY_PER_CORE:g}", reached >= AIM_HEY_PER_CORE


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def measure(names: Sequence[str], server: Target, size: Size) -> dict[str, Figures]:
    load = os.getloadavg()[0]
    steps: list[tuple[str, Callable[[dict[str, Figures]], None]]] = [
        ("CPU and p95 at 4,000/s", lambda found: cost_and_p95(found, server.port, size)),
        ("the server stopped", lambda found: stall(found, server, size)),
    ]
    say(f"load of the machine before: {load:.1f}; {os.cpu_count()} processors")
    found = highest(names, server.port, size)
    for title, step in steps:
        say(title)
        step(found)
    return found


def main() -> int:
    """Print the tables and the aims; 1 when an aim is missed, 0 also where nothing can be run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    asked = parser.parse_args()
    size = QUICK if asked.quick else WHOLE
    server = nginx()
    if server is None:
        print("nginx is missing (Debian: nginx-light): nothing to send to")
        return 0
    there = [name for name in NAMES if name in asked.only and (name == "gameday" or program(name))]
    missing = [name for name in asked.only if name not in there]
    if missing:
        print(f"missing: {', '.join(missing)} (looked for on PATH and in GAMEDAY_PEERS)")
    with target(server) as running:
        found = measure(there, running, size)
    print("\n".join(["", *rates_table(found), "", *stall_table(found, size), ""]))
    worst = 0
    for text, met in aims(found) if "gameday" in found else ():
        print(f"- {text}: {'met' if met else 'MISSED'}")
        worst = max(worst, int(not met))
    print(f"\nload of the machine: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    return worst


if __name__ == "__main__":
    sys.exit(main())
