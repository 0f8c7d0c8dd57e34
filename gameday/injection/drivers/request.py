"""Requests: the actions of the system file that playbook steps do, and how to take them back.

An `Undo` keeps the request as the system file writes it, with secrets as references, so the
journal holds none. What a server answers may quote them: an error never does.
"""

import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from gameday.core import files
from gameday.core.errors import ExitCode, GamedayError, UsageError
from gameday.core.network.http import Answer, Ask, HttpClient, HttpError, Take
from gameday.core.network.urls import at, encoded
from gameday.core.secrets.redaction import Hidden, telling
from gameday.spec.request import FORM, PLAIN_TEXT, FromEnv, FromFile, IssueRequest, Request, Secret
from gameday.spec.server import Server
from gameday.spec.system import System
from gameday.spec.template import Values, fill_json, fill_text, literal, percent
from gameday.spec.tls import Tls
from gameday.spec.undos import ProjectUndo, RequestUndo

Sent = TypeVar("Sent", bound=Request)
_OF_ONE_PROCESS = re.compile(r"/dev/(stdin|stdout|stderr|fd)\b|/proc/[^/]+/(task/[^/]+/)?fd\b")


class RequestError(GamedayError):
    """A request of the system file was not answered as it should be."""

    exit_code = ExitCode.UNKNOWN


def secret(reference: Secret, environment: Mapping[str, str]) -> str:
    """The value behind `{env: NAME}` or `{file: PATH}`."""
    if isinstance(reference, FromFile):
        return _in_file(reference.file)
    value = environment.get(reference.env, os.environ.get(reference.env))
    if value is None:
        raise UsageError(
            f"environment variable {reference.env} is not set",
            help=f"the system file takes a secret from it: export {reference.env}=…",
        )
    return value


def _in_file(name: str) -> str:
    """The text of a secret file, which whoever undoes a fault must find there too."""
    if _OF_ONE_PROCESS.match(os.path.abspath(name)):
        problem = "it is a file of this one process, and the reaper must read it too"
        raise UsageError(f"secret file {name}: {problem}", help=files.HELP)
    raw = files.read(Path(name), files.SECRET_BYTES, "secret file")
    try:
        return raw.decode().strip()
    except UnicodeDecodeError as error:
        problem = f"byte {error.start + 1} is not UTF-8"
        raise UsageError(f"secret file {name}: {problem}", help="save it as UTF-8") from None


def authorization(server: Server, environment: Mapping[str, str]) -> dict[str, str]:
    """The header that a server wants to see. Raises UsageError for a secret that is not there."""
    if server.bearer is not None:
        return {"Authorization": f"Bearer {secret(server.bearer, environment)}"}
    if server.password is None:
        return {}
    login = f"{server.user}:{secret(server.password, environment)}"
    return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def resolved_issue(request: IssueRequest, environment: Mapping[str, str]) -> IssueRequest:
    """The issue, and the question after it, as `resolved` makes them."""
    found = resolved(request, environment)
    if found.poll is None:
        return found
    return found.model_copy(update={"poll": resolved(found.poll, environment)})


def resolved(request: Sent, environment: Mapping[str, str]) -> Sent:
    """The request, with placeholders, the secrets of its headers filled in."""
    headers = {
        name: value if isinstance(value, str) else literal(secret(value, environment))
        for name, value in request.headers.items()
    }
    return request.model_copy(update={"headers": headers})


def secrets_of(system: System, environment: Mapping[str, str]) -> list[str]:
    """The values of every `{env: NAME}` and `{file: PATH}` that can be found, and what tells.

    A started stack hands the service passwords of its own; they are secret by their name or form.
    """
    found = telling(environment)
    for named in (system.prometheus, system.alertmanager):
        if isinstance(named, Server):
            with suppress(UsageError):
                found += authorization(named, environment).values()
    for reference in _references(system):
        try:
            found.append(secret(reference, environment))
        except UsageError:
            continue  # nothing is known of it, so nothing can show it
    return found


def _references(value: object) -> Iterator[Secret]:
    if isinstance(value, FromEnv | FromFile):
        yield value
    elif isinstance(value, BaseModel):
        for _, each in value:
            yield from _references(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _references(each)


class Sender:
    """Sends requests of the system file to one base URL.

    `tls` says whom to believe there. `hide` takes all secrets out of an error; by default those
    that the sender can know itself.
    """

    def __init__(
        self,
        base_url: str,
        values: Values,
        environment: Mapping[str, str],
        *,
        tls: Tls | None = None,
        hide: Callable[[str], str] | None = None,
    ) -> None:
        self._base_url = base_url
        self.values = values
        self.environment = environment
        self._hide = hide or Hidden(telling(environment))
        self.tls = tls or Tls()

    def at(self, base_url: str) -> "Sender":
        """The same to another base URL."""
        return Sender(base_url, self.values, self.environment, tls=self.tls, hide=self._hide)

    def learn(self, name: str, value: int | str) -> None:
        """Fill a placeholder so from now on; senders that were given the same values do, too."""
        if isinstance(self.values, dict):
            self.values[name] = value

    def with_values(self, values: Values) -> "Sender":
        """The same with more placeholders to fill."""
        every = {**self.values, **values}
        return Sender(self._base_url, every, self.environment, tls=self.tls, hide=self._hide)

    @property
    def base_url(self) -> str:
        """Where it sends to."""
        return self._base_url

    def hide(self, text: str) -> str:
        """A text without the secrets that it knows."""
        return self._hide(text)

    def _raw(self, request: Request) -> bytes | None:
        """The body of a form or a text."""
        if request.form is not None:
            pairs = (
                f"{percent(name)}={percent(fill_text(str(value), self.values))}"
                for name, value in request.form.items()
            )
            return "&".join(pairs).encode()
        return None if request.text is None else fill_text(request.text, self.values).encode()

    async def send(
        self, request: Request, take: Take | None = None, most_bytes: int | None = None
    ) -> Answer:
        """The answer, whose status is one that the request expects. Raises RequestError.

        The request's `timeout` is from sending to the last byte. `take` as in `HttpClient.ask`.
        """
        url = encoded(at(self._base_url, fill_text(request.path, self.values, percent)))
        what = f"{request.method} {url}"
        headers = {
            name: fill_text(value, self.values)
            if isinstance(value, str)
            else secret(value, self.environment)
            for name, value in request.headers.items()
        }
        own = Hidden([secret(each, self.environment) for each in _references(request)])

        def hide(text: str) -> str:
            return self._hide(own(text))

        query = fill_json(request.query, self.values)
        body = fill_json(request.json_, self.values)
        raw = self._raw(request)
        if raw is not None and "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = PLAIN_TEXT if request.form is None else FORM
        ask = Ask(request.method, url, headers, query, body, raw)
        verify = self.tls.needed_for(self._base_url)
        timeout_s = request.timeout.total_seconds()
        async with HttpClient(timeout_s, verify=verify, most_bytes=most_bytes) as client:
            client.hide = hide
            try:
                answer = await client.ask(ask, take)
            except HttpError as error:
                raise RequestError(hide(f"{what}: {error.message}")) from error
        if not request.expects(answer.status):
            said = hide(answer.text)[:200]  # hidden before it is cut
            raise RequestError(f"{what} answered {answer.status}: {said}")
        return answer


def undo_record(
    action: str,
    request: Request,
    base_url: str,
    values: Values,
    *,
    tls: Tls | None = None,
    project: ProjectUndo | None = None,
    service: str = "",
) -> RequestUndo:
    """The undo of a step: the whole undoing request and its values, secrets as references."""
    return RequestUndo(
        action=action,
        base_url=base_url,
        request=request.model_dump(mode="json", by_alias=True, exclude_none=True),
        values=dict(values),
        tls=None if tls is None or tls == Tls() else tls.model_dump(),
        project=project,
        service=service,
    )
