"""Everything that can be said against a run's files before anything is touched.

Each rule looks at all inputs and yields findings. The first error is raised: the experiment's
before the playbook's before the system's, and within a file the first from the top.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gameday.documents import one_of_them
from gameday.errors import FileError
from gameday.loading import deadlines, expressions, names, secrecy, templates
from gameday.loading.find import all_playbooks, find_playbook, find_system
from gameday.loading.findings import Finding, Inputs, Warning_
from gameday.loading.read import (
    LoadedExperiment,
    LoadedPlaybook,
    LoadedSystem,
    load_experiment,
    load_playbook,
    load_system,
)


def validate(inputs: Inputs) -> list[Warning_]:
    """Check what one run needs; the warnings. Raises FileError at the first error."""
    rules = (
        *(deadlines.bounds, deadlines.faults_lie_in_traffic, deadlines.expectations_can_show),
        *(deadlines.sell_out_comes_late, names.inside_experiment, names.against_system),
        *(names.alerts_have_rules, names.playbook_answers, expressions.of_experiment),
        *(expressions.of_playbook, expressions.of_system, secrecy.no_secrets, templates.are_known),
    )
    findings = [finding for rule in rules for finding in rule(inputs)]
    raise_first(findings, inputs)
    return [each for each in findings if isinstance(each, Warning_)]


def raise_first(findings: Iterable[Finding], inputs: Inputs) -> None:
    """Raise the error that comes first."""
    files = [inputs.experiment.document.file]
    files += [inputs.playbook.front.file] if inputs.playbook else []
    files += [inputs.system.document.file]
    order = {file: rank for rank, file in enumerate(files)}

    def rank(error: FileError) -> tuple[int, int, int]:
        place = error.place
        return order.get(place.file, len(order)), place.line, place.column

    errors = [each for each in findings if isinstance(each, FileError)]
    if errors:
        raise min(errors, key=rank)


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
        if not path.is_file():
            raise source.document.error(("rules", index), f"'rules': there is no file {rule!r}")
        yield path


def load_inputs(
    ref: str, system: str | None = None, *, short: bool = False, seed: int | None = None
) -> Inputs:
    """Find and read everything one run needs. Raises UsageError and FileError."""
    loaded = load_experiment(ref, short=short, seed=seed)
    return gather(loaded, load_system(find_system(system)))
