"""The logs of the service, and nobody else's: their last lines, or those that have a text in them.

Those of gameday's own parts tell what it does, and those of a proxy what it was told to do: they
are for nobody here. A log is anybody's text of any length, so only its end is looked through.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.console.hidden_cells import hiding_cells
from gameday.core import files
from gameday.core.errors import GamedayError
from gameday.core.secrets.redaction import nothing
from gameday.evidence.sealed_box import Box
from gameday.evidence.service_logs import log_names

MOST_BYTES: Final = 2 * files.MIB  # the end of a log that is searched
MOST_LINES: Final = 300
LONGEST: Final = 1000  # characters of a line
MOST_SEARCH: Final = 200


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """Lines of one log, the newest last; `files` are all that there are.

    `matched` counts those that fit, of which the last are told; `whole` is False where the log has
    more before what was looked through.
    """

    files: Sequence[str]
    file: str = ""
    lines: Sequence[str] = ()
    matched: int = 0
    whole: bool = True
    problem: str = ""


def search(run_dir: Path, name: str, text: str, box: Box | None = None) -> LogAnswer:
    """The last lines of a log that have the text in them, in whatever case.

    What a users file holds is in none of them, nor can it be searched for.
    """
    known = log_names(run_dir)
    if not name and known:
        name = known[0]
    if name not in known:
        return LogAnswer(known)
    try:
        hide = hiding_cells(run_dir, box)
    except (GamedayError, OSError, ValueError, LookupError, TypeError) as error:
        return LogAnswer(known, name, problem=str(error))
    try:
        with files.open_file(run_dir / "logs" / name) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - MOST_BYTES))
            raw = file.read(MOST_BYTES)
    except OSError as error:
        return LogAnswer(known, name, problem=error.strerror or "")
    lines = raw.decode(errors="replace").splitlines()
    whole = size <= MOST_BYTES
    wanted = text[:MOST_SEARCH].lower()
    found = [line for line in (lines if whole else lines[1:]) if wanted in line.lower()]
    if wanted and hide is not nothing:
        found = [shown for line in found if wanted in (shown := hide(line)).lower()]
    told = [hide(line)[:LONGEST] for line in found[-MOST_LINES:]]
    return LogAnswer(known, name, told, len(found), whole)
