"""The pipe by which a process of ours is told what to do, and that its parent is gone."""

import os
import threading
from collections.abc import Callable
from typing import Final

LONGEST_ORDER: Final = 64 * 1024


def first_line(pipe: int) -> bytes:
    """The order: one line, or what there is of it."""
    raw = b""
    while not raw.endswith(b"\n") and len(raw) < LONGEST_ORDER:
        part = os.read(pipe, 1)  # no more than the line: what follows is its end
        if not part:
            break
        raw += part
    return raw


def on_end(pipe: int, act: Callable[[], None]) -> None:
    """Call `act`, in a thread, once whoever holds the other end of the pipe is gone."""

    def wait() -> None:
        while os.read(pipe, 4096):
            pass
        act()

    threading.Thread(target=wait, daemon=True).start()
