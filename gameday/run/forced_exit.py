"""Leaving a run that does not end: at the third Ctrl-C, or when its ending has had its time.

The process ends there and then, whatever it hangs in. Its reaper holds the other end of a socket
that closes with it, and takes out at once what may still be in; the traffic and the collector end
with their pipes. What the run has recorded stays, and can be judged later.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final, NoReturn, Self

from gameday.core.errors import ExitCode
from gameday.evidence import journal
from gameday.evidence.sealed_box import Box
from gameday.injection.heal import left_behind
from gameday.run.context import Abort
from gameday.run.reaper_client import Reaper

ENDING_S: Final = 1500.0  # longer than all that an ending does, each for as long as it may take
_LOOK_S: Final = 0.5  # beside the 25 minutes of ENDING_S half a second is nothing
_CURSOR: Final = "\x1b[?25h\n"  # a live screen has hidden it


class Leaving:
    """The way out of one run; in use, it leaves by itself when the ending takes too long."""

    def __init__(self, run_dir: Path, reaper: Reaper, abort: Abort, box: Box | None = None) -> None:
        """`box` opens the journal of a drill."""
        self._run_dir = run_dir
        self._box = box
        self._reaper = reaper
        self._abort = abort
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="leaving", daemon=True)

    def __enter__(self) -> Self:
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def at_once(self) -> NoReturn:
        """End this process, after the reaper was told."""
        self._leave("left at the third Ctrl-C")

    def _leave(self, why: str) -> NoReturn:
        stuck = True
        try:
            alone = self._reaper.died
            self._reaper.let_go()
            stuck = self._may_be_in()
            _say(f"{why}: {self._what_next(alone=alone)}")
        finally:
            os._exit(ExitCode.STUCK if stuck else ExitCode.ABORTED)

    def _watch(self) -> None:
        ending_since_s: float | None = None
        while not self._ended.wait(_LOOK_S):
            if not (self._abort.over or self._abort.event.is_set()):
                continue
            now_s = time.monotonic()
            ending_since_s = ending_since_s or now_s
            if now_s - ending_since_s > ENDING_S:
                self._leave(f"left, as its ending was not over within {ENDING_S:g} s")

    def _what_next(self, *, alone: bool) -> str:
        if alone:
            return f"its reaper is gone too. Take out what is left: gameday heal {self._run_dir}"
        return (
            "its reaper takes out what is left, and ends the stack. Then: "
            f"gameday heal {self._run_dir} to be sure, gameday report {self._run_dir} to judge it"
        )

    def _may_be_in(self) -> bool:
        """True if a fault was announced and not seen gone; also if nobody can tell."""
        try:
            records = journal.read(self._run_dir / "journal.jsonl", self._box).records
            return any(each.owner == "fault" for each in left_behind(records))
        except (OSError, KeyError, TypeError, ValueError):
            return True


def _say(text: str) -> None:
    """Straight to the terminal: whoever else prints may be what hangs."""
    try:
        cursor = _CURSOR if sys.stderr.isatty() else ""
        os.set_blocking(2, False)
        os.write(2, f"{cursor}run {text}\n".encode(errors="backslashreplace"))
    except (OSError, ValueError):
        return
