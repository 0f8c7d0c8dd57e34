"""An HTTP request as a system file writes it: method, headers, body, and how its answer reads.

Traffic workers load this and not the whole system file, for they start beside a running clock.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from gameday.core.json_objects import Json
from gameday.core.units import Duration
from gameday.spec.yaml import Model, shape

MOST_OPEN = 10_000
"""Requests open at once, of all workers: a third of the ports that Linux hands out (28,232)."""
METHODS = ("get", "post", "put", "patch", "delete")


class FromEnv(Model):
    """A secret that stands in an environment variable."""

    env: str = Field(description="The name of the variable", examples=["ADMIN_TOKEN"])


class FromFile(Model):
    """A secret that stands in a file."""

    file: str = Field(
        description="The path of the file, from here", examples=["secrets/admin-token"]
    )


def _source(value: object) -> str | None:
    """The source of a secret, or `text` for plain text; None is neither."""
    if isinstance(value, str):
        return "text"
    for source in ("env", "file"):
        if (source in value) if isinstance(value, Mapping) else hasattr(value, source):
            return source
    return None


_FromEnv = Annotated[FromEnv, Tag("env")]
_FromFile = Annotated[FromFile, Tag("file")]
Secret = Annotated[
    _FromEnv | _FromFile,
    Discriminator(
        _source,
        custom_error_type="secret",
        custom_error_message="write {env: NAME} or {file: PATH}",
    ),
]
HeaderValue = Annotated[
    Annotated[str, Tag("text")] | _FromEnv | _FromFile,
    Discriminator(
        _source,
        custom_error_type="header",
        custom_error_message="write text, {env: NAME} or {file: PATH}",
    ),
]
QueryValue = Annotated[
    Annotated[str, Tag("text")] | Annotated[int, Tag("number")],
    Discriminator(lambda value: "number" if isinstance(value, int) else "text"),
]
Status = Annotated[int, Field(ge=100, le=599)]
StatusOrStatuses = Annotated[
    Annotated[Status, Tag("one")] | Annotated[list[Status], Field(min_length=1), Tag("list")],
    Discriminator(shape),
]


class Statuses(Model):
    """The HTTP statuses that count as done; default 2xx."""

    status: StatusOrStatuses | None = Field(
        default=None, description="One status or a list", examples=[[200, 201]]
    )


class Request(Model):
    """One HTTP request, its method being the key: `{post: /path, json: {...}}`."""

    get: str | None = Field(
        default=None, description="The path of a GET", examples=["/api/v1/coupons/{coupon}"]
    )
    post: str | None = Field(default=None, description="The path of a POST")
    put: str | None = Field(
        default=None, description="The path of a PUT", examples=["/api/v1/coupons/{coupon}"]
    )
    patch: str | None = Field(
        default=None, description="The path of a PATCH", examples=["/api/v1/coupons/{coupon}"]
    )
    delete: str | None = Field(
        default=None, description="The path of a DELETE", examples=["/api/v1/coupons/{coupon}"]
    )
    headers: Mapping[str, HeaderValue] = Field(default_factory=dict, description="Header lines")
    query: Mapping[str, QueryValue] = Field(
        default_factory=dict, description="The query string", examples=[{"code": "{coupon}"}]
    )
    json_: Any = Field(default=None, alias="json", description="The body, with placeholders")
    timeout: Duration = Field(
        default=timedelta(seconds=10), description="From sending to answer", examples=["5s"]
    )
    expect: Statuses = Statuses()

    @model_validator(mode="after")
    def _one_method(self) -> "Request":
        given = [name for name in METHODS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"write exactly one of {', '.join(METHODS)} with the path")
        return self

    @property
    def method(self) -> str:
        return next(name.upper() for name in METHODS if getattr(self, name) is not None)

    @property
    def path(self) -> str:
        return str(getattr(self, self.method.lower()))

    def expects(self, status: int) -> bool:
        wanted = self.expect.status
        if wanted is None:
            return 200 <= status < 300
        return status == wanted if isinstance(wanted, int) else status in wanted


class Match(Model):
    """An answer: its status, and values at dotted paths of its JSON."""

    status: StatusOrStatuses = Field(description="One status or a list")
    json_: Json = Field(
        default_factory=dict, alias="json", description="Values at dotted paths of the JSON answer"
    )


OutcomeName = Literal["issued", "duplicate", "sold_out", "refused", "accepted"]


class IssueRequest(Request):
    """The request the traffic is made of, and how its answers read; first match wins."""

    capture: Mapping[Literal["issue_id", "remaining"], str] = Field(
        default_factory=dict, description="Dotted paths into the JSON answer"
    )
    outcomes: Mapping[OutcomeName, Match] = Field(
        min_length=1, description="First match wins; what matches nothing may have happened"
    )
