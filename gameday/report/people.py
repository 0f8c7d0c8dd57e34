"""People to whom wrong was done, by the checks of safety that failed: who, how many, and when.

The counts are those of the verdict (the values of its message), so the draft and `result.json`
cannot disagree. Who and when is looked up in the history where it can be read, else it is what the
verdict shows: its first ten.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import numpy as np

from gameday.core.clock import NS
from gameday.core.errors import UnknownError, UsageError
from gameday.core.json import DAMAGED
from gameday.core.messages import Message
from gameday.evidence import wrong_answers
from gameday.evidence.attempts import Indices, distinct
from gameday.evidence.failed import failed
from gameday.evidence.model import Evidence
from gameday.judge.result import CheckLine, Result
from gameday.spec.experiment import IssuanceCheck
from gameday.telemetry.failures import FailedOutcome
from gameday.traffic import history

SAFETY: Final[tuple[str, ...]] = get_args(IssuanceCheck)
KINDS: Final[Mapping[tuple[str, str], str]] = {
    ("no_over_issuance", "check.no_over_issuance.rows"): "over",
    ("no_over_issuance", "check.no_over_issuance.promised"): "promised",
    ("no_over_issuance", "check.no_over_issuance.more_promised"): "more_promised",
    ("one_per_user", "check.one_per_user.rows"): "two_rows",
    ("one_per_user", "check.one_per_user.more_rows"): "more_rows",
    ("one_per_user", "check.one_per_user.twice"): "twice",
    ("one_per_user", "check.one_per_user.more_told"): "more_told",
    ("no_lost_issuance", "check.no_lost_issuance.lost"): "lost",
    ("no_phantom", "check.no_phantom.unexplained"): "phantom_row",
    ("no_phantom", "check.no_phantom.more"): "more",
    ("no_phantom", "check.no_phantom.baseless"): "phantom_answer",
    ("no_premature_sold_out", "check.no_premature_sold_out.early"): "early",
    ("no_premature_sold_out", "check.no_premature_sold_out.left"): "left",
    ("stores_agree", "check.stores_agree.other_stock"): "stock_differs",
    ("stores_agree", "check.stores_agree.other_stock_units"): "stock_differs",
    ("stores_agree", "check.stores_agree.other_users"): "users_differ",
    ("stores_agree", "check.stores_agree.other_answer"): "answer_differs",
}
"""Kinds of wrong by the check and the message of its verdict."""
_COUNTED: Final = {
    "over": "beyond",
    "promised": "beyond",
    "more_promised": "beyond",
    "two_rows": "users",
    "more_rows": "users",
    "twice": "answers",
    "more_told": "answers",
    "lost": "lost",
    "phantom_row": "rows",
    "more": "users",
    "phantom_answer": "answers",
    "early": "early",
    "left": "told",
}
MOST_COUNTED: Final = 10**15
_MOST_LISTED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongedUser:
    """A user as the system calls him, and when the wrong answer came; None if not known."""

    user: int | str
    at_s: float | None = None
    issue_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """The wrong that one check found; `kind` is "" for one that this version has no words for.

    `count` is how many, as the verdict counts them; `people` may be fewer than that.
    """

    check: str
    kind: str = ""
    count: int | None = None
    people: Sequence[WrongedUser] = ()
    values: Mapping[str, int | float]

    @property
    def first_s(self) -> float | None:
        """When it began, as far as that is known."""
        return min((each.at_s for each in self.people if each.at_s is not None), default=None)

    @property
    def last_s(self) -> float | None:
        return max((each.at_s for each in self.people if each.at_s is not None), default=None)


def wrongs_of(result: Result, evidence: Callable[[], Evidence]) -> Sequence[Wrong]:
    """The wrong that each failed check of safety found, the gravest first.

    `evidence` is read only where one failed.
    """
    failed = {c.name: c for c in result.checks if c.verdict == "invalid" and c.name in SAFETY}
    if not failed:
        return ()
    found = None
    with suppress(UnknownError, OSError, ValueError):
        found = evidence()
    return [_wrong(failed[name], found) for name in SAFETY if name in failed]


def _wrong(check: CheckLine, evidence: Evidence | None) -> Wrong:
    kind, message = _kind(check)
    values = {} if message is None else _numbers(message)
    found: Sequence[WrongedUser] = ()
    if evidence is not None:
        with suppress(UnknownError):
            found = _looked_up(kind, evidence)
    return Wrong(
        check=check.name,
        kind=kind,
        count=_whole(values.get(_COUNTED.get(kind, ""))),
        people=found or _named(check.evidence),
        values=values,
    )


def _kind(check: CheckLine) -> tuple[str, Message | None]:
    """The first part of the verdict's message that tells of a wrong, and its kind."""
    parts = check.message.values.get("parts") if check.message else None
    told = [check.message, *(parts if isinstance(parts, list | tuple) else ())]
    for each in told:
        if isinstance(each, Message) and (found := KINDS.get((check.name, each.id))):
            return found, each
    return "", None


def _numbers(message: Message) -> Mapping[str, int | float]:
    """The numbers among the values of a message, those of counted things too."""
    found: dict[str, int | float] = {}
    for name, value in message.values.items():
        held = value.values.get("n") if isinstance(value, Message) else value
        if isinstance(held, int | float) and not isinstance(held, bool):
            found[name] = held
    return found


def _whole(value: object) -> int | None:
    if not isinstance(value, int | float) or not abs(value) <= MOST_COUNTED:
        return None
    return int(value)


def _looked_up(kind: str, evidence: Evidence) -> Sequence[WrongedUser]:
    """Everybody, from the history, where that says who it was."""
    match kind:
        case "over":
            return _beyond_rows(evidence)
        case "promised" | "more_promised":
            beyond = wrong_answers.beyond_stock(evidence.asked, evidence.issues, evidence.semantics)
            return _answered(evidence, beyond)
        case "twice" | "more_told":
            again = wrong_answers.issued_again(evidence.asked, evidence.semantics)
            return _answered(evidence, again)
        case "lost":
            lost = wrong_answers.lost(evidence.asked, evidence.audited, evidence.semantics)
            return _answered(evidence, lost)
        case _:
            return ()


def _answered(evidence: Evidence, answers: Indices) -> Sequence[WrongedUser]:
    lines = evidence.attempts.describe(answers[:_MOST_LISTED], evidence.t0_ns)
    return [WrongedUser(user=a.user, at_s=a.ended_at, issue_id=a.issue_id) for a in lines]


def _beyond_rows(evidence: Evidence) -> Sequence[WrongedUser]:
    """The rows beyond the stock, in the order in which people were told of them."""
    attempts = evidence.asked
    answers = wrong_answers.issued(attempts)
    users, first = np.unique(attempts.users[answers], return_index=True)
    told = dict(zip(users.tolist(), attempts.ended[answers[first]].tolist(), strict=True))
    names = evidence.audited.users
    rows = sorted(evidence.audited.indexed, key=lambda row: (told.get(row[0], 2**63), row))
    return [
        WrongedUser(user=names.id_of(user), at_s=evidence.seconds(told.get(user)), issue_id=id_)
        for user, id_ in rows[evidence.issues :][:_MOST_LISTED]
    ]


def _named(lines: Sequence[object]) -> Sequence[WrongedUser]:
    """The people that a verdict names: rows, or answers with their time."""
    found = []
    for line in lines:
        if not isinstance(line, Mapping):
            continue
        user = line.get("user")
        if not isinstance(user, int | str) or isinstance(user, bool):
            continue
        at_s, id_ = line.get("ended_at"), line.get("issue_id")
        found.append(
            WrongedUser(
                user=user,
                at_s=float(at_s) if isinstance(at_s, int | float) else None,
                issue_id=id_ if isinstance(id_, str) else "",
            )
        )
    return found


LATE_S: Final = 0.2  # an answer later than that after it was due is one that a person waits for


def histories_of(run_dir: Path) -> Sequence[Path]:
    """The files that name who asked."""
    return sorted((run_dir / "history").glob("*.bin"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """Requests that failed, or were answered late, in a span of time; whose they were."""

    failed: int
    late: int
    people: int


def affected(
    run_dir: Path, t0_ns: int, span_s: tuple[float, float], outcomes: Sequence[FailedOutcome]
) -> Affected | None:
    """Those of a span of time, as the history has them; None if nobody can say."""
    start_s, end_s = span_s
    paths, users, counts = histories_of(run_dir), [], Counter[str]()
    for path in paths:
        try:
            records = history.read(path).records
        except (OSError, UsageError, *DAMAGED):
            return None
        ended, due = records["ended_ns"].astype(np.int64), records["intended_ns"].astype(np.int64)
        at_s = (np.where(ended > 0, ended, due) - t0_ns) / NS
        late = (ended > 0) & (ended - due > LATE_S * NS)
        inside = (at_s >= start_s) & (at_s <= end_s)
        hurt = inside & failed(records["outcome"], records["reason"], outcomes)
        late &= inside & ~hurt  # a request is counted once
        counts.update(failed=int(hurt.sum()), late=int(late.sum()))
        users.append(records["user"][late | hurt])
    if not paths:
        return None
    people = len(distinct(np.concatenate(users)))
    return Affected(failed=counts["failed"], late=counts["late"], people=people)
