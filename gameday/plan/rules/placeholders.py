"""Rules about placeholders: `{user}` where something fills it in, and nowhere anything else."""

import re
from collections.abc import Mapping

from gameday.spec import start
from gameday.spec.inputs import FileWarning, Findings, LoadedSystem
from gameday.spec.request import ISSUE_CAPTURES, Request
from gameday.spec.template import FORMATS, alone_in, format_problem, placeholders_in
from gameday.spec.yaml import Document, Node, one_of_them

Loc = tuple[str | int, ...]

ISSUE = frozenset({"user", "iteration", "coupon", "stock", "key", "attempt", "run"})
ONCE = frozenset({"coupon", "stock", "run"})
"""Campaign, close, audit and actions are sent once a run: there is no user to name."""
STORE_KEYS = frozenset({"coupon"})
PAGES = ONCE | {"page", "offset", "next"}

_ANY: Mapping[str, int | str] = {"coupon": "coupon", "run": "run", "stock": 1}
_NO_USER = (
    "no {user} in the request that nothing else varies with, "
    "so nobody can tell whose a row of the audit is"
)
_SAY_WHO = "write {user}, {user:s}, {user:05d} or {user:uuid} where your system reads who asks"

_BRACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\{")
_ANSWERS = frozenset({"outcomes", "capture", "until", "expect"})
Places = Mapping[Loc, frozenset[str]]
_PLACES: Places = {
    ("campaign",): ONCE,
    ("close",): ONCE,
    ("before_run",): ONCE,
    ("audit",): PAGES,
    ("audit", "command"): ONCE,
    ("audit", "env"): ONCE,
    ("actions",): ONCE,
    ("start", "argv"): start.PUBLIC,
    ("start", "setup"): start.PUBLIC,
    ("start", "env"): start.PLACEHOLDERS,
    ("start", "ready"): frozenset(),
    ("stores", "redis", "remaining"): STORE_KEYS,
    ("stores", "redis", "holders"): STORE_KEYS,
    ("stores", "redis", "holders", "keys"): STORE_KEYS | {"user"},
    ("stores", "redis", "stock"): STORE_KEYS,
    ("stores", "mysql", "rows"): STORE_KEYS,
    ("stores", "mysql", "stock"): STORE_KEYS,
    ("stores", "mysql", "remaining"): STORE_KEYS,
}
"""Where placeholders are filled in, and which. Any user may read a process's arguments, so
`start.argv` and `start.setup` take only what holds no password."""


def of_system(loaded: LoadedSystem) -> Findings:
    """Every placeholder is one that will be filled in."""
    document = loaded.document
    places = {**_PLACES, **_requests(loaded)}
    wrong = [
        found
        for loc, _, node in document.root.walk()
        for found in _within(document, loc, node, places)
    ]
    yield from wrong
    if loaded.system.issues and not wrong:  # a {usr} would be told of twice
        yield from _somebody_asks(loaded)
    yield from _open_store(loaded)


def _within(document: Document, loc: Loc, node: Node, places: Places) -> Findings:
    """Placeholders of a place that has some; the innermost place says which."""
    within = [prefix for prefix in places if loc[: len(prefix)] == prefix]
    if within and not _is_of_answers(loc):
        yield from _look(document, loc, node, places[max(within, key=len)])


def _somebody_asks(loaded: LoadedSystem) -> Findings:
    """The issue request says who asks, or nobody could tell whose a row of the audit is.

    A request that is always the same may be meant so: those checks will be unknown. One that sends
    the number of the start takes that for a user, and no row would be of anybody.
    """
    if loaded.users is not None:  # its columns say who asks, see `steps`
        return
    at = ("requests", "issue")
    issue = loaded.system.requests.naming
    asked = placeholders_in(issue)
    if any(name.partition(":")[0] not in ISSUE for name in asked):
        return
    names = {name.partition(":")[0] for name in asked}
    if "user" in names and _is_named(issue):
        return
    if "iteration" in names and "user" not in names:
        yield loaded.document.error(at, f"'issue': {_NO_USER}", help=_SAY_WHO)
    else:
        text = f"{_NO_USER}: those checks will be unknown; {_SAY_WHO}"
        yield FileWarning(loaded.document.place(*at), text)


def _is_named(issue: Request) -> bool:
    """True if a value of the request has the user alone, or where it can be found again."""
    if "user" in alone_in(issue):
        return True
    from gameday.traffic.user_ids import MOST_USERS, UserIds  # numpy, for the few that need it

    return not UserIds.of(issue, _ANY, MOST_USERS, 0).name_nobody


def _open_store(loaded: LoadedSystem) -> Findings:
    """A Redis that asks for no password is no evidence, and whoever has one knows it.

    It is the same one for all, whether the service or a step of setup asks for it.
    """
    document = loaded.document
    found = [
        (loc, place, name)
        for loc, place, node in document.under("start").root.walk("start")
        if isinstance(node.content, str)
        for name in dict.fromkeys(_BRACE.findall(node.content))
        if name in start.OPEN
    ]
    if found and loaded.system.authority == "redis":
        problem = f"'authority': {_open(found[0][2])}: any local user can alter it"
        cure = "hand the service {redis}, or {redis_host}, {redis_port} and {redis_password}"
        yield document.error(("authority",), problem, help=cure)
    for loc, place, name in found:
        key = next(part for part in reversed(loc) if isinstance(part, str))
        yield FileWarning(place, f"{key!r}: {_open(name)}: any local user can alter what it holds")


def _open(name: str) -> str:
    return f"'{{{name}}}' is a Redis without a password"


def _requests(loaded: LoadedSystem) -> dict[Loc, frozenset[str]]:
    """The placeholders of each request of the traffic: columns, and what was captured before it."""
    requests = loaded.system.requests
    known = ISSUE | (loaded.users.columns.keys() if loaded.users is not None else set())
    found: dict[Loc, frozenset[str]] = {}
    for name, step in requests.before.items():
        found["requests", "before", name] = known
        known |= step.capture.keys()
    found["requests", "issue"] = known
    captured = requests.issue.capture.keys() - set(ISSUE_CAPTURES)
    if captured:  # the issue's own answer is there for the question after it alone
        keys = requests.issue.model_fields_set - {"poll"}
        found |= {("requests", "issue", _key(key)): known for key in keys}
        del found["requests", "issue"]
    found["requests", "issue", "poll"] = known | captured
    return found


def _key(field: str) -> str:
    """A field of a request as the file writes it."""
    return field.rstrip("_")


def _is_of_answers(loc: Loc) -> bool:
    """True for what says how an answer of the traffic is read: its braces are nobody's."""
    depth = 2 if loc[:2] == ("requests", "issue") and loc[2:3] != ("poll",) else 3
    return loc[0] == "requests" and not _ANSWERS.isdisjoint(loc[depth : depth + 1])


def _look(document: Document, loc: Loc, node: Node, known: frozenset[str]) -> Findings:
    yield from _unquoted(document, loc, node, known)
    if not isinstance(node.content, str):
        return
    key = next((part for part in reversed(loc) if isinstance(part, str)), "")
    for match in _BRACE.finditer(node.content):
        name = match[1]
        if match[0] == "{":
            problem = f"{key!r}: '{{' in {node.content!r} has no end"
            yield document.error(loc, problem, help="a bare brace is written {{")
        elif name is None or name in known:
            continue
        elif (asked := name.partition(":"))[0] in known and asked[1]:
            if wrong := _format_problem(asked[0], asked[2], known):
                problem = f"{key!r}: {match[0]!r}: {wrong}"
                yield document.error(loc, problem, help=FORMATS)
        elif known == start.PUBLIC and name in start.PLACEHOLDERS:
            problem = f"{key!r}: '{{{name}}}' would show a password to every user of the machine"
            yield document.error(loc, problem, help="hand it over in start.env")
        else:
            problem = f"{key!r}: unknown placeholder '{{{name}}}'"
            help = one_of_them(name, known) or "nothing is filled in here; a brace is written {{"
            yield document.error(loc, problem, help=help)


def _format_problem(name: str, format_: str, known: frozenset[str]) -> str:
    """Fault of a format, "" for none; what `start` fills in has no formats."""
    by_start = known in (start.PUBLIC, start.PLACEHOLDERS)
    if by_start or known <= STORE_KEYS | {"user"} or name in PAGES - ONCE:
        return "it has no formats here"
    return format_problem(name, format_)


def _unquoted(document: Document, loc: Loc, node: Node, known: frozenset[str]) -> Findings:
    """`userId: {user}` without quotes is a mapping to YAML."""
    if not isinstance(node.content, dict) or len(node.content) != 1:
        return
    [(name, entry)] = node.content.items()
    if entry.node.content is None and name in known:
        problem = f"{str(loc[-1])!r}: '{{{name}}}' is a mapping here"
        yield document.error(loc, problem, help=f'put it in quotes: "{{{name}}}"')
