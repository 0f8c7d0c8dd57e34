"""A system as it is known before its first run, and what still has to be told to a person."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

FIRST: Final = "first"
STOCK: Final = 100  # more than it asks for, so that nothing is sold out yet
USERS: Final = 1000  # people of the first experiment; the one who tries is none of them
_SHOWN: Final = 160


def safe(text: object) -> str:
    """Something that others wrote, for a comment or a line: on one line, bounded, safe."""
    cut = str(text)[: _SHOWN + 1]
    kept = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in cut)
    return kept if len(cut) <= _SHOWN else f"{kept[:_SHOWN]}…"


def name_of(text: str, default: str = "my-system") -> str:
    """A name as files have it, made of any text."""
    plain = re.sub(r"[^a-z0-9]+", "-", text[:200].lower()).strip("-")[:40].strip("-")
    return plain or default


@dataclass(frozen=True, slots=True, kw_only=True)
class BodySketch:
    """The body of a request: its form (`json`, `form`, `text`), and what is in it."""

    form: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSketch:
    """A request with its placeholders. `secret_headers` name the variable of each secret header.

    `guessed` are parts of it that nobody has named, in words.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    body: BodySketch | None = None
    guessed: Sequence[str] = ()

    @property
    def line(self) -> str:
        """The request in a few words."""
        return f"{self.method.upper()} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSketch:
    """A proposed outcome: how its answer is recognised, and why it is thought so."""

    name: str
    match: Any
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencySketch:
    """Something that the service calls: a name for experiments, its kind, its compose service."""

    name: str
    kind: str
    service: str
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSketch:
    """A store that gameday may look into: the variable with its address, and that address.

    The address has words in place of the login, which stands in `source`.
    """

    kind: str
    variable: str
    address: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSketch:
    """A compose file: the service that is asked, what it calls, and the stores that can be read."""

    file: str
    service: str
    base_url: str
    dependencies: Sequence[DependencySketch] = ()
    stores: Sequence[StoreSketch] = ()
    notes: Sequence[str] = ()

    @property
    def service_map(self) -> str:
        """The value of `--service-map`."""
        parts = [
            f"{each.name}={each.service}{f':{each.port}' if each.port else ''}"
            for each in self.dependencies
        ]
        return ",".join([*parts, f"service={self.service}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A system as far as it is known. `seen` is the answer to the one request, in a few words.

    `used`: the campaign that a run would get is used already, so its audit is no good for a run.
    `audit_secrets` are the secret headers, by variables, without which the audit says nothing.
    """

    name: str
    source: str
    base_url: str
    request: RequestSketch
    coupon: str | None = None
    outcomes: Sequence[OutcomeSketch] = ()
    capture: Mapping[str, str] = field(default_factory=dict)
    audit: str | None = None
    audit_keys: Mapping[str, str] = field(default_factory=dict)
    audit_secrets: Mapping[str, str] = field(default_factory=dict)
    used: bool = False
    stock: int | None = None
    campaign: Any | None = None
    project: ProjectSketch | None = None
    semantics: Mapping[str, str] = field(default_factory=dict)
    seen: str = ""
    notes: Sequence[str] = ()

    @property
    def is_audited(self) -> bool:
        """True if a run of the files reads the audit."""
        return self.audit is not None and not self.used

    @property
    def names_coupon(self) -> bool:
        """True if its requests name the campaign."""
        return any("{coupon}" in text for text in texts_of(self.request, self.audit, self.campaign))


def texts_of(*values: Any) -> list[str]:
    """Every text in a request, keys included."""
    found: list[str] = []
    waiting: list[Any] = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, RequestSketch):
            waiting += [value.path, value.query, value.headers, value.body]
        elif isinstance(value, BodySketch):
            waiting.append(value.value)
    return found
