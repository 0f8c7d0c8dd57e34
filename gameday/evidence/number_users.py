"""Readings of the users in an audit, where more than one is possible.

A number that stands alone may be the user of `u00042`, or a key of the system's own; `1042` may be
user 1042, or user 42 of `1{user:03d}`. Read wrongly, it would make an honest system look as if it
lost every coupon. So the run has to show it: the issue ids of the rows are those that the users
were told. Where they do not tell, the first reading counts, the one that can mistake nobody.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gameday.evidence.attempts import Attempts
from gameday.evidence.rows import Rows
from gameday.traffic.history import ID_BYTES, Outcome
from gameday.traffic.user_ids import FOREIGN, NOBODY, NUMBERS, UserIds

_AGREE: Final = 0.9  # of the issue ids; the others may be what is wrong with the system
_LOOKED_AT: Final = 10_000  # rows: they are all of one kind
_PIECES: Final = 10  # some thousand rows each


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


def reading_of(attempts: Attempts, rows: Rows, choices: Sequence[UserIds]) -> UserIds:
    """The reading whose users were told the issue ids of their rows, else the first."""
    first = choices[0]
    if len(choices) == 1 or not len(rows) or _is_whole(rows, first):
        return first
    shares = _shares(attempts, rows, choices)
    if shares is not None:
        fitting = [each for each, share in zip(choices, shares, strict=True) if share >= _AGREE]
        if fitting:
            return fitting[0]
        wrong = shares[0] <= 1 - _AGREE and first.are_numbers
        return next((each for each in choices if not each.are_numbers), first) if wrong else first
    return choices[1] if _is_padded_throughout(rows, choices) else first


def _is_whole(rows: Rows, first: UserIds) -> bool:
    """True if every row has a whole id of the request, which nobody else can have."""
    if first.are_numbers:
        return False
    return all((first.read(told) != FOREIGN).all() for told, _ in rows.pieces[:_PIECES])


def _is_padded_throughout(rows: Rows, choices: Sequence[UserIds]) -> bool:
    """True if rows have zeros before their numbers: then those that need none are users too."""
    first = choices[0]
    if not first.is_padded_number or choices[1].are_numbers:
        return False
    return any((first.read(told) != FOREIGN).any() for told, _ in rows.pieces)


def _shares(attempts: Attempts, rows: Rows, choices: Sequence[UserIds]) -> Sequence[float] | None:
    """The share of the issue ids that each reading gives to those who were told them."""
    owners = _owners(attempts)
    compared, agreed, seen = 0, [0] * len(choices), 0
    for told, ids in rows.pieces if owners else ():
        known = [owners.get(id_[:ID_BYTES], FOREIGN) for id_ in ids[:_LOOKED_AT].tolist()]
        owner = np.array(known, dtype=np.int64)
        compared += int((owner != FOREIGN).sum())
        for place, each in enumerate(choices):
            read = each.read(told[:_LOOKED_AT])
            agreed[place] += int(((read == owner) & (owner != FOREIGN)).sum())
        seen += len(told)
        if seen >= _LOOKED_AT:
            break
    return [each / compared for each in agreed] if compared else None


def _owners(attempts: Attempts) -> Mapping[bytes, int]:
    """The user who was told each issue id, of those that one user alone was told."""
    answers = np.flatnonzero(attempts.are(Outcome.ISSUED))
    ids = attempts.ids(answers)
    told, first, counts = np.unique(ids, return_index=True, return_counts=True)
    users = attempts.users[answers][first]
    several = counts > 1
    alone = (told != b"") & ~several
    return dict(zip(told[alone].tolist(), users[alone].tolist(), strict=True))
