"""YAML that people write, read once and strictly, with positions, into frozen models.

`load` reads a YAML file within limits (size, depth, aliases), refuses duplicate keys, and keeps
the position of every value (`tree.py`); `Document.parse` turns it into a model and every complaint
into a `FileError` with `file:line:column`, the value, and the nearest name that would have been
right (`messages.py`). The first error of a file is told, one at a time.
"""

from gameday.core.errors import one_of_them
from gameday.core.files import decode, shown_path
from gameday.spec.model import NAME_PATTERN, Model, Name, shape
from gameday.spec.yaml.document import (
    Document,
    compose,
    compose_documents,
    load,
    load_documents,
    read_bytes,
)
from gameday.spec.yaml.tree import MappingEntry, Node

__all__ = [
    "NAME_PATTERN",
    "Document",
    "MappingEntry",
    "Model",
    "Name",
    "Node",
    "compose",
    "compose_documents",
    "decode",
    "load",
    "load_documents",
    "one_of_them",
    "read_bytes",
    "shape",
    "shown_path",
]
