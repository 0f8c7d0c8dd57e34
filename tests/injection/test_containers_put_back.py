"""What is put back of several containers where the engine refuses one, is slow, or breaks off."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import StuckFaultError
from gameday.evidence.service_logs import LogReader, log_names
from gameday.injection import engine
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import container, limit, partition
from gameday.injection.engine import EngineError
from gameday.spec.changes import LimitChange
from gameday.spec.undos import (
    ContainerUndo,
    Endpoint,
    Limits,
    LimitUndo,
    PartitionUndo,
    Throttling,
    Undo,
    from_json,
)
from gameday.stacks.container_logs import keep_logs
from gameday.stacks.container_watch import ContainerWatch
from tests.support.small_engine import NETWORK, SmallEngine, small_engine

NONE = Limits(nano_cpus=0, cpu_quota=0, cpu_period=0, memory=0, memory_swap=0)
IDS = ("web-1", "web-2", "web-3")


@pytest.fixture
def small() -> Iterator[SmallEngine]:
    with small_engine() as small:
        yield small


def killed(small: SmallEngine) -> Undo:
    return ContainerUndo(
        what="start",
        do="kill",
        name="web",
        project=small.project,
        containers={id_: id_ for id_ in IDS},
        started=dict.fromkeys(IDS, ""),
    )


def limited(small: SmallEngine, *ids: str, **more: object) -> LimitUndo:
    return LimitUndo(
        name="web",
        project=small.project,
        before=dict.fromkeys(ids, NONE),
        cpus=0.1,
        **more,  # type: ignore[arg-type]
    )


def cut_off(small: SmallEngine) -> Undo:
    endpoints = tuple(
        Endpoint(container=id_, network=NETWORK, network_name="n", aliases=(), links=())
        for id_ in IDS
    )
    return PartitionUndo(name="web", peer="db", project=small.project, endpoints=endpoints)


@pytest.mark.parametrize(
    ("what", "verb"), [("killed", "start"), ("limited", "update"), ("cut off", "connect")]
)
async def test_one_that_is_refused_keeps_no_other_from_being_put_back(
    small: SmallEngine, what: str, verb: str
) -> None:
    for id_ in IDS:
        small.add(id_, "web", "exited" if what == "killed" else "running")
        small.containers[id_]["limits"] |= {"CpuQuota": 10_000, "CpuPeriod": limit.PERIOD_US}
    small.refused = {"web-1"}
    with pytest.raises(StuckFaultError, match="port is already allocated"):
        if what == "killed":
            await container.undo(killed(small))  # type: ignore[arg-type]
        elif what == "limited":
            await limit.undo(limited(small, *IDS))
        else:
            await partition.undo(cut_off(small))  # type: ignore[arg-type]
    assert small.done == [("web-2", verb), ("web-3", verb)]


async def test_a_limit_that_is_back_is_gone_before_the_health_check_comes_round(
    small: SmallEngine,
) -> None:
    small.add("web-1", "web", health="starting")
    record = limited(small, "web-1")
    small.containers["web-1"]["limits"]["CpuQuota"] = 10_000
    small.containers["web-1"]["limits"]["CpuPeriod"] = limit.PERIOD_US
    assert (await limit.look(record)).gone is False
    await limit.undo(record)
    assert (await limit.look(record)).gone is True

    small.containers["web-1"]["state"] = "exited"
    state = await limit.look(record)
    assert (state.gone, "does not run" in state.why) == (False, True)


@pytest.mark.parametrize(
    ("counted", "dosed", "told"),
    [
        ((500, 90), None, (0, 0)),  # all of it was before
        ((520, 97), True, (20, 7)),
        ((8, 3), True, (8, 3)),  # it was started anew, and counts from 0
    ],
)
async def test_less_cpu_is_felt_by_what_was_throttled_since_the_fault(
    small: SmallEngine, counted: tuple[int, int], dosed: bool | None, told: tuple[int, int]
) -> None:
    small.add("web-1", "web")
    each = small.containers["web-1"]
    each["limits"] |= {"CpuQuota": 10_000, "CpuPeriod": limit.PERIOD_US}
    each["throttling"] = dict(zip(("periods", "throttled_periods"), counted, strict=True))
    record = limited(small, "web-1", throttling={"web-1": Throttling(500, 90)})
    found = await limit.dose(record)
    assert found[0] is dosed, found
    periods, throttled = told
    assert f"throttled in {throttled} of {periods} periods" in str(found[3])


async def test_what_was_throttled_before_less_cpu_stands_in_its_record(small: SmallEngine) -> None:
    small.add("web-1", "web")
    small.containers["web-1"]["throttling"] = {"periods": 500, "throttled_periods": 90}
    context = InjectionContext("r", None, {}, Direct(project=small.project))
    record = await limit.prepare(LimitChange("web", cpus=0.1), context)
    assert record.throttling == {"web-1": Throttling(500, 90)}
    assert from_json(json.loads(json.dumps(record.as_json()))) == record


def test_a_log_that_breaks_off_is_kept_as_far_as_it_goes_and_the_others_are(
    small: SmallEngine, tmp_path: Path
) -> None:
    small.add("db-1", "db")
    small.add("web-1", "web")
    keep_logs(small.project, tmp_path)
    for name in ("db.log", "web.log"):
        kept = (tmp_path / name).read_bytes()
        assert kept.startswith(b"said") and b"broke off its log" in kept

    file = io.BytesIO()
    with pytest.raises(EngineError), engine.of(small.project) as client:
        file.writelines(client.api.logs("web-1", stream=True, follow=False))
    assert file.getvalue() == b"said"


def test_only_containers_of_the_service_keep_logs_under_its_name(
    small: SmallEngine, tmp_path: Path
) -> None:
    """In a project of somebody's own, where the service is `web`, an `api` is another's."""
    small.add("p-api-1", "api")
    small.add("service-3", "service-3")
    small.add("p-web-1", "service")
    keep_logs(small.project, tmp_path / "logs")
    assert log_names(tmp_path) == ["service.log"]
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {
        "api.log",
        "other-service-3.log",
        "service.log",
    }

    small.add("p-worker-1", "service")  # two services of a file call, each of them number 1
    (tmp_path / "logs" / "service.log").unlink()
    keep_logs(small.project, tmp_path / "logs")
    assert log_names(tmp_path) == ["service-1.log", "service-2.log"]


def test_a_replica_that_was_removed_leaves_a_mark_where_its_log_would_be(
    small: SmallEngine, tmp_path: Path
) -> None:
    small.add("p-service-1", "service")
    small.add("p-service-2", "service")
    seen = engine.containers_of(small.project)
    del small.containers["p-service-2"]
    keep_logs(small.project, tmp_path / "logs", seen=seen)
    assert log_names(tmp_path) == ["service-1.log", "service.log"]
    told = (tmp_path / "logs" / "service-1.log").read_text()
    assert "p-service-2: its container was removed while the run went on" in told

    found = LogReader([], 0, 0, 3600 * NS).read(tmp_path).sources[0]
    assert [gap.touches(5, 6) for gap in found.gaps] == [True]


async def test_replicas_that_came_and_went_are_known(small: SmallEngine) -> None:
    small.add("p-service-1", "service")
    small.add("p-db-1", "db")
    watch = ContainerWatch(small.project, ["service", "db"], [], SystemClock())
    async with asyncio.timeout(30):
        for id_ in ("p-service-2", "p-service-3"):
            small.add(id_, "service")
            while id_ not in {each.id for each in watch.seen}:
                await asyncio.sleep(0.02)
            del small.containers[id_]
    await watch.stop()
    assert [each.id for each in watch.seen] == ["p-service-1", "p-service-2", "p-service-3"]
