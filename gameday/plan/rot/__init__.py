"""Rot: what a playbook names and the project has not, or has no more.

A playbook is right on the day that it is written. Then a metric is renamed, an action goes, a port
changes, a command gets another option, a page moves; and nobody reads the playbook until the night
it is needed. Here it is held against what there is now. All of it are warnings: a run needs no
more than the probes and the actions, and what is wrong with those is an error already.
"""

from itertools import islice

from gameday.core.files import decode
from gameday.plan.rot import addresses, commands, links, metrics, names, passages
from gameday.plan.rot.passages import Pages
from gameday.plan.rot.surroundings import Surroundings, Understood, surroundings
from gameday.spec.inputs import FileWarning, LoadedPlaybook, LoadedSystem

__all__ = ["Surroundings", "Understood", "pages_of", "rot", "surroundings"]
MOST_FINDINGS = 100


def pages_of(loaded: LoadedPlaybook) -> Pages:
    """The passages of a playbook."""
    return passages.read(decode(loaded.raw, loaded.front.file), loaded.front.file)


def rot(loaded: LoadedPlaybook, system: LoadedSystem, around: Surroundings) -> list[FileWarning]:
    """Everything in a playbook that is there no more, in the order of the file."""
    pages = pages_of(loaded)
    rules = (
        names.of_front(loaded, around),
        metrics.of_probes(loaded, around),
        metrics.of_pages(pages, around),
        names.of_pages(pages, around),
        addresses.of_pages(pages, system, around),
        commands.of_pages(pages, around),
        links.of_pages(loaded, pages),
    )
    found = [each for rule in rules for each in islice(rule, MOST_FINDINGS)]
    warnings = [each for each in found if isinstance(each, FileWarning)]
    warnings.sort(key=lambda each: (each.place.line, each.place.column))
    return list(dict.fromkeys(warnings))[:MOST_FINDINGS]
