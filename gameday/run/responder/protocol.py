"""The protocol of a program that responds: one JSON object a line, in both directions.

It is told what a person on call could see: alerts, readings, the traffic, and what was ordered and
done. What was broken, and where, is never in it. All of it is masked as the journal is. The guide
to it is `docs/responder.md`; fields are only ever added.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gameday.core.json_objects import json_object, plain, read_object
from gameday.evidence import events
from gameday.evidence.journal import Record
from gameday.run.responder.hands import Hands
from gameday.run.responder.orders import ORDERS, SEVERITIES, IncidentOrder
from gameday.spec.playbook import Playbook
from gameday.telemetry.samples import Evaluation, LiveEvaluation
from gameday.traffic.metrics import Moment

PROTOCOL: Final = 1
MOST_ID: Final = 64  # characters: an order's own name, which its answer bears
_TOLD: Final = (
    events.AlertAcknowledged,
    events.ResponderStarted,
    events.StepStarted,
    events.StepDone,
    events.ActionStarted,
    events.ActionDone,
    events.OrderGiven,
    events.OrderAnswered,
    events.DrillInject,
    events.DrillHint,
)
_NOT_TOLD: Final = {"undo"}  # how it would be taken back is the run's own business


@dataclass(frozen=True, slots=True)
class StepShown:
    """A step of the playbook, as a person reads it."""

    step: int
    text: str
    do: str | None
    before: str | None
    after: str | None
    within_s: float
    optional: bool


@dataclass(frozen=True, slots=True)
class PlaybookShown:
    """The playbook that is at hand."""

    name: str
    alerts: Sequence[str]
    severity: str
    steps: Sequence[StepShown]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first line: what there is to work with."""

    event: str = "hello"
    protocol: int = PROTOCOL
    run: str
    actions: Sequence[str]
    orders: Sequence[str] = ORDERS
    severities: Sequence[str] = SEVERITIES
    playbook: PlaybookShown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillHello(Hello):
    """The first line of a drill: all playbooks are offered, and none is named."""

    playbooks: Sequence[PlaybookShown]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertShown:
    """An alert has another state than before: `pending`, `firing` or `resolved`."""

    event: str = "alert"
    t: float
    alert: str
    state: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleShown:
    """The readings and figures of one instant, by name, and the traffic."""

    event: str = "sample"
    t: float
    readings: Mapping[str, bool | None]
    figures: Mapping[str, float | None]
    traffic: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShown:
    """The answer to a line: `given` is the order's number, and `id` what it had as its own."""

    event: str = "answer"
    id: str | int | None
    ok: bool
    why: str
    given: int | None


@dataclass(frozen=True, slots=True)
class Bye:
    """The last line: nothing that is said after it is heard."""

    event: str = "bye"


Shown = Hello | AlertShown | SampleShown | AnswerShown | Bye


@dataclass(frozen=True, slots=True)
class _Named:
    """An order's own name."""

    id: str | int | None = None


def hello(run: str, hands: Hands, hide: Callable[[str], str]) -> Hello:
    """The first line of a run."""
    actions = sorted({*hands.actions, *hands.scale})
    if hands.offered:
        books = [_playbook_shown(book, hide) for book in hands.offered]
        return DrillHello(run=run, actions=actions, playbook=None, playbooks=books)
    book = hands.playbook
    return Hello(
        run=run, actions=actions, playbook=None if book is None else _playbook_shown(book, hide)
    )


def _playbook_shown(book: Playbook, hide: Callable[[str], str]) -> PlaybookShown:
    steps = [
        StepShown(
            step.number,
            hide(step.text),
            step.block.do,
            step.block.before,
            step.block.after,
            step.block.within.total_seconds(),
            step.block.optional,
        )
        for step in book.steps
    ]
    return PlaybookShown(book.head.name, book.head.alerts, book.head.severity, steps)


def sample(seen: Evaluation, t_s: float) -> SampleShown:
    """An evaluation as it is told."""
    traffic = seen.traffic if isinstance(seen, LiveEvaluation) else None
    return SampleShown(t=t_s, readings=seen.readings, figures=seen.figures, traffic=traffic)


class Alerts:
    """The alerts as they were told last."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, str], ...], tuple[str, str]] = {}

    def changes(
        self, seen: Evaluation, t_s: float, hide: Callable[[str], str]
    ) -> Sequence[AlertShown]:
        """A line for each alert whose state is another one; none where nobody knows."""
        if seen.alerts_problem:
            return []
        now = {tuple(sorted(a.labels.items())): (a.name, str(a.state)) for a in seen.alerts}
        gone = {each: (name, "resolved") for each, (name, _) in self._known.items()}
        changed = {
            each: told for each, told in {**gone, **now}.items() if self._known.get(each) != told
        }
        self._known = now
        return [
            AlertShown(
                t=t_s,
                alert=name,
                state=state,
                labels={hide(key): hide(value) for key, value in labels},
            )
            for labels, (name, state) in changed.items()
        ]


def line(shown: Shown) -> bytes:
    """A line as it is written."""
    return _json(plain(shown))


def record_line(record: Record, t_s: float, hide: Callable[[str], str]) -> bytes | None:
    """A record of the journal as it is told; None for one that is not, as is all of faults."""
    if not isinstance(record.event, _TOLD) or record.audience != "all":
        return None
    fields = events.masked(record.event, hide)
    told = {name: value for name, value in fields.items() if name not in _NOT_TOLD}
    return _json({"event": record.event.kind, "seq": record.seq, "t": t_s, **told})


def order_in(raw: bytes) -> tuple[IncidentOrder, str | int | None]:
    """The order in a line, and its own name. Raises ValueError for a line that is none."""
    try:
        fields = json_object(json.loads(raw))
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON object") from error
    own = read_object(_Named, fields).id
    if own is not None and len(str(own)) > MOST_ID:
        raise ValueError(f"'id' has more than {MOST_ID} characters")
    return read_object(IncidentOrder, fields), own


def _json(value: object) -> bytes:
    return json.dumps(_finite(value), allow_nan=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    """JSON as its standard has it: a number that is none is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
