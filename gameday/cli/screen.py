"""The live screen of a run: it reads the run's files, and the controller knows nothing of it.

In a terminal, a few lines that are drawn again and again on stderr; elsewhere, one plain line
for each thing that happened.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gameday.cli.drawing import SafeConsole, joined, styled
from gameday.cli.terminal import block
from gameday.core.clock import NS, SystemClock
from gameday.core.units import seconds
from gameday.traffic.metrics import Moment

REFRESH_S = 0.25  # looks live, and costs little
SAID_AT_MOST = 12  # with the head they fit a terminal of 24 lines
BEATS_S = 5  # as often as `load_screen` says a plain line
BAR_CELLS = 60  # of 80 columns, beside the time
COLOURS = {"firing": "bold red", "pending": "yellow", "injected": "red", "done": "green"}


class Tail:
    """Whole new lines of a JSON-lines file that may not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """Complete lines that were appended since the last call, decoded."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self._at += len(raw)
                yield json.loads(raw)


class Story:
    """The state of the run, as far as its files have been read."""

    def __init__(self) -> None:
        self.phase = "starting"
        self.t0_ns = 0
        self.t_ns = 0
        self.deadline_ns: int | None = None
        self.faults: dict[str, str] = {}
        self.steps: dict[str, str] = {}
        self.alerts: dict[str, str] = {}
        self.traffic: Moment | None = None
        self.said: list[tuple[float | None, str]] = []
        self.end_s = 0.0
        self.windows: list[tuple[float, float]] = []

    def plan(self, run_dir: Path) -> None:
        """Take in what is planned: how long the traffic lasts, and when which fault."""
        from gameday.evidence.read import read_effective  # late: the judging needs it anyway

        effective = read_effective(run_dir)
        if effective is None:
            return
        self.end_s = effective.traffic_end_s
        self.windows = [
            (seconds(fault.at), seconds(fault.at + fault.duration))
            for fault in effective.experiment.method
        ]

    def journal(self, record: Mapping[str, Any]) -> str:
        """Take in one record of the journal; a plain line about it, "" when none is due."""
        self.t_ns = max(self.t_ns, record["t"])
        tell = _TELL.get(record["event"])
        line = tell(self, record) if tell else ""
        if line:
            self.said.append((self._at(record["t"]), line))
        return line

    def sample(self, line: Mapping[str, Any]) -> list[str]:
        """Take in one evaluation; a plain line for each alert that changed."""
        if "readings" not in line:
            return []
        self.t_ns = max(self.t_ns, line["t"])
        self.traffic = Moment(**line["traffic"]) if "traffic" in line else None
        now = {a["labels"]["alertname"]: a["state"] for a in line["alerts"]}
        if line.get("alerts_problem"):
            now = self.alerts  # nobody knows, so nothing has changed
        told = [
            f"alert {name} is {state}"
            for name, state in now.items()
            if self.alerts.get(name) != state
        ]
        told += [
            f"alert {name} resolved"
            for name, state in self.alerts.items()
            if name not in now and state == "firing"
        ]
        self.alerts = now
        self.said += [(self._at(line["t"]), text) for text in told]
        return told

    def clock(self, t_ns: int) -> str:
        """Seconds from the start of the traffic, as the screen shows them."""
        return "      " if not self.t0_ns else f"{(t_ns - self.t0_ns) / NS:5.1f}s"

    def _at(self, t_ns: int) -> float | None:
        return (t_ns - self.t0_ns) / NS if self.t0_ns else None


def _phase(story: Story, record: Mapping[str, Any]) -> str:
    if "problem" in record:
        return f"{record['phase']}: {record['problem']}"
    story.phase = record["phase"]
    limit_s = record.get("at_most_s")
    story.deadline_ns = None if limit_s is None else record["t"] + int(limit_s * NS)
    if "t0_ns" in record:
        story.t0_ns = record["t0_ns"]
        return "traffic begins"
    if record["phase"] == "ending" and record.get("aborted"):
        return "ending early: faults are out, then close, drain and audit (at most 20 s)"
    if "at_most_s" in record:
        return f"{record['phase']} (at most {record['at_most_s']:g} s)"
    return "" if "service" in record else str(record["phase"])


def _fault(story: Story, record: Mapping[str, Any], word: str) -> str:
    story.faults[record["id"]] = word
    return f"fault {record['id']} {word}"


def _step(story: Story, record: Mapping[str, Any]) -> str:
    name = f"step {record['step']}{' undo' if record['undoing'] else ''}"
    word = record.get("status", "…")
    story.steps[name] = word
    if word == "…":
        return f"{name}: {record['do'] or record['text']}"
    return f"{name} {word} ({record['why']})"


def progress_line(well: Sequence[str], waiting: Sequence[str]) -> str:
    """How far the start of a stack in containers is; before the first one its images are made."""
    if not well and not waiting:
        return "fetching and building images"
    words = (("up", well), ("waiting for", waiting))
    return "; ".join(f"{word} {', '.join(names)}" for word, names in words if names)


_TELL: dict[str, Callable[[Story, Mapping[str, Any]], str]] = {
    "stack.starting": lambda s, r: f"starting {r['name']}",
    "stack.waiting": lambda s, r: progress_line(r["well"], r["waiting"]),
    "stack.ready": lambda s, r: f"stack is up after {r['took_s']:.1f} s",
    "phase": _phase,
    "fault.injecting": lambda s, r: _fault(s, r, "being injected"),
    "fault.injected": lambda s, r: _fault(s, r, "injected"),
    "fault.dosed": lambda s, r: f"fault {r['id']} injected: {r['injected']} ({r['why']})",
    "fault.removing": lambda s, r: _fault(s, r, "being removed"),
    "fault.escalated": lambda s, r: f"fault {r['id']} is stuck ({r['why']}): {r['step']}",
    "fault.removed": lambda s, r: _fault(s, r, "removed"),
    "fault.proven": lambda s, r: _fault(s, r, f"removed: {r['removed']}"),
    "responder.started": lambda s, r: f"{r['by']} takes the incident ({r['alert']})",
    "alert.acknowledged": lambda s, r: "" if r["by"] == "bot" else f"acknowledged by {r['by']}",
    "step.started": _step,
    "step.done": _step,
    "guard.tripped": lambda s, r: f"guard tripped ({r['why']}): {r['guard']}",
    "operator.abort": lambda s, r: f"{r['why']}: taking the faults out, then ending",
    "worker.gone": lambda s, r: f"{r['which']} is gone",
    "audit.read": lambda s, r: f"audit: {r['rows']} durable issues, cut {r['cut']}",
    "run.ended": lambda s, r: f"ended: {r['ended']}",
}


def draw(story: Story, now_ns: int | None = None) -> RenderableType:
    """The screen: what is going on now, and the last things that happened."""
    head = Table.grid(padding=(0, 2))
    limit = ""
    if story.deadline_ns is not None:
        now_ns = story.t_ns if now_ns is None else now_ns
        limit = f" (at most {max(0, story.deadline_ns - now_ns) / NS:.0f} s more)"
    head.add_row(styled(story.clock(story.t_ns), "bold"), styled(story.phase + limit))
    if story.t0_ns and story.end_s:
        head.add_row("", _bar(story))
    if story.traffic is not None:
        head.add_row("traffic", traffic_line(story.traffic))
    named = (("faults", story.faults), ("alerts", story.alerts), ("steps", story.steps))
    for title, words in named:
        if words:
            head.add_row(title, _words(words))
    lines = [styled(block(_stamp(at) + line), "dim") for at, line in story.said[-SAID_AT_MOST:]]
    return Group(head, *lines)


def _words(words: Mapping[str, str]) -> Text:
    told = [styled(f"{name} {word}", COLOURS.get(word, "")) for name, word in words.items()]
    return styled(", ").join(told)


def _bar(story: Story) -> Text:
    """The length of the traffic, the fault windows in it, and where the run is."""
    now_s = (story.t_ns - story.t0_ns) / NS
    bar: list[Text] = []
    for cell in range(BAR_CELLS):
        at_s = (cell + 0.5) * story.end_s / BAR_CELLS
        broken = any(begin <= at_s < end for begin, end in story.windows)
        mark = ("█" if broken else "━") if at_s <= now_s else ("░" if broken else "─")
        bar.append(styled(mark, "red" if broken else "green" if at_s <= now_s else "dim"))
    return joined(*bar, f" {story.end_s:g} s")


def _stamp(at: float | None) -> str:
    return "         " if at is None else f"{at:7.1f}s "


def traffic_line(now: Moment) -> str:
    """The traffic in a line, as a run and a load test show it."""
    times = "–" if now.p95_ms is None else f"p95 {_ms(now.p95_ms)}"
    if now.service_p95_ms is not None:
        times += f" (from the send {_ms(now.service_p95_ms)})"
    counts = " ".join(f"{name} {count}" for name, count in now.by_outcome.items() if count)
    dropped = f"dropped {now.dropped}" if now.dropped else ""
    parts = (f"{now.rate_per_s:.0f}/s", times, counts, f"open {now.open}", dropped)
    return "  ".join(part for part in parts if part)


def _ms(ms: float) -> str:
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.2g} ms"


class Screen:
    """Shows a run on stderr until it is closed; a thread of its own, reading files only."""

    def __init__(self) -> None:
        self._console = SafeConsole(err=True)
        self._story = Story()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, run_dir: Path) -> None:
        """Begin to show the run in `run_dir`."""
        self._thread = threading.Thread(target=self._show, args=(run_dir,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Show what is left to show, and end."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(5)

    def _show(self, run_dir: Path) -> None:
        self._story.plan(run_dir)
        tails = Tail(run_dir / "journal.jsonl"), Tail(run_dir / "samples.jsonl")
        self._console.print(block(f"run {run_dir.name}"))
        if not self._console.is_terminal:
            self._rounds(tails, self._print)
            return
        with self._console.live(draw(self._story)) as live:
            clock = SystemClock()
            self._rounds(
                tails, lambda _: live.update(draw(self._story, clock.now_ns()), refresh=True)
            )

    def _rounds(self, tails: tuple[Tail, Tail], show: Any) -> None:
        clock = SystemClock()
        while True:
            last = self._over.is_set()
            show(self._read(tails))
            if last:
                return
            clock.pause(REFRESH_S)

    def _read(self, tails: tuple[Tail, Tail]) -> list[str]:
        before = len(self._story.said)
        for record in tails[0].lines():
            self._story.journal(record)
        beat = self._story.traffic
        for line in tails[1].lines():
            self._story.sample(line)
        lines = [_stamp(at) + line for at, line in self._story.said[before:]]
        now = self._story.traffic
        if now is not None and now is not beat and self._due():
            lines.append(f"  {self._story.clock(self._story.t_ns)} {traffic_line(now)}")
        return lines

    def _due(self) -> bool:
        """True if a plain line about the traffic is due: every 5 s of the run."""
        second = (self._story.t_ns - self._story.t0_ns) // NS
        return bool(self._story.t0_ns) and second % BEATS_S == 0

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            self._console.print(block(line), soft_wrap=True)
