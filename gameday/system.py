"""The system file: everything gameday knows about a system under test.

Only `base_url`, `requests.issue` and `audit` are required. Addresses that a started stack
supplies replace the ones written here; secrets are always references (`{env: NAME}` or
`{file: PATH}`), never values.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from gameday.documents import Model, Name
from gameday.units import Duration

METHODS = ("get", "post", "put", "patch", "delete")


class FromEnv(Model):
    """A secret that stands in an environment variable."""

    env: str


class FromFile(Model):
    """A secret that stands in a file."""

    file: str


Secret = FromEnv | FromFile


class Statuses(Model):
    """The HTTP statuses that count as done; default 2xx."""

    status: int | list[int] | None = None


class Request(Model):
    """One HTTP request, its method being the key: `{post: /path, json: {...}}`."""

    get: str | None = None
    post: str | None = None
    put: str | None = None
    patch: str | None = None
    delete: str | None = None
    headers: Mapping[str, str | Secret] = Field(default_factory=dict)
    query: Mapping[str, str | int] = Field(default_factory=dict)
    json_: Any = Field(default=None, alias="json")
    timeout: Duration = timedelta(seconds=10)
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

    status: int | list[int]
    json_: Mapping[str, Any] = Field(default_factory=dict, alias="json")


OutcomeName = Literal["issued", "duplicate", "sold_out", "refused", "accepted"]


class IssueRequest(Request):
    """The request the traffic is made of, and how its answers read; first match wins."""

    capture: Mapping[Literal["issue_id", "remaining"], str] = Field(default_factory=dict)
    outcomes: Mapping[OutcomeName, Match] = Field(min_length=1)


class Requests(Model):
    """The requests of scenarios; `issue` is the one that traffic sends."""

    issue: IssueRequest


class Semantics(Model):
    """What the system promises beyond the stock; see CONTRIBUTING.md, "The system file"."""

    duplicate: Literal["first", "either"] = "either"
    holds: Literal["strict", "compensated"] = "compensated"
    replay: Literal["none", "idempotent"] = "none"
    restock: Literal["never"] = "never"


class Start(Model):
    """How the embedded stack starts the service. Placeholders: CONTRIBUTING.md."""

    argv: list[str] = Field(min_length=1)
    env: Mapping[str, str] = Field(default_factory=dict)
    ready: str = "/"


class Drain(Model):
    """When nothing is under way any more: `expr` true for `for`, at most `within`."""

    expr: str
    for_: Duration = Field(default=timedelta(seconds=2), alias="for")
    within: Duration = timedelta(seconds=30)


class PostgresStore(Model):
    """Where the durable rows are read directly; `rows` yields (user, issue id) for coupon `$1`."""

    dsn: Secret
    rows: str


class RedisStore(Model):
    """Where the fast path's view is read directly."""

    url: Secret
    remaining: str
    holders: str


class Stores(Model):
    """The stores gameday may look into itself, past the proxies."""

    postgres: PostgresStore | None = None
    redis: RedisStore | None = None


class System(Model):
    """One system file."""

    name: Name
    base_url: str
    admin_url: str | None = None
    metrics: list[str] = Field(default_factory=list)
    start: Start | None = None
    requests: Requests
    semantics: Semantics = Semantics()
    campaign: Request | None = None
    close: Request | None = None
    drain: Drain | None = None
    settle: Duration = timedelta(seconds=5)
    audit: Request
    stores: Stores = Stores()
    authority: Literal["postgres", "redis"] | None = None
    proxies: Mapping[Name, str] = Field(default_factory=dict)
    dependencies: Mapping[Name, str] = Field(default_factory=dict)
    toxiproxy: str | None = None
    prometheus: str | None = None
    alertmanager: str | None = None
    rules: list[str] = Field(default_factory=list)
    actions: Mapping[Name, Request] = Field(default_factory=dict)
