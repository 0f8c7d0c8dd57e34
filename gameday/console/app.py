"""The routes of the console, and who may use each: a route says it where it is made.

`route` is the only way to make one, and wants the roles that it is for, so that none can be left
open by mistake; before any handler runs, the session of the cookie is looked up and its role is
compared. A write has to show the session's own word beside its cookie. Handlers return plain
objects, and answer in JSON: the page makes text of it, never HTML.
"""

import asyncio
import hmac
import json
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gameday.console import service_logs
from gameday.console.access import (
    EVERYBODY,
    LEADERS,
    WORKERS,
    BrowserSession,
    ConsoleRole,
    Sessions,
    in_bounds,
)
from gameday.console.assets import INDEX, assets, type_of
from gameday.console.feed import Feed
from gameday.console.guard import SAFE, Gate, TooLargeError, refusal
from gameday.console.orders import ControlLine, LeadCommand
from gameday.console.queries import MOST_TEXT, answer
from gameday.console.stream import MOST_STREAMS, MOST_STREAMS_EACH, stream
from gameday.console.truth import truth
from gameday.console.workbench import TEAM, workbench
from gameday.core.clock import SystemClock
from gameday.core.json_objects import json_object, plain, read_object
from gameday.core.language import ENGLISH, languages
from gameday.run.responder.orders import MOST_NAME, IncidentOrder, clipped

CSRF_HEADER: Final = "x-gameday-csrf"
ORDERS_AT_MOST, ORDERS_IN_S = 30, 10.0  # of a session: more than a team types
ALL_ORDERS_AT_MOST: Final = 120  # of all who do not lead together, in the same time
QUERIES_AT_MOST: Final = 60
TRIES_AT_MOST, TRIES_IN_S = 30, 60.0  # tokens that open nothing
LOGINS_AT_MOST: Final = 120  # of a role, in the same time: a session of this minute is not ended
LOOK_S: Final = 0.25
PUBLIC: Final[frozenset[ConsoleRole]] = frozenset()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenShown:
    """The token of a link."""

    token: str = ""


@dataclass(frozen=True, slots=True)
class JoinAsked:
    """A name and a role of the team."""

    name: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class QueryAsked:
    """A PromQL expression, and over which time before now; 0 is now alone."""

    query: str
    range_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MeTold:
    """Who a session is, and the word that its writes show."""

    role: str
    name: str
    team_role: str
    csrf: str
    run: str
    team: Sequence[str]


Handler = Callable[["Console", Request, BrowserSession], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ConsoleRoute:
    """A route: `roles` may use it; nobody in particular where it is public."""

    path: str
    method: str
    roles: frozenset[ConsoleRole]
    handler: Handler
    public: bool = False


ROUTES: Final[list[ConsoleRoute]] = []


def route(path: str, method: str, roles: frozenset[ConsoleRole]) -> Callable[[Handler], Handler]:
    """Make a handler a route for those roles."""

    def make(handler: Handler) -> Handler:
        ROUTES.append(ConsoleRoute(path, method, roles, handler))
        return handler

    return make


class Console:
    """One session's console: its feed, its sessions, and the way to the run."""

    def __init__(
        self,
        feed: Feed,
        sessions: Sessions,
        control: ControlLine,
        port: int,
        *,
        secure: bool,
        language: str | None = None,
    ) -> None:
        self.feed = feed
        self.sessions = sessions
        self.control = control
        self.secure = secure
        self.cookie = f"{'__Host-' if secure else ''}gameday-{port}"
        self.clock = SystemClock()
        self.changed = asyncio.Event()
        self.closing: Callable[[], bool] = lambda: False
        self.streams = 0
        self.reading = asyncio.Lock()
        self.querying = {role: asyncio.Lock() for role in ConsoleRole}
        self.links: Mapping[str, str] = {}
        self.left_ns = self.clock.now_ns()
        self._orders: deque[int] = deque()
        self.tries: dict[tuple[str, ConsoleRole | None], deque[int]] = {}
        self._assets = assets(language)

    def app(self, hosts: frozenset[str]) -> ASGIApp:
        """The whole application, behind its gate."""
        routes = [Route("/", self._index), Route("/static/{name:path}", self._asset)]
        routes += [Route("/session", self._begin, methods=["POST"])]
        routes += [Route(r.path, self._guarded(r), methods=[r.method]) for r in ROUTES]
        inner = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=_HANDLERS)
        scheme = "https" if self.secure else "http"
        is_token: Callable[[str], bool] = lambda text: self.sessions.role_of(text) is not None  # noqa: E731
        return Gate(inner, hosts, scheme, is_token)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _follow(self) -> None:
        """Read on in the run's files, in a thread, and wake who waits."""
        while True:
            before = (len(self.feed.items), len(self.feed.ticks), self.feed.over_ns)
            async with self.reading:
                more = await asyncio.to_thread(self.feed.read)
            if self.control.box is None:
                self.control.box = self.feed.box
            if before != (len(self.feed.items), len(self.feed.ticks), self.feed.over_ns) or more:
                self.changed.set()
                self.changed = asyncio.Event()
            if not more:
                await self.clock.sleep(LOOK_S)

    def _guarded(self, of: ConsoleRoute) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            session = self.sessions.find(request.cookies.get(self.cookie, ""))
            if session is None:
                return refusal(401, "no_session")
            if session.role not in of.roles:
                return refusal(403, "role")
            if of.method not in SAFE and not _same(
                request.headers.get(CSRF_HEADER, ""), session.csrf
            ):
                return refusal(403, "csrf")
            return await of.handler(self, request, session)

        return endpoint

    async def _index(self, _request: Request) -> Response:
        return Response(self._assets[INDEX], media_type=type_of(INDEX))

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets:
            return refusal(404, "not_there")
        return Response(self._assets[name], media_type=type_of(name))

    async def _begin(self, request: Request) -> Response:
        """Exchange a token for a session."""
        peer = request.client.host if request.client else ""
        if len(self.tries) > 1000:
            self.tries.clear()
        role = self.sessions.role_of((await body(request, TokenShown)).token)
        tries = self.tries.setdefault((peer, role), deque())
        most = TRIES_AT_MOST if role is None else LOGINS_AT_MOST
        if not in_bounds(tries, self.clock, most, TRIES_IN_S):
            return refusal(429, "too_often")
        if role is None:
            return refusal(401, "token")
        cookie, session = self.sessions.begin(role)
        response = _me(self, session)
        response.set_cookie(
            self.cookie, cookie, httponly=True, samesite="strict", secure=self.secure, path="/"
        )
        return response

    def may_order(self, session: BrowserSession) -> bool:
        """False for a session, or all of those who do not lead, that order more often than people.

        Nobody takes the turn of who leads.
        """
        mine = in_bounds(session.orders_ns, self.clock, ORDERS_AT_MOST, ORDERS_IN_S)
        if session.role in LEADERS:
            return mine
        return mine and in_bounds(self._orders, self.clock, ALL_ORDERS_AT_MOST, ORDERS_IN_S)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


async def body(request: Request, class_: type[T]) -> T:
    """The object that a request brings. Raises ValueError for what is none of its class."""
    raw = await request.body()
    try:
        return read_object(class_, json_object(json.loads(raw)))
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def answered(value: object, status: int = 200) -> JSONResponse:
    """An object of ours as an answer."""
    return JSONResponse(finite(plain(value)), status)


def finite(value: Any) -> Any:
    """JSON as its standard has it: a number that is none is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value


def _me(console: Console, session: BrowserSession) -> Response:
    return answered(
        MeTold(
            role=str(session.role),
            name=session.name,
            team_role=session.team_role,
            csrf=session.csrf,
            run=console.feed.run_dir.name,
            team=TEAM,
        )
    )


@route("/api/me", "GET", EVERYBODY)
async def me(console: Console, _request: Request, session: BrowserSession) -> Response:
    """Who the session is, and the word that its writes show."""
    return _me(console, session)


@route("/session", "DELETE", EVERYBODY)
async def leave(console: Console, request: Request, _session: BrowserSession) -> Response:
    """Forget the session."""
    console.sessions.end(request.cookies.get(console.cookie, ""))
    response = JSONResponse({})
    response.delete_cookie(console.cookie, path="/", secure=console.secure, httponly=True)
    return response


@route("/api/join", "POST", WORKERS)
async def join(console: Console, request: Request, session: BrowserSession) -> Response:
    """Take a name and a role of the team."""
    asked = await body(request, JoinAsked)
    given, role = clipped(asked.name, MOST_NAME), asked.role
    name = "".join(each for each in given if each.isprintable()).strip()
    if not name or role not in TEAM:
        return refusal(400, "name_or_role")
    if not console.may_order(session):
        return refusal(429, "too_often")
    session.name, session.team_role = name, role
    await console.control.join(name, role)
    return _me(console, session)


@route("/api/work", "GET", EVERYBODY)
async def work(console: Console, request: Request, _session: BrowserSession) -> Response:
    """The workbench, its playbooks in the language of the page."""
    language = request.query_params.get("lang", ENGLISH)
    spoken = language if language in languages() else ENGLISH
    return answered(await asyncio.to_thread(workbench, console.feed, spoken))


@route("/api/stream", "GET", EVERYBODY)
async def events(console: Console, request: Request, session: BrowserSession) -> Response:
    """All that happens, from a cursor on."""
    full = console.streams >= MOST_STREAMS and session.role not in LEADERS
    if full or session.streams >= MOST_STREAMS_EACH:
        return refusal(429, "too_many_pages")
    return stream(console, request, session)


@route("/api/query", "POST", EVERYBODY)
async def query(console: Console, request: Request, session: BrowserSession) -> Response:
    """The value of a PromQL expression."""
    asked = await body(request, QueryAsked)
    if len(asked.query) > MOST_TEXT * 2:
        return refusal(400, "no_query")
    if not in_bounds(session.orders_ns, console.clock, QUERIES_AT_MOST, ORDERS_IN_S):
        return refusal(429, "too_often")
    feed = console.feed
    if console.querying[session.role].locked():
        return refusal(429, "busy")
    async with console.querying[session.role]:
        found = await answer(
            asked.query,
            feed.store,
            at_ns=feed.sampled_ns,
            began_ns=feed.began_ns or 0,
            range_s=asked.range_s,
            clock=console.clock,
            reading=console.reading,
        )
        return answered(found)


@route("/api/logs", "GET", EVERYBODY)
async def logs(console: Console, request: Request, _session: BrowserSession) -> Response:
    """Lines of the service's logs."""
    params = request.query_params
    file, text = params.get("file", ""), params.get("search", "")
    feed = console.feed
    asked = asyncio.to_thread(service_logs.search, feed.run_dir, file, text, feed.box)
    return answered(await asked)


@route("/api/order", "POST", WORKERS)
async def order(console: Console, request: Request, session: BrowserSession) -> Response:
    """Give an order of those who work on the incident."""
    asked = await body(request, IncidentOrder)
    if not console.may_order(session) and asked.order != "abort":
        return refusal(429, "too_often")
    return answered(await console.control.order(asked, session.name or session.role))


@route("/api/facilitator/truth", "GET", LEADERS)
async def true_story(console: Console, _request: Request, _session: BrowserSession) -> Response:
    """The truth: what is broken, and when."""
    return answered(await asyncio.to_thread(truth, console.feed))


@route("/api/facilitator/links", "GET", LEADERS)
async def links(console: Console, _request: Request, _session: BrowserSession) -> Response:
    """The links to hand on."""
    return JSONResponse(dict(console.links))


@route("/api/facilitator/command", "POST", LEADERS)
async def command(console: Console, request: Request, session: BrowserSession) -> Response:
    """Send a hint or an inject, pause, go on, or debrief."""
    if not console.may_order(session):
        return refusal(429, "too_often")
    return answered(
        await console.control.command(
            await body(request, LeadCommand), session.name or session.role
        )
    )


async def _bad(_request: Request, error: Exception) -> Response:
    return refusal(
        413 if isinstance(error, TooLargeError) else 400, _ERRORS.get(type(error), "bad")
    )


async def _gone(_request: Request, _error: Exception) -> Response:
    return refusal(400, "gone")


async def _http(_request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return refusal(status, "not_there" if status in (404, 405) else "bad")


async def _bug(_request: Request, _error: Exception) -> Response:
    return refusal(500, "bug")


_ERRORS: Final[Mapping[type[Exception], str]] = {TooLargeError: "too_large"}
_HANDLERS: Final[Any] = {
    TooLargeError: _bad,
    ValueError: _bad,
    ClientDisconnect: _gone,
    404: _http,
    405: _http,
    Exception: _bug,
}
