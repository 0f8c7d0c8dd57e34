"""HTTP, as far as we ask: one client for everything but the traffic, and every answer is bounded.

Whoever answers may be broken or hostile. A *total* time counts from sending to the last byte, so a
byte a second does not keep anybody; the body has a largest size, counted as it comes and as it is
decompressed; the head has the limit of the parser (h11: 100 kB). No redirect is followed, no proxy
of the shell is used, no cookie is kept. What went wrong is one class of error, which says what
happened and up to where it had come.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Final, Literal, Self

import httpx

from gameday import __version__
from gameday.core import json, settings
from gameday.core.errors import ExitCode, GamedayError, causes
from gameday.core.secrets.redaction import nothing

OK: Final = 200
_STEP: Final = 1 << 18  # bytes that are decompressed at once
_QUOTED: Final = 200  # characters of what the library says, which quotes the answer
_TURN: Final = 128  # pieces of a body
_GZIP, _ZLIB, _DEFLATE = 31, 15, -15  # how zlib is told what comes
_HEADERS: Final = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "user-agent": f"gameday/{__version__}",
}

Kind = Literal["refused", "unreachable", "late", "large", "broken"]
Take = Callable[[bytes], None]


class HttpError(GamedayError):
    """No whole answer came. `status` is what it began with, 0 where nothing came.

    `refused`: nobody listens there. `unreachable`: no connection, for another reason. `late`: not
    within its time. `large`: more than it may be. `broken`: no HTTP, or cut off, or not what was
    asked for.
    """

    exit_code = ExitCode.UNKNOWN

    def __init__(self, kind: Kind, message: str, status: int = 0) -> None:
        super().__init__(f"{message} (after status {status})" if status else message)
        self.kind = kind
        self.status = status


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request; `body` is sent as JSON, `raw` as it is."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str | int] | None = None
    body: object = None
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; the names of `headers` are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body to be shown: what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self, most_objects: int = json.MOST_OBJECTS) -> Any:
        """The value of the body. Raises JsonError."""
        return json.parse(self.body, most_objects)


def answer_bytes() -> int:
    """The most bytes of an answer where nobody says another number."""
    most: int = settings.current()["bounds.answer_bytes"]
    return most


class HttpClient:
    """Keeps connections open from one question to the next. `verify` says whom to believe."""

    def __init__(
        self, timeout_s: float, *, verify: SSLContext | bool, most_bytes: int | None = None
    ) -> None:
        self.timeout_s = timeout_s
        self.most_bytes = answer_bytes() if most_bytes is None else most_bytes
        self.hide: Callable[[str], str] = nothing
        """Takes the secrets of the questions out of what the library says, before that is cut."""
        self._transport = httpx.AsyncHTTPTransport(verify=verify, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.aclose()

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a GET. Raises HttpError."""
        return await self.ask(Ask("GET", url, headers or {}))

    async def ask(self, ask: Ask, take: Take | None = None) -> Answer:
        """The whole answer, within the time and the size. Raises HttpError.

        `take` is given the body of a 2xx answer piece by piece; then none is in the answer.
        """
        exchange = _Exchange(self._transport, self.most_bytes, take)
        try:
            async with asyncio.timeout(self.timeout_s):
                return await exchange.go(ask)
        except TimeoutError as error:
            text = f"no whole answer within {self.timeout_s:g} s"
            raise HttpError("late", text, exchange.status) from error
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise _known(error, exchange.status, self.hide) from error
        except (httpx.InvalidURL, ValueError) as error:
            text = f"cannot be asked ({type(error).__name__}: {error})"
            raise HttpError("unreachable", text) from error
        except BaseExceptionGroup as group:
            ours = (one for one in causes(group) if isinstance(one, GamedayError))
            raise next(ours, group) from group  # as when an address may not be used


async def ask_once(
    ask: Ask, timeout_s: float, *, verify: SSLContext | bool, most_bytes: int | None = None
) -> Answer:
    """The answer to one question, on a connection of its own. Raises HttpError."""
    async with HttpClient(timeout_s, verify=verify, most_bytes=most_bytes) as client:
        return await client.ask(ask)


class _Exchange:
    """One question and its answer as far as it has come."""

    def __init__(self, transport: httpx.AsyncHTTPTransport, most: int, take: Take | None) -> None:
        self.status = 0
        self._transport = transport
        self._most = most
        self._take = take

    async def go(self, ask: Ask) -> Answer:
        request = httpx.Request(
            ask.method,
            ask.url,
            params=ask.query or None,
            headers={**_HEADERS, **{name.lower(): value for name, value in ask.headers.items()}},
            json=ask.body,
            content=ask.raw,
        )
        response = await self._transport.handle_async_request(request)
        self.status = response.status_code
        try:
            whole = await self._body(response)
        finally:
            await response.aclose()
        return Answer(response.status_code, dict(response.headers), whole)

    async def _body(self, response: httpx.Response) -> bytes:
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._most:
            raise self._large()
        decoded = _decoder(response.headers.get("content-encoding", ""), self.status)
        whole = bytearray()
        take = self._take if self._take is not None and response.is_success else whole.extend
        came = made = pieces = 0
        async for piece in response.aiter_raw():
            came += len(piece)
            pieces += 1
            if pieces % _TURN == 0:  # chunks of a byte must not keep everybody else waiting
                await asyncio.sleep(0)  # noqa: TID251  no time passes
            for part in decoded.feed(piece):
                made += len(part)
                if made > self._most:
                    raise self._large()
                take(part)
            if came > self._most:
                raise self._large()
        decoded.end()
        return bytes(whole)

    def _large(self) -> HttpError:
        return HttpError("large", f"an answer of more than {_size(self._most)}", self.status)


class _Body:
    """A body, a compressed one taken apart in small steps: a bomb is noticed before it is large."""

    def __init__(self, form: int | None, status: int) -> None:
        self._form = form
        self._status = status
        self._unpack = zlib.decompressobj(form or _ZLIB)
        self._any = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        if self._form is None:
            yield piece
            return
        while piece:
            if self._unpack.eof:  # gzip allows one after the other
                self._unpack = zlib.decompressobj(self._form)
            try:
                part = self._unpack.decompress(piece, _STEP)
            except zlib.error as error:
                if self._form != _ZLIB or self._any:
                    raise self._broken() from error
                self._form, self._any = _DEFLATE, True  # both are called deflate
                self._unpack = zlib.decompressobj(_DEFLATE)
                continue
            self._any = True
            yield part
            piece = self._unpack.unconsumed_tail or self._unpack.unused_data

    def end(self) -> None:
        if self._any and not self._unpack.eof:
            raise self._broken()

    def _broken(self) -> HttpError:
        return HttpError("broken", "a compressed body that cannot be read", self._status)


def _decoder(encoding: str, status: int) -> _Body:
    match encoding.strip().lower():
        case "" | "identity":
            return _Body(None, status)
        case "gzip" | "x-gzip":
            return _Body(_GZIP, status)
        case "deflate":
            return _Body(_ZLIB, status)
        case other:
            text = f"a body encoded as {other[:40]!r}, which was not asked for"
            raise HttpError("broken", text, status)


def _size(count: int) -> str:
    return f"{count / 1e6:g} MB" if count >= 100_000 else f"{count} bytes"


def _known(error: Exception, status: int, hide: Callable[[str], str]) -> HttpError:
    """An error of the library in our words."""
    if any(isinstance(one, ConnectionRefusedError) for one in causes(error)):
        return HttpError("refused", "connection refused")
    name, said = type(error).__name__, hide(str(error))[:_QUOTED]
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
        return HttpError("unreachable", f"no answer ({name}: {said})")
    if status:
        return HttpError("broken", f"its body is cut or broken ({said or name})", status)
    return HttpError("broken", f"no HTTP answer ({name}: {said})")
