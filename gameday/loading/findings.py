"""What validation works on, and what it has to say: an error, or a warning."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import FileError, Place
from gameday.loading.read import LoadedExperiment, LoadedPlaybook, LoadedSystem


@dataclass(frozen=True, slots=True)
class Warning_:
    """Something that is allowed and hardly meant."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


Finding = FileError | Warning_
Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All files of one run. `rules` are the alerting rules that count, `playbook` the one named."""

    experiment: LoadedExperiment
    system: LoadedSystem
    playbook: LoadedPlaybook | None = None
    rules: tuple[Path, ...] = ()
