"""`effective.json`: what a run really used, once every default and address is filled in.

Judging and reporting read this record, not the files people wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gameday.spec.playbook import Playbook
from gameday.spec.read import LoadedExperiment
from gameday.spec.system import System
from gameday.traffic.forecast import traffic_end_s

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Facts of a run besides its files.

    `coupon` is the real code, `stock` the one that counts, `planned` the starts by scenario,
    `settings` what was set, and where.
    """

    run: str
    stack: str
    coupon: str
    stock: int | None
    planned: Mapping[str, int]
    no_responder: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def effective(
    loaded: LoadedExperiment, system: System, playbook: Playbook | None, facts: RunFacts
) -> dict[str, Any]:
    """The record, ready for JSON. `system` has the stack's addresses; secrets are references."""
    return {
        "schema": SCHEMA,
        "run": facts.run,
        "stack": facts.stack,
        "seed": loaded.experiment.seed,
        "coupon": facts.coupon,
        "stock": facts.stock,
        "short": loaded.short,
        "experiment": dump(loaded.experiment),
        "system": dump(system),
        "playbook": None if playbook is None else dump_playbook(playbook),
        "traffic_end_s": traffic_end_s(loaded.experiment),
        "no_responder": facts.no_responder,
        "planned": dict(facts.planned),
        "settings": dict(facts.settings),
    }


def dump(model: BaseModel) -> dict[str, Any]:
    """A model as its file would say it, with every default; it validates again to the same."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def dump_playbook(playbook: Playbook) -> dict[str, Any]:
    """The head and the steps; the Markdown itself is among the run's inputs."""
    steps = [
        {"number": step.number, "text": step.text, "block": dump(step.block)}
        for step in playbook.steps
    ]
    return {"head": dump(playbook.head), "steps": steps}
