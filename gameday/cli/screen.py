"""The live screen of a run: it reads the run's files, and the controller knows nothing of it.

In a terminal, a few lines that are drawn again and again on stderr; elsewhere, one plain line
for each thing that happened.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gameday.cli.drawing import SafeConsole, joined, styled
from gameday.cli.terminal import block
from gameday.core.clock import NS, SystemClock
from gameday.core.files.tail import Tail
from gameday.core.units import seconds
from gameday.evidence import events
from gameday.evidence.journal import Record, parse
from gameday.telemetry.samples import LiveEvaluation, evaluation_of
from gameday.traffic.metrics import Moment

REFRESH_S = 0.25  # looks live, and costs little
SAID_AT_MOST = 12  # with the head they fit a terminal of 24 lines
BEATS_S = 5  # as often as `load_screen` says a plain line
BAR_CELLS = 60  # of 80 columns, beside the time
COLOURS = {"firing": "bold red", "pending": "yellow", "injected": "red", "done": "green"}


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

    def journal(self, record: Record) -> str:
        """Take in one record of the journal; a plain line about it, "" when none is due."""
        self.t_ns = max(self.t_ns, record.t_ns)
        line = _about(self, record)
        if line:
            self.said.append((self._at(record.t_ns), line))
        return line

    def sample(self, seen: LiveEvaluation) -> list[str]:
        """Take in one evaluation; a plain line for each alert that changed."""
        self.t_ns = max(self.t_ns, seen.t_ns)
        self.traffic = seen.traffic
        now: dict[str, str] = {alert.name: alert.state for alert in seen.alerts}
        if seen.alerts_problem:
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
        self.said += [(self._at(seen.t_ns), text) for text in told]
        return told

    def clock(self, t_ns: int) -> str:
        """Seconds from the start of the traffic, as the screen shows them."""
        return "      " if not self.t0_ns else f"{(t_ns - self.t0_ns) / NS:5.1f}s"

    def _at(self, t_ns: int) -> float | None:
        return (t_ns - self.t0_ns) / NS if self.t0_ns else None


def _about(story: Story, record: Record) -> str:
    """A line about what happened, "" for what is not told."""
    event = record.event
    match event:
        case events.Phase():
            return _phase(story, event, record.t_ns)
        case (
            events.StepStarted() | events.ActionStarted() | events.StepDone() | events.ActionDone()
        ):
            return _act(story, event)
        case events.OrderGiven() | events.OrderAnswered() | events.AlertAcknowledged():
            return _order(event)
        case events.StackWaiting() | events.AutoscalerScaled() | events.DrillStarted():
            return _long_line(event)
        case events.FaultEvent() if type(event) in _FAULTS:
            story.faults[event.id] = _FAULTS[type(event)].format(event)
            return f"fault {event.id} {story.faults[event.id]}"
    return _LINES.get(type(event), "").format(event)


def _phase(story: Story, event: events.Phase, t_ns: int) -> str:
    if event.problem is not None:
        return f"{event.phase}: {event.problem}"
    story.phase = event.phase
    limit_s = event.at_most_s
    story.deadline_ns = None if limit_s is None else t_ns + int(limit_s * NS)
    if event.t0_ns is not None:
        story.t0_ns = event.t0_ns
        return "traffic begins"
    if event.phase == "ending" and event.aborted:
        return "ending early: faults are out, then close, drain and audit (at most 20 s)"
    if limit_s is not None:
        return f"{event.phase} (at most {limit_s:g} s)"
    return "" if event.service is not None else event.phase


def _act(story: Story, event: events.Event) -> str:
    """A step of the playbook, or an action outside of it, begins or is over."""
    match event:
        case (
            events.StepStarted(step=step, undoing=undoing, playbook=book)
            | events.StepDone(step=step, undoing=undoing, playbook=book)
        ):
            of = f"{book}:" if book else ""
            name = f"step {of}{step}{' undo' if undoing else ''}"
        case (
            events.ActionStarted(do=do, undoing=undoing) | events.ActionDone(do=do, undoing=undoing)
        ):
            name = f"action {do}{' undo' if undoing else ''}"
        case _:
            return ""
    if isinstance(event, events.StepDone | events.ActionDone):
        story.steps[name] = event.status
        return f"{name} {event.status} ({event.why})"
    story.steps[name] = "…"
    if isinstance(event, events.ActionStarted):
        return f"{name}: by {event.by}"
    return f"{name}: {event.do or event.text}"


def _order(event: events.OrderGiven | events.OrderAnswered | events.AlertAcknowledged) -> str:
    """An order, and what is answered to it where nothing else tells what came of it."""
    if isinstance(event, events.AlertAcknowledged):
        return "" if event.through == "bot" else f"acknowledged by {event.by}"
    if isinstance(event, events.OrderAnswered):
        told = event.status in ("refused", "answered", "interrupted")
        return f"order {event.order} {event.status} ({event.why})" if told else ""
    of = f"{event.playbook}:" if event.playbook else ""
    step = None if event.step is None else f"step {of}{event.step}"
    parts = (event.severity, step, event.action, event.to, event.text)
    return f"{event.by}: {' '.join([event.order, *filter(None, parts)])}"


def _long_line(
    event: events.StackWaiting | events.AutoscalerScaled | events.DrillStarted,
) -> str:
    """A line that lists something."""
    if isinstance(event, events.DrillStarted):
        believed = enumerate(event.hypotheses, start=1)
        return f"{event.briefing} To declare: {'; '.join(f'{n} {text}' for n, text in believed)}"
    if isinstance(event, events.StackWaiting):
        return progress_line(event.well, event.waiting)
    return f"autoscaler: {event.why or f'{event.replicas} replicas serve'}"


def progress_line(well: Sequence[str], waiting: Sequence[str]) -> str:
    """How far the start of a stack in containers is; before the first one its images are made."""
    if not well and not waiting:
        return "fetching and building images"
    words = (("up", well), ("waiting for", waiting))
    return "; ".join(f"{word} {', '.join(names)}" for word, names in words if names)


_FAULTS: Mapping[type[events.Event], str] = {
    events.FaultInjecting: "being injected",
    events.FaultInjected: "injected",
    events.FaultRemoving: "being removed",
    events.FaultRemoved: "removed",
    events.FaultProven: "removed: {0.removed}",
}
_LINES: Mapping[type[events.Event], str] = {
    events.StackStarting: "starting {0.name}",
    events.StackReady: "stack is up after {0.took_s:.1f} s",
    events.FaultDosed: "fault {0.id} injected: {0.injected} ({0.why})",
    events.FaultEscalated: "fault {0.id} is stuck ({0.why}): {0.step}",
    events.ResponderStarted: "{0.by} takes the incident ({0.alert})",
    events.ResponderLaunched: "the program that responds is started",
    events.ResponderTrouble: "the program that responds: {0.why}",
    events.ResponderEnded: "the program that responds is not heard any more ({0.why})",
    events.AutoscalerScaling: "autoscaler: {0.before} → {0.replicas} replicas",
    events.GuardTripped: "guard tripped ({0.why}): {0.guard}",
    events.OperatorAbort: "{0.why}: taking the faults out, then ending",
    events.WorkerGone: "{0.which} is gone",
    events.AuditRead: "audit: {0.rows} durable issues, cut {0.cut}",
    events.DrillInject: "to {0.to}: {0.text}",
    events.DrillHint: "hint {0.number}: {0.text}",
    events.DrillPaused: "injects and hints wait; traffic and clocks go on",
    events.DrillResumed: "injects and hints go on",
    events.RunEnded: "ended: {0.ended}",
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

    def _rounds(self, tails: tuple[Tail, Tail], show: Callable[[list[str]], None]) -> None:
        clock = SystemClock()
        while True:
            last = self._over.is_set()
            show(self._read(tails))
            if last:
                return
            clock.pause(REFRESH_S)

    def _read(self, tails: tuple[Tail, Tail]) -> list[str]:
        before = len(self._story.said)
        for raw in tails[0].lines():
            self._story.journal(parse(raw, checked=True)[0])
        beat = self._story.traffic
        for raw in tails[1].lines():
            if (seen := evaluation_of(raw)) is not None:
                self._story.sample(seen)
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
