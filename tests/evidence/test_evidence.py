"""Reading a run directory: tables, times and anchors, and what is missing."""

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.clock import NS
from gameday.core.errors import UsageError
from gameday.core.files import MIB
from gameday.core.json import DAMAGED
from gameday.evidence import rows as rows_module
from gameday.evidence.attempts import among, distinct
from gameday.evidence.audit import Audit, audit_of
from gameday.evidence.model import MissingEvidenceError
from gameday.evidence.read import read as read_evidence
from gameday.evidence.rows import LONGEST_USER, RowError, Rows, user_of, users_of
from gameday.evidence.users import Users
from gameday.judge.verdict import Validity
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.schedule import users as population
from gameday.traffic.user_ids import NUMBERS, IdForm, UserIds
from tests.support.rundirs import FAULT, RUN, T0_NS, Answer, RunDir, issue, read, verdict


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run"):
        read_evidence(tmp_path)


def test_a_whole_run_is_read_without_a_problem() -> None:
    found = read(RunDir())
    assert found.problems == {}
    assert found.name == RUN
    assert len(found.attempts) == 300
    assert found.seconds(found.traffic_end_ns) == 30.0


def test_a_dispatched_start_without_a_record_is_unknown_and_its_user_known() -> None:
    found = read(RunDir(answers=[issue(0, 0, 0.0), issue(2, 2, 0.2)], dispatched=4))
    unknown = found.attempts.are(Outcome.UNKNOWN)
    assert found.attempts.records["k"][unknown].tolist() == [1, 3]
    users = [population.user(7, "drop", k, 1_000_000) for k in (1, 3)]
    assert found.attempts.users[unknown].tolist() == users
    assert found.attempts.sent[unknown].tolist() == [T0_NS + NS // 10, T0_NS + 3 * NS // 10]


def test_attempts_are_sorted_by_the_time_they_were_meant_to_start() -> None:
    found = read(RunDir(answers=[issue(1, 1, 0.1), issue(0, 0, 0.0)]))
    assert found.attempts.records["k"].tolist() == [0, 1]


def test_a_dropped_start_and_a_refused_connection_reached_nobody() -> None:
    answers = [
        Answer(0, 0, Outcome.DROPPED, 0.0, 0.0, "", Reason.SYSTEM_SATURATED),
        Answer(1, 1, Outcome.REFUSED, 0.1, 0.1, "", Reason.CONNECT_REFUSED),
        Answer(2, 2, Outcome.REFUSED, 0.2),
        Answer(3, 3, Outcome.UNKNOWN, 0.3),
    ]
    assert read(RunDir(answers=answers)).attempts.reached_nobody.tolist() == [
        *(True, True),
        *(False, False),
    ]


def test_the_window_of_a_fault_has_the_times_of_the_answers() -> None:
    fault = read(RunDir()).fault(FAULT)
    times = (fault.injecting_ns, fault.injected_ns, fault.removed_ns)
    assert [None if t is None else (t - T0_NS) / NS for t in times] == [10.0, 10.004, 16.005]
    assert not fault.left_behind


def test_the_first_removal_that_read_back_as_gone_counts() -> None:
    run = RunDir()
    run.event("fault.removed", gone=None)
    run.events.append((17.5, "fault.removed", {"id": FAULT, "gone": True}))
    run.events.append((18.5, "fault.removed", {"id": FAULT, "gone": True}))
    fault = read(run).fault(FAULT)
    assert (fault.removed_ns or 0) - T0_NS == 17.5 * NS
    assert fault.gone


def test_a_step_that_the_run_ended_in_was_interrupted() -> None:
    run = RunDir(ended=None)
    run.events = [e for e in run.events if e[0] < 15]
    step = read(run).timeline.steps[0]
    assert (step.status, step.took_s) == ("interrupted", None)


def test_an_undo_that_was_cut_off_and_done_again_is_one_from_its_beginning_on() -> None:
    run = RunDir()
    at_s, event, data = next(e for e in run.events if e[1] == "step.started" and e[2]["undoing"])
    run.events.insert(run.events.index((at_s, event, data)), (at_s - 0.1, event, data))
    *_, undo = read(run).timeline.steps
    assert (undo.undoing, undo.status, undo.started_ns) == (True, "done", T0_NS + 16_600_000_000)
    run.events += [(18.0, event, data)]
    *_, undo = read(run).timeline.steps
    assert (undo.status, undo.started_ns) == ("interrupted", T0_NS + 18 * NS), "that one had ended"


def test_readings_after_the_traffic_are_not_a_breach() -> None:
    run = RunDir()
    assert read(run).anchors.outages[0].recovered_ns == T0_NS + 18 * NS
    for line in run.evaluations[31:]:
        line["readings"] = {"objective:fast": False}
    assert len(read(run).anchors.outages) == 1


def test_an_abort_ends_the_traffic() -> None:
    run = RunDir(ended="guard")
    run.events.insert(4, (12.0, "guard.tripped", {"guard": "x > 1", "why": "true"}))
    assert read(run).seconds(read(run).traffic_end_ns) == 12.0


@pytest.mark.parametrize(
    ("answers", "rows", "expected_s"),
    [
        ([issue(0, 0, 0.0), issue(1, 1, 0.1), issue(2, 2, 0.2)], None, 0.21),
        ([issue(0, 0, 0.0), issue(1, 0, 0.1)], None, 0.11),
        ([issue(0, 0, 0.0), issue(1, 1, 0.1)], [(0, "i0")], 0.11),
        ([issue(0, 0, 0.0), issue(1, 1, 0.1)], None, None),
    ],
)
def test_the_first_wrong_coupon_has_an_instant(
    answers: list[Answer], rows: list[tuple[int, str]] | None, expected_s: float | None
) -> None:
    found = read(RunDir(stock=2, answers=answers, rows=rows))
    assert found.seconds(found.anchors.wrong_coupon_ns) == expected_s


@pytest.mark.parametrize(
    ("check", "expected_s"),
    [
        ("no_over_issuance", 0.21),
        ("one_per_user", 0.31),
        ("no_lost_issuance", 0.11),
        ("no_phantom", None),
    ],
)
def test_damage_is_only_what_the_experiment_asks_about(
    check: str, expected_s: float | None
) -> None:
    answers = [issue(0, 0, 0.0), issue(1, 1, 0.1), issue(2, 2, 0.2), issue(3, 0, 0.3)]
    rows = [(user, f"i{user}") for user in (0, 2)]
    run = RunDir(stock=2, answers=answers, rows=rows)
    run.expect(checks=[check])
    found = read(run)
    assert found.seconds(found.anchors.wrong_coupon_ns) == expected_s


def test_what_is_missing_is_said_with_its_reason(tmp_path: Path) -> None:
    folder = RunDir().write(tmp_path / "run")
    (folder / "audit.json").write_text("{")
    (folder / "samples.jsonl").unlink()
    (folder / "history" / "drop-0.bin").write_bytes(b"no history")
    found = read_evidence(folder)
    for part, ask in (
        ("audit", lambda: found.audited),
        ("samples", lambda: found.readings),
        ("history", lambda: found.asked),
    ):
        with pytest.raises(MissingEvidenceError, match=part):
            ask()


def test_a_run_has_windows_before_during_and_after_each_fault() -> None:
    found = read(RunDir()).about.windows
    assert list(found) == ["before", f"during-{FAULT}", f"after-{FAULT}"]
    seconds = [[(round((t - T0_NS) / NS, 1)) for t in span[:2]] for [span] in found.values()]
    assert seconds[0] == [0, 10]
    assert seconds[1] == [10.0, 16.0]
    assert seconds[2][0] == 16.0
    assert read(RunDir().without_faults()).about.windows == {}


def test_thresholds_may_ask_about_a_window_and_about_the_method() -> None:
    run = RunDir()
    run.expect(
        thresholds={
            f"http_reqs{{window:during-{FAULT}}}": ["count==60"],
            "http_reqs{window:before,method:POST,name:/api/v1/coupons/issue}": ["count>=100"],
        }
    )
    assert verdict(run, "thresholds").validity is Validity.VALID
    run.expect(thresholds={"http_reqs{method:GET}": ["count==0"]})
    assert verdict(run, "thresholds").validity is Validity.UNKNOWN


@given(st.lists(st.integers(-9, 9)), st.lists(st.integers(-9, 9)))
def test_who_is_among_others_is_found_by_their_order(some: list[int], others: list[int]) -> None:
    users, known = np.array(some, dtype=np.int64), np.array(others, dtype=np.int64)
    assert among(users, known).tolist() == [user in others for user in some]
    assert distinct(users).tolist() == sorted(set(some))


def test_rows_are_read_whatever_form_their_ids_have() -> None:
    pairs = [[1, "a"], ["2", 3], [4, None], [1.0, "b"]]
    fields = {"rows": pairs, "rows_from": "stores", "cut": "consistent", "views": {}}
    audit = audit_of(
        io.BytesIO(json.dumps({**fields, "answer_rows_equal": None, "problem": ""}).encode())
    )
    assert audit.rows == ((1, "a"), (2, "3"), (4, ""), (1, "b"))
    assert all(type(user) is int for user, _ in audit.rows)


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        ("x", "x"),
        (10**30, str(10**30)),
        (float("inf"), "Infinity"),
        ([], "[]"),
        ({"a": 1}, '{"a": 1}'),
        (2**63, str(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (-5, -5),
        ("\ud800", "\\ud800"),
        ("a\0b\n", "a\\x00b\\x0a"),
        ("\u0664\u0662", "\u0664\u0662"),
    ],
)
def test_a_row_of_no_user_is_foreign_and_shown(user: object, shown: object) -> None:
    fields: dict[str, Any] = {
        "rows": [[user, "a"], [7, "b"]],
        "rows_from": "stores",
        "cut": "consistent",
    }
    fields |= {"views": {}, "answer_rows_equal": None, "problem": ""}
    audit = audit_of(io.BytesIO(json.dumps(fields).encode()))
    assert audit.columns[0].tolist() == [-1, 7]
    assert (audit.foreign, audit.users.id_of(-1)) == (1, shown)


@pytest.mark.parametrize(
    ("user", "other"),
    [
        (10**5_000, 10**5_000 + 1),
        ("x" * 2**20, "x" * (2**20 - 1)),
        ("é" * 2**19, "é" * 2**19 + "!"),
        ([["x"] * 9] * 9_999, [["x"] * 9] * 9_998),
        ({"a": "b" * 2**20}, {"a": "b" * 2**19}),
    ],
    ids=["digits", "ascii", "accents", "list", "object"],
)
def test_a_user_of_any_size_is_kept_as_a_short_text_that_only_it_has(user: Any, other: Any) -> None:
    rows = Rows([(user, "a"), (user, "b"), (other, "c")])
    told = [text for text, _ in rows]
    assert told[0] == told[1] != told[2]
    assert all(len(str(text).encode()) <= LONGEST_USER for text in told)


@pytest.mark.parametrize(
    "rows",
    [
        {"rows": [{"userId": 1, "issueId": "a"}]},
        {"rows": [], "answer": {"stock": 1, "rows": [[1, "a"]]}},
    ],
)
def test_rows_and_answered_rows_are_not_taken_for_each_other(rows: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"rows_from": "stores", "cut": "consistent", "views": {}}
    with pytest.raises(DAMAGED):
        audit_of(
            io.BytesIO(
                json.dumps({**fields, "answer_rows_equal": None, "problem": "", **rows}).encode()
            )
        )


@pytest.mark.parametrize("every", [2, 20, 100, 4_000])
def test_one_long_id_does_not_widen_the_rows_beside_it(every: int) -> None:
    told = [(n, "é" * 500 if n % every == 1 else "") for n in range(20_000)]
    rows = Rows(told)
    assert list(rows) == told
    came = sum(8 + len(id_.encode()) for _, id_ in told)
    held = sum(users.nbytes + ids.nbytes for users, ids in rows.pieces)
    assert held < 4 * came + 64 * 4 * len(told)
    assert len(rows.pieces) < 20 + 10 * len(told) / every
    assert rows[20_000 // every * every - every + 1] == told[20_000 // every * every - every + 1]


@pytest.mark.parametrize("place", [0, 77_777, 149_999])
def test_one_long_holder_does_not_widen_the_others_of_a_view(place: int) -> None:
    holders: list[Any] = [f"u{n:07d}" for n in range(150_000)]
    holders[place] = "x" * 200
    view = {"remaining": 1, "holders": holders, "current": True}
    fields = {"rows": [], "rows_from": "audit", "cut": "consistent", "views": {"redis": view}}
    raw = json.dumps({**fields, "answer_rows_equal": None, "problem": ""}).encode()
    users = Users(UserIds([IdForm(b"u", "07d", b"")], 150_000))
    tracemalloc.start()
    try:
        [found] = audit_of(io.BytesIO(raw), users).views
        kept, most = tracemalloc.get_traced_memory()
        assert len(found.holders or ()) == 150_000
    finally:
        tracemalloc.stop()
    assert kept < 8 * MIB, "nine bytes for each"
    assert most < 40 * MIB
    assert sum(map(len, found.told or ())) == 150_000


def read_as(audit: Audit) -> tuple[list[int], list[int]]:
    """The users of the rows by index, and the holders of the view."""
    return audit.columns[0].tolist(), sorted(audit.views[0].holders or ())


def test_another_reading_of_the_users_reads_no_file_again() -> None:
    view = {"holders": ["u00007", 8, "x"], "current": True}
    fields: dict[str, Any] = {"rows": [["u00007", "a"], [8, "b"]], "rows_from": "audit"}
    fields |= {"views": {"redis": view}, "answer_rows_equal": None, "problem": ""}
    fields["cut"] = "consistent"
    ids = UserIds([IdForm(b"u", "05d", b"")], 100)
    first = audit_of(io.BytesIO(json.dumps(fields).encode()), Users(ids))
    assert read_as(first) == ([7, -1], [-2, -1, 7])
    other = first.with_users(Users(NUMBERS))
    assert other.rows is first.rows
    assert read_as(other) == ([-1, 8], [-2, -1, 8])
    assert read_as(first) == ([7, -1], [-2, -1, 7])


LINES = [
    [("u1", "a"), ("u2", "b")],
    [("1", "a"), ("u2", "b")],
    [("00042", "a"), ("007", "b"), ("9" * 21, "c")],
    [("42", "a"), ("43", "b")],
    [(1, "a"), ("u2", "b")],
    [('u"1', "a"), ("u2", "b")],
    [("u1", 'a"],\n["u7", "x'), ("u2", "b")],
    [("u1", '", "'), ("", "b")],
    [("a, b", "c], [d"), ("é", "ü")],
    [("x" * 200, "i" * 900), ("y", "")],
    [(-5, "a"), ("-5", "b"), ("0", "c"), ("-0", "d")],
]


@pytest.mark.parametrize("rows", LINES, ids=str)
def test_rows_of_texts_are_taken_from_their_lines_as_a_reader_of_json_takes_them(
    rows: list[tuple[Any, str]],
) -> None:
    """Each form is told as many lines, as gameday writes them; the last one is no whole line."""
    lines = ",\n".join(json.dumps(list(row)) for row in [*rows * 3, *rows])
    before = '{\n"schema": 1,\n"campaign": "C",\n"stock": 1,\n"rows": [\n'
    behind = '],\n"rows_from": "audit",\n"cut": "consistent",\n"views": {},\n'
    raw = f'{before}{lines}{behind}"answer_rows_equal": null,\n"problem": ""}}\n'
    whole = json.dumps(json.loads(raw)).encode()  # one line, which is read as any JSON
    assert list(audit_of(io.BytesIO(raw.encode())).rows) == list(audit_of(io.BytesIO(whole)).rows)


def test_an_id_is_bounded_in_bytes_and_so_are_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(Rows([(1, "é" * 500)])) == 1
    with pytest.raises(RowError, match="over 1000 bytes"):
        Rows([(1, "é" * 501)])
    monkeypatch.setattr(rows_module, "MOST_BYTES", 100 * 44)
    assert len(Rows([(n, "x" * 36) for n in range(100)])) == 100
    with pytest.raises(RowError, match="rows of more than"):
        Rows([(n, "x" * 36) for n in range(101)])


def damage_history(run_dir: Path, at: int, raw: bytes) -> None:
    with (run_dir / "history" / "drop-0.bin").open("r+b") as file:
        file.seek(at)
        file.write(raw)


def test_a_history_that_tells_of_starts_nobody_had_is_damaged_and_costs_nothing(
    tmp_path: Path,
) -> None:
    run = RunDir()
    vus = {"executor": "constant-vus", "vus": 10, "duration": "30s"}
    run.experiment = {**run.experiment, "traffic": {"drop": vus}}
    run_dir = run.write(tmp_path / "run")
    damage_history(run_dir, 8, (2**32 - 1).to_bytes(8, "little"))
    tracemalloc.start()
    try:
        found = read_evidence(run_dir)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "no worker leaves more than 1000000" in found.problems["history"]
    assert most < 100 * MIB


def test_a_history_of_a_plan_that_no_experiment_can_have_is_damaged(tmp_path: Path) -> None:
    run = RunDir()
    many = {"executor": "constant-arrival-rate", "rate": "1000000/s", "duration": "60s"}
    run.experiment = {**run.experiment, "traffic": {"drop": many}}
    found = read_evidence(run.write(tmp_path / "run"))
    assert "60000000 starts are planned in it, more than 50000000" in found.problems["history"]


NAMES = ["u00042", "42", "007", "-5", "0", "", "a b", "é", "x" * 61, "a\nb", "a\x1fb", "9" * 19]


@given(st.lists(st.sampled_from([*NAMES, "9" * 20, "1e3", "true", "550e8400-E29b"]), max_size=4))
def test_texts_are_read_alike_one_by_one_and_at_once(told: list[str]) -> None:
    users = [user_of(text) for text in told]
    numbers = [user for user in users if isinstance(user, int)]
    expected = numbers if len(numbers) == len(users) else [str(user).encode() for user in users]
    assert list(users_of(told)) == expected
