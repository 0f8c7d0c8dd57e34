"""Settings of a collector, read at its start: one JSON line on standard input."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from gameday.core.clock import NS
from gameday.core.errors import UsageError
from gameday.core.network.allow_list import Reach
from gameday.spec.tls import Tls
from gameday.spec.users import UsersFile
from gameday.spec.yaml import Model
from gameday.telemetry.collector.abort_thresholds import Aborting


class ScrapeTarget(Model):
    """The metrics address of one replica; `name` becomes the label `instance` of its series."""

    name: str = Field(min_length=1)
    url: str


class PrometheusSettings(Model):
    """The Prometheus to ask instead, with the headers it wants to see."""

    url: str
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False)
    scrape_s: float = Field(default=1.0, gt=0, description="Its longest interval between scrapes")


class ReceiverSettings(Model):
    """Where notifications arrive: the bridge at `url`, or one served here at `host` and `port`."""

    url: str = ""
    host: str = ""
    port: int = Field(default=0, ge=0, le=65535)
    token: str = Field(repr=False)


class AlertmanagerSettings(Model):
    """The Alertmanager to ask what it keeps back, with the headers it wants to see."""

    url: str
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False)


class CollectorSettings(Model):
    """Everything a collector does in its life."""

    samples: Path
    history_dir: Path
    grid_start_ns: int
    period_ns: int = Field(default=NS, gt=0)
    targets: list[ScrapeTarget] = Field(default_factory=list)
    scrape_timeout_s: float = Field(default=0.8, gt=0)
    prometheus: PrometheusSettings | None = None
    receiver: ReceiverSettings | None = None
    series_to: ReceiverSettings | None = Field(
        default=None, description="A bridge for the series alone, where no alert is routed"
    )
    alertmanager: AlertmanagerSettings | None = None
    tls: Tls = Field(
        default=Tls(), description="Whom to believe where a target is an https address"
    )
    scenarios: list[str] = Field(default_factory=list)
    rules: list[Path] = Field(default_factory=list)
    expressions: Mapping[str, str] = Field(default_factory=dict)
    journal: Path | None = Field(default=None, description="The run's journal, for fault windows")
    thresholds: Sequence[Aborting] = ()
    tags: Mapping[str, str] = Field(default_factory=dict, description="What all requests share")
    clock: str = ""
    reach: Reach = Field(default=Reach(), description="Where targets may be, and at which address")
    hidden: list[str] = Field(default_factory=list, repr=False, description="Secrets of the system")
    users: UsersFile | None = Field(default=None, description="The file whose cells are hidden too")

    @property
    def line(self) -> bytes:
        """The line that a collector reads as this."""
        return json.dumps(self.model_dump(mode="json")).encode()


class Targets(Model):
    """An order while it runs: these are asked from the next instant on."""

    targets: list[ScrapeTarget]

    def line(self) -> bytes:
        """One line of JSON for the collector's standard input."""
        return self.model_dump_json().encode()


def parse_targets(line: bytes) -> list[ScrapeTarget]:
    """The targets in one line of JSON. Raises UsageError."""
    try:
        return Targets.model_validate_json(line).targets
    except ValidationError as error:
        raise UsageError(f"an order of the collector cannot be used: {error}") from error


def parse_settings(line: bytes) -> CollectorSettings:
    """The settings in one line of JSON. Raises UsageError."""
    try:
        return CollectorSettings.model_validate_json(line)
    except ValidationError as error:
        raise UsageError(f"the collector's first line cannot be used: {error}") from error
