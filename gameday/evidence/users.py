"""Users of one run, as its evidence tells of them: by index inside, by the system's id outside.

Who no template of the issue request could have named is foreign: an index below zero, one for each
text, so that checks count with them as with all others and a report can still show who it was.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from gameday.evidence.rows import Column, User, column_of, quoted, user_of, users_of
from gameday.traffic.user_ids import FOREIGN, MOST_USERS, NUMBERS, Indices, UserIds


class Users:
    """Indices of ids, and ids of indices."""

    def __init__(self, ids: UserIds = NUMBERS) -> None:
        self._ids = ids
        self._foreign: dict[bytes, int] = {}
        self._names: list[User] = []

    def read(self, told: Column) -> Indices:
        """The indices of users as they were told, FOREIGN for all whom no request named."""
        return self._ids.read(told)

    def indices(self, told: Column) -> Indices:
        """The indices of users as they were told, below zero for foreign ones."""
        found = self.read(told)
        strange = np.flatnonzero(found == FOREIGN)
        if len(strange):
            texts = told[strange].astype(np.bytes_).tolist()
            found = found.copy()
            found[strange] = [self._index_of(text) for text in texts]
        return found

    def with_numbers(self) -> "Users | None":
        """The same where a number alone is a user as well; None where that could be another."""
        ids = self._ids.with_numbers()
        return None if ids is None else Users(ids)

    def known(self, told: Iterable[object]) -> Indices:
        """The indices of users of the run; FOREIGN for all others, who get no index by it."""
        return self._ids.read(column_of(users_of(told)))

    def _index_of(self, text: bytes) -> int:
        index = self._foreign.setdefault(text, FOREIGN - len(self._foreign))
        if len(self._foreign) > len(self._names):
            self._names.append(user_of(text.decode()))
        return index

    def id_of(self, index: int) -> User:
        """The id of a user, as the issue request or, of a foreign one, as the audit has it."""
        return self._ids.id_of(index) if index >= 0 else self._names[FOREIGN - index]

    def is_nobody(self, index: int) -> bool:
        """True for what stands where a user should and is no name: null, true, a list."""
        if index >= 0 or isinstance(name := self._names[FOREIGN - index], int):
            return False
        return name in ("", "null", "true", "false", "NaN") or name.startswith(("[", "{"))

    def named(self, index: int) -> str:
        """The id as a sentence has it: a foreign text in quotes."""
        id_ = self.id_of(index)
        return quoted(id_) if index < 0 and isinstance(id_, str) else str(id_)

    @property
    def count(self) -> int:
        """The number of users of the run; MOST_USERS where nobody said."""
        return self._ids.users

    def in_history(self, index: int) -> int | None:
        """The number under which the history has a user, where that is not the id."""
        return None if index < 0 or self._ids.are_numbers else index

    @property
    def can_be_others(self) -> bool:
        """True if who is no user of the run may be one by another id: not so of mere numbers.

        Where users are numbers of which nobody knows how many there are, a number is a user.
        """
        if not self._ids.are_numbers or self.count < MOST_USERS:
            return True
        return any(isinstance(name, str) for name in self._names)

    def has(self, indices: Indices) -> npt.NDArray[np.bool_]:
        """True for those that are users of the run."""
        found: npt.NDArray[np.bool_] = (indices >= 0) & (indices < self.count)
        return found
