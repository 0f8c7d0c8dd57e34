"""Where experiments, playbooks and game days lie: here first, then among those that are shipped.

Apart from what reads them, so that a shell that completes a name need not wait for pydantic.
"""

from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent.parent
EXPERIMENTS: Final = "experiments"
PLAYBOOKS: Final = "playbooks"
DAYS: Final = "gamedays"


def shipped() -> list[Path]:
    """The folders that hold shipped `experiments/` and `playbooks/`, the nearest first."""
    places = [PACKAGE / "_shipped", PACKAGE.parent]
    return [place for place in places if (place / EXPERIMENTS).is_dir()]


def folders(kind: str) -> list[Path]:
    """The folders of one kind of file, those of the current folder first."""
    places = [Path(), *shipped()]
    return [place / kind for place in places if (place / kind).is_dir()]


def named_files(kind: str, pattern: str) -> list[Path]:
    """The files by name; the current folder's hides a shipped one."""
    found: dict[str, Path] = {}
    for folder in folders(kind):
        for path in sorted(folder.glob(pattern)):
            found.setdefault(path.stem, path)
    return [found[name] for name in sorted(found)]


def all_experiments() -> list[Path]:
    """Every experiment that can be run by name."""
    return named_files(EXPERIMENTS, "*.yaml")


def all_days() -> list[Path]:
    """Every game day that can be run by name."""
    return named_files(DAYS, "*.yaml")


def all_playbooks() -> list[Path]:
    """Every playbook that can be named; the translation of one is not."""
    return [path for path in named_files(PLAYBOOKS, "*.md") if "." not in path.stem]
