"""Virtual users, their limits and their ends; starts that ask again; against a real server."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np

from gameday.traffic.history import History, Outcome, read
from gameday.traffic.metrics import complete, summary
from tests.traffic.test_history import received
from tests.traffic.test_worker import (
    ISSUED,
    REQUEST,
    Reply,
    always,
    answer,
    child,
    counts,
    drop,
    reasons,
    run,
    serving,
)


async def never(_request: bytes, _writer: asyncio.StreamWriter, _n: int) -> None:
    await asyncio.sleep(0)


class Slow:
    """Answers after `delay_s`, and counts how many wait at once."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.open = 0
        self.most = 0

    async def __call__(self, _request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(self.delay_s)
        self.open -= 1
        writer.write(answer())


def limited(rate: str, duration: str, first: int, most: int, **more: Any) -> dict[str, Any]:
    return drop(rate, duration) | {"preAllocatedVUs": first, "maxVUs": most} | more


def vus(count: int, duration: str = "1s", **more: Any) -> dict[str, Any]:
    return {"name": "drop", "executor": "constant-vus", "vus": count, "duration": duration} | more


def sent(history: History) -> int:
    return int((history.records["sent_ns"] > 0).sum())


async def test_a_sleep_binds_its_virtual_user_as_in_k6(tmp_path: Path) -> None:
    """Two users that sleep 200 ms are free again 200 ms after an answer: the rest is dropped."""
    spec = limited("100/s", "1s", 2, 2, sleep="200ms")
    async with serving(Slow(0)) as server:
        history = await run(server.port, tmp_path, spec)
    issued = history.records[history.records["outcome"] == Outcome.ISSUED]
    sent_ns, ended_ns = np.sort(issued["sent_ns"]), np.sort(issued["ended_ns"])
    assert len(issued) > 2
    assert (sent_ns[2:] - ended_ns[:-2]).min() >= 199_000_000  # whoever was free last but one
    assert reasons(history) == {"none", "no-vus"}
    found = summary([history], {"drop": 100})
    assert found.dropped + found.completed == found.scheduled == 100


async def test_virtual_users_grow_to_the_most_and_then_starts_are_dropped(tmp_path: Path) -> None:
    request = REQUEST | {"timeout": "5s"}
    spec = limited("100/s", "1s", 1, 5, gracefulStop="0s")
    async with serving(never) as server:
        history = await run(server.port, tmp_path, spec, request=request)
        assert server.connections == 5
    assert counts(history) == {"unknown": 5, "dropped": 95}
    assert reasons(history) == {"interrupted", "no-vus"}
    dropped = history.records["k"][history.records["outcome"] == 6]
    assert dropped.min() == 1  # the start that makes a user grow is dropped itself


async def test_growing_is_one_user_at_a_time(tmp_path: Path) -> None:
    """Ten starts at once find one user free, and make one more."""
    spec = limited("100/s", "100ms", 1, 50, population={"same": 10})
    async with serving(Slow(0.3)) as server:
        history = await run(server.port, tmp_path, spec)
    assert counts(history) == {"issued": 1, "dropped": 9}


async def test_no_virtual_user_may_be_needed_at_all(tmp_path: Path) -> None:
    async with serving(never) as server:
        history = await run(server.port, tmp_path, limited("10/s", "1s", 0, 0))
    assert counts(history) == {"dropped": 10}


async def test_constant_vus_ask_again_when_they_were_answered(tmp_path: Path) -> None:
    slow = Slow(0.05)
    async with serving(slow) as server:
        history = await run(server.port, tmp_path, vus(3))
        assert server.connections == 3  # each keeps its own
    assert slow.most == 3
    assert (
        3 < counts(history)["issued"] <= 60
    )  # 20 times 50 ms each; fewer where the machine is slow
    records = history.records[np.argsort(history.records["k"])]
    assert records["k"].tolist() == list(range(len(records)))
    assert (np.diff(records["intended_ns"]) >= 0).all()
    assert (records["sent_ns"] - records["intended_ns"]).max() < 20_000_000
    assert summary([history], {}).completed == len(records)


async def test_ramping_vus_follow_the_line(tmp_path: Path) -> None:
    slow = Slow(0.02)
    stages = [{"target": 4, "duration": "400ms"}, {"target": 0, "duration": "400ms"}]
    spec = {"name": "drop", "executor": "ramping-vus", "startVUs": 0, "stages": stages}
    async with serving(slow) as server:
        history = await run(server.port, tmp_path, spec | {"sleep": "10ms"})
    assert 3 <= slow.most <= 4
    t_s = (history.records["intended_ns"] - history.header.t0_ns) / 1e9
    assert t_s.min() >= 0.1
    assert t_s.max() < 0.8
    middle = ((t_s > 0.3) & (t_s < 0.5)).sum()
    assert middle > ((t_s > 0.6) & (t_s < 0.8)).sum()


async def test_a_user_that_a_ramp_takes_away_has_its_grace(tmp_path: Path) -> None:
    stages = [{"target": 0, "duration": "100ms"}, {"target": 0, "duration": "900ms"}]
    spec = {"name": "drop", "executor": "ramping-vus", "startVUs": 2, "stages": stages}
    spec |= {"gracefulRampDown": "100ms"}
    async with serving(never) as server, child(server.port, tmp_path, spec) as one:
        t0_ns = await one.begin()
        await one.event("scheduled")
        await one.event("idle")
        took_s = (time.monotonic_ns() - t0_ns) / 1e9
        one.say({"cmd": "stop"})
        await one.event("done")
    history = read(tmp_path / "drop-0.bin")
    assert counts(history) == {"unknown": 2}
    assert reasons(history) == {"interrupted"}
    assert 0.9 <= took_s < 1.6  # after the last stage, long before the 2 s limit


async def test_the_end_gives_open_requests_the_graceful_stop(tmp_path: Path) -> None:
    async with serving(never) as server:
        for spec in (vus(4, "500ms"), drop("20/s", "500ms")):
            async with child(server.port, tmp_path, spec | {"gracefulStop": "200ms"}) as one:
                t0_ns = await one.begin()
                await one.event("idle")
                took_s = (time.monotonic_ns() - t0_ns) / 1e9
                one.say({"cmd": "stop"})
                await one.event("done")
            history = read(tmp_path / "drop-0.bin")
            assert reasons(history) == {"interrupted"}
            assert (history.records["ended_ns"] == 0).all()
            assert 0.7 <= took_s < 1.5
            summary([history], {})
            (tmp_path / "drop-0.bin").unlink()


async def test_a_stop_ends_the_loops(tmp_path: Path) -> None:
    async with (
        serving(Slow(0.01)) as server,
        child(server.port, tmp_path, vus(5, "60s", sleep="5ms")) as one,
    ):
        await one.begin()
        await one.event("beat")
        one.say({"cmd": "stop", "grace_s": 1.0})
        done = await one.event("done")
    assert done["never_started"] == {"drop": 0}
    history = read(tmp_path / "drop-0.bin")
    assert counts(history) == {"issued": history.dispatched}


async def test_refused_users_do_not_keep_the_worker_from_its_orders(tmp_path: Path) -> None:
    async with serving(never) as server:
        port = server.port
    async with child(port, tmp_path, vus(50, "300ms")) as one:
        await one.begin()
        await one.event("idle")
        one.say({"cmd": "stop"})
        await one.event("done")
    history = read(tmp_path / "drop-0.bin")
    assert reasons(history) == {"connect-refused"}
    assert history.dispatched == len(history.records)


async def test_two_workers_share_the_users(tmp_path: Path) -> None:
    slow = Slow(0.05)
    async with (
        serving(slow) as server,
        child(server.port, tmp_path, vus(3), worker=0, workers=2) as first,
        child(server.port, tmp_path, vus(3), worker=1, workers=2) as second,
    ):
        await second.event("ready")
        t0_ns = await first.begin()
        second.say({"cmd": "start", "t0_ns": t0_ns})
        for one in (first, second):
            await one.event("idle")
            one.say({"cmd": "stop"})
            await one.event("done")
    histories = [read(tmp_path / f"drop-{worker}.bin") for worker in (0, 1)]
    assert slow.most == 3
    assert set(histories[1].records["k"] % 2) == {1}
    assert len(histories[0].records) > len(histories[1].records)
    assert sum(len(complete(history)) for history in histories) == len(
        np.concatenate([history.records for history in histories])
    )


# Asking again.


def second_time(raw: bytes) -> Reply:
    """Silent to the first attempt of each start, then `raw`."""

    async def reply(request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        if b"-1\r\n" not in request.split(b"X-Attempt: ")[1][:60]:
            writer.write(raw)

    return reply


KEYED = REQUEST | {
    "timeout": "300ms",
    "headers": {"Idempotency-Key": "{key}", "X-Attempt": "{attempt}"},
}


def again(at_most: int = 1, backoff: str = "0s") -> dict[str, Any]:
    retries = {"on": "timeout", "at_most": at_most, "backoff": backoff}
    return drop("20/s", "500ms") | {"retries": retries}


async def test_a_start_without_an_answer_asks_again_with_the_same_key(tmp_path: Path) -> None:
    async with serving(second_time(answer())) as server:
        history = await run(server.port, tmp_path, again(backoff="100ms"), request=KEYED)
    assert counts(history) == {"issued": 10}
    assert set(history.records["attempts"]) == {2}
    took_ms = (history.records["ended_ns"] - history.records["sent_ns"]) / 1e6
    # The first attempt, the backoff and the second; the kernel may stamp the sending 0.1 ms after
    # the timeout began.
    assert took_ms.min() >= 399
    keys = [one.split(b"Key: ")[1].split(b"\r\n")[0] for one in server.requests]
    attempts = {one.split(b"X-Attempt: ")[1].split(b"\r\n")[0] for one in server.requests}
    assert len(keys) == len(attempts) == 20
    assert len(set(keys)) == 10
    assert {users(one) for one in server.requests[:1]} <= set(history.records["user"].tolist())
    assert summary([history], {"drop": 10}).completed == 10


def users(request: bytes) -> int:
    return int(request.split(b'"userId":')[1].split(b",")[0])


async def test_only_so_often(tmp_path: Path) -> None:
    async with serving(never) as server:
        history = await run(server.port, tmp_path, again(2), request=KEYED)
        assert len(server.requests) == 30
    assert counts(history) == {"unknown": 10}
    assert reasons(history) == {"timeout"}
    assert set(history.records["attempts"]) == {3}


async def test_a_duplicate_after_a_timeout_settles_nothing(tmp_path: Path) -> None:
    """The first attempt may have got the coupon: the second would be told the same."""
    duplicate = answer(b'{"code":"DUPLICATE"}', 409)
    async with serving(second_time(duplicate)) as server:
        history = await run(server.port, tmp_path, again(), request=KEYED)
    assert counts(history) == {"unknown": 10}
    assert reasons(history) == {"timeout"}


async def test_unless_the_same_key_gets_the_same_answer(tmp_path: Path) -> None:
    duplicate = answer(b'{"code":"DUPLICATE"}', 409)
    async with serving(second_time(duplicate)) as server:
        history = await run(server.port, tmp_path, again(), request=KEYED, replay="idempotent")
    assert counts(history) == {"duplicate": 10}


async def test_a_refusal_after_a_timeout_never_settles_it(tmp_path: Path) -> None:
    async with serving(second_time(answer(b"", 503))) as server:
        history = await run(server.port, tmp_path, again(), request=KEYED, replay="idempotent")
    assert counts(history) == {"unknown": 10}


async def test_who_waits_to_ask_again_is_interrupted_at_the_end(tmp_path: Path) -> None:
    spec = again(backoff="30s") | {"gracefulStop": "500ms"}
    async with serving(never) as server:
        history = await run(server.port, tmp_path, spec, request=KEYED)
    assert counts(history) == {"unknown": 10}
    assert reasons(history) == {"interrupted"}
    assert set(history.records["attempts"]) == {1}
    assert (history.records["sent_ns"] > 0).all()
    summary([history], {"drop": 10})


# Phases and sizes.


async def test_phases_are_taken_down(tmp_path: Path) -> None:
    async with serving(Slow(0.03)) as server:
        history = await run(server.port, tmp_path, drop("20/s", "1s"))
    records = history.records
    connected = records["connecting_ms"] > 0
    assert 1 <= connected.sum() <= server.connections
    assert (records["sending_ms"] > 0).all()
    assert (records["tls_ms"] == 0).all()
    whole_ms = (records["ended_ns"] - records["sent_ns"]) / 1e6
    assert (records["connecting_ms"] + records["sending_ms"] < whole_ms).all()
    assert set(records["attempts"]) == {1}


async def test_large_answers_and_large_requests_are_whole(tmp_path: Path) -> None:
    raw = answer(ISSUED[:-1] + b" " * 3_000_000 + b"}")
    request = REQUEST | {"json": {"userId": "{user}", "padding": "x" * 2_000_000}}
    async with serving(always(raw)) as server:
        history = await run(server.port, tmp_path, drop("4/s", "1s"), request=request)
    assert counts(history) == {"issued": 4}
    assert received(history.records) == [len(raw)] * 4
    assert {len(one) > 2_000_000 for one in server.requests} == {True}
    assert (history.records["sending_ms"] > 0).all()


async def test_kill_9_of_users_loses_no_iteration_that_began(tmp_path: Path) -> None:
    async def mostly(_request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
        if n % 7:
            writer.write(answer())

    spec = vus(20, "30s", sleep="5ms")
    async with serving(mostly) as server:
        async with child(server.port, tmp_path, spec) as one:
            await one.begin()
            await one.event("beat")
            one.process.kill()
            await one.process.wait()
        arrived = {users(request) for request in server.requests}
    history = read(tmp_path / "drop-0.bin")
    whole = complete(history)
    assert 0 < len(history.records) < len(whole) == history.dispatched
    assert arrived <= set(whole["user"].tolist())
    assert (whole["intended_ns"] >= history.header.t0_ns).all()
    found = summary([history], {})
    assert found.interrupted == history.dispatched - len(history.records)


async def test_a_user_never_wakes_before_his_sleep_is_over(tmp_path: Path) -> None:
    """So no more of them are ever at work than there are: the event loop's timer is too early."""
    async with serving(Slow(0.001)) as server:
        history = await run(server.port, tmp_path, vus(6, "1s", sleep="20ms"))
    figures = summary([history], {}).metrics
    assert figures["vus"]["max"] == figures["vus_max"]["max"] == 6
    ends = np.sort(history.records["ended_ns"] + 20_000_000)
    sends = np.sort(history.records["sent_ns"])[6:]
    assert (sends >= ends[: len(sends)]).all()  # the n-th waking is after the n-th sleep
    assert len(sends) > 100


async def test_virtual_users_of_a_set_rate_sleep_to_the_end_as_well(tmp_path: Path) -> None:
    spec = limited("4000/s", "500ms", 4, 4, sleep="10ms")
    async with serving(Slow(0.001)) as server:
        history = await run(server.port, tmp_path, spec)
    figures = summary([history], {"drop": 2000}).metrics
    assert figures["vus"]["max"] == figures["vus_max"]["max"] == 4
    assert 40 <= counts(history)["issued"] <= 200
