"""OpenAPI documents (3.x, and Swagger 2): the request that issues, out of what they describe.

The document may be anybody's: it has a largest size, only references within it are followed, none
in a circle, and nothing is taken from it but paths, names, types, examples and statuses.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

from gameday.core import files
from gameday.core import json as strict_json
from gameday.core.errors import UsageError
from gameday.core.network.urls import Base
from gameday.plan.first_files.examples import Templates, is_coupon, is_user
from gameday.plan.first_files.schemas import MOST_KEYS, Schemas, listed, mapping, resolved
from gameday.plan.first_files.secret_names import hushed, is_secret, variable_of
from gameday.plan.first_files.sketch import BodySketch, OutcomeSketch, RequestSketch, safe
from gameday.plan.first_files.strangers_yaml import read_yaml
from gameday.plan.first_files.words import DUPLICATE, SOLD_OUT

LARGEST_BYTES: Final = 8 * files.MIB
LARGEST_YAML_BYTES: Final = 1 * files.MIB  # its reader is slow
MOST_SHOWN: Final = 12
_METHODS: Final = ("post", "put", "patch", "get", "delete")
_MOST_OPERATIONS: Final = 5_000
_LONGEST_PATH: Final = 2_000
_ISSUES: Final = re.compile(
    r"issue|issuance|claim|redeem|reserv|purchas|\bbuy|order|book|checkout|grab|apply|acquire"
    r"|participat|enter|draw"
)
_LIMITED: Final = re.compile(r"coupon|voucher|ticket|seat|stock|drop|sale|event|promo|campaign")
_OTHERS: Final = re.compile(
    r"login|logout|auth|token|signup|register|health|metric|admin|cancel|refund|delete|list|search"
    r"|status|webhook|reset|close|create ?campaign|audit"
)
_JSON: Final = re.compile(r"^application/(?:[\w.+-]+\+)?json\b")
_FORM: Final = "application/x-www-form-urlencoded"
_SURELY_WITHOUT_EFFECT: Final = (400, 401, 403, 404, 405, 415, 422, 429)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its method, its path as the document has it, and what is written of it."""

    method: str
    path: str
    about: str
    definition: Any
    parameters: Sequence[Any] = ()

    @property
    def line(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def score(self) -> int:
        """Points for looking like the request that issues."""
        text = f"{re.sub('[{].*?[}]', '', self.path)} {self.about}".lower()
        text = re.sub(r"[_/-]+", " ", text)
        points = {"post": 4, "put": 2, "patch": 1}.get(self.method, 0)
        points += 3 * bool(_ISSUES.search(text)) + 2 * bool(_LIMITED.search(text))
        return points - 4 * bool(_OTHERS.search(text))


@dataclass(frozen=True, slots=True)
class ApiDocument:
    """A document that was read. `servers` are the addresses that it names."""

    title: str
    servers: Sequence[str]
    operations: Sequence[Operation]
    root: Any = field(default_factory=dict)

    def pick(self, wanted: str | None) -> Operation:
        """The operation of that `METHOD PATH`, or the one that issues.

        Raises UnclearError where it cannot be told which, UsageError where there is none.
        """
        if wanted is not None:
            return self._named(wanted)
        ranked = sorted(self.operations, key=lambda each: -each.score)
        if not ranked:
            raise UsageError("--openapi: the document describes no operation")
        best = ranked[0].score
        if best < _CLEAR or (len(ranked) > 1 and ranked[1].score == best):
            raise UnclearError(ranked)
        return ranked[0]

    def _named(self, wanted: str) -> Operation:
        method, _, path = wanted.strip().partition(" ")
        for each in self.operations:
            if each.method == method.lower() and each.path == path.strip():
                return each
        lines = ", ".join(safe(each.line) for each in self.operations[:MOST_SHOWN])
        raise UsageError(f"--operation: there is no {wanted!r}", help=f"there are {lines}")


_CLEAR: Final = 6  # a POST that speaks of something limited at least


class UnclearError(UsageError):
    """Several operations may be the one; `ranked` has the likeliest first."""

    def __init__(self, ranked: Sequence[Operation]) -> None:
        lines = [safe(each.line) for each in ranked[:MOST_SHOWN]]
        super().__init__(
            f"--openapi: it is not clear which of {len(ranked)} operations issues:"
            f" {', '.join(lines)}",
            help=f"name it: --operation '{lines[0]}'",
        )
        self.ranked = ranked


def read_api(raw: bytes, where: str) -> ApiDocument:
    """The document, as JSON or YAML. Raises UsageError for what is none."""
    root = _parsed(raw, where)
    paths = mapping(root.get("paths"))
    if not paths:
        raise UsageError(
            f"{where}: it has no `paths`, so it is no OpenAPI document",
            help="name its JSON or YAML, not the page that shows it (often /openapi.json)",
        )
    title = str(mapping(root.get("info")).get("title") or "")
    return ApiDocument(title, tuple(_servers(root)), tuple(_operations(root, paths)), root)


def _parsed(raw: bytes, where: str) -> Any:
    """The root of the document. Raises UsageError."""
    if raw.lstrip()[:1] == b"{":
        try:
            found = strict_json.parse(raw)
        except strict_json.JsonError as error:
            raise UsageError(f"{where}: {error.message}") from error
    else:
        found = read_yaml(raw, where, LARGEST_YAML_BYTES)
    if not isinstance(found, dict):
        raise UsageError(f"{where}: it is no OpenAPI document", help="is it the right address?")
    return found


def _servers(root: Any) -> Iterator[str]:
    for each in listed(root.get("servers"))[:MOST_KEYS]:
        yield str(mapping(each).get("url") or "")
    if "host" in root or "basePath" in root:  # Swagger 2
        scheme = next(iter(listed(root.get("schemes"))), "http")
        host = str(root.get("host") or "")
        yield f"{scheme}://{host}{root.get('basePath') or ''}" if host else str(root["basePath"])


def base_of(api: ApiDocument, given: str | None, document: str | None) -> str:
    """The address below which its paths are. Raises UsageError where none is known.

    `given` wins; `document` is where the document was read, "" or None for a file. Such a document
    may name paths on its own host and port alone: no server leads a request to another one.
    """
    if given is not None:
        return given
    named = [each for each in api.servers if "{" not in each]
    if not document:
        found = next((each for each in named if each.startswith(("http://", "https://"))), None)
        if found is not None:
            return found
        raise UsageError(
            "--openapi: the document does not say where the system answers",
            help="add --url http://127.0.0.1:PORT",
        )
    joined = [_joined(document, each) for each in named if each]
    own = next((each for each in joined if place_of(each) == place_of(document)), None)
    if own is not None:
        return own
    if joined:
        raise UsageError(
            f"--openapi: {safe(document)} says that the system answers elsewhere,"
            f" at {safe(joined[0])}",
            help=f"say which it is, as --url {safe(urljoin(document, '/').rstrip('/'))}",
        )
    return urljoin(document, "/")


def _joined(document: str, server: str) -> str:
    try:
        return urljoin(document, server)
    except ValueError:  # [ in a host
        return server


def place_of(address: str) -> tuple[str, int] | None:
    """Host and port; the names of this machine are one. None for what is no address."""
    try:
        base = Base.parse(address, query=True)
    except UsageError:
        return None
    host = "127.0.0.1" if base.host in ("localhost", "::1") else base.host.lower()
    return host, base.port or {"https": 443}.get(base.scheme, 80)


def _operations(root: Any, paths: Any) -> Iterator[Operation]:
    count = 0
    for path, item in paths.items():
        if len(path) > _LONGEST_PATH:
            continue
        given = mapping(resolved(root, item))
        shared = [
            mapping(resolved(root, each)) for each in listed(given.get("parameters"))[:MOST_KEYS]
        ]
        for method in _METHODS:
            found = mapping(given.get(method))
            if method not in given or not path.startswith("/") or count == _MOST_OPERATIONS:
                continue
            count += 1
            texts = (found.get(key) for key in ("operationId", "summary"))
            about = re.sub(
                r"(?<=[a-z])(?=[A-Z])", " ", " ".join(t[:400] for t in texts if isinstance(t, str))
            )
            own = [
                mapping(resolved(root, each))
                for each in listed(found.get("parameters"))[:MOST_KEYS]
            ]
            yield Operation(method, path, about[:400], found, (*shared, *own)[:MOST_KEYS])


def request_of(
    api: ApiDocument, operation: Operation, templates: Templates, *, with_body: bool = True
) -> RequestSketch:
    """The request of an operation, its values as examples, types and names say them.

    Without its body where somebody has given one. Raises UsageError where there is no end of it.
    """
    guessed: list[str] = []
    found: dict[str, dict[str, str]] = {"query": {}, "header": {}, "path": {}}
    secret = {}
    schemas = Schemas(api.root)
    for each in operation.parameters:
        name, place = str(each.get("name") or ""), str(each.get("in"))
        if not name or place not in found or (place != "path" and not each.get("required")):
            continue
        example = _parameter(schemas, each)
        as_header = place == "header" and isinstance(example, str | int)
        value = templates.header(name, example) if as_header else templates.of(name, example)
        if place == "header" and is_secret(name, value, key=True):
            secret[name] = variable_of(name)
            continue
        found[place][name] = text = str(hushed(value, name))
        if "{" not in text:
            guessed.append(f"{name} = {safe(text)}")
    body: BodySketch | None = None
    unclear: list[str] = []
    if with_body and operation.method != "get":
        body, unclear = _body(schemas, operation, templates)
    return RequestSketch(
        method=operation.method,
        path=_path(operation.path, found["path"]),
        query=found["query"],
        headers=found["header"],
        secret_headers=secret,
        body=body,
        guessed=[*guessed, *unclear],
    )


def _path(path: str, values: Mapping[str, str]) -> str:
    """The path with its parameters; 1 for one that is not described."""
    for name, text in values.items():
        path = path.replace(f"{{{name}}}", text)
    return re.sub(r"[{](?!(?:user|coupon|key)[:}])([^{}]*)[}]", "1", path)


def _parameter(schemas: Schemas, parameter: Any) -> object:
    """An example of a parameter's value."""
    examples = list(mapping(parameter.get("examples")).values())[:MOST_KEYS]
    for each in (parameter.get("example"), *(mapping(e).get("value") for e in examples)):
        if isinstance(each, str | int):
            return each
    schema = parameter.get("schema", parameter)
    return schemas.example(str(parameter.get("name")), schema)


def _body(
    schemas: Schemas, operation: Operation, templates: Templates
) -> tuple[BodySketch | None, list[str]]:
    """The body, and the names of those values that are only guessed."""
    root = schemas.root
    form, media = _media(root, operation)
    if form == "":
        return None, []
    given = media.get("example")
    if given is None:
        first = next(iter(mapping(media.get("examples")).values()), None)
        given = mapping(resolved(root, first)).get("value")
    guessed: list[str] = []
    if given is None:
        given = hushed(schemas.example("", media.get("schema")))
        guessed = _unnamed(given)
    made = hushed(templates.of("", schemas.counted(given)))
    if form == "form":
        made = {
            name: v if isinstance(v, str | int) else str(v) for name, v in mapping(made).items()
        }
    return BodySketch(form=form, value=made), guessed


def _media(root: Any, operation: Operation) -> tuple[str, Any]:
    """The form of the body and its media object; "" where there is none."""
    for each in operation.parameters:
        if each.get("in") == "body":  # Swagger 2
            return "json", {"schema": each.get("schema")}
    content = mapping(
        mapping(resolved(root, operation.definition.get("requestBody"))).get("content")
    )
    for kind, media in content.items():
        if _JSON.match(kind):
            return "json", mapping(media)
    if _FORM in content:
        return "form", mapping(content[_FORM])
    return "", {}


def _unnamed(value: object) -> list[str]:
    """Keys whose value says nothing by itself and is no user and no campaign."""
    return [
        f"{safe(name)} = {safe(each)}"
        for name, each in mapping(value).items()
        if not isinstance(each, dict | list) and not is_user(name) and not is_coupon(name)
    ]


def outcomes_of(api: ApiDocument, operation: Operation, *, audited: bool) -> list[OutcomeSketch]:
    """The outcomes that the document describes; an answer that it leaves open has none."""
    found: dict[str, OutcomeSketch] = {}
    refused = []
    for status, response in mapping(operation.definition.get("responses")).items():
        if not re.fullmatch(r"[1-5][0-9][0-9]", status):
            continue
        about = str(mapping(resolved(api.root, response)).get("description") or "")[:1000]
        name = _outcome(int(status), about, audited=audited)
        why = f"the document says: {safe(about)}" if about else ""
        if name == "refused":
            refused.append(int(status))
        elif name and name not in found:
            found[name] = OutcomeSketch(name=name, match={"status": int(status)}, why=why)
    if refused:
        found["refused"] = OutcomeSketch(name="refused", match={"status": sorted(refused)})
    return list(found.values())


def _outcome(status: int, about: str, *, audited: bool) -> str:
    """The outcome that a status means by its description, "" where that is not clear."""
    if 200 <= status < 300:
        return "accepted" if status == 202 or not audited else "issued"
    if not 400 <= status < 500:
        return ""
    sold_out, duplicate = bool(SOLD_OUT.search(about)), bool(DUPLICATE.search(about))
    if sold_out and duplicate:
        return ""
    if sold_out or duplicate:
        return "sold_out" if sold_out else "duplicate"
    return "refused" if status in _SURELY_WITHOUT_EFFECT else ""
