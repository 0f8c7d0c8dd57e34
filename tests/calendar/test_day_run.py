"""A game day from its first line to its last, with runs that end as a test says."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import pytest

from gameday.calendar.conditions import Answered
from gameday.calendar.day_journal import (
    DayEnded,
    DayEntry,
    DayJournal,
    DayPlan,
    PlannedItem,
    new_day_dir,
    read_journal,
)
from gameday.calendar.day_report import write_day_report
from gameday.calendar.day_result import ReadDay, read_day
from gameday.calendar.day_run import DayRun, RunEnd, worst
from gameday.core.clock import NS
from gameday.core.errors import ExitCode, UnknownError
from gameday.evidence.read import read as read_evidence
from gameday.judge.judge import judge
from gameday.run import hold
from gameday.spec.day import BreakItem, Condition, Day, ExperimentItem, Moment
from tests.support.rundirs import RUN, RunDir

SECRET = "hunter2hunter2"


@dataclass
class Clock:
    """A clock that moves when it is waited for."""

    ns: int = 0

    def now_ns(self) -> int:
        return self.ns

    def pause(self, seconds: float) -> None:
        self.ns += round(seconds * NS)


@dataclass
class Hands:
    """Runs that end as they are told to, each after a minute."""

    clock: Clock
    ends: dict[str, RunEnd] = field(default_factory=dict)
    no: frozenset[str] = frozenset()
    stops_at_s: float = float("inf")
    ran: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    after: Callable[[str], None] = lambda _: None

    def run(self, index: int, item: ExperimentItem, begun: Callable[[str], None]) -> RunEnd:
        begun(f"run-{index}")
        self.ran.append(item.experiment)
        self.clock.pause(60)
        self.after(item.experiment)
        fine = RunEnd(run=f"run-{index}", exit_code=ExitCode.PASSED, ended="completed")
        return self.ends.get(item.experiment, fine)

    def ask(self, condition: Condition) -> Answered:
        self.asked.append(condition.name)
        return Answered(condition.name, condition.name not in self.no, f"saw {SECRET}")

    def announce(self, at: Moment, text: str) -> None:
        self.told.append((at, text))

    def stopped(self) -> DayEnded | None:
        return "operator" if self.clock.ns >= self.stops_at_s * NS else None

    def show(self, entry: DayEntry) -> None:
        self.shown.append(entry.why)


def plan_of(day: Day) -> DayPlan:
    agenda = [
        PlannedItem(planned_s=each.break_.total_seconds())
        if isinstance(each, BreakItem)
        else PlannedItem(experiment=each.experiment, optional=each.optional, planned_s=60)
        for each in day.agenda
    ]
    return DayPlan(name=day.name, title=day.title or "", stack="embedded", agenda=tuple(agenda))


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@dataclass
class Scene:
    """A day that was run in a folder of its own."""

    folder: Path
    hands: Hands
    code: ExitCode

    @property
    def read(self) -> ReadDay:
        return read_day(self.folder)

    @property
    def statuses(self) -> list[str]:
        return [each.status for each in self.read.result.agenda]


def conducted(runs: Path, hands: Hands, *, optional: bool = True, **keys: object) -> Scene:
    day = Day.model_validate({"name": "d", **keys})
    folder = new_day_dir(runs, day.name)
    journal = DayJournal(folder, lambda text: text.replace(SECRET, "***"))
    code = DayRun(day, plan_of(day), hands, journal, hands.clock).conduct(optional=optional)
    journal.close()
    return Scene(folder, hands, code)


def end(code: ExitCode, ended: str = "completed") -> RunEnd:
    return RunEnd(run="run-0", exit_code=code, ended=ended)


A_B: Sequence[object] = [{"experiment": "a"}, {"break": "10m"}, {"experiment": "b"}]


def test_the_agenda_is_done_in_its_order(tmp_path: Path) -> None:
    scene = conducted(tmp_path, Hands(Clock()), agenda=A_B)
    assert scene.hands.ran == ["a", "b"]
    assert scene.hands.clock.ns == 720 * NS
    assert scene.statuses == ["done", "done", "done"]
    assert (scene.code, scene.read.result.ended) == (ExitCode.PASSED, "completed")


@pytest.mark.parametrize(
    ("stop_on", "code", "goes_on"),
    [
        ("failed", ExitCode.PASSED, True),
        ("failed", ExitCode.UNKNOWN, True),
        ("failed", ExitCode.INVALID, False),
        ("failed", ExitCode.UNHEALTHY, False),
        ("failed", ExitCode.USAGE, False),
        ("failed", ExitCode.BUG, False),
        ("unknown", ExitCode.UNKNOWN, False),
        ("unknown", ExitCode.PASSED, True),
        ("never", ExitCode.INVALID, True),
        ("never", ExitCode.BUG, True),
        ("never", ExitCode.STUCK, False),
    ],
)
def test_a_failing_run_ends_the_day_as_the_file_says(
    tmp_path: Path, stop_on: str, code: ExitCode, goes_on: bool
) -> None:
    hands = Hands(Clock(), {"a": end(code)})
    scene = conducted(tmp_path, hands, agenda=A_B, stop_on=stop_on)
    assert hands.ran == (["a", "b"] if goes_on else ["a"])
    assert scene.code == code
    assert scene.statuses[2] == ("done" if goes_on else "not_begun")


def test_an_item_may_say_otherwise_than_its_day(tmp_path: Path) -> None:
    agenda = [{"experiment": "a", "stop_on": "never"}, {"experiment": "b"}, {"experiment": "c"}]
    hands = Hands(Clock(), {"a": end(ExitCode.INVALID), "b": end(ExitCode.INVALID)})
    conducted(tmp_path, hands, agenda=agenda, stop_on="failed")
    assert hands.ran == ["a", "b"]


@pytest.mark.parametrize("ended", ["operator", "signal"])
def test_whoever_stops_a_run_has_stopped_the_day(tmp_path: Path, ended: str) -> None:
    hands = Hands(Clock(), {"a": end(ExitCode.ABORTED, ended)})
    scene = conducted(tmp_path, hands, agenda=A_B, stop_on="never")
    assert hands.ran == ["a"]
    assert (scene.read.result.ended, scene.code) == (ended, ExitCode.ABORTED)


def test_a_day_in_a_break_hears_an_order_to_stop(tmp_path: Path) -> None:
    scene = conducted(tmp_path, Hands(Clock(), stops_at_s=90), agenda=A_B)
    assert scene.hands.clock.ns < 91 * NS
    assert scene.statuses == ["done", "interrupted", "not_begun"]
    assert (scene.read.result.ended, scene.code) == ("operator", ExitCode.ABORTED)


def test_a_hold_ends_a_day(tmp_path: Path) -> None:
    hands = Hands(Clock())

    def incident(_: str) -> None:
        hold.put("a real incident", "somebody")

    hands.after = incident
    scene = conducted(tmp_path, hands, agenda=A_B)
    assert hands.ran == ["a"]
    assert (scene.read.result.ended, scene.code) == ("hold", ExitCode.ABORTED)
    assert "a real incident" in scene.read.result.why


def test_no_go_means_that_nothing_begins_and_nobody_is_told_of_a_beginning(tmp_path: Path) -> None:
    go = [{"name": "calm", "command": ["true"]}, {"name": "free", "command": ["true"]}]
    hands = Hands(Clock(), no=frozenset({"free"}))
    announced = [{"at": "start", "text": "We begin"}]
    scene = conducted(tmp_path, hands, agenda=A_B, go=go, announcements=announced)
    assert hands.ran == [] == hands.told
    assert (scene.read.result.ended, scene.read.result.why) == ("no_go", "free")
    assert scene.code is ExitCode.UNKNOWN


def test_a_condition_before_each_is_asked_again_and_can_end_the_day(tmp_path: Path) -> None:
    go = [
        {"name": "once", "command": ["true"]},
        {"name": "each", "command": ["true"], "before": "each"},
    ]
    hands = Hands(Clock())

    def turns(_: str) -> None:
        hands.no = frozenset({"each"})

    hands.after = turns
    scene = conducted(tmp_path, hands, agenda=A_B, go=go)
    assert hands.asked == ["once", "each", "each"]
    assert hands.ran == ["a"]
    assert scene.read.result.ended == "no_go"


def test_an_optional_item_is_left_out_where_the_time_is_up(tmp_path: Path) -> None:
    agenda = [
        {"experiment": "a"},
        {"experiment": "b", "optional": True},
        {"break": "1m"},
        {"experiment": "c"},
    ]
    within = conducted(tmp_path, Hands(Clock()), agenda=agenda, within="3m59s")
    assert within.hands.ran == ["a", "c"]
    assert within.read.result.agenda[1].why == "no_time"
    roomy = conducted(tmp_path, Hands(Clock()), agenda=agenda, within="4m")
    assert roomy.hands.ran == ["a", "b", "c"]
    asked = conducted(tmp_path, Hands(Clock()), optional=False, agenda=agenda)
    assert asked.read.result.agenda[1].why == "asked"


@pytest.mark.parametrize("codes", list(permutations([*ExitCode], 2)))
def test_the_worst_exit_code_is_the_first_of_the_contract(codes: tuple[ExitCode, ...]) -> None:
    order = [6, 1, 4, 5, 70, 2, 3, 0]
    assert worst(codes) == min(codes, key=lambda code: order.index(int(code)))


def killed_day(runs: Path, lines: int) -> Path:
    scene = conducted(runs, Hands(Clock()), agenda=A_B, title="A <b>day</b> | [x](http://evil)")
    path = scene.folder / "day.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
    return scene.folder


def test_of_a_killed_day_what_was_done_can_be_read_at_every_line(tmp_path: Path) -> None:
    whole = conducted(tmp_path, Hands(Clock()), agenda=A_B).folder / "day.jsonl"
    for lines in range(1, len(whole.read_bytes().splitlines())):
        read = read_day(killed_day(tmp_path, lines))
        result = read.result
        assert (result.ended, result.exit_code) == ("interrupted", ExitCode.ABORTED)
        assert [e.status for e in result.agenda].count("interrupted") <= 1
        assert "\n# A &lt;b&gt;day" in write_day_report(read).read_text()


def test_a_torn_line_is_told_and_what_stands_before_it_counts(tmp_path: Path) -> None:
    folder = killed_day(tmp_path, 4)
    with (folder / "day.jsonl").open("ab") as file:
        file.write(b'{"at": "2026')
    result = read_day(folder).result
    assert result.damage.startswith("line 5")
    assert result.agenda[0].status == "done"


@pytest.mark.parametrize(
    "raw", [b"", b"[" * 100_000, b"{}", b'{"at": 1, "event": "day.started"}', b"\xff\xfe\n"]
)
def test_what_is_no_journal_of_a_day_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "day.jsonl").write_bytes(raw)
    with pytest.raises(UnknownError):
        read_journal(tmp_path)


def test_a_journal_that_names_a_run_elsewhere_leads_nowhere(tmp_path: Path) -> None:
    hands = Hands(Clock(), {"a": RunEnd(run="../../etc", exit_code=ExitCode.PASSED)})
    scene = conducted(tmp_path, hands, agenda=[{"experiment": "a"}])
    raw = (scene.folder / "day.jsonl").read_text().replace("run-0", "../../../etc")
    (scene.folder / "day.jsonl").write_text(raw)
    assert scene.read.result.runs == []
    assert "etc" not in write_day_report(scene.read).read_text()


def test_secrets_do_not_reach_the_journal_or_the_report(tmp_path: Path) -> None:
    go = [{"name": "calm", "command": ["true"]}]
    scene = conducted(tmp_path, Hands(Clock()), agenda=A_B, go=go)
    report = write_day_report(scene.read).read_text()
    assert SECRET not in (scene.folder / "day.jsonl").read_text() + report
    assert "saw ***" in scene.hands.shown
    assert not [text for text in scene.hands.shown if SECRET in text]
    assert r"saw \*\*\*" in report


def judged(runs: Path, run_dir: RunDir) -> None:
    folder = runs / RUN
    run_dir.write(folder)
    (folder / "result.json").write_bytes(judge(read_evidence(folder)).to_bytes())


def test_the_report_has_verdicts_clocks_lessons_and_questions_of_every_run(tmp_path: Path) -> None:
    judged(tmp_path, RunDir())
    hands = Hands(Clock(), {"a": RunEnd(run=RUN, exit_code=ExitCode.PASSED)})
    scene = conducted(tmp_path, hands, agenda=A_B)
    result = read_evidence(tmp_path / RUN)
    report = write_day_report(scene.read).read_text()
    assert judge(result).clocks.detected_after_s is not None
    row = next(line for line in report.splitlines() if line.startswith("| `a` | "))
    assert f"{judge(result).clocks.detected_after_s:.1f} s" in row
    assert f"../../{RUN}/postmortem.md" in row
    assert "The run `run-2` cannot be read" in report
    assert report.count("TODO(person)") >= 9
    for head in ("Agenda as", "What was learned", "Action items", "Questions"):
        assert head.lower() in report.lower()


def test_an_edited_report_is_left_alone(tmp_path: Path) -> None:
    scene = conducted(tmp_path, Hands(Clock()), agenda=A_B)
    first = write_day_report(scene.read)
    assert write_day_report(scene.read) == first
    first.write_text(first.read_text() + "\nWe talked.\n")
    assert write_day_report(scene.read).name == "day.new.md"
    assert "We talked." in first.read_text()


def test_the_result_is_strict_json(tmp_path: Path) -> None:
    scene = conducted(tmp_path, Hands(Clock()), agenda=A_B)
    told = json.loads(scene.read.result.to_bytes())
    assert (told["schema"], told["ended"], len(told["agenda"])) == (1, "completed", 3)
