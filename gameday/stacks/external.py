"""The external stack: a system that runs already. Nothing is started, stopped or moved.

Network faults need a Toxiproxy before the system's dependencies; without one that answers, an
experiment can still send traffic and judge.
"""

import os
from collections.abc import Iterator

from pydantic import BaseModel

from gameday.core.errors import UsageError
from gameday.core.stack_registry import STACKS
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.spec.request import FromEnv
from gameday.spec.system import Start, System
from gameday.stacks.stack import Addresses, Running, StackWorkdir

_ALWAYS = frozenset({"traffic", "request"})
_BY_TOXIPROXY = frozenset({"toxic", "proxy"})


class ExternalStack:
    """Whatever the system file names. `lacks` says why its network cannot be broken, "" if it can.

    `kinds` is all that such a stack may be able to do, and from `start` on what this one can:
    with a Toxiproxy that answers, and with the stores that its file names.
    """

    def __init__(self) -> None:
        self.kinds = STACKS["external"].kinds
        self.lacks = "not started"

    async def start(self, system: System, workdir: StackWorkdir) -> Running:
        """Find the secrets in the environment, and whether a Toxiproxy answers.

        Raises UsageError for a variable that is not set.
        """
        del workdir  # nothing is made, so nothing is announced
        environment = _environment(system)
        self.lacks = await _lacks(system)
        self.kinds = _ALWAYS | _by_stores(system)
        if not self.lacks:
            self.kinds |= _BY_TOXIPROXY
        return Running(
            system=system,
            environment=environment,
            addresses=Addresses(None, None, system.toxiproxy, system.proxies),
            secrets=frozenset(value for value in environment.values() if value),
        )

    def ended(self) -> list[str]:
        """No part of it is ours."""
        return []

    async def stop(self) -> list[str]:
        """Nothing is stopped: it is not ours."""
        self.kinds = _ALWAYS
        return []


def _by_stores(system: System) -> frozenset[str]:
    """Kinds of change that are possible because the system file has addresses of its stores."""
    stores = system.stores
    named = {"redis": stores.redis, "sql": stores.postgres}
    return frozenset(kind for kind, store in named.items() if store is not None)


async def _lacks(system: System) -> str:
    if system.toxiproxy is None:
        return "the system file names no toxiproxy"
    try:
        await Toxiproxy(system.toxiproxy).version()
    except ToxiproxyError as error:
        return error.message
    return ""


def _environment(system: System) -> dict[str, str]:
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
