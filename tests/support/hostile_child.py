"""A child of a run that misbehaves, in the way that its configuration names (`do`)."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

FOREVER = threading.Event()


def say(raw: bytes) -> None:
    while raw:
        raw = raw[os.write(1, raw) :]


def ready() -> None:
    say(b'{"event": "ready"}\n')


def flood() -> None:
    while True:
        say(b"x" * 65536)


def by_another() -> None:
    """Another process holds the pipe, and this one ends."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    say(json.dumps({"pid": other.pid}).encode() + b"\n")
    sys.exit(3)


def last_words() -> None:
    sys.stderr.write("before\nthe disk is on fire\n")
    sys.exit(7)


DOES: dict[str, Callable[[], object]] = {
    "long-line": lambda: say(b"x" * 5_000_000 + b"\n"),
    "long-lines": lambda: say(5 * (b"x" * 5_000_000 + b"\n")),
    "flood": flood,
    "not-json": lambda: say(b"hello\n"),
    "null": lambda: say(b"null\n"),
    "number": lambda: say(b"42\n"),
    "deep": lambda: say(b"[" * 1_000_000 + b"\n"),
    "not-utf8": lambda: say(b"\xff\xfe\xfd\n"),
    "lone-surrogate": lambda: say(b'{"event": "refused", "why": "\\ud800"}\n'),
    "no-event": lambda: say(b'{"line": 1}\n'),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "silent": lambda: None,
    "another": by_another,
    "last-words": last_words,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "closed": lambda: os.close(1),
}


def main() -> None:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1)
    settings = json.loads(line)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if settings.get("ready", True):
        ready()
    DOES[settings["do"]]()
    FOREVER.wait()  # and never reads again: neither an order, nor the end of its input


if __name__ == "__main__":
    main()
