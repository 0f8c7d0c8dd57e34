"""Text that a terminal would obey, or that nobody would see, or that has no form in UTF-8."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from gameday.cli.drawing import SafeConsole
from gameday.cli.screen import Story, draw
from gameday.evidence.journal import has_sum, parse
from gameday.telemetry.samples import evaluation_of
from tests.attacks.inside import Shell, inside
from tests.attacks.place import Ended, Place
from tests.attacks.registry import attack
from tests.support.rundirs import RUN, RunDir

RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]"
)
TEXTS = {
    "clear-the-screen": "\x1b[2J\x1b[H",
    "title-of-the-window": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example/\x07click\x1b]8;;\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "report-back": "\x1b[6n\x1b[c\x1b]10;?\x07",
    "c1": "\x9b31m\x90\x9d",
    "delete": "\x7f\x08\x08\x08",
    "carriage-return": "failed\rpassed",
    "other-lines": "\x0b\x0c\x85\u2028\u2029",
    "right-to-left": "\u202eevil\u2066\u2069\u200f",
    "invisible": "a\u200bb\ufeffc\u2060d\U000e0041",
    "half-a-pair": "\ud800",
    "no-utf8": "\udcff\udc80",
    "nul": "a\x00b",
    "markup": "[bold][link=http://evil.example]x[/link] [/] [red",
    "new-line": "a\nrun last: no fault is in\n",
}
ALL = "".join(TEXTS.values())
MACHINE = {
    "clock", "event", "phase", "audience", "prev", "ended", "kind", "fault", "injected", "removed",
    "status", "run", "id", "executor", "rate", "duration", "at", "latency", "expr", "outcome",
    "fires_within", "resolves_within", "recovers_within", "http_req_failed", "state", "coupon",
    "name", "alert", "alertname", "target", "timeout", "after", "undo", "do", "severity",
}  # fmt: skip
"""Keys whose values are of a fixed form: another value is another attack."""


def shows_nothing_raw(ended: Ended) -> None:
    """Assert that it is no bug, and that nothing a terminal obeys was printed."""
    ended.is_no_bug()
    for stream in (ended.out, ended.err):
        found = RAW.search(stream.decode())
        assert found is None, f"{found[0]!r} is raw: {stream!r}"
        assert b"\nrun last" not in stream, "a line of ours was faked"


def spoilt(value: Any, text: str, key: str = "") -> Any:
    """A JSON value with `text` behind every text that is free."""
    if isinstance(value, str):
        return value if key in MACHINE else value + text
    if isinstance(value, dict):
        return {name: spoilt(each, text, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [spoilt(each, text, key) for each in value]
    return value


def run_of(place: Place, text: str) -> Path:
    """A run in whose every file somebody has written `text`."""
    run = RunDir()
    run.experiment, run.playbook = spoilt(run.experiment, text), spoilt(run.playbook, text)
    run.events = [(at, name, spoilt(data, text)) for at, name, data in run.events]
    run.evaluations = spoilt(run.evaluations, text)
    run.audit = {"problem": text, "rows_from": "postgres"}
    return run.write(place.folder / "runs" / RUN)


def experiment(title: str) -> str:
    """An experiment file with that title, whatever is in it."""
    quoted = "".join(
        f"\\u{ord(one):04x}" if ord(one) < 0x10000 else f"\\U{ord(one):08x}" for one in title
    )
    return (
        f'name: odd\ntitle: "{quoted}"\nhypothesis: "{quoted}"\nseed: 1\n'
        "campaign: {coupon: C, stock: 9, users: 9}\n"
        "traffic: {drop: {executor: constant-arrival-rate, rate: 1/s, duration: 5s}}\n"
    )


@attack("terminal", TEXTS)
def title_of_an_experiment(place: Place, text: str) -> None:
    place.write("experiments/odd.yaml", experiment(text))
    for command in (["show", "odd"], ["list"], ["validate", "odd"], ["show", "odd", "--json"]):
        shows_nothing_raw(inside(place, *command))


@attack("terminal", TEXTS)
def journal_of_another(place: Place, text: str) -> None:
    folder = run_of(place, text)
    shows_nothing_raw(inside(place, "check"))
    ended = inside(place, "report")
    shows_nothing_raw(ended)
    assert ended.code == 0, ended.said
    shows_nothing_raw(inside(place, "runs"))
    shows_nothing_raw(inside(place, "heal"))
    for name in ("result.json", "postmortem.md"):
        text_of_it = (folder / name).read_text("utf-8")
        assert not re.search("[\ud800-\udfff]", text_of_it)
    assert RAW.search((folder / "postmortem.md").read_text("utf-8")) is None
    for chart in (folder / "charts").iterdir():
        chart.read_text("utf-8")


@attack("terminal", TEXTS)
def screen_of_a_run(place: Place, text: str) -> None:
    run_of(place, text)
    folder = place.folder / "runs" / RUN
    story = Story()
    story.plan(folder)
    with (place.folder / "drawn").open("w", encoding="utf-8") as file:
        console = SafeConsole(file=file, force_terminal=True, color_system=None, width=200)
        with console.live(draw(story)) as live:
            for line in (folder / "journal.jsonl").read_bytes().splitlines():
                console.print(story.journal(parse(line, checked=has_sum(line))[0]))
            for line in (folder / "samples.jsonl").read_bytes().splitlines():
                if (seen := evaluation_of(line)) is not None:
                    story.sample(seen)
            live.update(draw(story), refresh=True)
    drawn = (place.folder / "drawn").read_bytes().decode()
    own = re.sub(r"\x1b\[[0-9]*[A-Kml]|\x1b\[\?25[hl]|\r(?=\x1b)", "", drawn)  # the picture's
    assert RAW.search(own.replace("\r", "")) is None, own


ARGUMENTS = {
    "experiment": ["show", ALL],
    "file": ["validate", f"{ALL}.yaml"],
    "system": ["validate", "redis-slow", "--system", ALL],
    "folder-of-runs": ["check", "--runs", ALL],
    "run": ["check", ALL],
    "run-to-stop": ["stop", ALL],
    "run-to-take": ["ack", ALL, "--by", ALL],
    "run-to-heal": ["heal", ALL],
    "option": ["runs", f"--{ALL}"],
    "value": ["schema", ALL],
    "command": [ALL],
    "reason": ["stop", "--hold", ALL, "--by", ALL],
    "script": ["traffic", "import", ALL],
    "url": ["traffic", "--url", f"http://127.0.0.1/{ALL}", "--rate", "1/s", "--duration", "1s"],
    "header": [
        "traffic", "--url", "http://127.0.0.1:1/", "--rate", "1/s", "--duration", "1s",
        "--header", f"X: {ALL}",
    ],
    "body": [
        "traffic", "--url", "http://127.0.0.1:1/", "--rate", "1/s", "--duration", "1s",
        "--json", ALL,
    ],
    "threshold": [
        "traffic", "--url", "http://127.0.0.1:1/", "--rate", "1/s", "--duration", "1s",
        "--threshold", ALL,
    ],
    "rate": ["traffic", "--url", "http://127.0.0.1:1/", "--rate", ALL, "--duration", "1s"],
    "port": ["toxiproxy", "--port", ALL],
    "config": ["toxiproxy", "--config", ALL],
    "target": ["plan", "redis-slow", "--allow-target", ALL],
}  # fmt: skip


@attack("terminal", ARGUMENTS)
def argument(place: Place, arguments: list[str]) -> None:
    given = [each.replace("\x00", "").replace("\ud800", "") for each in arguments]  # as a shell can
    shows_nothing_raw(inside(place, *given))


@attack("terminal", {"there": "odd", "not-there": "none"})
def hold_of_another(place: Place, name: str) -> None:
    state = place.folder / "home" / "state" / "gameday"
    state.mkdir(parents=True, mode=0o700)
    shows_nothing_raw(inside(place, "stop", "--hold", f"{name}{ALL}", "--by", ALL))
    for command in (["runs"], ["doctor"], ["release"]):
        shows_nothing_raw(inside(place, *command))


SECRETS = {"token": "API_TOKEN", "password": "DB_PASSWORD", "address": "AUDIT_POSTGRES"}


@attack("terminal", SECRETS)
def secret_that_is_no_utf8(place: Place, name: str) -> None:
    run_of(place, "")
    value = (
        "postgresql://u:pass\udcffword@127.0.0.1/x" if name.startswith("AUDIT") else "s\udcff" * 5
    )
    shell = Shell(environment={name: value})
    for command in (["heal"], ["plan", "redis-slow", "--short"], ["check"], ["stop"]):
        ended = inside(place, *command, shell=shell)
        shows_nothing_raw(ended)
        assert "word@" not in ended.said


NAMES = {"escape": "\x1b[31mred", "line": "a\nrun last: x", "no-utf8": "\udcff", "rtl": "\u202ex"}


@attack("terminal", NAMES)
def name_of_a_file(place: Place, name: str) -> None:
    path = place.folder / "experiments" / f"{name}.yaml"
    path.parent.mkdir()
    path.write_text(experiment("fine") + "unknown: 1\n")
    (place.folder / "runs" / name).mkdir(parents=True)
    (place.folder / "runs" / name / "journal.jsonl").write_text("")
    for command in (
        ["list"],
        ["list", "--json"],
        ["validate"],
        ["runs"],
        ["check", name],
        ["heal"],
        ["traffic", "export", "--k6", f"experiments/{name}.yaml"],
    ):
        shows_nothing_raw(inside(place, *command))


ENCODINGS = {"ascii": "ascii", "latin-1": "latin-1", "cp949": "cp949", "utf-8": "utf-8"}
KOREAN = "쿠폰 한정 수량 – naïve \udcff 👩\u200d🚀"


@attack("terminal", ENCODINGS)
def encoding_of_the_terminal(place: Place, encoding: str) -> None:
    place.write("experiments/odd.yaml", experiment(KOREAN))
    run_of(place, KOREAN)
    shell = Shell(encoding=encoding)
    for command in (
        ["show", "odd"], ["list"], ["check"], ["report"], ["runs"], ["show", KOREAN], ["schema"],
        ["show", "odd", "--json"], ["check", "--json"], ["traffic", "export", "--k6", "odd"],
        ["doctor", "--brief"], ["ack", KOREAN],
    ):  # fmt: skip
        inside(place, *command, shell=shell).is_no_bug()


LOCALES = {
    "c": {"LC_ALL": "C"},
    "c-and-ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii-output": {"PYTHONIOENCODING": "ascii"},
    "latin-1-output": {"PYTHONIOENCODING": "latin-1:strict"},
}


@attack("terminal", LOCALES, slow=True)
def korean_under_a_locale(place: Place, environment: dict[str, str]) -> None:
    place.write("experiments/odd.yaml", experiment(KOREAN))
    run_of(place, KOREAN)
    for command in (["show", "odd"], ["report"], ["show", "쿠폰"]):
        place.gameday(*command, environment=environment).is_no_bug()


@attack("terminal", {"show": ["show", "odd"], "check": ["check"], "runs": ["runs"]}, slow=True)
def real_terminal(place: Place, command: list[str]) -> None:
    """A pseudo-terminal is written to as a terminal: with styles of ours, and nothing else."""
    place.write("experiments/odd.yaml", experiment(re.sub("[\ud800-\udfff]", "", ALL)))
    run_of(place, ALL)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gameday", *command],
        cwd=place.folder,
        env={**place.environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        said += part
    code = process.wait(30)
    os.close(ours)
    assert code in range(7), said
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).replace("\r\n", "\n")
    assert "\\x1b" in plain or command == ["runs"]
    assert RAW.search(plain) is None, plain
