"""Wrong addresses: ports, hosts and paths that the system has not, and bodies that nothing sends."""

import json
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final
from urllib.parse import urlsplit

from gameday.core.errors import one_of_them
from gameday.plan.rot.passages import Pages, Passage
from gameday.plan.rot.surroundings import LOOPBACK, Surroundings
from gameday.spec.inputs import FileWarning, Findings, LoadedSystem

_PORT: Final = re.compile(
    r"\bports?(?:[ \n]+(?:is|are|number|of))*[ \n]+(\d{2,5})\b(?![\d.]*[%./]\d)", re.IGNORECASE
)
_PORT_OPTION: Final = re.compile(
    r"\b(?:redis-cli|valkey-cli|psql|pg_isready|nc|telnet|pgbench)\b[^\n|;]*?"
    r"(?:[ ](?:-p|--port)[ =]?|[ ][\w.-]+[ ])(\d{2,5})\b"
)
_HTTP: Final = re.compile(r"https?://[^\s<>()`\"'|\\]+")
_END: Final = re.compile(
    r"(?<![\w./:@-])([a-zA-Z0-9][a-zA-Z0-9.-]*|\[[0-9a-fA-F:]+\]):(\d{2,5})\b(?![:.\d])"
)
_CALL: Final = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE)\s+(/[^\s`{}]*)\s*(\{.*\})?", re.DOTALL)
_PATH: Final = re.compile(r"(?<![\w/.:~-])(/[a-z][\w-]*(?:/[\w{}-]+)*)(?![\w/.:-])")
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")
_MOST_NEAR: Final = 0.75
_MOST_BODY: Final = 2000


def of_pages(pages: Pages, system: LoadedSystem, around: Surroundings) -> Findings:
    """Everything in words, code and links that is an address."""
    routes = list(_routes(system, around))
    for passage in pages.passages:
        if passage.kind == "words":
            yield from _ports(passage, _PORT, around)
            continue
        if passage.kind == "fence" and passage.info.split() == ["yaml", "step"]:
            continue
        yield from _urls(passage, routes, around)
        if passage.kind != "link":
            yield from _ports(passage, _PORT_OPTION, around)
            yield from _ends(passage, around)
            yield from _calls(passage, routes, around)


def _ports(passage: Passage, pattern: re.Pattern[str], around: Surroundings) -> Findings:
    for match in pattern.finditer(passage.text):
        if around.ports and int(match[1]) not in around.ports:
            cure = one_of_them(match[1], map(str, sorted(around.ports)))
            text = f"no part of the system has the port {match[1]!r}: {cure}"
            yield FileWarning(passage.place(match.start(1)), text)


def _urls(passage: Passage, routes: Sequence[str], around: Surroundings) -> Findings:
    """Web addresses: of this machine in links too, of other hosts only in what is typed."""
    for match in _HTTP.finditer(passage.text):
        url = match[0].rstrip(".,;:!?")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            continue  # a link that is no address is told as that
        typed = passage.kind != "link" and port is not None
        if host not in around.hosts and not typed:
            continue
        place = passage.place(match.start())
        if host not in around.hosts:
            yield FileWarning(
                place, f"{url!r}: no part of the system is at {host!r}: {_hosts(around)}"
            )
        elif port is not None and around.ports and port not in around.ports:
            cure = one_of_them(str(port), map(str, sorted(around.ports)))
            yield FileWarning(place, f"{url!r}: no part of the system has the port {port}: {cure}")
        elif port is not None and _is_own(host, port, around) and _stale(parts.path, routes):
            cure = one_of_them(parts.path, routes)
            yield FileWarning(
                place, f"{url!r}: the system is asked nothing at {parts.path!r}: {cure}"
            )


def _is_own(host: str, port: int, around: Surroundings) -> bool:
    """True for the service itself, not for what stands beside it."""
    hosts = LOOPBACK if host in LOOPBACK else {host}
    return any((each, port) in around.bases for each in hosts)


def _hosts(around: Surroundings) -> str:
    named = sorted(around.hosts - LOOPBACK)
    return f"it has {', '.join(['127.0.0.1', *named][:6])}"


def _ends(passage: Passage, around: Surroundings) -> Findings:
    """HOST:PORT without a scheme."""
    blanked = _HTTP.sub(lambda match: " " * len(match[0]), passage.text)
    for match in _END.finditer(blanked):
        host, port = match[1].strip("[]"), int(match[2])
        is_host = host in around.hosts or "." in host
        if not is_host or not around.ports:
            continue
        place = passage.place(match.start())
        if host not in around.hosts:
            yield FileWarning(place, f"no part of the system is at {match[0]!r}: {_hosts(around)}")
        elif port not in around.ports:
            cure = one_of_them(match[2], map(str, sorted(around.ports)))
            yield FileWarning(place, f"no part of the system has the port of {match[0]!r}: {cure}")


def _routes(system: LoadedSystem, around: Surroundings) -> Iterator[str]:
    """Paths that the system is known to answer."""
    yield from (request.path for _, request in around.requests)
    start = system.system.start
    if start is not None:
        yield start.ready
    yield from (urlsplit(url).path for url in system.system.metrics if "://" in url)


def _calls(passage: Passage, routes: Sequence[str], around: Surroundings) -> Findings:
    """`POST /path {body}`, and paths that stand alone."""
    called = []
    for match in _CALL.finditer(passage.text):
        called.append((match.start(2), match.end(2)))
        path = match[2].rstrip(".,;:")
        if _stale(path, routes):
            cure = one_of_them(path, routes)
            text = f"the system is asked nothing at {path!r}: {cure}"
            yield FileWarning(passage.place(match.start(2)), text)
        elif match[3] is not None:
            yield from _body(passage, match, path, around)
    blanked = _HTTP.sub(lambda match: " " * len(match[0]), passage.text)
    for match in _PATH.finditer(blanked):
        inside = any(begin <= match.start(1) < end for begin, end in called)
        if not inside and _stale(match[1], routes):
            text = f"the system is asked nothing at {match[1]!r}: {one_of_them(match[1], routes)}"
            yield FileWarning(passage.place(match.start(1)), text)


def _stale(path: str, routes: Sequence[str]) -> bool:
    """True for a path that is none of the system's, and was one, or is nearly one."""
    path = path.partition("?")[0].rstrip("/")
    if not path or not routes or any(_fits(path, route) for route in routes):
        return False
    parts = path.strip("/").split("/")
    for route in routes:
        others = route.strip("/").split("/")
        same_head = len(parts) > 1 and len(others) > 1 and parts[0] == others[0]
        same_tail = parts[-1] == others[-1] and not _PLACEHOLDER.search(others[-1])
        if same_head or same_tail or SequenceMatcher(None, path, route).ratio() >= _MOST_NEAR:
            return True
    return False


def _fits(path: str, route: str) -> bool:
    pattern = "[^/]+".join(map(re.escape, _PLACEHOLDER.split(route)))
    return re.fullmatch(pattern, path) is not None


def _body(passage: Passage, match: re.Match[str], path: str, around: Surroundings) -> Findings:
    """The body is one that some request there has; numbers may be others."""
    try:
        body = json.loads(match[3]) if len(match[3]) < _MOST_BODY else None
    except (ValueError, RecursionError):
        return
    there = [request for _, request in around.requests if _fits(path, request.path)]
    known = [each.json_ for each in there if each.json_ is not None]
    if isinstance(body, dict) and known and not any(_alike(body, each) for each in known):
        shown = " or ".join(json.dumps(each) for each in known[:3])
        text = f"no action sends {match[3]!r} to {path!r}: it is {shown}"
        yield FileWarning(passage.place(match.start(3)), text)


def _alike(body: Any, known: Any) -> bool:
    if isinstance(known, str) and _PLACEHOLDER.search(known):
        return True
    if isinstance(body, dict) and isinstance(known, dict):
        return body.keys() == known.keys() and all(_alike(body[k], known[k]) for k in body)
    if isinstance(body, list) and isinstance(known, list):
        return True
    numbers = (int, float)
    if type(body) in numbers and type(known) in numbers:
        return True
    return type(body) is type(known) and bool(body == known)
