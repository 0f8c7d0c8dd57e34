"""The result of a run, and its bytes (`result.json`): the same evidence gives the same bytes.

Nothing about the judging is in it, no path, version or time of day. Times are seconds from t = 0
with 3 decimals; other fractions are rounded to 6, so that no float noise is written.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA = 1

VerdictName = Literal["passed", "failed", "unknown"]
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that is said about a run; the fields of result.json, in its order."""

    run: str
    experiment: str
    stack: str
    seed: int | None
    started_at: str | None
    ended_at: str | None
    verdict: VerdictName
    ended: str
    exit_code: int
    checks: Sequence[Json]
    not_applicable: Sequence[Json]
    faults: Sequence[Json]
    alerts: Sequence[Json]
    traffic: Json | None
    playbook: Sequence[Json]
    clocks: Json
    missing: Sequence[Json] = ()

    def as_json(self) -> dict[str, Any]:
        """The content of result.json."""
        fields = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return {"schema": SCHEMA, **fields}

    def to_bytes(self) -> bytes:
        """result.json, byte for byte; half a surrogate pair is escaped as JSON does it."""
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace") + b"\n"


def _plain(value: Any) -> Any:
    """A value as JSON holds it: no NaN, no noise in fractions, no tuple."""
    if isinstance(value, float):
        return _rounded(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _rounded(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    return round(value, 6) + 0.0  # -0.0 becomes 0.0
