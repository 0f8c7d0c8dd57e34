"""The forms of a report that are made whole, by name: a run directory becomes the bytes of a file.

Markdown is not among them: people edit it, so it is written beside what they wrote (`postmortem`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gameday.report.html import page, pdf

Maker = Callable[[Path], bytes]

MAKERS: Final[Mapping[str, Maker]] = {"html": page, "pdf": pdf}
