"""File locks (flock): whoever has the file open holds one, and a dead process holds none."""

import fcntl
import os
from pathlib import Path


def try_lock(file: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; False while somebody else holds it."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """True if somebody holds the lock of a file."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(file, shared=True)
    finally:
        os.close(file)
