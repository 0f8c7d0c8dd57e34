"""Stacks: what an experiment runs on. Each starts, fills in the addresses, and stops.

`embedded` starts a real Redis and a real PostgreSQL from Python packages' binaries, gameday's
Toxiproxy server before them, and the service as its system file's `start` says. `persistent` is
the same one that `gameday up` left running. `compose` puts up the containers of compose.yml.
`external` starts nothing. Whoever holds the `Running`
of a started stack knows every address; nobody else does.
"""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gameday.core.clock import Clock
from gameday.core.errors import StackError
from gameday.injection.context import Direct, InjectionContext, NamedCommands
from gameday.injection.upstream import Published
from gameday.spec.system import System
from gameday.spec.undos import ProjectUndo, ScaleUndo, Undo

Announce = Callable[[str, list[Undo]], None]
Progress = Callable[[Sequence[str], Sequence[str]], None]


def conceal_nothing(secrets: Collection[str]) -> None:
    """Secrets that nobody has to be told of."""
    del secrets


def to_nobody(well: Sequence[str], waiting: Sequence[str]) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True)
class StackWorkdir:
    """Folders of a stack, and the functions that hear of its start.

    `announce` hears of each component before it starts, `progress` which are well and which are
    waited for, whenever that changes, `conceal` which secrets its logs may quote, before there are
    any.

    `path` does not exist yet: the stack makes it, so that it can be announced first, and
    removes it (`new_work_dir` names one). `system_dir` is the folder of the system file, in
    which the service runs.
    """

    path: Path
    logs_dir: Path
    clock: Clock
    announce: Announce
    system_dir: Path
    progress: Progress = to_nobody
    conceal: Callable[[Collection[str]], None] = conceal_nothing


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of a started stack: ports of the service (None: as written), proxies by service.

    `bridge` is where its Alertmanager notifies, whose token is BRIDGE_TOKEN of the environment.
    """

    port: int | None
    admin_port: int | None
    toxiproxy: str | None
    proxies: Mapping[str, str]
    prometheus: str | None = None
    alertmanager: str | None = None
    bridge: str | None = None
    grafana: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A started stack.

    `system` has the stack's `addresses`; `environment` the values for `{env: NAME}`; `direct` and
    `proxied` map a service to its URL with the password in it; `secrets` are the texts that must
    not be shown; `binaries` says which program each store runs, `parts` is where it stands how each
    part is started (`process/launch.py`), `token_file` where the token stands without which its
    Toxiproxy changes nothing (None: it asks for none). `project` is the compose project that it
    is, `published` where each proxy in it is reached, by the proxy's name, `replicas` the record by
    which its service is scaled, `may_end` the services that may end well, as a migration does.
    """

    system: System
    environment: Mapping[str, str]
    addresses: Addresses
    direct: Mapping[str, str] = field(default_factory=dict)
    proxied: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, Path] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    binaries: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Path] = field(default_factory=dict)
    token_file: Path | None = None
    project: ProjectUndo | None = None
    published: Mapping[str, Published] = field(default_factory=dict)
    replicas: ScaleUndo | None = None
    may_end: frozenset[str] = frozenset()

    def injection(self, run: str, seed: int = 0, files: Sequence[Path] = ()) -> InjectionContext:
        """The context in which drivers of a run work on it; `files` have the system's commands."""
        system = self.system
        direct = Direct(
            stores=system.stores,
            environment=self.environment,
            parts=self.parts,
            token_file=self.token_file,
            project=self.project,
            has_stores=self.project if self.direct else None,  # those of an own project are theirs
            published=self.published,
            replicas=self.replicas,
            commands=NamedCommands(system.commands, tuple(each.absolute() for each in files)),
        )
        return InjectionContext(run, system.toxiproxy, system.proxy_names, direct, seed)


class Stack(Protocol):
    """One way to have a system to experiment on."""

    async def start(self, system: System, workdir: StackWorkdir) -> Running:
        """Put it up and wait until it is healthy. Raises StackError; then nothing is left."""
        ...

    def ended(self) -> list[str]:
        """The parts of ours that should run but do not. Quick: it is asked once a second."""
        ...

    def replicas(self) -> Mapping[str, str]:
        """Metrics address of each replica by its name; empty where they are those of the start."""
        ...

    async def stop(self) -> list[str]:
        """Take it down again; what could not be stopped, normally nothing."""
        ...


@asynccontextmanager
async def whole_or_nothing(stop: Callable[[], Awaitable[list[str]]]) -> AsyncIterator[None]:
    """Run `stop` where the start inside fails or is cancelled. Raises StackError for OSError."""
    try:
        yield
    except OSError as error:
        await asyncio.shield(stop())
        raise StackError(f"the stack cannot be put up: {error}") from error
    except BaseException:
        await asyncio.shield(stop())
        raise


def new_work_dir() -> Path:
    """The name of a folder that does not exist yet.

    It lies under the system's folder for temporary files, because PostgreSQL may have to run as
    another user, who cannot pass a home folder that only its owner may read.
    """
    base = Path(tempfile.gettempdir()).resolve()
    return base / f"gameday-{os.geteuid()}-{secrets.token_hex(6)}"
