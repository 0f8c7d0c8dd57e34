"""`gameday faults`: what can go wrong, a line each, and what each needs."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

import click

from gameday.cli.terminal import echo, emit
from gameday.core.stack_registry import STACKS
from gameday.spec.faults.catalogue import CLASSES, changes, name_of, plain_example

_IN_WORDS: Final = {
    "toxiproxy": "toxiproxy and proxies",
}
"""The key that the change names, where another goes with it."""


@dataclass(frozen=True, slots=True)
class FaultEntry:
    """One fault: what it does, the keys of the system file that it needs, and the stacks."""

    fault: str
    about: str
    needs: list[str]
    stacks: list[str]

    @property
    def in_words(self) -> str:
        """Its needs, for the eye."""
        words = [_IN_WORDS.get(key, key) for key in self.needs]
        if len(self.stacks) < len(STACKS):
            words.append(f"--stack {' or '.join(self.stacks)}")
        return ", ".join(words) or "nothing"


def lines() -> Iterator[FaultEntry]:
    """Every fault that there is."""
    for each in CLASSES:
        made = changes(plain_example(each))
        kinds = {change.kind for change in made}
        stacks = [name for name, entry in STACKS.items() if kinds <= entry.kinds]
        needs = list(dict.fromkeys(change.needs for change in made if change.needs))
        yield FaultEntry(name_of(each), each.about, needs, stacks)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def faults(*, as_json: bool) -> None:
    """List the faults: what each does, and what it needs of your system file and the stack.

    Each is a line of `method` in an experiment; `gameday explain network.latency` has its keys.
    """
    found = list(lines())
    if as_json:
        emit(json.dumps([asdict(each) for each in found], indent=2) + "\n")
        return
    name = max(len(each.fault) for each in found)
    about = max(len(each.about) for each in found)
    for each in found:
        echo(f"{each.fault:<{name}}  {each.about:<{about}}  {each.in_words}")
    echo("Needs are keys of the system file; the stacks embedded and compose bring them along.")
