"""The live screen of a run: it reads the run's files, and the controller knows nothing of it.

In a terminal, a few lines that are drawn again and again on stderr; elsewhere, one plain line
for each thing that happened.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gameday.cli.drawing import SafeConsole, joined, styled
from gameday.cli.terminal import block
from gameday.cli.words import line, phase_word, say, spoken, word
from gameday.core.clock import NS, SystemClock
from gameday.core.files.tail import Tail
from gameday.core.messages import Value
from gameday.core.units import seconds
from gameday.evidence import events
from gameday.evidence.journal import Record, parse
from gameday.spec.translations import translated
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
        self.phase = say("starting")
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
        told = _about(self, record)
        if told:
            self.said.append((self._at(record.t_ns), told))
        return told

    def sample(self, seen: LiveEvaluation) -> list[str]:
        """Take in one evaluation; a plain line for each alert that changed."""
        self.t_ns = max(self.t_ns, seen.t_ns)
        self.traffic = seen.traffic
        now: dict[str, str] = {alert.name: alert.state for alert in seen.alerts}
        if seen.alerts_problem:
            now = self.alerts  # nobody knows, so nothing has changed
        told = [
            say("alert_is", name=name, state=state)
            for name, state in now.items()
            if self.alerts.get(name) != state
        ]
        told += [
            say("alert_resolved", name=name)
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
            story.faults[event.id] = say(_FAULTS[type(event)], **_values(event))
            return say("fault", id=event.id, state=story.faults[event.id])
    kind = _LINES.get(type(event))
    return "" if kind is None else say(kind, **_values(event))


def _values(event: events.Event) -> dict[str, Value]:
    """The fields of an event by their names, its reason in the language that was chosen."""
    of_class: Any = event  # each kind of event is a dataclass
    found = {each.name: getattr(event, each.name) for each in fields(of_class)}
    if "why" in found:
        found["why"] = line(found.get("message"), found["why"])
    if isinstance(found.get("text"), str):
        found["text"] = translated(found["text"], spoken())
    return found


def _phase(story: Story, event: events.Phase, t_ns: int) -> str:
    if event.problem is not None:
        return say("phase_problem", phase=event.phase, problem=event.problem)
    story.phase = event.phase
    limit_s = event.at_most_s
    story.deadline_ns = None if limit_s is None else t_ns + int(limit_s * NS)
    if event.t0_ns is not None:
        story.t0_ns = event.t0_ns
        return say("traffic_begins")
    if event.phase == "ending" and event.aborted:
        return say("ending_early")
    if limit_s is not None:
        return say("phase_limit", phase=event.phase, limit_s=limit_s)
    return "" if event.service is not None else phase_word(event.phase)


def _act(story: Story, event: events.Event) -> str:
    """A step of the playbook, or an action outside of it, begins or is over."""
    match event:
        case (
            events.StepStarted(step=step, undoing=undoing, playbook=book)
            | events.StepDone(step=step, undoing=undoing, playbook=book)
        ):
            of = f"{book}:" if book else ""
            name = say("step_undo" if undoing else "step", name=f"{of}{step}")
        case (
            events.ActionStarted(do=do, undoing=undoing) | events.ActionDone(do=do, undoing=undoing)
        ):
            name = say("action_undo" if undoing else "action", name=do)
        case _:
            return ""
    if isinstance(event, events.StepDone | events.ActionDone):
        story.steps[name] = event.status
        why = line(event.message, event.why)
        return say("act_done", name=name, status=event.status, why=why)
    story.steps[name] = "…"
    if isinstance(event, events.ActionStarted):
        return say("act_by", name=name, by=event.by)
    what = event.do or translated(event.text, spoken())
    return say("act_what", name=name, what=what)


def _order(event: events.OrderGiven | events.OrderAnswered | events.AlertAcknowledged) -> str:
    """An order, and what is answered to it where nothing else tells what came of it."""
    if isinstance(event, events.AlertAcknowledged):
        return "" if event.through == "bot" else say("acknowledged", by=event.by)
    if isinstance(event, events.OrderAnswered):
        told = event.status in ("refused", "answered", "interrupted")
        return say("order_answered", **_values(event)) if told else ""
    of = f"{event.playbook}:" if event.playbook else ""
    step = None if event.step is None else f"step {of}{event.step}"
    parts = (event.severity, step, event.action, event.to, event.text)
    return say("order", by=event.by, order=" ".join([event.order, *filter(None, parts)]))


def _long_line(
    event: events.StackWaiting | events.AutoscalerScaled | events.DrillStarted,
) -> str:
    """A line that lists something."""
    if isinstance(event, events.DrillStarted):
        believed = enumerate(event.hypotheses, start=1)
        listed = "; ".join(f"{n} {text}" for n, text in believed)
        return say("drill_started", briefing=event.briefing, believed=listed)
    if isinstance(event, events.StackWaiting):
        return progress_line(event.well, event.waiting)
    return say("autoscaler" if event.why else "autoscaler_serves", **_values(event))


def progress_line(well: Sequence[str], waiting: Sequence[str]) -> str:
    """How far the start of a stack in containers is; before the first one its images are made."""
    if not well and not waiting:
        return say("fetching")
    words = (("up", well), ("waiting", waiting))
    return "; ".join(say(kind, names=", ".join(names)) for kind, names in words if names)


_FAULTS: Mapping[type[events.Event], str] = {
    events.FaultInjecting: "fault_injecting",
    events.FaultInjected: "fault_injected",
    events.FaultRemoving: "fault_removing",
    events.FaultRemoved: "fault_removed",
    events.FaultProven: "fault_proven",
}
_LINES: Mapping[type[events.Event], str] = {
    events.StackStarting: "stack_starting",
    events.StackReady: "stack_ready",
    events.FaultDosed: "fault_dosed",
    events.FaultEscalated: "fault_escalated",
    events.ResponderStarted: "responder_started",
    events.ResponderLaunched: "responder_launched",
    events.ResponderTrouble: "responder_trouble",
    events.ResponderEnded: "responder_ended",
    events.AutoscalerScaling: "autoscaler_scaling",
    events.GuardTripped: "guard_tripped",
    events.OperatorAbort: "operator_abort",
    events.WorkerGone: "worker_gone",
    events.AuditRead: "audit_read",
    events.DrillInject: "drill_inject",
    events.DrillHint: "drill_hint",
    events.DrillPaused: "drill_paused",
    events.DrillResumed: "drill_resumed",
    events.RunEnded: "run_ended",
}
"""The sentence of an event, by its id below `screen`."""


def draw(story: Story, now_ns: int | None = None) -> RenderableType:
    """The screen: what is going on now, and the last things that happened."""
    head = Table.grid(padding=(0, 2))
    limit = ""
    if story.deadline_ns is not None:
        now_ns = story.t_ns if now_ns is None else now_ns
        limit = say("phase_left", left_s=max(0, story.deadline_ns - now_ns) / NS)
    head.add_row(styled(story.clock(story.t_ns), "bold"), styled(phase_word(story.phase) + limit))
    if story.t0_ns and story.end_s:
        head.add_row("", _bar(story))
    if story.traffic is not None:
        head.add_row(say("traffic"), traffic_line(story.traffic))
    named = (("faults", story.faults), ("alerts", story.alerts), ("steps", story.steps))
    for title, words in named:
        if words:
            head.add_row(say(title), _words(words))
    lines = [styled(block(_stamp(at) + told), "dim") for at, told in story.said[-SAID_AT_MOST:]]
    return Group(head, *lines)


def _words(words: Mapping[str, str]) -> Text:
    told = [styled(f"{name} {word(is_)}", COLOURS.get(is_, "")) for name, is_ in words.items()]
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
        times += say("traffic_line_send", ms=_ms(now.service_p95_ms))
    counts = " ".join(f"{word(name)} {count}" for name, count in now.by_outcome.items() if count)
    dropped = say("dropped", n=now.dropped) if now.dropped else ""
    parts = (f"{now.rate_per_s:.0f}/s", times, counts, say("open", n=now.open), dropped)
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
        self._console.print(block(say("run", run=run_dir.name)))
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
        lines = [_stamp(at) + told for at, told in self._story.said[before:]]
        now = self._story.traffic
        if now is not None and now is not beat and self._due():
            lines.append(f"  {self._story.clock(self._story.t_ns)} {traffic_line(now)}")
        return lines

    def _due(self) -> bool:
        """True if a plain line about the traffic is due: every 5 s of the run."""
        second = (self._story.t_ns - self._story.t0_ns) // NS
        return bool(self._story.t0_ns) and second % BEATS_S == 0

    def _print(self, lines: list[str]) -> None:
        for told in lines:
            self._console.print(block(told), soft_wrap=True)
