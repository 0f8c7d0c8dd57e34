"""Sessions without a system, held by the orders that people and facilitators give."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gameday.cli import drill_modes, main
from gameday.core.clock import NS, SystemClock
from gameday.core.errors import UsageError
from gameday.drills.hands import AskedAct
from gameday.drills.recording import (
    SAMPLES,
    RecordedActs,
    load_recording,
    log_lines,
    moved,
    redated,
)
from gameday.drills.replay import Played, replay
from gameday.drills.scenario import Setting
from gameday.drills.tabletop import Table, helping_step, tabletop
from gameday.evidence import events, journal
from gameday.evidence.sealed_box import Box
from gameday.run import locks
from gameday.run.responder.orders import IncidentOrder
from gameday.spec.inputs import find_experiment, find_system, load_drill, load_playbook, load_system
from gameday.spec.shipped import all_experiments, all_playbooks
from gameday.telemetry.samples import LONGEST_LINE
from tests.support.rundirs import EXPERIMENT, FAULT, RUN, SYSTEM, WALL_NS, RunDir

SPEED = 20.0


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@dataclass
class Room:
    """The people of a session: what they order, and what they can read."""

    task: "asyncio.Task[Path]"
    dir: Path
    box: Box
    told: list[locks.Reply] = field(default_factory=list)

    async def say(self, command: locks.RunCommand) -> locks.Reply:
        found = [each for each in locks.running() if each.run == self.dir.name]
        reply = await locks.send_order(found[0], command)
        self.told.append(reply)
        return reply

    async def order(self, name: Any, **fields: Any) -> locks.Reply:
        return await self.say(locks.RunCommand("order", "kim", IncidentOrder(name, **fields)))

    async def facilitate(self, cmd: str, **fields: Any) -> locks.Reply:
        return await self.say(locks.RunCommand(cmd, "lee", token=self.box.token, **fields))

    def records(self, box: Box | None = None) -> tuple[journal.Record, ...]:
        return journal.read(self.dir / "journal.jsonl", box).records

    async def until(self, kind: type[events.E], where: Any = lambda e: True) -> events.E:
        """The first event of a kind that is so, as soon as it is journaled."""
        while True:
            for record in journal.every(self.records(self.box), kind):
                if where(record.event):
                    return record.event
            assert not self.task.done(), self.task.result()
            await asyncio.sleep(0.02)

    async def answer(self, given: locks.Reply) -> events.OrderAnswered:
        assert given.ok, given.why
        return await self.until(events.OrderAnswered, lambda e: e.given == given.given)


@asynccontextmanager
async def room(play: Any) -> AsyncIterator[Room]:
    """A session that has begun."""
    begun: asyncio.Queue[tuple[Path, Box]] = asyncio.Queue()
    task = asyncio.create_task(play(lambda folder, box: begun.put_nowait((folder, box))))
    async with asyncio.timeout(50):
        waiting = asyncio.create_task(begun.get())
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            waiting.cancel()
            task.result()
        folder, box = waiting.result()
        yield Room(task, folder, box)
        await task


def at_table(
    folder: Path, name: str = "redis-slow", lasts: timedelta | None = None, **setting: Any
) -> Any:
    drilled = load_drill(name, 5)
    if lasts is not None:
        drilled = replace(drilled, drill=drilled.drill.model_copy(update={"lasts": lasts}))
    table = Table(
        drilled=drilled,
        system=load_system(find_system(None)),
        runs_dir=folder / "runs",
        setting=Setting(mode="tabletop", **{"speed": SPEED, **setting}),
    )
    return lambda begun: tabletop(table, SystemClock(), begun)


def recorded(folder: Path) -> Path:
    """A run directory with everything that a replay reads."""
    path = RunDir().write(folder / "runs" / RUN)
    (path / "inputs" / "experiment.yaml").write_text(json.dumps(EXPERIMENT))
    (path / "inputs" / "system.yaml").write_text(json.dumps(SYSTEM))
    lines = [json.loads(line) for line in (path / SAMPLES).read_text().splitlines()]
    named = {"series": [[0, {"__name__": "up", "scenario": "drop", "coupon": "COUPON-k3f9"}]]}
    lines[0]["readings"]["step:1:after"] = False
    scrape = {"t": lines[0]["t"], "values": [[0, 1.0]], "up": {}}
    written = [named, scrape, *lines]
    (path / SAMPLES).write_text("".join(json.dumps(line) + "\n" for line in written))
    log = '{"time": "2026-11-23T08:30:20.000+00:00", "message": "hello"}\n  and more\n'
    (path / "logs" / "service.log").write_text(log)
    (path / "logs" / "toxiproxy.log").write_text("latency added\n")
    return path


def played(folder: Path, path: Path, speed: float = SPEED) -> Any:
    asked = Played(run_dir=path, runs_dir=folder / "runs", speed=speed, seed=5)
    return lambda begun: replay(asked, SystemClock(), begun)


async def test_a_tabletop_is_played_by_orders_alone(tmp_path: Path) -> None:
    async with room(at_table(tmp_path)) as people:
        await people.until(events.DrillInject, lambda e: "pager" in e.text)
        assert (await people.order("ack")).ok
        started = journal.first(people.records(), events.DrillStarted)
        assert started is not None
        assert (await people.order("declare", text="2")).ok
        declared = await people.until(events.OrderGiven, lambda e: e.order == "declare")
        assert declared.text == started.event.hypotheses[1]
        act = await people.order("act", step=1, playbook="redis-slow")
        answer = await people.answer(act)
        assert answer.status == "done"
        assert answer.why is not None
        assert answer.why.startswith("it is answered, and then this would be seen: min(issuance")
        assert (await people.order("update", text="we are on it")).ok
        await people.until(events.DrillTruth, lambda e: e.what == "recovered")
        assert (await people.order("resolved")).ok
    records = people.records()
    kinds = [record.event.kind for record in records]
    assert kinds[:3] == ["run.started", "drill.started", "drill.planned"]
    assert kinds[-2:] == ["drill.debriefed", "run.ended"]
    truth = [each.event.what for each in journal.every(records, events.DrillTruth)]
    assert truth == ["injected", "damage", "removed", "recovered"]
    assert (people.dir / "inputs" / "experiment.yaml").exists()
    effective = json.loads((people.dir / "inputs" / "effective.json").read_text())
    assert (effective["run"], effective["experiment"]["name"]) == (people.dir.name, "redis-slow")
    joined = [each.event.by for each in journal.every(records, events.DrillJoined)]
    assert joined == ["kim"]
    assert not (people.dir / "inputs.sealed").exists()


DRILLED = {
    **dict.fromkeys(("db-down", "postgres-connections", "postgres-lock"), "db-down:1"),
    **dict.fromkeys(("redis-down", "redis-flap", "redis-full"), "redis-down:1"),
    **dict.fromkeys(("redis-slow", "redis-block", "redis-slow-under-spike"), "redis-slow:1"),
    **dict.fromkeys(("service-kill", "service-pause"), "service-down:1"),
    "db-slow": "db-slow:1",
    "traffic-spike": "traffic-spike:1",
}


def test_each_shipped_scenario_has_one_step_that_helps() -> None:
    books = {path.stem: load_playbook(path).playbook for path in all_playbooks()}
    found = {}
    for path in all_experiments():
        drilled = load_drill(str(path), 5)
        if drilled.drill.hypotheses:
            step = helping_step(books[drilled.loaded.experiment.playbook or ""])
            found[path.stem] = step and step.name
    assert found == DRILLED


@pytest.mark.parametrize(
    ("name", "harmful", "helpful"),
    [
        ("postgres-lock", {"step": 3, "playbook": "db-down"}, {"step": 1, "playbook": "db-down"}),
        ("postgres-lock", {"action": "pause"}, None),
        ("redis-slow", {"action": "pause"}, {"action": "use-postgres"}),
        ("redis-slow", {"action": "pause"}, {"step": 1, "playbook": "redis-down"}),
    ],
)
async def test_what_takes_the_cause_away_helps_at_a_table_and_nothing_else(
    tmp_path: Path, name: str, harmful: dict[str, Any], helpful: dict[str, Any] | None
) -> None:
    """Where nobody has to act by an action, the word that it is mitigated is enough."""
    async with room(at_table(tmp_path, name, timedelta(hours=5), speed=50.0)) as people:
        await people.until(events.DrillTruth, lambda e: e.what == "damage")
        assert (await people.answer(await people.order("act", **harmful))).status == "done"
        assert (await people.order("mitigated" if helpful is None else "act", **helpful or {})).ok
        await people.until(events.DrillTruth, lambda e: e.what == "recovered")
        assert (await people.order("resolved")).ok
    told = []
    for each in people.records():
        match each.event:
            case events.DrillTruth(what=said) | events.OrderGiven(order=said):
                told.append(said)
            case _:
                pass
    word = "mitigated" if helpful is None else "act"
    assert told == ["injected", "damage", "act", word, "removed", "recovered", "resolved"]


async def test_until_the_debrief_nothing_of_the_truth_can_be_read(tmp_path: Path) -> None:
    async with room(at_table(tmp_path)) as people:
        await people.until(events.DrillTruth)
        kinds = {record.event.kind for record in people.records()}
        assert not kinds & {"drill.planned", "drill.truth", "drill.hint_planned"}
        at_rest = b"".join(path.read_bytes() for path in people.dir.rglob("*") if path.is_file())
        started = journal.first(people.records(), events.DrillStarted)
        assert started is not None
        for word in (b"network.latency", b"network-latency-1", b"300 ms", b"redis-slow.yaml"):
            assert word not in at_rest
        await people.facilitate("debrief")


async def test_a_facilitator_has_the_token_and_others_have_not(tmp_path: Path) -> None:
    async with room(at_table(tmp_path)) as people:
        refused = await people.say(locks.RunCommand("inject", "kim", token="x" * 32, text="boo"))
        assert not refused.ok
        assert (await people.facilitate("inject", text="The boss calls", to="commander")).ok
        said = await people.until(events.DrillInject, lambda e: e.by == "lee")
        assert (said.to, said.text, said.number) == ("commander", "The boss calls", None)
        paused = await people.facilitate("pause")
        assert paused.why == "injects and hints wait, and all that would happen"
        assert (await people.order("hint")).why == "the session is paused: hints wait"
        assert (await people.facilitate("resume")).ok
        assert (await people.facilitate("hint", number=2)).ok
        assert (await people.facilitate("debrief")).ok
    ended = journal.first(people.records(), events.RunEnded)
    assert ended is not None
    assert ended.event.why == "gameday drill debrief by lee"


async def test_at_a_table_nothing_happens_in_a_pause(tmp_path: Path) -> None:
    """Neither the time of the session nor what an act brings about goes on."""
    lasts = timedelta(seconds=100)
    async with room(at_table(tmp_path, lasts=lasts, speed=50.0)) as people:
        await people.until(events.DrillTruth, lambda e: e.what == "damage")
        assert (await people.facilitate("pause")).ok
        await people.answer(await people.order("act", action="use-postgres"))
        ends_s = time.monotonic() + 3.6  # of the plan 180 s; it lasts 175
        while time.monotonic() < ends_s:
            assert not people.task.done()
            await asyncio.sleep(0.02)
        told = [
            each.event.what for each in journal.every(people.records(people.box), events.DrillTruth)
        ]
        assert "recovered" not in told
        assert not journal.first(people.records(), events.DrillInject)
        assert (await people.facilitate("resume")).ok
        await people.until(events.DrillInject, lambda e: "answered again" in e.text)
        await people.order("resolved")


async def test_a_table_ends_when_its_time_is_over(tmp_path: Path) -> None:
    lasts = timedelta(milliseconds=600)
    async with room(at_table(tmp_path, lasts=lasts, speed=1000.0)) as people:
        pass
    ended = journal.first(people.records(), events.RunEnded)
    assert ended is not None
    assert (ended.event.ended, ended.event.why) == ("completed", "its time is over")


def test_the_window_of_a_table_is_the_one_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = []

    def play(experiment: str, asked: drill_modes.ModeOptions) -> Path:
        windows.append((experiment, asked.window_s))
        return tmp_path

    monkeypatch.setattr(drill_modes, "tabletop", play)
    at_once = ["drill", "live", "redis-slow", "--mode", "tabletop"]
    for words in (at_once, [*at_once, "--window", "30s"]):
        assert CliRunner().invoke(main, words).exit_code == 0
    assert windows == [("redis-slow", 600.0), ("redis-slow", 30.0)]


@pytest.mark.parametrize("mode", ["live", "tabletop"])
def test_what_is_wrong_with_the_drill_of_a_file_is_refused_in_every_mode(
    tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "mine.yaml"
    text = find_experiment("redis-slow").read_text()
    path.write_text(text.replace("  minutes: 20\n", "  minutes: 1\n"))
    done = CliRunner().invoke(main, ["drill", "live", str(path), "--mode", mode])
    assert done.exit_code == 2
    assert "'minutes': 1 is less than what a session takes" in done.output


@pytest.mark.parametrize("words", [("--window", "5m"), ("--maybe-nothing", "0.2")])
def test_a_replay_draws_nothing(words: tuple[str, str]) -> None:
    done = CliRunner().invoke(main, ["drill", "live", "--replay", "last", *words])
    assert done.exit_code == 2
    assert f"{words[0]}: a replay has its fault when the recording has it" in done.output


async def test_a_recorded_run_plays_again_at_its_instants(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    async with room(played(tmp_path, path)) as people:
        await people.until(events.DrillTruth, lambda e: e.what == "damage")
        at_rest = b"".join(path.read_bytes() for path in people.dir.rglob("*") if path.is_file())
        for word in (b"network.latency", FAULT.encode(), RUN.encode()):
            assert word not in at_rest
        act = await people.answer(await people.order("act", action="use-postgres"))
        assert (act.status, act.why) == ("done", "as it was recorded: done")
        other = await people.answer(await people.order("act", action="use-redis"))
        assert other.status == "done"
        await people.until(events.DrillTruth, lambda e: e.what == "recovered")
        await people.until(events.DrillInject, lambda e: "recording is over" in e.text)
        assert (await people.order("resolved")).ok
    records = people.records()
    t0_ns = next(e.event.t0_ns for e in journal.every(records, events.Phase) if e.event.t0_ns)
    assert t0_ns is not None
    truth = [
        (each.event.what, each.event.fault) for each in journal.every(records, events.DrillTruth)
    ]
    assert truth == [("injected", FAULT), ("damage", ""), ("removed", FAULT), ("recovered", "")]
    lines = [json.loads(line) for line in (people.dir / SAMPLES).read_text().splitlines()]
    assert lines[0]["series"][0][1] == {"__name__": "up", "scenario": "s1", "coupon": "DRILL"}
    seen = [line for line in lines if "readings" in line]
    assert [round((line["t"] - t0_ns) / NS * SPEED, 3) for line in seen] == list(range(36))
    assert {name for line in seen for name in line["readings"]} == {"objective:fast"}
    firing = [line for line in seen if line["alerts"]]
    assert round((firing[0]["alerts"][0]["active_at"] - t0_ns) / NS * SPEED, 3) == 11
    logs = sorted(each.name for each in (people.dir / "logs").iterdir())
    assert logs == ["service.log"]
    planned = journal.first(records, events.DrillPlanned)
    assert planned is not None
    assert planned.event.path == str(path)
    assert planned.event.fault_at_s == pytest.approx(10.004)


async def test_an_act_that_nobody_did_then_is_not_in_the_recording(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    acts = RecordedActs(load_recording(path).records)
    assert acts.end_of(AskedAct("use-postgres")).outcome.status == "done"
    assert acts.end_of(AskedAct("use-postgres"), speed=10).took_s == pytest.approx(0.09)
    unknown = acts.end_of(AskedAct("pause")).outcome
    assert unknown.status == "not_applicable"
    assert unknown.why.text().startswith("not in the recording")


def test_a_log_is_moved_with_its_instants(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    found = load_recording(path)
    lines = list(log_lines(path / "logs" / "service.log", found))
    assert WALL_NS == 1_795_422_600 * NS
    assert lines[0][0] == pytest.approx(10.0)
    assert lines[1] == (lines[0][0], "  and more")


SECOND = datetime(2026, 11, 23, 8, 30, 20, tzinfo=UTC)
LOCAL = SECOND.astimezone()


@pytest.mark.parametrize(
    ("line", "fraction_s", "later"),
    [
        ("2026-11-23 08:30:20 UTC [1] LOG: x", 0, "2026-11-23 08:30:25 UTC [1] LOG: x"),
        ("2026-11-23 08:30:20,5 WARN x", 0.5, "2026-11-23 08:30:25,5 WARN x"),
        ("2026-11-23T17:30:20.123456+09:00 x", 0.123456, "2026-11-23T17:30:25.123456+09:00 x"),
        ("2026-11-23T08:30:20.123456789Z x", 0.123456, "2026-11-23T08:30:25.123456000Z x"),
        ("[2026-11-23T03:30:20-0500] x", 0, "[2026-11-23T03:30:25-0500] x"),
        ('1.2.3.4 - - [23/Nov/2026:09:30:20 +0100] "GET /"', 0,
         '1.2.3.4 - - [23/Nov/2026:09:30:25 +0100] "GET /"'),
        (f"{LOCAL:%Y/%m/%d %H:%M:%S} [error] x", 0, None),
        (f"1:M {LOCAL:%d %b %Y %H:%M:%S}.250 * x", 0.25, None),
        ('{"level":30,"time":1795422620123,"msg":"x"}', 0.123,
         '{"level":30,"time":1795422625123,"msg":"x"}'),
        ('{"msg": "x", "ts": 1795422620.5}', 0.5, '{"msg": "x", "ts": 1795422625.5}'),
        ('{"message": "' + "x" * 300 + '", "time": "2026-11-23T08:30:20Z"}', 0, None),
    ],
)  # fmt: skip
def test_instants_of_logs_are_read_as_they_are_meant(
    tmp_path: Path, line: str, fraction_s: float, later: str | None
) -> None:
    path = recorded(tmp_path)
    log = path / "logs" / "service.log"
    log.write_text(f"begins\n{line}\n2026-13-45 99:00:00 of no date\n")
    lines = list(log_lines(log, load_recording(path)))
    assert [at_s for at_s, _ in lines] == [pytest.approx(10 + fraction_s, abs=1e-5)] * 3
    moved_on = redated(line, lambda instant: instant + timedelta(seconds=5))
    assert moved_on == (later or line.replace(":20", ":25"))


@pytest.mark.parametrize("text", ["x\n", "2026-11-23 17:30:20 nine hours later\n"])
async def test_a_log_of_which_no_instant_is_known_is_left_out_and_told(
    tmp_path: Path, text: str
) -> None:
    path = recorded(tmp_path)
    (path / "logs" / "own.log").write_text(text)
    async with room(played(tmp_path, path)) as people:
        told = await people.until(events.DrillTruth, lambda e: e.what == "left_out")
        await people.facilitate("debrief")
    assert told.text == "no line of own.log has an instant of the recording, so it is not shown"
    assert [each.name for each in (people.dir / "logs").iterdir()] == ["service.log"]


def test_what_only_this_run_reads_is_not_shown(tmp_path: Path) -> None:
    found = load_recording(recorded(tmp_path))
    line = {"t": found.t0_ns, "readings": {"step:1:after": True, "drain": None, "reaction:x": True},
            "figures": {"dependency:redis": 1.0}, "alerts": []}  # fmt: skip
    shown = json.loads(moved(line, lambda t_ns: t_ns + 5, found))
    assert shown["readings"] == {"drain": None}
    assert shown["figures"] == {"dependency:redis": 1.0}
    assert shown["t"] == found.t0_ns + 5


def unreadable(line: dict[str, Any], how: str) -> bytes:
    """A line of samples, damaged."""
    if how == "too long":
        return b'{"readings": "' + b"x" * LONGEST_LINE
    if how == "series":
        return b'{"series": [[1]]}'
    if how == "no alerts":
        del line["alerts"]
    else:
        line["alerts"] = [{"labels": {"alertname": "A"}, "state": "firing", "active_at": None}]
    return json.dumps(line).encode()


@pytest.mark.parametrize("how", ["no alerts", "no instant", "series", "too long"])
async def test_a_damaged_recording_is_played_up_to_its_damage(tmp_path: Path, how: str) -> None:
    path = recorded(tmp_path)
    lines = (path / SAMPLES).read_bytes().splitlines()
    lines[22] = unreadable(json.loads(lines[22]), how)
    (path / SAMPLES).write_bytes(b"\n".join(lines) + b"\n")
    async with room(played(tmp_path, path)) as people:
        told = await people.until(events.DrillTruth, lambda e: e.what == "left_out")
        await people.facilitate("debrief")
    assert told.text is not None
    assert told.text.startswith("what was measured is played up to here: line 23 ")
    assert len((people.dir / SAMPLES).read_bytes().splitlines()) == 22
    assert load_recording(people.dir).truth[-1].what != "left_out"


@pytest.mark.parametrize("gone", ["journal.jsonl", SAMPLES, "inputs/effective.json"])
def test_what_cannot_be_played_is_refused(tmp_path: Path, gone: str) -> None:
    path = recorded(tmp_path)
    (path / gone).unlink()
    with pytest.raises(UsageError):
        load_recording(path)


async def test_a_drill_that_was_played_can_be_played_again(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    async with room(played(tmp_path, path)) as people:
        await people.until(events.DrillTruth, lambda e: e.what == "recovered")
        await people.order("resolved")
    assert list((people.dir / "inputs").iterdir())
    effective = json.loads((people.dir / "inputs" / "effective.json").read_text())
    assert effective["run"] == people.dir.name
    again = load_recording(people.dir)
    assert [each.what for each in again.truth] == ["injected", "damage", "removed", "recovered"]
    assert again.fault_at_s == pytest.approx(10.004 / SPEED, abs=1)
    async with room(played(tmp_path, people.dir)) as others:
        await others.until(events.DrillTruth, lambda e: e.what == "injected")
        await others.facilitate("debrief")
    planned = [journal.first(each.records(), events.DrillPlanned) for each in (people, others)]
    assert planned[0] is not None
    assert planned[1] is not None
    assert planned[0].event.right == planned[1].event.right


async def test_people_join_once_with_the_role_that_they_say(tmp_path: Path) -> None:
    async with room(at_table(tmp_path)) as people:
        assert (await people.say(locks.RunCommand("join", "kim", to="scribe"))).ok
        refused = await people.say(locks.RunCommand("join", "kim", to="king"))
        assert "commander" in refused.why
        assert (await people.order("note", text="I write it down")).ok
        await people.until(events.OrderGiven)
        await people.facilitate("debrief")
    joined = [each.event for each in journal.every(people.records(), events.DrillJoined)]
    assert [(each.by, each.role) for each in joined] == [("kim", "scribe")]
