"""The parts of the traffic worker on their own: what an answer says, and who reads it."""

import asyncio
import json
import socket

import pytest

from gameday.core.clock import SystemClock
from gameday.spec.request import IssueRequest
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.worker.classify import Answers
from gameday.traffic.worker.http1 import Heads
from gameday.traffic.worker.poller import BROKEN, READING, Poller, SelectorPoll

REQUEST = {
    "post": "/issue",
    "capture": {"issue_id": "data.id", "remaining": "left"},
    "outcomes": {
        "issued": {"status": 200, "json": {"ok": True}},
        "sold_out": {"status": [200, 409]},
    },
}


@pytest.mark.parametrize(
    ("body", "outcome", "issue_id", "left"),
    [
        (b'{"ok": true, "data": {"id": "a-1"}, "left": 7}', Outcome.ISSUED, b"a-1", 7),
        (b' {"ok":true}\r\n', Outcome.ISSUED, b"", -1),
        (b'{"ok": true, "half": "\\ud800", "data": {"id": 12}}', Outcome.ISSUED, b"12", -1),
        (b'{"ok": true, "deep": %b}' % (b"[" * 400 + b"]" * 400), Outcome.ISSUED, b"", -1),
        (b'{"ok": 1, "left": 3}', Outcome.SOLD_OUT, b"", 3),
        (b'{"ok": true} and more', Outcome.SOLD_OUT, b"", -1),
        (b'{"ok": true, "left": 5e9', Outcome.SOLD_OUT, b"", -1),
        (b'{"ok": true, "left": 99999999999}', Outcome.ISSUED, b"", 2**31 - 1),
        (b'{"ok": true, "left": true}', Outcome.ISSUED, b"", -1),
        (b"\xff\xfe", Outcome.SOLD_OUT, b"", -1),
        (b"", Outcome.SOLD_OUT, b"", -1),
    ],
)
def test_an_answer_means_what_the_system_file_says(
    body: bytes, outcome: Outcome, issue_id: bytes, left: int
) -> None:
    answers = Answers(IssueRequest.model_validate(REQUEST))
    for form in (body, bytearray(body)):
        assert answers.read(200, form) == (outcome, Reason.NONE, issue_id, left)


def test_a_status_that_no_outcome_names_is_unknown() -> None:
    answers = Answers(IssueRequest.model_validate(REQUEST))
    assert answers.read(500, b'{"ok": true}')[:2] == (Outcome.UNKNOWN, Reason.UNMATCHED)


@pytest.mark.parametrize("digits", [10, 5_000])
def test_a_step_of_many_digits_is_no_index_and_may_be_a_key(digits: int) -> None:
    step = "9" * digits
    capture = {"issue_id": f"a.{step}", "remaining": f"b.{step}"}
    answers = Answers(IssueRequest.model_validate({**REQUEST, "capture": capture}))
    body = json.dumps({"ok": True, "a": ["x"], "b": {step: 7}}).encode()
    assert answers.read(200, body)[2:] == (b"", 7)


def answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def test_a_known_head_says_nothing_of_an_answer_of_another_length() -> None:
    heads = Heads()
    fine, gone = answer(200, b"{}"), answer(409, b"[]")
    for known, status in ((fine, 200), (gone, 409)):
        heads.note(known, status, 2)
    for known, status in ((fine, 200), (gone, 409), (fine, 200)):
        plain = heads.find(bytearray(known + b"rest of the piece"), len(known))
        assert plain is not None
        assert (plain.status, known[plain.end :]) == (status, known[-2:])
        assert heads.latest == plain
    assert heads.find(bytearray(fine + b"!"), len(fine) + 1) is None
    assert heads.find(bytearray(fine), len(fine) - 1) is None
    assert heads.find(bytearray(fine), 10) is None


class Ear:
    """Who listens to a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.closed = False
        self.read = sock.recv_into
        self.said: list[bytes | int] = []

    def heard(self, piece: bytearray, size: int, now_ns: int) -> None:
        assert now_ns > 0
        self.said.append(bytes(piece[:size]) if size > 0 else size)


@pytest.mark.parametrize("best", [True, False])
async def test_a_poll_reads_for_who_listens_until_the_end(*, best: bool) -> None:
    clock = SystemClock()
    poller = Poller(lambda: None, clock.now_ns, None if best else SelectorPoll())
    pairs = [socket.socketpair() for _ in range(3)]
    ears = [Ear(ours) for ours, _ in pairs]
    for (ours, theirs), ear in zip(pairs, ears, strict=True):
        ours.settimeout(0)
        poller.watch(ours, READING, lambda: None)
        poller.hear(ours, ear)
        theirs.send(json.dumps(id(ear)).encode())
        theirs.close()
    async with asyncio.timeout(5):
        while any(0 not in ear.said for ear in ears):
            await clock.sleep(0.01)
    assert [ear.said[0] for ear in ears] == [json.dumps(id(ear)).encode() for ear in ears]
    poller.read(ears[0])
    assert ears[0].said[-1] == 0
    for ours, _ in pairs:
        poller.forget(ours)
        assert ours.fileno() == -1
    poller.read(ears[1])
    assert ears[1].said[-1] == BROKEN
    poller.close()


async def test_a_turn_that_an_error_ends_is_over() -> None:
    clock = SystemClock()
    poller = Poller(lambda: None, clock.now_ns)
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: raised.append(told))
    ours, theirs = socket.socketpair()

    def fail() -> None:
        poller.forget(ours)
        raise LookupError

    poller.watch(ours, READING, fail)
    theirs.send(b"x")
    async with asyncio.timeout(5):
        while not raised:
            await clock.sleep(0.01)
    assert ours.fileno() == -1
    poller.watch(theirs, READING, lambda: None)
    poller.forget(theirs)
    assert theirs.fileno() == -1
    poller.close()
