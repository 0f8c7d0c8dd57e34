"""Who may ask the API what, decided before any route: by Host, by Origin, and for changes by token.

A page in somebody's browser can send requests to a loopback address, and, once its name resolves
to that address, read the answers. Such a request names the page: its Host is the page's name, or
it has an Origin. So while the API is bound to loopback, both must be this machine's. A token, where
the server was given one, keeps changes to those who can read its file; reading stays open.
"""

import hmac
import ipaddress
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.toxiproxy.errors import ApiError
from gameday.toxiproxy.http import HttpRequest

TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
_SHOWN = 60  # enough to recognise it; an error stays one line
_TOKEN_FILE_BYTES = 1024  # a token has some tens of characters
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(?::\d{1,5})?")
_ORIGIN = re.compile(r"https?://[^/?#@\s]+", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Admission:
    """Names and origins that are welcome, in lower case; `token` None asks for none.

    `local` says whether the API is bound to loopback alone, which is known once it listens.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    token: str | None = None
    local: bool = True

    def admit(self, request: HttpRequest) -> None:
        """Raises ApiError 403 for a Host or an Origin that is not welcome."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if self.local and host and not self._is_welcome(host):
            cure = "start the server with --allowed-host NAME"
            raise ApiError(403, f"host {host[:_SHOWN]!r} is not this machine: {cure}")
        if origin is not None and not self._comes_from_here(origin.lower()):
            cure = "start the server with --allowed-origin ORIGIN"
            raise ApiError(403, f"origin {origin[:_SHOWN]!r} not allowed: {cure}")

    def admit_change(self, request: HttpRequest) -> None:
        """Raises ApiError 401 unless the request has the token, where there is one."""
        if self.token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode())
        if scheme.lower() != "bearer" or not same:
            raise ApiError(401, "changes need this server's token: Authorization: Bearer TOKEN")

    def _is_welcome(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        name = "" if found is None else found["name"].lower()
        return name in self.hosts or _is_loopback(name)

    def _comes_from_here(self, origin: str) -> bool:
        if origin in self.origins:
            return True
        local = self.local and _ORIGIN.fullmatch(origin) is not None
        return local and self._is_welcome(origin.partition("://")[2])


def _is_loopback(name: str) -> bool:
    """True if a Host's name is this machine's, whatever any resolver says."""
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_all_loopback(addresses: Iterable[str]) -> bool:
    """True if each of the addresses that a server listens at is a loopback address."""
    return all(_is_loopback(each.partition("%")[0]) for each in addresses)


def allowed_host(text: str) -> str:
    """A name for `hosts`. Raises ValueError."""
    found = _HOST.fullmatch(text)
    if found is None or found["name"] != text:
        raise ValueError(f"{text!r} is not the name of a host, without a port")
    return text.lower()


def allowed_origin(text: str) -> str:
    """An origin for `origins`. Raises ValueError."""
    if not _ORIGIN.fullmatch(text) or not urlsplit(text).hostname:
        raise ValueError(f"{text!r} is not an origin: http://HOST or http://HOST:PORT")
    return text.lower()


def read_token(path: Path) -> str:
    """The token that stands in a file which only its owner may read. Raises UsageError."""
    cure = "put 16 to 256 letters, digits, - or _ on one line, in a file of mode 0600"
    try:
        with files.open_file(path, _TOKEN_FILE_BYTES) as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_TOKEN_FILE_BYTES).decode("ascii", "replace").strip()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", help=cure) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path}: others may read or write it", help=f"chmod 600 {path}")
    if not TOKEN.fullmatch(text):
        raise UsageError(f"{path}: it holds no token", help=cure)
    return text
