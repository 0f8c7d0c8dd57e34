"""Requests: the actions of the system file that playbook steps do, and how to take them back.

Placeholders are filled here for every request that is not traffic. An `Undo` keeps the request
as the system file writes it, with secrets as references, so the journal holds none.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from gameday.changes import Undo
from gameday.errors import GamedayError, UsageError
from gameday.system import FromEnv, FromFile, Request, Secret

_PLACEHOLDER = re.compile(r"\{\{|\{([a-z_]+)\}")


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


def fill(template: Any, values: Mapping[str, object], *, in_path: bool = False) -> Any:
    """Placeholders replaced; a text that is exactly one placeholder takes the value's type."""
    if isinstance(template, Mapping):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    if not isinstance(template, str):
        return template
    whole = re.fullmatch(r"\{([a-z_]+)\}", template)
    if whole and not in_path:
        return values[whole[1]]

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return "{"
        text = str(values[match[1]])
        return quote(text, safe="") if in_path else text

    return _PLACEHOLDER.sub(one, template)


class Sender:
    """Sends requests of the system file to one base URL."""

    def __init__(
        self, base_url: str, values: Mapping[str, object], environment: Mapping[str, str]
    ) -> None:
        self._base_url = base_url
        self._values = values
        self.environment = environment

    async def send(self, request: Request) -> httpx.Response:
        """The answer, whose status is one that the request expects. Raises RequestError."""
        what = f"{request.method} {self._base_url}{fill(request.path, self._values, in_path=True)}"
        headers = {
            name: value if isinstance(value, str) else secret(value, self.environment)
            for name, value in request.headers.items()
        }
        timeout = httpx.Timeout(request.timeout.total_seconds())
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            try:
                answer = await client.request(
                    request.method,
                    what.split(" ", 1)[1],
                    params=fill(dict(request.query), self._values) or None,
                    headers=headers,
                    json=fill(request.json_, self._values),
                )
            except httpx.HTTPError as error:
                raise RequestError(f"{what}: no answer ({type(error).__name__})") from error
        if not request.expects(answer.status_code):
            raise RequestError(f"{what} answered {answer.status_code}: {answer.text[:200]}")
        return answer


def undo_record(action: str, request: Request, base_url: str) -> Undo:
    """How to take a step back: the whole undoing request, secrets as references."""
    dumped = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Undo("request", {"action": action, "base_url": base_url, "request": dumped})


async def undo(record: Undo, environment: Mapping[str, str] | None = None) -> None:
    """Send the undoing request."""
    request = Request.model_validate(record.data["request"])
    await Sender(record.data["base_url"], {}, environment or {}).send(request)


async def read_back(record: Undo) -> bool | None:
    """Nobody but a probe of the playbook can tell."""
    del record


__all__ = [
    "FromEnv",
    "RequestError",
    "Sender",
    "fill",
    "read_back",
    "secret",
    "undo",
    "undo_record",
]
