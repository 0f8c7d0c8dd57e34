"""All proxies of the server, by name: what creating, updating, populating and resetting mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gameday.toxiproxy import address
from gameday.toxiproxy.address import ResolvedAddress
from gameday.toxiproxy.errors import ApiError, bad_body
from gameday.toxiproxy.go_json import read_fields
from gameday.toxiproxy.proxy import Proxy
from gameday.toxiproxy.settings import Shared

PROXIES_MAX = 4096  # far more than a machine has services; bounds memory
CHARACTERS_MAX = 4096  # names and addresses are short; bounds memory
FIELDS = {"name": "string", "listen": "string", "upstream": "string", "enabled": "bool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A proxy as a client describes it."""

    name: str = ""
    listen: str = ""
    upstream: str = ""
    enabled: bool = True

    @classmethod
    def read(cls, value: Any) -> "Wanted":
        """Raises ApiError 400 when a field has the wrong type."""
        return cls(**read_fields(value, FIELDS))

    def check(self, place: str = "") -> None:
        """Raises ApiError 400 unless there is a name and an upstream, and none is endless."""
        for field in ("name", "upstream"):
            if not getattr(self, field):
                raise ApiError(400, f"missing required field: {field}{place}")
        if len(self.name) + len(self.upstream) + len(self.listen) > CHARACTERS_MAX:
            raise bad_body(f"more than {CHARACTERS_MAX} characters{place}")


class ProxyCollection:
    """The proxies of one server."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._proxies: dict[str, Proxy] = {}

    def __getitem__(self, name: str) -> Proxy:
        """Raises ApiError 404."""
        if name not in self._proxies:
            raise ApiError(404, "proxy not found")
        return self._proxies[name]

    def sorted(self) -> list[Proxy]:
        return [self._proxies[name] for name in sorted(self._proxies)]

    async def create(self, wanted: Wanted) -> Proxy:
        """A new proxy. Raises ApiError 400, 409, or 500 when it cannot listen."""
        wanted.check()
        self._refuse_duplicate(wanted.name)
        where = None
        if wanted.enabled:
            where = await address.resolve(wanted.listen, "listen tcp: ")
        self._refuse_duplicate(wanted.name)
        return await self._add(wanted, where)

    def _refuse_duplicate(self, name: str) -> None:
        if name in self._proxies:
            raise ApiError(409, "proxy already exists")
        if len(self._proxies) >= PROXIES_MAX:
            raise ApiError(400, f"more than {PROXIES_MAX} proxies")

    async def _add(self, wanted: Wanted, where: ResolvedAddress | None) -> Proxy:
        proxy = Proxy(wanted.name, wanted.listen, wanted.upstream, self._shared)
        self._proxies[wanted.name] = proxy
        if where is not None:
            try:
                await proxy.start(where)
            except ApiError:
                del self._proxies[wanted.name]
                raise
        return proxy

    async def update(self, proxy: Proxy, value: Any) -> None:
        """Take over `listen`, `upstream` and `enabled` from a body; what it lacks stays."""
        changes = read_fields(value, {key: FIELDS[key] for key in FIELDS if key != "name"})
        where = await address.resolve(changes.get("listen", proxy.listen))
        upstream = changes.get("upstream", proxy.upstream)
        await proxy.update(where, upstream, enabled=changes.get("enabled", proxy.enabled))

    async def delete(self, name: str) -> None:
        """Stop it and forget it. Raises ApiError 404."""
        proxy = self[name]
        del self._proxies[name]
        await proxy.stop()

    async def populate(self, value: Any) -> "Populated":
        """Make each proxy of an array exist; the first failure stops, what is done stays."""
        if not isinstance(value, list | None):
            raise bad_body("expected an array of proxies")
        if len(value or []) > PROXIES_MAX:
            raise bad_body(f"more than {PROXIES_MAX} proxies")
        entries = [Wanted.read(item) for item in value or []]
        for number, wanted in enumerate(entries, start=1):
            wanted.check(f" at proxy {number}")
        done: list[Proxy] = []
        for wanted in entries:
            try:
                done.append(await self._add_or_replace(wanted))
            except ApiError as error:
                return Populated(done, error)
        return Populated(done)

    async def _add_or_replace(self, wanted: Wanted) -> Proxy:
        existing = self._proxies.get(wanted.name)
        if existing is None:
            return await self.create(wanted)
        where = await address.resolve(wanted.listen)
        if existing.listen == str(where) and existing.upstream == wanted.upstream:
            return existing
        await existing.stop()
        replacement = Proxy(wanted.name, wanted.listen, wanted.upstream, self._shared)
        if wanted.enabled:
            await replacement.start(where)
        self._proxies[wanted.name] = replacement
        return replacement

    async def reset(self) -> None:
        """Enable every proxy and remove every toxic. Raises ApiError 500 for the first that fails.

        The toxics of all are removed first: a proxy that cannot listen keeps no fault elsewhere.
        """
        for proxy in self.sorted():
            proxy.remove_toxics()
        for proxy in self.sorted():
            if not proxy.enabled:
                await proxy.start(await address.resolve(proxy.listen))

    async def close(self) -> None:
        """Stop all."""
        for proxy in self.sorted():
            await proxy.stop()


@dataclass(frozen=True, slots=True)
class Populated:
    """The proxies that populating made, and the error that ended it early, if any."""

    proxies: Sequence[Proxy]
    error: ApiError | None = None
