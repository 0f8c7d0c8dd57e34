"""What was run: the files with all defaults, addresses and ids filled in (`effective.json`).

Judging reads this and never the YAML, so a run means the same a year later, whatever has become
of the files, the defaults, or the machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gameday.experiment import Experiment
from gameday.playbook import FrontMatter, StepBlock
from gameday.system import System


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of the playbook, with its number (from 1) and the words around it."""

    number: int
    text: str
    block: StepBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """The experiment as it was run; `traffic_end_s` counts from t = 0.

    `stock` is None until the campaign was looked at, where the file does not tell it.
    """

    run: str
    stack: str
    seed: int
    coupon: str
    stock: int | None
    short: bool
    experiment: Experiment
    system: System
    playbook: FrontMatter | None
    steps: tuple[PlannedStep, ...]
    traffic_end_s: float
    no_responder: bool
    planned: Mapping[str, int]
    generator: Mapping[str, float]
    """What was set of when a traffic generator kept its schedule; empty: the defaults."""


def effective_from_json(fields: Mapping[str, Any]) -> Effective:
    """The content of `effective.json`. Raises ValueError or KeyError where it is not that."""
    book = fields["playbook"]
    steps = [
        PlannedStep(step["number"], step["text"], StepBlock.model_validate(step["block"]))
        for step in (book["steps"] if book else ())
    ]
    return Effective(
        run=fields["run"],
        stack=fields["stack"],
        seed=fields["seed"],
        coupon=fields["coupon"],
        stock=fields["stock"],
        short=fields["short"],
        experiment=Experiment.model_validate(fields["experiment"]),
        system=System.model_validate(fields["system"]),
        playbook=FrontMatter.model_validate(book["head"]) if book else None,
        steps=tuple(steps),
        traffic_end_s=float(fields["traffic_end_s"]),
        no_responder=fields["no_responder"],
        planned=dict(fields["planned"]),
        generator=_generator(fields.get("settings", {})),
    )


def _generator(settings: Any) -> Mapping[str, float]:
    """The settings `generator.…`, which runs of before have none of. Raises ValueError."""
    if not isinstance(settings, Mapping):
        raise ValueError("'settings' is not a mapping")  # noqa: TRY004  the one error of a bad file
    found = {}
    for name in ("limited_below", "kept_from", "lag_ms", "lag_share"):
        each = settings.get(f"generator.{name}")
        if each is not None:
            found[name] = _positive(each)
    return found


def _positive(setting: Any) -> float:
    number = setting.get("value") if isinstance(setting, Mapping) else None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < 1e9:
        raise ValueError(f"{number!r} is not a setting of the generator")
    return float(number)
