"""The logs of a run's parts, which anybody may have filled: the end of one, or all without secrets.

A part writes as much as it likes, so a log is never read whole: its end in one piece, and all of
it line by line.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.secrets.redaction import nothing

END_BYTES: Final = 64 * files.KIB  # the last lines of a log, whatever its size
LONGEST_LINE: Final = 4 * files.MIB  # a longer line is read in pieces, so that memory has a bound
_CAUSE_LINES: Final = 2_000
_SHOWN: Final = 30  # with the frames folded: a screen
_FRAMES: Final = 2  # of each end of a stack
_LONGEST_SHOWN: Final = 300
_LONGEST_SECRET: Final = 4 * files.KIB
# Python and what it quotes, Java and the JVM's others, Node, Go, Rust, Ruby, .NET.
_FRAME: Final = re.compile(r"^(?:\s+at |\s+File \"|\s{4,}\S|\tfrom |\t\S+:\d+|\t\.\.\. \d+ more)")
_BEGINS: Final = re.compile(
    r"^(?:Traceback |Exception in |Caused by|panic:|fatal error:|thread '.*' panicked)"
    r"|\b\w*(?:Error|Exception)\b\s*[:\[(]|\bFATAL\b|\bERROR\b|\bUnhandled\b"
)
QUIET: Final = "(it said nothing)"


def last_lines(
    path: Path, count: int = 20, from_byte: int = 0, hide: Callable[[str], str] = nothing
) -> list[str]:
    """The last lines that stand after `from_byte`; why it cannot be read, where that is so.

    Where the log is cut, the rest of a line is left out: it may be the end of a secret, which
    nothing could find any more.
    """
    try:
        with files.open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            begin = max(from_byte, size - END_BYTES, 0)
            file.seek(begin)
            text = file.read(END_BYTES).decode(errors="replace")
            if begin > from_byte:
                end = text.find("\n", 0, _LONGEST_SECRET)
                text = text[_LONGEST_SECRET if end < 0 else end + 1 :]
            return hide(text).splitlines()[-count:]
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"({path.name} cannot be read: {error.strerror})"]


def cause(path: Path, from_byte: int = 0, hide: Callable[[str], str] = nothing) -> list[str]:
    """The lines that say why a program failed, out of the end of its log.

    They begin where an error does (a traceback, an exception, a panic), however far from the end,
    and go to the end. Of the frames of a stack the first and the last stand, so that what came of
    what (`Caused by: …`) is all there. Lines and text are bounded. `hide` comes before any cut:
    of a secret in two halves neither would be known.
    """
    lines = last_lines(path, _CAUSE_LINES, from_byte, hide)
    begins = [n for n, line in enumerate(lines) if _BEGINS.search(line)]
    fewest = max(len(lines) - _SHOWN, 0)
    first = next((n for n in begins if len(_folded(lines[n:])) <= _SHOWN), fewest)
    return [_cut(line) for line in _folded(lines[min(first, fewest) :])[-_SHOWN:]]


def _folded(lines: list[str]) -> list[str]:
    """The lines without those frames in the middle of a stack that nobody reads."""
    found: list[str] = []
    frames: list[str] = []
    for line in [*lines, ""]:
        if _FRAME.match(line):
            frames.append(line)
            continue
        left_out = len(frames) - 2 * _FRAMES
        if left_out > 1:
            frames[_FRAMES:-_FRAMES] = [f"    … {left_out} lines …"]
        found += [*frames, line]
        frames = []
    return found[:-1]


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]} …"


def last_words(path: Path) -> str:
    """The same as one text, which says where there is nothing."""
    return "\n".join(last_lines(path)) or QUIET


def hide_in_file(path: Path, hide: Callable[[str], str]) -> None:
    """Rewrite a log without the secrets, where there is one in it. Raises OSError."""
    if all(raw == clean for raw, clean in _hidden(path, hide)):
        return  # a full disk has no room for a copy, and need not have
    files.replace(path, (clean for _, clean in _hidden(path, hide)))


def _hidden(path: Path, hide: Callable[[str], str]) -> Iterator[tuple[bytes, bytes]]:
    """Each line, and the same without the secrets."""
    with files.open_file(path) as file:
        while raw := file.readline(LONGEST_LINE):
            yield (
                raw,
                hide(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"),
            )


def how_it_ended(status: int | None) -> str:
    """In words, how a process ended: None while it runs, negative for a signal."""
    if status is None:
        return "it does not end"
    if status >= 0:
        return f"it ended with exit code {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
