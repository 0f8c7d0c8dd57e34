"""The base of every model that people write, and the names they may give things."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Model(BaseModel):
    """A frozen model that knows all its keys and takes `"5"` for text, never for a number."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, strict=True, defer_build=True
    )


class CuredError(ValueError):
    """A wrong value, with the cure that its error shows as help."""

    def __init__(self, problem: str, *, help: str) -> None:
        super().__init__(problem)
        self.help = help


def shape(value: object) -> str:
    """Tag of the members of a union: `list` for a list, `one` for anything else."""
    return "list" if isinstance(value, list) else "one"
