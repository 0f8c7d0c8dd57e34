"""The room that a run takes, as `plan` estimates it, beside what runs took."""

import pytest

from gameday.plan.traffic_size import evidence_bytes
from gameday.spec.inputs import load_inputs

# All files of run directories, measured on 2026-11-30 on the embedded stack.
MEASURED = {
    ("redis-slow", True): 681_362,
    ("db-slow", True): 662_813,
    ("redis-slow", False): 1_408_655,
    ("normal", False): 1_559_209,
}


@pytest.mark.parametrize(("name", "short"), MEASURED, ids=str)
def test_the_estimate_is_never_less_than_a_run_took_nor_three_times_as_much(
    name: str, short: bool
) -> None:
    estimate = evidence_bytes(load_inputs(name, None, short=short).experiment.experiment)
    assert 1 <= estimate / MEASURED[name, short] < 3
