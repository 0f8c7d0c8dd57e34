"""Search for files: a path as given, a name in the current folder, then among the shipped.

The wheel carries copies of the experiments, the playbooks and compose.yml; in a checkout the
originals are found.
"""

import os
from pathlib import Path

from gameday.core import settings
from gameday.core.errors import UsageError
from gameday.core.files import is_file
from gameday.spec.yaml import one_of_them, shown_path

_PACKAGE = Path(__file__).parent.parent
_EXPERIMENTS = "experiments"
_PLAYBOOKS = "playbooks"
_COMPOSE = "compose.yml"


def shipped() -> list[Path]:
    """The folders that hold shipped `experiments/` and `playbooks/`, the nearest first."""
    places = [_PACKAGE / "_shipped", _PACKAGE.parent]
    return [place for place in places if (place / _EXPERIMENTS).is_dir()]


def _folders(kind: str) -> list[Path]:
    places = [Path(), *shipped()]
    return [place / kind for place in places if (place / kind).is_dir()]


def _all(kind: str, pattern: str) -> list[Path]:
    """The files by name; the current folder's hides a shipped one."""
    found: dict[str, Path] = {}
    for folder in _folders(kind):
        for path in sorted(folder.glob(pattern)):
            found.setdefault(path.stem, path)
    return [found[name] for name in sorted(found)]


def all_experiments() -> list[Path]:
    """Every experiment that can be run by name."""
    return _all(_EXPERIMENTS, "*.yaml")


def all_playbooks() -> list[Path]:
    """Every playbook that can be named."""
    return _all(_PLAYBOOKS, "*.md")


def find_experiment(ref: str) -> Path:
    """The file of an experiment, from its path or its name. Raises UsageError."""
    if _is_path(ref, (".yaml", ".yml")):
        return _existing(Path(ref), "experiment")
    names = {path.stem: path for path in all_experiments()}
    if ref not in names and is_file(Path(ref)):
        cure = "the name of an experiment's file ends in .yaml"
        raise UsageError(f"no experiment {ref!r}: a file, but not YAML by its name", help=cure)
    if ref not in names:
        help = one_of_them(ref, names) or "there is no folder `experiments` here"
        raise UsageError(f"no experiment {ref!r}", help=help)
    return names[ref]


def find_playbook(ref: str, experiment: Path) -> Path | None:
    """The file of the playbook an experiment names; None if there is none.

    A path counts from the experiment's folder; a name is looked up in `./playbooks`, beside the
    experiment's folder, and among the shipped.
    """
    if _is_path(ref, (".md",)):
        path = experiment.parent / ref
        return path if os.path.lexists(path) else None
    beside = experiment.absolute().parent
    folders = [Path(_PLAYBOOKS), beside.parent / _PLAYBOOKS, beside, *_folders(_PLAYBOOKS)]
    paths = [folder / f"{ref}.md" for folder in folders]
    return next((path for path in paths if os.path.lexists(path)), None)  # reading refuses others


def find_system(ref: str | None) -> Path:
    """The system file given or set, else `./system_under_test/system.yaml`, or the shipped one."""
    ref = ref or settings.current()["system"]
    if ref is not None:
        return _existing(Path(ref), "system file")
    inside = Path("system_under_test", "system.yaml")
    for path in (inside, _PACKAGE.parent / inside):
        if is_file(path):
            return path
    raise UsageError(
        f"no system file: {shown_path(inside)} is not there", help="name one with --system FILE"
    )


def compose_file() -> Path:
    """Gameday's own compose.yml, beside the shipped experiments. Raises UsageError."""
    for place in shipped():
        if is_file(place / _COMPOSE):
            return place / _COMPOSE
    raise UsageError(f"no {_COMPOSE} beside the package", help="pip install gameday, once more")


def _is_path(ref: str, endings: tuple[str, ...]) -> bool:
    return "/" in ref or ref.endswith(endings)


def _existing(path: Path, what: str) -> Path:
    if not is_file(path):
        raise UsageError(f"no {what} {shown_path(path)}", help="it is not there or not a file")
    return path
