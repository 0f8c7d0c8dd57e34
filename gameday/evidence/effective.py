"""The effective run: its files with all defaults, addresses and ids (`effective.json`).

Judging reads this and never the YAML, so a run means the same a year later, whatever has become
of the files, the defaults, or the machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from gameday.spec.experiment import Experiment
from gameday.spec.playbook import FrontMatter, StepBlock
from gameday.spec.system import System


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
    """Settings of when a traffic generator kept its schedule; empty: the defaults."""


class _Record(BaseModel):
    """Fields that a run wrote beside the files; keys of later versions are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _Step(_Record):
    number: int
    text: str
    block: StepBlock


class _Playbook(_Record):
    head: FrontMatter
    steps: list[_Step]


class _Facts(_Record):
    run: str
    stack: str
    seed: int
    coupon: str
    stock: int | None
    short: bool
    playbook: _Playbook | None
    traffic_end_s: float
    no_responder: bool
    planned: dict[str, int]


def effective_from_json(fields: Mapping[str, Any]) -> Effective:
    """The content of `effective.json`. Raises ValueError or KeyError where it is not that."""
    facts = _Facts.model_validate(fields)
    book = facts.playbook
    steps = [PlannedStep(s.number, s.text, s.block) for s in (book.steps if book else ())]
    return Effective(
        run=facts.run,
        stack=facts.stack,
        seed=facts.seed,
        coupon=facts.coupon,
        stock=facts.stock,
        short=facts.short,
        experiment=Experiment.model_validate(fields["experiment"]),
        system=System.model_validate(fields["system"]),
        playbook=book.head if book else None,
        steps=tuple(steps),
        traffic_end_s=facts.traffic_end_s,
        no_responder=facts.no_responder,
        planned=facts.planned,
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
