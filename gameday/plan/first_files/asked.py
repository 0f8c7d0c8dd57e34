"""The command line of `gameday init` becomes a sketch: an address, a document, a compose file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from gameday.core import files
from gameday.core import json as strict_json
from gameday.core.errors import FileError, UsageError
from gameday.core.network.allow_list import Allowed
from gameday.core.network.http import Ask, HttpClient, HttpError
from gameday.core.network.urls import Base, path_problem
from gameday.plan.first_files.compose_file import read_project
from gameday.plan.first_files.examples import Templates, is_code
from gameday.plan.first_files.openapi import (
    LARGEST_BYTES,
    ApiDocument,
    base_of,
    outcomes_of,
    place_of,
    read_api,
    request_of,
)
from gameday.plan.first_files.secret_names import (
    is_secret,
    refuse_secrets,
    variable_of,
)
from gameday.plan.first_files.sketch import (
    BodySketch,
    RequestSketch,
    Sketch,
    name_of,
    safe,
    texts_of,
)
from gameday.spec.campaign import CreatedCampaign
from gameday.spec.model import NAME_PATTERN
from gameday.spec.request import METHODS, Request
from gameday.spec.yaml import compose

DOCUMENT_S: Final = 15.0
_USER: Final = "{user"


@dataclass(frozen=True, slots=True, kw_only=True)
class InitRequest:
    """The words of a command line about a system; each part may be missing but not all."""

    folder: Path
    url: str | None = None
    method: str | None = None
    body: str | None = None
    form: str | None = None
    headers: tuple[str, ...] = ()
    audit: str | None = None
    campaign: str | None = None
    stock: int | None = None
    openapi: str | None = None
    operation: str | None = None
    compose: Path | None = None
    service: str | None = None
    name: str | None = None

    @property
    def document_url(self) -> str:
        """The address of the OpenAPI document, "" where it is a file or none."""
        source = self.openapi or ""
        return source if source.startswith(("http://", "https://")) else ""

    def gives(self, base_url: str) -> bool:
        """True if the command line names that host and port, and not only a file of somebody."""
        given = {place_of(each) for each in (self.url, self.document_url) if each}
        return place_of(base_url) in given

    @property
    def source(self) -> str:
        """The options that the files come from."""
        given = {"--url": self.url, "--openapi": self.openapi, "--compose": self.compose}
        return "from " + " and ".join(name for name, value in given.items() if value)

    def secrets(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The values of secret headers, by the variables that stand for them in the file.

        Raises UsageError where a variable has another value already: that would be sent later.
        """
        found: dict[str, str] = {}
        for header, value in map(_header, self.headers):
            if not _is_secret(header, value):
                continue
            variable = variable_of(header)
            if found.get(variable, environment.get(variable, value)) != value:
                raise UsageError(
                    f"--header: {header} would be {{env: {variable}}} in the file,"
                    f" and {variable} has another value already",
                    help=f"unset {variable}, or export the value that you mean",
                )
            found[variable] = value
        return found


async def read_document(asked: InitRequest, allowed: Allowed) -> ApiDocument | None:
    """The OpenAPI document, None where none is named. Raises UsageError."""
    if asked.openapi is None:
        return None
    url = asked.document_url
    if not url:
        return read_api(files.read(Path(asked.openapi), LARGEST_BYTES, "--openapi"), asked.openapi)
    base = Base.parse(url, query=True)
    await allowed.resolve(base.host, base.port or 80, "--openapi")
    try:
        async with HttpClient(DOCUMENT_S, verify=True, most_bytes=LARGEST_BYTES) as client:
            answer = await client.ask(Ask("GET", base.url))
    except HttpError as error:
        raise UsageError(f"--openapi: {url}: {error.message}", help="is it running?") from error
    if not 200 <= answer.status < 300:
        raise UsageError(
            f"--openapi: {url} answers {answer.status}",
            help="the document is often at /openapi.json, /v3/api-docs or /api-json",
        )
    return read_api(answer.body, url)


def gather(asked: InitRequest, api: ApiDocument | None) -> Sketch:
    """The sketch of what was said, nothing asked yet.

    Raises UsageError; UnclearError and UnclearServiceError where somebody has to choose.
    """
    campaign = None if asked.campaign is None else _campaign(asked.campaign)
    if campaign is not None and asked.audit is None:
        raise UsageError(  # before it is sent: it may empty somebody's shop
            "--campaign makes a fresh campaign for each run, which only an audit can judge",
            help="add --audit PATH, or leave it out, and write `campaign` beside the `audit` later",
        )
    templates = Templates(numbers="capture" in (campaign or {}))
    project = None if asked.compose is None else read_project(asked.compose, asked.service)
    ours = None if project is None else project.base_url
    outcomes = []
    if api is not None:
        operation = api.pick(asked.operation)
        base_url = base_of(api, asked.url or ours, asked.document_url)
        given = asked.body is not None or asked.form is not None
        request = request_of(api, operation, templates, with_body=not given)
        outcomes = outcomes_of(api, operation, audited=asked.audit is not None)
    elif asked.url is not None:
        base_url, request = _of_url(asked, templates)
    else:
        base_url, request = ours or "", RequestSketch(method="get", path="/", guessed=["GET /"])
    request = _with_options(asked, request, templates)
    audit = None if asked.audit is None else _audit_path(asked.audit, templates)
    title = "" if api is None else api.title
    default = name_of(asked.folder.resolve().name)
    return Sketch(
        name=_name(asked.name) or name_of(title, default),
        source=asked.source,
        base_url=Base.parse(base_url).url,
        request=request,
        coupon=templates.coupon,
        outcomes=outcomes,
        audit=audit,
        stock=asked.stock,
        campaign=campaign,
        project=project,
        notes=_notes(asked, request, templates, () if project is None else project.notes),
    )


def _name(given: str | None) -> str:
    if given is not None and not re.fullmatch(NAME_PATTERN, given):
        cure = "small letters, digits and dashes, 64 at most, no dash first"
        raise UsageError(f"--name: {safe(given)!r} is not a name", help=cure)
    return given or ""


def _of_url(asked: InitRequest, templates: Templates) -> tuple[str, RequestSketch]:
    """The base and the request of `--url`."""
    _note_shared(asked, templates)
    try:
        base = Base.parse(asked.url or "", query=True)
    except UsageError as error:
        raise UsageError(f"--url: {error.message}", help=error.help) from None
    pairs = parse_qsl(base.query, keep_blank_values=True)
    query = {name: str(templates.of(name, value)) for name, value in pairs}
    refuse_secrets("--url", query, key=True)
    refuse_secrets("--url", base.prefix.split("/"))
    request = RequestSketch(
        method=(asked.method or ("post" if asked.body or asked.form else "get")),
        path=templates.path(base.prefix or "/"),
        query=query,
    )
    return f"{base.scheme}://{base.authority}", request


def _note_shared(asked: InitRequest, templates: Templates) -> None:
    """A code that stands in the path of the request and of the audit is the campaign."""
    paths = [urlsplit(text or "").path.split("/") for text in (asked.url, asked.audit)]
    shared = [each for each in paths[0] if each in paths[1] and _is_shared(each, templates)]
    if len(shared) == 1:
        templates.coupon = shared[0]


def _is_shared(segment: str, templates: Templates) -> bool:
    """True for what names a campaign; a number does where the system numbers them."""
    return is_code(segment) or (templates.numbers and segment.isdecimal())


def _with_options(
    asked: InitRequest, request: RequestSketch, templates: Templates
) -> RequestSketch:
    """The request with the method, the body and the headers that were given."""
    if asked.body is not None and asked.form is not None:
        raise UsageError("--json and --form: a request has one body", help="leave one of them out")
    body = request.body
    if asked.body is not None:
        body = BodySketch(form="json", value=templates.of("", _json(asked.body)))
        refuse_secrets("--json", body.value)
    elif asked.form is not None:
        pairs = parse_qsl(asked.form, keep_blank_values=True)
        value = {name: str(templates.of(name, given)) for name, given in pairs}
        refuse_secrets("--form", value)
        body = BodySketch(form="form", value=value)
    given = [_header(text) for text in asked.headers]
    taken = {name.lower() for name, _ in given}
    headers = {name: v for name, v in request.headers.items() if name.lower() not in taken}
    secret = {name: v for name, v in request.secret_headers.items() if name.lower() not in taken}
    for name, text in given:
        if _is_secret(name, text):
            secret[name] = variable_of(name)
        else:
            headers[name] = templates.header(name, text)
    given_body = asked.body is not None or asked.form is not None
    return RequestSketch(
        method=asked.method or request.method,
        path=request.path,
        query=request.query,
        headers=headers,
        secret_headers=secret,
        body=body,
        guessed=() if given_body else request.guessed,
    )


def _json(text: str) -> Any:
    try:
        return strict_json.parse(text.encode("utf-8", "surrogatepass"))
    except strict_json.JsonError as error:
        problem = f"--json: {safe(text)!r} is {error.message}"
        cure = 'quote it for the shell: --json \'{"userId": "7"}\''
        raise UsageError(problem, help=cure) from None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", name.strip()):
        raise UsageError(f"--header: {safe(name)!r} is no header", help="write 'Name: value'")
    return name.strip(), value.strip()


def _is_secret(name: str, value: str) -> bool:
    """True for a header that must not stand in a file as text."""
    return is_secret(name, Templates().of(name, value), key=True)


def _campaign(given: str) -> Any:
    """The request that makes a campaign, as the key `campaign` has it. Raises UsageError.

    With `create` the code may be of the system's own making, and is taken from the answer.
    """
    try:
        document = compose(given, "--campaign")
        found: Any = document.plain()
        is_created = isinstance(found, Mapping) and "create" in found
        document.parse(CreatedCampaign if is_created else Request)
    except FileError as error:
        cure = (
            'as \'{post: /sales, json: {code: "{coupon}", stock: "{stock}"}}\', or where the'
            " system makes up its id '{create: {post: /sales}, capture: {coupon: data.id}}'"
        )
        raise UsageError(
            error.message, help=f"{error.help}; {cure}" if error.help else cure
        ) from None
    request = found["create"] if is_created else found
    for name, value in (request.get("headers") or {}).items():
        if is_secret(name, value, key=True):
            problem = f"--campaign: the header {safe(name)} is a secret"
            raise UsageError(problem, help=f"write {name}: {{env: {variable_of(name)}}}")
    for key in ("query", "json", "form", "text", *METHODS):
        refuse_secrets("--campaign", request.get(key), key=key == "query")
    return found


def _audit_path(given: str, templates: Templates) -> str:
    """The path of the audit; the campaign in it becomes a placeholder. Raises UsageError."""
    if wrong := path_problem(given):
        raise UsageError(f"--audit: {safe(given)!r} {wrong}", help="write a path, as /audit/SALE")
    path, mark, query = given.partition("?")
    refuse_secrets("--audit", dict(parse_qsl(query)), key=True)
    refuse_secrets("--audit", path.split("/"))
    return templates.path(path) + mark + query


def _notes(
    asked: InitRequest, request: RequestSketch, templates: Templates, others: Sequence[str]
) -> tuple[str, ...]:
    """Notes that a person has to know before the first run."""
    found = list(others)
    for header, variable in request.secret_headers.items():
        found.append(
            f"{header} is a secret: the file says {{env: {variable}}}, so export {variable}"
        )
    found += _header_notes(asked, request)
    if not any(_USER in text for text in texts_of(request)) and (asked.url or asked.openapi):
        found.append("no value of the request names a user, so all requests are alike: {user}")
    if templates.numbers and not any("{coupon" in text for text in texts_of(request)):
        found.append(
            "--campaign takes an id from the answer, and the request does not use it:"
            " write {coupon} where it belongs"
        )
    return tuple(dict.fromkeys(found))


def _header_notes(asked: InitRequest, request: RequestSketch) -> Iterator[str]:
    """Notes on headers that somebody wrote as an example, and that became placeholders."""
    written = dict(map(_header, asked.headers))
    for name, text in request.headers.items():
        example = written.get(name, "")
        if _USER in text and _USER not in example:
            before = f" instead of {safe(example)}" if example else ""
            found = f"the header {safe(name)} says who asks: {safe(text)}{before}"
            yield f"{found}, so that each user is another one"
