"""A form of a report, written to its file, another one, or stdout."""

from pathlib import Path

from gameday.cli.terminal import echo, emit
from gameday.core import files
from gameday.core.errors import UsageError


def write_form(raw: bytes, form: str, output: str | None, path: Path) -> None:
    """Write it to `output`, else to `path`; `-` is stdout. Raises UsageError."""
    if output == "-":
        if form == "pdf":
            raise UsageError("-o -: a PDF is not shown in a terminal", help="name a file with -o")
        emit(raw.decode())
        return
    path = Path(output) if output else path
    try:
        files.replace(path, [raw])
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path}: cannot be written: {why}", help="name a file with -o") from error
    echo(str(path))
