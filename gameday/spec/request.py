"""An HTTP request as a system file writes it: method, headers, body, and how its answer reads.

Traffic workers load this and not the whole system file, for they start beside a running clock.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from gameday.core.json_objects import Json
from gameday.core.patterns import Pattern, compile_pattern
from gameday.core.units import Duration
from gameday.spec.yaml import Model, shape

MOST_OPEN = 10_000
"""Requests open at once, of all workers: a third of the ports that Linux hands out (28,232)."""
FORM = "application/x-www-form-urlencoded"
PLAIN_TEXT = "text/plain; charset=utf-8"
METHODS = ("get", "post", "put", "patch", "delete")


class FromEnv(Model):
    """A secret that stands in an environment variable."""

    env: str = Field(min_length=1, description="The name of the variable", examples=["ADMIN_TOKEN"])


class FromFile(Model):
    """A secret that stands in a file."""

    file: str = Field(
        min_length=1,
        description="The path of the file, from here",
        examples=["secrets/admin-token"],
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
Status = Annotated[
    Annotated[int, Field(ge=100, le=599), Tag("number")]
    | Annotated[Literal["1xx", "2xx", "3xx", "4xx", "5xx"], Tag("class")],
    Discriminator(lambda value: "number" if isinstance(value, int) else "class"),
]
"""A status, or a class of them: `2xx` is 200 to 299."""
StatusOrStatuses = Annotated[
    Annotated[Status, Tag("one")] | Annotated[list[Status], Field(min_length=1), Tag("list")],
    Discriminator(shape),
]


def statuses_of(given: Any) -> frozenset[int]:
    """Every status that a status, a class of them, or a list of either stands for."""
    if isinstance(given, list | tuple):
        return frozenset(status for each in given for status in statuses_of(each))
    if isinstance(given, str):
        first = int(given[0]) * 100
        return frozenset(range(first, first + 100))
    return frozenset((given,))


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
    post: str | None = Field(
        default=None, description="The path of a POST", examples=["/api/v1/coupons"]
    )
    put: str | None = Field(
        default=None, description="The path of a PUT", examples=["/api/v1/coupons/{coupon}"]
    )
    patch: str | None = Field(
        default=None, description="The path of a PATCH", examples=["/api/v1/coupons/{coupon}"]
    )
    delete: str | None = Field(
        default=None, description="The path of a DELETE", examples=["/api/v1/coupons/{coupon}"]
    )
    headers: Mapping[str, HeaderValue] = Field(
        default_factory=dict,
        description="Header lines",
        examples=[{"X-Admin-Token": {"env": "ADMIN_TOKEN"}}],
    )
    query: Mapping[str, QueryValue] = Field(
        default_factory=dict, description="The query string", examples=[{"code": "{coupon}"}]
    )
    json_: Any = Field(
        default=None,
        alias="json",
        description="The body, with placeholders",
        examples=[{"code": "{coupon}"}],
    )
    form: Mapping[str, QueryValue] | None = Field(
        default=None,
        description="The body as a form, with placeholders; instead of `json`",
        examples=[{"member": "{user:s}"}],
    )
    text: str | None = Field(
        default=None,
        description="The body as plain text, with placeholders; instead of `json`",
        examples=["member={user:s}"],
    )
    timeout: Duration = Field(
        default=timedelta(seconds=10), description="From sending to answer", examples=["5s"]
    )
    expect: Statuses = Statuses()

    @model_validator(mode="after")
    def _one_method(self) -> "Request":
        given = [name for name in METHODS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"write exactly one of {', '.join(METHODS)} with the path")
        if sum(each is not None for each in (self.json_, self.form, self.text)) > 1:
            raise ValueError("a request has one body: write `json`, `form` or `text`")
        return self

    @property
    def method(self) -> str:
        return next(name.upper() for name in METHODS if getattr(self, name) is not None)

    @property
    def path(self) -> str:
        return str(getattr(self, self.method.lower()))

    def expects(self, status: int) -> bool:
        wanted = self.expect.status
        return status in statuses_of("2xx" if wanted is None else wanted)


@cache
def _pattern(text: str) -> Pattern:
    """The pattern, once for all answers. Raises ValueError with what it cannot take."""
    return compile_pattern(text)


def _understood(text: str) -> str:
    _pattern(text)
    return text


class TextMatch(Model):
    """A text: one of three ways to look at it. White space around it does not count."""

    equals: str | None = Field(
        default=None, description="It is this text", examples=["no-coupons-left"]
    )
    contains: str | None = Field(
        default=None, description="This is somewhere in it", examples=["already"]
    )
    matches: Annotated[str, AfterValidator(_understood)] | None = Field(
        default=None,
        description="A regular expression of RE2 finds it in it",
        examples=["^(gone|empty)$"],
    )

    @model_validator(mode="after")
    def _one_way(self) -> "TextMatch":
        if sum(each is not None for each in (self.equals, self.contains, self.matches)) != 1:
            raise ValueError("write one of equals, contains, matches")
        return self

    def fits(self, text: str) -> bool:
        """True if the text is as it should be."""
        text = text.strip()
        if self.equals is not None:
            return text == self.equals.strip()
        if self.contains is not None:
            return self.contains in text
        return _pattern(self.matches or "").is_in(text)


HeaderMatch = Annotated[
    Annotated[str, Tag("text")] | Annotated[TextMatch, Tag("match")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "match"),
]
ROOT = "$"
"""The path of a JSON answer as a whole."""


def path_of(text: str) -> tuple[str, ...]:
    """The steps of a dotted path. Raises ValueError for one that leads nowhere."""
    if text == ROOT:
        return ()
    steps = tuple(text.split("."))
    if not all(steps):
        raise ValueError(f"{text!r} is no path, so it can never match")
    return steps


class CaptureFrom(Model):
    """A value of an answer that is not at a path of its JSON."""

    header: str | None = Field(
        default=None, description="The value of a header line", examples=["Location"]
    )
    matches: str | None = Field(
        default=None,
        description="A regular expression of RE2: its first group, found in the text",
        examples=['name="csrf" value="([^"]+)"'],
    )

    @model_validator(mode="after")
    def _one_place(self) -> "CaptureFrom":
        if (self.header is None) == (self.matches is None):
            raise ValueError("write header or matches")
        if self.matches is not None and not group_pattern(self.matches).has_group:
            raise ValueError(f"{self.matches!r} has no group: put what is meant in ( )")
        return self


@cache
def group_pattern(text: str) -> Pattern:
    """The pattern with its groups, once for all answers. Raises ValueError."""
    return compile_pattern(text, captures=True)


Capture = Annotated[
    Annotated[str, Tag("path")] | Annotated[CaptureFrom, Tag("place")],
    Discriminator(
        lambda value: "path" if isinstance(value, str) else "place",
        custom_error_type="capture",
        custom_error_message="write a dotted path, {header: NAME} or {matches: PATTERN}",
    ),
]
CaptureName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
MOST_STEPS = 20
MOST_WEIGHT = 100  # requests of one kind for each issue
MOST_CAPTURED = 20  # of one answer


class Match(Model):
    """An answer: its status, and what is in its JSON, its text, its headers. All of it must be."""

    status: StatusOrStatuses = Field(
        description="One status, a class as 2xx, or a list", examples=[201]
    )
    json_: Json = Field(
        default_factory=dict,
        alias="json",
        description="Values at dotted paths of the JSON answer; `$` is the whole of it",
    )
    text: TextMatch | None = Field(default=None, description="The answer as text")
    headers: Mapping[str, HeaderMatch] = Field(
        default_factory=dict, description="Header lines of the answer: text, or how to look at it"
    )

    @property
    def statuses(self) -> frozenset[int]:
        return statuses_of(self.status)


OutcomeName = Literal["issued", "duplicate", "sold_out", "refused", "accepted"]


Decided = Literal["issued", "duplicate", "sold_out", "refused"]
ISSUE_CAPTURES = ("issue_id", "remaining")
"""Values of an issue's answer that mean something to the checks."""


class BeforeStep(Request):
    """A request before the issue: a login, a token, a reservation. Its time is not the issue's."""

    capture: Mapping[CaptureName, Capture] = Field(
        default_factory=dict,
        max_length=MOST_CAPTURED,
        description="Values of the answer, placeholders of the requests that follow",
        examples=[{"token": "data.accessToken", "order": {"header": "Location"}}],
    )
    per: Literal["attempt", "user"] = Field(
        default="attempt",
        description="user: once for each user, as a login; attempt: before each issue",
        examples=["user"],
    )
    weight: float | None = Field(
        default=None,
        gt=0,
        le=MOST_WEIGHT,
        allow_inf_nan=False,
        description="So many for each issue, as pages that people look at: 0.5 is before every"
        " other one. Its failure ends nothing; default: one, and the issue needs it",
        examples=[4],
    )

    @model_validator(mode="after")
    def _mixed_in(self) -> "BeforeStep":
        if self.weight is not None and (self.capture or self.per == "user"):
            raise ValueError("a request with a `weight` captures nothing, and is `per: attempt`")
        return self

    def longest_s(self, weight: float | None) -> float:
        """The longest that it takes before one issue: it may be asked several times there."""
        times = 1 if weight is None else ceil(weight)
        return times * self.timeout.total_seconds()


def longest_before_s(
    steps: Mapping[str, BeforeStep], mixes: Iterable[Mapping[str, float]]
) -> float:
    """The longest that all steps before one issue take, in the scenario that asks the most."""
    every = [*mixes] or [dict[str, float]()]
    return max(
        sum(step.longest_s(mix.get(name, step.weight)) for name, step in steps.items())
        for mix in every
    )


class Poll(Request):
    """The request that asks what became of an issue that was `accepted`, until it is decided."""

    every: Duration = Field(
        default=timedelta(milliseconds=500),
        description="From an answer to the next question",
        examples=["1s"],
    )
    within: Duration = Field(
        default=timedelta(seconds=10),
        description="Counted from the issue's answer; after it the audit settles what is open",
        examples=["30s"],
    )
    until: Mapping[Decided, Match] = Field(
        min_length=1, description="Answers that decide, first match wins; all others: not yet"
    )
    capture: Mapping[Literal["issue_id", "remaining"], str] = Field(
        default_factory=dict,
        description="Dotted paths into the answer that decides",
        examples=[{"issue_id": "data.id"}],
    )


class IssueRequest(Request):
    """The request the traffic is made of, and how its answers read; first match wins."""

    capture: Mapping[CaptureName, Capture] = Field(
        default_factory=dict,
        max_length=MOST_CAPTURED,
        description="Dotted paths into the JSON answer: issue_id, remaining, and what `poll` needs",
    )
    outcomes: Mapping[OutcomeName, Match] = Field(
        min_length=1, description="First match wins; what matches nothing may have happened"
    )
    poll: Poll | None = Field(
        default=None,
        description="How an `accepted` issue is asked for its decision",
        examples=[
            {"get": "/tickets/{ticket}", "until": {"issued": {"status": 200, "json": {"state": 1}}}}
        ],
    )

    @property
    def tells(self) -> frozenset[str]:
        """The outcomes that an answer can tell: its own, or one to the question after it."""
        return frozenset(self.outcomes) | (self.poll.until.keys() if self.poll else frozenset())

    @model_validator(mode="after")
    def _paths(self) -> "IssueRequest":
        for name in ISSUE_CAPTURES:
            if not isinstance(self.capture.get(name, ""), str):
                problem = f"{name} is a dotted path into the JSON answer"
                raise ValueError(problem)  # noqa: TRY004 - pydantic takes no other
        return self
