"""The result of a run, and its bytes (`result.json`): the same evidence gives the same bytes.

Nothing about the judging is in it, no path, version or time of day. Times are seconds from t = 0
with 3 decimals; other fractions are rounded to 6, so that no float noise is written. Fields with
a default came later, or are left out where a run did not get that far.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from gameday.core.messages import Message
from gameday.evidence.events import Observation
from gameday.judge.verdict import NotApplicable

VerdictName = Literal["passed", "failed", "unknown"]
Json = Mapping[str, Any]
_HALF_PAIR = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """The verdict of a check; `evidence` and `certificate` are JSON of the check's own.

    `summary` is the message in English; a result of schema 1 has that alone.
    """

    name: str
    verdict: str
    summary: str
    message: Message | None = None
    evidence: Sequence[Any] = ()
    certificate: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """How much of a fault was there; the first versions wrote figures by name instead."""

    witnesses: Sequence[Observation]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultLine:
    """A fault: when it was there, whether that was measured, and how much of it (`dose`)."""

    id: str
    fault: str
    target: str = ""
    injected_at: float | None = None
    removed_at: float | None = None
    injected: str | None = None
    removed: str | None = None
    dose: Dose | Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOutcome:
    """An alert that was expected or fired."""

    alert: str
    expected: bool
    status: str
    active_at: float | None = None
    fired_at: float | None = None
    resolved_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLine:
    """The system's own limit (`traffic.metrics.SystemLimit`); `reached` when it has a rate."""

    reached: bool
    per_s: float | None
    carried_per_s: float
    p95_ms: float | None
    not_carried_s: int
    why: str = ""
    message: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorLine:
    """Status of the generator, and how busy its virtual users were; `messages` are the reasons."""

    status: str
    reasons: Sequence[str] = ()
    messages: Sequence[Message] = ()
    speaks_up_to_per_s: float | None = None
    virtual_users: Sequence[Json] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficLine:
    """The requests of a run: the accounting, and k6's metrics by name and figure."""

    scheduled: int | None = None
    started: int | None = None
    dropped: int | None = None
    never_started: int | None = None
    completed: int | None = None
    failed: int | None = None
    interrupted: int | None = None
    asked_again: int = 0
    closed: Sequence[str] = ()
    limit: LimitLine | None = None
    metrics: Mapping[str, Mapping[str, float | None]]
    generator: GeneratorLine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """A step of the playbook, whether it was worked or not."""

    step: int
    by: str | None = None
    status: str
    started_at: float | None = None
    took_s: float | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """When the damage began, and how long after it each turn came; None without damage."""

    damage_at: float | None = None
    detected_after_s: float | None = None
    acknowledged_after_s: float | None = None
    mitigated_after_s: float | None = None
    recovered_after_s: float | None = None

    def after_s(self, turn: str) -> float | None:
        """Seconds from the damage to `detected`, `acknowledged`, `mitigated` or `recovered`."""
        found: float | None = getattr(self, f"{turn}_after_s")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPart:
    """A part of the run directory that is missing or damaged, and the reason."""

    part: str
    why: str
    message: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that is said about a run; the fields of result.json, in its order."""

    schema: Literal[1, 2] = 2
    run: str
    experiment: str
    stack: str
    seed: int | None
    started_at: str | None
    ended_at: str | None
    verdict: VerdictName
    ended: str
    exit_code: int
    checks: Sequence[CheckLine]
    not_applicable: Sequence[NotApplicable] = ()
    faults: Sequence[FaultLine]
    alerts: Sequence[AlertOutcome]
    traffic: TrafficLine | None
    playbook: Sequence[StepLine]
    clocks: Clocks
    missing: Sequence[MissingPart] = ()

    def as_json(self) -> dict[str, Any]:
        """The content of result.json."""
        fields: dict[str, Any] = _plain(self)
        return fields

    def to_bytes(self, schema: int = 2) -> bytes:
        """result.json, byte for byte; half a surrogate pair is escaped as JSON does it."""
        content = self.as_json()
        if schema == 1:
            content["schema"] = 1
            traffic = [(content["traffic"] or {}).get(name) for name in ("generator", "limit")]
            parts = [content[name] for name in ("checks", "not_applicable", "missing")]
            for line in [*chain(*parts), *filter(None, traffic)]:
                line.pop("message", None)
                line.pop("messages", None)
        text = json.dumps(content, indent=1, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace") + b"\n"

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Result":
        """A result as `to_bytes` wrote it. Raises ValueError with the place that is wrong."""
        text = json.dumps(json.loads(raw), ensure_ascii=False, allow_nan=False)
        try:  # half a surrogate pair is text here, as pydantic takes none
            whole = _HALF_PAIR.sub(lambda half: f"\\\\u{ord(half[0]):x}", text)
            return TypeAdapter(cls).validate_json(whole, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _plain(value: Any) -> Any:
    """A value as JSON holds it: no NaN, no noise in fractions, no tuple."""
    if isinstance(value, float):
        return _rounded(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value


def _rounded(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    return round(value, 6) + 0.0  # -0.0 becomes 0.0
