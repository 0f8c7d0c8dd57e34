"""The inputs of a drill: one sealed file until the debrief, then what every run has.

`inputs.sealed` holds the files of `inputs/` by name, as JSON with their bytes in base64, in the box
of the drill. It is written anew when the addresses of the stack are known, and removed when the
files are unpacked. A run directory is then what any other is.
"""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.evidence.sealed_box import Box

NAME: Final = "inputs.sealed"
FOLDER: Final = "inputs"
OFFERED: Final = "inputs/playbooks"
"""Never sealed: the playbooks of a drill, which whoever works on it may read."""
LARGEST_BYTES: Final = 256 * files.MIB
_PAD: Final = 64 * 1024  # the length tells shipped experiments from one another


def pack(run_dir: Path, box: Box, inputs: Mapping[str, bytes]) -> None:
    """Seal files by their names below `inputs/`. Raises OSError."""
    held = {name: base64.b64encode(raw).decode() for name, raw in inputs.items()}
    raw = json.dumps(held).encode()
    raw += b" " * (-len(raw) % _PAD)
    files.replace(run_dir / NAME, [box.seal(raw, _place(run_dir))])


def contents(run_dir: Path, box: Box) -> Mapping[str, bytes]:
    """The files by their names; none where nothing is sealed. Raises OSError, ValueError."""
    try:
        sealed = files.read_bytes(run_dir / NAME, LARGEST_BYTES)
    except FileNotFoundError:
        return {}
    inside = json.loads(box.open(sealed, _place(run_dir)))
    return {name: base64.b64decode(text, validate=True) for name, text in inside.items()}


def unpack(run_dir: Path, box: Box) -> None:
    """Write the files to their places; nothing where there is none. Raises OSError, ValueError."""
    inside = contents(run_dir, box)
    if not inside:
        return
    folder = run_dir / FOLDER
    for name, raw in inside.items():
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{name!r} is no file below {FOLDER}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        files.replace(target, [raw])
    os.unlink(run_dir / NAME)


def _place(run_dir: Path) -> str:
    """The run that it belongs to: what is copied to another one does not open."""
    return f"{run_dir.resolve().name}/{NAME}"
