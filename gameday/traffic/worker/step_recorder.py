"""The books of a scenario whose starts have steps: its history, and beside it the step log."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gameday.traffic.history import Outcome, Reason
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.step_log import STEP, SUFFIX, StepWriter
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.recorder import Recorder, Renders, Start

_LAYOUT: Final = struct.Struct("<IHBBBiHqq36s")
assert _LAYOUT.size == STEP.itemsize
_MOST: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class StepEnd:
    """The status that a step was answered with, and its times; 0 where there is none."""

    status: int = 0
    sent_ns: int = 0
    ended_ns: int = 0


class StepRecorder(Recorder):
    """The history of one scenario in this worker, and what its starts asked beside the issue."""

    def __init__(
        self,
        config: Config,
        name: str,
        scenario: Scenario,
        request: Renders,
        steps: Sequence[str],
    ) -> None:
        super().__init__(config, name, scenario, request)
        self._path = config.history_dir / f"{self.name}-{self.worker}{SUFFIX}"
        self._names = steps
        self._steps = bytearray()
        self._log: StepWriter | None = None

    def open(self, t0_ns: int) -> None:
        """Begin both files. Raises FileExistsError."""
        super().open(t0_ns)
        self._log = StepWriter(self._path, self.name, self._names)

    def step(self, k: int, step: int, reading: Any, ended: StepEnd, asked: int) -> None:
        """Note how a step of start `k` ended, or what its poll was told."""
        self._steps += _LAYOUT.pack(
            *(k, ended.status, step, reading.outcome, reading.reason, reading.remaining),
            *(min(max(asked, 1), _MOST), ended.sent_ns, ended.ended_ns, reading.issue_id),
        )

    def step_failed(
        self, start: Start, now_ns: int, holding_since_ns: int, *, answered: bool
    ) -> None:
        """Note a start whose issue is never asked.

        It has certainly issued nothing, unless a step may have reserved something, since
        `holding_since_ns`.
        """
        reason = Reason.STEP_FAILED if answered else Reason.STEP_UNANSWERED
        outcome = Outcome.UNKNOWN if holding_since_ns else Outcome.REFUSED
        self._not_answered(start, outcome, reason, sent_ns=holding_since_ns, ended_ns=now_ns)

    def flush(self) -> None:
        super().flush()
        if self._steps and self._log is not None:
            self._log.append(bytes(self._steps))
            self._steps.clear()

    def close(self) -> None:
        super().close()
        if self._log is not None:
            self._log.close()
