"""OpenAPI documents (3.x, and Swagger 2): the request that issues, out of what they describe.

The document may be anybody's: it has a largest size, only references within it are followed, none
in a circle, and nothing is taken from it but paths, names, types, examples and statuses.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

import yaml

from gameday.core import files
from gameday.core import json as strict_json
from gameday.core.errors import UsageError
from gameday.plan.first_files.examples import Templates, is_coupon, is_user
from gameday.plan.first_files.sketch import BodySketch, OutcomeSketch, RequestSketch, safe
from gameday.plan.first_files.words import DUPLICATE, SOLD_OUT

LARGEST_BYTES: Final = 8 * files.MIB
LARGEST_YAML_BYTES: Final = 1 * files.MIB  # its reader is slow
MOST_SHOWN: Final = 12
_METHODS: Final = ("post", "put", "patch", "get", "delete")
_MOST_OPERATIONS: Final = 5_000
_DEEPEST: Final = 8
_MOST_KEYS: Final = 40
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
    paths = _mapping(root.get("paths"))
    if not paths:
        raise UsageError(
            f"{where}: it has no `paths`, so it is no OpenAPI document",
            help="name its JSON or YAML, not the page that shows it (often /openapi.json)",
        )
    title = str(_mapping(root.get("info")).get("title") or "")
    return ApiDocument(title, tuple(_servers(root)), tuple(_operations(root, paths)), root)


def _parsed(raw: bytes, where: str) -> Any:
    """The root of the document."""
    try:
        if raw.lstrip()[:1] == b"{":
            found = strict_json.parse(raw)
        elif len(raw) > LARGEST_YAML_BYTES:
            raise UsageError(
                f"{where}: more than 1 MB of YAML", help="hand it over as JSON, or cut it down"
            )
        else:
            found = yaml.load(raw, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except UsageError:
        raise
    except strict_json.JsonError as error:
        raise UsageError(f"{where}: {error.message}") from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, OverflowError) as error:
        raise UsageError(f"{where}: neither JSON nor YAML: {safe(error)}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{where}: it is no OpenAPI document", help="is it the right address?")
    return _mapping(found)


def _mapping(value: object) -> Any:
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else {}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _servers(root: Any) -> Iterator[str]:
    for each in _listed(root.get("servers"))[:_MOST_KEYS]:
        yield str(_mapping(each).get("url") or "")
    if "host" in root or "basePath" in root:  # Swagger 2
        scheme = next(iter(_listed(root.get("schemes"))), "http")
        host = str(root.get("host") or "")
        yield f"{scheme}://{host}{root.get('basePath') or ''}" if host else str(root["basePath"])


def base_of(api: ApiDocument, given: str | None, document: str | None) -> str:
    """The address below which its paths are. Raises UsageError where none is known.

    `given` wins; `document` is where the document was read, "" or None for a file.
    """
    if given is not None:
        return given
    for each in api.servers:
        if each.startswith(("http://", "https://")) and "{" not in each:
            return each
        if document and each.startswith("/"):
            return urljoin(document, each)
    if document:
        return urljoin(document, "/")
    raise UsageError(
        "--openapi: the document does not say where the system answers",
        help="add --url http://127.0.0.1:PORT",
    )


def _operations(root: Any, paths: Any) -> Iterator[Operation]:
    count = 0
    for path, item in paths.items():
        given = _mapping(_resolved(root, item))
        shared = [_mapping(_resolved(root, each)) for each in _listed(given.get("parameters"))]
        for method in _METHODS:
            found = _mapping(given.get(method))
            if method not in given or not path.startswith("/") or count == _MOST_OPERATIONS:
                continue
            count += 1
            texts = (found.get(key) for key in ("operationId", "summary"))
            about = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", " ".join(str(t or "") for t in texts))
            own = [_mapping(_resolved(root, each)) for each in _listed(found.get("parameters"))]
            yield Operation(method, path, about[:400], found, (*shared, *own)[:_MOST_KEYS])


def _resolved(root: Any, value: object) -> object:
    """The value that a reference in the document stands for; None if it leads nowhere."""
    for _ in range(_DEEPEST):
        reference = _mapping(value).get("$ref")
        if not isinstance(reference, str):
            return value
        if not reference.startswith("#/"):
            return None
        value = root
        for step in reference[2:].split("/"):
            value = _mapping(value).get(step.replace("~1", "/").replace("~0", "~"))
    return None


def request_of(api: ApiDocument, operation: Operation, templates: Templates) -> RequestSketch:
    """The request of an operation, its values as examples, types and names say them."""
    guessed: list[str] = []
    query, headers = {}, {}
    path = operation.path
    for each in operation.parameters:
        name, place = str(each.get("name") or ""), each.get("in")
        if not name or (place != "path" and not each.get("required")):
            continue
        value = templates.of(name, _parameter(api.root, each))
        text = str(value)
        if place == "path":
            path = path.replace(f"{{{name}}}", text)
        elif place == "query":
            query[name] = text
        elif place == "header":
            headers[name] = text
        if "{" not in text and place in ("path", "query", "header"):
            guessed.append(f"{name} = {safe(text)}")
    path = re.sub(r"[{](?!(?:user|coupon|key)[:}])([^{}]*)[}]", "1", path)
    body, unclear = _body(api.root, operation, templates)
    if operation.method == "get":
        body = None
    return RequestSketch(
        method=operation.method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        guessed=[*guessed, *unclear],
    )


def _parameter(root: Any, parameter: Any) -> object:
    """An example of a parameter's value."""
    examples = list(_mapping(parameter.get("examples")).values())
    for each in (parameter.get("example"), *(_mapping(e).get("value") for e in examples)):
        if isinstance(each, str | int):
            return each
    schema = parameter.get("schema", parameter)
    return _example(root, str(parameter.get("name")), schema, 0)


def _body(
    root: Any, operation: Operation, templates: Templates
) -> tuple[BodySketch | None, list[str]]:
    """The body, and the names of those values that are only guessed."""
    form, media = _media(root, operation)
    if form == "":
        return None, []
    given = media.get("example")
    if given is None:
        first = next(iter(_mapping(media.get("examples")).values()), None)
        given = _mapping(_resolved(root, first)).get("value")
    schema = _resolved(root, media.get("schema"))
    guessed: list[str] = []
    if given is None:
        given = _example(root, "", schema, 0)
        guessed = _unnamed(given)
    made = templates.of("", given)
    if form == "form":
        made = {
            name: v if isinstance(v, str | int) else str(v) for name, v in _mapping(made).items()
        }
    return BodySketch(form=form, value=made), guessed


def _media(root: Any, operation: Operation) -> tuple[str, Any]:
    """The form of the body and its media object; "" where there is none."""
    for each in operation.parameters:
        if each.get("in") == "body":  # Swagger 2
            return "json", {"schema": each.get("schema")}
    content = _mapping(
        _mapping(_resolved(root, operation.definition.get("requestBody"))).get("content")
    )
    for kind, media in content.items():
        if _JSON.match(kind):
            return "json", _mapping(media)
    if _FORM in content:
        return "form", _mapping(content[_FORM])
    return "", {}


def _unnamed(value: object) -> list[str]:
    """Keys whose value says nothing by itself and is no user and no campaign."""
    return [
        f"{safe(name)} = {safe(each)}"
        for name, each in _mapping(value).items()
        if not isinstance(each, dict | list) and not is_user(name) and not is_coupon(name)
    ]


def _example(root: Any, name: str, schema: object, depth: int) -> Any:
    """A value that fits a schema: its own example, else one of its type."""
    given = _mapping(_resolved(root, schema))
    if depth > _DEEPEST:
        return None
    if any(_listed(given.get(key)) for key in _COMBINED):
        return _combined(root, name, given, depth)
    named = [given.get(key) for key in ("example", "default", "const")]
    named += [each for key in ("examples", "enum") for each in _listed(given.get(key))[:1]]
    for each in named:
        if each is not None:
            return each
    if given.get("type") == "object" or "properties" in given:
        return _object(root, given, depth)
    return _plain_value(name, given)


_COMBINED: Final = ("allOf", "oneOf", "anyOf")


def _combined(root: Any, name: str, schema: Any, depth: int) -> Any:
    """A value of all parts together, or of the first of several forms."""
    for key in ("oneOf", "anyOf"):
        if parts := _listed(schema.get(key)):
            return _example(root, name, parts[0], depth + 1)
    parts = _listed(schema.get("allOf"))[:_MOST_KEYS]
    whole = [_example(root, name, each, depth + 1) for each in parts]
    merged = {k: v for each in whole if isinstance(each, dict) for k, v in each.items()}
    return merged or whole[0]


def _object(root: Any, schema: Any, depth: int) -> Any:
    """The keys that are required, or that say who asks and for what."""
    required = set(map(str, _listed(schema.get("required"))))
    properties = _mapping(schema.get("properties"))
    named = {n for n in properties if n in required or is_user(n) or is_coupon(n)}
    wanted = named or set(properties)
    return {
        name: _example(root, name, each, depth + 1)
        for name, each in list(properties.items())[:_MOST_KEYS]
        if name in wanted
    }


_FORMATS: Final = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "email": "user1@example.com",
    "date-time": "2026-01-01T00:00:00Z",
}


def _plain_value(name: str, schema: Any) -> Any:
    """A value of a plain type, written so that its template is of the right form."""
    least = schema.get("minimum")
    number = least if isinstance(least, int) and least > 1 else 1
    by_type = {"array": [], "integer": number, "number": number, "boolean": True}
    if (kind := str(schema.get("type"))) in by_type:
        return by_type[kind]
    if (format_ := str(schema.get("format"))) in _FORMATS:
        return _FORMATS[format_]
    if is_user(name):
        return _FORMATS["email"] if "mail" in name.lower() else "1"
    return "CODE" if is_coupon(name) else "text"


def outcomes_of(api: ApiDocument, operation: Operation, *, audited: bool) -> list[OutcomeSketch]:
    """The outcomes that the document describes; an answer that it leaves open has none."""
    found: dict[str, OutcomeSketch] = {}
    refused = []
    for status, response in _mapping(operation.definition.get("responses")).items():
        if not re.fullmatch(r"[1-5][0-9][0-9]", status):
            continue
        about = str(_mapping(_resolved(api.root, response)).get("description") or "")[:1000]
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
