"""Answers that cannot all be right: every one means the same, and nothing was ever issued.

Where the first person who asked was told "sold out" or "you have one", and so was everybody after,
either the system never issued anything or its file reads another answer as that one. What lies
before us cannot tell which, so it is a question to whoever wrote the file, and no accusation. That
everybody was told "issued" and no row is there is another matter: that is what a loss looks like.

Nor is it a question where something was asked before the first of these answers came, and may have
worked without saying so: requests that time out and keep what they took leave the others a stock
that is gone. Runs of before are asked nothing: they are judged as they were.
"""

from typing import Final

import numpy as np

from gameday.evidence.model import Evidence
from gameday.judge.verdict import Verdict, count, unknown
from gameday.traffic.history import Outcome

FEWEST: Final = 5
"""Of fewer answers it is no wonder that they mean the same."""
_TELLING: Final = (Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.ACCEPTED)
"""Outcomes that say something about the stock: who was refused was told nothing of it."""


def questioned(evidence: Evidence, outcome: Outcome) -> Verdict | None:
    """Unknown with the question if all answers mean `outcome` and no row is there, else None."""
    audit = evidence.audit
    if not evidence.plan.tells_unreached:
        return None
    if audit is None or audit.unsettled or len(audit.rows) or not evidence.stock:
        return None
    attempts = evidence.asked
    if not np.array_equal(attempts.are(*_TELLING), attempts.are(outcome)):
        return None
    told = int(np.count_nonzero(attempts.are(outcome)))
    if told < FEWEST:
        return None
    first_ns = attempts.ended[attempts.are(outcome)].min()
    if (attempts.sent[attempts.may_have_worked] <= first_ns).any():
        return None
    return unknown("check.match", answers=count(told, "answer"), outcome=outcome.text)
