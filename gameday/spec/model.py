"""The base of every model that people write, and the names they may give things."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Model(BaseModel):
    """A frozen model that knows all its keys and takes `"5"` for text, never for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True)


def one_of_them(given: str, known: Iterable[str]) -> str:
    """The help for a wrong name: the nearest right one, else all of them, "" if there are none."""
    names = sorted(set(known))
    near = get_close_matches(given, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"one of {', '.join(names)}" if names else ""


def shape(value: object) -> str:
    """Tag of the members of a union: `list` for a list, `one` for anything else."""
    return "list" if isinstance(value, list) else "one"
