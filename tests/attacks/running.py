"""Running attacks, each in a process of its own that is ended when it takes too long."""

import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.attacks.place import Place
from tests.attacks.registry import Attack

_CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attack ended: `fell` says what gave way, "" when gameday held."""

    attack: Attack
    fell: str
    took_s: float


@dataclass(slots=True)
class _Running:
    attack: Attack
    process: BaseProcess
    told: Connection
    begun_s: float = field(default_factory=time.monotonic)

    def left_s(self) -> float:
        return self.begun_s + self.attack.longest_s - time.monotonic()


def run_all(
    attacks: Sequence[Attack],
    at_once: int,
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Run them all, some at once; `done` hears of each as it ends."""
    waiting, outcomes = list(reversed(attacks)), []
    running: list[_Running] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(_begin(waiting.pop()))
        wait([each.told for each in running], max(0.0, min(each.left_s() for each in running)))
        for each in [each for each in running if each.told.poll() or each.left_s() <= 0]:
            running.remove(each)
            outcomes.append(_end(each))
            done(outcomes[-1])
    return outcomes


def _begin(attack: Attack) -> _Running:
    hears, tells = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_attack, args=(attack, tells))
    process.start()
    tells.close()
    return _Running(attack, process, hears)


def _end(running: _Running) -> Outcome:
    took_s = time.monotonic() - running.begun_s
    fell = f"it hangs: no end within {running.attack.longest_s:g} s"
    if running.told.poll():
        try:
            fell = running.told.recv()
        except EOFError:
            fell = "its process ended without a word"
    try:
        os.killpg(running.process.pid or 0, signal.SIGKILL)  # what it has left behind
    except (ProcessLookupError, PermissionError):
        running.process.kill()
    running.process.join()
    running.told.close()
    return Outcome(running.attack, fell, took_s)


def _attack(attack: Attack, tells: Connection) -> None:
    os.setsid()
    with tempfile.TemporaryDirectory(prefix="gameday-attack-") as folder:
        try:
            attack.run(Place(Path(folder)))
            fell = ""
        except BaseException:  # noqa: BLE001 - whatever it is, it is told
            fell = traceback.format_exc()
    tells.send(fell)
