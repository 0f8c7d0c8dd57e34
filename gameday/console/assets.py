"""The files of the page: those that come with the package, by their names, and no others.

The chart library is also in every report, so it lies there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parent / "page"
VENDOR: Final = Path(__file__).parents[1] / "report" / "vendor"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
INDEX: Final = "index.html"
LANGUAGES: Final = "locale/languages.json"


def assets(language: str | None = None) -> Mapping[str, bytes]:
    """Every file of the page by its path, and the languages: those that there are, the chosen one.

    `language` was chosen for the server: it comes before what a browser asks for.
    """
    found = {
        str(path.relative_to(PAGE)): path.read_bytes()
        for path in sorted(PAGE.rglob("*"))
        if path.suffix in TYPES
    }
    found |= {
        f"vendor/{path.name}": path.read_bytes()
        for path in sorted(VENDOR.iterdir())
        if path.suffix in TYPES
    }
    languages = sorted(path.stem for path in (PAGE / "locale").glob("*.json"))
    told = {"known": languages, "chosen": language}
    return {**found, LANGUAGES: json.dumps(told).encode()}


def type_of(name: str) -> str:
    """The content type of a file of the page."""
    return TYPES[Path(name).suffix]
