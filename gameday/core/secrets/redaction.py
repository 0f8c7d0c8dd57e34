"""Secrets taken out of texts that people will read: `***` stands where one was.

A secret is quoted in many ways: percent-encoded in an address, escaped in JSON or HTML, base64 in
a header, or in part, as when a library that cannot read an address complains of the piece it
stumbled over. All of them are hidden. A text of fewer than `SHORTEST` characters is no secret
that could be hidden without hiding half of everything else.

Only texts for people are given to this. What a machine reads back (ids, names, addresses, kinds,
numbers) is never masked: `evidence.event_fields` says which is which. A user name is no secret.
"""

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

SHORTEST = 4
SHORTEST_PIECE = 8  # longer than the word before a token, such as Bearer
MASK = "***"
TELLING = re.compile(r"auth|cookie|credential|dsn|passw|secret|token|api.?key", re.IGNORECASE)
_WEBHOOK = re.compile(r"web_?hook", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_UNICODE = re.compile(r"\\u([0-9a-f]{4})")
_GO = {ord(each): f"\\u{ord(each):04x}" for each in "&<>\u2028\u2029"}
_PIECES = re.compile(r"[/?#@:&=\s]+")


class Hidden:
    """A function from a text to the same without the secrets it was made with.

    A secret that stands in `words` stays: it is a word of the run's own, read there by everybody.
    """

    def __init__(self, secrets: Iterable[str], words: str = "") -> None:
        found = {form for secret in secrets for form in forms(secret) if form not in words}
        self._forms = sorted(found, key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text


def nothing(text: str) -> str:
    """Hides nothing."""
    return text


def hidden_in(value: Any, hide: Callable[[str], str]) -> Any:
    """A JSON value with `hide` applied to every text in it."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        names = distinct([hide(str(key)) for key in value])
        return {name: hidden_in(value[key], hide) for name, key in zip(names, value, strict=True)}
    if isinstance(value, list | tuple):
        return [hidden_in(each, hide) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else hide(str(value))


def distinct(names: Iterable[str]) -> list[str]:
    """The names, no two alike: what is masked alike must not become one."""
    found: dict[str, None] = {}
    numbers: dict[str, Iterator[int]] = {}  # each name goes on where it was, or many take minutes
    for name in names:
        free = name
        while free in found:
            free = f"{name}-{next(numbers.setdefault(name, count(2)))}"
        found[free] = None
    return list(found)


def telling(environment: Mapping[str, str]) -> list[str]:
    """The values that are secret by their name, or as an address with credentials in it.

    Whoever has the address of a webhook may post there: it is a secret as a whole.
    """
    return [
        value
        for name, value in environment.items()
        if TELLING.search(name)
        or _password(value) is not None
        or (_WEBHOOK.search(name) and _ADDRESS.fullmatch(value.strip()))
    ]


def forms(secret: str) -> Iterator[str]:
    """Everything that a secret may look like."""
    for part in _parts(secret.strip()):
        if len(part) < SHORTEST:
            continue
        yield part
        yield from _in_addresses(part)
        yield from _in_json(part)
        yield from _in_pages(part)
        raw = _bytes(part)
        yield repr(part)[1:-1]
        yield repr(raw)[2:-1]
        yield raw.decode("latin-1")  # as a header is read
        yield b64encode(raw).decode().rstrip("=")
        yield urlsafe_b64encode(raw).decode().rstrip("=")


def _in_addresses(text: str) -> Iterator[str]:
    """Percent-encoded, as Python, browsers and those who write small digits do it."""
    raw = _bytes(text)
    for form in (quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe="!*'()~")):
        yield form
        yield _PERCENT.sub(lambda found: found[0].lower(), form)


def _in_json(text: str) -> Iterator[str]:
    """Escaped as Python and others do it: Go what HTML would read, PHP slashes, Java in capitals.

    JSON that was quoted in JSON is escaped twice.
    """
    for form in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield form
        yield json.dumps(form)[1:-1]
        yield form.replace("/", "\\/")
        yield form.translate(_GO)
        yield _UNICODE.sub(lambda found: f"\\u{found[1].upper()}", form)


def _in_pages(text: str) -> Iterator[str]:
    """Escaped as pages of HTML do it, which name the quotes in more than one way."""
    yield html.escape(text, quote=False)
    yield html.escape(text)
    yield html.escape(text).replace("&#x27;", "&#39;")
    yield html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


def _bytes(text: str) -> bytes:
    """The text as it is sent; an environment may hold bytes that are no UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _parts(secret: str) -> Iterator[str]:
    """The whole, and what of it is secret by itself."""
    yield secret
    password = _password(secret)
    if password is not None:
        yield _user_info(secret)  # as a header has both, in base64
        for form in {password, unquote(password)}:
            yield form
            yield from _pieces(form)
    if _ADDRESS.fullmatch(secret):
        yield from _queried(secret)
    else:
        yield from _pieces(secret)


def _pieces(secret: str) -> Iterator[str]:
    """Pieces of a secret that a URL or header parser could quote in an error."""
    yield from (piece for piece in _PIECES.split(secret) if len(piece) >= SHORTEST_PIECE)


def _password(text: str) -> str | None:
    """The password in an address: between the first colon and the last @."""
    return _user_info(text).partition(":")[2] or None


def user_of(text: str) -> str:
    """The user of an address, "" where it names none: a name, and no secret."""
    return _user_info(text).partition(":")[0]


def _user_info(text: str) -> str:
    match = _ADDRESS.fullmatch(text.strip())
    return "" if match is None else match["rest"].rpartition("@")[0]


def _queried(address: str) -> Iterator[str]:
    """Values of the query string that are secret by their name."""
    try:
        query = urlsplit(address).query
    except ValueError:
        return
    yield from (value for name, value in parse_qsl(query) if TELLING.search(name))
