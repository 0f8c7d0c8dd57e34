"""A sample of `python -m tests.matrices.blame`: each kind of blame once."""

import pytest

from tests.matrices.blame import stage
from tests.matrices.blame_situations import SITUATIONS

SAMPLE = ("few-vus", "stopped-5", "slow-300", "refused", "healthy-100", "stopped-and-hangs")


def test_there_are_more_than_forty_situations_each_with_a_name_of_its_own() -> None:
    names = {situation.name for situation in SITUATIONS}
    assert len(names) == len(SITUATIONS) > 40
    assert names >= set(SAMPLE)


@pytest.mark.parametrize("name", SAMPLE)
def test_the_right_side_is_blamed(name: str) -> None:
    situation = next(each for each in SITUATIONS if each.name == name)
    lacks = situation.lacks()
    if lacks:
        pytest.skip(f"cannot be staged without {lacks}")
    outcome = stage(situation)
    assert not outcome.whitewashed, outcome
    if outcome.spoiled:
        pytest.skip(f"this machine held a process up: {outcome}")
    assert outcome.right, outcome
