"""Numbers that stand alone in an audit, where the issue request calls a user `u00042`.

The system may have kept the number alone, or it may tell of keys of its own. Read wrongly, either
would make an honest system look as if it lost every coupon. So the run has to show it: the ids of
the issues agree with what users were told, or every number is of somebody who may have been issued
one, and that cannot be chance.
"""

import math
from typing import Final

import numpy as np

from gameday.evidence.attempts import Attempts, among, distinct
from gameday.evidence.audit import Audit
from gameday.evidence.users import Users
from gameday.traffic.history import Outcome

_AGREE: Final = 0.9  # of the issue ids; the others may be what is wrong with the system
_CHANCE: Final = 1e-9


def numbers_as_users(attempts: Attempts, audit: Audit) -> Users | None:
    """Users that numbers alone stand for too, if the run shows that they do."""
    users = audit.users.with_numbers()
    if users is None or not len(attempts) or not _are_users(attempts, audit, users):
        return None
    return users


def _are_users(attempts: Attempts, audit: Audit, users: Users) -> bool:
    told, ids = audit.columns
    read = np.concatenate([users.indices(piece) for piece, _ in audit.rows.pieces] or [told])
    alone = (told < 0) & (read >= 0)
    if not alone.any():
        return False
    owners = _owners(attempts)
    agree = [
        owners[id_] == user
        for user, id_ in zip(read[alone].tolist(), ids[alone].tolist(), strict=True)
        if id_ in owners
    ]
    if agree:
        return sum(agree) >= _AGREE * len(agree)
    able = attempts.are(Outcome.ISSUED, Outcome.DUPLICATE) | attempts.may_have_worked
    askers, named = distinct(attempts.users[able]), distinct(read[alone])
    if not len(askers) or not among(named, askers).all():
        return False
    share = min(1.0, len(askers) / audit.users.count)
    return bool(len(named) * math.log(share) < math.log(_CHANCE))


def _owners(attempts: Attempts) -> dict[bytes, int]:
    """The user who was told each issue id, of those that one user alone was told."""
    answers = np.flatnonzero(attempts.are(Outcome.ISSUED))
    owners: dict[bytes, int] = {}
    users, ids = attempts.users[answers].tolist(), attempts.ids(answers).tolist()
    for user, id_ in zip(users, ids, strict=True):
        owners[id_] = user if owners.get(id_, user) == user else -1
    return {id_: user for id_, user in owners.items() if id_ and user >= 0}
