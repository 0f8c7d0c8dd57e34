"""Wrong addresses: ports, hosts and paths that no part has, and bodies that no action sends."""

import json
import re
from collections.abc import Sequence
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
    r"\b(?:redis-cli|valkey-cli|psql|pg_isready|nc|telnet|pgbench)\b[^\n|;]{0,200}?"
    r"(?:[ ](?:-p|--port)[ =]?|[ ][\w.-]{1,200}[ ])(\d{2,5})\b(?!\.)"
)
_HTTP: Final = re.compile(r"https?://[^\s<>()`\"'|\\]+")
_END: Final = re.compile(
    r"(?<![\w./:@-])([a-zA-Z0-9][a-zA-Z0-9.-]*|\[[0-9a-fA-F:]+\]):(\d{2,5})\b(?![:.\d])"
)
_CALL: Final = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE)\s+(/[^\s`{}]{0,500})\s*")
_PATH: Final = re.compile(r"(?<![\w/.:~-])(/[a-z][\w-]*(?:/[\w{}-]+)*)(?![\w/.:-])")
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")
_NEAR: Final = 0.75
_MOST_PATHS: Final = 100  # different ones: nobody's playbook has more, and each is compared
_TELLING: Final = 4  # characters of a last part that make it more than a common word
_MOST_BODY: Final = 2000
_NUMBERS: Final = (int, float)


class Routes:
    """Paths that the system is known to answer, and which others look like one of them."""

    def __init__(self, system: LoadedSystem, around: Surroundings) -> None:
        start = system.system.start
        metrics = (urlsplit(url).path for url in system.system.metrics if "://" in url)
        asked = (request.path for _, request in around.requests)
        self.paths: Sequence[str] = [*asked, *([start.ready] if start else []), *metrics]
        self._known: dict[str, bool] = {}

    def is_stale(self, path: str) -> bool:
        """True for a path that is none of the system's, and was one, or is nearly one."""
        path = path.partition("?")[0].rstrip("/")
        if path not in self._known:
            if len(self._known) >= _MOST_PATHS:
                return False
            is_one = not path or any(fits(path, route) for route in self.paths)
            self._known[path] = not is_one and any(_is_like(path, route) for route in self.paths)
        return self._known[path]

    def instead_of(self, path: str) -> str:
        """The cure for a path that is stale."""
        return one_of_them(path, self.paths)


def fits(path: str, route: str) -> bool:
    """True if a path is a route with its placeholders filled in."""
    pattern = "[^/]+".join(map(re.escape, _PLACEHOLDER.split(route)))
    return re.fullmatch(pattern, path) is not None


def _is_like(path: str, route: str) -> bool:
    parts, others = path.strip("/").split("/"), route.strip("/").split("/")
    same_head = len(parts) > 1 and len(others) > 1 and parts[0] == others[0]
    tail, other = parts[-1], others[-1]
    begins = len(tail) >= _TELLING and len(other) >= _TELLING
    begins = begins and (tail.startswith(other) or other.startswith(tail))
    same_tail = (tail == other or begins) and not _PLACEHOLDER.search(other)
    return same_head or same_tail or SequenceMatcher(None, path, route).ratio() >= _NEAR


def of_pages(pages: Pages, system: LoadedSystem, around: Surroundings) -> Findings:
    """Everything in words, code and links that is an address."""
    routes = Routes(system, around)
    for passage in pages.passages:
        if passage.kind == "words":
            yield from _ports(passage, _PORT, around)
            continue
        if passage.is_step:
            continue
        yield from _urls(passage, routes, around)
        if passage.kind != "link":
            yield from _ports(passage, _PORT_OPTION, around)
            yield from _ends(passage, around)
            yield from _calls(passage, routes, around)


def _ports(passage: Passage, pattern: re.Pattern[str], around: Surroundings) -> Findings:
    for match in pattern.finditer(passage.text):
        if _is_no_port(int(match[1]), around):
            text = f"no part of the system has the port {match[1]!r}: {_ports_of(match[1], around)}"
            yield FileWarning(passage.place(match.start(1)), text)


def _is_no_port(port: int, around: Surroundings) -> bool:
    return bool(around.ports) and port not in around.ports


def _ports_of(port: str, around: Surroundings) -> str:
    return one_of_them(port, map(str, sorted(around.ports)))


def _urls(passage: Passage, routes: Routes, around: Surroundings) -> Findings:
    """Web addresses: of this machine in links too, of other hosts only in what is typed."""
    for match in _HTTP.finditer(passage.text):
        url = match[0].rstrip(".,;:!?")
        problem = _url_problem(url, routes, around, is_link=passage.kind == "link")
        if problem:
            yield FileWarning(passage.place(match.start()), f"{url!r}: {problem}")


def _url_problem(url: str, routes: Routes, around: Surroundings, *, is_link: bool) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""  # a link that is no address is told as that
    if port is None:
        return ""
    if host not in around.hosts:
        return "" if is_link else f"no part of the system is at {host!r}: {_hosts(around)}"
    if _is_no_port(port, around):
        return f"no part of the system has the port {port}: {_ports_of(str(port), around)}"
    if _is_own(host, port, around) and routes.is_stale(parts.path):
        return f"the system is asked nothing at {parts.path!r}: {routes.instead_of(parts.path)}"
    return ""


def _is_own(host: str, port: int, around: Surroundings) -> bool:
    """True for the service itself, not for what stands beside it."""
    hosts = LOOPBACK if host in LOOPBACK else {host}
    return any((each, port) in around.bases for each in hosts)


def _hosts(around: Surroundings) -> str:
    named = sorted(around.hosts - LOOPBACK)
    return f"it has {', '.join(['127.0.0.1', *named][:6])}"


def _ends(passage: Passage, around: Surroundings) -> Findings:
    """HOST:PORT without a scheme."""
    for match in _END.finditer(_without_urls(passage.text)):
        host = match[1].strip("[]")
        if not around.ports or (host not in around.hosts and "." not in host):
            continue
        if host not in around.hosts:
            text = f"no part of the system is at {match[0]!r}: {_hosts(around)}"
            yield FileWarning(passage.place(match.start()), text)
        elif _is_no_port(int(match[2]), around):
            cure = _ports_of(match[2], around)
            text = f"no part of the system has the port of {match[0]!r}: {cure}"
            yield FileWarning(passage.place(match.start()), text)


def _without_urls(text: str) -> str:
    return _HTTP.sub(lambda match: " " * len(match[0]), text)


def _calls(passage: Passage, routes: Routes, around: Surroundings) -> Findings:
    """`POST /path {body}`, and paths that stand alone."""
    called = set()
    for match in _CALL.finditer(passage.text):
        called.add(match.start(2))
        path = match[2].rstrip(".,;:")
        if routes.is_stale(path):
            yield _asked_nothing(passage, match.start(2), path, routes)
        else:
            yield from _body(passage, match.end(), path, around)
    for match in _PATH.finditer(_without_urls(passage.text)):
        if match.start(1) not in called and routes.is_stale(match[1]):
            yield _asked_nothing(passage, match.start(1), match[1], routes)


def _asked_nothing(passage: Passage, at: int, path: str, routes: Routes) -> FileWarning:
    text = f"the system is asked nothing at {path!r}: {routes.instead_of(path)}"
    return FileWarning(passage.place(at), text)


def _body(passage: Passage, at: int, path: str, around: Surroundings) -> Findings:
    """The body is one that some request there has; numbers may be others."""
    written = passage.text[at : at + _MOST_BODY]
    if not written.startswith("{"):
        return
    try:
        body, end = json.JSONDecoder().raw_decode(written)
    except (ValueError, RecursionError):
        return
    there = [request for _, request in around.requests if fits(path, request.path)]
    known = [each.json_ for each in there if each.json_ is not None]
    if known and not any(_alike(body, each) for each in known):
        shown = " or ".join(dict.fromkeys(json.dumps(each) for each in known))
        text = f"no action sends {written[:end]!r} to {path!r}: it is {shown:.300}"
        yield FileWarning(passage.place(at), text)


def _alike(body: Any, known: Any) -> bool:
    """True if a body is what a request sends, but for its numbers and what is filled in."""
    if isinstance(known, str) and _PLACEHOLDER.search(known):
        return True
    if isinstance(body, dict) and isinstance(known, dict):
        return body.keys() == known.keys() and all(_alike(body[k], known[k]) for k in body)
    if isinstance(body, list) and isinstance(known, list):
        return True
    if type(body) in _NUMBERS and type(known) in _NUMBERS:
        return True
    return type(body) is type(known) and bool(body == known)
