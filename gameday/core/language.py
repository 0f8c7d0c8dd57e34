"""The language in which people read: those that there are, and the one that a locale asks for.

Which one counts is decided with all other settings (`settings.language()`): `--lang`, then
`GAMEDAY_LANG`, then a settings file, then the locale of the shell. A locale of another language
means English, as with all programs; an option that names another one is an error.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

ENGLISH: Final = "en"
LOCALE_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""As POSIX has it: the first that is set and not empty counts, whatever it says."""
_FOLDER: Final = Path(__file__).parent.parent / "report" / "locale"


@cache
def languages() -> tuple[str, ...]:
    """The languages by their codes, English first: one file each."""
    found = {path.stem for path in _FOLDER.glob("*.toml")}
    return (ENGLISH, *sorted(found - {ENGLISH}))


def of_locale(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The language of the locale and the variable it stands in; None where it names none of ours.

    `ko_KR.UTF-8` and `ko` are Korean.
    """
    for variable in LOCALE_VARIABLES:
        if value := environment.get(variable):
            code = value.partition(".")[0].partition("@")[0].partition("_")[0].lower()
            return (code, variable) if code in languages() else None
    return None
