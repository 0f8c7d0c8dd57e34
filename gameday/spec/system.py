"""The system file: everything gameday knows about a system under test.

Only `base_url`, `requests.issue` and `audit` are required. Addresses that a started stack
supplies replace the ones written here; secrets are always references (`{env: NAME}` or
`{file: PATH}`), never values.
"""

import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.units import Duration
from gameday.spec.yaml import Model, Name, shape

MOST_PARTS = 200
"""Addresses, proxies, actions: more than anybody has named by hand."""
ADDRESSES = ("base_url", "admin_url", "toxiproxy", "prometheus", "alertmanager", "metrics")
"""The keys of a system file that hold an address of the system."""
METHODS = ("get", "post", "put", "patch", "delete")


class FromEnv(Model):
    """A secret that stands in an environment variable."""

    env: str


class FromFile(Model):
    """A secret that stands in a file."""

    file: str


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

    status: StatusOrStatuses | None = Field(default=None, description="One status or a list")


class Request(Model):
    """One HTTP request, its method being the key: `{post: /path, json: {...}}`."""

    get: str | None = Field(default=None, description="The path of a GET")
    post: str | None = Field(default=None, description="The path of a POST")
    put: str | None = Field(default=None, description="The path of a PUT")
    patch: str | None = Field(default=None, description="The path of a PATCH")
    delete: str | None = Field(default=None, description="The path of a DELETE")
    headers: Mapping[str, HeaderValue] = Field(default_factory=dict, description="Header lines")
    query: Mapping[str, QueryValue] = Field(default_factory=dict, description="The query string")
    json_: Any = Field(default=None, alias="json", description="The body, with placeholders")
    timeout: Duration = Field(default=timedelta(seconds=10), description="From sending to answer")
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
    json_: Mapping[str, Any] = Field(
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


class Requests(Model):
    """The requests of scenarios; `issue` is the one that traffic sends."""

    issue: IssueRequest


class Semantics(Model):
    """Promises of the system beyond the stock; see CONTRIBUTING.md, "The system file"."""

    duplicate: Literal["first", "either"] = Field(
        default="either", description="first: a holder is always told so, even when sold out"
    )
    holds: Literal["strict", "compensated"] = Field(
        default="compensated", description="Whether a sold-out may come from a failed reservation"
    )
    replay: Literal["none", "idempotent"] = Field(
        default="none", description="idempotent: the same key gets the same answer"
    )
    restock: Literal["never"] = Field(default="never", description="Coupons never come back")


class Start(Model):
    """Command and environment of the service in the embedded stack; CONTRIBUTING.md has more."""

    argv: list[str] = Field(min_length=1, description="The command; a leading `python` is this one")
    env: Mapping[str, str] = Field(default_factory=dict, description="Its environment")
    ready: str = Field(default="/", description="A path that answers 200 once it is healthy")


class Drain(Model):
    """When nothing is under way any more: `expr` true for `for`, at most `within`."""

    expr: str = Field(description="PromQL; true = nothing is under way")
    for_: Duration = Field(
        default=timedelta(seconds=2), alias="for", description="How long without a break"
    )
    within: Duration = Field(default=timedelta(seconds=30), description="The longest wait")


class PostgresStore(Model):
    """Address of the durable rows; `rows` yields (user, issue id) for coupon `$1`."""

    dsn: Secret
    rows: str = Field(description="A SELECT of user and issue id; the coupon is $1")


class RedisStore(Model):
    """Address and keys of the fast path's view."""

    url: Secret
    remaining: str = Field(description="The key of the number left")
    holders: str = Field(description="The key of the set of users who hold one")


class Stores(Model):
    """The stores gameday may look into itself, past the proxies."""

    postgres: PostgresStore | None = None
    redis: RedisStore | None = None


class Tls(Model):
    """Whom to believe when `base_url` is an https address; default: the machine's authorities."""

    ca: str | None = Field(default=None, description="A PEM file of authorities; path from here")
    insecure: bool = Field(default=False, description="Believe anybody: for a test system only")

    @model_validator(mode="after")
    def _one_of_them(self) -> "Tls":
        if self.insecure and self.ca is not None:
            raise ValueError("write `ca` or `insecure`, not both")
        return self

    def context(self) -> ssl.SSLContext:
        """The TLS context of a client of the system. Raises UsageError for a file that is none."""
        if self.ca is not None:
            files.read(Path(self.ca), files.SETTING_BYTES, "tls.ca:")
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError as error:
            why = f"tls.ca: {self.ca!r} holds no certificate: {error.reason}"
            raise UsageError(why, help="name a PEM file") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def needed_for(self, *urls: str) -> ssl.SSLContext | bool:
        """A client's `verify` for these: nothing is loaded without TLS, for it takes a while.

        Raises UsageError as `context` does.
        """
        return self.context() if any(url.startswith("https:") for url in urls) else False


class System(Model):
    """One system file."""

    name: Name = Field(description="How reports call the system")
    base_url: str = Field(description="Where the traffic goes")
    admin_url: str | None = Field(default=None, description="Base of `actions`; default base_url")
    tls: Tls = Tls()
    metrics: list[str] = Field(
        default_factory=list, max_length=MOST_PARTS, description="One address a replica"
    )
    start: Start | None = None
    requests: Requests
    semantics: Semantics = Semantics()
    campaign: Request | None = Field(default=None, description="Creates a campaign")
    close: Request | None = Field(default=None, description="No issue can happen after its answer")
    drain: Drain | None = None
    settle: Duration = Field(
        default=timedelta(seconds=5), description="Without `drain`: the wait after close"
    )
    audit: Request = Field(description="Answers with the durable issues")
    stores: Stores = Stores()
    authority: Literal["postgres", "redis"] | None = Field(
        default=None, description="The store that is right when two differ"
    )
    proxies: Mapping[Name, str] = Field(
        default_factory=dict, max_length=MOST_PARTS, description="Service name to Toxiproxy proxy"
    )
    dependencies: Mapping[Name, str] = Field(
        default_factory=dict,
        max_length=MOST_PARTS,
        description="Service name to PromQL: its latency, felt by the system",
    )
    toxiproxy: str | None = Field(default=None, description="The address of Toxiproxy's API")
    prometheus: str | None = Field(default=None, description="Where samples and alerts are read")
    alertmanager: str | None = Field(default=None, description="The address of Alertmanager")
    rules: list[str] = Field(
        default_factory=list, max_length=MOST_PARTS, description="Alerting rules; paths from here"
    )
    actions: Mapping[Name, Request] = Field(
        default_factory=dict,
        max_length=MOST_PARTS,
        description="What playbook steps may do, by name",
    )
