"""The live screen: what the files say is what a person sees."""

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from gameday.cli.screen import Story, draw
from gameday.core.clock import NS
from gameday.core.files.tail import Tail
from gameday.evidence.events import from_json
from gameday.evidence.journal import Record, RecordOf
from gameday.telemetry.samples import AlertLine, LiveEvaluation
from gameday.traffic.metrics import Moment

T0 = 100 * NS


def record(second: float, event: str, **data: Any) -> Record:
    return RecordOf(0, T0 + int(second * NS), from_json(event, data))


def told() -> Story:
    story = Story()
    story.end_s, story.windows = 60.0, [(15.0, 35.0)]
    story.journal(record(0, "phase", phase="traffic", t0_ns=T0))
    story.journal(record(15, "fault.injected", id="slow"))
    alert = AlertLine({"alertname": "RedisSlow"}, "firing", 0)
    traffic = Moment(rate_per_s=100.2, p95_ms=351.0, by_outcome={"issued": 7, "refused": 0})
    story.sample(LiveEvaluation(t_ns=T0 + 22 * NS, readings={}, alerts=[alert], traffic=traffic))
    story.journal(record(23, "responder.started", by="bot", alert="RedisSlow"))
    story.journal(record(23, "step.started", step=1, do="use-postgres", text="", undoing=False))
    return story


def shown(story: Story) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(draw(story))
    return console.export_text()


def test_the_screen_shows_clock_faults_alerts_steps_and_traffic() -> None:
    text = shown(told())
    for words in (
        "23.0s",
        "slow injected",
        "RedisSlow firing",
        "step 1 …",
        "100/s  p95 351 ms  issued 7",
        "bot takes the incident (RedisSlow)",
    ):
        assert words in text
    assert "refused" not in text


def test_an_alert_that_ends_is_told_once() -> None:
    story = told()
    line = LiveEvaluation(t_ns=T0 + 40 * NS, readings={}, alerts=(), traffic=Moment())
    assert story.sample(line) == ["alert RedisSlow resolved"]
    assert story.sample(line) == []


def test_an_abort_says_what_is_done_and_how_long_it_may_take() -> None:
    story = told()
    assert story.journal(record(24, "operator.abort", why="SIGINT"))
    assert "at most 20 s" in story.journal(record(24, "phase", phase="ending", aborted=True))
    story.journal(record(24, "phase", phase="drain", at_most_s=5))
    assert "drain (at most 5 s more)" in shown(story)


def test_who_has_acknowledged_is_shown_unless_it_was_the_bot() -> None:
    story = told()
    by_name = record(24, "alert.acknowledged", by="bot", through="person")
    assert story.journal(by_name) == "acknowledged by bot"
    assert story.journal(record(24, "alert.acknowledged", by="bot", through="bot")) == ""


def test_a_tail_yields_whole_lines_only_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    tail = Tail(path)
    assert list(tail.lines()) == []
    path.write_text('{"a": 1}\n{"a": 2')
    assert list(tail.lines()) == [b'{"a": 1}']
    with path.open("a") as file:
        file.write("2}\n" + json.dumps({"a": 3}) + "\n")
    assert list(tail.lines()) == [b'{"a": 22}', b'{"a": 3}']
