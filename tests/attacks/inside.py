"""A command of gameday run in a fork of the attack: as a process of its own, without its start.

Python and the libraries are loaded already, so that a hundred commands cost what one would. What
stands for stdout and stderr can be anything that a shell could have put there.
"""

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gameday.cli import COMMANDS, main
from tests.attacks.place import Ended, Place

ENDS_WITHIN_S = 30

for command, _ in COMMANDS.values():
    importlib.import_module(command.partition(":")[0])


@dataclass(frozen=True, slots=True)
class Shell:
    """What a shell would have set up; `prepare` runs in the command's process, in its folder.

    `out` and `err` are paths to write on, "" for what is read in the end, "closed", or "left" for
    a pipe whose reader is gone.
    """

    out: str = ""
    err: str = ""
    encoding: str = "utf-8"
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None


def inside(place: Place, *arguments: str, shell: Shell | None = None) -> Ended:
    """Run a command in the place, and wait for its end."""
    files = [place.folder / f".{name}-of-the-command" for name in ("out", "err")]
    for file in files:
        file.write_bytes(b"")
    child = os.fork()
    if child == 0:
        os._exit(_run(place, arguments, shell or Shell(), files))
    _, status = os.waitpid(child, 0)
    out, err = (file.read_bytes() for file in files)
    return Ended(os.waitstatus_to_exitcode(status), out, err)


def _run(place: Place, arguments: tuple[str, ...], shell: Shell, files: list[Path]) -> int:
    signal.alarm(ENDS_WITHIN_S)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.chdir(place.folder)
    os.environ.update(place.environment)
    os.environ.update(shell.environment)
    for number, file, to in zip((1, 2), files, (shell.out, shell.err), strict=True):
        _put(number, file, to)
    sys.stdout = _stream(1, shell.out, shell.encoding)
    sys.stderr = _stream(2, shell.err, shell.encoding)
    try:
        shell.prepare()
        main.main(args=list(arguments), prog_name="gameday")
    except SystemExit as error:
        return _end(error.code)
    except BaseException:  # noqa: BLE001 - whatever gets here is a fall, and told
        files[1].write_text(traceback.format_exc(), errors="backslashreplace")
        return 99
    return 0


def _put(number: int, file: Path, to: str) -> None:
    """Make `number` what the shell wants it to be."""
    if to == "left":
        reads, opened = os.pipe()
        os.close(reads)
    elif to == "closed":
        os.close(number)
        return
    else:
        opened = os.open(to or file, os.O_WRONLY | os.O_APPEND)
    os.dup2(opened, number)
    os.close(opened)


def _stream(number: int, to: str, encoding: str) -> object:
    if to == "closed":
        return None  # as Python has it
    return open(number, "w", encoding=encoding, closefd=False)


def _end(code: object) -> int:
    """The exit code, as Python would end; what is in the buffers must get out."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                return 120
    return code if isinstance(code, int) else int(code is not None)
