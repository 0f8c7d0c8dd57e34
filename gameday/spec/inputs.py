"""The files of one run, gathered: what validation works on, and what it has to say of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gameday.core.errors import FileError, Place
from gameday.core.files import is_file
from gameday.spec.find import all_playbooks, find_playbook, find_system
from gameday.spec.read import (
    LoadedExperiment,
    LoadedPlaybook,
    LoadedSystem,
    load_experiment,
    load_playbook,
    load_system,
)
from gameday.spec.yaml import one_of_them


@dataclass(frozen=True, slots=True)
class FileWarning:
    """Something that is allowed and hardly meant."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


Finding = FileError | FileWarning
Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All files of one run. `rules` are the alerting rules that count, `playbook` the one named."""

    experiment: LoadedExperiment
    system: LoadedSystem
    playbook: LoadedPlaybook | None = None
    rules: tuple[Path, ...] = ()


def gather(loaded: LoadedExperiment, system: LoadedSystem) -> Inputs:
    """The experiment and the system with the playbook and the rules they name.

    Raises FileError where a file that is named is not there.
    """
    return Inputs(loaded, system, _playbook(loaded), tuple(_rules(loaded, system)))


def _playbook(loaded: LoadedExperiment) -> LoadedPlaybook | None:
    name = loaded.experiment.playbook
    if name is None:
        return None
    path = find_playbook(name, loaded.path)
    if path is None:
        problem = f"'playbook': there is no playbook {name!r}"
        help = one_of_them(name, [each.stem for each in all_playbooks()])
        raise loaded.document.error(("playbook",), problem, help=help)
    return load_playbook(path)


def _rules(loaded: LoadedExperiment, system: LoadedSystem) -> Iterator[Path]:
    """The experiment's rules replace the system's; paths count from the file that names them."""
    own = loaded.experiment.rules
    source: LoadedExperiment | LoadedSystem = system if own is None else loaded
    for index, rule in enumerate(system.system.rules if own is None else own):
        path = source.path.parent / rule
        if not is_file(path):
            raise source.document.error(("rules", index), f"'rules': there is no file {rule!r}")
        yield path


def load_inputs(
    ref: str, system: str | None = None, *, short: bool = False, seed: int | None = None
) -> Inputs:
    """Find and read everything one run needs. Raises UsageError and FileError."""
    loaded = load_experiment(ref, short=short, seed=seed)
    return gather(loaded, load_system(find_system(system)))
