"""The users of a system as a file has them: a row a user, its columns placeholders of requests.

CSV, JSON or JSON Lines. Row 0 is user 0. The file holds what nobody else may see (tokens,
passwords), so it stays where it is: a run keeps its SHA-256, its columns and its length, errors
name row and column and never a value, and only columns under `public` are ever shown.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from gameday.core import files
from gameday.core.errors import FileError, Place, UsageError
from gameday.spec.model import Model
from gameday.spec.request import IssueRequest
from gameday.spec.template import PLACEHOLDERS, placeholders_in

Cell = str | int | float | bool
LARGEST_BYTES: Final = 256 * files.MIB
MOST_ROWS: Final = 1_000_000  # some 300 MB in each process that reads them
MOST_COLUMNS: Final = 64
LONGEST_CELL: Final = 8192  # bytes; servers take no longer header line
COLUMN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_LARGEST_BITS: Final = 256  # of a number; a user is called by no larger one
_FORMATS: Final = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class UsersFile(Model):
    """The users: a file with a row for each. What a column holds is a placeholder of requests."""

    file: str = Field(
        description="A file .csv, .json or .jsonl; path from here", examples=["users.csv"]
    )
    id: str | None = Field(
        default=None,
        description="The column that the audit tells users by; default: the one that the issue"
        " request's body, path or query holds, or one called `id`",
        examples=["email"],
    )
    also: list[str] = Field(
        default_factory=list,
        max_length=MOST_COLUMNS,
        description="Other columns by which the audit, or a store beside it, may tell users",
        examples=[["phone"]],
    )
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="The file's SHA-256: another file is refused; default: any",
        examples=["0" * 64],
    )
    public: list[str] = Field(
        default_factory=list,
        max_length=MOST_COLUMNS,
        description="Columns that reports may show; all others are secret",
        examples=[["id"]],
    )


@dataclass(frozen=True, slots=True)
class UserTable:
    """The rows of a file of users, by column; no value of it is ever in its `repr`."""

    columns: Mapping[str, Sequence[Cell]] = field(repr=False)
    sha256: str
    rows: int

    def row(self, user: int) -> dict[str, Cell]:
        """All cells of a user."""
        return {name: column[user] for name, column in self.columns.items()}


def read_users(path: Path) -> UserTable:
    """The users in a file. Raises UsageError, and FileError at the first row that is wrong."""
    shown = files.shown_path(path)
    format_ = _FORMATS.get(path.suffix.lower())
    if format_ is None:
        problem = f"users file {shown}: its name says no format"
        raise UsageError(problem, help="call it .csv, .json or .jsonl")
    raw = files.read(path, LARGEST_BYTES, "users file")
    text = files.decode(raw, shown)
    if format_ == "csv":
        columns = _of_csv(text, shown)
    else:
        told = _objects(text, shown) if format_ == "jsonl" else _array(text, shown)
        columns = _of_objects(told, shown)
    rows = len(next(iter(columns.values()), ()))
    if not rows:
        raise _wrong(shown, 1, "there are no users in it", "write a row for each")
    return UserTable(columns, hashlib.sha256(raw).hexdigest(), rows)


def _wrong(file: str, line: int, problem: str, help: str = "") -> FileError:
    return FileError(Place(file, line, 1), problem, help=help)


def _of_csv(text: str, file: str) -> dict[str, list[Cell]]:
    """The columns of CSV as RFC 4180 has it; the first row names them."""
    csv.field_size_limit(LONGEST_CELL * 4)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: dict[str, list[Cell]] = {}
    try:
        names = _names(next(lines, []), file, 1)
        columns = {name: [] for name in names}
        kept = list(columns.values())
        for row in lines:
            if not row:  # an empty line
                continue
            if len(row) != len(names):
                problem = f"{len(row)} values for {len(names)} columns"
                raise _wrong(file, lines.line_num, problem, "a value with a comma is quoted")
            for name, column, value in zip(names, kept, row, strict=True):
                column.append(_cell(value, name, file, lines.line_num))
            _must_fit(kept[0], file, lines.line_num)
    except csv.Error as error:
        line = max(lines.line_num, 1)
        raise _wrong(file, line, f"no CSV: {error}", "quote values with quotes") from error
    return columns


def _array(text: str, file: str) -> Iterator[tuple[int, Any]]:
    """The elements of a JSON list; they have no lines, so each is told by its number."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise _wrong(file, line, "no JSON", "write a list of objects, or use .jsonl") from None
    if not isinstance(told, list):
        raise _wrong(file, 1, "no list of objects", "write [{...}, {...}], or use .jsonl")
    yield from enumerate(told, 1)


def _objects(text: str, file: str) -> Iterator[tuple[int, Any]]:
    """Each line of JSON Lines with its number."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError):
            raise _wrong(file, number, "no JSON", "write one object a line") from None


def _of_objects(told: Iterator[tuple[int, Any]], file: str) -> dict[str, list[Cell]]:
    columns: dict[str, list[Cell]] = {}
    for number, row in told:
        if not isinstance(row, dict):
            raise _wrong(file, number, f"user {number} is no object", "write {...} for each")
        if not columns:
            columns = {name: [] for name in _names(list(row), file, number)}
        if row.keys() != columns.keys():
            other = min(row.keys() ^ columns.keys())[:64]
            problem = f"user {number} has other keys than the first: {other!r}"
            raise _wrong(file, number, problem, "each user has the same keys")
        for name, column in columns.items():
            column.append(_cell(row[name], name, file, number))
        _must_fit(next(iter(columns.values())), file, number)
    return columns


def _must_fit(column: Sequence[Cell], file: str, line: int) -> None:
    if len(column) > MOST_ROWS:
        raise _wrong(file, line, f"more than {MOST_ROWS} users", "a part of them will do")


def _names(names: Sequence[str], file: str, line: int) -> list[str]:
    """The names of the columns. Raises FileError for one that can be no placeholder."""
    if not names or len(names) > MOST_COLUMNS:
        problem = f"{len(names)} columns"
        raise _wrong(file, line, problem, f"the first row names 1 to {MOST_COLUMNS} columns")
    for at, name in enumerate(names):
        if not COLUMN.fullmatch(name):
            problem = f"{name[:64]!r} is no name of a column"
            help = "a letter first, then letters, digits, _ and -"
            raise _wrong(file, line, problem, help)
        if name in PLACEHOLDERS:
            problem = f"the column {name!r} has the name of a placeholder of gameday's own"
            raise _wrong(file, line, problem, f"rename it, as to member-{name}")
        if name in names[:at]:
            raise _wrong(file, line, f"the column {name!r} is there twice")
    return list(names)


def _cell(value: object, name: str, file: str, line: int) -> Cell:
    """A value as it is: text or a number. The value is never told of, it may be a secret."""
    if isinstance(value, str):
        try:
            size = len(value) if value.isascii() else len(value.encode())
        except UnicodeEncodeError:
            raise _wrong(file, line, f"{name!r} holds half a surrogate pair") from None
        if size > LONGEST_CELL:
            raise _wrong(file, line, f"{name!r} has {size} bytes, more than {LONGEST_CELL}")
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= _LARGEST_BITS:
        return value
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    raise _wrong(file, line, f"{name!r} is neither a text nor a number", "write text or a number")


def id_column(users: UsersFile, issue: IssueRequest, columns: Collection[str]) -> str | None:
    """The column that an audit tells users by; None where it is by the template of the request.

    It is `id`, or the first user in the issue's body, path or query, as ids are found; of requests
    that name nobody (a token in a header does) it is the column called `id`.
    """
    if users.id is not None:
        return users.id
    sent = issue.model_copy(update={"headers": {}})
    for name in placeholders_in(sent):
        if name == "user":
            return None
        if name in columns:
            return name
    return "id" if "id" in columns else None
