"""What people write, read once and strictly: YAML with positions, into frozen models.

`load` reads a YAML file within limits (size, depth, aliases), refuses duplicate keys, and keeps
the position of every value; `parse` turns it into a model and every complaint into a
`FileError` with `file:line:column`, the value, and the nearest name that would have been right.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Model(BaseModel):
    """A frozen model that knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
