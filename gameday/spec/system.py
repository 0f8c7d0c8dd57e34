"""The system file: everything gameday knows about a system under test.

Only `base_url` and `requests.issue` are required. A system that issues nothing has no `audit`, and
nothing about issuance is checked then. Addresses that a started stack supplies replace the ones
written here; secrets are always references (`{env: NAME}` or `{file: PATH}`), never values.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from gameday.core.units import Duration
from gameday.spec.audit import Audit
from gameday.spec.campaign import MOST_ACTS, Act, Campaign, CreatedCampaign
from gameday.spec.commands import FaultCommand
from gameday.spec.experiment import IssuanceCheck
from gameday.spec.proxies import NamedProxy, Protocol, Proxies, name_of
from gameday.spec.request import (
    MOST_STEPS,
    BeforeStep,
    IssueRequest,
    Request,
    Secret,
    longest_before_s,
)
from gameday.spec.server import Server, ServerOrAddress, server
from gameday.spec.start import Start
from gameday.spec.template import placeholders_in
from gameday.spec.tls import Tls
from gameday.spec.users import UsersFile
from gameday.spec.yaml import Model, Name

MOST_PARTS = 200
MOST_UNITS = 1_000_000
MOST_REPLICAS = 16  # each has 384 MB and a port of its own on this machine
"""Addresses, proxies, actions: more than anybody has named by hand."""
ADDRESSES = ("base_url", "admin_url", "toxiproxy", "prometheus", "alertmanager", "metrics")
"""The keys of a system file that hold an address of the system."""


ToldCheck = IssuanceCheck | Literal["generator"]
"""A check that an alert may tell of: the safety of what is issued, or the test itself."""


class Requests(Model):
    """The requests of scenarios; `issue` is the one that traffic sends."""

    issue: IssueRequest = Field(
        description="The request that the traffic is made of",
        examples=[{"post": "/issue", "outcomes": {"accepted": {"status": 200}}}],
    )
    before: Mapping[Name, BeforeStep] = Field(
        default_factory=dict,
        max_length=MOST_STEPS,
        description="Requests that come before the issue, in this order",
        examples=[{"login": {"post": "/login", "capture": {"token": "token"}, "per": "user"}}],
    )
    cookies: bool = Field(
        default=False, description="Keep a cookie jar for each user", examples=[True]
    )

    @property
    def naming(self) -> Request:
        """The request whose template makes the ids of users: the issue, or a step before it."""
        every = (self.issue, *self.before.values())
        return next((each for each in every if "user" in placeholders_in(each)), self.issue)

    def longest_asked_s(self, mixes: Iterable[Mapping[str, float]]) -> float:
        """The longest that steps and issue take together; `mixes` are those of the scenarios."""
        before_s = longest_before_s(self.before, mixes)
        return before_s + self.issue.timeout.total_seconds()

    @property
    def longest_poll_s(self) -> float:
        """The longest that an accepted issue is asked after."""
        poll = self.issue.poll
        return 0.0 if poll is None else (poll.within + poll.timeout).total_seconds()


def _word_or_number(value: object) -> str | None:
    """The kind of a number of issues for each user; None for what is none."""
    if type(value) is int:
        return "number"
    return "word" if value in ("one", "many") else None


PerUser = Annotated[
    Annotated[Literal["one", "many"], Tag("word")]
    | Annotated[int, Field(ge=1, le=MOST_UNITS), Tag("number")],
    Discriminator(
        _word_or_number,
        custom_error_type="per_user",
        custom_error_message="write one, many, or a whole number",
    ),
    AfterValidator(lambda most: "one" if most == 1 else most),
]


class Semantics(Model):
    """Promises of the system beyond the stock; docs/files.md says what they mean."""

    duplicate: Literal["first", "either"] = Field(
        default="either", description="first: a holder is always told so, even when sold out"
    )
    holds: Literal["strict", "compensated"] = Field(
        default="compensated",
        description="What a request may hold of the stock without getting it. strict: nothing;"
        " compensated: one, until it fails, so others may be told sold out meanwhile",
        examples=["strict"],
    )
    replay: Literal["none", "idempotent"] = Field(
        default="none", description="idempotent: the same key gets the same answer"
    )
    restock: Literal["never"] = Field(default="never", description="Coupons never come back")
    per_user: PerUser = Field(
        default="one",
        description="How many a user may hold: one, many (any number), or a number",
        examples=["many"],
    )
    units: int = Field(
        default=1,
        ge=1,
        le=MOST_UNITS,
        description="How much of the stock one issue takes",
        examples=[2],
    )

    @property
    def is_of_before(self) -> bool:
        """True in a run of a version that did not know how many a user may hold."""
        return "per_user" not in self.model_fields_set

    @property
    def has_nothing_new(self) -> bool:
        """True if nothing is asked that those versions did not know."""
        return self.per_user == "one" and self.units == 1

    @property
    def most_each(self) -> int | None:
        """The number that one user may hold; None for any number."""
        match self.per_user:
            case "one":
                return 1
            case "many":
                return None
            case int(number):
                return number

    def issues_of(self, stock: int) -> int:
        """The number of issues that a stock allows; the rest of it is less than one takes."""
        return stock // self.units


class Drain(Model):
    """When nothing is under way any more: `expr` true for `for`, at most `within`."""

    expr: str = Field(description="PromQL; true = nothing is under way")
    for_: Duration = Field(
        default=timedelta(seconds=2), alias="for", description="How long without a break"
    )
    within: Duration = Field(default=timedelta(seconds=30), description="The longest wait")


class PostgresStore(Model):
    """Address of the durable rows; `rows` yields (user, issue id) for coupon `$1`.

    A system without an audit names the address alone, for faults of the store itself.
    """

    dsn: Secret = Field(
        description="The connection string, with the right to read",
        examples=[{"env": "AUDIT_POSTGRES"}],
    )
    rows: str | None = Field(
        default=None, description="A SELECT of user and issue id; the coupon is $1; for the audit"
    )
    stock: str | None = Field(
        default=None,
        description="A SELECT of how many there are in all; it must be the campaign's stock",
        examples=["SELECT size FROM sales WHERE code = $1"],
    )
    remaining: str | None = Field(
        default=None,
        description="A SELECT of how many are left; it must agree with the rows",
        examples=["SELECT size - sold FROM sales WHERE code = $1"],
    )


class MysqlStore(Model):
    """Address and queries of a MySQL or MariaDB; `{coupon}` becomes a literal, quotes included."""

    url: Secret = Field(
        description="mysql://USER:PASSWORD@HOST:PORT/DATABASE, with the right to read",
        examples=[{"env": "AUDIT_MYSQL"}],
    )
    rows: str | None = Field(
        default=None,
        description="A SELECT of user and issue id; NULL where there is none",
        examples=["SELECT member, code FROM claims WHERE sale = {coupon}"],
    )
    stock: str | None = Field(
        default=None,
        description="A SELECT of how many there are in all; it must be the campaign's stock",
        examples=["SELECT size FROM sales WHERE code = {coupon}"],
    )
    remaining: str | None = Field(
        default=None,
        description="A SELECT of how many are left; it must agree with the rows",
        examples=["SELECT size - sold FROM sales WHERE code = {coupon}"],
    )


class RedisHolders(Model):
    """Where Redis keeps the holders: one of `set`, `zset`, `hash` or `keys`."""

    set: str | None = Field(
        default=None, description="The key of a set of users", examples=["sale:{coupon}:members"]
    )
    zset: str | None = Field(
        default=None, description="The key of a sorted set of users", examples=["queue:{coupon}"]
    )
    hash: str | None = Field(
        default=None, description="The key of a hash, a field a user", examples=["sale:{coupon}"]
    )
    keys: str | None = Field(
        default=None,
        description="One key a user, found by SCAN; `{user}` is where the user stands in it",
        examples=["claim:{coupon}:{user}"],
    )
    user: Literal["field", "value"] = Field(
        default="field", description="What of a hash is the user"
    )
    id: Literal["field", "value"] | None = Field(
        default=None, description="What of a hash, or of a key a user, is the issue's id"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "RedisHolders":
        named = [k for k in ("set", "zset", "hash", "keys") if getattr(self, k) is not None]
        if len(named) != 1:
            raise ValueError("write exactly one of set, zset, hash, keys")
        if self.user == "value" and self.hash is None:
            raise ValueError("only a hash has users as values")
        if self.id is not None and (self.hash is None and self.keys is None):
            raise ValueError(f"a {named[0]} has no ids")
        if self.id is not None and self.keys is not None and self.id == "field":
            raise ValueError("a key a user has its id as value")
        if self.id is not None and self.hash is not None and self.id == self.user:
            raise ValueError(f"the user is the {self.user} already")
        if self.keys is not None and self.keys.count("{user}") != 1:
            raise ValueError("`keys` holds {user} once, where the user stands in a key")
        return self

    @property
    def key(self) -> str:
        """The key, or the pattern of the keys, with its placeholders."""
        return self.set or self.zset or self.hash or self.keys or ""


Holders = Annotated[
    Annotated[str, Tag("key")] | Annotated[RedisHolders, Tag("where")],
    Discriminator(lambda value: "key" if isinstance(value, str) else "where"),
]


class RedisStore(Model):
    """Address and keys of the fast path's view; the address alone where nothing is audited.

    The view is taken for current where the system has no `actions`: nothing switches it off then.
    """

    url: Secret = Field(
        description="Its address, past the proxy", examples=[{"env": "AUDIT_REDIS"}]
    )
    remaining: str | None = Field(default=None, description="The key of the number left")
    holders: Holders | None = Field(
        default=None,
        description="The key of the set of users who hold one; or of another form, which says it",
        examples=[{"hash": "claims:{coupon}"}],
    )
    stock: str | None = Field(
        default=None,
        description="The key of how many there are in all; it must be the campaign's stock",
        examples=["sale:{coupon}:size"],
    )

    @property
    def where(self) -> RedisHolders | None:
        """Where the holders are; a key alone is that of a set."""
        return RedisHolders(set=self.holders) if isinstance(self.holders, str) else self.holders


class Stores(Model):
    """The stores gameday may look into itself, past the proxies."""

    postgres: PostgresStore | None = None
    mysql: MysqlStore | None = None
    redis: RedisStore | None = None


class Autoscaler(Model):
    """Replicas by the value of a metric, as Kubernetes' HorizontalPodAutoscaler has them.

    There are to be so many that each has `target` of it. More are added at once; fewer are left
    only when no more were wanted for as long as `stabilization`.
    """

    expr: str = Field(description="PromQL of the load of all replicas together")
    target: float = Field(
        gt=0, allow_inf_nan=False, description="The load that one replica is to have"
    )
    least: int = Field(
        default=1, ge=1, le=MOST_REPLICAS, description="Replicas without any load", examples=[1]
    )
    most: int = Field(ge=1, le=MOST_REPLICAS, description="Replicas at any load")
    stabilization: Duration = Field(
        default=timedelta(seconds=15),
        description="How long fewer must do before there are fewer",
        examples=["30s"],
    )


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
    users: UsersFile | None = Field(
        default=None,
        description="The users as a file has them: a row a user, its columns placeholders",
        examples=[{"file": "users.csv", "public": ["id"]}],
    )
    semantics: Semantics = Semantics()
    campaign: Campaign | None = Field(
        default=None,
        description="Creates a campaign: a request, or `create` and what is taken of its answer",
        examples=[{"create": {"post": "/sales"}, "capture": {"coupon": "id"}}],
    )
    before_run: list[Act] = Field(
        default_factory=list,
        max_length=MOST_ACTS,
        description="Done before each run, so that it finds the system as new; plan prints them",
        examples=[[{"post": "/reset"}, {"command": ["./reset.sh"]}]],
    )
    close: Request | None = Field(default=None, description="No issue can happen after its answer")
    drain: Drain | None = None
    settle: Duration = Field(
        default=timedelta(seconds=5),
        description="Without `drain`: the wait after close",
        examples=["5s"],
    )
    audit: Audit | None = Field(
        default=None,
        description="Answers with the durable issues; without it nothing about issuance is checked",
        examples=[{"store": "postgres"}],
    )
    stores: Stores = Stores()
    authority: Literal["postgres", "redis"] | None = Field(
        default=None, description="The store that is right when two differ"
    )
    proxies: Proxies = Field(
        default_factory=dict,
        max_length=MOST_PARTS,
        description="Service name to Toxiproxy proxy; or to both it and the protocol behind it",
        examples=[{"redis": "redis", "db": {"proxy": "db", "protocol": "mysql"}}],
    )
    dependencies: Mapping[Name, str] = Field(
        default_factory=dict,
        max_length=MOST_PARTS,
        description="Service name to PromQL: its latency, felt by the system",
    )
    toxiproxy: str | None = Field(default=None, description="The address of Toxiproxy's API")
    prometheus: ServerOrAddress | None = Field(
        default=None, description="Where samples and alerts are read: instead of `metrics`, `rules`"
    )
    alertmanager: ServerOrAddress | None = Field(
        default=None, description="Where alerts are routed and silenced"
    )
    rules: list[str] = Field(
        default_factory=list, max_length=MOST_PARTS, description="Alerting rules; paths from here"
    )
    logs: list[str] = Field(
        default_factory=list,
        max_length=MOST_REPLICAS,
        description="The service's JSON logs, one file a replica, where gameday does not start it;"
        " paths from here",
        examples=[["service.log"]],
    )
    alert_tells: Mapping[str, ToldCheck] = Field(
        default_factory=dict,
        description="Alert to the check whose failure it tells of: it may fire then, unexpected",
    )
    catalogue: list[str] = Field(
        default_factory=list,
        max_length=MOST_PARTS,
        description="Kept answers of its metrics endpoint: the metrics there are; paths from here",
    )
    actions: Mapping[Name, Request] = Field(
        default_factory=dict,
        max_length=MOST_PARTS,
        description="What playbook steps may do, by name",
    )
    commands: Mapping[Name, FaultCommand] = Field(
        default_factory=dict,
        max_length=MOST_PARTS,
        description="What the fault `command.run` may run, by name; docs/own-faults.md",
        examples=[
            {
                "kill-cache": {
                    "run": ["docker", "kill", "shop-cache"],
                    "undo": ["docker", "start", "shop-cache"],
                }
            }
        ],
    )
    scale: Mapping[Name, Annotated[int, Field(ge=1, le=MOST_REPLICAS)]] = Field(
        default_factory=dict,
        max_length=MOST_PARTS,
        description="Actions that set the number of replicas of the service, where the stack can",
    )
    autoscaler: Autoscaler | None = Field(
        default=None, description="How replicas follow the load, where an experiment asks for it"
    )

    @property
    def creates(self) -> Request | None:
        """The request that creates a campaign."""
        made = self.campaign
        return made.create if isinstance(made, CreatedCampaign) else made

    @property
    def captures(self) -> str | None:
        """Path of the campaign's code in the answer to that; None where gameday chooses it."""
        made = self.campaign
        return made.capture.get("coupon") if isinstance(made, CreatedCampaign) else None

    @property
    def proxy_names(self) -> dict[str, str]:
        """The name of each proxy on its server, by the service behind it."""
        return {service: name_of(each) for service, each in self.proxies.items()}

    def proxy_of(self, service: str) -> str:
        """The name of the proxy in front of a service; its own name where the file has none."""
        return self.proxy_names.get(service, service)

    def protocol_of(self, service: str) -> Protocol | None:
        """The protocol that the file says is behind a service's proxy."""
        named = self.proxies.get(service)
        return named.protocol if isinstance(named, NamedProxy) else None

    @property
    def ready_path(self) -> str:
        """The path that tells whether it is ready; without `start` any answer there will do."""
        return "/" if self.start is None else self.start.ready

    @property
    def issues(self) -> bool:
        """True if it can be asked what it has issued; else no check of issuance applies to it."""
        return self.audit is not None

    def servers(self, key: str) -> list[Server]:
        """The servers that one of the keys in ADDRESSES names."""
        named = getattr(self, key)
        every = named if isinstance(named, list) else [named]
        return [each for each in map(server, every) if each is not None]
