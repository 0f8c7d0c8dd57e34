"""Files of Go modules that tests are held against: public facts, never copied into the project."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

VERSIONS: Final = {"github.com/prometheus-operator/prometheus-operator": "v0.85.0"}
DOWNLOAD_S: Final = 300


@cache
def _folder(module: str) -> Path | None:
    """The module's folder in Go's cache, fetched there if need be; None where it cannot be had."""
    go = shutil.which("go")
    if go is None:
        return None
    try:
        done = subprocess.run(
            [go, "mod", "download", "-json", f"{module}@{VERSIONS[module]}"],
            capture_output=True,
            timeout=DOWNLOAD_S,
            check=False,
        )
        found = json.loads(done.stdout)["Dir"]
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError):
        return None
    return Path(found)


def module_file(module: str, name: str) -> Path | None:
    """A file of a module; None where it cannot be had."""
    folder = _folder(module)
    return None if folder is None or not (folder / name).is_file() else folder / name
