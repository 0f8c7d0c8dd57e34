"""What a command ends with: a line per situation, the first code that applies wins.

Half are runs of literal data, judged; half are commands as a person types them. That a fault
could not be read back as gone, 6, comes before everything else, and is tried against all of it.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.cli.run import judge_run
from gameday.core.clock import SystemClock
from gameday.core.errors import ExitCode, GamedayError
from gameday.core.messages import Message
from gameday.evidence.journal import Journal
from gameday.evidence.read import read as read_evidence
from gameday.judge.judge import judge
from gameday.traffic.history import Outcome
from tests.support.events import event_of
from tests.support.rundirs import FAULT, RUN, Answer, RunDir, issue

Change = Callable[[RunDir], None]


def ended(how: str | None) -> Change:
    def change(run: RunDir) -> None:
        run.ended = how

    return change


def external(run: RunDir) -> None:
    run.effective = {**run.effective, "stack": "external"}


def no_fault(run: RunDir) -> None:
    run.without_faults()


def stuck(*, gone: bool | None) -> Change:
    def change(run: RunDir) -> None:
        run.event("fault.removed", gone=gone)
        run.event("fault.proven", removed="no", why="it still reads back as in place")

    return change


def killed_in_the_fault(run: RunDir) -> None:
    run.events = [event for event in run.events if event[0] <= 10.004]
    run.ended = None


def dosed(injected: str) -> Change:
    return lambda run: run.event("fault.dosed", injected=injected)


def calm_unknown(run: RunDir) -> None:
    run.event("fault.proven", removed="unknown", why="latency is not as before")


def over_issued(run: RunDir) -> None:
    """One coupon more than there were."""
    run.answers = [*run.answers[:-1], issue(299, 299, 26.0)]


def lost(run: RunDir) -> None:
    run.rows = run.stored_rows()[1:]


def failing(run: RunDir) -> None:
    """Every fifth request is refused: the threshold of 2 % does not hold."""
    run.answers = [
        Answer(a.k, a.user, Outcome.REFUSED, a.sent_s) if a.k >= 250 and a.k % 2 else a
        for a in run.answers
    ]


def unmeasured(run: RunDir) -> None:
    run.evaluations = []


def unasked(run: RunDir) -> None:
    run.answers = []


def missed_alert(run: RunDir) -> None:
    run.evaluations = [{**line, "alerts": []} for line in run.evaluations]


def failed_step(run: RunDir) -> None:
    run.events = [
        (at, event, {**data, "status": "failed"} if event == "step.done" and at == 15.0 else data)
        for at, event, data in run.events
    ]


def refused(run: RunDir) -> None:
    """A second run on the same target, found when the stack was up."""
    run.events = [(-9.0, "phase", {"phase": "stack"}), (-8.0, "run.refused", {"why": "used"})]
    run.answers, run.ended = [], "unhealthy"


def never_up(run: RunDir) -> None:
    run.events = [(-9.0, "phase", {"phase": "stack"})]
    run.answers, run.ended = [], "unhealthy"


def inapplicable(run: RunDir) -> None:
    run.expect(checks=["stores_agree"])


JUDGED: list[tuple[str, list[Change], int]] = [
    ("the hypothesis held", [], 0),
    ("it held without a fault", [no_fault], 0),
    ("it held on a stack of others", [external], 0),
    ("a fault reads back as there", [stuck(gone=False)], 6),
    ("a fault cannot be read back", [stuck(gone=None)], 6),
    ("killed in the fault", [killed_in_the_fault], 6),
    ("stuck, and a coupon too many", [stuck(gone=False), over_issued], 6),
    ("stuck, and a guard tripped", [stuck(gone=False), ended("guard")], 6),
    ("stuck, and stopped by the operator", [stuck(gone=None), ended("operator")], 6),
    ("stuck, and ended by a signal", [stuck(gone=None), ended("signal")], 6),
    ("stuck, and interrupted", [stuck(gone=None), ended("interrupted")], 6),
    ("stuck, and the journal has no end", [stuck(gone=False), ended(None)], 6),
    ("stuck, and the stack unhealthy", [stuck(gone=False), ended("unhealthy")], 6),
    ("stuck, and not steady", [stuck(gone=False), ended("not_steady")], 6),
    ("stuck, and a bug", [stuck(gone=False), ended("error")], 6),
    ("stuck, on a stack of others", [stuck(gone=False), external, ended("unhealthy")], 6),
    ("stuck, and nothing else known", [stuck(gone=None), dosed("unknown"), unmeasured], 6),
    ("a coupon too many", [over_issued], 1),
    ("an acknowledged coupon lost", [lost], 1),
    ("a coupon too many, and a guard tripped", [over_issued, ended("guard")], 1),
    ("a coupon too many, and the operator", [over_issued, ended("operator")], 1),
    ("a coupon too many, and a signal", [over_issued, ended("signal")], 1),
    ("a coupon too many, and unhealthy", [over_issued, ended("unhealthy")], 1),
    ("a coupon too many, and a bug", [over_issued, ended("error")], 1),
    ("a coupon too many, and not injected", [over_issued, dosed("no")], 1),
    ("a threshold broken", [failing], 1),
    ("an expected alert missed", [missed_alert], 1),
    ("a step of the playbook failed", [failed_step], 1),
    ("a threshold broken, and a guard tripped", [failing, ended("guard")], 5),
    ("a threshold broken, and not injected", [failing, dosed("no")], 3),
    ("not steady", [ended("not_steady")], 4),
    ("not steady, on a stack of others", [external, ended("not_steady")], 3),
    ("never up", [never_up], 4),
    ("never up, on a stack of others", [external, never_up], 3),
    ("refused before the traffic", [refused], 2),
    ("refused before the traffic, on a stack of others", [external, refused], 2),
    (
        "a coupon too many, and not steady, on a stack of others",
        [external, over_issued, ended("not_steady")],
        1,
    ),
    ("a guard tripped", [ended("guard")], 5),
    ("a guard tripped on a stack of others", [external, ended("guard")], 5),
    ("stopped by the operator", [ended("operator")], 5),
    ("ended by a signal", [ended("signal")], 5),
    ("interrupted", [ended("interrupted")], 5),
    ("killed after the fault was out", [ended(None)], 5),
    ("a bug", [ended("error")], 70),
    ("the fault was not injected", [dosed("no")], 3),
    ("the fault may not have been injected", [dosed("unknown")], 3),
    ("out, but latency is not back", [calm_unknown], 3),
    ("nothing was asked", [unasked], 3),
    ("nothing was measured", [unmeasured], 3),
    ("no check that was asked for applies", [inapplicable], 3),
]


def names(table: Sequence[tuple[str, Any, int]]) -> list[str]:
    return [line[0] for line in table]


def rest(table: Sequence[tuple[str, Any, int]]) -> list[tuple[Any, int]]:
    return [line[1:] for line in table]


@pytest.mark.parametrize(("changes", "code"), rest(JUDGED), ids=names(JUDGED))
def test_a_run_is_judged_with(changes: list[Change], code: int, tmp_path: Path) -> None:
    run = RunDir()
    for change in changes:
        change(run)
    path = run.write(tmp_path / RUN)
    result = judge(read_evidence(path))
    told = [(c.name, c.verdict, c.summary) for c in result.checks]
    assert result.exit_code == code, told
    assert (result.verdict == "passed") == (code == 0)
    checked = CliRunner().invoke(main, ["check", str(path)])
    assert checked.exit_code == code


def test_a_verdict_is_shown_and_counts_whatever_is_wrong_with_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(run_dir: Path) -> Path:
        raise OverflowError(f"cannot draw {run_dir.name}")

    path = RunDir().write(tmp_path / RUN)
    monkeypatch.setattr("gameday.report.write_report", fails)
    code = judge_run(path, as_json=False)
    told = capsys.readouterr()
    assert code == judge(read_evidence(path)).exit_code
    assert "postmortem  not written" in told.out
    assert "error: the report cannot be written" in told.err
    assert f"cannot draw {RUN}" in told.err
    assert (path / "result.json").is_file()


def test_a_fault_that_the_reaper_took_out_is_not_stuck(tmp_path: Path) -> None:
    run = RunDir()
    killed_in_the_fault(run)
    path = run.write(tmp_path / RUN)
    book = Journal(path / "reaper.jsonl", SystemClock(), "m1")
    book.write(event_of("fault.removed", id=FAULT, gone=True))
    book.close()
    assert judge(read_evidence(path)).exit_code == 5


EXPERIMENT = """
name: drop
campaign: {coupon: DROP, users: 1000}
traffic: {drop: {executor: constant-arrival-rate, rate: 10/s, duration: 5s}}
"""
SYSTEM = """
name: own
base_url: http://127.0.0.1:9
requests:
  issue: {post: /issue, outcomes: {issued: {status: 200}}, headers: {X-T: {env: GD_NOT_SET}}}
audit: {get: /audit}
"""
OWN = ["--stack", "external", "--system", "own.yaml"]
COMMANDS: list[tuple[str, list[str], int]] = [
    ("help", ["--help"], 0),
    ("the version", ["--version"], 0),
    ("no such command", ["rum"], 2),
    ("no such option", ["run", "--fast", "drop.yaml"], 2),
    ("no experiment named", ["run"], 2),
    ("no such experiment", ["run", "no-such-thing"], 2),
    ("a seed that is none", ["run", "drop.yaml", "--seed", "x"], 2),
    ("a delay that is none", ["run", "drop.yaml", "--responder-delay", "soon"], 2),
    ("no such program to respond", ["run", "drop.yaml", "--responder", "no-such-program -x"], 2),
    ("no such run to replay", ["run", "drop.yaml", "--responder", "replay:zzzz"], 2),
    (
        "two responders that exclude each other",
        ["run", "drop.yaml", "--responder", "person", "--no-responder"],
        2,
    ),
    ("no such stack", ["run", "drop.yaml", "--stack", "moon"], 2),
    (
        "a system that containers cannot start",
        ["run", "drop.yaml", "--stack", "compose", "--system", "own.yaml"],
        2,
    ),
    ("reuse of a stack of others", ["run", "drop.yaml", "--stack", "external", "--reuse"], 2),
    ("no such system file", ["run", "drop.yaml", "--system", "nowhere.yaml"], 2),
    ("a file that is no YAML", ["validate", "broken.yaml"], 2),
    ("an unknown fault", ["validate", "unknown-fault.yaml"], 2),
    ("an unknown outcome in a threshold", ["validate", "unknown-outcome.yaml"], 2),
    ("a good file", ["validate", "drop.yaml", "--system", "own.yaml"], 0),
    (
        "a variable that is not set",
        ["run", "drop.yaml", "--stack", "external", "--system", "own.yaml"],
        2,
    ),
    ("runs in a place that is a file", ["run", "drop.yaml", "--runs", "own.yaml"], 2),
    ("no such schema", ["schema", "moon"], 2),
    ("a schema", ["schema", "experiment"], 0),
    ("nothing to show", ["show", "no-such-thing"], 2),
    ("no runs yet", ["runs"], 0),
    ("no run to check", ["check"], 2),
    ("no such run to check", ["check", "zzzz"], 2),
    ("no such run to report on", ["report", "zzzz"], 2),
    ("no such run to heal", ["heal", "zzzz"], 2),
    ("nothing to heal", ["heal"], 0),
    ("nobody to acknowledge to", ["ack"], 2),
    ("nobody to order anything of", ["incident", "note", "x"], 2),
    ("no such order", ["incident", "dance"], 2),
    ("no run to stop", ["stop"], 2),
    ("no stack to take down", ["down"], 0),
]


@pytest.mark.parametrize(("arguments", "code"), rest(COMMANDS), ids=names(COMMANDS))
def test_a_command_ends_with(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("drop.yaml").write_text(EXPERIMENT)
    Path("own.yaml").write_text(SYSTEM)
    Path("broken.yaml").write_text("name: [")
    fault = (
        "method: [{fault: network.latancy, target: redis, latency: 1ms, at: 1s, duration: 1s}]\n"
    )
    Path("unknown-fault.yaml").write_text(
        EXPERIMENT.replace("drop\n", "unknown-fault\n", 1) + fault
    )
    expect = "expect: {thresholds: {'http_reqs{outcome:isued}': ['count>1']}}\n"
    Path("unknown-outcome.yaml").write_text(EXPERIMENT + expect)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    if code == 2:
        assert "rror: " in done.output
        assert "Traceback" not in done.output


def left_over(folder: Path, url: str) -> None:
    """A run that was killed in its fault."""
    undo = {"kind": "toxic", "url": url, "proxy": "redis", "name": "gameday-k3f9-1"}
    run = RunDir(ended=None)
    run.events = [(10.0, "fault.injecting", {"id": FAULT, "undo": [undo]})]
    run.write(folder / RUN)


def test_healing_what_cannot_be_read_back_ends_with_6(tmp_path: Path) -> None:
    left_over(tmp_path / "runs", "http://127.0.0.1:9/not-a-server")
    healed = CliRunner().invoke(main, ["heal", "--runs", str(tmp_path / "runs")])
    assert healed.exit_code in (0, 6)  # a server that is gone took its toxics with it
    checked = CliRunner().invoke(main, ["check", str(tmp_path / "runs" / RUN)])
    assert checked.exit_code in (5, 6)


def test_at_least_60_situations_are_tried() -> None:
    assert len(JUDGED) + len(COMMANDS) >= 60
    assert {line[2] for line in JUDGED} == {0, 1, 2, 3, 4, 5, 6, 70}


def test_each_class_of_error_has_the_code_that_help_tells() -> None:
    def below(kind: type[GamedayError]) -> list[type[GamedayError]]:
        return [kind, *(each for sub in kind.__subclasses__() for each in below(sub))]

    told = CliRunner().invoke(main, ["--help"]).output
    for kind in below(GamedayError):
        assert re.search(rf"^ +{kind.exit_code} ", told, re.MULTILINE), kind


def test_the_result_and_the_command_say_the_same(tmp_path: Path) -> None:
    path = RunDir(ended="guard").write(tmp_path / RUN)
    CliRunner().invoke(main, ["report", str(path)])
    found: dict[str, Any] = json.loads((path / "result.json").read_bytes())
    assert found["exit_code"] == CliRunner().invoke(main, ["check", str(path)]).exit_code == 5


SAID: list[tuple[str, str, int]] = [
    ("embedded", "not_steady", 4),
    ("compose", "not_steady", 4),
    ("external", "not_steady", 3),
    ("embedded", "unhealthy", 4),
    ("compose", "unhealthy", 4),
    ("external", "unhealthy", 3),
    ("embedded", "guard", 5),
    ("external", "guard", 5),
    ("external", "signal", 5),
    ("external", "interrupted", 5),
    ("external", "error", 70),
]
WORDS = {"not_steady": "not steady", "unhealthy": "healthy", "guard": "guard", "signal": "signal"}


@pytest.mark.parametrize(("stack", "how", "code"), SAID)
def test_help_and_its_translations_say_what_an_ending_is_worth(
    stack: str, how: str, code: int, tmp_path: Path
) -> None:
    run = RunDir(ended=how, effective={"stack": stack})
    assert judge(read_evidence(run.write(tmp_path / RUN))).exit_code == code
    meaning = next(each.meaning for each in ExitCode if each == code)
    assert meaning == Message(f"exit.{code}").text()
    assert re.search(rf"^ +{code} +{re.escape(meaning[:20])}", help_text(), re.MULTILINE)
    if how in ("not_steady", "unhealthy"):
        assert WORDS[how] in meaning
        assert ("a system of yours was not" in meaning) == (stack == "external")
    elif how in WORDS:
        assert WORDS[how] in meaning


def help_text() -> str:
    return CliRunner().invoke(main, ["--help"]).output
