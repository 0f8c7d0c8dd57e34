"""Readings of the users in an audit, where more than one is possible.

A number that stands alone may be the user of `u00042`, or a key of the system's own; `1042` may be
user 1042, or user 42 of `1{user:03d}`. Read wrongly, it would make an honest system look as if it
lost every coupon. So the run has to show it: the issue ids of the rows are those that the users
were told. Where they do not tell, the first reading counts, the one that can mistake nobody.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from gameday.evidence.attempts import Attempts
from gameday.evidence.audit import Audit
from gameday.evidence.issue_ids import plain_id
from gameday.evidence.rows import Rows
from gameday.traffic.history import Outcome, stored_id
from gameday.traffic.user_ids import FOREIGN, NOBODY, NUMBERS, Indices, UserIds

_AGREE: Final = 0.9  # of the issue ids; the others may be what is wrong with the system
_LOOKED_AT: Final = 10_000  # rows that would be of different users


def readings(ids: UserIds, *, as_ever: bool) -> Sequence[UserIds]:
    """The readings that ids of a run may have, the one that counts where nothing tells first.

    Where the request is `as_ever`, numbers are users as they always were.
    """
    numbered, formed = ids.with_numbers(), ids.without_numbers()
    others = [each for each in (ids, numbered, formed) if each is not None]
    if as_ever and ids.are_numbers and formed is None:
        return [NUMBERS]
    if as_ever:
        return [ids.with_any_number(), *others]
    return others if formed is None else [NOBODY, *others]


def reading_of(attempts: Attempts, audit: Audit, choices: Sequence[UserIds]) -> UserIds:
    """The reading whose users were told the issue ids of their rows, else the first.

    The audit has its users by the first.
    """
    first, rows = choices[0], audit.rows
    if len(choices) == 1 or not len(rows):
        return first
    if not first.are_numbers and audit.of_the_run is not None:
        return first  # every row has a whole id of the request, which nobody else can have
    shares = _shares(attempts, rows, choices)
    if shares is not None:
        best = int(np.argmax(shares))  # the first of them
        if shares[best] >= _AGREE:
            return choices[best]
        wrong = shares[0] <= 1 - _AGREE and first.are_numbers
        return next((each for each in choices if not each.are_numbers), first) if wrong else first
    return choices[1] if _is_padded_throughout(rows, choices) else first


def _is_padded_throughout(rows: Rows, choices: Sequence[UserIds]) -> bool:
    """True if rows have zeros before their numbers: then those that need none are users too."""
    first = choices[0]
    if not first.is_padded_number or choices[1].are_numbers:
        return False
    return any((first.read(told) != FOREIGN).any() for told, _ in rows.pieces)


def _shares(attempts: Attempts, rows: Rows, choices: Sequence[UserIds]) -> Sequence[float] | None:
    """The share of the issue ids that each reading gives to those who were told them.

    Of rows that are of different users by them; the others are no sign of either.
    """
    told, ids = _read_differently(rows, choices)
    if len(set(ids)) == len(ids):
        shares = [_told_so(attempts, read, ids) for read in told]
        if max(shares, default=0.0) >= _AGREE:
            return shares
    owners = _owners(attempts, ids, bytes)
    if not owners:
        ids = list(map(plain_id, ids))
        owners = _owners(attempts, ids, plain_id)
    owner = np.array([owners.get(id_, FOREIGN) for id_ in ids], dtype=np.int64)
    known = owner != FOREIGN
    if not known.any():
        return None
    return [float((read[known] == owner[known]).mean()) for read in told]


def _told_so(attempts: Attempts, users: Indices, ids: Sequence[bytes]) -> float:
    """The share of all of these ids that their users were told: the least that it can be."""
    answers = np.flatnonzero(attempts.of(users, attempts.are(Outcome.ISSUED)))
    told = zip(attempts.users[answers].tolist(), attempts.ids(answers).tolist(), strict=True)
    pairs = zip(users.tolist(), ids, strict=True)
    return len({(user, id_) for user, id_ in told if id_}.intersection(pairs)) / max(1, len(ids))


def _read_differently(
    rows: Rows, choices: Sequence[UserIds]
) -> tuple[Sequence[Indices], Sequence[bytes]]:
    """The first rows that are not of one user by all readings: by each, and their ids."""
    told: list[list[Indices]] = [[] for _ in choices]
    found: list[bytes] = []
    for users, ids in rows.pieces:
        read = [each.read(users) for each in choices]
        differ = np.flatnonzero(np.any([each != read[0] for each in read], axis=0))
        found += [stored_id(id_.decode()) for id_ in ids[differ].tolist()]
        for place, each in enumerate(read):
            told[place].append(each[differ])
        if len(found) >= _LOOKED_AT:
            break
    return [np.concatenate(each) for each in told], found


def _owners(
    attempts: Attempts, ids: Sequence[bytes], spelled: Callable[[bytes], bytes]
) -> Mapping[bytes, int]:
    """The user who was told each of these issue ids, of those that were told once."""
    wanted = set(ids) - {b""}
    answers = np.flatnonzero(attempts.are(Outcome.ISSUED))[: None if wanted else 0]
    told = list(map(spelled, attempts.ids(answers).tolist()))
    places = [place for place, id_ in enumerate(told) if id_ in wanted]
    times = Counter(told[place] for place in places)
    users = attempts.users[answers]
    return {told[place]: int(users[place]) for place in places if times[told[place]] == 1}
