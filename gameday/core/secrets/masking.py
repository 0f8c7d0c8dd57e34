"""Which fields of a record a machine reads back, and which are free text for people.

A secret may be a word of the run: a password `redis`, a user `postgres`. Were it masked wherever
it stands, undo records would name proxies that do not exist, and fault ids would change. So every
field of every event is one of two things. *Typed*: ids, names, addresses, kinds, numbers, undo
records; written as it is, always, because it is read back. *Text*: errors, reasons, notes; masked,
and never read by anything but people.

A typed field must not be able to hold a secret in the first place: an undo record has references
(`{env: NAME}`, `{file: PATH}`), and addresses with credentials are refused before a run. A field
that is not named here is masked, so that forgetting one shows no secret; a test compares this with
all that the code writes, so that none is forgotten.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gameday.core.secrets.redaction import hidden_in, nothing

MASKED = "texts"  # what `run.started` says is masked; a journal of before says nothing of it

_WHICH_RUN = "run controller experiment stack allowed seed wall_ns boottime_ns boot_id"
# event → (typed fields, text fields)
EVENTS: Mapping[str, tuple[str, str]] = {
    "run.started": (f"{_WHICH_RUN} inputs gameday masked", ""),
    "run.refused": ("", "why"),
    "run.ended": ("ended evidence", "why"),
    "stack.starting": ("name undo", ""),
    "stack.ready": ("took_s addresses binaries", ""),
    "phase": ("phase t0_ns service protocol before_ms aborted at_most_s", "problem cure left"),
    "fault.injecting": ("id fault target changes undo", ""),
    "fault.injected": ("id", ""),
    "fault.probed": ("id witness ok asked measured unit n shown", "why problem"),
    "fault.dosed": ("id injected", "dose why"),
    "fault.escalated": ("id step undo", "why"),
    "fault.removing": ("id", ""),
    "fault.removed": ("id gone", "why"),
    "fault.proven": ("id removed", "why"),
    "responder.started": ("alert by delay_s", ""),
    "alert.acknowledged": ("by", ""),
    "step.started": ("step do by undoing undo", "text"),
    "step.done": ("step status took_s verified undoing refuses", "why"),
    "guard.tripped": ("guard why", ""),
    "worker.gone": ("which lost", "why how"),
    "operator.stop": ("by", ""),
    "operator.abort": ("", "why"),
    "audit.read": ("rows cut", "problem"),
    "reaper.claimed": ("", "why"),
    "reaper.failed": ("what", "why"),
    "reaper.ended": ("left", ""),
    "part.ended": ("name", ""),
}
_TYPED = {event: frozenset(typed.split()) for event, (typed, _) in EVENTS.items()}
_NONE: frozenset[str] = frozenset()
# A text field of figures, in which only this is text.
_FIGURES, _REASON = "dose", "why"


def masked(event: str, data: Mapping[str, Any], hide: Callable[[str], str]) -> dict[str, Any]:
    """The fields of a record as they are written: typed ones as they are, texts through `hide`."""
    typed = _TYPED.get(event, _NONE)
    return {
        key: _field(key, value, nothing if key in typed else hide) for key, value in data.items()
    }


def _field(key: str, value: Any, hide: Callable[[str], str]) -> Any:
    return _reasons(value, hide) if key == _FIGURES else hidden_in(value, hide)


def _reasons(value: Any, hide: Callable[[str], str]) -> Any:
    """The figures as they are, and the reasons beside them through `hide`."""
    if isinstance(value, Mapping):
        return {
            key: hidden_in(each, hide) if key == _REASON else _reasons(each, hide)
            for key, each in value.items()
        }
    return [_reasons(each, hide) for each in value] if isinstance(value, list) else value
