"""Files of game days: found by name or path in `gamedays/`, and read with their positions.

They are looked up as experiments are: in the current folder, then among those that are shipped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core.errors import UsageError
from gameday.core.files import is_file
from gameday.spec.day import Day, day_of_one
from gameday.spec.inputs import find_experiment, load_experiment
from gameday.spec.shipped import DAYS, all_days, all_experiments
from gameday.spec.yaml import Document, load, one_of_them, shown_path

_ENDINGS: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadedDay:
    """A day with its file; of a day of one that is the experiment's own, read as it stands."""

    day: Day
    path: Path
    raw: bytes
    document: Document
    is_one_experiment: bool = False

    @property
    def title(self) -> str:
        return self.day.title or self.day.name

    def experiment(self, ref: str) -> str:
        """An experiment as `load_experiment` takes it: a path counts from the file of the day."""
        return str(self.path.parent / ref) if is_path(ref) and not self.is_one_experiment else ref

    @property
    def system(self) -> str | None:
        """The system file that it names; its path counts from the file of the day."""
        return None if self.day.system is None else str(self.path.parent / self.day.system)


def load_day(ref: str, *, short: bool = False, language: str = "en") -> LoadedDay:
    """The day of that name or path; an experiment's name or path alone is a day of one.

    `short` is for such a day. Texts that are named by id are in `language`. Raises UsageError, and
    FileError at the first thing that is wrong.
    """
    path = find_day(ref)
    if path is None:
        return _of_one(ref, short=short)
    document = load(path)
    day = document.parse(Day, {"language": language})
    return LoadedDay(day, path, document.raw, document)


def day_system(loaded: LoadedDay) -> Path:
    """The system file of a day that names one. Raises FileError where it is not there."""
    path = Path(loaded.system or "")
    if not is_file(path):
        problem = f"'system': there is no file {loaded.day.system!r}"
        raise loaded.document.error(("system",), problem, help="the path counts from this file")
    return path


def find_day(ref: str) -> Path | None:
    """The file of a day, None where `ref` means an experiment. Raises UsageError for neither."""
    if is_path(ref):
        path = Path(ref)
        if not is_file(path):
            cure = "it is not there or not a file"
            raise UsageError(f"no game day {shown_path(path)}", help=cure)
        return path if is_day(path) else None
    days = {path.stem: path for path in all_days()}
    if ref in days:
        return days[ref]
    experiments = {path.stem for path in all_experiments()}
    if ref in experiments:
        return None
    help = one_of_them(ref, days) or f"there is no folder `{DAYS}` here"
    near = one_of_them(ref, experiments)
    if not help.startswith("did you mean") and near.startswith("did you mean"):
        help = near
    raise UsageError(f"no game day and no experiment {ref!r}", help=help)


def is_day(path: Path) -> bool:
    """True if the file is that of a day: only one has an agenda, and none has traffic."""
    root = load(path).root
    if root.child("agenda") is not None:
        return True
    return path.absolute().parent.name == DAYS and root.child("traffic") is None


def is_path(ref: str) -> bool:
    """True if a reference is a path and no name."""
    return "/" in ref or ref.endswith(_ENDINGS)


def _of_one(ref: str, *, short: bool) -> LoadedDay:
    loaded = load_experiment(ref, short=short, seed=0)
    experiment = loaded.experiment
    day = day_of_one(experiment.name, ref, experiment.title, short=short)
    path = find_experiment(ref)
    return LoadedDay(day, path, loaded.raw, loaded.document, is_one_experiment=True)
