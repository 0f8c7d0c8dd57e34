"""URLs of parts: a base that is read once, and paths that can only lead to places on its host.

Text that is joined can change its meaning: `http://127.0.0.1:80` and `@other:80/close` make a URL
of another host. So a base is taken apart and put together again from what was understood of it, a
path begins with one `/`, and nothing that two readers of a URL may read differently passes.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from gameday.core.errors import UsageError, excerpt
from gameday.core.network.allow_list import host_of
from gameday.core.network.credentials import address_shown

LONGEST = 8192  # as servers and browsers commonly take
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_NOT_PLAIN = re.compile(r"[\x00-\x20\x7f-\xa0\\]|[\ud800-\udfff]")
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Base:
    """Scheme, host, port and prefix: all that a request's own path is put behind."""

    scheme: str
    host: str
    port: int | None
    prefix: str
    query: str = ""

    @classmethod
    def parse(cls, text: str, *, query: bool = False) -> "Base":
        """The parts of an address; one that nothing is put behind may have a `query`.

        Raises UsageError, whose message holds no credentials.
        """
        problem, help = "is not an address", "write http://HOST:PORT"
        if len(text) > LONGEST or _NOT_PLAIN.search(text):
            raise UsageError(f"{_excerpt(text)} {problem}", help=help)
        try:
            parts = urlsplit(text)
            port = _port(parts.netloc)
        except ValueError:
            raise UsageError(f"{_excerpt(text)} {problem}", help=help) from None
        if "@" in parts.netloc:
            raise UsageError(
                "an address with credentials in it",
                help="take the secret from {env: NAME} or {file: PATH}",
            )
        if "://" in text and parts.scheme not in ("http", "https"):
            raise UsageError(f"{_excerpt(text)} is not an http:// or https:// address", help=help)
        if not parts.hostname or not parts.scheme:
            raise UsageError(f"{_excerpt(text)} {problem}", help=help)
        if "#" in text or ("?" in text and not query):
            help = "write http://HOST:PORT/PREFIX"
            raise UsageError(f"{_excerpt(text)} has a query or a fragment", help=help)
        prefix = parts.path.rstrip("/")
        if prefix and (wrong := path_problem(parts.path)):
            raise UsageError(f"{_excerpt(text)}: its path {wrong}", help=help)
        path = parts.path if query else prefix
        return cls(parts.scheme, host_of(parts.hostname), port, path, parts.query)

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The base by itself."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.authority}{self.prefix}{query}"

    def at(self, path: str) -> str:
        """The URL of a path. Raises UsageError for what is no path."""
        if wrong := path_problem(path):
            help = "begin with one / and percent-encode what is special"
            raise UsageError(f"the path {_excerpt(path)} {wrong}", help=help)
        return f"{self.scheme}://{self.authority}{self.prefix}{path}"


def at(base_url: str, path: str) -> str:
    """The URL of a path below a base. Raises UsageError where either is not what it should be."""
    return Base.parse(base_url).at(path)


def path_problem(path: str) -> str:
    """The reason why a text is no path, "" where it is one; it may hold a query."""
    if not path.startswith("/"):
        return "does not begin with /"
    if path.startswith(("//", "/\\")):
        return "begins with what may be read as a host"
    if "#" in path:
        return "has a fragment"
    if _NOT_PLAIN.search(path):
        return "holds a space, a backslash or a control character"
    return ""


def encoded(path: str) -> str:
    """A path, and what may follow it, with every character beyond ASCII percent-encoded."""
    return path if path.isascii() else quote(path, safe=_ASCII)


def _port(netloc: str) -> int | None:
    """The port of an authority, None where it has none. Raises ValueError."""
    rest = netloc.rpartition("@")[2].rpartition("]")[2]
    _, colon, text = rest.partition(":")
    if not colon:
        return None
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise ValueError("no port")
    return int(text)


def _excerpt(text: str) -> str:
    """A text for an error: not too long, and with no credentials."""
    return repr(excerpt(address_shown(text)))


def store_ends(url: str) -> list[tuple[str, int | None]]:
    """Hosts and ports of a store's address, as the clients of PostgreSQL and Redis read it.

    A PostgreSQL may have several, and both take them from the query too. A path is a socket of
    the file system. Raises ValueError for what cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme.startswith("postgres"):  # a password ends at the first @, Redis' at the last
        _, at_sign, behind = parts.netloc.partition("@")
        texts = [behind if at_sign else parts.netloc]
    else:
        texts = [parts.netloc.rpartition("@")[2]]
    query = parse_qs(parts.query)
    texts += [each for name in ("host", "hostaddr") for each in query.get(name, ())]
    found = [_end(unquote(one)) for text in texts for one in text.split(",") if one]
    ports = [int(port) for text in query.get("port", ()) for port in text.split(",")]
    if len(ports) == len(found):
        return [(host, own or port) for (host, own), port in zip(found, ports, strict=True)]
    return [(host, own or next(iter(ports), None)) for host, own in found]


def _end(text: str) -> tuple[str, int | None]:
    """Host and port of `HOST:PORT`, `[HOST]:PORT`, or one without a port."""
    if text.startswith("/"):
        return text, None
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif ":" in text:
        host, _, port = text.partition(":")
    return host, int(port) if port else None
