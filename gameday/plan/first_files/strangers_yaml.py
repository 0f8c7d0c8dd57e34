"""YAML of other programs, as plain data: text, numbers, truth values, lists and mappings.

It is read by the reader of gameday's own files, which counts what aliases and merge keys expand to
while it reads. What looks like a date stays text, and tags are refused.
"""

from typing import Any, Final

import yaml

from gameday.core.errors import FileError, UsageError
from gameday.core.files import decode
from gameday.plan.first_files.sketch import safe
from gameday.spec.yaml import compose_documents

MOST_VALUES: Final = 200_000  # a megabyte of an ordinary document has 90,000


def read_yaml(raw: bytes, where: str, largest_bytes: int) -> Any:
    """The first document. Raises UsageError, also for what expands to too much."""
    if len(raw) > largest_bytes:
        raise UsageError(
            f"{where}: more than 1 MB of YAML", help="cut it down, or write it as JSON"
        )
    try:
        found = compose_documents(decode(raw, where), where, MOST_VALUES)
    except FileError as error:
        raise UsageError(safe(error.message), help=error.help) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{where}: no YAML: {safe(error)}") from error
    return found[0].plain() if found else None
