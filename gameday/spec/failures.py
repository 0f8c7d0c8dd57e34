"""Failed answers as an experiment speaks of them: how many are damage, or none."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from gameday.spec.yaml import Model


class Failures(Model):
    """The share of answers that may fail before customers count as hurt, in any 5 seconds."""

    above: float = Field(
        gt=0,
        lt=1,
        description="Damage is where more than this share of the answers is *unknown* (none came,"
        " or no outcome describes it, as a 500) or reached nobody, and at least three are",
        examples=[0.05],
    )


def _failures(value: object) -> str | None:
    """Tag of the form in which `failures` is written: a word or a mapping."""
    if isinstance(value, str):
        return "word"
    return "mapping" if isinstance(value, Mapping | Failures) else None


FailuresOrWord = Annotated[
    Annotated[Literal["expected"], Tag("word")] | Annotated[Failures, Tag("mapping")],
    Discriminator(
        _failures,
        custom_error_type="failures",
        custom_error_message="write expected or {above: 0.1}",
    ),
]
