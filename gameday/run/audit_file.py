"""The file `audit.json`: what is kept of an audit, secrets masked, and written a row a line."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import blake2b
from json.encoder import encode_basestring_ascii
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final, Literal

import numpy as np

from gameday.core.json_objects import Json
from gameday.core.secrets.redaction import MASK, Hidden, distinct, hidden_in, nothing
from gameday.evidence.audit_sources import AuditSource
from gameday.evidence.rows import Column, Ids, Rows, User, column_of, user_of, users_of
from gameday.plan.audit_answer import AuditAnswer
from gameday.run.hidden_ids import nothing_hidden
from gameday.spec.system import System
from gameday.spec.users_hidden import Hide
from gameday.traffic.listed_ids import ListedIds, foreign_text
from gameday.traffic.user_ids import FOREIGN, NUMBERS, Indices, UserIds

KEYS = ("code", "stock", "views")  # what the format of an audit answer names
HideIds = Callable[[Ids], Ids | None]
VIEW_KEYS = ("remaining", "holders", "current")
_AT_ONCE: Final = 10_000  # users
_SALT: Final = token_bytes(16)
"""Of the marks that keep two masked users apart: the same for all readings of one run."""


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
    *,
    hide_cells: Hide = nothing,
    hide_ids: HideIds = nothing_hidden,
) -> None:
    """Take secrets out of what was said; what judging reads back stays as it was said.

    That is rows, numbers, the keys of the format, and stores by the names that the system has. A
    user whom no request could have named is only shown, so he is masked as any text. `hide_cells`
    takes out of a text what a file of users holds, and `hide_ids` out of ids of issues.
    """
    masks = _Masks(
        Hidden(secrets), Hidden(secrets, _names(system)), hide_cells, ids, _names(system)
    )
    audit.problem = masks.text(problem)
    before = audit.rows
    audit.rows = before.with_foreign(masks.read, masks.user).with_ids(hide_ids)
    audit.views = _masked_views(audit.views, masks)
    if audit.answer is not None:
        beside = _masked_beside(audit.answer.beside, masks)
        told = audit.answer.rows
        rows = audit.rows
        if told is not before:
            rows = told.with_foreign(masks.read, masks.user).with_ids(hide_ids)
        audit.answer = replace(audit.answer, rows=rows, beside=beside)


def by_row(audit: AuditReading, ids: ListedIds) -> UserIds:
    """Name the users of an audit by the rows of the file that they stand in; ids of such users.

    Who stands in none keeps his text, which `mask` looks at.
    """

    def rename(told: Column) -> list[User]:
        found = ids.read(told).tolist()
        return [
            foreign_text(_user_text(text)) if index == FOREIGN else index
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
            told = _in_columns(view["holders"])
            found[name] = {**view, "holders": [user for piece in told for user in rename(piece)]}
        else:
            found[name] = view
    return found


def _in_columns(users: Sequence[Any]) -> Iterator[Column]:
    """Columns of users in their order, one at a time: a long one widens those of its own alone."""
    for begin in range(0, len(users), _AT_ONCE):
        yield column_of(users_of(users[begin : begin + _AT_ONCE]))


@dataclass(frozen=True, slots=True)
class _Masks:
    """What is taken out of an audit: secrets of the environment, and what a file of users holds.

    Users of the run stay as they are. Others are masked, and those who were two stay two.
    """

    secrets: Hidden
    secrets_in_names: Hidden
    cells: Hide
    ids: UserIds
    names: str
    salt: bytes = _SALT

    def text(self, text: str) -> str:
        return self.cells(self.secrets(text))

    def name(self, name: str) -> str:
        """The name of a store; those that the system file has are read back."""
        shown = self.secrets_in_names(name)
        return shown if shown in self.names.split() else self.cells(shown)

    def value(self, value: Any, key: str = "") -> Any:
        """A JSON value; of a number that a file of users holds nothing is shown, either.

        Short cells are known by the column that they stand under, so the key is told beside.
        """
        if isinstance(value, dict):
            names = distinct(map(self.text, map(str, value)))
            inner = zip(names, value.items(), strict=True)
            return {name: self.value(each, str(key)) for name, (key, each) in inner}
        if isinstance(value, list | tuple):
            return [self.value(each, key) for each in value]
        if value is None or isinstance(value, bool):
            return value
        told = str(value)
        shown = self.cells(told) if isinstance(value, int | float) else self.text(told)
        if shown == told and key and self.cells(f"{key}={told}") != f"{self.cells(key)}={told}":
            return MASK
        return value if shown == told else shown

    def read(self, told: Column) -> Indices:
        """The users of the run, FOREIGN for all others: also for who has too high a number."""
        found = self.ids.read(told)
        return np.where(found < self.ids.users, found, FOREIGN)

    def user(self, text: str) -> str:
        """A user who is none of the run; a number is no word that a password could be."""
        shown = self.cells(text) if _is_numbers(text) else self.text(text)
        if shown == text:
            return text
        mark = blake2b(text.encode(), key=self.salt, digest_size=4).hexdigest()
        return f"{shown}-{mark}"

    def holders(self, holders: list[Any]) -> list[Any]:
        """A list of users."""
        users = [user_of(each) for each in holders]
        known = (self.read(piece) != FOREIGN for piece in _in_columns(users))
        ours = (each for piece in known for each in piece.tolist())
        shown = [
            user if is_ours else self.user(str(user))
            for user, is_ours in zip(users, ours, strict=True)
        ]
        same = all(str(user) == one or user is one for user, one in zip(users, shown, strict=True))
        return holders if same and _is_numbers(holders) else shown


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


def _masked_beside(beside: Json, masks: _Masks) -> Json:
    """What is kept of an answer beside its rows."""
    hide = masks.text
    named = {key: hidden_in(beside[key], hide) for key in ("code", "stock") if key in beside}
    if "views" in beside:
        named["views"] = _masked_views(beside["views"], masks)
    others = {key: value for key, value in beside.items() if key not in KEYS}
    return {**named, **masks.value(others)}


def _masked_views(views: Any, masks: _Masks) -> Any:
    """Views with their secrets masked; numbers stay, because they are compared with the rows."""
    if not isinstance(views, dict) or not all(isinstance(each, dict) for each in views.values()):
        return masks.value(views)
    found = {}
    for name, view in zip(distinct(map(masks.name, views)), views.values(), strict=True):
        read_back = {key: view[key] for key in VIEW_KEYS if key in view and _is_numbers(view[key])}
        if isinstance(view.get("holders"), list):
            read_back["holders"] = masks.holders(view["holders"])
        others = {key: value for key, value in view.items() if key not in read_back}
        found[name] = {**masks.value(others), **read_back}
    return found


def _is_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_numbers, value))
    return value is None or isinstance(value, int | float) or str(value).strip("-").isdecimal()
