"""The code of a campaign that the system makes up, in the answer to the request that creates it."""

from typing import Final

from gameday.core.json import at_path
from gameday.core.network.http import Answer
from gameday.spec.request import path_of

LONGEST_CODE: Final = 200  # characters


def code_in(answer: Answer, path: str) -> int | str | None:
    """The code at the path, a number if it is one; None where no code is. Raises JsonError."""
    found = at_path(answer.json(), path_of(path))
    if type(found) is int:
        return found if abs(found) < 2**63 else None
    is_text = isinstance(found, str) and found.isprintable() and 0 < len(found) <= LONGEST_CODE
    return found if is_text else None
