"""The compose program that scales, and its end."""

import asyncio
import os
from contextlib import suppress

from gameday.injection.drivers.scale import _kill


async def test_a_program_that_ended_a_moment_ago_is_not_killed() -> None:
    """It is reaped in a thread, so its end is there before the loop is told of it."""
    program = await asyncio.create_subprocess_exec("true", start_new_session=True)
    with suppress(ChildProcessError):  # the thread was first
        os.waitpid(program.pid, 0)  # noqa: ASYNC222 - the loop must not hear of its end
    _kill(program)
    await program.wait()
