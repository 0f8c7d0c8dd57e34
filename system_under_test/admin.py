"""The admin door: /metrics from a thread of its own, and the routes that change control state.

The thread only reads, so it answers while the event loop is busy. A change is handed to the
event loop and waited for, for a bounded time; it needs the bearer token.
"""

import asyncio
import hmac
import json
import logging
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from system_under_test.control import Control
from system_under_test.lane import AnyLane, Unavailable

CHANGE_S = 8.0
BODY_LIMIT = 16_384
POOL_MOST = 1000  # of one replica; a store has an end of its own long before

log = logging.getLogger(__name__)


class BadRequest(Exception):
    """The admin call cannot be understood; the message says why."""


class Changes:
    """The admin routes, run on the event loop: each changes one campaign or every open one."""

    def __init__(self, control: Control, lanes: Mapping[str, AnyLane]) -> None:
        self._control = control
        self._lanes = lanes

    async def apply(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Do what `path` asks; None if there is no such route. Raises BadRequest, Unavailable."""
        if path == "/admin/rate-limit":
            return await self._rate_limit(body)
        if path == "/admin/pools":
            return self._pools(body)
        if path not in ("/admin/strategy", "/admin/pause", "/admin/resume"):
            return None
        strategy = body.get("strategy")
        if path == "/admin/strategy" and strategy not in ("redis", "postgres"):
            message = f"strategy: {strategy!r} is neither 'redis' nor 'postgres'"
            raise BadRequest(message)
        codes = await self._codes(body.get("campaign"))
        for code in codes:
            if path == "/admin/strategy":
                await self._control.use(code, strategy)  # type: ignore[arg-type]
            elif path == "/admin/pause":
                await self._control.pause(code)
            else:
                await self._control.resume(code)
        log.info("%s %s: %d campaigns", path, strategy or "", len(codes))
        return {"campaigns": codes}

    async def _codes(self, named: object) -> list[str]:
        if named is None:
            await self._control.refresh_open()
            return [campaign.code for campaign in self._control.open]
        if not isinstance(named, str) or await self._control.lookup(named) is None:
            message = f"campaign: {named!r} is not known"
            raise BadRequest(message)
        return [named]

    async def _rate_limit(self, body: dict[str, Any]) -> dict[str, Any]:
        enabled = body.get("enabled")
        if not isinstance(enabled, bool):
            message = f"enabled: {enabled!r} is neither true nor false"
            raise BadRequest(message)
        await self._control.set_limit_users(enabled=enabled)
        return {"enabled": enabled}

    def _pools(self, body: dict[str, Any]) -> dict[str, Any]:
        """Resize the named pools of this replica, all or none; `pool_live` says how far it is."""
        for name, wanted in body.items():
            if name not in self._lanes:
                message = f"{name!r} is no pool: {', '.join(self._lanes)}"
                raise BadRequest(message)
            if type(wanted) is not int or not 1 <= wanted <= POOL_MOST:
                message = f"{name}: {wanted!r} is no number from 1 to {POOL_MOST}"
                raise BadRequest(message)
        for name, wanted in body.items():
            self._lanes[name].resize(wanted)
        log.info("pools: %s", body)
        return {name: lane.pace.connections for name, lane in self._lanes.items()}


class AdminServer:
    """The admin port, served until `stop`."""

    def __init__(
        self, address: tuple[str, int], token: str, registry: CollectorRegistry, changes: Changes
    ) -> None:
        loop = asyncio.get_running_loop()

        def run(work: Coroutine[None, None, dict[str, Any] | None]) -> dict[str, Any] | None:
            future = asyncio.run_coroutine_threadsafe(work, loop)
            try:
                return future.result(CHANGE_S)
            except FutureTimeoutError:
                future.cancel()
                raise

        class Handler(_Handler):
            """The handler of this server."""

        Handler.token, Handler.registry = token, registry
        Handler.change = staticmethod(lambda path, body: run(changes.apply(path, body)))
        self._server = ThreadingHTTPServer(address, Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One admin request."""

    token: str
    registry: CollectorRegistry
    change: Any
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == "/metrics":
            self._answer(HTTPStatus.OK, generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4)
        else:
            self._answer_json(HTTPStatus.NOT_FOUND, {"code": "NOT_FOUND"})

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("content-length", "0"))
            if not 0 <= length <= BODY_LIMIT:
                self.close_connection = True
                self._answer_json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"code": "TOO_LONG"})
                return
            body = json.loads(self.rfile.read(length) or b"{}")
        except (ValueError, RecursionError):
            self._answer_json(HTTPStatus.UNPROCESSABLE_ENTITY, {"code": "INVALID"})
            return
        given = self.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            self._answer_json(HTTPStatus.UNAUTHORIZED, {"code": "UNAUTHORIZED"})
            return
        self._answer_json(*self._change(body if isinstance(body, dict) else {}))

    def _change(self, body: dict[str, Any]) -> tuple[HTTPStatus, dict[str, Any]]:
        try:
            done = self.change(self.path, body)
        except BadRequest as error:
            return HTTPStatus.UNPROCESSABLE_ENTITY, {"code": "INVALID", "message": str(error)}
        except Unavailable as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"code": "UNAVAILABLE", "message": str(error)}
        except FutureTimeoutError:
            return HTTPStatus.GATEWAY_TIMEOUT, {"code": "UNKNOWN", "message": "still under way"}
        if done is None:
            return HTTPStatus.NOT_FOUND, {"code": "NOT_FOUND"}
        return HTTPStatus.OK, done

    def _answer_json(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        self._answer(status, json.dumps(body).encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)
