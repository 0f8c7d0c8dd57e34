"""Gate of every component of a stack: it waits for leave, then becomes the program.

It takes its own session (so that a Ctrl-C at the terminal does not reach it), drops to the user
it is given, asks the kernel to be told when gameday dies, and then waits on its standard input
for one byte, which says whether the program has that input, too. By then its PID has been
journaled; if gameday dies first the input ends, and so does this. Run as a file, isolated and
without site packages: it starts in some 20 ms, and works in a child that may not read gameday's
folder any more.

    python -I -S exec_gate.py UID GID DEATH_SIGNAL FOLDER PROGRAM [ARGUMENT…]   (-1 -1: same user)
"""

import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
CANNOT_START = 127
GO, INPUT_STAYS = b"1", b"i"


def main(arguments: list[str]) -> None:
    """Become the program, or end with 127 and a line that says why not."""
    uid, gid, death_signal = (int(text) for text in arguments[:3])
    folder, *program = arguments[3:]
    # A part must hold nothing of whoever starts it: the reaper has the lock of the run's target.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.setsid()
    tell_death = _kernel_call(death_signal)  # loaded now: another user may not read the library
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if tell_death(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:  # a change of user clears it
        os.write(2, b"this kernel does not tell a child that its parent died\n")
    go = os.read(0, 1)
    if go not in (GO, INPUT_STAYS):
        sys.exit(CANNOT_START)
    if go == GO:
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


def _kernel_call(death_signal: int) -> Callable[..., int]:
    """The call that asks for a signal at the parent's death (prctl); elsewhere it does nothing."""
    if death_signal == 0 or sys.platform != "linux":
        return lambda *_: 0
    from ctypes import CDLL  # only where it is needed: it costs 10 ms

    call: Callable[..., int] = CDLL(None).prctl
    return call


if __name__ == "__main__":
    main(sys.argv[1:])
