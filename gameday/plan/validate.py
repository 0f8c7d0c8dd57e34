"""Everything that can be said against a run's files before anything is touched.

A module of `rules` has a function for each kind of file, which yields findings. The first error is
raised: the experiment's before the playbook's before the system's, and within a file the first from
the top.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from gameday.core.errors import FileError
from gameday.plan.rules import deadlines, expressions, names, placeholders, secrets
from gameday.spec.inputs import FileWarning, Finding, Findings, Inputs, LoadedPlaybook, LoadedSystem
from gameday.traffic import rules as scenarios

MOST_FINDINGS = 100  # nobody reads more, and a hostile file could have millions
"""So many the rules of one module, or all of a playbook or a system file, may find."""


def validate(inputs: Inputs) -> list[FileWarning]:
    """Check what one run needs; the warnings. Raises FileError at the first error."""
    rules = (
        *(scenarios.of_experiment, deadlines.of_experiment, names.of_experiment),
        *(expressions.of_experiment, secrets.of_experiment),
    )
    findings = [finding for rule in rules for finding in _enough(rule(inputs))]
    files = [inputs.experiment.document.file]
    if inputs.playbook is not None:
        findings += _enough(_of_playbook(inputs.playbook, inputs.system))
        files.append(inputs.playbook.front.file)
    findings += _enough(_of_system(inputs.system))
    _raise_first(findings, [*files, inputs.system.document.file])
    return [each for each in findings if isinstance(each, FileWarning)]


def validate_system(loaded: LoadedSystem) -> list[FileWarning]:
    """Check a system file by itself; the warnings. Raises FileError."""
    findings = list(_enough(_of_system(loaded)))
    _raise_first(findings, [loaded.document.file])
    return [each for each in findings if isinstance(each, FileWarning)]


def _enough(findings: Findings) -> Findings:
    """The first of them: a file with thousands of errors is not asked for its last one."""
    return islice(findings, MOST_FINDINGS)


def _of_system(loaded: LoadedSystem) -> Findings:
    yield from expressions.of_system(loaded)
    yield from secrets.of_system(loaded)
    yield from placeholders.of_system(loaded)
    yield from names.of_system(loaded)


def validate_playbook(loaded: LoadedPlaybook, system: LoadedSystem) -> list[FileWarning]:
    """Check a playbook against the system whose actions it uses. Raises FileError."""
    findings = list(_enough(_of_playbook(loaded, system)))
    _raise_first(findings, [loaded.front.file])
    return [each for each in findings if isinstance(each, FileWarning)]


def _of_playbook(loaded: LoadedPlaybook, system: LoadedSystem) -> Findings:
    yield from names.of_playbook(loaded, system)
    yield from expressions.of_playbook(loaded)


def _raise_first(findings: Iterable[Finding], files: Sequence[str]) -> None:
    """Raise the error that comes first, `files` being the order in which they are told."""

    def rank(error: FileError) -> tuple[int, int, int]:
        place = error.place
        file = files.index(place.file) if place.file in files else len(files)
        return file, place.line, place.column

    errors = [each for each in findings if isinstance(each, FileError)]
    if errors:
        raise min(errors, key=rank)
