"""The external stack: a system that runs already. Nothing is started, stopped or moved.

What its service adds to its own logs is copied, where the system file names them.

Network faults need a Toxiproxy before the system's dependencies; without one that answers, an
experiment can still send traffic and judge.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from gameday.core.errors import UsageError
from gameday.spec.request import FromEnv
from gameday.spec.start import Start
from gameday.spec.system import System
from gameday.stacks.log_tails import LogTails, copies_of
from gameday.stacks.stack import Addresses, Running, StackWorkdir


class ExternalStack:
    """Whatever the system file names."""

    def __init__(self) -> None:
        self._tails: tuple[LogTails, Path] | None = None

    async def start(self, system: System, workdir: StackWorkdir) -> Running:
        """Find the secrets in the environment. Raises UsageError for a variable that is not set."""
        environment = environment_of(system)
        if system.logs:
            paths = [workdir.system_dir / each for each in system.logs]
            tails = await asyncio.to_thread(LogTails, copies_of(paths))
            self._tails = tails, workdir.logs_dir
        return Running(
            system=system,
            environment=environment,
            addresses=Addresses(None, None, system.toxiproxy, system.proxy_names),
            secrets=frozenset(value for value in environment.values() if value),
        )

    def ended(self) -> list[str]:
        """No part of it is ours."""
        return []

    def replicas(self) -> Mapping[str, str]:
        """Nobody adds one."""
        return {}

    async def stop(self) -> list[str]:
        """Nothing is stopped: it is not ours. Its logs are kept."""
        if self._tails is not None:
            tails, logs_dir = self._tails
            await asyncio.to_thread(tails.keep, logs_dir)
        return []


def environment_of(system: System) -> dict[str, str]:
    """The variables that the system file's `{env: NAME}` name."""
    names = sorted({secret.env for secret in _from_env(system)})
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise UsageError(
            f"system {system.name!r}: the environment has no {', '.join(missing)}",
            help=f"export {missing[0]}=…",
        )
    return {name: os.environ[name] for name in names}


def _from_env(value: object) -> Iterator[FromEnv]:
    """Every `{env: NAME}` in a model, but those of a `start` that is not ours to do."""
    if isinstance(value, FromEnv):
        yield value
    elif isinstance(value, BaseModel) and not isinstance(value, Start):
        for _, each in value:
            yield from _from_env(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _from_env(each)
    elif isinstance(value, list):
        for each in value:
            yield from _from_env(each)
