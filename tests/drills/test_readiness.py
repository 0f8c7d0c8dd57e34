"""Readiness over run directories on the disk: what they prove, what is left out, what is told."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import TypeAdapter

from gameday.cli import main
from gameday.core.clock import NS
from gameday.core.secrets.signing import SigningKey
from gameday.drills.readiness import (
    Readiness,
    ReadinessQuestion,
    Shelf,
    StepReadiness,
    read_all,
    readiness,
)
from gameday.evidence import seal
from gameday.spec.playbook import Playbook, read_markdown
from tests.support.rundirs import PLAYBOOK, RUN, WALL_NS, RunDir

DAY_S = 86_400
BOOK = """\
---
name: redis-slow
alerts: [RedisSlow]
---

1. Take Redis out of the path.

   ```yaml step
   do: use-postgres
   after: up == 1
   undo: use-redis
   ```

2. Tell the shop.

   ```yaml step
   {}
   ```
"""
TODAY = read_markdown(BOOK, "redis-slow.md")[0]
ALERTS = ("RedisSlow", "StoreDrift")


def write(runs: Path, run: RunDir, name: str = RUN) -> Path:
    """A run directory with its seal."""
    path = run.write(runs / name)
    run.sealed = seal.sums(path)
    (path / "journal.jsonl").unlink()
    run.write_journal(path / "journal.jsonl")
    return path


def asked(
    runs: Path,
    *,
    days: float = 1,
    book: Playbook = TODAY,
    key: SigningKey | None = None,
    **question: Any,
) -> Readiness:
    """The report, so many days after the runs."""
    now_ns = WALL_NS + round(days * DAY_S) * NS
    found = read_all(sorted(runs.iterdir()), key, now_ns)
    whole = ReadinessQuestion(now_ns=now_ns, max_age_s=90 * DAY_S, **question)
    return readiness(found, [Shelf("redis-slow", "redis-slow.md", book)], ALERTS, whole)


def step(report: Readiness, number: int = 1) -> StepReadiness:
    return report.playbooks[0].steps[number - 1]


def worked(run: RunDir, status: str, **done: Any) -> RunDir:
    """The same run, in which step 1 ended so."""
    run.events = [
        (
            at,
            kind,
            {**data, "status": status, **done} if (kind, at) == ("step.done", 15.0) else data,
        )
        for at, kind, data in run.events
    ]
    return run


def by_a_person(run: RunDir, name: str = "ann", through: str = "person") -> RunDir:
    """The same run, in which steps 1 and 2 were ordered."""
    events = []
    for at, kind, data in run.events:
        if kind == "step.started" and not data["undoing"]:
            order = {"order": "act", "by": name, "through": through, "step": data["step"]}
            events.append((at - 0.01, "order.given", order))
            data = {**data, "by": name}
        events.append((at, kind, data))
    run.events = events
    return run


def test_a_step_that_was_seen_to_work_is_ready_and_one_that_nobody_worked_is_not(
    tmp_path: Path,
) -> None:
    write(tmp_path, RunDir())
    report = asked(tmp_path)
    first, second = report.playbooks[0].steps
    assert (first.state, first.ready) == ("works", True)
    assert first.bot is not None
    assert (first.bot.run, first.bot.by, first.bot.status) == (RUN, "bot", "done")
    assert first.person is None
    assert first.age_s == DAY_S - 25  # the run began 10 s before its traffic, the step ended at 15
    assert (second.state, second.ready) == ("unproven", False)  # the bot leaves it to a person
    assert not report.ready
    assert report.playbooks[0].last_used == "2026-11-23T08:30:00Z"


@pytest.mark.parametrize(("days", "state"), [(89, "works"), (91, "old")])
def test_what_is_older_than_max_age_is_not_ready(tmp_path: Path, days: int, state: str) -> None:
    write(tmp_path, RunDir())
    assert step(asked(tmp_path, days=days)).state == state


@pytest.mark.parametrize(
    ("through", "person", "bot"), [("person", "ann", None), ("command", None, "ann")]
)
def test_who_worked_it_is_told_by_the_way_the_order_came(
    tmp_path: Path, through: str, person: str | None, bot: str | None
) -> None:
    write(tmp_path, by_a_person(RunDir(), through=through))
    found = step(asked(tmp_path))
    assert (found.person and found.person.by, found.bot and found.bot.by) == (person, bot)
    assert step(asked(tmp_path, whose="person")).ready == (through == "person")


@pytest.mark.parametrize(
    ("status", "state"), [("failed", "failed"), ("interrupted", "unproven"), ("done", "works")]
)
def test_what_came_later_counts_more_than_an_earlier_success(
    tmp_path: Path, status: str, state: str
) -> None:
    write(tmp_path, RunDir())
    later = RunDir()
    later.events = [(at + 60, kind, data) for at, kind, data in worked(later, status).events]
    write(tmp_path, later, "20261123T083100Z-redis-slow-a1b2")
    assert step(asked(tmp_path)).state == state


@pytest.mark.parametrize("verified", [None, False])
def test_a_step_whose_state_nobody_saw_is_not_proven(
    tmp_path: Path, *, verified: bool | None
) -> None:
    write(tmp_path, worked(RunDir(), "done", verified=verified))
    assert step(asked(tmp_path)).state == "unproven"


@pytest.mark.parametrize("gained", ["before: up == 1", "undo: use-redis"])
def test_a_step_that_gained_a_probe_or_an_undo_is_another(tmp_path: Path, gained: str) -> None:
    run = RunDir()
    first, *others = PLAYBOOK["steps"]
    bare = {**first, "block": {"do": first["block"]["do"]}}
    write(tmp_path, replace(run, playbook={**PLAYBOOK, "steps": [bare, *others]}))
    plain = BOOK.replace("   after: up == 1\n   undo: use-redis\n", "")
    assert step(asked(tmp_path, book=read_markdown(plain, "redis-slow.md")[0])).state == "works"
    more = BOOK.replace("   after: up == 1\n   undo: use-redis\n", f"   {gained}\n")
    assert step(asked(tmp_path, book=read_markdown(more, "redis-slow.md")[0])).state == "changed"


@pytest.mark.parametrize("status", ["placebo", "not_applicable", "interrupted"])
def test_a_step_that_did_nothing_is_not_proven(tmp_path: Path, status: str) -> None:
    write(tmp_path, worked(RunDir(), status))
    assert step(asked(tmp_path)).state == "unproven"


@pytest.mark.parametrize(
    ("old", "new"),
    [("Take Redis out", "Cut Redis off"), ("use-postgres", "pause"), ("== 1", "== 2")],
)
def test_a_step_that_was_changed_since_is_not_proven_by_what_it_was(
    tmp_path: Path, old: str, new: str
) -> None:
    write(tmp_path, RunDir())
    book, _, _ = read_markdown(BOOK.replace(old, new), "redis-slow.md")
    found = step(asked(tmp_path, book=book))
    assert (found.state, found.age_s) == ("changed", None)
    assert found.bot is not None
    assert found.bot.changed


def test_a_step_that_only_has_another_number_is_the_same(tmp_path: Path) -> None:
    write(tmp_path, RunDir())
    moved = BOOK.replace("\n2. Tell", "\n3. Tell").replace("\n1. Take", "\n2. Take")
    book, _, _ = read_markdown(moved, "redis-slow.md")
    assert step(asked(tmp_path, book=book)).state == "works"


def test_a_playbook_that_cannot_be_used_is_not_ready() -> None:
    now_ns = WALL_NS + NS
    question = ReadinessQuestion(now_ns=now_ns, max_age_s=DAY_S)
    shelf = [Shelf("redis-slow", "redis-slow.md", None, "redis-slow.md:3:1: no")]
    report = readiness(read_all([], None, now_ns), shelf, (), question)
    assert (report.ready, report.playbooks[0].problem) == (False, "redis-slow.md:3:1: no")


def test_a_playbook_without_steps_counts_by_who_took_part(tmp_path: Path) -> None:
    book, _, _ = read_markdown(BOOK.partition("\n1. ")[0], "redis-slow.md")
    write(tmp_path, RunDir())
    assert not asked(tmp_path, book=book).ready
    later = by_a_person(RunDir())
    write(tmp_path, later, "20261123T083100Z-redis-slow-a1b2")
    assert asked(tmp_path, book=book).ready
    assert not asked(tmp_path, book=book, days=91).ready


def test_alerts_that_never_fired_are_named(tmp_path: Path) -> None:
    write(tmp_path, RunDir())
    report = asked(tmp_path)
    assert report.never_seen == ["StoreDrift"]
    assert [a.in_run for a in report.alerts] == [RUN, None]


DRILL = {
    "mode": "live", "briefing": "", "role": "operations", "window_s": 0.0, "lasts_s": 600.0,
    "updates_every_s": 300.0,
}  # fmt: skip
PLANNED = {
    "experiment": "redis-slow", "title": "", "path": "redis-slow.yaml", "seed": 7,
    "fault_at_s": 10.0, "lasts_s": 600.0, "right": [], "names": {},
}  # fmt: skip


def drill(mode: str = "live", *, debriefed: bool = True) -> RunDir:
    """A drill that ann and bob took part in."""
    run = by_a_person(RunDir())
    run.events = [
        (-9.9, "drill.started", {**DRILL, "mode": mode}),
        (-9.8, "drill.planned", PLANNED),
        (-9.7, "drill.joined", {"by": "ann", "role": "commander"}),
        (-9.6, "drill.joined", {"by": "bob", "role": "scribe"}),
        *run.events,
    ]
    if debriefed:
        run.events.append((32.5, "drill.debriefed", {"key": ""}))
    return run


def test_a_drill_tells_who_took_part_in_which_role(tmp_path: Path) -> None:
    write(tmp_path, drill())
    report = asked(tmp_path)
    told = [(p.who, p.took_part[0].role, p.took_part[0].orders) for p in report.people]
    assert told == [("ann", "commander", 2), ("bob", "scribe", 0)]
    assert report.people[0].took_part[0].experiment == "redis-slow"
    assert report.alerts[0].in_drill == RUN
    assert step(report).state == "works"


def test_steps_of_several_playbooks_are_told_apart(tmp_path: Path) -> None:
    run = drill()
    run.events = [
        (
            at,
            kind,
            {**data, "playbook": "db-slow"} if kind.startswith(("step.", "order.")) else data,
        )
        for at, kind, data in run.events
    ]
    write(tmp_path, run)
    assert step(asked(tmp_path)).state == "never"
    other, _, _ = read_markdown(BOOK.replace("redis-slow", "db-slow"), "db-slow.md")
    found = step(asked(tmp_path, book=other))
    assert found.person is not None
    assert (found.person.by, found.person.changed) == ("ann", True)  # its text was not journaled


def test_anonymous_names_nobody(tmp_path: Path) -> None:
    write(tmp_path, drill())
    report = asked(tmp_path, anonymous=True)
    assert [p.who for p in report.people] == ["person 1", "person 2"]
    assert "ann" not in str(report)
    assert "bob" not in str(report)


def test_a_replay_is_practice_of_people_and_no_proof_of_a_step(tmp_path: Path) -> None:
    write(tmp_path, drill("replay"))
    found = step(asked(tmp_path))
    assert (found.state, found.person and found.person.status) == ("never", "rehearsed")


def _cut(path: Path) -> None:
    journal = path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])


def _half(path: Path) -> None:
    journal = path / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))


def _other_steps(path: Path) -> None:
    inside = path / "inputs" / "effective.json"
    inside.write_text(inside.read_text().replace("Take Redis", "Cut Redis"))


def _fifo(path: Path) -> None:
    (path / "journal.jsonl").unlink()
    os.mkfifo(path / "journal.jsonl")


def _samples(path: Path) -> None:
    (path / "samples.jsonl").write_text("{\n")


SPOILT: list[tuple[Callable[[Path], None], str]] = [
    (_cut, "damaged"), (_half, "half-written"), (_other_steps, "altered"),
    (_fifo, "damaged"), (_samples, "altered"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "kind"), SPOILT, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_run_that_is_not_whole_is_named_and_proves_nothing(
    tmp_path: Path, spoil: Callable[[Path], None], kind: str
) -> None:
    spoil(write(tmp_path, RunDir()))
    whole = write(tmp_path, RunDir(), "20261123T083100Z-redis-slow-a1b2")
    report = asked(tmp_path)
    assert [(each.run, each.kind) for each in report.left_out] == [(RUN, kind)]
    assert (report.read, report.counted) == (2, 1)
    assert step(report).bot is not None
    assert step(report).bot == replace(step(report).bot, run=whole.name)  # type: ignore[type-var]


def test_a_run_without_a_seal_and_a_drill_without_its_debrief_prove_nothing(tmp_path: Path) -> None:
    RunDir().write(tmp_path / "20261123T083000Z-redis-slow-old1")
    write(tmp_path, drill(debriefed=False), "20261123T083000Z-drill-7f3a")
    report = asked(tmp_path)
    assert [each.kind for each in report.left_out] == ["sealed", "unsealed"]
    assert not report.people


def test_a_run_that_is_dated_in_the_future_proves_nothing(tmp_path: Path) -> None:
    write(tmp_path, RunDir())
    report = asked(tmp_path, days=-2)
    assert [each.why for each in report.left_out] == ["it is dated in the future"]


@pytest.mark.parametrize("t_ns", [10**30, 3 * DAY_S * NS])
def test_a_run_with_a_record_of_the_future_proves_nothing(tmp_path: Path, t_ns: int) -> None:
    run = RunDir()
    run.events.append((t_ns / NS, "phase", {"name": "after"}))
    write(tmp_path, run)
    assert [each.kind for each in asked(tmp_path).left_out] == ["damaged"]


@pytest.mark.parametrize("kind", ["fifo", "large"])
def test_a_playbook_of_a_run_that_cannot_be_read_is_left_out(tmp_path: Path, kind: str) -> None:
    other = write(tmp_path, RunDir()) / "inputs" / "playbooks" / "x.md"
    other.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(other)
    else:
        other.write_text(BOOK.replace("Take Redis", "Cut Redis") + "\n" + " " * 1_000_000)
    assert step(asked(tmp_path)).state == "works"


def test_a_run_of_another_machine_counts_and_is_named(tmp_path: Path) -> None:
    write(tmp_path, RunDir())
    assert asked(tmp_path, key=SigningKey(b"k" * 32)).foreign == {RUN: "not signed"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of now, whose playbook hides the shipped one of its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for module in ("inputs", "shipped"):
        monkeypatch.setattr(f"gameday.spec.{module}.shipped", list)
    (tmp_path / "playbooks").mkdir()
    book = "".join(BOOK.partition("\n2. Tell")[:1])
    (tmp_path / "playbooks" / "redis-slow.md").write_text(book)
    run = RunDir(playbook={**PLAYBOOK, "steps": PLAYBOOK["steps"][:1]})
    write(tmp_path / "runs", run, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-redis-slow-k3f9")
    return tmp_path


def told(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["readiness", *arguments])


def test_the_exit_code_says_whether_all_is_proven(project: Path) -> None:
    assert project.is_dir()
    assert told("--max-age", "5000d").exit_code == 0
    assert told("--max-age", "1s").exit_code == 1
    assert told("--max-age", "soon").exit_code == 2
    assert told("--system", "nowhere.yaml").exit_code == 2
    assert told("--by", "person", "--max-age", "5000d").exit_code == 1


def test_the_table_fits_into_80_columns_and_says_what_is_old(project: Path) -> None:
    assert project.is_dir()
    done = told("--max-age", "1s")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "1. Take Redis out of the path" in done.stdout
    assert "StoreDrift" in done.stdout  # among the alerts that were never seen
    assert "ready: 0 of 1 playbooks" in done.stdout
    assert "\x1b" not in done.stdout


def test_json_is_as_its_schema_says(project: Path) -> None:
    assert project.is_dir()
    report = TypeAdapter(Readiness).validate_json(told("--json").stdout)
    assert report.schema == 1
    assert report.playbooks[0].steps[0].do == "use-postgres"
    schema = json.loads(CliRunner().invoke(main, ["schema", "readiness"]).stdout)
    assert {"playbooks", "alerts", "people", "left_out"} <= schema["properties"].keys()
