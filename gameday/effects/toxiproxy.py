"""A client of Toxiproxy's HTTP API with deadlines of its own.

toxiproxy-python cannot carry the run: one server per process, no timeouts, 5xx answers not
handled, no update. Thirteen routes are little, so this speaks those it needs; the tests drive
the embedded server with toxiproxy-python as an independent client.

A wedged server keeps a call for 25 s, so every call here ends long before that, and what went
wrong is told apart: refused, not answered, answered with an error.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from gameday.errors import GamedayError

CALL_TIMEOUT_S = 4.0  # well under the server's own 25 s


class ToxiproxyError(GamedayError):
    """Toxiproxy refused a call, does not answer, or is not there."""

    exit_code = 4


class ToxiproxySilentError(ToxiproxyError):
    """No answer came, or not in time: the server is slow, wedged, stopped or cut off."""


class ToxiproxyGoneError(ToxiproxyError):
    """Nothing listens at the address: with the server, its proxies and toxics are gone too.

    Only a refused connection says so. A host that cannot be reached may still break things.
    """


class Toxiproxy:
    """One server, by its base URL. No call takes longer than `timeout_s`."""

    def __init__(self, url: str, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s

    def within(self, timeout_s: float) -> "Toxiproxy":
        """The same server, with another patience."""
        return Toxiproxy(self.url, timeout_s)

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON (None without any). Raises ToxiproxyError when no answer comes."""
        where = f"toxiproxy {self.url}{path}"
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._send(method, path, body)
        except (TimeoutError, httpx.TimeoutException) as error:
            within = f"no answer within {self._timeout_s:g} s"
            raise ToxiproxySilentError(f"{where}: {within}") from error
        except httpx.HTTPError as error:
            if any(isinstance(one, ConnectionRefusedError) for one in _causes(error)):
                raise ToxiproxyGoneError(f"toxiproxy {self.url}: {error}") from error
            kind = type(error).__name__
            raise ToxiproxySilentError(f"{where}: no answer ({kind})") from error
        return answer.status_code, _json(answer)

    async def _send(self, method: str, path: str, body: object) -> httpx.Response:
        # trust_env off: an HTTP_PROXY of the shell must not carry calls to a loopback address.
        # Certificates are loaded only where they are needed: that takes longer than a call.
        async with httpx.AsyncClient(
            timeout=None, trust_env=False, verify=self.url.startswith("https:")
        ) as client:
            return await client.request(method, self.url + path, json=body)

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

    async def create(self, proxy: Mapping[str, Any]) -> None:
        """Make a proxy: `name`, `listen`, `upstream`, `enabled`."""
        status, body = await self.call("POST", "/proxies", dict(proxy))
        _must(status == 201, self.url, f"create proxy {proxy['name']}", status, body)

    async def delete(self, name: str) -> None:
        """Remove a proxy with its toxics; one that is not there is no error."""
        status, body = await self.call("DELETE", f"/proxies/{_q(name)}")
        _must(status in (204, 404), self.url, f"delete proxy {name}", status, body)

    async def enable(self, name: str, *, enabled: bool) -> None:
        status, body = await self.call("POST", f"/proxies/{_q(name)}", {"enabled": enabled})
        _must(status == 200, self.url, f"update proxy {name}", status, body)

    async def reset(self) -> None:
        """Remove all toxics, everybody's, and enable all proxies."""
        status, body = await self.call("POST", "/reset")
        _must(status == 204, self.url, "POST /reset", status, body)

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
        return None if found is None else names_of(found)


def names_of(proxy: Mapping[str, Any]) -> list[str]:
    """The names of the toxics of a proxy, as the server shows it."""
    return [toxic["name"] for toxic in proxy.get("toxics") or []]


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
