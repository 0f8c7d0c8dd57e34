"""From files to a run's inputs: found, read with positions, and checked against each other.

    find       a name or a path → the file
    read       the file → a model, its short form applied, ids and seed filled in
    markdown   a playbook → front matter and steps
    validate   all inputs → warnings, or the first error with its place
    bounds     how fast the system ought to be
    addresses  which hosts a run would talk to, and whether it may
    effective  the record of what a run used

Nothing here touches a system: validating needs no network and starts nothing.
"""

from gameday.loading.addresses import refuse_foreign, resolve_targets
from gameday.loading.effective import RunFacts, dump, dump_playbook, effective
from gameday.loading.find import (
    all_experiments,
    all_playbooks,
    find_experiment,
    find_playbook,
    find_system,
    shipped,
)
from gameday.loading.findings import Inputs, Warning_
from gameday.loading.read import (
    LoadedExperiment,
    LoadedPlaybook,
    LoadedSystem,
    has_short,
    load_experiment,
    load_playbook,
    load_system,
)
from gameday.loading.timing import closed, expected_starts, sell_out_s, traffic_end_s
from gameday.loading.validate import (
    gather,
    load_inputs,
    validate,
    validate_playbook,
    validate_system,
)

__all__ = [
    "Inputs",
    "LoadedExperiment",
    "LoadedPlaybook",
    "LoadedSystem",
    "RunFacts",
    "Warning_",
    "all_experiments",
    "all_playbooks",
    "closed",
    "dump",
    "dump_playbook",
    "effective",
    "expected_starts",
    "find_experiment",
    "find_playbook",
    "find_system",
    "gather",
    "has_short",
    "load_experiment",
    "load_inputs",
    "load_playbook",
    "load_system",
    "refuse_foreign",
    "resolve_targets",
    "sell_out_s",
    "shipped",
    "traffic_end_s",
    "validate",
    "validate_playbook",
    "validate_system",
]
