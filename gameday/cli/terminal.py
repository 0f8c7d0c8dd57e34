r"""The only place that prints: what is untrusted is shown, never obeyed, and printing never fails.

Titles, answers, names, journals and errors hold what somebody else wrote. A terminal obeys some
of it: it moves the cursor, renames the window, turns a line around. So control characters,
directions and invisible characters are shown as escapes (`\x1b`), by the streams that stand for
stdout and stderr while a command runs; what click, argparse or a traceback print goes through them
as well. Characters that the terminal's encoding has not are shown as escapes too.

Output that cannot be written (closed, a full disk, a terminal that is gone) is lost, and that is
told once where it can be; the work goes on and the exit code is what it would have been. A reader
who leaves, as `head` does, is told nothing.
"""

import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from gameday.core.errors import ExitCode, GamedayError

# Controls (not newline and tab), soft hyphen, directions, line separators, what has no width
# (not the joiners, which some languages are written with), tags, and halves of surrogate pairs.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_STANDARD = (0, 1, 2)
LONGEST_LINE = 1000  # a dozen lines of a terminal: nobody reads more of one
QUOTED = 300  # of each end: enough to recognise it
LOST = "what it was to say is lost, the exit code stands"


def escaped(text: str) -> str:
    """The text as it may be shown: what a terminal would obey, or nobody would see, is escaped."""
    return _UNSAFE.sub(_escape, text)


def block(text: str) -> str:
    """The same; what follows a line break is indented, so that no value can fake a line of ours."""
    return escaped(text.rstrip("\n")).replace("\n", "\n    ")


def one_line(text: str) -> str:
    """The same on one line, as a cell that stands first in its row must be."""
    return escaped(text).replace("\n", "\\x0a")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Output(io.TextIOBase):
    """A text stream that shows what it is given, on the stream within, and never fails.

    `problem` says why nothing is written any more, "" while all is well. `pure` is set once
    what a program will read was written: then nothing of ours may stand beside it.
    """

    def __init__(self, inner: TextIO | None, name: str) -> None:
        self._inner = inner
        self.name = name
        self.problem = ""
        self.pure = False
        self.reader_left = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._inner, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        with suppress(OSError, ValueError):
            return self._inner is not None and self._inner.isatty()
        return False

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"{self.name} takes text, not {type(text).__name__}")
        self.write_shown(escaped(text))
        return len(text)

    def write_shown(self, text: str) -> None:
        """Write what was escaped already, and holds styles of ours besides."""
        encoding = self.encoding
        with self._lost():
            self._stream().write(text.encode(encoding, "backslashreplace").decode(encoding))

    def write_exact(self, text: str) -> None:
        """Write what a program will read: as UTF-8, to the letter, unless it is for a terminal."""
        self.pure = True
        binary = getattr(self._inner, "buffer", None)
        if binary is None or self.isatty():
            self.write(text)
            return
        with self._lost():
            self._stream().flush()
            binary.write(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        if self._inner is None:  # closed before we began: it matters to who writes, not here
            return
        with self._lost():
            self._inner.flush()

    def _stream(self) -> TextIO:
        if self._inner is None:
            raise ValueError("it is closed")
        return self._inner

    @contextmanager
    def _lost(self) -> Iterator[None]:
        if self.problem:
            with suppress(OSError, ValueError):
                yield
            return
        try:
            yield
        except (OSError, ValueError) as error:
            self.problem = getattr(error, "strerror", None) or str(error)
            self.reader_left = isinstance(error, BrokenPipeError)
            self._discard()

    def _discard(self) -> None:
        """Send the rest of the buffer to /dev/null; else it fails again when Python ends."""
        with suppress(OSError, ValueError):
            number = self._stream().fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


@contextmanager
def guarded() -> Iterator[None]:
    """Print in here: stdout and stderr are shown safely, and cannot fail."""
    if isinstance(sys.stdout, Output) and isinstance(sys.stderr, Output):
        yield
        return
    _open_standard_files()
    before = sys.stdout, sys.stderr
    out, err = Output(sys.stdout, "stdout"), Output(sys.stderr, "stderr")
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield
    finally:
        for one, other in ((out, err), (err, out)):
            one.flush()
            if one.problem and not one.reader_left and not other.pure:
                other.write(f"warning: {one.name} cannot be written: {one.problem}; {LOST}\n")
                other.flush()
        sys.stdout, sys.stderr = before


def _open_standard_files() -> None:
    """Standard files that are closed are opened on nothing.

    The next file would have their number otherwise, and what is meant for stdout end in it.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
            os.set_inheritable(opened, True)  # noqa: FBT003  its only form


def output(*, err: bool = False) -> Output:
    """The stream that stands for stdout, or for stderr, now."""
    stream = sys.stderr if err else sys.stdout
    return stream if isinstance(stream, Output) else Output(stream, "stderr" if err else "stdout")


def can_write(text: str) -> bool:
    """Whether stdout and stderr have all letters of a text in their encodings."""
    try:
        for stream in (sys.stdout, sys.stderr):
            text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def echo(text: str = "", *, err: bool = False, end: str = "\n") -> None:
    """Print a line on stdout, or on stderr."""
    to = output(err=err)
    to.write(block(text) + end)
    to.flush()


def flush() -> None:
    """Bring out all that was printed, before this process becomes another one."""
    sys.stdout.flush()
    sys.stderr.flush()


def confirm(question: str) -> None:
    """Go on only after a yes. Raises click.Abort after a no, and where nobody can be asked."""
    import click

    click.confirm(question, abort=True, err=True)


def can_ask() -> bool:
    """True if somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_agreed(question: str, *, default: bool = False) -> bool:
    """The answer, which is `default` for an empty line. Raises click.Abort for Ctrl-C."""
    import click

    return click.confirm(question, default, err=True)


def ask(question: str, default: str | None = None) -> str:
    """The answer as a text without its spaces. Raises click.Abort for Ctrl-C."""
    import click

    answer: str = click.prompt(question, default, err=True, show_default=bool(default))
    return answer.strip()


def ask_number(question: str, most: int) -> int:
    """A number from 1 to `most`. Raises click.Abort for Ctrl-C."""
    import click

    number: int = click.prompt(question, type=click.IntRange(1, most), err=True)
    return number


def emit(text: str) -> None:
    """Print on stdout what a program will read: JSON, YAML, a script. It ends as `text` does."""
    to = output()
    to.write_exact(text)
    to.flush()


def warn(text: str) -> None:
    """Print a warning on stderr."""
    echo(f"warning: {cut(text)}", err=True)


def print_error(error: GamedayError, *, err: bool = True) -> None:
    """Print an error, and its cure below it."""
    echo(f"error: {cut(error.message)}", err=err)
    if error.help:
        echo(f"  help: {cut(error.help)}", err=err)
    if error.page:
        echo(f"  page: {error.page}", err=err)


def cut(text: str) -> str:
    """The text without the greater part of lines that nobody would read: they quote a value."""
    return "\n".join(
        line if len(line) <= LONGEST_LINE else f"{line[:QUOTED]} … {line[-QUOTED:]}"
        for line in text.split("\n")
    )


def tell_bug() -> None:
    """Print the traceback of the exception at hand on stderr."""
    import traceback

    to = output(err=True)
    to.write(traceback.format_exc())
    to.flush()


def exit_codes(meanings: Mapping[ExitCode, str]) -> str:
    """The exit codes of a command, for the end of its help."""
    lines = (f"  {code:<3} {meaning}" for code, meaning in meanings.items())
    return "\n".join(["\b", "Exit codes (the first that applies):", *lines])
