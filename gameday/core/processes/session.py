"""The processes of a session: a command, and whatever it has started.

A program may give what it starts a process group of its own, as `timeout` does and every shell that
has jobs; a session it leaves only on purpose.
"""

import os

import psutil


def members(leader: int) -> list[psutil.Process]:
    """Processes of the session that run, without its leader.

    The leader must not be reaped yet: its number is that of the session.
    """
    return [each for pid in psutil.pids() if (each := _member(pid, leader)) is not None]


def kill(leader: int) -> bool:
    """Kill them; True if there was any. What is born meanwhile is found by the next call."""
    found = members(leader)
    for each in found:
        try:
            each.kill()  # it looks whether the number is still that process's
        except psutil.Error:  # it has gone, or is another user's, by sudo
            continue
    return bool(found)


def _member(pid: int, leader: int) -> psutil.Process | None:
    try:
        if pid == leader or os.getsid(pid) != leader:
            return None
        found = psutil.Process(pid)
        return None if found.status() == psutil.STATUS_ZOMBIE else found
    except (psutil.Error, OSError):
        return None
