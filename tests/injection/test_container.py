"""What a fault on containers is read back as, by the containers that the engine lists."""

import json
from dataclasses import replace

import pytest

from gameday.injection.drivers.container import _state
from gameday.injection.engine import Container
from gameday.spec.undos import ContainerUndo, ProjectUndo, from_json

WEB = Container("1", "p-web-1", "service", "web", "i", "running", "healthy", "Up", "")
WEB_2 = replace(WEB, id="2", name="p-web-2", number=2)
ADDED = replace(WEB, id="3", name="p-web-3", number=3)
REDIS = replace(WEB, id="4", name="p-redis-1", service="redis", host="redis")
RECORD = ContainerUndo(
    what="start",
    do="kill",
    name="service",
    project=ProjectUndo(engine="unix:///nowhere", engine_id="e", name="p", token="t"),
    containers={"1": "p-web-1", "2": "p-web-2"},
    started={"1": "", "2": ""},
)


def ill(each: Container) -> Container:
    return replace(each, health="starting")


def killed(each: Container) -> Container:
    return replace(each, state="exited", health="")


@pytest.mark.parametrize(
    ("there", "gone"),
    [
        ([WEB, WEB_2, REDIS], True),
        ([WEB, REDIS], True),  # the autoscaler has removed one that was struck
        ([WEB, WEB_2, ill(ADDED), REDIS], True),  # and added one, which was not
        ([ADDED, REDIS], True),
        ([], True),  # with its stack
        ([WEB, killed(WEB_2), REDIS], False),
        ([WEB, ill(WEB_2), REDIS], False),
        ([killed(WEB), ADDED, REDIS], False),
        ([ill(ADDED), REDIS], False),
        ([REDIS], False),
    ],
)
def test_a_kill_is_gone_when_what_it_struck_is_well_or_removed_and_the_service_runs(
    there: list[Container], gone: bool
) -> None:
    assert _state(RECORD, there).gone is gone


WORKER = replace(WEB_2, name="p-worker-1", host="worker", number=1)
TWO = replace(RECORD, containers={"1": "p-web-1", "2": "p-worker-1"}, hosts=("web", "worker"))


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ([WEB, WORKER], ""),
        ([ADDED, WORKER], ""),
        ([WORKER], "no container of web is healthy"),
        ([ill(ADDED), WORKER], "no container of web is healthy"),
        ([WEB], "no container of worker is healthy"),
    ],
)
def test_one_service_of_a_compose_file_does_not_stand_for_another_of_the_same_name(
    there: list[Container], why: str
) -> None:
    assert _state(TWO, there) == (not why, why)


def test_a_record_of_before_tells_no_services() -> None:
    record = replace(TWO, started={"1": "at noon", "2": "at noon"})
    written = json.loads(json.dumps(record.as_json()))
    assert from_json(written) == record
    del written["hosts"]
    assert from_json(written) == replace(record, hosts=())
