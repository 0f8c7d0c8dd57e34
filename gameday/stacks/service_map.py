"""What the services of somebody's compose file are to gameday, as `--service-map` says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gameday.core.errors import UsageError

TOXIPROXY: Final = "toxiproxy"
CALLER: Final = "service"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A service of their file; `port` is None where nobody has named it."""

    service: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """What the services of their file are here: those that call, and their dependencies by name."""

    callers: tuple[str, ...]
    dependencies: Mapping[str, Dependency]

    @property
    def services(self) -> Sequence[str]:
        """Every service of their file that it names, once."""
        struck = (each.service for each in self.dependencies.values())
        return list(dict.fromkeys([*self.callers, *struck]))

    @classmethod
    def parse(cls, text: str) -> "ServiceMap":
        """`redis=cache,postgres=db:5433,service=api`. Raises UsageError."""
        callers: list[str] = []
        found: dict[str, Dependency] = {}
        for part in text.split(","):
            name, target = _pair(part)
            if name == CALLER:
                callers.append(target.service)
            elif name in found or name == TOXIPROXY:
                raise UsageError(
                    f"--service-map: {name!r} is there already, before {part.strip()!r}",
                    help="one service of the compose file for each dependency",
                )
            else:
                found[name] = target
        _refuse_half(text, callers, found)
        return cls(tuple(callers), found)


def _pair(part: str) -> tuple[str, Dependency]:
    """One `NAME=SERVICE` or `NAME=SERVICE:PORT`. Raises UsageError."""
    name, _, target = (each.strip() for each in part.partition("="))
    service, colon, port = target.partition(":")
    if not name or not service or (colon and (name == CALLER or not _is_port(port))):
        raise UsageError(
            f"--service-map: {part.strip()!r:.80} is not NAME=SERVICE or NAME=SERVICE:PORT",
            help=f"such as redis=cache,postgres=db:5433,{CALLER}=api",
        )
    return name, Dependency(service, int(port) if colon else None)


def _refuse_half(text: str, callers: Sequence[str], found: Mapping[str, Dependency]) -> None:
    """Raises UsageError unless there are callers and dependencies, and none is both."""
    for there, example in ((callers, f"{CALLER}=api"), (found, "redis=cache")):
        if not there:
            raise UsageError(
                f"--service-map: {text!r:.80} names no {example.partition('=')[0]}",
                help=f"such as --service-map redis=cache,{CALLER}=api",
            )
    both = sorted({each.service for each in found.values()} & set(callers))
    if both:
        raise UsageError(
            f"--service-map: {both[0]!r} is its own dependency",
            help=f"{CALLER}= is who calls, the others are what it calls",
        )


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 2**16
