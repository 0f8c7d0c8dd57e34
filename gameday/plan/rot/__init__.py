"""Rot: what a playbook names and the project has not, or has no more.

A playbook is right on the day that it is written. Then a metric is renamed, an action goes, a port
changes, a command gets another option, a page moves; and nobody reads the playbook until the night
it is needed. Here it is held against what there is now. All of it are warnings: a run needs no
more than the probes and the actions, and what is wrong with those is an error already.
"""

from itertools import chain, islice

from gameday.core.files import decode
from gameday.plan.rot import addresses, commands, links, metrics, names, passages
from gameday.plan.rot.passages import Pages
from gameday.plan.rot.surroundings import Surroundings, Understood, surroundings
from gameday.spec.inputs import FileWarning, LoadedPlaybook, LoadedSystem

__all__ = ["Surroundings", "Understood", "pages_of", "rot", "surroundings"]
MOST_FINDINGS = 50  # nobody reads more, and each is compared with all names that there are
LARGEST_BYTES = 100_000  # the longest shipped playbook has 3 KB


def pages_of(loaded: LoadedPlaybook) -> Pages:
    """The passages of a playbook."""
    return passages.read(decode(loaded.raw, loaded.front.file), loaded.front.file)


def rot(loaded: LoadedPlaybook, system: LoadedSystem, around: Surroundings) -> list[FileWarning]:
    """Everything in a playbook that is there no more, in the order of the file."""
    if len(loaded.raw) > LARGEST_BYTES:
        text = f"more than {LARGEST_BYTES:,} bytes: not held against what there is now"
        return [FileWarning(loaded.front.place(), text)]
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
    found = islice(chain.from_iterable(rules), MOST_FINDINGS)
    warnings = [each for each in dict.fromkeys(found) if isinstance(each, FileWarning)]
    return sorted(warnings, key=lambda each: (each.place.line, each.place.column))
