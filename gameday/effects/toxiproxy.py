"""A client of Toxiproxy's HTTP API with deadlines of its own.

toxiproxy-python cannot carry the run: one server per process, no timeouts, 5xx answers not
handled, no update. Thirteen routes are little, so this speaks the few it needs; the tests drive
the embedded server with toxiproxy-python as an independent client.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from gameday.errors import GamedayError

CALL_TIMEOUT_S = 4.0  # well under the server's own 25 s


class ToxiproxyError(GamedayError):
    """Toxiproxy refused a call, does not answer, or is not there."""

    exit_code = 4


class ToxiproxyGoneError(ToxiproxyError):
    """Nothing listens at the address: with the server, its proxies and toxics are gone too.

    Only a refused connection says so. A host that cannot be reached may still break things.
    """


class Toxiproxy:
    """One server, by its base URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON (None without any). Raises ToxiproxyError when no answer comes."""
        timeout = httpx.Timeout(CALL_TIMEOUT_S)
        # trust_env off: an HTTP_PROXY of the shell must not carry calls to a loopback address.
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            try:
                answer = await client.request(method, self.url + path, json=body)
            except httpx.HTTPError as error:
                if any(isinstance(one, ConnectionRefusedError) for one in _causes(error)):
                    raise ToxiproxyGoneError(f"toxiproxy {self.url}: {error}") from error
                kind = type(error).__name__
                raise ToxiproxyError(f"toxiproxy {self.url}{path}: no answer ({kind})") from error
        return answer.status_code, _json(answer)

    async def version(self) -> str:
        status, body = await self.call("GET", "/version")
        fine = status == 200 and isinstance(body, dict) and "version" in body
        _must(fine, self.url, "GET /version", status, body)
        return str(body["version"])

    async def proxies(self) -> Mapping[str, Any]:
        status, body = await self.call("GET", "/proxies")
        _must(status == 200 and isinstance(body, dict), self.url, "GET /proxies", status, body)
        return dict(body)

    async def proxy(self, name: str) -> Mapping[str, Any] | None:
        """The proxy as the server shows it, None when it has none of that name."""
        status, body = await self.call("GET", f"/proxies/{_q(name)}")
        if status == 404:
            return None
        fine = status == 200 and isinstance(body, dict) and {"listen", "enabled"} <= body.keys()
        _must(fine, self.url, f"GET proxy {name}", status, body)
        return dict(body)

    async def enable(self, name: str, *, enabled: bool) -> None:
        status, body = await self.call("POST", f"/proxies/{_q(name)}", {"enabled": enabled})
        _must(status == 200, self.url, f"update proxy {name}", status, body)

    async def add_toxic(self, proxy: str, toxic: Mapping[str, Any]) -> None:
        status, body = await self.call("POST", f"/proxies/{_q(proxy)}/toxics", dict(toxic))
        _must(status == 200, self.url, f"add toxic to {proxy}", status, body)

    async def remove_toxic(self, proxy: str, name: str) -> None:
        """Remove it; one that is not there is no error."""
        status, body = await self.call("DELETE", f"/proxies/{_q(proxy)}/toxics/{_q(name)}")
        _must(status in (204, 404), self.url, f"remove toxic {name}", status, body)

    async def toxic_names(self, proxy: str) -> list[str] | None:
        """The names of a proxy's toxics, None when there is no such proxy."""
        found = await self.proxy(proxy)
        return None if found is None else [toxic["name"] for toxic in found.get("toxics", [])]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it came from, and so on; where several came together, all of them."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text or None


def _must(fine: object, url: str, what: str, status: int, body: object) -> None:
    if fine:
        return
    said = body.get("error", body) if isinstance(body, dict) else body
    raise ToxiproxyError(f"toxiproxy {url}: {what} answered {status}: {said}")


def _q(name: str) -> str:
    return quote(name, safe="")
