"""Whole runs in a few of the broken environments, and one where all is well.

All of them: `python -m tests.matrices.broken`. A few run at a time, for each is mostly waiting.
"""

import asyncio

import pytest

from tests.matrices.broken import Row, run_all
from tests.matrices.broken_environments import ENVIRONMENTS

SAMPLE = (
    *("bypass", "stale-pool", "api-lies-well", "taken-out", "right-latency"),
    *("standstill", "standstill-without-metric", "slow-in-the-fault"),
)
AT_ONCE = 3
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """How each of the sample ended."""
    wanted = [one for one in ENVIRONMENTS if one.name in SAMPLE]
    return {row.environment.name: row for row in asyncio.run(run_all(wanted, AT_ONCE))}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_fault_that_is_not_there_never_passes_and_one_that_is_there_is_seen(
    rows: dict[str, Row], name: str
) -> None:
    assert rows[name].fine, rows[name].line()


def test_a_service_past_the_proxy_is_said_not_to_use_it(rows: dict[str, Row]) -> None:
    assert rows["bypass"].injected == ["unknown"]
    assert "not seen to use this proxy" in rows["bypass"].why


def test_forty_ways_and_more_are_kept() -> None:
    names = [one.name for one in ENVIRONMENTS]
    assert len(set(names)) == len(names)
    assert sum(not one.healthy for one in ENVIRONMENTS) >= 40
    assert all(one.about for one in ENVIRONMENTS)
