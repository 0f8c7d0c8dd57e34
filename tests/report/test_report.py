"""The postmortem draft: what it says, what it never says, and that it is never in the way."""

import ast
import json
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

import gameday.judge
import gameday.report
from gameday.core.clock import NS
from gameday.core.errors import UnknownError
from gameday.core.json_objects import read_object
from gameday.core.messages import Message
from gameday.evidence.journal import Journal
from gameday.judge import checks
from gameday.report import write_report
from gameday.report.charts.series import read_curves
from gameday.report.charts.spans import alert_spans, objective_spans
from gameday.report.markdown import Markup, code, table, text
from gameday.report.messages import Messages
from gameday.telemetry.collector.samples_writer import SamplesWriter
from gameday.telemetry.promql import Labels, SeriesStore, evaluate, label_set, labels, parse
from gameday.telemetry.samples import AlertLine, Evaluation, LiveEvaluation, Scrape, read
from tests.support import rundirs
from tests.support.events import event_of

T0 = 1_000 * NS
WALL = 1_795_422_600 * NS
EDGES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0)
Json = dict[str, Any]


class Hands:
    """A clock that shows what the test sets."""

    def __init__(self) -> None:
        self.at_ns = T0

    def now_ns(self) -> int:
        return self.at_ns

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing here waits {seconds} s")


def latency_s(at_s: float) -> float:
    """The middle of a second's latencies: slow from 15 s, mended at 23.5 s."""
    return 0.34 if 15 <= at_s < 23.5 else 0.008


def write_samples(path: Path, last_s: int, alerts: Callable[[int], list[Json]]) -> None:
    writer = SamplesWriter(path)
    answers = dict.fromkeys(("issued", "duplicate", "sold_out", "refused", "unknown"), 0)
    counts = dict.fromkeys(EDGES, 0)
    total = 0
    for at in range(last_s + 1):
        slow = latency_s(at - 1)
        for nth in range(100 if at else 0):
            took = slow * (0.6 + 0.9 * nth / 100) + (0.6 if slow > 0.1 and nth > 97 else 0)
            total += 1
            for edge in EDGES:
                counts[edge] += took <= edge
        answers["issued"] += 94 if at else 0
        answers["duplicate"] += 4 if at else 0
        answers["unknown"] += 2 if 15 < at < 18 else 0
        values: dict[Labels, float] = {
            labels("k6_http_reqs_total", scenario="drop", outcome=name): float(count)
            for name, count in answers.items()
        }
        for edge in EDGES:
            series = labels("k6_http_req_duration_seconds_bucket", scenario="drop", le=f"{edge:g}")
            values[series] = float(counts[edge])
        every = labels("k6_http_req_duration_seconds_bucket", scenario="drop", le="+Inf")
        values[every] = float(total)
        values[labels("k6_dropped_iterations_total", reason="late", scenario="drop")] = 0.0
        t_ns = T0 + at * NS
        breached = 17 <= at < 28
        live = LiveEvaluation(
            t_ns=t_ns,
            readings={"objective:fast": None if at < 2 else not breached},
            figures={"dependency:redis": 0.31 if 15 < at < 36 else 0.002},
            alerts=[read_object(AlertLine, each) for each in alerts(at)],
            up={"service-1": True},
        )
        writer.write(values, live)
    writer.close()


def redis_slow_alerts(at: int) -> list[Json]:
    if not 18 <= at < 33:
        return []
    state = "firing" if at >= 23 else "pending"
    names = ("IssuanceSlow", "RedisSlow")
    return [{"labels": {"alertname": n}, "state": state, "active_at": T0 + 18 * NS} for n in names]


EXPERIMENT: Json = {
    **rundirs.EXPERIMENT,
    "title": "Redis answers 300 ms late in the middle of a coupon drop",
    "hypothesis": "Issuing slows down for seconds. Nobody gets a coupon that does not exist.",
    "method": [
        {
            "fault": "network.latency",
            "id": "network-latency-1",
            "target": "redis",
            "latency": "300ms",
            "jitter": "50ms",
            "at": "15s",
            "duration": "20s",
        }
    ],
}
EFFECTIVE: Json = {
    "schema": 1,
    "run": "20261123T083000Z-redis-slow-k3f9",
    "stack": "embedded",
    "seed": 7,
    "coupon": "COUPON-k3f9",
    "stock": 4500,
    "short": False,
    "experiment": EXPERIMENT,
    "system": rundirs.SYSTEM,
    "playbook": {
        "head": rundirs.PLAYBOOK["head"],
        "steps": [
            {"number": 1, "text": "Confirm that Redis is slow.", "block": {}},
            {"number": 2, "text": "Take Redis out of the path.", "block": {"do": "use-postgres"}},
        ],
    },
    "traffic_end_s": 60.0,
    "no_responder": False,
    "planned": {"drop": 6000},
}
WITNESS: Json = {
    "witness": "P",
    "ok": True,
    "asked": 300.0,
    "measured": 303.5,
    "unit": "ms",
    "n": 12,
    "why": "",
}
RESULT: Json = {
    "schema": 1,
    "run": "20261123T083000Z-redis-slow-k3f9",
    "experiment": "redis-slow",
    "stack": "embedded",
    "seed": 7,
    "started_at": "2026-11-23T08:30:00Z",
    "ended_at": "2026-11-23T08:31:12Z",
    "verdict": "passed",
    "ended": "completed",
    "exit_code": 0,
    "checks": [
        {
            "name": "no_over_issuance",
            "verdict": "valid",
            "summary": "4,500 rows, stock 4,500",
            "evidence": [],
            "certificate": None,
        },
        {
            "name": "recovered",
            "verdict": "valid",
            "summary": "recovered 11.000 s after the damage, 18 s allowed",
            "evidence": [],
            "certificate": None,
        },
    ],
    "not_applicable": [{"name": "thresholds", "lacks": "thresholds"}],
    "faults": [
        {
            "id": "network-latency-1",
            "fault": "network.latency",
            "target": "redis",
            "injected_at": 15.012,
            "removed_at": 35.02,
            "injected": "yes",
            "removed": "yes",
            "dose": {"witnesses": [WITNESS]},
        }
    ],
    "alerts": [
        {
            "alert": name,
            "expected": True,
            "status": "hit",
            "active_at": 18.0,
            "fired_at": 23.0,
            "resolved_at": 33.0,
        }
        for name in ("IssuanceSlow", "RedisSlow")
    ],
    "traffic": {
        "scheduled": 6000,
        "started": 6000,
        "dropped": 0,
        "never_started": 0,
        "completed": 5996,
        "failed": 4,
        "interrupted": 0,
        "metrics": {
            "http_req_duration": {"med": 8.1, "p(95)": 410.2, "p(99)": 870.9, "max": 1264.0},
            "http_req_failed": {"rate": 0.000667, "passes": 4, "fails": 5996},
        },
        "generator": {"status": "kept", "reasons": []},
    },
    "playbook": [
        {
            "step": 1,
            "by": "bot",
            "status": "needs_person",
            "started_at": None,
            "took_s": None,
            "verified": None,
        },
        {
            "step": 2,
            "by": "bot",
            "status": "done",
            "started_at": 24.01,
            "took_s": 1.4,
            "verified": True,
        },
    ],
    "clocks": {
        "damage_at": 17.0,
        "detected_after_s": 6.0,
        "acknowledged_after_s": 7.0,
        "mitigated_after_s": 8.41,
        "recovered_after_s": 11.0,
    },
}
STARTED: Json = {
    "run": RESULT["run"],
    "experiment": "redis-slow",
    "wall_ns": WALL,
    "inputs": {"experiment.yaml": "ab" * 32},
}
FAULT: Json = {"id": "network-latency-1"}
EVENTS: list[tuple[float, str, Json]] = [
    (-8.0, "run.started", STARTED),
    (-7.9, "phase", {"phase": "stack"}),
    (-7.8, "stack.starting", {"name": "postgres", "undo": []}),
    (-1.2, "stack.ready", {"took_s": 6.6, "addresses": {}}),
    (0.0, "phase", {"phase": "traffic", "t0_ns": T0}),
    (15.0, "fault.injecting", {**FAULT, "fault": "network.latency", "target": "redis", "undo": []}),
    (15.012, "fault.injected", FAULT),
    (
        16.4,
        "fault.probed",
        {**FAULT, **WITNESS},
    ),
    (
        17.2,
        "fault.dosed",
        {**FAULT, "injected": "yes", "dose": {"witnesses": [WITNESS]}, "why": ""},
    ),
    (24.0, "responder.started", {"alert": "RedisSlow", "by": "bot", "delay_s": 1.0}),
    (
        24.01,
        "step.started",
        {"step": 2, "text": "Take Redis out of the path.", "do": "use-postgres", "by": "bot"}
        | {"undoing": False},
    ),
    (
        25.41,
        "step.done",
        {"step": 2, "status": "done", "took_s": 1.4, "verified": True, "why": ""}
        | {"undoing": False, "refuses": False},
    ),
    (35.0, "fault.removing", FAULT),
    (35.02, "fault.removed", {**FAULT, "gone": True}),
    (41.0, "fault.proven", {**FAULT, "removed": "yes", "why": ""}),
    (
        58.0,
        "step.started",
        {"step": 2, "text": "", "do": "use-redis", "by": "bot", "undoing": True},
    ),
    (
        58.6,
        "step.done",
        {"step": 2, "status": "done", "took_s": 0.6, "verified": None, "why": ""}
        | {"undoing": True, "refuses": False},
    ),
    (62.0, "audit.read", {"rows": 4500, "cut": "consistent"}),
    (64.0, "run.ended", {"ended": "completed", "why": ""}),
]


def write_run(
    folder: Path,
    *,
    result: Mapping[str, Any] = RESULT,
    events: list[tuple[float, str, Json]] = EVENTS,
    last_s: int | None = 62,
    alerts: Callable[[int], list[Json]] = redis_slow_alerts,
    effective: Mapping[str, Any] = EFFECTIVE,
) -> Path:
    """A run directory as `gameday run redis-slow` leaves it, with literal figures."""
    (folder / "inputs").mkdir(parents=True)
    (folder / "inputs" / "effective.json").write_text(json.dumps(effective))
    (folder / "result.json").write_text(json.dumps(result))
    hands = Hands()
    journal = Journal(folder / "journal.jsonl", hands, "test")
    for at_s, event, data in events:
        hands.at_ns = T0 + round(at_s * NS)
        journal.write(event_of(event, **data))
    journal.close()
    if last_s is not None:
        write_samples(folder / "samples.jsonl", last_s, alerts)
    return folder


def rendered(markdown: str) -> list[Token]:
    """Every token of a page, those inside lines too."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    return [token for outer in tokens for token in (outer, *(outer.children or ()))]


def words_of(tokens: list[Token]) -> str:
    return "".join(t.content for t in tokens if t.type in {"text", "code_inline"})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    run_dir = write_run(tmp_path_factory.mktemp("runs") / "run")
    return write_report(run_dir).read_text()


def test_a_playbook_of_which_no_step_was_done_is_not_what_went_well(tmp_path: Path) -> None:
    worked = {"name": "playbook", "verdict": "valid", "summary": "x", "evidence": []}
    checks = [*RESULT["checks"], {**worked, "certificate": None}]
    for last, told in (("needs_person", 0), ("done", 1)):
        steps = [RESULT["playbook"][0], {**RESULT["playbook"][1], "verified": None, "status": last}]
        result = {**RESULT, "checks": checks, "playbook": steps}
        page = write_report(write_run(tmp_path / last, result=result), "en").read_text()
        well = page.split("### What went well")[1].split("### What went wrong")[0]
        assert well.count("`checks.playbook`") == told


def test_an_alert_that_never_fired_does_not_resolve(tmp_path: Path) -> None:
    def alerts(at: int) -> list[Json]:
        states = {"Short": "pending" if 18 <= at < 20 else "", "Long": "pending"}
        states["Long"] = "" if not 18 <= at < 30 else "firing" if 22 <= at < 26 else "pending"
        return [
            {"labels": {"alertname": name}, "state": state, "active_at": T0 + 18 * NS}
            for name, state in states.items()
            if state
        ]

    page = write_report(write_run(tmp_path / "run", alerts=alerts), "en").read_text()
    lines = [re.sub(r"^\|.*?\|.*?\| | \|.*", "", line) for line in page.splitlines()]
    assert [line for line in lines if line.startswith("Alert `Short`")] == [
        "Alert `Short` is pending",
        "Alert `Short` is no longer pending; it did not fire",
    ]
    assert [line for line in lines if line.startswith("Alert `Long`")][-1] == (
        "Alert `Long` resolves"
    )


@pytest.mark.parametrize("injected", ["no", "unknown"])
def test_a_cause_is_known_only_where_the_fault_was_in_effect(tmp_path: Path, injected: str) -> None:
    result = {**RESULT, "faults": [{**RESULT["faults"][0], "injected": injected}]}
    told = summary_of(write_run(tmp_path / "hurt", result=result))
    assert "The cause is not known for certain" in told
    assert "on `redis` was asked for from 15.0 s to 35.0 s." in told
    assert "The cause is known" not in told
    assert "was in place" not in told
    harmless = {**result, "clocks": {**RESULT["clocks"], "damage_at": None}}
    assert "The cause" not in summary_of(write_run(tmp_path / "well", result=harmless))


def test_a_trigger_is_known_only_where_the_fault_was_in_effect(tmp_path: Path, page: str) -> None:
    assert "gameday injected the fault, so it is known" in page
    result = {**RESULT, "faults": [{**RESULT["faults"][0], "injected": "no"}]}
    unproven = write_report(write_run(tmp_path / "run", result=result), "en").read_text()
    assert "so it is known" not in unproven
    assert "none is known to have been in effect" in unproven


def test_a_negative_impact_lag_is_explained(tmp_path: Path) -> None:
    result = {**RESULT, "clocks": {**RESULT["clocks"], "damage_at": 14.345}}
    text = write_report(write_run(tmp_path / "run", result=result), "en").read_text()
    detection = text.split("## Detection")[1].split("\n## ")[0]
    assert "-667 ms" in detection
    assert "A negative impact lag means" in detection


def summary_of(run_dir: Path) -> str:
    return write_report(run_dir, "en").read_text().split("## Summary")[1].split("\n## ")[0]


BY_PEOPLE: Json = {"by": "ann", "through": "person"}
ACT: Json = {"do": "use-postgres", "undoing": False}
ORDERED: list[tuple[float, str, Json]] = [
    *EVENTS[:9],
    (20.0, "order.given", {**BY_PEOPLE, "order": "ack"}),
    (20.1, "responder.started", {"alert": "", "by": "person", "delay_s": None}),
    (21.0, "order.given", {**BY_PEOPLE, "order": "declare", "text": "<Redis> is late"}),
    (22.0, "order.given", {**BY_PEOPLE, "order": "act", "action": "use-postgres"}),
    (22.1, "action.started", {**ACT, "by": "ann", "undo": None, "readings": {"up": False}}),
    (23.0, "action.done", {**ACT, "status": "done", "took_s": 0.9, "readings": {"up": True}}),
    (23.1, "order.answered", {"given": 12, "order": "act", "status": "done", "why": "as expected"}),
    (24.0, "order.given", {**BY_PEOPLE, "order": "hand-over", "to": "bob", "text": "all is well"}),
    (24.5, "order.given", {**BY_PEOPLE, "order": "hint"}),
    (24.6, "order.answered", {"given": 17, "order": "hint", "status": "answered", "why": "none"}),
    (25.0, "responder.trouble", {"why": "it said nothing of use"}),
    (58.0, "action.started", {**ACT, "by": "bot", "undoing": True}),
    (58.6, "action.done", {**ACT, "status": "done", "took_s": 0.6, "undoing": True}),
]


def test_what_was_ordered_is_told_with_what_came_of_it(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", events=ORDERED)
    draft = words_of(rendered(write_report(run_dir).read_text()))
    for told in (
        "The person took the incident at 20.1 s, before an alert of the playbook had fired",
        "ann believes: <Redis> is late",
        "ann orders action use-postgres",
        "done: as expected; up: no → yes",
        "ann hands over to bob: all is well",
        "answered: none",
        "Action use-postgres begins, by ann",
        "Undo of action use-postgres: done after 0.6 s",
        "The responding program does something wrong: it said nothing of use",
    ):
        assert told in draft, told
    assert "The order act" not in draft


def test_a_program_that_says_much_hides_nothing_else(tmp_path: Path) -> None:
    said = {"by": "command", "through": "command", "order": "note", "text": "x"}
    flood: list[tuple[float, str, Json]] = [
        (19.0 + n / 1000, "order.given", said) for n in range(600)
    ]
    events = sorted([*ORDERED, *flood], key=lambda each: each[0])
    draft = words_of(rendered(write_report(write_run(tmp_path / "run", events=events)).read_text()))
    assert draft.count("program notes: x") == 500 + 200
    assert draft.count("ann hands over to bob: all is well") == 2
    assert "Undo of action use-postgres: done after 0.6 s" in draft.partition("Timeline")[2]
    assert "the first of each sort" in draft
    assert "205 of 605 orders" in draft


@pytest.mark.parametrize(
    ("effective", "told"),
    [
        ({"no_responder": True, "responder": "none"}, "switched off"),
        ({"responder": "person"}, "Nobody took the incident"),
        ({"responder": "bot"}, "no alert of the playbook fired"),
        ({}, "no alert of the playbook fired"),
    ],
)
def test_it_is_told_why_nobody_responded(tmp_path: Path, effective: Json, told: str) -> None:
    quiet = [event for event in EVENTS if event[1] != "responder.started"]
    run_dir = write_run(tmp_path / "run", events=quiet, effective={**EFFECTIVE, **effective})
    assert told in write_report(run_dir).read_text()


def calls_of_say() -> Iterator[tuple[str, bool, frozenset[str], bool]]:
    """Each sentence asked for: its id or the id's beginning, and the names it is given."""
    for path in Path(gameday.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            function = ast.unparse(node.func)
            given = frozenset(word.arg for word in node.keywords if word.arg)
            whole = all(word.arg for word in node.keywords)
            if function == "say.word" and isinstance(node.args[0], ast.Constant):
                yield f"word.{node.args[0].value!s}", True, frozenset(), True
            for message in ast.walk(node.args[0]):
                value = message.value if isinstance(message, ast.Constant) else None
                known = isinstance(value, str) and re.fullmatch(r"[a-z]+\.[a-z_0-9.]*", value)
                if function in {"say", "say.plain", "Message", "valid", "unknown"} and known:
                    exact = not isinstance(node.args[0], ast.JoinedStr)
                    yield str(value), exact, given, whole


def parts_of_sentences() -> tuple[set[str], tuple[str, ...]]:
    """Literal texts in the code, and the beginnings of those that are put together."""
    exact, begun = set(), set()
    for path in Path(gameday.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                begun.add(str(node.values[0].value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                exact.add(node.value)
    return exact, tuple(each for each in begun if re.fullmatch(r"[a-z_]+\.[a-z_.]*", each))


def test_every_sentence_that_code_asks_for_is_there_and_takes_what_it_is_given() -> None:
    say = Messages()
    asked = list(calls_of_say())
    assert len(asked) > 250
    for message, exact, names, whole in asked:
        if exact:
            assert message in say.by_id
            missing = say.placeholders(message) - names
            assert not (missing and whole), f"{message} is not given {missing}"
        else:
            assert any(known.startswith(message) for known in say.by_id), message


def test_every_sentence_that_is_there_is_asked_for() -> None:
    exact, begun = parts_of_sentences()
    for message in Messages().by_id:
        if message.startswith("drill.") and message.count(".") > 1:
            continue  # named by files (tests/spec/test_experiments.py), or by a kind of fault
        if message.startswith(("unit.", "span.", "date.", "screen.", "experiment.", "rule.")):
            continue  # tests/report/test_korean.py
        if message.startswith("day.shipped."):
            continue  # named by files (tests/calendar/test_day_files.py)
        known = message in exact or message.startswith((*begun, "word.", "event."))
        whole = message.rpartition("_")[0]  # as "show.alert" of "show.alert_resolves"
        assert known or whole in exact, f"nobody says {message}"


def test_every_id_that_stands_in_the_judging_is_there() -> None:
    """Those too that a variable carries to the message."""
    known = Messages().by_id
    for path in Path(gameday.judge.__file__).parent.rglob("*.py"):
        ids = set(re.findall(r'"((?:check|lacks|missing|unfit)\.[a-z_.]+)"', path.read_text()))
        assert ids <= known.keys(), path.name


def test_every_noun_that_is_counted_has_a_singular_and_a_plural() -> None:
    source = "".join(path.read_text() for path in Path(gameday.judge.__file__).parent.rglob("*.py"))
    nouns = set(re.findall(r'\bcount\([^"]+, "([a-z_]+)"\)', source))
    known = {name for name in Messages().by_id if name.startswith("count.")}
    known -= {"count.status"}  # a pattern for statuses, whose words have no plural
    assert known == {f"count.{noun}{end}" for noun in nouns for end in ("", "s")}


@pytest.mark.parametrize(
    "message",
    [None, Message("check.of_later"), Message("check.recovered.after", took_s="soon")],
    ids=["of before", "of a later version", "of values that do not fit"],
)
def test_a_message_that_cannot_be_filled_reads_as_its_english_text(
    message: Message | None,
) -> None:
    assert Messages().line(message, "as it was") == "as it was"


def test_every_event_of_the_journal_has_its_own_sentence() -> None:
    say = Messages()
    written = {event for _, event, _ in EVENTS}
    written |= {"alert.acknowledged", "guard.tripped", "operator.abort", "worker.gone"}
    assert all(f"event.{event.replace('.', '_')}" in say.by_id for event in written)


def test_no_sentence_stands_in_the_code() -> None:
    folders = (Path(gameday.report.__file__).parent, Path(checks.__file__).parent)
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        if path.name in ("draft_file.py", "pdf.py", "folder.py") or path.parent.name == "lint":
            continue  # they tell of errors: in files that people edit, a browser, a folder
        tree = ast.parse(path.read_text())
        raised = {id(n) for r in ast.walk(tree) if isinstance(r, ast.Raise) for n in ast.walk(r)}
        said = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                prose = re.search(r"[a-z]+ [a-z]+ [a-z]+", node.value)
                assert not prose or id(node) in raised | said, f"{path.name}: {node.value!r}"


def test_a_page_reads_from_the_summary_to_the_sums_of_the_files(page: str) -> None:
    heads = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert heads == [
        "Summary",
        "Impact in numbers",
        "Timeline",
        "Detection",
        "Response",
        "Recovery",
        "Trigger",
        "Proof of safety",
        "Contributing factors",
        "Action items",
        "Lessons",
        "Prevention: candidates",
        "Supporting data",
    ]
    assert "| `IssuanceSlow` | 2.0 s | 1.0 s | 5.0 s | 8.0 s |" in page
    assert "| worst 95th percentile of a 5 s window, from the time due | 494 ms |" in page
    assert "gameday's probe: 303.5 ms of 300 ms asked for, 12 samples" in page
    assert "| 24.010 | 08:30:32 | Step 2 begins, by bot: Take Redis out of the path. |" in page
    assert "needs a person" in page
    assert page.count("TODO(person)") >= 10
    assert "None" not in page


def test_every_reference_leads_to_what_it_names(page: str) -> None:
    instants = {f"@{at}.000" for at in range(63)}
    records = {f"#{seq}" for seq in range(len(EVENTS))}
    quoted = re.findall(r"`([^`]+)`", page.split("## Prevention")[0].split("## Summary")[1])
    places = [q for q in quoted if re.match(r"(traffic|clocks|checks|alerts)\b[.\[]", q)]
    assert len(places) > 20
    for place in places:
        assert leads_somewhere(place), place
    cited = {q for q in quoted if q[0] in "#@"}
    assert len(cited) > 20
    assert cited <= instants | records


def leads_somewhere(place: str) -> bool:
    first, _, rest = place.partition(".")
    if first == "checks":
        return rest in {check["name"] for check in RESULT["checks"]}
    if indexed := re.fullmatch(r"alerts\[(\d+)\]", first):
        return int(indexed[1]) < len(RESULT["alerts"])
    value: Any = RESULT[first]
    for key in filter(None, rest.split(".")):
        value = value[key]
    return value is not None


def test_a_row_of_numbers_without_a_source_does_not_exist(page: str) -> None:
    impact = page.split("## Impact in numbers")[1].split("## Timeline")[0]
    rows = [line.strip("| ").split(" | ") for line in impact.splitlines() if line[:1] == "|"][2:]
    assert len(rows) > 15
    assert all(re.fullmatch(r"`[^`]+`( `[^`]+`)?", row[2]) for row in rows)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_report(write_run(tmp_path / "a"))
    second = write_report(write_run(tmp_path / "b"))
    assert first.read_bytes() == second.read_bytes()


def test_virtual_users_are_said_to_ask_a_slow_system_less(tmp_path: Path, page: str) -> None:
    assert "Closed model" not in page  # whose traffic has a set rate
    result = {**RESULT, "traffic": {**RESULT["traffic"], "closed": ["shoppers"]}}
    told = write_report(write_run(tmp_path / "run", result=result)).read_text()
    assert "**Closed model**: `shoppers` (`traffic.closed`)" in told
    assert "a slow system is asked less often" in told


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (
            {"reached": False, "per_s": None, "why": "", "not_carried_s": 0},
            ["limit was not reached** (`traffic.limit`)", "carried up to 900/s", "12 ms"],
        ),
        (
            {"reached": True, "per_s": 950.0, "why": "p95 was 700 ms", "not_carried_s": 40},
            ["limit is about 950/s** (`traffic.limit`): from there on p95 was 700 ms", "For 40 s"],
        ),
    ],
)
def test_the_systems_own_limit_is_told(
    tmp_path: Path, page: str, limit: dict[str, Any], words: list[str]
) -> None:
    assert "own limit" not in page  # whose run broke something
    one = {**limit, "carried_per_s": 900.0, "p95_ms": 12.0}
    result = {**RESULT, "traffic": {**RESULT["traffic"], "limit": one}}
    told = write_report(write_run(tmp_path / "run", result=result)).read_text()
    assert all(word in told for word in words)


def test_how_many_asked_again_is_told_where_somebody_did(tmp_path: Path, page: str) -> None:
    assert "asked again" not in page
    result = {**RESULT, "traffic": {**RESULT["traffic"], "asked_again": 265}}
    told = write_report(write_run(tmp_path / "run", result=result)).read_text()
    assert re.search(r"\| sent again after a timeout; .* \| 265 \| `traffic.asked_again` \|", told)


def test_what_a_person_wrote_is_never_overwritten(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    draft = write_report(run_dir)
    untouched = draft.read_bytes()
    assert draft == run_dir / "postmortem.md"
    assert write_report(run_dir) == draft
    draft.write_bytes(untouched.replace(b"draft", b"in review", 1))
    edited = draft.read_bytes()
    new = write_report(run_dir)
    assert new == run_dir / "postmortem.new.md"
    assert write_report(run_dir) == new
    new.write_text("mine")
    assert write_report(run_dir) == run_dir / "postmortem.new.2.md"
    assert (draft.read_bytes(), new.read_text()) == (edited, "mine")
    draft.write_bytes(untouched)
    assert write_report(run_dir) == draft


def test_a_run_without_a_result_is_not_reported_on(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    (run_dir / "result.json").unlink()
    with pytest.raises(UnknownError, match=r"no result\.json"):
        write_report(run_dir)


NEVER: Json = {"id": "network-latency-1", "fault": "network.latency"}


def bare(**fields: Any) -> Json:
    nothing: Json = {"checks": [], "faults": [], "alerts": [], "playbook": [], "clocks": {}}
    return {**RESULT, **nothing, "traffic": None, "verdict": "unknown", **fields}


ENDS: dict[str, tuple[Json, dict[str, Any], str]] = {
    "the stack never came up": (
        bare(ended="unhealthy"),
        {"events": EVENTS[:3], "last_s": None},
        "the stack did not become healthy",
    ),
    "not steady": (
        bare(ended="not_steady", traffic=RESULT["traffic"], faults=[NEVER]),
        {"events": EVENTS[:5], "last_s": 6},
        "never injected: `network.latency`",
    ),
    "killed in the fault": (
        bare(ended="interrupted", traffic=RESULT["traffic"], faults=RESULT["faults"]),
        {"events": EVENTS[:9], "last_s": 20},
        "its end is not recorded",
    ),
    "no damage": (
        {**RESULT, "clocks": {"damage_at": None, "detected_after_s": None}, "alerts": []},
        {"alerts": lambda _: []},
        "No customer was seen to be affected",
    ),
    "damage nobody noticed": (
        {**RESULT, "clocks": {"damage_at": 17.0}, "playbook": []},
        {"events": EVENTS[:9] + EVENTS[12:15]},
        "**No expected alert fired**",
    ),
    "no samples, nothing known of the plan": (
        RESULT,
        {"last_s": None, "effective": {}},
        '| answered "issued" | unknown |',
    ),
    "no journal": (RESULT, {"events": []}, "**There is no journal.**"),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_run_that_ended_early_reads_sensibly(case: str, tmp_path: Path) -> None:
    result, options, expected = ENDS[case]
    written = write_report(write_run(tmp_path / "run", result=result, **options)).read_text()
    assert expected in written
    assert "None" not in written
    assert "nan" not in re.sub(r"`[^`]*`", "", written).lower().split()


def test_a_damaged_journal_is_said_to_be(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    path = run_dir / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    assert "**The journal is damaged**" in write_report(run_dir).read_text()


HOSTILE = (
    "<script>alert(1)</script> | x | ![i](http://evil/i.png) [c](javascript:x) `` ` \n"
    "# head\n<img src=x onerror=y> &lt; \\` *b* _u_ ~~s~~ www.evil.example \u202e {broken}"
)


def test_what_the_system_says_cannot_become_markup(tmp_path: Path) -> None:
    alerts = [{**RESULT["alerts"][0], "alert": HOSTILE}]
    checks = [
        {**check, "summary": HOSTILE, "verdict": "invalid", "certificate": [HOSTILE]}
        for check in RESULT["checks"]
    ]
    result = {**RESULT, "alerts": alerts, "checks": checks, "experiment": HOSTILE}
    events = [
        (at, event, {**data, **dict.fromkeys(("why", "text", "alert", "which"), HOSTILE)})
        for at, event, data in EVENTS
    ]
    line = {"labels": {"alertname": HOSTILE}, "state": "firing", "active_at": T0}
    run_dir = write_run(
        tmp_path / "run", result=result, events=events, alerts=lambda at: [line] if at > 5 else []
    )
    markdown = write_report(run_dir).read_text()
    tokens = rendered(markdown)
    html = {t.content for t in tokens if t.type in {"html_inline", "html_block"}}
    assert {tag for tag in html if "gameday draft" not in tag} <= HARMLESS
    assert not [t for t in tokens if t.type == "link_open"]
    pictures = [t.attrs["src"] for t in tokens if t.type == "image"]
    assert all(str(source).startswith("charts/") for source in pictures)
    assert sum(t.type == "heading_open" for t in tokens) == markdown.count("\n#") + 1
    assert "\u202e" not in markdown
    for svg in (run_dir / "charts").glob("*.svg"):
        assert not list(ET.parse(svg).iter("{http://www.w3.org/2000/svg}script"))


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_shown_as_itself_and_as_nothing_else(value: str) -> None:
    for escape in (text, code):
        shown = escape(value)
        beside = table([Markup("a"), Markup("b")], [[shown, Markup("z")]])
        markdown = f"say {shown} end\n\n{beside}"
        tokens = rendered(markdown)
        allowed = {"text", "inline", "code_inline", "html_inline", "text_special"}
        kinds = {t.type for t in tokens if not t.type.endswith(("_open", "_close"))}
        assert kinds <= allowed
        assert {t.content for t in tokens if t.type == "html_inline"} <= HARMLESS
        opened = {t.type for t in tokens if t.type.endswith("_open")}
        assert opened <= {f"{name}_open" for name in ("paragraph", *TABLE)}
        assert sum(t.type == "td_open" for t in tokens) == 2


HARMLESS = {"<code>", "</code>", "<!-- -->"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a@b.example", "a@<!-- -->b.example"),
        ("@everyone", "@<!-- -->everyone"),
        ("see #12, gh-3", r"see \#<!-- -->12, gh-<!-- -->3"),
        ("# 1 and a#b", r"\# 1 and a\#b"),
        ("http://www.a.example", r"http\://www\.a.example"),
    ],
)
def test_what_a_code_host_links_by_itself_is_parted(value: str, shown: str) -> None:
    """Checked with GitHub's own renderer (cmark-gfm), which undoes `&#64;` before it links."""
    assert text(value) == shown
    assert words_of(rendered(text(value))) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('rate(x{a="<b>"}[5s]) > 0.5', '`rate(x{a="<b>"}[5s]) > 0.5`'),
        ("쿠폰 & http://www.a", "`쿠폰 & http://www.a`"),
        ("`a@b.example`", "`` `a@b.example` ``"),
        ("a `b`` c", "```a `b`` c```"),
        ('a{b="c|d"} *x*', '<code>a\\{b="c\\|d"\\} \\*x\\*</code>'),
        ("a|http://www.a", r"<code>a\|http\://www\.a</code>"),
    ],
)
def test_code_reads_as_itself_in_the_plain_file(value: str, shown: str) -> None:
    assert code(value) == shown
    for beside in (f"say {shown} end", table([Markup("a")], [[Markup(shown)]])):
        tokens = rendered(beside)
        assert value in words_of(tokens)
        assert not [t for t in tokens if t.type == "link_open"]


TABLE = ("table", "thead", "tbody", "tr", "th", "td")


@pytest.mark.parametrize("value", ["- item", "1. item", "12) item", "+ item", "# head", "---", "="])
def test_text_at_the_start_of_a_line_starts_nothing(value: str) -> None:
    tokens = rendered(text(value))
    assert [t.type for t in tokens if t.type.endswith("_open")] == ["paragraph_open"]
    assert words_of(tokens) == value


@pytest.mark.parametrize("value", ["2026-11-23T08:30:00Z", "303.5 ms", "-4 of 7", "4,500 rows"])
def test_harmless_text_is_left_as_it_is(value: str) -> None:
    assert text(value) == value


def test_charts_are_drawings_with_axes_units_a_legend_and_the_fault(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    write_report(run_dir)
    for name in ("latency", "throughput", "failures", "lanes", "dependencies"):
        root = ET.parse(run_dir / "charts" / f"{name}.svg").getroot()
        shown = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
        shaded = [node for node in root.iter() if node.get("class") == "fault"]
        assert root.get("viewBox")
        assert "fault: network-latency-1" in shown
        assert "seconds from the start of the traffic" in shown
        assert len(shaded) == 1
        assert "NaN" not in ET.tostring(root, encoding="unicode")
    assert "IssuanceSlow fires" in (run_dir / "charts" / "latency.svg").read_text()
    assert "step 2 done" in (run_dir / "charts" / "latency.svg").read_text()


@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=7, max_size=9))
def test_percentiles_are_those_of_the_alert_rules(grown: list[list[int]]) -> None:
    edges = ("0.1", "0.5", "2", "+Inf")
    store, scrapes, counts = SeriesStore(), [], np.zeros(4)
    for i, step in enumerate(grown):
        counts = counts + np.cumsum(step)
        name = "k6_http_req_duration_seconds_bucket"
        values = [
            ({"__name__": name, "le": e}, float(c)) for e, c in zip(edges, counts, strict=True)
        ]
        scrapes.append(Scrape(T0 + i * NS, values))
        store.append(T0 + i * NS, [(label_set(series), value) for series, value in values])
    last_ns = scrapes[-1].t_ns
    # Prometheus 3 leaves the window's left edge out; 5001 ms hold the same instants as ours.
    rule = (
        "histogram_quantile(0.9, sum by (le) (delta(k6_http_req_duration_seconds_bucket[5001ms])))"
    )
    found = evaluate(parse(rule), store, last_ns)
    assert isinstance(found, dict)
    (expected,) = found.values()
    assert read_curves(scrapes, T0).percentile(0.9)[-1] == pytest.approx(expected, nan_ok=True)


OURS = "k6_http_req_duration_seconds_bucket"
ODD_SERIES = [
    {},
    {"__name__": OURS},
    *({"__name__": OURS, "le": le} for le in ("x", "NaN", "-1", "1e308", "5", "+Inf")),
    {"__name__": "k6_http_reqs_total", "outcome": "issued"},
    {"__name__": "k6_dropped_iterations_total"},
]
ODD_FIGURES = [1.5e305, 1.7e308, -1.7e308, 5e-324, 2**63 - 1, -(2**63), 0, None]


@pytest.mark.parametrize("value", [1, 2**63, 1.7e308, -1.7e308, float("nan"), float("inf")])
def test_what_a_system_says_of_itself_cannot_break_its_report(tmp_path: Path, value: float) -> None:
    run_dir = write_run(tmp_path / "run")
    lines: list[Json] = [{"series": [[n, series] for n, series in enumerate(ODD_SERIES, 90_000)]}]
    for at, figure in enumerate(ODD_FIGURES, 63):
        values = [[90_000 + n, value] for n in range(len(ODD_SERIES))]
        lines.append({"t": T0 + at * NS, "values": values, "up": {}})
        figures = {"dependency:redis": figure, f"dependency:{at}": figure}
        lines.append({"t": T0 + at * NS, "readings": {}, "figures": figures, "alerts": []})
    with (run_dir / "samples.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    written = [one for one in read(run_dir / "samples.jsonl") if isinstance(one, Evaluation)]
    assert written[-1].t_ns == T0 + (62 + len(ODD_FIGURES)) * NS
    write_report(run_dir)
    for path in (run_dir / "charts").glob("*.svg"):
        ET.parse(path)
        assert not re.search(r"\b(nan|inf)\b", path.read_text())


@pytest.mark.parametrize(
    "line",
    [
        '{"t": 1%s, "values": [], "up": {}}' % ("0" * 400),
        '{"t": 1.5, "values": [], "up": {}}',
        '{"series": [[90000, {"__name__": ["a"]}]]}',
        '{"series": [[90000, {"__name__": "k6_http_reqs_total", "outcome": {}}]]}',
    ],
)
def test_a_line_of_samples_that_the_collector_never_writes_is_damage(
    tmp_path: Path, line: str
) -> None:
    run_dir, told = write_run(tmp_path / "run"), list[str]()
    with (run_dir / "samples.jsonl").open("a") as file:
        file.write(line + "\n")
    assert list(read(run_dir / "samples.jsonl", told.append))
    assert len(told) == 1
    write_report(run_dir)


def test_spans_follow_the_worst_instance_and_end_where_the_state_does() -> None:
    def at(t_ns: int, *states: str, fast: bool | None = True) -> Evaluation:
        lines = [AlertLine({"alertname": "A"}, state, 0) for state in states]  # type: ignore[arg-type]
        return Evaluation(t_ns=t_ns, readings={"objective:fast": fast}, alerts=lines)

    lines = [
        at(1),
        at(2, "pending"),
        at(3, "pending", "firing"),
        at(4),
        at(5, "pending", fast=None),
    ]
    found = [(s.state, s.start_ns, s.end_ns) for s in alert_spans(lines, "A")]
    assert found == [("pending", 2, 3), ("firing", 3, 4), ("pending", 5, None)]
    found = [(s.state, s.start_ns, s.end_ns) for s in objective_spans(lines, "fast")]
    assert found == [("true", 1, 5), ("none", 5, None)]


def test_a_long_run_of_many_series_is_written_in_two_seconds(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", last_s=None)
    writer = SamplesWriter(run_dir / "samples.jsonl")
    others = [labels("other", n=str(n)) for n in range(450)]
    edges = [labels("k6_http_req_duration_seconds_bucket", le=f"{edge:g}") for edge in EDGES]
    for at in range(330):
        values = {series: float(at) for series in (*others, *edges)}
        readings = {f"objective:{n}": at % 7 != n for n in range(5)}
        writer.write(values, LiveEvaluation(t_ns=T0 + at * NS, readings=readings, alerts=()))
    writer.close()
    # Processor time: the clock on the wall measures the neighbours too.
    begun = time.process_time()
    write_report(run_dir)
    assert time.process_time() - begun < 2
    assert len(list(read(run_dir / "samples.jsonl"))) == 660
