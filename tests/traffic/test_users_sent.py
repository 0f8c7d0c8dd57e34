"""Populations and retries as a real server sees them, from real worker processes."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gameday.traffic.history import Outcome, Reason, read
from tests.traffic.test_worker import REQUEST, answer, child, counts, reasons, run, serving

PATIENCE_S = 10


def at_rate(rate: str, duration: str, **more: Any) -> dict[str, Any]:
    spec = {"name": "drop", "executor": "constant-arrival-rate", "rate": rate, "duration": duration}
    return spec | more


def asked_for(request: bytes) -> int:
    return int(json.loads(request.partition(b"\r\n\r\n")[2])["userId"])


async def test_a_user_asks_a_hundred_times_at_once_from_as_many_connections(
    tmp_path: Path,
) -> None:
    """The server answers nobody before all hundred are there; two in a second, one user each."""
    arrived: Counter[int] = Counter()
    complete = asyncio.Condition()

    async def reply(request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        user = asked_for(request)
        async with complete:
            arrived[user] += 1
            complete.notify_all()
            async with asyncio.timeout(PATIENCE_S):
                await complete.wait_for(lambda: arrived[user] == 100)
        writer.write(answer())

    async with serving(reply) as server:
        scenario = at_rate("10/s", "20s", population={"same": 100})
        async with child(server.port, tmp_path, scenario) as one:
            await one.begin()
            async with asyncio.timeout(PATIENCE_S), complete:
                await complete.wait_for(lambda: arrived.total() == 100)
            one.say({"cmd": "stop", "grace_s": PATIENCE_S})
            await one.event("done")
    history = read(tmp_path / "drop-0.bin")
    assert counts(history) == {"issued": 100}
    assert set(arrived.values()) == {100}
    assert server.connections == 100
    assert len(set(history.records["intended_ns"].tolist())) == 1


async def test_each_user_asks_once_whichever_of_two_workers_sends_it(tmp_path: Path) -> None:
    async with serving(answers_everybody) as server, AsyncExitStack() as stack:
        scenario = at_rate("200/s", "1s", population="once")
        workers = [
            await stack.enter_async_context(
                child(server.port, tmp_path, scenario, worker=worker, workers=2, users=200)
            )
            for worker in range(2)
        ]
        for one in workers:
            await one.begin()
        for one in workers:
            await one.event("idle")
            one.say({"cmd": "stop", "grace_s": 1.0})
            await one.event("done")
        assert sorted(asked_for(each) for each in server.requests) == list(range(200))
    told = np.concatenate([read(tmp_path / f"drop-{w}.bin").records["user"] for w in range(2)])
    assert sorted(told.tolist()) == list(range(200))


async def answers_everybody(_request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
    writer.write(answer())


KEYED = REQUEST | {
    "timeout": "300ms",
    "headers": {"Idempotency-Key": "{key}", "X-Attempt": "{attempt}"},
}


def header(request: bytes, name: str) -> str:
    line = next(each for each in request.decode().split("\r\n") if each.startswith(f"{name}: "))
    return line.removeprefix(f"{name}: ")


async def test_who_gets_no_answer_in_time_asks_again_with_the_same_key(tmp_path: Path) -> None:
    """Start k is not answered before its attempt k + 2, and there are three attempts at most."""
    seen: Counter[str] = Counter()

    async def reply(request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        key = header(request, "Idempotency-Key")
        seen[key] += 1
        if seen[key] > int(key[-1]) + 1:
            writer.write(answer())

    async with serving(reply) as server:
        retries = {"on": "timeout", "at_most": 2, "backoff": "20ms"}
        scenario = at_rate("4/s", "1s", retries=retries)
        history = await run(server.port, tmp_path, scenario, request=KEYED)
        names = [header(each, "X-Attempt") for each in server.requests]
        users = {header(each, "Idempotency-Key"): asked_for(each) for each in server.requests}
    records = np.sort(history.records, order="k")
    told = [Outcome(each).text for each in records["outcome"]]
    assert told == ["issued", "issued", "unknown", "unknown"]
    assert records["attempts"].tolist() == [2, 3, 3, 3]
    assert sorted(seen.items()) == [(f"run-k3f9-drop-{k}", (2, 3, 3, 3)[k]) for k in range(4)]
    assert len(set(names)) == len(names) == 11
    assert [users[f"run-k3f9-drop-{k}"] for k in range(4)] == records["user"].tolist()


@pytest.mark.parametrize(
    ("semantics", "outcome"),
    [({"replay": "none"}, "unknown"), ({"replay": "idempotent"}, "duplicate")],
)
async def test_a_duplicate_after_a_timeout_settles_the_first_attempt_only_by_its_key(
    tmp_path: Path, semantics: dict[str, str], outcome: str
) -> None:
    """`you have one already` may mean the first attempt, which nobody was told of."""

    async def reply(_request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
        if n > 1:
            writer.write(answer(b'{"code":"DUPLICATE"}', 409))

    async with serving(reply) as server:
        scenario = at_rate("1/s", "1s", retries={"on": "timeout", "at_most": 1})
        history = await run(
            server.port, tmp_path, scenario, request=KEYED, replay=semantics["replay"]
        )
    assert counts(history) == {outcome: 1}
    assert set(history.records["attempts"]) == {2}


async def test_a_refusal_and_a_broken_connection_are_not_asked_again(tmp_path: Path) -> None:
    async def reply(_request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
        if n == 1:
            writer.write(answer(b"{}", 503))
        else:
            writer.close()

    async with serving(reply) as server:
        scenario = at_rate("2/s", "1s", retries={"on": "timeout", "at_most": 3})
        history = await run(server.port, tmp_path, scenario, request=KEYED)
        assert len(server.requests) == 2
    assert counts(history) == {Outcome.REFUSED.text: 1, Outcome.UNKNOWN.text: 1}
    assert set(history.records["attempts"]) == {1}
    assert Reason.TIMEOUT.text not in reasons(history)
