"""N live drills on the embedded stack, each searched for what a trainee must not find.

`python -m tests.matrices.leaks N [--grade same|other]`.

Experiments are drawn from shipped ones by `--seed`, two at a time, and searched before the fault,
while it is in and after the first orders. Exit code 1 when something is found, or when the same
search does not find it after the debrief: it could find nothing then.

same     As the user who holds the drill: every file at rest (run directory, state, temporary ones,
         what the terminal shows), and the command lines and environments of all processes of the
         drill, for the fault's kind, id and amounts, and the experiment's names and title.
other    As a user of whom nobody knows, with a trainee's link (`tests.support.stranger`; as root):
         the console, the terminal, and all files that this user may read, for the kind, the id, the
         name and the title. After the debrief the run directory is opened to all, and a process
         bears the mark, so that each part of the search has something to find.
"""

import argparse
import functools
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from gameday.evidence.events import FaultRemoved, OperatorAbort
from tests.support.consoles import Browser
from tests.support.live_drills import (
    MARK,
    Copy,
    Held,
    copied,
    found_at_rest,
    held,
    secrets_of,
    short_folder,
    words,
)
from tests.support.stranger import PARTS, Finding, Search, Stranger, interpreter, unused_uid

EXPERIMENTS = (
    "redis-slow,db-slow,redis-down,db-down,service-pause,service-kill,traffic-spike,postgres-lock,"
    "redis-block,redis-slow-under-spike"
)
AT_ONCE = 2
SEARCHED_S = 240  # a fault is in for so long: it is looked for in many places
ORDERS = (
    {"order": "ack"},
    {"order": "declare", "text": "1"},
    {"order": "severity", "severity": "sev2"},
    {"order": "hint"},
    {"order": "note", "text": "what is it?"},
)


@dataclass(frozen=True)
class Outcome:
    """What was found of one drill; `searched` counts searches.

    `blind` says why the search may have missed something. `out_s` is from the facilitator's order
    to the last fault that reads back as gone; `through` is where it was given.
    """

    name: str
    leaks: list[str]
    searched: int
    blind: str
    out_s: float
    through: str = "terminal"
    looked: Counter[str] = field(default_factory=Counter)


def main() -> int:
    """Hold the drills, and tell what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.leaks", description=__doc__)
    parser.add_argument("drills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--experiments", default=EXPERIMENTS)
    parser.add_argument("--grade", choices=GRADES, default="same")
    asked = parser.parse_args()
    names = asked.experiments.split(",")
    order = random.Random(f"leaks {asked.seed}")
    drawn = [names[n % len(names)] for n in range(asked.drills)]
    order.shuffle(drawn)
    if asked.grade == "other":
        interpreter(unused_uid())  # none is said now, not after a drill
    outcomes = []
    with short_folder() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        hold = functools.partial(_held, GRADES[asked.grade], folder)
        for number, one in enumerate(pool.map(hold, range(len(drawn)), drawn)):
            told = one.leaks or one.blind or "nothing was found"
            sys.stdout.write(f"{number + 1:4} {one.name}: {told}\n")
            sys.stdout.flush()
            outcomes.append(one)
    return _told(outcomes)


def _held(hold: "Grade", folder: Path, number: int, name: str) -> Outcome:
    """One drill; one that cannot be held to its end proves nothing, and is told."""
    try:
        return hold(folder, number, name)
    except (AssertionError, OSError) as error:
        return Outcome(name, [], 0, f"it went wrong: {error}", float("inf"))


def _told(outcomes: Sequence[Outcome]) -> int:
    """Tell the sums; the exit code."""
    leaked = sum(bool(one.leaks) for one in outcomes)
    nothing = sum(bool(one.blind and not one.leaks) for one in outcomes)
    searches = sum(one.searched for one in outcomes)
    sys.stdout.write(
        f"{len(outcomes)} drills, {searches} searches: {leaked} leaked, {nothing} prove nothing\n"
    )
    looked = sum((one.looked for one in outcomes), Counter[str]())
    if looked:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(looked.items()))
        sys.stdout.write(f"looked through before the debrief: {counts}\n")
    ended = [one for one in outcomes if one.searched]
    for through in sorted({one.through for one in ended}):
        every = [one.out_s for one in ended if one.through == through]
        sys.stdout.write(
            f"ended from the {through} {len(every)} times: every fault was out within"
            f" {max(every):.2f} s\n"
        )
    return int(leaked + nothing > 0)


def drilled(folder: Path, number: int, name: str) -> Outcome:
    """One drill from its start to its debrief."""
    files = folder / f"f{number}"
    files.mkdir()
    copy = copied(name, files)
    looked_for, leaks, searched = words(copy), [], 0
    with held(copy.path, folder / f"d{number}") as drill:
        for _ in _moments(drill):
            leaks += found_at_rest(drill, looked_for)
            searched += 1
        ended = drill.facilitate("abort" if number % 2 else "debrief")
        drill.finish()
        after = found_at_rest(drill, [MARK, copy.experiment.method[0].fault])
    kinds = sum(copy.experiment.method[0].fault in each for each in after)
    blind = "" if kinds and any(MARK in each for each in after) else "the search finds nothing"
    if ended.returncode:
        blind = f"the facilitator could not end it: {ended.stderr}"
    return Outcome(name, sorted(set(leaks)), searched, blind, _out_s(drill))


def searched_by_a_stranger(folder: Path, number: int, name: str) -> Outcome:
    """One drill from its start to its debrief, of which another user has a trainee's link."""
    files, mark = folder / f"f{number}", f"{MARK}{number}x"
    files.mkdir(mode=0o700)
    copy, place = copied(name, files, SEARCHED_S, mark), folder / f"d{number}"
    leaks, looked, searched, since_s = [], Counter[str](), 0, time.time()
    console = bool(number % 2)
    with held(copy.path, place, "--console") as drill:
        links = drill.links()
        search = Search(
            link=links["trainee"],
            place=str(place),
            words=secrets_of(copy),
            marked=[each for each in secrets_of(copy) if mark in each],
            since_s=since_s,
            home=str(folder / f"h{number}"),
        )
        with Stranger(search, unused_uid() + number % AT_ONCE) as stranger:
            for moment in ("stack.ready", "fault.injected", "orders"):
                if moment != "orders":
                    drill.until(moment)
                for order in ORDERS if moment == "orders" else ():
                    leaks += stranger.finds(order).found
                for part in PARTS if moment == "fault.injected" else ("page", "files"):
                    finding = stranger.finds(part)
                    leaks += [f"{moment}: {each}" for each in finding.found]
                    looked += finding.looked
                    searched += 1
            began_ns = _abort(links["facilitator"]) if console else None
            ended = None if console else drill.facilitate("abort")
            drill.finish()
            blind = _not_found(drill, stranger, copy, mark)
    if ended is not None and ended.returncode:
        blind = f"the facilitator could not end it: {ended.stderr}"
    through = "console" if console else "terminal"
    out_s = _out_s(drill, began_ns)
    return Outcome(name, sorted(set(leaks)), searched, blind, out_s, through, looked)


def _abort(link: str) -> int:
    """Abort on the facilitator's page; when it was asked."""
    base, _, token = link.partition("/#")
    browser = Browser(base, token)
    began_ns = time.monotonic_ns()
    answer = browser.ask("POST", "/api/order", {"order": "abort", "text": "from the console"})
    assert answer.json().get("ok"), answer.text
    browser.http.close()
    return began_ns


def _not_found(drill: Held, stranger: Stranger, copy: Copy, mark: str) -> str:
    """What each part of the search misses though it is told now; empty where all is found."""
    for path in (drill.place / "runs", *(drill.place / "runs").rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    idle = [sys.executable, "-c", "import sys; sys.stdin.read()", copy.experiment.name]
    with subprocess.Popen(idle, stdin=subprocess.PIPE) as bearer:
        found = {part: stranger.finds(part) for part in PARTS}
        bearer.communicate()
    missed = []
    for word in secrets_of(copy):
        for kind in ("page", "file"):
            if not _stands(word, kind, found):
                missed.append(f"{word!r} in a {kind}")
    for kind in ("terminal", "proc"):
        if not _stands(mark, kind, found):
            missed.append(f"{mark!r} in {kind}")
    return f"the search does not find {', '.join(missed)}" if missed else ""


def _stands(word: str, kind: str, found: dict[str, Finding]) -> bool:
    every = (each for part in found.values() for each in part.found)
    return any(
        word in each.partition(f" in {kind} ")[0] for each in every if f" in {kind} " in each
    )


def _out_s(drill: Held, asked_ns: int | None = None) -> float:
    """Seconds from the facilitator's order to the last fault; inf where one is not seen out."""
    records = drill.records()
    asked = [each.t_ns for each in records if isinstance(each.event, OperatorAbort)]
    asked = asked if asked_ns is None else [asked_ns]
    out = [
        each.t_ns for each in records if isinstance(each.event, FaultRemoved) and each.event.gone
    ]
    return (max(out) - asked[0]) / 1e9 if asked and out else float("inf")


def _moments(drill: Held) -> Iterator[None]:
    """The instants at which it is searched."""
    drill.until("stack.ready")
    yield
    drill.until("fault.injected")
    yield
    for order in (("ack",), ("declare", "1"), ("hint",)):
        drill.order(*order)
    time.sleep(3)
    yield


Grade = Callable[[Path, int, str], Outcome]
GRADES: dict[str, Grade] = {"same": drilled, "other": searched_by_a_stranger}

if __name__ == "__main__":
    sys.exit(main())
