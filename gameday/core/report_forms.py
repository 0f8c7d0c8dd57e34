"""Forms of a report by name, each with the file that it is written to in the run directory.

Commands offer them before anything of a report is read; `report/formats` makes each of them.
"""

from collections.abc import Mapping
from typing import Final

MARKDOWN: Final = "md"  # people edit it, so it is written beside what they wrote
FORMS: Final[Mapping[str, str]] = {
    MARKDOWN: "postmortem.md",
    "html": "postmortem.html",
    "pdf": "postmortem.pdf",
    "json": "report.json",
    "junit": "junit.xml",
}
