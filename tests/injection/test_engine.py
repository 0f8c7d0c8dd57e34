"""Which services of a compose project have ended, by its containers."""

from dataclasses import replace

import pytest

from gameday.injection.engine import Container, ended

RUNS = Container("1", "p-web-1", "service", "web", "i", "running", "", "Up 2 seconds", "")
WEB_2 = replace(RUNS, id="2", name="p-web-2", number=2)
WORKER = replace(RUNS, id="3", name="p-worker-1", host="worker")
TASK = replace(RUNS, id="4", name="p-migrate-1", service="migrate", host="migrate")


def over(each: Container, code: int) -> Container:
    return replace(each, state="exited", status=f"Exited ({code}) 1 second ago")


@pytest.mark.parametrize(
    ("there", "gone"),
    [
        ([RUNS, TASK], []),
        ([replace(RUNS, state="paused"), TASK], []),
        ([RUNS, over(TASK, 0)], []),
        ([RUNS, over(TASK, 1)], ["migrate"]),
        ([over(RUNS, 0), TASK], ["service"]),
        ([TASK], ["service"]),
        ([], ["migrate", "service"]),
        ([RUNS, over(WEB_2, 137), TASK], []),  # of the replicas of one any is enough
        ([RUNS, over(WORKER, 137), TASK], ["service"]),  # of two that call both are needed
    ],
)
def test_a_service_has_ended_when_nothing_of_it_runs_and_it_may_not_end(
    there: list[Container], gone: list[str]
) -> None:
    assert ended(there, ["service", "migrate"], ["migrate"]) == gone
