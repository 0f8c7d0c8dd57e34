"""Network faults: what goes wrong on the way to a service, whatever proxy makes it so.

All but `network.down` and `network.flap` are toxics: they strike one direction (by default the
answers) of a share of the connections (by default all). Toxiproxy's `noop` toxic changes nothing
and is no fault.
"""

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from gameday.core.units import Duration, ms
from gameday.spec.changes import Change, ProxyDown, ProxyFlap, ToxicChange
from gameday.spec.faults.base import Fault
from gameday.spec.yaml import Name

LARGEST = 2**53 - 1  # what every JSON reader takes whole
MOST = 2**31 - 1  # the server counts nanoseconds in 64 bits, and draws from twice a variation


SHORTEST_FLAP = timedelta(milliseconds=100)  # a few probes must fit into it


class NetworkFault(Fault):
    """A fault on the way between the system and `target`, a service named under `proxies`."""

    target: Name = Field(
        description="A service under `proxies` of the system file", examples=["redis"]
    )

    @property
    def on(self) -> str:
        return self.target


class ToxicFault(NetworkFault):
    """A fault of the bytes on their way, in one direction, on a share of the connections."""

    direction: Literal["downstream", "upstream"] = Field(
        default="downstream", description="downstream: the answers; upstream: the requests"
    )
    toxicity: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="The share of connections that it strikes",
        examples=[0.5],
    )

    def toxic(self, type_: str, **attributes: int) -> list[Change]:
        """The toxic that this fault is."""
        return [ToxicChange(self.target, type_, self.direction, self.toxicity, attributes)]


class Latency(ToxicFault):
    """The target answers, but late: every response waits `latency` ± `jitter`."""

    about: ClassVar[str] = "every answer comes late"

    fault: Literal["network.latency"]
    latency: Duration = Field(description="How late each answer comes", examples=["300ms"])
    jitter: Duration = Field(
        default=timedelta(0), description="Up to so much more or less", examples=["50ms"]
    )

    def changes(self) -> list[Change]:
        return self.toxic("latency", latency=ms(self.latency), jitter=ms(self.jitter))


class Timeout(ToxicFault):
    """The target takes requests and never answers; connections close after `timeout`, 0 = never."""

    about: ClassVar[str] = "no answer ever comes"

    fault: Literal["network.timeout"]
    timeout: Duration = Field(
        default=timedelta(0),
        description="When a connection closes; 0 = never",
        examples=["2s"],
    )

    def changes(self) -> list[Change]:
        return self.toxic("timeout", timeout=ms(self.timeout))


class Bandwidth(ToxicFault):
    """Answers trickle: `rate_kb_per_s` thousand bytes a second on each connection."""

    about: ClassVar[str] = "answers trickle"

    fault: Literal["network.bandwidth"]
    rate_kb_per_s: int = Field(
        ge=1, le=MOST, description="Thousand bytes a second of each connection", examples=[10]
    )

    def changes(self) -> list[Change]:
        return self.toxic("bandwidth", rate=self.rate_kb_per_s)


class ResetPeer(ToxicFault):
    """Connections are reset `timeout` after the first answer."""

    about: ClassVar[str] = "connections are reset"

    fault: Literal["network.reset_peer"]
    timeout: Duration = Field(
        default=timedelta(0),
        description="How long after the first answer",
        examples=["100ms"],
    )

    def changes(self) -> list[Change]:
        return self.toxic("reset_peer", timeout=ms(self.timeout))


class SlowClose(ToxicFault):
    """Connections that the target closes stay open for `delay` longer; data is not held up."""

    about: ClassVar[str] = "connections close late"

    fault: Literal["network.slow_close"]
    delay: Duration = Field(description="How much longer they stay open", examples=["2s"])

    @field_validator("delay")
    @classmethod
    def _is_late(cls, delay: timedelta) -> timedelta:
        if ms(delay) < 1:
            raise ValueError("must be 1ms or longer")
        return delay

    def changes(self) -> list[Change]:
        return self.toxic("slow_close", delay=ms(self.delay))


class Slicer(ToxicFault):
    """Answers come in pieces of about `average_bytes` (± `variation_bytes`), `delay` apart."""

    about: ClassVar[str] = "answers come in pieces"

    fault: Literal["network.slicer"]
    average_bytes: int = Field(ge=1, le=MOST, description="The size of a piece", examples=[16])
    variation_bytes: int = Field(
        default=0, ge=0, le=MOST, description="Up to so much more or less", examples=[8]
    )
    delay: Duration = Field(default=timedelta(0), description="The pause after each piece")

    @field_validator("variation_bytes")
    @classmethod
    def _is_smaller(cls, variation: int, info: ValidationInfo) -> int:
        average = info.data.get("average_bytes")
        if average is not None and variation >= average:
            raise ValueError(f"must be less than the average ({average})")
        return variation

    def changes(self) -> list[Change]:
        size, varies = self.average_bytes, self.variation_bytes
        delay = round(self.delay.total_seconds() * 1_000_000)
        return self.toxic("slicer", average_size=size, size_variation=varies, delay=delay)


class LimitData(ToxicFault):
    """Each connection carries `bytes` of answers, and is closed."""

    about: ClassVar[str] = "connections close after so many bytes"

    fault: Literal["network.limit_data"]
    bytes: int = Field(
        ge=1, le=LARGEST, description="How many of answers pass on a connection", examples=[4096]
    )

    def changes(self) -> list[Change]:
        return self.toxic("limit_data", bytes=self.bytes)


class Down(NetworkFault):
    """The target refuses connections, and the ones it had are closed."""

    about: ClassVar[str] = "connections are refused"

    fault: Literal["network.down"]

    def changes(self) -> list[Change]:
        return [ProxyDown(self.target)]


class Flap(NetworkFault):
    """The target refuses connections for `down` and takes them for `up`, three times or more.

    Each time is up to `jitter` longer or shorter, in the same way for the same seed.
    """

    about: ClassVar[str] = "connections are refused again and again"

    fault: Literal["network.flap"]
    down: Duration = Field(description="How long it refuses, each time", examples=["3s"])
    up: Duration = Field(description="How long it takes connections, each time", examples=["3s"])
    jitter: Duration = Field(
        default=timedelta(0),
        validate_default=True,
        description="Each time is up to so much longer or shorter",
        examples=["500ms"],
    )

    @field_validator("down", "up")
    @classmethod
    def _is_seen(cls, length: timedelta) -> timedelta:
        if length < SHORTEST_FLAP:
            raise ValueError("must be 100ms or longer")
        return length

    @field_validator("jitter")
    @classmethod
    def _leaves_whole_periods(cls, jitter: timedelta, info: ValidationInfo) -> timedelta:
        down, up, duration = (info.data.get(key) for key in ("down", "up", "duration"))
        if down is None or up is None or duration is None:
            return jitter
        if min(down, up) - jitter < SHORTEST_FLAP:
            raise ValueError("must leave `down` and `up` 100ms or longer")
        if 3 * (down + up + 2 * jitter) > duration:
            raise ValueError("`duration` must hold `down` and `up` three times, at their longest")
        return jitter

    def changes(self) -> list[Change]:
        return [ProxyFlap(self.target, ms(self.down), ms(self.up), ms(self.jitter))]


NetworkFaults = (
    Latency | Timeout | Bandwidth | ResetPeer | SlowClose | Slicer | LimitData | Down | Flap
)
