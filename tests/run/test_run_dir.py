"""The run directory as it is laid out: what of the options is written down, to judge by."""

from pathlib import Path

import pytest

from gameday.evidence.read import read_effective
from gameday.run.context import Options
from gameday.run.run_dir import write_effective
from gameday.spec.inputs import load_inputs

ROOT = Path(__file__).parents[2]
SYSTEM = ROOT / "system_under_test" / "system.yaml"


@pytest.mark.parametrize("delay_s", [1.0, 45.0])
def test_the_delay_of_the_responder_is_written_down(tmp_path: Path, delay_s: float) -> None:
    inputs = load_inputs(str(ROOT / "experiments" / "redis-slow.yaml"), str(SYSTEM), short=True)
    (tmp_path / "inputs").mkdir()
    options = Options(responder_delay_s=delay_s)
    write_effective(tmp_path, inputs, inputs.system.system, options, stock=None)
    effective = read_effective(tmp_path)
    assert effective is not None
    assert (effective.responder_delay_s, effective.no_responder) == (delay_s, False)
