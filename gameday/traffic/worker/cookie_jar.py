"""Cookies of each user, as a browser keeps them for one server (RFC 6265).

Only the server that the traffic goes to is ever asked, so the jar needs no domains but to refuse
those of others. What a server may make a client keep is bounded, as browsers do it.
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from gameday.core.clock import NS
from gameday.core.network.urls import Base
from gameday.traffic.worker.http1 import LINES

MOST_COOKIES: Final = 50  # of a user: what RFC 6265 asks of a browser
LONGEST: Final = 4096  # bytes of name, value and attributes together; browsers take no more
MOST_USERS: Final = 1_000_000  # of a worker; those first seen are forgotten first
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BAD: Final = re.compile(r"[\x00-\x1f\x7f;]")


class _Cookie(NamedTuple):
    value: str
    path: str
    until_ns: int | None


class CookieJar:
    """The jars of all users of one worker, by user."""

    def __init__(self, base: Base, wall_ns: int) -> None:
        self._host = base.host
        self._sends_secure = base.is_tls or base.host in ("localhost", "127.0.0.1", "::1")
        self._jars: dict[int, dict[tuple[str, str], _Cookie]] = {}
        self._wall_ns = wall_ns  # the time of day at which the clock said 0

    def keep(self, user: int, lines: str, asked: str, now_ns: int) -> None:
        """Take the Set-Cookie lines of an answer to a request for the path `asked`."""
        for line in lines.split(LINES):
            if len(line) <= LONGEST:
                self._keep(user, line, asked.partition("?")[0], now_ns)

    def _keep(self, user: int, line: str, asked: str, now_ns: int) -> None:
        pair, *rest = line.split(";")
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not _TOKEN.fullmatch(name) or _BAD.search(value):
            return
        told = (each.partition("=") for each in rest)
        attributes = {key.strip().lower(): text.strip() for key, _, text in told}
        if not self._is_ours(attributes.get("domain", "")):
            return
        if "secure" in attributes and not self._sends_secure:
            return
        path = attributes.get("path", "")
        if not path.startswith("/"):
            path = asked.rpartition("/")[0] or "/"
        until_ns = self._until_ns(attributes, now_ns)
        jar = self._jar(user)
        key = (name, path)
        jar.pop(key, None)
        if until_ns is None or until_ns > now_ns:
            if len(jar) >= MOST_COOKIES:
                del jar[next(iter(jar))]
            jar[key] = _Cookie(value, path, until_ns)

    def _jar(self, user: int) -> dict[tuple[str, str], _Cookie]:
        jar = self._jars.get(user)
        if jar is None:
            if len(self._jars) >= MOST_USERS:
                del self._jars[next(iter(self._jars))]
            jar = self._jars[user] = {}
        return jar

    def _is_ours(self, domain: str) -> bool:
        domain = domain.removeprefix(".").lower()
        return not domain or self._host == domain or self._host.endswith(f".{domain}")

    def _until_ns(self, attributes: dict[str, str], now_ns: int) -> int | None:
        """The end of a cookie's life; None for the end of the session."""
        age = attributes.get("max-age", "")
        if re.fullmatch(r"-?[0-9]{1,10}", age):
            return now_ns + int(age) * NS if int(age) > 0 else 0
        try:
            ends = parsedate_to_datetime(attributes.get("expires", ""))
            wall_ns = int(ends.replace(tzinfo=ends.tzinfo or UTC).timestamp()) * NS
        except (ValueError, OverflowError, TypeError, IndexError):
            return None
        return wall_ns - self._wall_ns

    def line(self, user: int, asked: str, now_ns: int) -> bytes:
        """The Cookie line of a request for a path, with its end; nothing where there is none."""
        jar = self._jars.get(user)
        if not jar:
            return b""
        path = asked.partition("?")[0]
        kept = [
            f"{name}={cookie.value}"
            for (name, _), cookie in sorted(jar.items(), key=lambda each: -len(each[1].path))
            if (cookie.until_ns is None or cookie.until_ns > now_ns)
            and _is_below(path, cookie.path)
        ]
        return f"Cookie: {'; '.join(kept)}\r\n".encode() if kept else b""

    def values(self, user: int) -> list[str]:
        """What a user's cookies hold, to be hidden."""
        return [cookie.value for cookie in self._jars.get(user, {}).values()]


def values_in(lines: str) -> list[str]:
    """What the Set-Cookie lines of an answer hold, whether kept or not, to be hidden."""
    pairs = (line.partition(";")[0].partition("=")[2] for line in lines.split(LINES))
    return [value.strip() for value in pairs if value.strip()]


def _is_below(path: str, folder: str) -> bool:
    """True if a cookie of `folder` goes with a request for `path`."""
    if path == folder:
        return True
    return path.startswith(folder) and (folder.endswith("/") or path[len(folder)] == "/")
