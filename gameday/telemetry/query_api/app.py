"""The routes of the query API, and the one thread that answers them.

Queries take processor time, and samples must not change under them: they are answered one after the
other, in a thread, from what was read up to their turn. Who waits counts the waiting to the query's
own time. Answers that nobody reads are held in memory, so there are only so many bytes of them; who
asks meanwhile is sent away. Only this machine's own names are answered to, so that no page of a
browser, sent here by a name that somebody else resolves, reads anything.
"""

import asyncio
import ipaddress
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gameday import __version__
from gameday.core.clock import NS, Clock, wall_time_ns
from gameday.core.errors import excerpt
from gameday.core.json_objects import plain
from gameday.telemetry.query_api import lookups, rules
from gameday.telemetry.query_api.database import SampleDatabase
from gameday.telemetry.query_api.encode import ApiAnswer, to_json
from gameday.telemetry.query_api.parameters import (
    AnswerDeadline,
    QueryApiError,
    RequestForm,
    parse_duration_ns,
    read_form,
)
from gameday.telemetry.query_api.queries import QueryEvaluator
from gameday.telemetry.query_api.settings import QueryApiSettings

MOST_ADDRESS: Final = 16 * 1024
MOST_BODY: Final = 64 * 1024  # a query has 4,000 characters, escaped 12,000
READ_EVERY_S: Final = 1.0
_PIECE: Final = 256 * 1024
SENT_WITHIN_S: Final = 120.0
READ_BEFORE: Final = 50  # turns of reading on before a query is answered: 10,000 lines
_OURS: Final = ("same-origin", "none")
Answering = Callable[[RequestForm, AnswerDeadline], ApiAnswer]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInfo:
    """The version of Prometheus whose rules hold, and in `revision` who it really is."""

    version: str
    revision: str
    branch: str = "gameday"
    build_user: str = field(default="", metadata={"key": "buildUser"})
    build_date: str = field(default="", metadata={"key": "buildDate"})
    go_version: str = field(default="", metadata={"key": "goVersion"})


class QueryApi:
    """The API over one run."""

    def __init__(self, settings: QueryApiSettings, clock: Clock) -> None:
        self.database = SampleDatabase(settings)
        self._settings = settings
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queries")
        self._waiting = 0
        self._unread = 0  # bytes of the answers that are being sent

    def app(self) -> Starlette:
        """The application to be served."""
        get = [
            self._route("/api/v1/query", self._instant),
            self._route("/api/v1/query_range", self._range),
            self._route("/api/v1/query_exemplars", lambda *_: ApiAnswer("[]")),
            self._route("/api/v1/series", self._series),
            self._route("/api/v1/labels", self._label_names),
            self._route("/api/v1/alerts", lambda *_: rules.alerts(self.database)),
            self._route("/api/v1/rules", lambda form, _: rules.rules(self.database, form)),
            self._route("/api/v1/metadata", lambda form, _: lookups.metadata(self.database, form)),
            self._route("/api/v1/status/buildinfo", lambda *_: self._build_info()),
        ]
        values = Route(
            "/api/v1/label/{name:path}/values", self._label_values, methods=["GET", "POST"]
        )
        health = [Route(path, _ready, methods=["GET"]) for path in ("/-/healthy", "/-/ready")]
        lost = Route("/{path:path}", _not_found, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
        return Starlette(routes=[*get, values, *health, lost], lifespan=self._live)

    def read_all(self) -> None:
        """Read everything there is: for a run that is over, before anybody asks."""
        while self.database.read_on():
            pass

    def _route(self, path: str, answering: Answering) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._respond(request, answering)

        return Route(path, endpoint, methods=["GET", "POST"])

    async def _label_values(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        return await self._respond(
            request,
            lambda form, deadline: lookups.label_values(self.database, form, deadline, name),
        )

    async def _respond(self, request: Request, answering: Answering) -> Response:
        try:
            _refuse_others(request)
            form = read_form(_query_of(request), await _body_of(request))
            deadline = AnswerDeadline(self._clock, self._timeout_s(form))
            self._refuse_more(1)
            answer = await self._in_turn(lambda: self._answer(answering, form, deadline))
            self._refuse_more(len(answer))
        except QueryApiError as error:
            return _failed(error)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception:  # noqa: BLE001 - one answer must not be the end of the others
            traceback.print_exc(file=sys.stderr)
            return _failed(QueryApiError("internal", "a bug in gameday: its log says where"))
        return _Answer(answer, self._hold)

    def _refuse_more(self, count: int) -> None:
        """Raise QueryApiError where so many bytes more would be too many; one answer never is."""
        if self._unread and self._unread + count > self._settings.bounds.unread:
            raise QueryApiError("unavailable", "too many answers are not read yet: ask again later")

    @contextmanager
    def _hold(self, count: int) -> Iterator[None]:
        """Count the bytes of an answer while it is sent."""
        self._unread += count
        try:
            yield
        finally:
            self._unread -= count

    async def _in_turn(self, work: Callable[[], bytes]) -> bytes:
        if self._waiting >= self._settings.bounds.waiting:
            raise QueryApiError("unavailable", "too many queries wait already: ask again later")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def _answer(self, answering: Answering, form: RequestForm, deadline: AnswerDeadline) -> bytes:
        deadline.check("query queue")
        for _ in range(READ_BEFORE):
            if not self.database.read_on():
                break
            deadline.check("query queue")
        return answering(form, deadline).text.encode()

    def _timeout_s(self, form: RequestForm) -> float:
        """The shorter of what is asked for and what there is. Raises QueryApiError."""
        most_s = self._settings.bounds.timeout_s
        text = form.text("timeout")
        if not text:
            return most_s
        try:
            return min(most_s, parse_duration_ns(text) / NS)
        except ValueError as error:
            raise QueryApiError("bad_data", f'invalid parameter "timeout": {error}') from None

    def _instant(self, form: RequestForm, deadline: AnswerDeadline) -> ApiAnswer:
        now_ns = self.database.now_ns or wall_time_ns()
        return self._evaluator(form).instant(now_ns // 1_000_000, deadline)

    def _range(self, form: RequestForm, deadline: AnswerDeadline) -> ApiAnswer:
        return self._evaluator(form).ranged(deadline)

    def _evaluator(self, form: RequestForm) -> QueryEvaluator:
        return QueryEvaluator(self.database, form, self._settings.bounds)

    def _series(self, form: RequestForm, deadline: AnswerDeadline) -> ApiAnswer:
        return lookups.series(self.database, form, deadline)

    def _label_names(self, form: RequestForm, deadline: AnswerDeadline) -> ApiAnswer:
        return lookups.label_names(self.database, form, deadline)

    def _build_info(self) -> ApiAnswer:
        revision = f"gameday {__version__}, run {self._settings.run}"
        told = BuildInfo(version=self._settings.version, revision=revision)
        return ApiAnswer(to_json(plain(told)))

    @asynccontextmanager
    async def _live(self, _: Starlette) -> AsyncIterator[None]:
        reading = asyncio.create_task(self._read_on())
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _read_on(self) -> None:
        """Keep up with the run, whoever asks or not: rules are evaluated instant by instant."""
        loop = asyncio.get_running_loop()
        while not self._settings.is_over:
            while await loop.run_in_executor(self._thread, self.database.read_on):
                pass
            await self._clock.sleep(READ_EVERY_S)


class _Answer(Response):
    """A long answer, sent piece by piece as it is read, and held until then."""

    def __init__(self, body: bytes, hold: Callable[[int], AbstractContextManager[None]]) -> None:
        super().__init__(body, media_type="application/json")
        self._hold = hold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        # One who reads drop by drop is left in the middle, and uvicorn closes the connection.
        with self._hold(len(self.body)), suppress(TimeoutError):
            async with asyncio.timeout(SENT_WITHIN_S):
                await self._send(send)

    async def _send(self, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        for at in range(0, len(self.body), _PIECE):
            piece = self.body[at : at + _PIECE]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _refuse_others(request: Request) -> None:
    """Raise QueryApiError for who is not on this machine, or is a page of another site."""
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or not _is_local(hosts[0]):
        raise QueryApiError("bad_data", "ask for it by 127.0.0.1 or localhost", 403)
    if request.headers.get("sec-fetch-site", "none") not in _OURS:
        raise QueryApiError("bad_data", "pages of other sites get nothing here", 403)


def _is_local(host: str) -> bool:
    name, port = host, ""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    elif ":" in host:
        name, _, port = host.partition(":")
    if port and not port.isdecimal():
        return False
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _query_of(request: Request) -> bytes:
    query: bytes = request.scope.get("query_string", b"")
    if len(query) > MOST_ADDRESS:
        raise QueryApiError("bad_data", f"the address has more than {MOST_ADDRESS} bytes", 414)
    return query


async def _body_of(request: Request) -> bytes:
    """A form's bytes; b"" where the body is none. Raises QueryApiError for a long one."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise QueryApiError("bad_data", f"the body has more than {MOST_BODY} bytes", 413)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return bytes(body) if kind == "application/x-www-form-urlencoded" else b""


def _failed(error: QueryApiError) -> Response:
    text = to_json(
        {"status": "error", "errorType": error.type, "error": excerpt(error.problem, 2000)}
    )
    return Response(text, status_code=error.status, media_type="application/json")


async def _ready(request: Request) -> Response:
    del request
    return PlainTextResponse("gameday is ready.\n")


async def _not_found(request: Request) -> Response:
    path = excerpt(request.url.path, 200)
    return _failed(QueryApiError("not_found", f"{path} is not served: only what reads is"))
