"""The file `audit.json`: what is kept of an audit, secrets masked, and written a row a line."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any, Literal

from gameday.core.json_objects import Json
from gameday.core.secrets.redaction import Hidden, distinct, hidden_in
from gameday.evidence.audit_sources import AuditSource
from gameday.evidence.rows import Column, Rows, User, column_of, user_of, users_of
from gameday.plan.audit_answer import AuditAnswer
from gameday.spec.system import System
from gameday.spec.users_hidden import Hide
from gameday.traffic.listed_ids import ListedIds, foreign_text
from gameday.traffic.user_ids import FOREIGN, NUMBERS, UserIds

KEYS = ("code", "stock", "views")  # what the format of an audit answer names
VIEW_KEYS = ("remaining", "holders", "current")


@dataclass(slots=True)
class AuditReading:
    """Content of the stores in the end; the fields of audit.json."""

    campaign: str
    stock: int | None
    rows: Rows = field(default_factory=Rows)
    rows_from: Literal["postgres", "mysql", "redis", "audit"] = "audit"
    cut: Literal["consistent", "moving", "unknown"] = "unknown"
    answer: AuditAnswer | None = None
    answer_rows_equal: bool | None = None
    views: dict[str, Json] = field(default_factory=dict)
    problem: str = ""
    read_at_ns: int = 0
    sources: dict[str, AuditSource] = field(
        default_factory=dict
    )  # what was asked, and what was odd in it

    def write(self, path: Path) -> None:
        """As JSON, a row a line. Raises OSError."""
        with path.open("w") as file:
            file.writelines(_in_pieces(self))
            file.write("\n")


def mask(
    audit: AuditReading,
    secrets: Sequence[str],
    system: System,
    problem: str,
    ids: UserIds = NUMBERS,
) -> None:
    """Take secrets out of what was said; what judging reads back stays as it was said.

    That is rows, numbers, the keys of the format, and stores by the names that the system has. A
    user whom no request could have named is only shown, so he is masked as any text.
    """
    hide, hide_name = Hidden(secrets), Hidden(secrets, _names(system))
    hide_user = _Users(hide, ids)
    audit.problem = hide(problem)
    before = audit.rows
    audit.rows = before.with_foreign(ids.read, hide)
    audit.views = _masked_views(audit.views, hide, hide_name, hide_user)
    if audit.answer is not None:
        beside = _masked_beside(audit.answer.beside, hide, hide_name, hide_user)
        told = audit.answer.rows
        rows = audit.rows if told is before else told.with_foreign(ids.read, hide)
        audit.answer = replace(audit.answer, rows=rows, beside=beside)


def by_row(audit: AuditReading, ids: ListedIds, hide: Hide) -> UserIds:
    """Name the users of an audit by the rows of the file that they stand in; ids of such users.

    Who stands in none keeps his text, in which nothing of the file is shown.
    """

    def rename(told: Column) -> list[User]:
        found = ids.read(told).tolist()
        return [
            foreign_text(hide(_user_text(text))) if index == FOREIGN else index
            for index, text in zip(found, told.tolist(), strict=True)
        ]

    audit.rows = audit.rows.told_otherwise(rename)
    if audit.answer is not None:
        rows = audit.answer.rows.told_otherwise(rename)
        beside = dict(audit.answer.beside)
        if "views" in beside:
            beside["views"] = _views_by_row(beside["views"], rename)
        audit.answer = replace(audit.answer, rows=rows, beside=beside)
    audit.views = _views_by_row(audit.views, rename)
    return UserIds(users=ids.users)


def _user_text(user: int | bytes) -> str:
    return user.decode() if isinstance(user, bytes) else str(user)


def _views_by_row(views: Any, rename: Callable[[Column], list[User]]) -> Any:
    """Views with their holders renamed."""
    if not isinstance(views, dict):
        return views
    found = {}
    for name, view in views.items():
        if isinstance(view, dict) and isinstance(view.get("holders"), list):
            found[name] = {**view, "holders": rename(column_of(users_of(view["holders"])))}
        else:
            found[name] = view
    return found


@dataclass(frozen=True, slots=True)
class _Users:
    """Lists of users: those of the run stay as they are, others are masked."""

    hide: Hidden
    ids: UserIds

    def __call__(self, holders: list[Any]) -> list[Any]:
        users = [user_of(each) for each in holders]
        known = self.ids.read(column_of(users_of(users))) != FOREIGN
        return [
            user if ours or isinstance(user, int) else self.hide(user)
            for user, ours in zip(users, known.tolist(), strict=True)
        ]


def _names(system: System) -> str:
    return " ".join(["postgres mysql redis audit", *system.proxies, *system.dependencies])


def _in_pieces(audit: AuditReading) -> Iterator[str]:
    """JSON, a small piece at a time: one long call would keep every other thread waiting.

    The rows of the audit are pairs, those of the answer are objects, as the system has them. They
    come first there: in that place alone a reader takes them line by line.
    """
    yield '{\n"schema": 1'
    for each in fields(audit):
        value = getattr(audit, each.name)
        yield f',\n"{each.name}": '
        if isinstance(value, AuditAnswer):
            yield '{\n"rows": '
            yield from _rows_in_pieces(value.rows, as_pairs=False)
            for key, one in value.beside.items():
                yield f",\n{json.dumps(key)}: "
                yield from _value_in_pieces(one)
            yield "}"
        elif each.name == "sources":
            yield from _value_in_pieces({name: asdict(one) for name, one in value.items()})
        elif isinstance(value, Rows):
            yield from _rows_in_pieces(value, as_pairs=True)
        else:
            yield from _value_in_pieces(value)
    yield "}"


def _value_in_pieces(value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for n, (key, each) in enumerate(value.items()):
            yield f"{',' if n else '{'}\n{json.dumps(key)}: "
            yield from _value_in_pieces(each)
        yield "}"
    elif isinstance(value, list) and value:
        for n, each in enumerate(value):
            yield (",\n" if n else "[\n") + json.dumps(each)
        yield "]"
    else:
        yield json.dumps(value)


def _rows_in_pieces(rows: Rows, *, as_pairs: bool) -> Iterator[str]:
    yield "["
    for n, (user, id_) in enumerate(rows):
        start, text = ",\n" if n else "\n", encode_basestring_ascii(id_)
        if as_pairs:
            yield f"{start}[{_user(user)}, {text}]"
        else:
            yield f'{start}{{"userId": {_user(user)}, "issueId": {text}}}'
    yield "]"


def _user(user: User) -> str:
    return encode_basestring_ascii(user) if isinstance(user, str) else str(user)


def _masked_beside(beside: Json, hide: Hidden, hide_name: Hidden, hide_user: _Users) -> Json:
    """What is kept of an answer beside its rows."""
    named = {key: hidden_in(beside[key], hide) for key in ("code", "stock") if key in beside}
    if "views" in beside:
        named["views"] = _masked_views(beside["views"], hide, hide_name, hide_user)
    others = {key: value for key, value in beside.items() if key not in KEYS}
    return {**named, **hidden_in(others, hide)}


def _masked_views(views: Any, hide: Hidden, hide_name: Hidden, hide_user: _Users) -> Any:
    """Views with their secrets masked; numbers stay, because they are compared with the rows."""
    if not isinstance(views, dict) or not all(isinstance(each, dict) for each in views.values()):
        return hidden_in(views, hide)
    found = {}
    for name, view in zip(distinct(map(hide_name, views)), views.values(), strict=True):
        numbers = {key: view[key] for key in VIEW_KEYS if key in view and _is_numbers(view[key])}
        holders = view.get("holders")
        if isinstance(holders, list) and "holders" not in numbers:
            numbers["holders"] = hide_user(holders)
        others = {key: value for key, value in view.items() if key not in numbers}
        found[name] = {**hidden_in(others, hide), **numbers}
    return found


def _is_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_numbers, value))
    return value is None or isinstance(value, int | float) or str(value).strip("-").isdecimal()
