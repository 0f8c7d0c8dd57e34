"""One file of settings: TOML, whose every complaint has its line and column.

A file that another user could have written decides nothing. A project's file stays inside of its
project, and cannot say whom gameday may reach.
"""

import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gameday.core import files
from gameday.core.errors import FileError, Place, excerpt, one_of_them
from gameday.core.json_objects import Json
from gameday.core.settings.keys import KEYS, OF_NO_PROJECT, TABLES, Origin, Value, read_path
from gameday.core.settings.notify import SLACK, WEBHOOK

MOST_BYTES: Final = 64 * files.KIB  # a dozen settings take 1 KiB


def read_file(path: Path, origin: Origin) -> dict[str, Value]:
    """The settings of one file. Raises FileError at the first thing that is wrong."""
    start = Place(files.shown_path(path), 1, 1)
    try:
        raw = files.read_bytes(path, MOST_BYTES)
        _must_be_trusted(path, start, origin)
    except OSError as error:
        cure = f"make it a file of yours of {files.size(MOST_BYTES)} at most, or remove it"
        raise FileError(start, f"cannot be read: {error.strerror}", help=cure) from error
    text = files.decode(raw, start.file)
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _syntax_place(start.file, text, str(error))
        raise FileError(
            place, _problem_of(error), help="mend it there, or remove the file"
        ) from error
    reader = _File(path, text, origin)
    return {name: reader.value(name, written) for name, written in reader.flat(tables)}


def _must_be_trusted(path: Path, start: Place, origin: Origin) -> None:
    """Refuse a file that another user could have written. Raises FileError."""
    mine = (os.geteuid(), 0) if origin == "project" else (os.geteuid(),)
    for each in [path] if origin == "project" else [path, path.parent]:
        found = each.stat()
        if found.st_uid not in mine:
            raise FileError(start, f"{each} is another user's", help="remove it, or make it yours")
        if found.st_mode & stat.S_IWOTH:
            raise FileError(start, f"{each} can be written by anybody", help=f"chmod o-w {each}")


class _File:
    """One file: its settings by name, and the places of its keys."""

    def __init__(self, path: Path, text: str, origin: Origin) -> None:
        self._path, self._text, self._origin = path, text, origin
        self._file = files.shown_path(path)

    def flat(self, tables: Json) -> Iterator[tuple[str, Any]]:
        """Dotted names and what is written there. Raises FileError for what is no setting."""
        for name, content in tables.items():
            if name in TABLES:
                if not isinstance(content, dict):
                    raise self.error(name, "is not a table", f"write it under [{name}]")
                inside = {f"{name}.{key}": each for key, each in content.items()}
            else:
                inside = {name: content}
            for dotted, each in inside.items():
                self._must_be_known(dotted)
                yield dotted, each

    def _must_be_known(self, name: str) -> None:
        if name in OF_NO_PROJECT and self._origin == "project":
            why, cure = OF_NO_PROJECT[name]
            raise self.error(name, f"may not stand in a project's file: {why}", cure)
        if name == "webhooks":
            cure = f"take it out, and set {SLACK} or {WEBHOOK} in the environment"
            raise self.error(name, "is no setting: an address of a webhook is a secret", cure)
        if name not in KEYS:
            raise self.error(name, "is no setting", one_of_them(name, KEYS))

    def value(self, name: str, written: Any) -> Value:
        """One setting, read."""
        try:
            value = KEYS[name].read(written)
            if KEYS[name].read is read_path:
                value = self._below(value)
        except ValueError as error:
            raise self.error(
                name, f"{excerpt(repr(written), 80)} {error}", KEYS[name].about
            ) from None
        return Value(value, self._origin, self._file)

    def _below(self, text: str) -> str:
        """A path counts from its file, and one of a project stays in it. Raises ValueError."""
        path = Path(text)
        if self._origin == "project":
            if path.is_absolute() or ".." in path.parts or text.startswith("~"):
                raise ValueError("leads out of the project")
            if not (self._path.parent / path).resolve().is_relative_to(self._path.parent.resolve()):
                raise ValueError("leads out of the project by a link")
            return os.path.relpath(self._path.parent / path)
        return str(self._path.parent / path.expanduser())

    def error(self, name: str, problem: str, cure: str) -> FileError:
        """An error about a key, with its line and column."""
        line, column = _position(self._text, name)
        return FileError(Place(self._file, line, column), f"{name!r}: {problem}", help=cure)


def _position(text: str, name: str) -> tuple[int, int]:
    """Line and column of a key; of its table where it is written in another way."""
    table, dot, key = name.rpartition(".")
    blank = re.sub(
        r'"""(?s:.*?)"""|\'\'\'(?s:.*?)\'\'\'', lambda found: "\n" * found[0].count("\n"), text
    )
    inside, found = "", (1, 1)
    for number, line in enumerate(blank.splitlines(), start=1):
        if head := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            inside = head[1].strip("\"'")
            found = (number, 1) if inside == table else found
        written = [key] if inside == table else [] if inside else [name]
        for each in written:
            words = r"\s*\.\s*".join(rf"[\"']?{re.escape(word)}[\"']?" for word in each.split("."))
            if at := re.match(rf"\s*({words})\s*=", line):
                return number, at.start(1) + 1
        if dot and not inside and (at := re.match(rf"\s*({re.escape(table)})\s*=", line)):
            found = number, at.start(1) + 1
    return found


def _syntax_place(file: str, text: str, said: str) -> Place:
    at = re.search(r"at line (\d+), column (\d+)", said)
    if at is not None:
        return Place(file, int(at[1]), int(at[2]))
    return Place(file, max(1, text.count("\n")), 1)


def _problem_of(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "not TOML: nested too deep"
    return f"not TOML: {re.sub(r' [(]at [^)]*[)]$', '', str(error))}"
