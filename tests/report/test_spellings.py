"""Certificates where a store spells users and issue ids otherwise than the request and the answer.

Each wrong is planted under each spelling, and each certificate is proven without gameday; the same
run without the wrong is accused of nothing, and no certificate of a user whose row is there in
another spelling is proven.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gameday.core.digests import digest_of
from gameday.evidence.read import read as read_evidence
from gameday.judge.judge import judge
from gameday.report import write_report
from gameday.report.certificates import file_of
from gameday.traffic.history import Outcome
from gameday.traffic.user_ids import Uuids
from tests.report.test_failed import checked
from tests.support.rundirs import SYSTEM, Answer, RunDir, drop, issue

UUID = Uuids.of(7).text
Spell = Callable[[int], Any]
SPELLINGS: dict[str, tuple[str, Spell]] = {
    "as asked": ("u{user:05d}", lambda user: f"u{user:05d}"),
    "in the other case": ("u{user:05d}", lambda user: f"U{user:05d}"),
    "the number alone": ("u{user:05d}", lambda user: user),
    "the number of a padded one": ("{user:05d}", lambda user: user),
    "in one of two ways": ("u{user:05d}", lambda user: user if user % 9 == 0 else f"u{user:05d}"),
    "a UUID without hyphens": ("{user:uuid}", lambda user: UUID(user).replace("-", "").upper()),
    "text": ("{user}", lambda user: f"{user:07d}"),
}


ASKED: dict[str, Spell] = {
    "u{user:05d}": lambda user: f"u{user:05d}",
    "{user:05d}": lambda user: f"{user:05d}",
    "{user:uuid}": UUID,
    "{user}": lambda user: user,
}


def rows_of(answers: list[Answer], spell: Spell) -> list[Any]:
    return [(spell(a.user), a.issue_id) for a in answers if a.outcome is Outcome.ISSUED]


@dataclass(frozen=True)
class Names:
    """What users are called: by the request that asked for them, and by the rows."""

    asked: Spell
    stored: Spell

    @property
    def rows(self) -> list[Any]:
        """A row for each of the 250."""
        return rows_of(drop(), self.stored)


def view(rows: list[Any]) -> dict[str, Any]:
    return {"remaining": 250 - len(rows), "holders": [user for user, _ in rows], "current": True}


def answer(rows: list[Any]) -> dict[str, Any]:
    told = [{"userId": user, "issueId": id_} for user, id_ in rows]
    return {"answer": {"stock": 250, "rows": told}, "answer_rows_equal": False}


Planted = tuple[RunDir, str, str]
Plant = Callable[[Names], Planted]


def lost(names: Names) -> Planted:
    return RunDir(rows=names.rows[1:]), "no_lost_issuance", "lost"


def lost_one_of_two(names: Names) -> Planted:
    more = [replace(issue(290 + n, 9, 29.0), issue_id=f"b{n}") for n in range(2)]
    semantics: Any = {"per_user": "many"}
    run = RunDir(
        answers=placed(*more), rows=[*names.rows, (names.stored(9), "b0")], semantics=semantics
    )
    return run, "no_lost_issuance", "lost"


def two_rows(names: Names) -> Planted:
    return RunDir(rows=[*names.rows[:249], (names.asked(7), "i7")]), "one_per_user", "two_rows"


def twice(names: Names) -> Planted:
    again = replace(issue(290, 7, 29.0), issue_id="again")
    return RunDir(answers=placed(again), rows=names.rows), "one_per_user", "twice"


def phantom_row(names: Names) -> Planted:
    return RunDir(rows=[*names.rows[:249], (names.stored(288), "x")]), "no_phantom", "phantom_row"


def phantom_answer(names: Names) -> Planted:
    told = Answer(290, 290, Outcome.DUPLICATE, 29.0)
    return RunDir(answers=placed(told), rows=names.rows), "no_phantom", "phantom_answer"


def early(names: Names) -> Planted:
    answers = [a if a.k < 200 else Answer(a.k, a.k, Outcome.SOLD_OUT, a.sent_s) for a in drop()]
    return RunDir(answers=answers, rows=names.rows[:200]), "no_premature_sold_out", "early"


def early_with_several(names: Names) -> Planted:
    """Everybody gets a second coupon at the end, so the rows are 250; at 20 s they were 125."""
    answers = [issue(k, k, k / 10) for k in range(125)]
    answers += [Answer(k, k, Outcome.SOLD_OUT, k / 10) for k in range(125, 170)]
    answers += [replace(issue(k, k - 170, k / 10), issue_id=f"j{k - 170}") for k in range(170, 295)]
    stored = [(names.stored(a.user), a.issue_id) for a in answers if a.issue_id]
    semantics: Any = {"per_user": "many"}
    run = RunDir(answers=answers, rows=stored, semantics=semantics)
    return run, "no_premature_sold_out", "early"


def users_differ(names: Names) -> Planted:
    views = {"redis": view([*((names.asked(k), "") for k in range(249)), (names.asked(400), "")])}
    return RunDir(rows=names.rows, views=views), "stores_agree", "users_differ"


def answer_differs(names: Names) -> Planted:
    told = [(names.asked(k), f"i{k}") for k in range(249)]
    return RunDir(rows=names.rows, audit=answer(told)), "stores_agree", "answer_differs"


def placed(*others: Answer) -> list[Answer]:
    at = {each.k: each for each in others}
    return [at.get(each.k, each) for each in drop()]


PLANTS: list[Plant] = [
    *(lost, lost_one_of_two, two_rows, twice, phantom_row, phantom_answer),
    *(early, early_with_several, users_differ, answer_differs),
]


def called(run: RunDir, template: str) -> RunDir:
    request = {**SYSTEM["requests"]["issue"], "json": {"userId": template}}
    run.system = {**SYSTEM, "requests": {"issue": request}, "actions": {}}
    run.semantics = {"per_user": "one", **run.semantics}
    return run


def judged(run: RunDir, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The run directory, and its checks."""
    run_dir = run.without_faults().write(folder)
    result = judge(read_evidence(run_dir))
    (run_dir / "result.json").write_bytes(result.to_bytes())
    write_report(run_dir, "en")
    return run_dir, {each.name: each for each in result.checks}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_wrong_is_proven_in_every_spelling_and_no_right_is(
    plant: Plant, spelling: str, tmp_path: Path
) -> None:
    template, spell = SPELLINGS[spelling]
    names = Names(ASKED[template], spell)
    planted, check, kind = plant(names)
    run_dir, checks = judged(called(planted, template), tmp_path / "wrong")
    assert checks[check].verdict == "invalid", (spelling, checks[check])
    path = run_dir / file_of(check)
    content = json.loads(path.read_text())
    assert content["kind"] == kind
    assert checked(path) == 0, content["facts"]

    honest = RunDir(rows=names.rows)
    if check == "stores_agree":
        honest.views = {"redis": view([(names.asked(k), "") for k in range(250)])}
        honest.audit = answer([(names.asked(k), f"i{k}") for k in range(250)])
    honest_dir, checks = judged(called(honest, template), tmp_path / "honest")
    assert {n: c.summary for n, c in checks.items() if c.verdict == "invalid"} == {}
    assert check not in checks or checks[check].verdict == "valid", (spelling, checks[check])
    sums = {name: digest_of(honest_dir / name) for name in content["files"]}
    (honest_dir / file_of(check)).write_text(json.dumps({**content, "files": sums}))
    assert checked(honest_dir / file_of(check)) == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_nobody_whose_row_is_there_in_another_spelling_is_proven_to_have_lost_it(
    spelling: str, tmp_path: Path
) -> None:
    template, spell = SPELLINGS[spelling]
    run, check, _ = lost(Names(ASKED[template], spell))
    run_dir, _ = judged(called(run, template), tmp_path / "run")
    path = run_dir / file_of(check)
    content = json.loads(path.read_text())
    told = content["facts"]["answer"]
    for user in (9, 10):
        for name in (spell(user), SPELLINGS["as asked"][1](user), UUID(user), user):
            forged = {**told, "user": name, "issue_id": f"i{user}"}
            for index in ({}, {"index": user}, {"index": told["user"]}, {"index": 0}):
                facts = {**content["facts"], "answer": {**forged, **index}}
                path.write_text(json.dumps({**content, "facts": facts}))
                assert checked(path) == 1, facts["answer"]


ID = "{:08x}-e29b-41d4-a716-{:012x}"


@pytest.mark.parametrize(
    ("told", "stored", "same"),
    [
        (lambda k: ID.format(k, k), lambda k: ID.format(k, k).upper(), True),
        (lambda k: ID.format(k, k), lambda k: ID.format(k, k).replace("-", ""), True),
        (lambda k: f"{k:09d}", lambda k: str(k), True),
        (lambda k: f"c-{k:09d}", lambda k: f"c-{k}", False),
        (lambda k: f"c-{k}", lambda k: f"C-{k}", False),
        (lambda k: ID.format(k, k), lambda k: ID.format(k, k + 1), False),
    ],
    ids=["case", "hyphens", "zeros", "zeros in a text", "case of a text", "another UUID"],
)
@pytest.mark.parametrize("per_user", ["one", "many"])
def test_an_issue_id_in_another_spelling_is_the_same_and_another_id_is_not(
    told: Callable[[int], str],
    stored: Callable[[int], str],
    same: bool,
    per_user: str,
    tmp_path: Path,
) -> None:
    answers = [replace(a, issue_id=told(a.user) if a.issue_id else "") for a in drop()]
    # Where all are other ids, it is the audit that may tell other ones: a question.
    rows = [(k, stored(k) if k % 2 else told(k)) for k in range(250)]
    run = RunDir(answers=answers, rows=rows, semantics={"per_user": per_user})
    run.audit = answer([(k, told(k)) for k in range(250)])
    run_dir, checks = judged(called(run, "{user}"), tmp_path / "run")
    for check in ("no_lost_issuance", "stores_agree"):
        assert checks[check].verdict == ("valid" if same else "invalid"), checks[check]
        if not same:
            assert checked(run_dir / file_of(check)) == 0
