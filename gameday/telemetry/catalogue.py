"""The catalogue of readings: every expression that a run evaluates, listed once from its files.

The collector evaluates them all at every instant of its grid, and writes their results to
`samples.jsonl` by their keys. Guards and thresholds are numbered from 0, in the order of the file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the collector needs the keys alone, and starts faster without these
    from gameday.spec.experiment import Experiment
    from gameday.spec.playbook import Playbook
    from gameday.spec.system import System

Kind = Literal[
    "objective", "guard", "dependency", "drain", "step", "threshold", "reaction", "autoscaler"
]


@dataclass(frozen=True, slots=True)
class Expression:
    """A PromQL expression; `name` tells it from others of its kind, "" where there is one only."""

    kind: Kind
    name: str
    expr: str

    @property
    def key(self) -> str:
        return key(self.kind, self.name)

    @property
    def title(self) -> str:
        """The name for people, who count guards from 1."""
        name = int(self.name) + 1 if self.kind == "guard" else self.name
        return f"{self.kind} {name}".replace(":", " ").rstrip()


def key(kind: Kind, name: str | int = "") -> str:
    """The key of a reading or figure."""
    return f"{kind}:{name}" if name != "" else kind


def names(kind: Kind, keys: Iterable[str]) -> list[str]:
    """The names of one kind among `keys`, each once, in their order."""
    parts = (each.partition(":") for each in keys)
    return list(dict.fromkeys(name for of, _, name in parts if of == kind))


def expressions(
    experiment: "Experiment",
    system: "System",
    playbook: "Playbook | None",
    others: "Iterable[Playbook]" = (),
) -> Iterator[Expression]:
    """Everything that a run will read but for its thresholds, which are no PromQL.

    `others` are the playbooks that are offered in place of one.
    """
    yield from _of_experiment(experiment)
    yield from _of_system(system, autoscaling=experiment.autoscaling)
    for book in [*([] if playbook is None else [playbook]), *others]:
        for step in book.steps:
            for when, probe in (("before", step.block.before), ("after", step.block.after)):
                if probe is not None:
                    yield Expression("step", f"{step.name}:{when}", probe)


def _of_experiment(experiment: "Experiment") -> Iterator[Expression]:
    from gameday.telemetry.failures import steady_state  # not for the collector, as above

    for objective in steady_state(experiment):
        yield Expression("objective", objective.name, objective.expr)
    for n, guard in enumerate(experiment.abort_if):
        yield Expression("guard", str(n), guard.expr)
    for reaction in experiment.expect.reactions:
        yield Expression("reaction", reaction.name, reaction.expr)


def _of_system(system: "System", *, autoscaling: bool) -> Iterator[Expression]:
    if autoscaling and system.autoscaler is not None:
        yield Expression("autoscaler", "", system.autoscaler.expr)
    for service, expr in system.dependencies.items():
        yield Expression("dependency", service, expr)
    if system.drain is not None:
        yield Expression("drain", "", system.drain.expr)
