"""Which hosts a run would talk to, and the early refusal of a strange one, with its place.

Whether a host may be used is decided in `core.network.allow_list`, and again at each connection;
here it is asked for everything that a system file names, before anything begins. That looks names
up, so it is done only when a run is about to begin, never while validating.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.network.allow_list import Allowed, NoAddressError, host_of
from gameday.core.network.urls import Base, store_ends
from gameday.spec.audit import AuditRequest
from gameday.spec.campaign import SqlAct
from gameday.spec.request import FromEnv, FromFile, Secret
from gameday.spec.system import ADDRESSES, System
from gameday.spec.yaml import Document


def resolve_targets(
    system: System, environment: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """Every (key of the system file, host) that a run talks to.

    The stores' addresses are secrets; they are included where `environment` has them, or the file
    that they stand in can be read.
    """
    return [*_addresses(system), *_stores(system, environment or {})]


def _addresses(system: System) -> Iterator[tuple[str, str]]:
    for key in ADDRESSES:
        for each in system.servers(key):
            yield key, _base(key, each.url).host
    if isinstance(system.audit, AuditRequest) and system.audit.url is not None:
        yield "audit.url", _base("audit.url", system.audit.url).host


def _base(key: str, url: str) -> Base:
    try:
        return Base.parse(url, query=key == "metrics")
    except UsageError as error:
        raise UsageError(f"{key}: {error.message}", help=error.help) from None


def _stores(system: System, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    stores = system.stores
    secrets = {
        "stores.postgres.dsn": stores.postgres.dsn if stores.postgres else None,
        "stores.mysql.url": stores.mysql.url if stores.mysql else None,
        "stores.redis.url": stores.redis.url if stores.redis else None,
    }
    for index, act in enumerate(system.before_run):
        if isinstance(act, SqlAct):
            secrets[f"before_run.{index}.url"] = act.url
    for key, reference in secrets.items():
        url = None if reference is None else _value(reference, environment)
        if url is None:
            continue
        yield from ((key, host) for host in _hosts(key, url))


def _hosts(key: str, url: str) -> list[str]:
    """The hosts of a store's address, of which an error shows nothing: it holds a password."""
    try:
        ends = store_ends(url)
        hosts = [host_of(host) for host, _ in ends if not host.startswith("/")]
    except (ValueError, NoAddressError):
        help = "percent-encode what is special in a password: / ? # @ : %"
        raise UsageError(f"{key}: the value behind it is no address", help=help) from None
    if not ends and url.startswith("postgres"):
        help = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        raise UsageError(f"{key}: the address behind it names no host", help=help)
    return hosts


def _value(reference: Secret, environment: Mapping[str, str]) -> str | None:
    """The value behind a reference; None if it cannot be found, which is reported later."""
    if isinstance(reference, FromEnv):
        return environment.get(reference.env)
    assert isinstance(reference, FromFile)
    try:
        return files.read_bytes(Path(reference.file), files.SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        return None


def refuse_foreign(
    system: System,
    allowed: Allowed,
    environment: Mapping[str, str] | None = None,
    document: Document | None = None,
) -> None:
    """Refuse an address that is not loopback and not allowed by name. Raises UsageError.

    `document` is the system file, where the error is to say in which line the address stands.
    """
    for key, host in resolve_targets(system, environment):
        place = "" if document is None else f"{document.place(*key.split('.'))}: "
        allowed.check(host, f"{place}{key}")
