"""Requests: the actions of the system file that playbook steps do, and how to take them back.

An `Undo` keeps the request
as the system file writes it, with secrets as references, so the journal holds none.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import httpx

from gameday.changes import Undo
from gameday.errors import GamedayError, UsageError
from gameday.system import FromFile, Request, Secret
from gameday.workload.template import Values, fill_json, fill_text, percent


class RequestError(GamedayError):
    """A request of the system file was not answered as it should be."""

    exit_code = 3


def secret(reference: Secret, environment: Mapping[str, str]) -> str:
    """The value behind `{env: NAME}` or `{file: PATH}`."""
    if isinstance(reference, FromFile):
        try:
            return Path(reference.file).read_text().strip()
        except OSError as error:
            raise UsageError(f"secret file {reference.file}: {error.strerror}") from error
    value = environment.get(reference.env, os.environ.get(reference.env))
    if value is None:
        raise UsageError(
            f"environment variable {reference.env} is not set",
            help=f"the system file takes a secret from it: export {reference.env}=…",
        )
    return value


class Sender:
    """Sends requests of the system file to one base URL."""

    def __init__(self, base_url: str, values: Values, environment: Mapping[str, str]) -> None:
        self._base_url = base_url
        self.values = values
        self.environment = environment

    async def send(self, request: Request) -> httpx.Response:
        """The answer, whose status is one that the request expects. Raises RequestError."""
        url = self._base_url + fill_text(request.path, self.values, percent)
        what = f"{request.method} {url}"
        headers = {
            name: fill_text(value, self.values)
            if isinstance(value, str)
            else secret(value, self.environment)
            for name, value in request.headers.items()
        }
        timeout = httpx.Timeout(request.timeout.total_seconds())
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            try:
                answer = await client.request(
                    request.method,
                    url,
                    params=fill_json(request.query, self.values) or None,
                    headers=headers,
                    json=fill_json(request.json_, self.values),
                )
            except httpx.HTTPError as error:
                raise RequestError(f"{what}: no answer ({type(error).__name__})") from error
        if not request.expects(answer.status_code):
            raise RequestError(f"{what} answered {answer.status_code}: {answer.text[:200]}")
        return answer


def undo_record(action: str, request: Request, base_url: str, values: Values) -> Undo:
    """How to take a step back: the whole undoing request and its values, secrets as references."""
    dumped = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    data = {"action": action, "base_url": base_url, "request": dumped, "values": dict(values)}
    return Undo("request", data)


async def undo(record: Undo, environment: Mapping[str, str] | None = None) -> None:
    """Send the undoing request."""
    request = Request.model_validate(record.data["request"])
    values = record.data.get("values", {})
    await Sender(record.data["base_url"], values, environment or {}).send(request)
