"""The first line a traffic worker hears: what to send, where to, and where to write."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gameday.core.errors import UsageError
from gameday.core.network.addresses import Reach
from gameday.core.network.urls import Base
from gameday.spec.system import IssueRequest, Tls

# Run, scenario and key stand in requests unescaped, and scenario names become file names.
Plain = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class Config(BaseModel):
    """The configuration of one worker of `workers`; header secrets are already resolved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worker: int = Field(ge=0)
    workers: int = Field(ge=1)
    history_dir: Path
    seed: int
    run: Plain
    coupon: str
    stock: int | None = None
    users: int = Field(ge=1, le=2**53)
    base_url: str
    request: IssueRequest
    tls: Tls = Tls()
    replay: Literal["none", "idempotent"] = "none"
    scenarios: list[dict[str, Any]] = Field(default_factory=list)
    reach: Reach = Reach()


class Spike(BaseModel):
    """A scenario that a fault adds; without a duration it lasts until it is switched off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Plain
    rate_per_s: float = Field(gt=0, le=1_000_000)
    duration_s: float | None = Field(default=None, gt=0)


def scenario_name(text: object) -> str:
    """A name that may become a file's. Raises UsageError."""
    if isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        return text
    raise UsageError(f"{text!r} is no name for a scenario", help="write letters, digits and dashes")


class Origin(BaseModel):
    """The destination of requests: the parts of `base_url`."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    authority: str
    prefix: str
    tls: bool = False

    @classmethod
    def parse(cls, base_url: str) -> "Origin":
        """The parts of an http or https URL. Raises UsageError for what a worker cannot send to."""
        base = Base.parse(base_url)
        return cls(
            host=base.host,
            port=base.port_or_default,
            authority=base.authority,
            prefix=base.prefix,
            tls=base.scheme == "https",
        )
