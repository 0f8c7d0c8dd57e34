"""A client of Toxiproxy's HTTP API with deadlines of its own.

toxiproxy-python cannot carry the run: one server per process, no timeouts, 5xx answers not
handled, no update. Thirteen routes are little, so this speaks those it needs; the tests drive
the embedded server with toxiproxy-python as an independent client.

A wedged server keeps a call for 25 s, so every call here ends long before that, and what went
wrong is told apart: refused, not answered, answered with an error.

A Toxiproxy that a stack of ours started asks for a token before it changes anything. Who holds a
record has only the name of the file with it, which goes with the stack; it is read when it is
needed, and what stands in it is sent to this machine and nowhere else.
"""

import ipaddress
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

from gameday.core import files
from gameday.core.errors import ExitCode, GamedayError
from gameday.core.json import JsonError
from gameday.core.json_objects import plain, read_object
from gameday.core.network.http import Answer, Ask, HttpError, ask_once
from gameday.spec.undos import NetworkUndo, ProxyState, ToxicState

T = TypeVar("T")
_QUOTED = 200  # enough to see whose page it is
CALL_TIMEOUT_S = 4.0  # well under the server's own 25 s
TOKEN_PREFIX = "gameday-toxiproxy-"  # nothing else that stands in a file is ever sent
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{16,64}}")
_LONGEST_FILE = 1024  # a token has 64 characters
_UNAUTHORIZED = 401


class ToxiproxyError(GamedayError):
    """Toxiproxy refused a call, does not answer, or is not there."""

    exit_code = ExitCode.UNHEALTHY


class ToxiproxySilentError(ToxiproxyError):
    """No answer came, or not in time: the server is slow, wedged, stopped or cut off."""


class ToxiproxyGoneError(ToxiproxyError):
    """Nothing listens at the address: with the server, its proxies and toxics are gone too.

    Only a refused connection says so. A host that cannot be reached may still break things.
    """


class Toxiproxy:
    """One server, by its base URL. No call takes longer than `timeout_s`.

    `token_file` is where the token for changes stands, None where the server asks for none.
    """

    def __init__(
        self, url: str, timeout_s: float = CALL_TIMEOUT_S, token_file: Path | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.token_file = token_file
        self._timeout_s = timeout_s

    @classmethod
    def of(cls, record: NetworkUndo) -> Self:
        """The server of a record: it has its `url`, and `bearer` where the token stands."""
        return cls(record.url, token_file=None if record.bearer is None else record.bearer.file)

    def within(self, timeout_s: float) -> "Toxiproxy":
        """The same server, with another patience."""
        return Toxiproxy(self.url, timeout_s, self.token_file)

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON (None without any). Raises ToxiproxyError when no answer comes."""
        headers = {} if method == "GET" else self.authorization()
        ask = Ask(method, self.url + path, headers, body=body)
        try:
            # Certificates are loaded only where they are needed: that takes longer than a call.
            verify = self.url.startswith("https:")
            answer = await ask_once(ask, self._timeout_s, verify=verify)
        except HttpError as error:
            if error.kind == "refused":
                raise ToxiproxyGoneError(f"toxiproxy {self.url}: {error.message}") from error
            where = f"toxiproxy {self.url}{path}"
            raise ToxiproxySilentError(f"{where}: {error.message}") from error
        return answer.status, _json(answer)

    def authorization(self) -> dict[str, str]:
        """The token, if there is one; where its file is gone, the server should be, too."""
        if self.token_file is None or not _is_loopback(self.url):
            return {}
        token = read_token(self.token_file)
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    async def version(self) -> str:
        status, body = await self.call("GET", "/version")
        fine = status == 200 and isinstance(body, dict) and "version" in body
        _must(fine, self.url, "GET /version", status, body)
        return str(body["version"])

    async def proxies(self) -> dict[str, ProxyState]:
        status, body = await self.call("GET", "/proxies")
        found = {n: _state(each) for n, each in body.items()} if isinstance(body, dict) else {}
        fine = status == 200 and isinstance(body, dict) and all(found.values())
        _must(fine, self.url, "GET /proxies", status, body)
        return {name: state for name, state in found.items() if state is not None}

    async def proxy(self, name: str) -> ProxyState | None:
        """The proxy as the server shows it, None when it has none of that name."""
        status, body = await self.call("GET", f"/proxies/{_q(name)}")
        if status == 404:
            return None
        found = _state(body) if status == 200 else None
        return _must(found, self.url, f"GET proxy {name}", status, body)

    async def create(self, name: str, proxy: ProxyState) -> ProxyState:
        """Make a proxy, without toxics; it is answered with its port."""
        made = {"name": name, **plain(replace(proxy, toxics=()))}
        status, body = await self.call("POST", "/proxies", made)
        found = _state(body) if status == 201 else None
        return _must(found, self.url, f"create proxy {name}", status, body)

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

    async def add_toxic(self, proxy: str, toxic: ToxicState) -> None:
        status, body = await self.call("POST", f"/proxies/{_q(proxy)}/toxics", plain(toxic))
        _must(status == 200, self.url, f"add toxic to {proxy}", status, body)

    async def remove_toxic(self, proxy: str, name: str) -> None:
        """Remove it; one that is not there is no error."""
        status, body = await self.call("DELETE", f"/proxies/{_q(proxy)}/toxics/{_q(name)}")
        _must(status in (204, 404), self.url, f"remove toxic {name}", status, body)


def _state(body: object) -> ProxyState | None:
    """The proxy that an answer shows; None for one that nothing here can rely on."""
    try:
        return read_object(ProxyState, body)
    except ValueError:
        return None


def read_token(path: Path) -> str | None:
    """The token in a file; None where the file is gone or holds something else."""
    try:
        text = files.read_bytes(path, _LONGEST_FILE).decode("ascii").strip()
    except (OSError, ValueError):
        return None
    return text if _TOKEN.fullmatch(text) else None


def _is_loopback(url: str) -> bool:
    try:
        return ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return False


def _json(answer: Answer) -> Any:
    try:
        return answer.json()
    except JsonError:
        return answer.text or None


def _must(fine: T | None, url: str, what: str, status: int, body: object) -> T:
    if fine:
        return fine
    said = body.get("error", body) if isinstance(body, dict) else body
    cure = "on a stack that gameday started, its token stands in stack.json; or start it open: "
    cure += "gameday up --open-toxiproxy"
    raise ToxiproxyError(
        f"toxiproxy {url}: {what} answered {status}: {str(said)[:_QUOTED]}",
        help=cure if status == _UNAUTHORIZED else "",
    )


def _q(name: str) -> str:
    return quote(name, safe="")
