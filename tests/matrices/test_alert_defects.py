"""A sample of the matrix of alert defects: two in a real Alertmanager, and none."""

from pathlib import Path

import pytest

from tests.matrices.alert_defects import ROUTING, RoutingDefect, routed
from tests.support.prometheus import needs_alertmanager

SAMPLE = [each for each in ROUTING if each.name in ("nothing is wrong", "broken route", "silence")]


@needs_alertmanager
@pytest.mark.slow
@pytest.mark.parametrize("defect", SAMPLE, ids=lambda each: each.name)
async def test_a_defect_of_routing_is_named(defect: RoutingDefect, tmp_path: Path) -> None:
    row = await routed(defect, tmp_path)
    assert row.missing == [], row.said
