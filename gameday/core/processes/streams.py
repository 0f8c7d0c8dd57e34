"""Output of another process, line by line: bounded, and never left standing in its pipe.

A reader that stops because of one line that is too long leaves the speaker waiting in its write,
and a parent that waits for the pipe to close waits with it. So what is too long is said, and what
comes after it is read and thrown away.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from gameday.core.files import size

PIECE_BYTES: Final = 64 * 1024  # what a pipe of Linux holds


class LongLineError(ValueError):
    """A line is longer than is read."""


async def lines(reader: asyncio.StreamReader, most_bytes: int) -> AsyncIterator[bytes]:
    """Each whole line, without its end; what is torn at the end is none.

    Raises LongLineError.
    """
    rest = bytearray()
    while piece := await reader.read(PIECE_BYTES):
        *whole, last = piece.split(b"\n")
        for line in whole:
            if len(rest) + len(line) > most_bytes:
                raise LongLineError(_too_long(most_bytes))
            yield bytes(rest) + line
            rest.clear()
        rest += last
        if len(rest) > most_bytes:
            raise LongLineError(_too_long(most_bytes))


async def drain(reader: asyncio.StreamReader) -> None:
    """Read to the end, and keep nothing."""
    while await reader.read(PIECE_BYTES):
        pass


def _too_long(most_bytes: int) -> str:
    return f"it said a line of more than {size(most_bytes)}"
