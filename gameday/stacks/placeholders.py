"""The placeholders of a system file's `start` (`spec/start.py`), and what they stand for.

`{{` and `}}` are braces. What is not asked for is not started.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gameday.core.errors import UsageError
from gameday.spec.audit import AuditRequest
from gameday.spec.proxies import renamed
from gameday.spec.start import MAIN, OPEN, PLACEHOLDERS, PUBLIC, STORES, SqlFile, Start
from gameday.spec.system import System
from gameday.stacks.stack import Addresses

_PYTHONS = ("python", "python3")
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def asked_for(start: Start) -> frozenset[str]:
    """The placeholders that occur. Raises UsageError for an unknown one, or a secret in `argv`.

    Any user of the machine can read the arguments of a process, so passwords go into `env`.
    """
    commands = {"argv": [start.argv], "setup": [s for s in start.setup if isinstance(s, list)]}
    asked = {name for text in start.env.values() for name in _names(text)}
    for key, each in commands.items():
        named = {name for argv in each for text in argv for name in _names(text)}
        for name in sorted(named - PUBLIC):
            raise UsageError(
                f"start.{key}: {{{name}}} would show a password to every user of the machine",
                help="hand it over in start.env",
            )
        asked |= named
    if any(isinstance(step, SqlFile) for step in start.setup):
        asked.add("postgres_direct")
    return frozenset(asked)


def stores_of(asked: frozenset[str]) -> tuple[str, ...]:
    """The stores that must run."""
    words = {name.partition("_")[0] for name in asked}
    return tuple(name for name in STORES if name in words)


def is_open(asked: frozenset[str]) -> bool:
    """True if the Redis must let everybody of this machine in."""
    return bool(asked & OPEN)


def values_of(name: str, url: str) -> dict[str, str]:
    """The values of an address and of its parts; `name` is that of its placeholder."""
    at = urlsplit(url)
    parts = {
        "host": at.hostname or "",
        "port": str(at.port),
        "user": at.username or "default",  # of Redis, whose addresses name nobody
        "password": at.password or "",
        "database": at.path.removeprefix("/"),
    }
    without = at._replace(netloc=f"{at.hostname}:{at.port}").geturl()
    return {
        name: url,
        f"{name}_url": without,
        **{f"{name}_{part}": value for part, value in parts.items()},
    }


def render(text: str, values: Mapping[str, str]) -> str:
    """`text` with its placeholders replaced, `{{` becoming a brace."""

    def one(match: re.Match[str]) -> str:
        return values[match[1]] if match[1] is not None else match[0][0]

    return _TOKEN.sub(one, text)


def argv_of(argv: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """A command with its placeholders replaced; a leading `python` is the one that runs us."""
    words = [render(text, values) for text in argv]
    return [sys.executable, *words[1:]] if words[0] in _PYTHONS else words


def _names(text: str) -> list[str]:
    names = []
    for match in _TOKEN.finditer(text):
        if match[0] in ("{{", "}}"):
            continue
        if match[1] not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in MAIN)
            raise UsageError(
                f"start: {match[0]!r} in {text!r} is no placeholder",
                help=f"there are {known}, and the parts of addresses, as {{postgres_host}}"
                " (docs/own-start.md); a bare brace is written {{",
            )
        names.append(match[1])
    return names


def readdress(system: System, addresses: Addresses) -> System:
    """`system` as it can be reached on a stack that we started.

    The origin of `base_url` moves to the service's port, the origin of `admin_url` (or, without
    one, any other origin) to its admin port. A Prometheus that the system file names scrapes what
    is written there: where that has moved, it would tell of something else, and only one that the
    stack has itself is read.
    """
    main = _origin(system.base_url)
    admin = _origin(system.admin_url) if system.admin_url else None

    def moved(url: str) -> str:
        origin = _origin(url)
        if origin == main:
            return _at_port(url, addresses.port)
        return _at_port(url, addresses.admin_port if admin in (origin, None) else None)

    metrics = [moved(url) for url in system.metrics]
    stays = moved(system.base_url) == system.base_url and metrics == system.metrics
    update = {
        "base_url": moved(system.base_url),
        "admin_url": moved(system.admin_url) if system.admin_url else None,
        "metrics": metrics,
        "toxiproxy": addresses.toxiproxy,
        "proxies": renamed(system.proxies, addresses.proxies),
        "prometheus": addresses.prometheus or (system.prometheus if stays else None),
        "alertmanager": addresses.alertmanager or (system.alertmanager if stays else None),
    }
    audit = system.audit
    if isinstance(audit, AuditRequest) and audit.url is not None:
        audit = audit.model_copy(update={"url": moved(audit.url)})
    return system.model_copy(update={**update, "audit": audit})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _at_port(url: str, port: int | None) -> str:
    if port is None:
        return url
    return urlsplit(url)._replace(scheme="http", netloc=f"127.0.0.1:{port}").geturl()
