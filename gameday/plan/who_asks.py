"""Who asks, and what is done around each issue: users of a file and steps, as a plan tells them.

Columns are told by their names, never a cell.
"""

from collections.abc import Iterator
from typing import Final

from gameday.core import files
from gameday.core.errors import excerpt
from gameday.core.messages import Message
from gameday.core.units import format_duration
from gameday.plan.finding import Finding
from gameday.spec.inputs import LoadedSystem
from gameday.spec.request import BeforeStep, Request
from gameday.spec.template import placeholders_in
from gameday.spec.users import UserTable, id_column

_SHOWN: Final = 120  # characters of a path


def findings(loaded: LoadedSystem) -> Iterator[Finding]:
    """A line about the file, and one for each request; nothing where there is only the issue."""
    requests, table = loaded.system.requests, loaded.users
    if table is None and not requests.before and requests.issue.poll is None:
        return
    if table is not None:
        yield Finding("users file", "ok", _file(loaded, table))
    for name, step in requests.before.items():
        yield Finding(f"requests.before.{name}", "ok", _step(step, table))
    issue = requests.issue
    told = Message("finding.issue", request=_line(issue), sent=_sent(issue, table))
    yield Finding("requests.issue", "ok", told)
    if (poll := issue.poll) is not None:
        times = {"every": format_duration(poll.every), "within": format_duration(poll.within)}
        told = Message("finding.poll", request=_line(poll), sent=_sent(poll, table), **times)
        yield Finding("requests.issue.poll", "ok", told)


def _file(loaded: LoadedSystem, table: UserTable) -> Message:
    """The file, how many users, and the column that the audit names them by."""
    users, requests = loaded.system.users, loaded.system.requests
    assert users is not None
    file = files.shown_path(loaded.path.parent / users.file)
    column = id_column(users, requests.issue, table.columns)
    if column is None:
        return Message("finding.users_by_number", file=file, users=table.rows)
    columns = ", ".join([column, *users.also])
    return Message("finding.users_by_column", file=file, users=table.rows, columns=columns)


def _step(step: BeforeStep, table: UserTable | None) -> Message:
    told = {"request": _line(step), "sent": _sent(step, table)}
    if step.weight is not None:
        return Message("finding.step_mixed", **told, weight=step.weight)
    return Message("finding.step_once" if step.per == "user" else "finding.step", **told)


def _line(request: Request) -> str:
    return excerpt(f"{request.method} {request.path}", _SHOWN)


def _sent(request: Request, table: UserTable | None) -> Message | str:
    """The columns of the user's own row that a request sends."""
    used = placeholders_in(request)
    columns = [] if table is None else [name for name in table.columns if name in used]
    return Message("finding.step_sends", columns=", ".join(columns)) if columns else ""
