"""Which services of a compose project have ended, by its containers."""

from dataclasses import replace

import pytest

from gameday.core.network.allow_list import Allowed
from gameday.injection.engine import Container, container_of, ended
from gameday.injection.upstream import upstream_of

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


@pytest.mark.parametrize("port", ["9" * 5_000, "123456", "", "-1", "٣"])
async def test_an_upstream_whose_port_is_none_leads_nowhere(port: str) -> None:
    assert await upstream_of(f"127.0.0.1:{port}", "http://127.0.0.1:8474", Allowed()) is None


@pytest.mark.parametrize(("number", "place"), [("2", 2), ("9" * 5_000, 1), ("", 1), ("x", 1)])
def test_the_place_of_a_replica_is_what_compose_can_have_given_it(number: str, place: int) -> None:
    shown = {"Id": "1", "Names": ["/a"], "Image": "i", "ImageID": "j", "State": "running"}
    labels = {"com.docker.compose.container-number": number}
    found = container_of({**shown, "Status": "Up", "Ports": [], "Labels": labels})
    assert found.number == place
