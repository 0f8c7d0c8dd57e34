"""The due times of a scenario's starts, all of them or one."""

import numpy as np
import numpy.typing as npt

from gameday.traffic.schedule.scenario import Scenario


def due_times(scenario: Scenario) -> npt.NDArray[np.int64]:
    """All due times (ns), in order."""
    return scenario.due_ns(np.arange(scenario.count, dtype=np.int64))


def due_ns(scenario: Scenario, k: int) -> int:
    """The due time of start `k`."""
    if not 0 <= k < scenario.count:
        raise IndexError(f"start {k} of {scenario.count}")
    return int(scenario.due_ns(np.array([k], dtype=np.int64))[0])
