"""The draft of a failed run: who was wronged, the cause, the proofs, and what is to be done."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gameday.core.digests import digest_of
from gameday.evidence.read import read as read_evidence
from gameday.judge.judge import judge
from gameday.report import write_report
from gameday.report.causes import failures
from gameday.report.certificates import file_of
from gameday.report.inputs import read_material
from gameday.report.messages import Messages
from gameday.report.people import wrongs_of
from gameday.report.sections.actions import proposed
from gameday.traffic.history import Outcome
from tests.support.rundirs import Answer, RunDir, drop, issue

CHECKER = Path(__file__).parents[2] / "examples" / "check_certificate.py"


ROWS = [(k, f"i{k}") for k in range(250)]


def with_answers(*others: Answer) -> list[Answer]:
    """The sale, with others in place of some answers."""
    placed = {answer.k: answer for answer in others}
    return [placed.get(answer.k, answer) for answer in drop()]


def view(holders: list[int], remaining: int) -> dict[str, Any]:
    return {"remaining": remaining, "holders": holders or None, "current": True}


def over() -> RunDir:
    """30 coupons beyond the stock of 250; Redis still says that none is left."""
    late = [issue(k, k, k / 10) for k in range(270, 300)]
    return RunDir(answers=with_answers(*late), views={"redis": view([], 0)})


def promised() -> RunDir:
    """One user more than there are coupons was told so; the row is not there."""
    return RunDir(answers=with_answers(issue(290, 290, 29.0)), rows=ROWS)


def lost() -> RunDir:
    """Two answers said "issued", and their rows are gone."""
    return RunDir(rows=ROWS[:248])


def twice() -> RunDir:
    again = replace(issue(290, 7, 29.0), issue_id="again")
    return RunDir(answers=with_answers(again), rows=ROWS)


def two_rows() -> RunDir:
    return RunDir(rows=[*ROWS, (7, "again")])


def phantom_row() -> RunDir:
    return RunDir(rows=[*ROWS, (280, "x")], stock=251)


def phantom_answer() -> RunDir:
    return RunDir(answers=with_answers(Answer(290, 290, Outcome.DUPLICATE, 29.0)))


def early() -> RunDir:
    return RunDir(answers=drop(stock=249))


def left() -> RunDir:
    return RunDir(answers=drop(stock=240), semantics={"holds": "strict"})


def users_differ() -> RunDir:
    return RunDir(views={"redis": view([*range(249), 400], 0)})


def stock_differs() -> RunDir:
    return RunDir(views={"redis": view(list(range(250)), 3)})


def answer_differs() -> RunDir:
    told = [{"userId": user, "issueId": f"i{user}"} for user in range(249)]
    answer = {"code": "c", "stock": 250, "rows": told}
    return RunDir(audit={"answer": answer, "answer_rows_equal": False})


def several(per_user: object, *ids: str, **fields: Any) -> RunDir:
    """User 7, who may have several, is told "issued" again at 29 s, with each of these ids."""
    more = [replace(issue(290 + n, 7, 29.0), issue_id=id_) for n, id_ in enumerate(ids)]
    semantics: Any = {"per_user": per_user}
    return RunDir(answers=with_answers(*more), semantics=semantics, **fields)


def more_rows() -> RunDir:
    return several(2, "a", "b", rows=[*ROWS, (7, "a"), (7, "b")], stock=252)


def more_told() -> RunDir:
    return several(2, "a", "a", rows=[*ROWS, (7, "a")], stock=251)


def more() -> RunDir:
    return several("many", "a", rows=[*ROWS, (7, "a"), (7, "x")], stock=252)


def lost_one_of_two() -> RunDir:
    return several("many", "", rows=ROWS)


def in_units(**fields: Any) -> RunDir:
    semantics: Any = {"units": 2}
    return RunDir(stock=500, semantics=semantics, **fields)


def over_in_units() -> RunDir:
    return in_units(answers=over().answers)


def stock_differs_in_units() -> RunDir:
    return in_units(views={"redis": view(list(range(250)), 3)})


CASES: list[tuple[Callable[[], RunDir], str, str]] = [
    (over, "no_over_issuance", "**30 coupons more than existed were issued**"),
    (promised, "no_over_issuance", "**One person too many was told that they have a coupon**"),
    (lost, "no_lost_issuance", '**2 people were told "issued", and their coupon is not in'),
    (twice, "one_per_user", '**Once a coupon was issued to somebody who had been told "issued"'),
    (two_rows, "one_per_user", "**One person holds more than one coupon**"),
    (phantom_row, "no_phantom", "**One coupon is in the store of somebody who was never told"),
    (phantom_answer, "no_phantom", "**Once somebody who holds no coupon was told"),
    (early, "no_premature_sold_out", '**51 times somebody was told "sold out" while coupons were'),
    (left, "no_premature_sold_out", "10 of the 250 coupons were never issued**"),
    (users_differ, "stores_agree", "`redis` has 1 whom the durable store does not have"),
    (stock_differs, "stores_agree", "the number of coupons left is 3 by `redis`"),
    (answer_differs, "stores_agree", "its own list leaves out 1, and 0 of the rows"),
    (more_rows, "one_per_user", "**One person holds more coupons than anybody may**"),
    (more_told, "one_per_user", 'told "issued" as often as they may**'),
    (more, "no_phantom", "**One person holds more coupons than they asked for**"),
    (lost_one_of_two, "no_lost_issuance", '**One person was told "issued", and the coupon'),
    (over_in_units, "no_over_issuance", "more than existed were issued**: there were 250"),
    (stock_differs_in_units, "stores_agree", "the number of coupons left is 3 by `redis`"),
]


def judged(run: RunDir, folder: Path) -> Path:
    """A run directory with its result."""
    run_dir = run.write(folder)
    (run_dir / "result.json").write_bytes(judge(read_evidence(run_dir)).to_bytes())
    return run_dir


def checked(certificate: Path) -> int:
    """The exit code of the independent program."""
    program = [sys.executable, "-I", str(CHECKER), str(certificate)]
    return subprocess.run(program, capture_output=True, check=False, timeout=60).returncode


@pytest.mark.parametrize(("make", "check", "lead"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_wrong_leads_the_draft_and_its_proof_holds_without_gameday(
    make: Callable[[], RunDir], check: str, lead: str, tmp_path: Path
) -> None:
    run_dir = judged(make(), tmp_path / "run")
    page = write_report(run_dir, "en").read_text()
    summary = page.split("## Summary\n\n")[1].split("\n## ")[0]
    assert lead in summary
    assert summary.index(lead) < summary.index("The cause is known") < summary.index("The damage")
    certificate = run_dir / file_of(check)
    assert f"`{certificate.name}`" in page
    assert checked(certificate) == 0, certificate.read_text()


@pytest.mark.parametrize(("make", "check", "lead"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_certificate_proves_nothing_of_an_honest_run(
    make: Callable[[], RunDir], check: str, lead: str, tmp_path: Path
) -> None:
    run_dir, honest = judged(make(), tmp_path / "run"), RunDir().write(tmp_path / "honest")
    write_report(run_dir, "en")
    content = json.loads((run_dir / file_of(check)).read_text())
    (honest / file_of(check)).write_text(json.dumps(content))
    assert checked(honest / file_of(check)) == 1, "the files are others"
    if make in {users_differ, stock_differs, stock_differs_in_units, answer_differs}:
        told = [{"userId": user, "issueId": f"i{user}"} for user in range(250)]
        audit = json.loads((honest / "audit.json").read_text())
        audit["views"] = {"redis": view(list(range(250)), 0)}
        audit["answer"] = {"rows": told}
        (honest / "audit.json").write_text(json.dumps(audit))
    sums = {name: digest_of(honest / name) for name in content["files"]}
    (honest / file_of(check)).write_text(json.dumps({**content, "files": sums}))
    assert checked(honest / file_of(check)) == 1, lead


def test_who_got_a_coupon_too_many_is_said_with_the_time(tmp_path: Path) -> None:
    run_dir = judged(over(), tmp_path / "run")
    page = write_report(run_dir, "en").read_text()
    assert "users 270, 271, 272, 273, 274 and 25 more" in page
    assert "The first of these answers came at 27.0 s, the last at 29.9 s." in page
    assert "They hold these coupons now." in page
    assert "| `270` | `27.010` | `i270` |" in page
    certificate = json.loads((run_dir / "certificate-no_over_issuance.json").read_text())
    assert [each["user"] for each in certificate["people"]] == list(range(270, 300))
    assert len(certificate["facts"]["rows"]) == 251, "one more than the stock, and no more"
    assert max(map(len, page.splitlines())) < 1_500, "no wall of rows"
    assert "&#" not in page


def test_what_else_had_been_changed_by_then_is_said(tmp_path: Path) -> None:
    page = write_report(judged(over(), tmp_path / "run"), "en").read_text()
    assert "Before the first wrong answer step 1" in page


def test_checks_that_fail_of_one_cause_are_one_action_item(tmp_path: Path) -> None:
    run = over()
    line = {"labels": {"alertname": "OverIssuance"}, "state": "firing"}
    began_ns = 1_028 * 10**9
    for each in run.evaluations:
        if each["t_ns" if "t_ns" in each else "t"] >= began_ns:
            each["alerts"] = [*each["alerts"], {**line, "active_at": began_ns}]
    run_dir = judged(run, tmp_path / "run")
    material = read_material(run_dir)
    (first, *rest) = proposed(material, Messages())
    assert list(first.expect) == ["no_over_issuance", "stores_agree", "alerts"]
    assert "`OverIssuance`" in first.what
    assert not {"no_over_issuance", "stores_agree", "alerts"} & {e for r in rest for e in r.expect}
    page = write_report(run_dir, "en").read_text()
    assert page.count("How could more coupons be issued than exist?") == 1
    assert "Is the alert `OverIssuance` noise" not in page


def test_every_failed_check_is_in_exactly_one_failure(tmp_path: Path) -> None:
    for case in CASES:
        run_dir = judged(case[0](), tmp_path / case[0].__name__)
        result = read_material(run_dir).result
        found = [
            c.name
            for f in failures(result, wrongs_of(result, partial(read_evidence, run_dir)))
            for c in f.checks
        ]
        failed = [c.name for c in result.checks if c.verdict == "invalid"]
        assert sorted(found) == sorted(failed)


def test_the_people_are_those_of_the_verdict_where_the_history_is_gone(tmp_path: Path) -> None:
    run_dir = judged(over(), tmp_path / "run")
    for path in (run_dir / "history").iterdir():
        path.unlink()
    page = write_report(run_dir, "en").read_text()
    assert "**30 coupons more than existed were issued**" in page
    assert "users 270, 271, 272, 273, 274 and 25 more" in page


def test_a_result_of_before_that_has_no_messages_is_told_by_its_summary(tmp_path: Path) -> None:
    run_dir = over().write(tmp_path / "run")
    result = judge(read_evidence(run_dir))
    (run_dir / "result.json").write_bytes(result.to_bytes(schema=1))
    page = write_report(run_dir, "en").read_text()
    assert "**More coupons were issued than exist**: 280 rows for 250 in stock: 30 too many" in page


def test_a_forged_result_writes_no_file_elsewhere_and_becomes_no_markup(tmp_path: Path) -> None:
    run_dir = judged(over(), tmp_path / "run")
    result = json.loads((run_dir / "result.json").read_text())
    evil = {"verdict": "invalid", "summary": "x", "message": None, "evidence": [{"a|b": "<b>|`"}]}
    result["checks"] += [
        {**evil, "name": "../../outside", "certificate": {"a": 1}},
        {**evil, "name": "no_phantom", "certificate": {"a": [1, {"<script>": "|"}]}},
    ]
    for check in result["checks"]:
        if check["name"] == "no_over_issuance":
            check["message"]["values"] |= {"beyond": 1e400, "stock": "<b>many</b>"}
    (run_dir / "result.json").write_text(json.dumps(result).replace("Infinity", "1e300"))
    page = write_report(run_dir, "en").read_text()
    assert not [*tmp_path.parent.glob("**/certificate-..*"), *tmp_path.glob("outside*")]
    assert "<b>" not in page.replace("`<b>", "").replace("<code>", "")
    names = sorted(path.name for path in run_dir.glob("certificate-*"))
    assert "certificate-no_phantom.json" in names
    assert all(json.loads((run_dir / name).read_text()) for name in names)


def test_the_certificate_of_an_earlier_judging_goes(tmp_path: Path) -> None:
    run_dir = judged(RunDir(), tmp_path / "run")
    (run_dir / "certificate-no_phantom.json").write_text("{}")
    (run_dir / "certificate-mine.json").write_text("{}")
    write_report(run_dir, "en")
    assert [p.name for p in run_dir.glob("certificate-*")] == ["certificate-mine.json"]


def test_a_run_that_was_stopped_says_so_first(tmp_path: Path) -> None:
    page = write_report(judged(RunDir(ended="operator"), tmp_path / "run"), "en").read_text()
    summary = page.split("## Summary\n\n")[1]
    assert summary.startswith("The run was stopped by its operator.")


@pytest.mark.parametrize(
    ("make", "check", "changes"),
    [
        (two_rows, "one_per_user", {"spellings": ["7", "8"]}),
        (twice, "one_per_user", {"user": 8}),
        (phantom_row, "no_phantom", {"index": 999_999, "row": [7, "i7"]}),
        (more_told, "one_per_user", {"user": 8, "most": 0}),
        (more, "no_phantom", {"spellings": ["7", "9"]}),
        (stock_differs, "stores_agree", {"remaining": 250, "units": 2}),
    ],
)
def test_a_certificate_that_somebody_altered_proves_nothing(
    make: Callable[[], RunDir], check: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    run_dir = judged(make(), tmp_path / "run")
    write_report(run_dir, "en")
    path = run_dir / file_of(check)
    content = json.loads(path.read_text())
    assert checked(path) == 0
    path.write_text(json.dumps({**content, "facts": {**content["facts"], **changes}}))
    assert checked(path) == 1


def nameless() -> RunDir:
    """Rows without ids of a user who may have any number, beyond the stock."""
    again = [replace(issue(290 + n, 7, 29.0), issue_id="") for n in range(3)]
    semantics: Any = {"per_user": "many"}
    rows = [*ROWS, (7, ""), (7, ""), (7, "")]
    return RunDir(answers=with_answers(*again), rows=rows, semantics=semantics)


def promised_several() -> RunDir:
    again = [replace(issue(290 + n, 7, 29.0), issue_id=f"a{n}") for n in range(3)]
    semantics: Any = {"per_user": "many"}
    return RunDir(answers=with_answers(*again), rows=ROWS, semantics=semantics)


@pytest.mark.parametrize("make", [nameless, promised_several])
def test_what_one_user_has_several_of_is_proven_too(
    make: Callable[[], RunDir], tmp_path: Path
) -> None:
    run_dir = judged(make(), tmp_path / "run")
    write_report(run_dir, "en")
    path = run_dir / file_of("no_over_issuance")
    assert checked(path) == 0, path.read_text()
    if make is promised_several:
        content = json.loads(path.read_text())
        assert content["kind"] == "more_promised"
        page = (run_dir / "postmortem.md").read_text()
        assert "3 coupons too many were promised" in page
