"""Starts of several requests, as a worker sends them, against a server that can misbehave."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gameday.traffic import step_log
from gameday.traffic.history import History, Outcome, Reason
from gameday.traffic.worker.config import Config
from tests.traffic.test_worker import Reply, answer, child, counts, drop, run, serving, settings

LOGIN = {"post": "/login", "json": {"u": "{user}"}, "capture": {"token": "t"}, "per": "user"}
ISSUE = {
    "post": "/issue",
    "headers": {"Authorization": "Bearer {token}"},
    "json": {"user": "{user}"},
    "timeout": "2s",
    "capture": {"issue_id": "id", "ticket": "ticket"},
    "outcomes": {"issued": {"status": 200}, "accepted": {"status": 202}},
}
VUS = {"name": "drop", "executor": "constant-vus", "vus": 5, "duration": "1s"}


def steps(**changes: Any) -> dict[str, Any]:
    return {"before": {"login": {**LOGIN, **changes}}, "request": ISSUE, "users": 20}


def log_of(folder: Path) -> step_log.StepLog:
    return step_log.read(folder / "drop-0.steps")


def shop(issued: bytes = answer(b'{"id": "i"}'), *, late_s: float = 0.0) -> Reply:
    """Logs in who asks, late, and issues to whoever has his own token."""

    async def reply(request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        body = json.loads(request.partition(b"\r\n\r\n")[2] or b"{}")
        if request.startswith(b"POST /login"):
            await asyncio.sleep(late_s)
            writer.write(answer(json.dumps({"t": f"tok-{body['u']}"}).encode()))
        elif f"Authorization: Bearer tok-{body['user']}\r\n".encode() in request:
            writer.write(issued)
        else:
            writer.write(answer(b"{}", 401))

    return reply


def kinds(requests: list[bytes]) -> Counter[bytes]:
    return Counter(re.match(rb"[A-Z]+ /[a-z]+", each)[0] for each in requests)  # type: ignore[index]


async def test_starts_of_a_user_wait_for_his_one_login(tmp_path: Path) -> None:
    async with serving(shop(late_s=0.2)) as server:
        history = await run(server.port, tmp_path, drop("200/s", "1s"), **steps())
        asked = kinds(server.requests)
    assert counts(history) == {"issued": 200}
    assert asked[b"POST /login"] == len(log_of(tmp_path).records) == 20
    # Who waited for the login was due when it was done: the wait is no latency of the issue.
    took_ms = (history.records["ended_ns"] - history.records["intended_ns"]) / 1e6
    assert float(sorted(took_ms)[len(took_ms) // 2]) < 150


@pytest.mark.parametrize("executor", [drop("50/s", "1s"), VUS])
@pytest.mark.parametrize(
    ("login", "reason"),
    [
        (answer(b"{}", 401), Reason.UNMATCHED),
        (answer(b"{}"), Reason.CAPTURE),
        (answer(b"[" * 100_000), Reason.CAPTURE),
        (answer(b'{"t": "a\\r\\nX-Evil: 1"}'), Reason.CAPTURE),
        (answer(b'{"t": {"deep": 1}}'), Reason.CAPTURE),
        (answer(b'{"t": 1' + b"0" * 400 + b"}"), Reason.CAPTURE),
        (answer(b'{"t": "' + b"x" * 9000 + b'"}'), Reason.CAPTURE),
        (answer(b"{}", 429), Reason.UNMATCHED),
        (answer(b"{}", 503), Reason.UNMATCHED),
        (b"nonsense\r\n\r\n", Reason.GARBAGE),
    ],
)
async def test_a_failed_login_ends_the_start_and_nothing_is_issued(
    tmp_path: Path, login: bytes, reason: Reason, executor: dict[str, Any]
) -> None:
    async def reply(request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        writer.write(login if request.startswith(b"POST /login") else answer())

    async with serving(reply) as server:
        history = await run(server.port, tmp_path, executor, **steps())
        asked = kinds(server.requests)
    assert asked[b"POST /issue"] == 0
    assert set(counts(history)) == {"refused"}
    unanswered = reason is Reason.GARBAGE or login.startswith(b"HTTP/1.1 503")
    told = Reason.STEP_UNANSWERED if unanswered else Reason.STEP_FAILED
    assert {Reason(each) for each in history.records["reason"]} == {told}
    assert history.dispatched >= len(history.records) > 0
    found = {Reason(each) for each in log_of(tmp_path).records["reason"]}
    if b"X-Evil" not in login:  # it was captured, and could not stand where it should
        assert found == {reason}


async def test_a_step_of_each_attempt_that_failed_may_have_reserved(tmp_path: Path) -> None:
    async with serving(shop()) as server:
        more = steps(per="attempt", expect={"status": 201})
        history = await run(server.port, tmp_path, drop("20/s", "1s"), **more)
    assert counts(history) == {"unknown": 20}
    assert (history.records["sent_ns"] > 0).all()


async def test_nobody_there_is_told_of_and_never_asked_in_a_hurry(tmp_path: Path) -> None:
    async with serving(shop()) as server:
        port = server.port
    history = await run(port, tmp_path, VUS, **steps())
    assert set(counts(history)) == {"refused"}
    assert {Reason(each) for each in history.records["reason"]} == {Reason.STEP_UNANSWERED}
    assert len(history.records) < 100  # five users in a second, each with a rest


async def test_every_start_has_its_record_when_the_traffic_is_stopped_in_a_step(
    tmp_path: Path,
) -> None:
    async def reply(_request: bytes, _writer: asyncio.StreamWriter, _n: int) -> None:
        await asyncio.sleep(60)

    async with serving(reply) as server, child(server.port, tmp_path, drop(), **steps()) as one:
        await one.begin()
        await one.event("scheduled")
        one.say({"cmd": "stop", "grace_s": 0.1})
        await one.event("done")
        assert await one.process.wait() == 0
    from gameday.traffic.history import read

    history: History = read(tmp_path / "drop-0.bin")
    assert len(history.records) == history.dispatched == 50
    assert counts(history) == {"unknown": 50}
    assert {Reason(each) for each in history.records["reason"]} == {Reason.INTERRUPTED}


def polled(**changes: Any) -> dict[str, Any]:
    poll = {
        "get": "/tickets/{ticket}",
        "every": "50ms",
        "within": "500ms",
        "until": {"issued": {"status": 200, "json": {"state": "ok"}}},
        "capture": {"issue_id": "id"},
        **changes,
    }
    return {**steps(), "request": {**ISSUE, "poll": poll}}


def ticketed(said: bytes) -> Reply:
    issue = shop(answer(b'{"ticket": "a/b?c"}', 202))

    async def reply(request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
        if request.startswith(b"GET"):
            assert request.startswith(b"GET /tickets/a%2Fb%3Fc HTTP/1.1\r\n")
            writer.write(said)
        else:
            await issue(request, writer, n)

    return reply


@pytest.mark.parametrize("executor", [drop("20/s", "1s"), VUS])
@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (answer(b'{"state": "ok", "id": "i-7"}'), Outcome.ISSUED),
        (answer(b'{"state": "later"}'), Outcome.UNKNOWN),
        (answer(b"broken", 500), Outcome.UNKNOWN),
    ],
)
async def test_a_ticket_is_asked_for_until_it_is_decided_or_the_time_is_over(
    tmp_path: Path, said: bytes, outcome: Outcome, executor: dict[str, Any]
) -> None:
    async with serving(ticketed(said)) as server:
        history = await run(server.port, tmp_path, executor, **polled())
    assert set(counts(history)) == {"accepted"}
    told = log_of(tmp_path).of("poll")
    assert len(told) == len(history.records)
    assert set(told["outcome"].tolist()) == {outcome}
    if outcome is Outcome.ISSUED:
        assert set(told["issue_id"].tolist()) == {b"i-7"}
        assert set(told["asked"].tolist()) == {1}
    else:
        assert min(told["asked"].tolist()) > 1
    if executor is VUS:  # a virtual user waits for the decision before he asks again
        assert len(history.records) < 5 * 25


async def test_an_answer_without_a_ticket_stays_accepted(tmp_path: Path) -> None:
    async with serving(shop(answer(b"{}", 202))) as server:
        history = await run(server.port, tmp_path, drop("20/s", "1s"), **polled())
    assert counts(history) == {"accepted": 20}
    assert set(log_of(tmp_path).of("poll")["reason"].tolist()) == {Reason.CAPTURE}


async def test_a_users_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("token\n" + "\n".join(f"tok-{n}" for n in range(20)) + "\n")
    file = {"path": str(path), "sha256": "0" * 64}
    async with child(1, tmp_path, drop(), request=ISSUE, users=20, users_file=file) as one:
        assert await one.process.wait() == 2
        assert b"has changed" in await one.process.stderr.read()


async def test_a_column_goes_into_a_header_without_any_step(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("token\n" + "\n".join(f"tok-{n}" for n in range(20)) + "\n")
    request = {**ISSUE, "capture": {}}
    more = {"request": request, "users": 20, "users_file": {"path": str(path), "sha256": None}}
    async with serving(shop()) as server:
        history = await run(server.port, tmp_path, drop("100/s", "1s"), **more)
    assert counts(history) == {"issued": 100}
    assert not list(tmp_path.glob("*.steps"))


async def test_other_requests_are_mixed_in_by_their_weights_and_fail_for_themselves(
    tmp_path: Path,
) -> None:
    issue = shop()

    async def reply(request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
        if request.startswith(b"GET"):
            writer.write(answer(b"", 500 if n % 2 else 200))
        else:
            await issue(request, writer, n)

    more = steps()
    more["before"] |= {
        "browse": {"get": "/items", "weight": 2.5},
        "rare": {"get": "/rare", "weight": 0.25},
    }
    async with serving(reply) as server:
        history = await run(server.port, tmp_path, drop("40/s", "1s"), **more)
        asked = kinds(server.requests)
    assert counts(history) == {"issued": 40}
    assert asked[b"GET /items"] == 100
    assert asked[b"GET /rare"] == 10
    log = log_of(tmp_path).of("browse")
    assert len(log) == 100
    assert set(log["status"].tolist()) == {200, 500}


async def test_a_scenario_asks_what_is_mixed_in_as_often_as_its_own_mix_says(
    tmp_path: Path,
) -> None:
    issue = shop()

    async def reply(request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
        if request.startswith(b"GET"):
            writer.write(answer(b""))
        else:
            await issue(request, writer, n)

    more = steps()
    more["before"] |= {name: {"get": f"/{name}", "weight": 2} for name in ("browse", "search")}
    more["mix"] = {"drop": {"browse": 0.5, "search": 0}, "other": {"browse": 9}}
    async with serving(reply) as server:
        history = await run(server.port, tmp_path, drop("40/s", "1s"), **more)
        asked = kinds(server.requests)
    assert counts(history) == {"issued": 40}
    assert asked[b"GET /browse"] == 20
    assert b"GET /search" not in asked


def test_a_worker_knows_how_long_a_request_of_a_weight_may_keep_a_start_open(
    tmp_path: Path,
) -> None:
    before = {"browse": {"get": "/items", "weight": 2.5, "timeout": "10s"}}
    told = settings(1, tmp_path, drop()) | {"request": ISSUE, "before": before}
    assert Config.model_validate(told).longest_s == 32


SECRET = "eyJhbGciOiJIUzI1NiJ9.SECRET"
LONG = "x1" * 1_500  # a cell that is longer than what is shown


async def log_at_the_end(one: Any) -> str:
    """Let a worker do its work; what it wrote on the way."""
    await one.begin()
    await one.event("idle")
    one.say({"cmd": "stop", "grace_s": 1.0})
    await one.event("done")
    assert await one.process.wait() == 0
    said: bytes = await one.process.stderr.read()
    return said.decode()


def listed(folder: Path) -> dict[str, Any]:
    """A file of users whose one column is long, and a login that sends it."""
    path = folder / "users.csv"
    path.write_text("cell\n" + "\n".join(f"{LONG}{n:02d}" for n in range(20)) + "\n")
    more = steps(json={"u": "{user}", "c": "{cell}"}, capture={"token": "token"})
    return {**more, "users_file": {"path": str(path), "sha256": None}}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            answer(f'{{"access_token": "{SECRET}", "in": {{"x": 1}}}}'.encode()),
            "access_token, in.x",
        ),
        (answer(f'{{"{SECRET}": 1}}'.encode()), "JSON with ?"),
        (answer(f'["{SECRET}"]'.encode()), "no object"),
        (answer(SECRET.encode()), "no JSON"),
        (answer(f'{{"access_token": "{SECRET}"}}'.encode(), 207), "unmatched: '(JSON"),
        (answer(b"no such " + (LONG + "ab").encode(), 401), "no such"),
        (answer(f"sid={SECRET}".encode(), 401, f"Set-Cookie: sid={SECRET}"), "sid=***"),
        (answer(SECRET.encode() + b"y" * 70_000, 401), "bytes)"),
    ],
)
async def test_a_failed_step_is_told_without_what_was_answered_in_secret(
    tmp_path: Path, said: bytes, told: str
) -> None:
    async def reply(request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        cell = json.loads(request.partition(b"\r\n\r\n")[2])["c"].encode()
        writer.write(said.replace((LONG + "ab").encode(), cell))

    more = listed(tmp_path)
    more["before"]["login"]["expect"] = {"status": [200]}
    async with (
        serving(reply) as server,
        child(server.port, tmp_path, drop("5/s", "1s"), **more) as one,
    ):
        log = await log_at_the_end(one)
    assert told in log
    assert SECRET not in log and "x1x1" not in log


async def test_a_cookie_that_was_sent_is_hidden_where_it_comes_back(tmp_path: Path) -> None:
    async def reply(request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        if request.startswith(b"POST /login"):
            writer.write(answer(b'{"t": "tok-1"}', 200, f"Set-Cookie: sid={SECRET}; Path=/"))
        else:
            ends = "Set-Cookie: sid=; Path=/; Max-Age=0"
            writer.write(answer(f"session {SECRET} is over".encode(), 401, ends))

    more = steps()
    more["before"]["look"] = {"get": "/look"}
    async with (
        serving(reply) as server,
        child(server.port, tmp_path, drop("5/s", "1s"), cookies=True, **more) as one,
    ):
        log = await log_at_the_end(one)
        assert any(SECRET.encode() in each for each in server.requests)
    assert "session *** is over" in log
    assert SECRET not in log
