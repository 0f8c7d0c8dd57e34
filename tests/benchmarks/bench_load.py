"""Our load beside wrk, hey, oha, Artillery and Locust: one server, one machine, one run.

    python -m tests.benchmarks.bench_load [--quick] [--only NAME ...] [--minutes N] [--out FILE]

The server is Debian's nginx with one worker, answering from memory. Four questions, each asked of
all tools round after round, so that no tool has a bad quarter of an hour for itself (5 rounds;
--quick: one, and shorter):

1. The highest rate held. Ours, Artillery and oha are asked for rates, higher and higher, until more
   than 0.1 % of the starts are late (100 ms, where the tool tells), dropped or missing: by far, and
   in a calm shot, or else in the best of three. Then the middle one of all rounds must hold. hey,
   Locust and wrk send as fast as answers come. Per core is per second of the tool's own CPU, less
   its start-up. In the same rounds `gameday doctor --calibrate` predicts our rate.
2. What 1,000 requests cost in CPU at 4,000/s, less the start-up; the tool's memory. The start-up is
   the CPU of two seconds at 100/s.
3. The p95 that each reports at 4,000/s, beside what somebody saw meanwhile who had nothing else to
   do: a process with one connection that asks 200 times a second.
4. The server is stopped with SIGSTOP for 1.4 s at 2,000/s. The truth is what the kernel stamped on
   the answers of this very shot (load_witness.py), counted from when each request was due; for a
   tool that skipped what was due while nobody answered it is that of the others. A formula stands
   beside it: a request waits for the rest of the stop, then for those before it.

A shot of which the host stole more than 5 % of the machine is made again (load_calm.py). It takes
about 20 minutes and no more than a round over `--minutes`; --quick three to six. Interrupted, it
prints what it has. The tables are Markdown; --out keeps them up to date meanwhile. Peers that are
not there are said to be missing (load_peers.py says where they are looked for). Run it on a machine
that does nothing else: our worker asks for a higher priority, which the others do not.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from gameday.traffic.capacity.calibration import calibrate
from tests.benchmarks.load_calm import FAILURES, Calm, Tally, say
from tests.benchmarks.load_peers import NAMES, PACED, POINTS, Shot, fire, program
from tests.benchmarks.load_tables import (
    MISSED_MAX,
    Figures,
    Stalled,
    aims,
    median,
    prediction,
    rates_table,
    stall_table,
)
from tests.benchmarks.load_target import Target, nginx, target, watched
from tests.benchmarks.load_witness import may, witnessed

# So much is missed by far, which no burst does: sent of what was asked for, late or never sent.
FAR_SENT = 0.8
FAR_MISSED = 0.9
SOME_PER_S = 4000
STALL_PER_S = 2000
STALL_S = 1.4
FIRST_PER_S = 2000
STEP = 1.07
CALIBRATIONS = 3


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    search_s: int
    shot_s: int
    stalled_s: int


WHOLE = Size(rounds=5, search_s=3, shot_s=5, stalled_s=10)
QUICK = Size(rounds=1, search_s=2, shot_s=3, stalled_s=10)
# Where in the time each part ends at the latest.
PARTS = {"rates": 0.5, "cost": 0.67, "stall": 1.0}


class Bench:
    """All that is known so far."""

    def __init__(self, names: Sequence[str], server: Target, size: Size, minutes: float) -> None:
        self.size = size
        self.found = {name: Figures() for name in names}
        self.broken: list[str] = []
        self.predicted: list[float] = []
        self.rated: dict[str, Tally] = {}
        self.stalls: dict[str, Tally] = {}
        self._server = server
        self._began_s = time.monotonic()
        self._length_s = minutes * 60

    def calm(self, part: str) -> Calm:
        return Calm(self._began_s + PARTS[part] * self._length_s)

    def run(self, keep: Callable[[], None]) -> None:
        """The questions, one after the other; `keep` is called whenever there is more to tell."""
        calm = self.calm("rates")
        self.rated = calm.tallies
        for step in (self.start_up, self.highest):
            step(calm)
            keep()
        calm.until_s = self.calm("cost").until_s
        self.cost_and_p95(calm)
        keep()
        calm = self.calm("stall")
        self.stalls = calm.tallies
        self.stall(calm)
        keep()

    def start_up(self, calm: Calm) -> None:
        say("start-up")
        for _ in calm.rounds(min(3, self.size.rounds)):
            for name, one in self.found.items():
                shot = calm.take(name, partial(fire, name, self._server.port, 100, 2))
                if shot is not None:
                    one.starting.append(shot.cpu_s)
        for name in [name for name, one in self.found.items() if not one.starting]:
            del self.found[name]
            self.broken.append(name)

    def highest(self, calm: Calm) -> None:
        """The first question: search, then all tools together, then lower where it did not hold."""
        say("highest rates")
        paced = [name for name in self.found if name in PACED]
        rates: dict[str, float] = dict(
            together({name: searching() for name in paced}, partial(self._holds, calm))
        )
        self._shoot(calm, {name: rates.get(name) for name in self.found}, CALIBRATIONS)
        while not calm.over and (missing := [name for name in paced if not self._held(name)]):
            for name in missing:
                rates[name] /= STEP
                self.found[name].highest.clear()
                say(f"{name} did not hold; now {rates[name]:,.0f}/s")
            self._shoot(calm, {name: rates[name] for name in missing})
        for name, one in self.found.items():
            say(f"{name}: {one.rate:,.0f}/s, {one.per_core:,.0f} a CPU second")

    def _shoot(self, calm: Calm, rates: Mapping[str, float | None], calibrations: int = 0) -> None:
        """Rounds at these rates, all kept; in the first ones calibration is asked, too."""
        for number in calm.rounds(self.size.rounds):
            for name, rate in rates.items():
                asked = None if rate is None else round(rate)
                aim = partial(fire, name, self._server.port, asked, self.size.shot_s)
                shot = calm.take(name, aim, judged)
                if shot is not None:
                    self.found[name].highest.append(shot)
            if "gameday" in rates and number < calibrations:
                self._predict(calm)

    def _held(self, name: str) -> bool:
        """Whether it held in the middle of its shots; True where it could not be fired at all."""
        shots = self.found[name].highest
        return not shots or self.found[name].missed < MISSED_MAX

    def _holds(self, calm: Calm, name: str, rate: float) -> bool:
        """Given up only after a calm shot missed by far, or the best of three missed."""
        aim = partial(fire, name, self._server.port, round(rate), self.size.search_s)
        shot = calm.take(name, aim, judged)
        missed = 1.0 if shot is None else shot.missed
        say(f"{name} at {rate:,.0f}/s: {missed:.2%} missed")
        return missed < MISSED_MAX

    def _predict(self, calm: Calm) -> None:
        """Calibration, with a state folder of its own, so that it measures."""
        with tempfile.TemporaryDirectory() as folder:
            before = os.environ.get("XDG_STATE_HOME")
            os.environ["XDG_STATE_HOME"] = folder
            try:
                found = calm.take("calibration", calibrate)
            finally:
                os.environ.pop("XDG_STATE_HOME")
                if before is not None:
                    os.environ["XDG_STATE_HOME"] = before
        if found is not None:
            self.predicted.append(found.kept_per_s)
            say(f"calibration: {found.kept_per_s:,.0f}/s")

    def cost_and_p95(self, calm: Calm) -> None:
        """The second and third question; wrk has no rate."""
        say(f"CPU and p95 at {SOME_PER_S:,}/s")
        for _ in calm.rounds(self.size.rounds):
            for name, one in self.found.items():
                taken = None if name == "wrk" else calm.take(name, partial(self._watched, name))
                if taken is not None:
                    one.some.append(taken[0])
                    one.seen_p95.append(taken[1])
        for name, one in self.found.items():
            seen = median(one.seen_p95)
            say(f"{name}: p95 {one.p95:.2f} ms, seen {seen:.2f}; CPU {one.cpu_ms:.0f} ms/1,000")

    def _watched(self, name: str) -> tuple[Shot, float]:
        with watched(self._server.port) as seen:
            shot = fire(name, self._server.port, SOME_PER_S, self.size.shot_s)
        return shot, seen[1]

    def stall(self, calm: Calm) -> None:
        """The fourth question."""
        say("the server stopped")
        for _ in calm.rounds(self.size.rounds):
            for name, one in self.found.items():
                shot = calm.take(name, partial(self._stopped, name))
                if shot is None:
                    continue
                one.stalled.append(shot)
                told = "  ".join(f"{p} {shot.told.get(p, math.nan):.1f}" for p in POINTS)
                true = shot.true or {}
                seen = "  ".join(f"{true.get(p, math.nan):.1f}" for p in POINTS)
                say(f"{name}: stopped for {shot.stalled_s:.3f} s: {told}; the wire: {seen}")

    def _stopped(self, name: str) -> Stalled:
        size = self.size
        thread = threading.Thread(target=self._stop_in_the_middle, daemon=True)
        with witnessed(self._server.port) as seen:
            thread.start()
            try:
                rate = None if name == "wrk" else STALL_PER_S
                shot = fire(name, self._server.port, rate, size.stalled_s)
            finally:
                thread.join()
        stalled_s, drained_per_s = seen.stop()
        true = None if name == "wrk" else seen.truth(STALL_PER_S, size.stalled_s)
        return Stalled(dict(shot.ms), true, stalled_s, drained_per_s)

    def _stop_in_the_middle(self) -> None:
        time.sleep(self.size.stalled_s / 2)
        self._server.stop_for(STALL_S)

    def told(self) -> Iterator[str]:
        """All tables and aims, of what there is."""
        yield ""
        yield from rates_table(self.found, self.rated, SOME_PER_S)
        yield ""
        yield from stall_table(self.found, self.stalls, self.size.stalled_s, STALL_PER_S)
        if self.broken:
            yield f"\nFailed, and left out: {', '.join(self.broken)}"
        if not may():
            yield "\nNo truth: packet sockets may not be opened here."
        yield ""
        if "gameday" in self.found:
            yield f"- {prediction(self.predicted, self.found['gameday'].rate)}"
            for one, met in aims(self.found):
                yield f"- {one}: {'not measured' if met is None else 'met' if met else 'MISSED'}"
        took_min = (time.monotonic() - self._began_s) / 60
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        yield f"\ntook {took_min:.0f} min; load of the machine: {load}; {os.cpu_count()} processors"

    def missed(self) -> bool:
        return "gameday" in self.found and any(met is False for _, met in aims(self.found))


def judged(shot: Shot) -> bool | None:
    """True: held. False: missed by far. None: just missed."""
    if shot.missed < MISSED_MAX:
        return True
    far = not shot.asked or shot.sent < FAR_SENT * shot.asked or shot.missed > FAR_MISSED
    return False if far else None


def searching() -> Generator[float, bool, float]:
    """Yields rates and hears whether they held: doubled, then halved in between; the highest."""
    low, high = 0.0, float(FIRST_PER_S)
    while (yield high):
        low, high = high, high * 2
    low = low or high / 8
    while high / low > STEP:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if (yield middle) else (low, middle)
    return low


def together(
    searches: dict[str, Generator[float, bool, float]], holds: Callable[[str, float], bool]
) -> Iterator[tuple[str, float]]:
    """Go on with all searches in turn; each name with what was found."""
    asked = {name: next(search) for name, search in searches.items()}
    while asked:
        for name, rate in list(asked.items()):
            try:
                asked[name] = searches[name].send(holds(name, rate))
            except StopIteration as ended:
                del asked[name]
                yield name, ended.value


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--minutes", type=float, default=None, help="23; --quick: 6")
    parser.add_argument("--out", type=Path, help="a file that always has the tables so far")
    return parser.parse_args()


def main() -> int:
    """Print the tables and the aims; 1 when an aim is missed, 0 also where nothing can be run."""
    asked = arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    server = nginx()
    if server is None:
        print("nginx is missing (Debian: nginx-light): nothing to send to")
        return 0
    there = [name for name in NAMES if name in asked.only and (name == "gameday" or program(name))]
    missing = [name for name in asked.only if name not in there]
    if missing:
        print(f"missing: {', '.join(missing)} (looked for on PATH and in GAMEDAY_PEERS)")
    say(f"load of the machine before: {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")
    size, minutes = (QUICK, 6.0) if asked.quick else (WHOLE, 23.0)
    whole = False
    with target(server) as running:
        bench = Bench(there, running, size, asked.minutes or minutes)

        def keep() -> None:
            if asked.out is not None:
                asked.out.write_text("\n".join(bench.told()) + "\n")

        try:
            bench.run(keep)
            whole = True
        except (KeyboardInterrupt, *FAILURES) as error:
            print(f"CUT SHORT: {type(error).__name__} {error}")
        finally:
            print("\n".join(bench.told()), flush=True)
    return int(bench.missed() or not whole)


if __name__ == "__main__":
    sys.exit(main())
