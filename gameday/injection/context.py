"""The context of injections in a run: the proxies' server, names of the run's own, the traffic.

Only acting needs a context. Undoing needs nothing but the `Undo`, so that a process that never saw
the experiment can do it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gameday.core.errors import UsageError
from gameday.core.network.event_loop import allowed_here
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.injection.upstream import Published, refuse_foreign_upstream

if TYPE_CHECKING:
    from gameday.spec.changes import ExtraTraffic
    from gameday.spec.commands import FaultCommand
    from gameday.spec.system import Stores
    from gameday.spec.undos import ProjectUndo, ProxyState, ScaleUndo


class TrafficSwitch(Protocol):
    """Switch that turns a scenario on and off."""

    async def on(self, extra: "ExtraTraffic") -> None: ...

    async def off(self, scenario: str) -> None: ...


def _none() -> "Stores":
    """No stores; the model of a system file takes long to load, and the reaper is in a hurry."""
    from gameday.spec.system import Stores

    return Stores()


@dataclass(frozen=True, slots=True)
class NamedCommands:
    """The commands of the system file, by name, and the files that have them.

    The first is the system file, in whose folder they run; the run's own copy may follow.
    """

    by_name: "Mapping[str, FaultCommand]" = field(default_factory=dict)
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Direct:
    """The stores as the system file names them, past the proxies, and what its secrets hold.

    `parts` is where it stands how each part of a started stack is started, `token_file` where the
    token of its Toxiproxy does. `project` is the compose project that is the stack, `published`
    where each of its proxies is reached. `has_stores` is that project where the stores are in it,
    with their data. `replicas` is the record by which its service is scaled. `commands` are what a
    fault may run.
    """

    stores: "Stores" = field(default_factory=_none)
    environment: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Path] = field(default_factory=dict)
    token_file: Path | None = None
    project: "ProjectUndo | None" = None
    has_stores: "ProjectUndo | None" = None
    published: Mapping[str, Published] = field(default_factory=dict)
    replicas: "ScaleUndo | None" = None
    commands: NamedCommands = field(default_factory=NamedCommands)


class InjectionContext:
    """The context of one run: proxies, stores, names, and what a fault has stopped on purpose."""

    def __init__(
        self,
        run: str,
        toxiproxy_url: str | None,
        proxies: Mapping[str, str],
        direct: Direct | None = None,
        seed: int = 0,
    ) -> None:
        self.seed = seed
        self.direct = direct or Direct()
        self.stopped_on_purpose: set[str] = set()  # by a fault
        self._run = run
        self._url = toxiproxy_url
        self._proxies = proxies
        self._count = 0
        self._traffic: TrafficSwitch | None = None

    def toxiproxy(self) -> Toxiproxy:
        if self._url is None:
            raise UsageError(
                "this experiment breaks the network, but the system names no toxiproxy",
                help="add `toxiproxy: http://…:8474` and `proxies:` to the system file",
            )
        return Toxiproxy(self._url, token_file=self.direct.token_file)

    def proxy_name(self, service: str) -> str:
        """The Toxiproxy proxy in front of a service."""
        return self._proxies[service]

    async def proxy(self, service: str) -> "ProxyState":
        """That proxy as the server shows it. Raises ToxiproxyError when it has none.

        Raises RefusedError when it leads to a host that may not be broken.
        """
        server, name = self.toxiproxy(), self.proxy_name(service)
        found = await server.proxy(name)
        if found is None:
            raise ToxiproxyError(f"toxiproxy {server.url} has no proxy {name!r}")
        known = self.direct.published.get(name)
        if known is None or known.upstream != found.upstream:
            await refuse_foreign_upstream(name, found.upstream, server.url, allowed_here())
        return found

    def next_name(self) -> str:
        """A toxic's name: the run's own, never used twice."""
        self._count += 1
        return f"{self.toxic_prefix}{self._count}"

    @property
    def toxic_prefix(self) -> str:
        """Prefix of the name of each toxic of this run."""
        return f"gameday-{self._run}-"

    def use_traffic(self, switch: TrafficSwitch) -> None:
        self._traffic = switch

    def traffic(self) -> TrafficSwitch:
        if self._traffic is None:
            raise UsageError("extra traffic was asked for before the traffic began")
        return self._traffic
