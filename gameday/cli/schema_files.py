"""Schemas as files, for editors: an editor with the YAML language server reads their names.

The first line of a file names its schema, from where the file lies:

    # yaml-language-server: $schema=../docs/schemas/experiment.schema.json

`docs/schemas/` of this repository has those of the shipped files; they are written by
`gameday schema --write docs/schemas`, and a test says when they are old.
"""

import json
import os
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.files.private import as_asked

YAML_LINE: Final = "# yaml-language-server: $schema={path}"
TOML_LINE: Final = "#:schema {path}"
PLACES: Final = {
    "experiment": ("experiments", YAML_LINE),
    "day": ("gamedays", YAML_LINE),
    "system": (".", YAML_LINE),
    "settings": (".", TOML_LINE),
}
"""Where files of a kind usually lie, and the line that an editor reads; others have none."""
LARGEST_BYTES: Final = 4 * files.MIB  # a schema has some 100 KB


def write_schema(folder: Path, kind: str, text: str) -> str:
    """Write a schema; its path, and the first line of a file of that kind.

    Raises UsageError where something else has its name, or the folder cannot be written.
    """
    path = folder / f"{kind}.schema.json"
    try:
        if path.exists() and not _is_schema(path):
            raise UsageError(f"{path}: is no schema", help="move it away, or name another folder")
        with as_asked():
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}", help="name another folder"
        ) from error
    if kind not in PLACES:
        return str(path)
    place, line = PLACES[kind]
    relative = os.path.relpath(path, place)
    return f"{path}  first line of a file in {place}/:  {line.format(path=relative)}"


def _is_schema(path: Path) -> bool:
    try:
        found = json.loads(files.read_bytes(path, LARGEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "$schema" in found
