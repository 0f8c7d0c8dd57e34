"""The ids that a translation lacks, or has too many: `python -m tests.support.missing_ids`.

Prints each with its English text, ready to be translated, and exits with 1 if there is any.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Final, NamedTuple

PACKAGE: Final = Path(__file__).parent.parent.parent / "gameday"
REPORT: Final = PACKAGE / "report" / "locale"
CONSOLE: Final = PACKAGE / "console" / "page" / "locale"
OTHER_VALUES: Final = {"date.full"}
"""A date takes what its language needs of it: code gives all parts to each."""


class Difference(NamedTuple):
    """An id whose translation is missing, left over, or takes other values."""

    file: str
    what: str
    id: str
    english: str


def flat(tree: Mapping[str, object], before: str = "") -> dict[str, str]:
    """Every text of a file by its dotted id."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{before}.{key}" if before else key
        found |= flat(value, name) if isinstance(value, dict) else {name: str(value)}
    return found


def texts(path: Path) -> dict[str, str]:
    """The texts of a locale file."""
    raw = path.read_text(encoding="utf-8")
    return flat(tomllib.loads(raw) if path.suffix == ".toml" else json.loads(raw))


def placeholders(template: str) -> frozenset[str]:
    """The names of the values that a text takes."""
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)


def differences() -> Iterator[Difference]:
    """Every id in which a translation differs from the English file."""
    for folder, suffix in ((REPORT, "toml"), (CONSOLE, "json")):
        english = texts(folder / f"en.{suffix}")
        for path in sorted(folder.glob(f"??.{suffix}")):
            own = texts(path)
            for id_ in [*english, *(each for each in own if each not in english)]:
                if what := _difference(id_, english, own):
                    yield Difference(f"{folder.name}/{path.name}", what, id_, english.get(id_, ""))


def _difference(id_: str, english: Mapping[str, str], own: Mapping[str, str]) -> str:
    if id_ not in own:
        return "missing"
    if id_ not in english:
        return "left over"
    same = placeholders(english[id_]) == placeholders(own[id_])
    return "" if same or id_ in OTHER_VALUES else "other values"


if __name__ == "__main__":
    found = list(differences())
    for each in found:
        print(f"{each.file}: {each.what}: {each.id} = {json.dumps(each.english)}")
    sys.exit(bool(found))
