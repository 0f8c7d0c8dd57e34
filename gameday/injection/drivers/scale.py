"""Replicas of the service, more or fewer: done by the compose program, proven by who serves.

The program alone knows how a replica is made; how it is called stands beside the stack. It is done
when the engine shows as many healthy replicas as were asked for and the balancer sends to as many.
"""

import asyncio
import csv
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from gameday.core.clock import NS, Clock, SystemClock
from gameday.core.errors import GamedayError, StackError, StuckFaultError
from gameday.core.network.http import OK, Ask, HttpError, ask_once
from gameday.injection import engine
from gameday.injection.engine import EngineError
from gameday.injection.process.launch import Launch
from gameday.injection.removal_proof import GONE, State, masked_name, was_masked
from gameday.spec.undos import ScaleUndo

PROVEN_S: Final = 60.0
PROGRAM_S: Final = 60.0
_POLL_S = 0.25
_ANSWER_S = 2.0
_LAST_LINES = 5


async def scale(record: ScaleUndo) -> None:
    """Bring the service to so many replicas, and wait until they serve. Raises StackError."""
    launch = Launch.read(record.part)
    if launch is None or not await asyncio.to_thread(engine.containers_of, record.project):
        raise StackError("the stack that it was a part of is gone")
    which = f"{record.name}={record.replicas}"
    await _call([*launch.argv, "--scale", which, record.name], launch)
    await _until_served(record, SystemClock())


async def undo(record: ScaleUndo) -> None:
    """The same for whoever takes it back. Harmless when the stack is gone."""
    try:
        if await asyncio.to_thread(engine.containers_of, record.project):
            await scale(record)
    except GamedayError as error:
        raise StuckFaultError(error.message, help=error.help) from error


async def look(record: ScaleUndo) -> State:
    """State of the replicas: gone when there are so many as were to be, all serving."""
    if was_masked(record) or was_masked(record.project):
        return masked_name()
    try:
        why = await _missing(record)
    except EngineError as error:
        return State(gone=None, why=error.message)
    return State(gone=False, why=why) if why else GONE


async def _call(argv: Sequence[str], launch: Launch) -> None:
    """Call the compose program to its end. Raises StackError with the end of what it wrote."""
    program = await asyncio.create_subprocess_exec(
        *argv,
        cwd=launch.folder,
        env=launch.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(PROGRAM_S):
            wrote, _ = await program.communicate()
    except TimeoutError as error:
        raise StackError(f"compose: no end within {PROGRAM_S:g} s") from error
    finally:
        if program.returncode is None:
            _kill(program)
            await program.wait()
    if program.returncode != 0:
        lines = wrote.decode(errors="replace").splitlines()[-_LAST_LINES:]
        text = "\n".join(f"  | {line}" for line in lines)
        raise StackError(f"compose: it ended with exit code {program.returncode}:\n{text}")


def _kill(program: asyncio.subprocess.Process) -> None:
    """Kill it and its children: docker's compose is one of its own."""
    with suppress(ProcessLookupError):  # it has ended, and nobody has told its return code yet
        os.killpg(program.pid, signal.SIGKILL)


async def _until_served(record: ScaleUndo, clock: Clock) -> None:
    deadline_ns = clock.now_ns() + int(PROVEN_S * NS)
    while why := await _missing(record):
        if clock.now_ns() > deadline_ns:
            raise StackError(f"{why}, after {PROVEN_S:g} s")
        await clock.sleep(_POLL_S)


async def _missing(record: ScaleUndo) -> str:
    """What is wrong with the replicas; "" where all serve, or where their stack is gone."""
    there = await asyncio.to_thread(engine.containers_of, record.project)
    if not there:
        return ""
    ours = [each for each in there if each.service == record.name]
    well = sum(each.is_well for each in ours)
    if not well == len(ours) == record.replicas:
        return f"{well} of {len(ours)} replicas are healthy, {record.replicas} were asked for"
    if record.balancer is None:
        return ""
    reached = await served(record.balancer)
    if reached != record.replicas:
        return f"the balancer sends to {reached} replicas, {record.replicas} were asked for"
    return ""


async def served(balancer: str) -> int:
    """The number of servers that HAProxy finds healthy, as its own statistics say."""
    try:
        answer = await ask_once(Ask("GET", f"{balancer}/;csv"), _ANSWER_S, verify=True)
    except HttpError:
        return 0
    if answer.status != OK:
        return 0
    try:
        rows = list(csv.DictReader(answer.text.removeprefix("# ").splitlines()))
    except csv.Error:  # somebody else answers there
        return 0
    servers = [row for row in rows if row.get("svname") not in ("FRONTEND", "BACKEND")]
    return sum((row.get("status") or "").startswith("UP") for row in servers)


def scaled(known: ScaleUndo | None, action: str, replicas: int) -> ScaleUndo | None:
    """The record that an action stands for; None where the stack cannot scale."""
    return None if known is None else replace(known, action=action, replicas=replicas)
