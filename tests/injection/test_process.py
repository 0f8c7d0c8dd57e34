"""Ending processes: the right ones, all of them, and never somebody else's."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from gameday.core.clock import SystemClock
from gameday.core.errors import StuckFaultError
from gameday.injection.process.process import TOKEN_VARIABLE, alive, look, record, start_time, undo
from tests.support.stack_parts import eventually

STUBBORN = (
    "import signal, threading\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "threading.Event().wait(60)\n"
)
PARENT = (
    "import subprocess, sys, threading\n"
    "sleep = [sys.executable, '-c', 'import threading; threading.Event().wait(60)']\n"
    "same = subprocess.Popen(sleep)\n"
    "away = subprocess.Popen(sleep, start_new_session=True)\n"
    "print(same.pid, away.pid, flush=True)\n"
    "threading.Event().wait(60)\n"
)


class Hurried(SystemClock):
    """A clock on which deadlines come ten times sooner."""

    def now_ns(self) -> int:
        return super().now_ns() * 10


@contextmanager
def child(program: str, token: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A session of its own that runs `program`, and its first line."""
    environment = {**os.environ, TOKEN_VARIABLE: token}
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as process:
        try:
            yield process, process.stdout.readline() if process.stdout else ""
        finally:
            process.kill()


async def test_a_process_is_asked_to_end_and_does() -> None:
    program = "import threading; print('up', flush=True); threading.Event().wait(60)"
    with child(program) as (process, _):
        ends = record(process.pid, "it")
        assert (await look(ends)).gone is False

        await undo(ends)

        assert (await look(ends)).gone is True
        assert process.wait() == -signal.SIGTERM


async def test_from_another_machine_nothing_is_told_of_it() -> None:
    with child("print('up')") as (process, _):
        made = record(process.pid, "it")
    assert (await look(made)).gone is True
    gone, why = await look(replace(made, seen_from="cache pid:[4711]"))
    assert gone is None
    assert "it was made on cache pid:[4711]" in why


async def test_one_that_does_not_listen_is_killed() -> None:
    with child(STUBBORN) as (process, _):
        ends = record(process.pid, "it")

        await undo(ends, Hurried())

        assert (await look(ends)).gone is True
        assert process.wait() == -signal.SIGKILL


async def test_its_children_end_with_it_wherever_they_went() -> None:
    with child(PARENT, token="0123abcd") as (process, line):
        pids = [process.pid, *map(int, line.split())]
        ends = record(process.pid, "it", token="0123abcd")
        assert sorted(alive(ends)) == sorted(pids)

        await undo(ends)

        assert all(start_time(pid) is None for pid in pids)


async def test_children_that_outlived_it_are_still_known() -> None:
    with child(PARENT, token="4567cdef") as (process, line):
        pids = list(map(int, line.split()))
        ends = record(process.pid, "it", token="4567cdef")
        process.kill()
        process.wait()
        assert (await look(ends)).gone is False

        await undo(ends)

        assert all(start_time(pid) is None for pid in pids)


async def test_a_later_process_of_the_same_pid_is_never_hit() -> None:
    with child(STUBBORN) as (process, _):
        ends = record(process.pid, "it")
        reused = replace(ends, start_time="1@another-boot")
        assert (await look(reused)).gone is True

        await undo(reused, Hurried())

        assert process.poll() is None


async def test_undoing_twice_is_harmless() -> None:
    with child(STUBBORN) as (process, _):
        ends = record(process.pid, "it", stop_signal="SIGQUIT")
        await undo(ends)
        process.wait()
        await undo(ends)
        assert (await look(ends)).gone is True


async def test_a_process_that_nobody_waited_for_counts_as_gone() -> None:
    with child("print('up', flush=True)") as (process, _):
        ends = record(process.pid, "it")
        assert eventually(lambda: start_time(process.pid) is None)
        assert (await look(ends)).gone is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a moment")
async def test_another_users_process_is_named_not_ignored() -> None:
    with child(STUBBORN) as (process, _):
        ends = record(process.pid, "it")
        os.setresuid(65534, 65534, 0)
        try:
            with pytest.raises(StuckFaultError, match="belongs to another user"):
                await undo(ends)
        finally:
            os.setresuid(0, 0, 0)
