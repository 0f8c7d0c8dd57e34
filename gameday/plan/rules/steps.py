"""Rules about who asks and in which steps: users of a file, requests before the issue, the poll."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from gameday.core.errors import UsageError
from gameday.core.network.urls import Base
from gameday.core.units import format_duration, ms
from gameday.spec.inputs import FileWarning, Findings, Inputs, LoadedSystem
from gameday.spec.request import ISSUE_CAPTURES, ROOT, Request, path_of
from gameday.spec.template import PLACEHOLDER, PLACEHOLDERS, WHOLE_PATH, placeholders_in
from gameday.spec.users import UserTable, id_column
from gameday.spec.yaml import one_of_them
from gameday.traffic import escapes
from gameday.traffic.escapes import Escape, escaped_column

Loc = tuple[str, ...]
SHORTEST_EVERY_MS = 10  # a hundred questions a second about one order
LONGEST_WITHIN_MS = 600_000
_ISSUE: Loc = ("requests", "issue")
_CURE = f"write names with dots between them, or {ROOT} for the whole answer"


def of_experiment(inputs: Inputs) -> Findings:
    """A scenario's `mix` is of requests that the system file mixes in."""
    document, requests = inputs.experiment.document, inputs.system.system.requests
    mixed_in = [name for name, step in requests.before.items() if step.weight is not None]
    for scenario, stream in inputs.experiment.experiment.traffic.items():
        for name in stream.mix:
            if name in mixed_in:
                continue
            here: Loc = ("traffic", scenario, "mix", name)
            if name in requests.before:
                problem = (
                    f"{name!r}: the issue needs this step; only one with a `weight` is mixed in"
                )
                help = f"leave it out, or give it a `weight` in {inputs.system.document.file}"
            else:
                problem = f"{name!r}: `requests.before` of the system file has no such request"
                help = one_of_them(name, mixed_in) or "write it there, with a `weight`"
            yield document.error(here, problem, help=help)


def of_system(loaded: LoadedSystem) -> Findings:
    """Captures are used and lead somewhere, users can be told apart, cells fit where they stand."""
    yield from _captures(loaded)
    yield from _poll(loaded)
    yield from _cookies(loaded)
    if loaded.users is not None:
        yield from _users(loaded, loaded.users)


def _requests(loaded: LoadedSystem) -> dict[Loc, Request]:
    """Every request of the traffic by its place."""
    requests = loaded.system.requests
    found: dict[Loc, Request] = {
        ("requests", "before", name): step for name, step in requests.before.items()
    }
    found[_ISSUE] = requests.issue
    if requests.issue.poll is not None:
        found[*_ISSUE, "poll"] = requests.issue.poll
    return found


def _captures(loaded: LoadedSystem) -> Findings:
    """No capture has the name of something else, or leads nowhere."""
    taken = set(loaded.users.columns) if loaded.users is not None else set()
    requests = loaded.system.requests
    for name, step in requests.before.items():
        for key, source in step.capture.items():
            here: Loc = ("requests", "before", name, "capture", key)
            if key in (*PLACEHOLDERS, *taken):
                problem = f"{key!r}: there is a placeholder of that name already"
                yield loaded.document.error(here, problem, help="call it otherwise")
            taken.add(key)
            if isinstance(source, str):
                yield from _path(loaded, here, source)
    poll = requests.issue.poll
    used = set() if poll is None else set(placeholders_in(poll))
    issue_captures = requests.issue.capture.keys()
    for key in issue_captures - set(ISSUE_CAPTURES):
        here = (*_ISSUE, "capture", key)
        if key in (*PLACEHOLDERS, *taken):
            problem = f"{key!r}: there is a placeholder of that name already"
            yield loaded.document.error(here, problem, help="call it otherwise")
        elif key not in used and not _misspells(used, taken, issue_captures):
            problem = f"{key!r}: nothing uses it: the issue's captures are issue_id, remaining"
            help = one_of_them(key, ISSUE_CAPTURES) or "others are for `poll`"
            yield loaded.document.error(here, f"{problem}, and what `poll` holds", help=help)


def _misspells(used: Collection[str], *known: Collection[str]) -> bool:
    """True if a poll holds a placeholder that nothing fills: that is told, at its own place."""
    return not set(used) <= {*PLACEHOLDERS, *(name for names in known for name in names)}


def _path(loaded: LoadedSystem, here: Loc, path: str) -> Findings:
    try:
        path_of(path)
    except ValueError as error:
        yield loaded.document.error(here, f"{here[-1]!r}: {error}", help=_CURE)


def _poll(loaded: LoadedSystem) -> Findings:
    """The question after an issue can be asked, and answered."""
    issue = loaded.system.requests.issue
    poll, here = issue.poll, (*_ISSUE, "poll")
    if poll is None:
        return
    if "accepted" not in issue.outcomes:
        problem = "'poll': no outcome of the issue is `accepted`, so nothing is ever asked after"
        yield loaded.document.error(here, problem, help="accepted: {status: 202}")
    for name, match in poll.until.items():
        for path in match.json_:
            yield from _path(loaded, (*here, "until", name, "json", path), path)
    for key, path in poll.capture.items():
        yield from _path(loaded, (*here, "capture", key), path)
    if ms(poll.every) < SHORTEST_EVERY_MS:
        problem = f"'every': {format_duration(poll.every)} is less than {SHORTEST_EVERY_MS} ms"
        yield loaded.document.error((*here, "every"), problem, help="every: 500ms")
    if not ms(poll.every) <= ms(poll.within) <= LONGEST_WITHIN_MS:
        within = format_duration(poll.within)
        problem = f"'within': {within} is shorter than `every`, or longer than 10 m"
        yield loaded.document.error((*here, "within"), problem, help="within: 10s")


def _cookies(loaded: LoadedSystem) -> Findings:
    """A cookie jar writes the header itself."""
    if not loaded.system.requests.cookies:
        return
    for here, request in _requests(loaded).items():
        for name in request.headers:
            if name.lower() == "cookie":
                problem = f"{name!r}: the cookie jar writes this header"
                help = "drop the header, or `cookies: true`"
                yield loaded.document.error((*here, "headers", name), problem, help=help)


def _users(loaded: LoadedSystem, table: UserTable) -> Findings:
    """The audit's users are rows of the file, and every cell fits where it stands."""
    users = loaded.system.users
    assert users is not None
    asked = {name for each in _requests(loaded).values() for name in placeholders_in(each)}
    if asked.isdisjoint(table.columns):
        text = "'users': no request holds a column of the file"
        yield FileWarning(loaded.document.place("users"), text)
    yield from _ids(loaded, table)
    base = _base(loaded)
    for here, request in _requests(loaded).items():
        for name, escape in _strict_places(request, base).items():
            if name in table.columns:
                try:
                    escaped_column(name, table.columns[name], escape)
                except UsageError as error:
                    yield loaded.document.error(here, error.message, help=error.help)


def _ids(loaded: LoadedSystem, table: UserTable) -> Findings:
    """A column says who a user of the audit is, or the request's own number does."""
    system, users = loaded.system, loaded.system.users
    assert users is not None
    column = id_column(users, system.requests.issue, table.columns)
    if column is not None:
        yield from _twice(loaded, [column, *users.also], table)
    elif system.issues and "user" not in placeholders_in(system.requests.issue):
        problem = "'users': nobody can tell which column the audit names users by"
        help = f"add `id:`, {one_of_them('', table.columns)}"
        yield loaded.document.error(("users",), problem, help=help)
    elif users.also:
        problem = "'also': the request names users by number, so no column tells of them"
        yield loaded.document.error(("users", "also"), problem, help="add `id:`, or drop it")


def _twice(loaded: LoadedSystem, columns: Sequence[str], table: UserTable) -> Findings:
    """Two users of one id could not be told apart, in whichever of these columns it stands."""
    seen: dict[str, int] = {}
    for column in columns:
        for user, cell in enumerate(table.columns[column]):
            if cell == "" and column != columns[0]:  # not everybody has one
                continue
            first = seen.setdefault(str(cell), user)
            if first != user:
                problem = f"'users': users {first} and {user} have the same {column!r}"
                if len(columns) > 1:
                    problem += f", or one has it as another of {', '.join(columns)}"
                yield loaded.document.error(("users",), problem, help="each id stands once")
                return


def _base(loaded: LoadedSystem) -> Base:
    try:
        return Base.parse(loaded.system.base_url)
    except UsageError:  # told of elsewhere
        return Base("http", "127.0.0.1", None, "")


def _strict_places(request: Request, base: Base) -> Mapping[str, Escape]:
    """How columns are written where not everything can stand: paths and headers."""
    headers = [text for text in request.headers.values() if isinstance(text, str)]
    in_path: Escape = escapes.in_path
    if WHOLE_PATH.fullmatch(request.path):
        in_path = partial(escapes.path_of, base=base, queried=bool(request.query))
    found: dict[str, Escape] = dict.fromkeys(_names(headers), escapes.in_header)
    return found | dict.fromkeys(_names([request.path.partition("?")[0]]), in_path)


def _names(texts: Sequence[str]) -> list[str]:
    """The placeholders of a part of a request."""
    marks = [mark for text in texts for mark in PLACEHOLDER.finditer(text)]
    return [mark[1].partition(":")[0] for mark in marks if mark[1]]
