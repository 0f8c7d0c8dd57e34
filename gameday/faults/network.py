"""Network faults: what goes wrong on the way to a service, whatever proxy makes it so."""

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field

from gameday.changes import Change, proxy_down, toxic
from gameday.documents import Name
from gameday.faults.base import Fault
from gameday.units import Duration, ms


class NetworkFault(Fault):
    """A fault on the way between the system and `target`, a service named under `proxies`."""

    target: Name

    @property
    def on(self) -> str:
        return self.target


class Latency(NetworkFault):
    """The target answers, but late: every response waits `latency` ± `jitter`."""

    about: ClassVar[str] = "every answer comes late"

    fault: Literal["network.latency"]
    latency: Duration
    jitter: Duration = timedelta(0)

    def changes(self) -> list[Change]:
        return [toxic(self.target, "latency", latency=ms(self.latency), jitter=ms(self.jitter))]


class Timeout(NetworkFault):
    """The target takes requests and never answers; connections close after `timeout`, 0 = never."""

    about: ClassVar[str] = "no answer ever comes"

    fault: Literal["network.timeout"]
    timeout: Duration = timedelta(0)

    def changes(self) -> list[Change]:
        return [toxic(self.target, "timeout", timeout=ms(self.timeout))]


class Bandwidth(NetworkFault):
    """Answers trickle: `rate_kb_per_s` thousand bytes a second on each connection."""

    about: ClassVar[str] = "answers trickle"

    fault: Literal["network.bandwidth"]
    rate_kb_per_s: int = Field(ge=1)

    def changes(self) -> list[Change]:
        return [toxic(self.target, "bandwidth", rate=self.rate_kb_per_s)]


class ResetPeer(NetworkFault):
    """Connections are reset `timeout` after the first answer."""

    about: ClassVar[str] = "connections are reset"

    fault: Literal["network.reset_peer"]
    timeout: Duration = timedelta(0)

    def changes(self) -> list[Change]:
        return [toxic(self.target, "reset_peer", timeout=ms(self.timeout))]


class Down(NetworkFault):
    """The target refuses connections, and the ones it had are closed."""

    about: ClassVar[str] = "connections are refused"

    fault: Literal["network.down"]

    def changes(self) -> list[Change]:
        return [proxy_down(self.target)]
