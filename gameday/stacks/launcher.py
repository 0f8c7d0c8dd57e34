"""What every part of a stack is before it is itself: a script that waits for leave to begin.

It takes its own session (so that a Ctrl-C at the terminal does not reach it), drops to the user
it is given, asks the kernel to be told when gameday dies, and then waits on its standard input
for one byte. By then its PID has been journaled; if gameday dies first the input ends, and so
does this. Run as a file, isolated and without site packages: it starts in some 20 ms, and works
in a child that may not read gameday's folder any more.

    python -I -S launcher.py UID GID DEATH_SIGNAL FOLDER PROGRAM [ARGUMENT…]      (-1 -1: same user)
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_START = 127


def main(arguments: list[str]) -> None:
    """Become the program, or end with 127 and a line that says why not."""
    uid, gid, death_signal = (int(text) for text in arguments[:3])
    folder, *program = arguments[3:]
    os.setsid()
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    _die_with_parent(death_signal)
    if not os.read(0, 1):
        sys.exit(CANNOT_START)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # Python ignores these two, and an ignored signal stays ignored in the program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.chdir(folder)
        os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"cannot start {program[0]!r} in {folder}: {error.strerror}\n".encode())
        sys.exit(CANNOT_START)


def _die_with_parent(number: int) -> None:
    """Linux only, and after the user was changed, which would clear it."""
    if number == 0 or sys.platform != "linux":
        return
    from ctypes import CDLL  # not before it is needed: it costs 10 ms

    if CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        os.write(2, b"this kernel does not tell a child that its parent died\n")


if __name__ == "__main__":
    main(sys.argv[1:])
