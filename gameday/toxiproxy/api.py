"""The HTTP API, route by route, with the answers that Toxiproxy's clients expect.

`ROUTES` is the whole of it. A handler takes the request and the names in its path, and returns a
response or raises `ApiError`. Requests of one client are answered in order; no handler waits for
anything but a name to be resolved, and that for a limited time.
"""

import base64
import posixpath
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from gameday.toxiproxy import VERSION, metrics, toxic_requests
from gameday.toxiproxy.admission import Admission
from gameday.toxiproxy.errors import ApiError
from gameday.toxiproxy.go_json import read_value, write_value
from gameday.toxiproxy.http import PLAIN, HttpRequest, HttpResponse
from gameday.toxiproxy.proxies import ProxyCollection, Wanted
from gameday.toxiproxy.proxy import shown_toxic
from gameday.toxiproxy.settings import Shared

JSON = "application/json"
NO_SNIFF = {"X-Content-Type-Options": "nosniff"}

Route = Callable[["Api", HttpRequest, list[str]], Awaitable[HttpResponse]]


class Api:
    """The API over the proxies of one server, for those whom `admission` lets in."""

    def __init__(self, proxies: ProxyCollection, shared: Shared, admission: Admission) -> None:
        self._proxies = proxies
        self._shared = shared
        self._admission = admission

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        try:
            self._admission.admit(request)
        except ApiError as error:
            return _identified(_refusal(error))
        clean = _clean(request.path)
        if clean != request.path:
            return HttpResponse(301, b"", headers={"Location": clean})
        methods, names = _find(request.path)
        if not methods or ("*" in methods and not self._shared.metrics.enabled):
            return HttpResponse(404, b"404 page not found\n", PLAIN, NO_SNIFF)
        route = methods.get(request.method) or methods.get("*")
        if route is None:
            return HttpResponse(405)
        return _identified(await self._answer(route, request, names))

    async def _answer(self, route: Route, request: HttpRequest, names: list[str]) -> HttpResponse:
        if request.headers.get("user-agent", "").startswith("Mozilla/"):
            return HttpResponse(403, b"User agent not allowed\n", PLAIN, NO_SNIFF)
        try:
            if route not in READING:
                self._admission.admit_change(request)
            return await route(self, request, names)
        except ApiError as error:
            return _refusal(error)

    # The routes.

    async def version(self, _request: HttpRequest, _names: list[str]) -> HttpResponse:
        body = f'{{"version": "{VERSION}"}}\n'.encode()
        return HttpResponse(200, body, "application/json;charset=utf-8")

    async def metrics(self, _request: HttpRequest, _names: list[str]) -> HttpResponse:
        return HttpResponse(200, self._shared.metrics.text(), metrics.CONTENT_TYPE)

    async def reset(self, _request: HttpRequest, _names: list[str]) -> HttpResponse:
        await self._proxies.reset()
        return HttpResponse(204)

    async def list_proxies(self, _request: HttpRequest, _names: list[str]) -> HttpResponse:
        return _ok({proxy.name: proxy.as_json() for proxy in self._proxies.sorted()})

    async def create_proxy(self, request: HttpRequest, _names: list[str]) -> HttpResponse:
        proxy = await self._proxies.create(Wanted.read(read_value(request.body)))
        return _ok(proxy.as_json(), 201)

    async def populate(self, request: HttpRequest, _names: list[str]) -> HttpResponse:
        try:
            done = await self._proxies.populate(read_value(request.body))
        except ApiError as error:
            return _ok(_error(error, proxies=None), error.status)
        proxies = [proxy.as_json() for proxy in done.proxies] or None
        if done.error is not None:
            return _ok(_error(done.error, proxies=proxies), done.error.status)
        return _ok({"proxies": proxies}, 201)

    async def show_proxy(self, _request: HttpRequest, names: list[str]) -> HttpResponse:
        return _ok(self._proxies[names[0]].as_json())

    async def update_proxy(self, request: HttpRequest, names: list[str]) -> HttpResponse:
        proxy = self._proxies[names[0]]
        await self._proxies.update(proxy, read_value(request.body))
        return _ok(proxy.as_json())

    async def delete_proxy(self, _request: HttpRequest, names: list[str]) -> HttpResponse:
        await self._proxies.delete(names[0])
        return HttpResponse(204)

    async def list_toxics(self, _request: HttpRequest, names: list[str]) -> HttpResponse:
        return _ok([shown_toxic(toxic) for toxic in self._proxies[names[0]].toxics])

    async def create_toxic(self, request: HttpRequest, names: list[str]) -> HttpResponse:
        proxy = self._proxies[names[0]]
        return _ok(shown_toxic(toxic_requests.create(proxy, read_value(request.body))))

    async def show_toxic(self, _request: HttpRequest, names: list[str]) -> HttpResponse:
        return _ok(shown_toxic(self._proxies[names[0]].toxic(names[1])))

    async def update_toxic(self, request: HttpRequest, names: list[str]) -> HttpResponse:
        proxy = self._proxies[names[0]]
        toxic = proxy.toxic(names[1])
        toxic_requests.update(proxy, toxic, read_value(request.body))
        return _ok(shown_toxic(toxic))

    async def delete_toxic(self, _request: HttpRequest, names: list[str]) -> HttpResponse:
        proxy = self._proxies[names[0]]
        proxy.remove_toxic(proxy.toxic(names[1]))
        return HttpResponse(204)


NAME = "*"
ROUTES: list[tuple[tuple[str, ...], dict[str, Route]]] = [
    (("version",), {"GET": Api.version}),
    (("metrics",), {"*": Api.metrics}),
    (("reset",), {"POST": Api.reset}),
    (("populate",), {"POST": Api.populate}),
    (("proxies",), {"GET": Api.list_proxies, "POST": Api.create_proxy}),
    (
        ("proxies", NAME),
        {
            "GET": Api.show_proxy,
            "POST": Api.update_proxy,
            "PATCH": Api.update_proxy,
            "DELETE": Api.delete_proxy,
        },
    ),
    (("proxies", NAME, "toxics"), {"GET": Api.list_toxics, "POST": Api.create_toxic}),
    (
        ("proxies", NAME, "toxics", NAME),
        {
            "GET": Api.show_toxic,
            "POST": Api.update_toxic,
            "PATCH": Api.update_toxic,
            "DELETE": Api.delete_toxic,
        },
    ),
]


READING = frozenset(
    {Api.version, Api.metrics, Api.list_proxies, Api.show_proxy, Api.list_toxics, Api.show_toxic}
)
"""Routes that only read, open to every admitted client; the other routes change something."""


def _find(path: str) -> tuple[dict[str, Route], list[str]]:
    """The methods of the route that `path` names, and the names in it; no methods, no route.

    Each part is decoded by itself, so a name with a `/` in it can be addressed as `%2F`.
    """
    parts = [unquote(part) for part in path[1:].split("/")]
    for pattern, methods in ROUTES:
        if len(pattern) == len(parts) and all(
            part if expected == NAME else part == expected
            for expected, part in zip(pattern, parts, strict=True)
        ):
            pairs = zip(pattern, parts, strict=True)
            return methods, [part for expected, part in pairs if expected == NAME]
    return {}, []


def _clean(path: str) -> str:
    """`path` without `//`, `.` and `..`, as Go's router redirects to."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _ok(value: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, write_value(value), JSON)


def _error(error: ApiError, **more: object) -> object:
    return {"error": error.message, "status": error.status, **more}


def _refusal(error: ApiError) -> HttpResponse:
    headers = NO_SNIFF if error.status != 401 else {**NO_SNIFF, "WWW-Authenticate": "Bearer"}
    return HttpResponse(error.status, write_value(_error(error)) + b"\n", PLAIN, headers)


def _identified(response: HttpResponse) -> HttpResponse:
    """With a new request id, as every routed answer has one."""
    digits = base64.b32hexencode(secrets.token_bytes(12)).decode().lower().rstrip("=")
    headers = {**response.headers, "X-Toxiproxy-Request-Id": digits}
    return HttpResponse(response.status, response.body, response.content_type, headers)
