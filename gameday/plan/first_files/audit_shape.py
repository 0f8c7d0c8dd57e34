"""The shape of an audit's answer, found by who just got one: where rows are, and who is in them.

Only what the one request proves is proposed: the list that has its user, the key with that user,
and the key with an id that was answered. How many there are in all is never guessed: `stock` is
what is left in one system, and what there was in another.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gameday.core.errors import FileError
from gameday.spec.request import ROOT
from gameday.spec.system import System
from gameday.spec.yaml import compose

_DEEPEST: Final = 3
_MOST: Final = 2_000  # values of an answer that are looked at
_LONGEST_STEP: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Dotted paths: `rows`, and in each row `user` and `id`, "" where no id is known.

    `answered` is the value of that id, as the answer to the issue had it.
    """

    rows: str
    user: str
    id: str = ""
    answered: str = ""

    def as_keys(self) -> dict[str, str]:
        """The keys beside `get` in a system file."""
        return {"rows": self.rows, "user": self.user, **({"id": self.id} if self.id else {})}


def shape_of(told: Any, users: Collection[str], ids: Collection[str]) -> Shape | None:
    """The shape in which an answer tells of one of `users`; None where it tells of none."""
    for path, rows in _lists(told):
        without_id = None
        for row in rows[-_MOST:]:
            found = list(_plain(row))
            user = next((at for at, value in found if value.lower() in users), None)
            if user is None:
                continue
            id_, value = next((each for each in found if each[1] in ids), ("", ""))
            if id_:
                return Shape(rows=path, user=user, id=id_, answered=value)
            without_id = without_id or Shape(rows=path, user=user)
        if without_id is not None:
            return without_id
    return None


def _lists(told: Any) -> Iterator[tuple[str, Sequence[Any]]]:
    """Every list of an answer that paths can name, the nearest first."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), told)]
    looked = 0
    while waiting and looked < _MOST:
        path, value = waiting.pop(0)
        looked += 1
        if isinstance(value, list):
            yield ".".join(path) or ROOT, value
        elif isinstance(value, dict) and len(path) < _DEEPEST:
            waiting += [((*path, key), each) for key, each in value.items() if _is_step(key)]


def _plain(row: Any) -> Iterator[tuple[str, str]]:
    """The texts and numbers of a row with their paths."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), row)]
    looked = 0
    while waiting and looked < _MOST:
        path, value = waiting.pop(0)
        looked += 1
        if isinstance(value, Mapping) and len(path) < _DEEPEST:
            waiting += [((*path, key), each) for key, each in value.items() if _is_step(key)]
        elif isinstance(value, str | int) and not isinstance(value, bool):
            yield ".".join(path) or ROOT, str(value)


def _is_step(key: str) -> bool:
    return 0 < len(key) <= _LONGEST_STEP and "." not in key and key.isprintable()


def can_be_written(path: str, shape: Shape) -> bool:
    """True if a system file may say so: the audit's loader decides, not this module."""
    from gameday.plan.first_files.written import flow

    audit = flow({"get": path, **shape.as_keys()})
    issue = "{get: /, outcomes: {issued: {status: 200}}}"
    text = f"name: x\nbase_url: http://127.0.0.1\nrequests: {{issue: {issue}}}\naudit: {audit}\n"
    try:
        compose(text, "audit").parse(System)
    except FileError:
        return False
    return True
