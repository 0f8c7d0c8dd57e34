"""A day of a second or less: it writes down that it began, works for `SECONDS` and ends."""

import os
import sys
import time


def main() -> int:
    """Write `<file> <occurrence>` to the log of `BRIEF_DAY_LOG`, on disk before anything else."""
    log = os.open(os.environ["BRIEF_DAY_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, f"{sys.argv[1]} {os.environ['GAMEDAY_OCCURRENCE']}\n".encode())
    os.fsync(log)
    time.sleep(float(os.environ.get("BRIEF_DAY_SECONDS", "0.2")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
