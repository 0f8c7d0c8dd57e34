"""What is told of a run under way: read from its files, as they grow, and never in its way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import NS, SystemClock
from gameday.evidence import events
from gameday.evidence.journal import Journal
from gameday.judge.judge import judge
from gameday.report.notify import FILE, AttemptLog, Outbox, RunFollower, RunTitle, run_finished
from gameday.report.notify.channels import ConsoleChannel
from gameday.report.notify.follow import MOST_ALERTS
from gameday.report.notify.notice import alerts_fire
from tests.attacks.server import Server, says, stalls
from tests.support.rundirs import RUN, RunDir, read

TITLE = RunTitle(run=RUN, experiment="redis-slow", title="Redis answers late", stack="embedded")
DRILL = RunTitle(run="20261130T101010Z-drill-ab12", is_drill=True)


class Growing:
    """A run directory that grows, its follower, and what was told."""

    def __init__(self, folder: Path, of: RunTitle = TITLE) -> None:
        self.folder = folder
        self.told: list[str] = []
        self.journal = Journal(folder / "journal.jsonl", SystemClock(), "test")
        outbox = Outbox([ConsoleChannel(self.told.append)], AttemptLog(folder / FILE))
        self.follower = RunFollower(folder, of, outbox)
        self._outbox = outbox

    def evaluate(self, t_s: float, *firing: str, **more: Any) -> None:
        alerts = [
            {"labels": {"alertname": name}, "state": "firing", "active_at": 0} for name in firing
        ]
        line = {"t": int(t_s * NS), "readings": {}, "alerts": alerts, **more}
        with (self.folder / "samples.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def heads(self) -> list[str]:
        """The first lines of what was told, once all of it was."""
        self._outbox.close(10)
        return [text.splitlines()[0].removeprefix("EXERCISE – ") for text in self.told]


@pytest.fixture
def run(tmp_path: Path) -> Growing:
    return Growing(tmp_path)


def test_each_alert_is_told_once_and_not_one_that_fired_before(run: Growing) -> None:
    run.journal.write(events.Phase(phase="traffic", t0_ns=100 * NS))
    run.evaluate(101, "Watchdog")
    run.follower.look()
    run.evaluate(112, "Watchdog", "RedisSlow", "RedisSlow")
    run.evaluate(113, "Watchdog", "RedisSlow", "IssuanceSlow", "RedisErrors")
    run.follower.look()
    run.evaluate(114, "Watchdog")
    run.evaluate(115, "RedisSlow", "IssuanceSlow")
    run.follower.look()
    assert run.heads() == [
        "Redis answers late: RedisSlow fires",
        "Redis answers late: IssuanceSlow, RedisErrors fire",
    ]
    assert "After the start of the traffic: 12.0 s" in run.told[0]


def test_a_storm_of_alerts_floods_no_channel(run: Growing) -> None:
    run.evaluate(1)
    for second in range(2, 40):
        run.evaluate(second, *(f"Alert{n}" for n in range(second)))
    run.evaluate(41, *(f"Other{n}" for n in range(5_000)))
    run.follower.look()
    assert len(run.heads()) == MOST_ALERTS
    many = alerts_fire(TITLE, [f"Alert{n}" for n in range(5_000)], 1.0).headline.text()
    assert many == "Redis answers late: Alert0, Alert1, Alert2, Alert3, Alert4, … fire"


def test_alerts_that_nobody_could_read_are_none(run: Growing) -> None:
    run.evaluate(1)
    run.evaluate(2, "RedisSlow", alerts_problem="no answer")
    run.follower.look()
    assert run.heads() == []


def test_an_abort_is_told_when_it_begins_with_its_first_reason(run: Growing) -> None:
    run.journal.write(events.GuardTripped(guard="errors > 0.5", why="true for 10 s"))
    run.journal.write(events.OperatorAbort(why="gameday stop by ana"))
    run.journal.write(events.Phase(phase="ending", aborted=True))
    run.follower.look()
    run.journal.write(events.RunEnded(ended="guard", why="", evidence=None))
    run.follower.look()
    assert run.heads() == ["Redis answers late: the run ends early, its faults are being taken out"]
    assert "The run: was stopped by a guard" in run.told[0]
    assert "Why: true for 10 s: errors > 0.5" in run.told[0]


def test_a_run_that_ended_before_its_traffic_is_told_too(run: Growing) -> None:
    why = "the stack was not up within 60 s"
    run.journal.write(events.RunEnded(ended="unhealthy", why=why, evidence=None))
    run.follower.look()
    assert len(run.heads()) == 1
    assert f"Why: {why}" in run.told[0]


def test_of_a_drill_nothing_is_told_but_that_it_is_one(tmp_path: Path) -> None:
    drill = Growing(tmp_path, DRILL)
    drill.evaluate(1)
    drill.evaluate(2, "RedisSlow")
    drill.journal.write(events.GuardTripped(guard="redis > 1", why="redis"))
    drill.journal.write(events.Phase(phase="ending", aborted=True))
    drill.follower.start()
    drill.follower.finish(10)
    heads = drill.heads()
    assert heads == [
        "EXERCISE (drill) – A drill has begun",
        "EXERCISE (drill) – The drill was ended early, its faults are being taken out",
    ]
    assert "redis" not in " ".join(drill.told).lower()


@pytest.mark.parametrize("garbage", [b"{}\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b'{"t": 1}\n'])
def test_a_damaged_file_ends_the_telling_and_nothing_else(garbage: bytes, tmp_path: Path) -> None:
    run = Growing(tmp_path)
    for name in ("journal.jsonl", "samples.jsonl"):
        (tmp_path / name).write_bytes(garbage)
    run.follower.start()
    run.follower.finish(10)
    assert run.heads() == ["Redis answers late: the run has begun"]


def test_a_verdict_is_told_with_its_clocks_and_the_checks_that_failed() -> None:
    honest = judge(read(RunDir()))
    text = run_finished(honest, "Redis answers late").plain("en")
    assert text.startswith(f"EXERCISE – Redis answers late: {honest.verdict}\nRun: {honest.run}\n")
    assert f"Detected after: {honest.clocks.detected_after_s:.1f} s" in text
    wrong = [check.name for check in honest.checks if check.verdict == "invalid"]
    assert all(name in text for name in wrong[:5])


def test_the_verdict_of_a_drill_is_for_its_debrief() -> None:
    text = run_finished(judge(read(RunDir())), "Redis answers late", is_drill=True).plain("en")
    assert text == (
        f"EXERCISE (drill) – The drill is over; its debrief is with the facilitator\nRun: {RUN}"
    )


EXPERIMENT = """\
name: quick
title: "Ask <!channel> & see"
campaign: {coupon: C, stock: 40, users: 500}
traffic: {drop: {executor: constant-arrival-rate, rate: 20/s, duration: 2s}}
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with an experiment of two seconds, and an environment of its own."""
    folder = tmp_path_factory.mktemp("quick")
    (folder / "quick.yaml").write_text(EXPERIMENT)
    environment = {name: value for name, value in os.environ.items() if "GAMEDAY" not in name}
    yield folder, environment


def gameday(
    folder: Path, environment: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gameday", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(180)
def test_a_real_run_is_told_to_one_channel_while_the_other_hangs(
    quick: tuple[Path, dict[str, str]],
) -> None:
    folder, environment = quick
    with Server({"/slack/SECRETPATH": stalls(), "/hook": says("ok")}) as server:
        environment = {
            **environment,
            "GAMEDAY_SLACK_WEBHOOK": f"{server.url}/slack/SECRETPATH",
            "GAMEDAY_WEBHOOK": f"{server.url}/hook",
        }
        ran = gameday(folder, environment, "run", "quick.yaml", "--json")
        told = [json.loads(raw) for _, path, _, raw in server.asked if path == "/hook"]
    result = json.loads(ran.stdout)
    assert [each["event"] for each in told] == ["run.started", "run.finished"]
    assert told[1]["run"] == result["run"] == told[0]["run"]
    assert told[1]["verdict"] == result["verdict"]
    assert told[1]["exit_code"] == ran.returncode == result["exit_code"]
    (run_dir,) = (folder / "runs").iterdir()
    noted = [json.loads(line) for line in (run_dir / FILE).read_text().splitlines()]
    assert {each["outcome"] for each in noted if each["channel"] == "webhook"} == {"delivered"}
    assert "delivered" not in {each["outcome"] for each in noted if each["channel"] == "slack"}
    for path in (each for each in run_dir.rglob("*") if each.is_file()):
        assert b"SECRETPATH" not in path.read_bytes(), path
    assert "SECRETPATH" not in ran.stderr
    checked = gameday(folder, environment, "check", run_dir.name)
    assert checked.returncode == ran.returncode  # the note of attempts is no evidence


def test_the_command_that_tries_says_what_came_of_it(quick: tuple[Path, dict[str, str]]) -> None:
    folder, environment = quick
    nobody = gameday(folder, environment, "notify")
    assert nobody.returncode == 2
    assert "GAMEDAY_SLACK_WEBHOOK" in nobody.stderr
    with Server({"/hook": says("ok"), "/gone": says("", 404)}) as server:
        works = {**environment, "GAMEDAY_WEBHOOK": f"{server.url}/hook"}
        tried = gameday(folder, works, "notify", "hello")
        assert (tried.returncode, tried.stdout) == (0, "webhook: attempt 1: delivered\n")
        assert json.loads(server.asked[0][3])["announcement"] == "hello"
        gone = {**works, "GAMEDAY_SLACK_WEBHOOK": f"{server.url}/gone"}
        assert gameday(folder, gone, "notify").returncode == 3
    wrong = gameday(folder, {**environment, "GAMEDAY_WEBHOOK": "hooks/SECRET"}, "notify")
    assert wrong.returncode == 3
    assert "warning: GAMEDAY_WEBHOOK: is not an address" in wrong.stderr
    assert "SECRET" not in wrong.stderr
    quiet = gameday(folder, {**environment, "GAMEDAY_NOTIFY": "console"}, "notify")
    assert quiet.returncode == 0
    assert quiet.stderr.startswith("EXERCISE (game day) – This is a test")
