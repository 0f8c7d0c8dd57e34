"""The debrief of a drill: what it says, where that is recorded, and that it names nobody."""

import re
from pathlib import Path

import pytest

from gameday.evidence.read import read as read_evidence
from gameday.judge.judge import judge
from gameday.report import write_report
from gameday.report.inputs import roles_of
from tests.judge.test_score import drilled, said, whole_response
from tests.support.rundirs import RunDir


def draft(run: RunDir, folder: Path) -> str:
    run_dir = run.write(folder / "run")
    (run_dir / "result.json").write_bytes(judge(read_evidence(run_dir)).to_bytes())
    return write_report(run_dir).read_text()


def section(page: str, head: str) -> str:
    return page.partition(f"## {head}\n")[2].partition("\n## ")[0]


def test_an_ordinary_run_has_no_debrief(tmp_path: Path) -> None:
    assert "## Debrief" not in draft(RunDir(), tmp_path)


def test_what_was_true_stands_against_what_was_believed(tmp_path: Path) -> None:
    page = section(draft(whole_response(), tmp_path), "Debrief")
    (line,) = [line for line in page.splitlines() if line.startswith("| 0 |")]
    assert "`network.latency` on `redis` is in" in line
    assert "customers are no longer affected" in line or "customers are affected" in line
    assert "*Redis answers late* (right), sev3" in line
    assert "Time to the right hypothesis: 4.5 s after the fault, 1 others before it" in page


def test_each_figure_of_the_debrief_has_where_it_is_recorded(tmp_path: Path) -> None:
    page = section(draft(whole_response(), tmp_path), "Debrief")
    rows = [line for line in page.splitlines() if re.match(r"\| (alert|objective|chart) ", line)]
    assert len(rows) >= 3
    assert all(re.search(r"`@\d+\.\d{3}`", row) for row in rows)


def test_signals_before_the_fault_are_none_and_a_loud_log_line_is_one(tmp_path: Path) -> None:
    run_dir = whole_response().write(tmp_path / "run")
    at = "2026-11-23T08:30:{:02}.000+00:00".format
    lines = [
        f'{{"time": "{at(12)}", "level": "WARNING", "logger": "early", "message": "secret"}}',
        "not JSON",
        f'{{"time": "{at(24)}", "level": "ERROR", "logger": "pool", "message": "secret"}}',
    ]
    (run_dir / "logs" / "service.log").write_text("\n".join(lines))
    (run_dir / "result.json").write_bytes(judge(read_evidence(run_dir)).to_bytes())
    page = section(write_report(run_dir).read_text(), "Debrief")
    assert "a line of level ERROR by `pool`" in page
    assert "`logs/service.log:3`" in page
    assert "secret" not in page


def test_the_score_its_parts_the_perfect_response_and_the_questions_stand_in_it(
    tmp_path: Path,
) -> None:
    page = section(draft(whole_response(), tmp_path), "Debrief")
    for text in (
        "### Score",
        "| wrong actions |",
        "At once: declare *Redis answers late*.",
        "Step 1, and see its state come about: Take Redis out of the path.",
        "TODO(person): What did you see?",
        "not to be ranked",
    ):
        assert text in page, text


NAMES = ["ann", "Bob", "Çağla", "d.evans", "eve_1", "Fay O'Hara", "redis-fan"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stands_in_the_table_of_roles_alone(tmp_path: Path, name: str) -> None:
    run = drilled(
        (12.0, "drill.joined", {"by": name, "role": "operations"}),
        (14.0, "alert.acknowledged", {"by": name}),
        (14.0, "order.given", {"order": "ack", "by": name, "through": "person"}),
        said(14.5, "note", text=f"{name} looks, {name.upper()} thinks it is Redis"),
        said(15.0, "declare", text=f"what {name} says"),
        said(16.0, "hand-over", to=name, text=f"ask {name}"),
        (16.5, "step.started", {"step": 1, "text": "", "do": "use-postgres", "by": name}
         | {"undoing": False}),
        (17.0, "operator.abort", {"why": f"gameday incident abort by {name}"}),
        (17.5, "drill.inject", {"to": "all", "text": f"tell {name}"}),
    )  # fmt: skip
    page = draft(run, tmp_path)
    text = re.sub(r"\\([^\w\s]|_)", r"\1", page)  # as a reader sees it
    before, _, rest = text.partition("### Roles")
    roles, _, after = rest.partition("\n## ")
    pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    assert not pattern.search(before), re.findall(f".*{re.escape(name)}.*", before)
    assert not pattern.search(after)
    assert pattern.search(roles)
    assert "operations" in before


def test_two_of_one_role_are_numbered_and_kinds_of_responders_are_nobody() -> None:
    people = [("ann", "operations"), ("bob", "operations"), ("cem", "scribe"), ("bot", "")]
    assert roles_of([*people, ("dee", "")]) == {
        "ann": "operations 1",
        "bob": "operations 2",
        "cem": "scribe",
        "dee": "responder",
    }


BLAME = re.compile(
    r"\b(fault of|blame|careless|mistake|should have|failed to|forgot)\b", re.IGNORECASE
)


def test_the_debrief_blames_nobody(tmp_path: Path) -> None:
    page = section(draft(drilled(said(14.0, "declare", text="no idea")), tmp_path), "Debrief")
    assert not BLAME.search(page), BLAME.search(page)
