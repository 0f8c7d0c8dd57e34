"""The base of all faults: an id, a target, a beginning and a length."""

from typing import ClassVar

from pydantic import Field

from gameday.core.units import Duration
from gameday.spec.changes import Change
from gameday.spec.yaml import Model, Name


class Fault(Model):
    """One fault of a method. `id` is filled in as `<fault>-<n>` when the file gives none."""

    about: ClassVar[str] = ""

    fault: str = Field(description="Which fault it is", examples=["network.latency"])
    id: Name | None = Field(
        default=None,
        description="Its name in reports and for `of:`; default `<fault>-<n>`",
        examples=["slow-cache"],
    )
    at: Duration = Field(description="When it begins, from t = 0", examples=["15s"])
    duration: Duration = Field(description="How long it lasts", examples=["20s"])

    @property
    def on(self) -> str:
        """The target of the fault in a word: a service of the system file, or a scenario."""
        raise NotImplementedError

    def changes(self) -> list[Change]:
        """The changes that the fault would make. Pure."""
        raise NotImplementedError
