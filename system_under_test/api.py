"""The public door: issue, campaigns, audit, health and log levels, as a bare ASGI application.

No framework: routing nine paths by hand costs less than the rest of a request does.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from urllib.parse import unquote

from system_under_test import logs
from system_under_test.audit import Audit
from system_under_test.control import Control
from system_under_test.issuing import Decision, Issuing
from system_under_test.lane import Unavailable
from system_under_test.metrics import Live, Metrics
from system_under_test.ratelimit import RateLimit

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

ISSUE = "/api/v1/coupons/issue"
COUPONS = "/api/v1/coupons"
BODY_LIMIT = 16_384
USER_LIMIT = 2**63
CODE_LIMIT = 128
STOCK_LIMIT = 2**31

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a JSON body, and seconds for Retry-After (0: none)."""

    status: int
    body: Any
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of the service that the HTTP routes call."""

    issuing: Issuing
    control: Control
    audit: Audit
    metrics: Metrics
    live: Live


class Invalid(Exception):
    """The body is not what the route takes; the message says why."""


_STATUS = {
    "duplicate": (409, "DUPLICATE"),
    "sold_out": (409, "SOLD_OUT"),
    "not_found": (404, "UNKNOWN_CAMPAIGN"),
    "closed": (404, "CAMPAIGN_CLOSED"),
    "paused": (503, "PAUSED"),
    "unavailable": (503, "UNAVAILABLE"),
    "unknown": (504, "UNKNOWN"),
}
_RETRY_AFTER_S = {"paused": 5, "unavailable": 1}


class Api:
    """The ASGI application. While it is `draining` it serves, and its health check fails."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._limit = RateLimit()
        self.draining = False

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other protocols are closed without an answer."""
        if scope["type"] != "http":
            return
        id_ = _request_id(scope)
        logs.request_id.set(id_)
        if scope["path"] == ISSUE and scope["method"] == "POST":
            answer = await self._issue(receive)
        else:
            answer = await self._route(scope, receive)
        await _send(send, answer, id_)

    async def _issue(self, receive: Receive) -> Answer:
        metrics, live = self._parts.metrics, self._parts.live
        began = time.perf_counter()
        token = object()
        live.open[token] = began
        outcome = "unknown"
        try:
            outcome, answer = await self._decide(receive)
        finally:
            del live.open[token]
            metrics.request_seconds.observe(time.perf_counter() - began)
            metrics.requests[outcome].inc()
        return answer

    async def _decide(self, receive: Receive) -> tuple[str, Answer]:
        try:
            user, code = _asked(await _json(receive))
        except Invalid as error:
            return "invalid", Answer(422, {"code": "INVALID", "message": str(error)})
        if self._parts.control.limit_users:
            wait_s = self._limit.retry_after_s(user, asyncio.get_running_loop().time())
            if wait_s > 0:
                return "limited", Answer(429, {"code": "TOO_MANY_REQUESTS"}, int(wait_s) + 1)
        decision = await self._parts.issuing.issue(code, user)
        return decision.outcome, _answer_of(decision, user, code)

    async def _route(self, scope: dict[str, Any], receive: Receive) -> Answer:
        method, path = scope["method"], scope["path"]
        try:
            return await self._found(method, scope, receive)
        except Invalid as error:
            return Answer(422, {"code": "INVALID", "message": str(error)})
        except Unavailable as error:
            log.warning("%s %s: %s", method, path, error)
            return Answer(503, {"code": "UNAVAILABLE", "message": str(error)}, 1)

    async def _found(self, method: str, scope: dict[str, Any], receive: Receive) -> Answer:
        path = scope["path"]
        if path == "/healthz":
            if self.draining:
                return Answer(503, {"status": "DRAINING"})
            return Answer(200, {"status": "UP"})
        if path == "/actuator/loggers" or path.startswith("/actuator/loggers/"):
            return await self._loggers(method, path, receive)
        if path == COUPONS and method == "POST":
            return await self._create(await _json(receive))
        if path.startswith(COUPONS + "/"):
            raw = scope.get("raw_path", path.encode()).decode("ascii", "replace")
            return await self._campaign(method, raw[len(COUPONS) + 1 :])
        return Answer(404, {"code": "NOT_FOUND"})

    async def _create(self, body: Any) -> Answer:
        code = _code("code", body.get("code") if isinstance(body, dict) else None)
        stock = body.get("stock") if isinstance(body, dict) else None
        if type(stock) is not int or not 0 <= stock < STOCK_LIMIT:
            message = f"stock: {stock!r} is not a whole number from 0"
            raise Invalid(message)
        if not await self._parts.control.create(code, stock):
            return Answer(409, {"code": "CAMPAIGN_EXISTS"})
        log.info("campaign %s created with %d coupons", code, stock)
        return Answer(201, {"code": code, "stock": stock})

    async def _campaign(self, method: str, raw: str) -> Answer:
        name, _, verb = raw.partition("/")
        code = unquote(name)
        if (method, verb) == ("GET", "audit"):
            audit = await self._parts.audit.read(code)
            return _unknown() if audit is None else Answer(200, audit)
        if (method, verb) == ("GET", ""):
            return await self._status(code)
        if (method, verb) == ("POST", "close"):
            closed = await self._parts.control.close(code)
            return _unknown() if closed is None else Answer(200, {"code": code, "closed": True})
        return Answer(404, {"code": "NOT_FOUND"})

    async def _status(self, code: str) -> Answer:
        campaign = await self._parts.control.lookup(code)
        if campaign is None:
            return _unknown()
        rows = self._parts.live.books.rows.get(code)
        left = {} if rows is None else {"remaining": campaign.stock - rows}
        names = ("code", "stock", "strategy", "epoch", "paused", "closed")
        return Answer(200, {name: getattr(campaign, name) for name in names} | left)

    async def _loggers(self, method: str, path: str, receive: Receive) -> Answer:
        name = unquote(path.removeprefix("/actuator/loggers").strip("/"))
        if not name:
            return Answer(200, logs.levels()) if method == "GET" else Answer(405, {})
        if not logs.known(name):
            return Answer(404, {"code": "UNKNOWN_LOGGER"})
        if method == "GET":
            return Answer(200, logs.level(name))
        body = await _json(receive)
        wanted = body.get("configuredLevel") if isinstance(body, dict) else ""
        if wanted is not None and not isinstance(wanted, str):
            wanted = ""
        if not logs.set_level(name, wanted):
            message = f"configuredLevel: {wanted!r} is none of {', '.join(logs.LEVELS)}"
            raise Invalid(message)
        return Answer(204, None)


def _asked(body: Any) -> tuple[int, str]:
    if not isinstance(body, dict):
        message = "the body is not an object"
        raise Invalid(message)
    user, code = body.get("userId"), body.get("couponCode")
    if type(user) is not int or not 0 <= user < USER_LIMIT:
        message = f"userId: {user!r} is not a whole number from 0"
        raise Invalid(message)
    return user, _code("couponCode", code)


def _code(key: str, code: object) -> str:
    """A coupon code; what cannot be printed (NUL, half a character) no store takes as a text."""
    if not isinstance(code, str) or not 0 < len(code) <= CODE_LIMIT or not code.isprintable():
        message = f"{key}: {code!r} is not a text of 1 to {CODE_LIMIT} characters"
        raise Invalid(message)
    return code


def _answer_of(decision: Decision, user: int, code: str) -> Answer:
    if decision.outcome == "issued":
        body = {"issueId": decision.issue_id, "userId": user, "couponCode": code}
        if decision.remaining is not None:
            body["remaining"] = decision.remaining
        return Answer(200, body)
    status, name = _STATUS[decision.outcome]
    if status >= 500 and decision.outcome != "paused":
        log.info("user %d: %s: %s", user, decision.outcome, decision.reason)
    return Answer(
        status, {"code": decision.reason or name}, _RETRY_AFTER_S.get(decision.outcome, 0)
    )


def _unknown() -> Answer:
    return Answer(404, {"code": "UNKNOWN_CAMPAIGN"})


def _request_id(scope: dict[str, Any]) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and len(value) <= 64 and value.isascii():
            return str(value, "ascii") if value.decode().isprintable() else token_hex(8)
    return token_hex(8)


async def _json(receive: Receive) -> Any:
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            text = f"the body is longer than {BODY_LIMIT} bytes"
            raise Invalid(text)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        text = f"the body is not JSON: {error}"
        raise Invalid(text) from error


async def _send(send: Send, answer: Answer, request_id: str) -> None:
    body = b"" if answer.status == 204 else json.dumps(answer.body).encode()
    headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode())]
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
    if answer.retry_after_s:
        headers.append((b"retry-after", b"%d" % answer.retry_after_s))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
