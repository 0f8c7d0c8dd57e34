"""A sample of the attacks: some of each kind, the same ones every time. The whole is a command."""

import random

import pytest

from tests.attacks.registry import Attack, all_attacks
from tests.attacks.running import run_all

SEED = 10
OF_A_KIND = 6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def sample() -> list[Attack]:
    """At most `OF_A_KIND` attacks of each kind, drawn by the seed; none that is slow."""
    quick = [each for each in all_attacks() if not each.slow]
    chosen: list[Attack] = []
    for kind in sorted({each.kind for each in quick}):
        those = [each for each in quick if each.kind == kind]
        chosen += random.Random(f"{SEED} {kind}").sample(those, min(OF_A_KIND, len(those)))
    return chosen


@pytest.mark.parametrize("attack", sample(), ids=lambda each: each.name)
def test_an_attack_is_held(attack: Attack) -> None:
    (outcome,) = run_all([attack], at_once=1)
    assert not outcome.fell, outcome.fell
