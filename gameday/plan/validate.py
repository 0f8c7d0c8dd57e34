"""Everything that can be said against a run's files before anything is touched.

A module of `rules` has a function for each kind of file, which yields findings. The first error is
raised: the experiment's before the playbook's before the system's, and within a file the first from
the top.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeGuard

from gameday.core.errors import FileError
from gameday.plan.rules import (
    answers,
    audit,
    day,
    deadlines,
    drill,
    expressions,
    logs,
    names,
    placeholders,
    secrets,
    setup,
    steps,
    witness,
)
from gameday.spec.day_files import LoadedDay
from gameday.spec.faults import Fault
from gameday.spec.faults.network import NetworkFault
from gameday.spec.faults.service import PARTS, ServiceFault
from gameday.spec.inputs import (
    FileWarning,
    Finding,
    Findings,
    Inputs,
    LoadedDrill,
    LoadedPlaybook,
    LoadedSystem,
    gather,
)
from gameday.spec.translations import of_translations
from gameday.traffic import rules as scenarios

MOST_FINDINGS = 100  # nobody reads more, and a hostile file could have millions
"""So many the rules of one module, or all of a playbook or a system file, may find."""


def validate(inputs: Inputs) -> list[FileWarning]:
    """Check what one run needs; the warnings. Raises FileError at the first error."""
    rules = (
        *(scenarios.of_experiment, deadlines.of_experiment, names.of_experiment),
        *(witness.of_experiment, steps.of_experiment, expressions.of_experiment),
        *(logs.of_experiment, secrets.of_experiment),
    )
    findings = [finding for rule in rules for finding in _enough(rule(inputs))]
    files = [inputs.experiment.document.file]
    if inputs.playbook is not None:
        findings += _enough(_of_playbook(inputs.playbook, inputs.system))
        files.append(inputs.playbook.front.file)
    findings += _enough(_of_system(inputs.system))
    _raise_first(findings, [*files, inputs.system.document.file])
    return [each for each in findings if isinstance(each, FileWarning)]


def validate_alone(inputs: Inputs) -> list[FileWarning]:
    """The same where no command line names a stack: --service-map may bring the proxies.

    A system that names none, no Toxiproxy and no `start` is warned of then, not refused.
    """
    system, document = inputs.system.system, inputs.experiment.document
    if system.proxies or system.toxiproxy is not None or system.start is not None:
        return validate(inputs)
    method = enumerate(inputs.experiment.experiment.method)
    mapped = {index: fault.target for index, fault in method if _by_the_map(fault)}
    missing = [
        FileWarning(
            document.place("method", index, "target"),
            f"'target': the system has no `proxies`: --service-map has to name {name!r}",
        )
        for index, name in mapped.items()
    ]
    proxies = {name: name for name in mapped.values()}
    loaded = replace(inputs.system, system=system.model_copy(update={"proxies": proxies}))
    return [*missing, *validate(replace(inputs, system=loaded))]


def validate_drill(drilled: LoadedDrill, system: LoadedSystem) -> list[FileWarning]:
    """Check what a drill needs: the session's keys, and the experiment that it makes of the file.

    Returns the warnings. Raises FileError at the first error.
    """
    findings = list(_enough(drill.of_drill(drilled, system.system.semantics)))
    _raise_first(findings, [drilled.document.file])
    warnings = [each for each in findings if isinstance(each, FileWarning)]
    return [*warnings, *validate_alone(gather(drilled.loaded, system))]


def validate_day(
    loaded: LoadedDay, system: LoadedSystem, *, by_file: bool = True, short: bool = False
) -> list[FileWarning]:
    """Check a game day and every experiment of its agenda; the warnings.

    `by_file`: no command line adds a system. `short`: all experiments in their short form. Raises
    FileError at the first error.
    """
    found = day.experiments(loaded, short=short)
    findings: list[Finding] = []
    if not loaded.is_one_experiment:
        findings += _enough(day.of_day(loaded, found, system.system, by_file=by_file))
    _raise_first(findings, [loaded.document.file])
    warnings = [each for each in findings if isinstance(each, FileWarning)]
    for each in found:
        warnings += validate_alone(gather(each, system))
    return warnings


def _by_the_map(fault: Fault) -> TypeGuard[NetworkFault | ServiceFault]:
    """True if its target is what only the system's `proxies` or --service-map can name."""
    is_other = isinstance(fault, ServiceFault) and fault.target not in PARTS
    return is_other or isinstance(fault, NetworkFault)


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
    yield from answers.of_system(loaded)
    yield from audit.of_system(loaded)
    yield from setup.of_system(loaded)
    yield from steps.of_system(loaded)
    yield from names.of_system(loaded)


def validate_playbook(loaded: LoadedPlaybook, system: LoadedSystem) -> list[FileWarning]:
    """Check a playbook against the system whose actions it uses. Raises FileError."""
    findings = list(_enough(_of_playbook(loaded, system)))
    _raise_first(findings, [loaded.front.file])
    return [each for each in findings if isinstance(each, FileWarning)]


def _of_playbook(loaded: LoadedPlaybook, system: LoadedSystem) -> Findings:
    yield from names.of_playbook(loaded, system)
    yield from expressions.of_playbook(loaded)
    yield from of_translations(loaded)


def _raise_first(findings: Iterable[Finding], files: Sequence[str]) -> None:
    """Raise the error that comes first, `files` being the order in which they are told."""

    def rank(error: FileError) -> tuple[int, int, int]:
        place = error.place
        file = files.index(place.file) if place.file in files else len(files)
        return file, place.line, place.column

    errors = [each for each in findings if isinstance(each, FileError)]
    if errors:
        raise min(errors, key=rank)
