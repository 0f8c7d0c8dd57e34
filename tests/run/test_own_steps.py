"""Whole runs with users of a file, steps before the issue, and a question after it."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gameday.traffic import step_log
from gameday.traffic.history import Outcome, Reason, read
from tests.support.foreign_runs import OUTCOMES, ROOT, TICKETS, Finished, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SHOP = ROOT / "tests" / "support" / "token_shop.py"
MEMBERS = 200
LOGIN = {
    "post": "/login",
    "json": {"email": "{email}", "password": "{password}"},
    "capture": {"token": "data.token"},
    "per": "user",
}
RESERVE = {
    "post": "/reserve",
    "headers": {"Authorization": "Bearer {token}"},
    "capture": {"order": {"header": "Location"}},
}
CONFIRM = {
    "post": "{order}",
    "headers": {"Authorization": "Bearer {token}"},
    "capture": {"issue_id": "voucher"},
    "outcomes": OUTCOMES,
}


def email(n: int) -> str:
    return f"member{n:04d}@shop.example"


@contextmanager
def shop(folder: Path, **setting: Any) -> Iterator[str]:
    """The shop at work, and a file of its members; its address."""
    lines = [f"{n},{email(n)},pw-{email(n)},key/{n:04d}==" for n in range(MEMBERS)]
    (folder / "users.csv").write_text("\n".join(["id,email,password,apikey", *lines, ""]))
    setting["tokens"] = {email(n): f"key/{n:04d}==" for n in range(MEMBERS)}
    file = folder / "port"
    process = subprocess.Popen([sys.executable, str(SHOP), str(file), json.dumps(setting)])
    try:
        deadline = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        yield f"http://127.0.0.1:{file.read_text()}"
    finally:
        process.kill()
        process.wait()


def counts(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/counts", timeout=10) as answer:
        found: dict[str, int] = json.loads(answer.read())
    return found


def ask(folder: Path, url: str, requests: Mapping[str, Any], **changes: Any) -> Finished:
    users = {"file": "users.csv", "id": "email", **changes.pop("users_of", {})}
    changes = {"users_file": users, "requests": requests, **changes}
    return run(folder, url, {}, users=MEMBERS, **changes)


def everything_kept(done: Finished) -> str:
    """All that a run has kept, as text."""
    files = [each for each in done.dir.rglob("*") if each.is_file()]
    return done.told + "\n".join(each.read_bytes().decode("latin-1") for each in files)


def starts_of(done: Finished) -> Any:
    return read(done.dir / "history" / "drop-0.bin").records


def test_a_token_of_a_file_goes_into_a_header_and_the_audit_is_matched_by_a_column(
    tmp_path: Path,
) -> None:
    with shop(tmp_path, stock=60) as url:
        claim = {**CONFIRM, "post": "/claim", "headers": {"Authorization": "Bearer {apikey}"}}
        done = ask(tmp_path, url, {"issue": claim})
        assert counts(url).get("stranger", 0) == 0
    assert done.code == 0, done.told
    assert done.check("no_lost_issuance")["verdict"] == "valid", done.wrong()
    assert done.check("one_per_user")["verdict"] == "valid", done.wrong()
    audit = json.loads((done.dir / "audit.json").read_text())
    assert len(audit["rows"]) == 60
    assert all(isinstance(user, int) and user < MEMBERS for user, _ in audit["rows"])
    users = json.loads((done.dir / "inputs" / "effective.json").read_text())["users"]
    assert users["rows"] == MEMBERS
    assert users["columns"] == ["id", "email", "password", "apikey"]
    kept = everything_kept(done)
    for secret in (email(7), "pw-member", "key/0007"):
        assert secret not in kept


def test_a_login_once_a_user_a_reservation_and_a_confirmation_are_one_start(tmp_path: Path) -> None:
    with shop(tmp_path, stock=60) as url:
        before = {"login": LOGIN, "reserve": RESERVE}
        done = ask(tmp_path, url, {"before": before, "issue": CONFIRM})
        asked = counts(url)
    assert done.code == 0, done.told
    starts = starts_of(done)
    users = set(starts["user"].tolist())
    assert asked["login"] == len(users)  # several starts of a user: one login
    assert asked["reserve"] == asked["orders"] == len(starts)
    assert asked.get("other", 0) == 0
    log = step_log.read(done.dir / "history" / "drop-0.steps")
    assert (log.of("login")["outcome"] == Outcome.ACCEPTED).all()
    assert len(log.of("login")) == len(users)
    assert len(log.of("reserve")) == len(starts)
    assert len(set(starts["k"].tolist())) == len(starts)
    # The issue is due when its steps are done: what they took is none of its time.
    reserved = log.of("reserve")
    ended = dict(zip(reserved["k"].tolist(), reserved["ended_ns"].tolist(), strict=True))
    assert all(int(each["sent_ns"]) >= ended[int(each["k"])] for each in starts)
    assert done.check("generator")["verdict"] == "valid", done.wrong()


def test_a_failed_login_is_told_apart_and_the_answer_is_masked_by_its_own_row(
    tmp_path: Path,
) -> None:
    refused = [email(n) for n in range(0, MEMBERS, 4)]
    with shop(tmp_path, stock=1_000, refuses=refused) as url:
        before = {"login": LOGIN, "reserve": RESERVE}
        done = ask(tmp_path, url, {"before": before, "issue": CONFIRM})
    starts = starts_of(done)
    failed = starts["reason"] == Reason.STEP_FAILED
    assert failed.any(), done.told
    assert set((starts["user"][failed] % 4).tolist()) == {0}
    assert (starts["outcome"][failed] == Outcome.REFUSED).all()
    assert (starts["sent_ns"][failed] == 0).all()
    assert not (starts["user"][~failed] % 4 == 0).any()
    assert done.check("no_lost_issuance")["verdict"] == "valid", done.wrong()
    assert done.check("no_phantom")["verdict"] == "valid", done.wrong()
    logs = "".join(each.read_text() for each in (done.dir / "logs").glob("*.log"))
    assert "step login of user" in logs
    assert "answered 401" in logs
    assert email(0) not in everything_kept(done)
    assert "pw-member" not in everything_kept(done)


def test_a_reservation_that_fails_may_have_held_something(tmp_path: Path) -> None:
    with shop(tmp_path, stock=60, full=3) as url:
        before = {"login": LOGIN, "reserve": RESERVE}
        done = ask(tmp_path, url, {"before": before, "issue": CONFIRM})
    starts = starts_of(done)
    failed = starts["reason"] == Reason.STEP_UNANSWERED
    assert failed.any(), done.told
    assert (starts["outcome"][failed] == Outcome.UNKNOWN).all()
    assert (starts["sent_ns"][failed] > 0).all()
    for name in ("no_premature_sold_out", "no_phantom", "no_lost_issuance", "one_per_user"):
        assert done.check(name)["verdict"] == "valid", done.wrong()


def test_a_captured_line_end_never_becomes_a_header(tmp_path: Path) -> None:
    with shop(tmp_path, stock=1_000, breaks=[email(n) for n in range(MEMBERS)]) as url:
        done = ask(
            tmp_path, url, {"before": {"login": LOGIN}, "issue": {**CONFIRM, "post": "/claim"}}
        )
        asked = counts(url)
    assert asked.get("injected", 0) == 0
    assert asked.get("claim", 0) == 0
    assert (starts_of(done)["reason"] == Reason.STEP_FAILED).all()


def test_a_session_cookie_is_kept_for_each_user(tmp_path: Path) -> None:
    with shop(tmp_path, stock=60) as url:
        login = {key: value for key, value in LOGIN.items() if key != "capture"}
        reserve = {key: value for key, value in RESERVE.items() if key != "headers"}
        confirm = {key: value for key, value in CONFIRM.items() if key != "headers"}
        requests = {
            "before": {"login": login, "reserve": reserve},
            "issue": confirm,
            "cookies": True,
        }
        done = ask(tmp_path, url, requests)
        asked = counts(url)
    assert done.code == 0, done.told
    assert asked["cookies"] == asked["reserve"] + asked["orders"]
    assert asked.get("other", 0) == asked.get("stranger", 0) == 0


POLLED: dict[str, Any] = {
    **CONFIRM,
    "post": "/claim",
    "headers": {"Authorization": "Bearer {apikey}"},
    "capture": {"ticket": "ticket"},
    "outcomes": {"accepted": {"status": 202}},
    "poll": TICKETS,
}


def test_an_accepted_issue_is_asked_after_until_it_is_decided(tmp_path: Path) -> None:
    with shop(tmp_path, stock=60, later_ms=250) as url:
        done = ask(tmp_path, url, {"issue": POLLED})
    assert done.code == 0, done.told
    starts = starts_of(done)
    assert set(starts["outcome"].tolist()) == {Outcome.ACCEPTED}
    log = step_log.read(done.dir / "history" / "drop-0.steps").of("poll")
    told = {outcome: int((log["outcome"] == outcome).sum()) for outcome in Outcome}
    assert told[Outcome.ISSUED] == 60
    assert told[Outcome.UNKNOWN] == 0
    assert len(log) == len(starts)
    # Each was decided a quarter of a second after it was accepted: its time is not the issue's.
    assert float((starts["ended_ns"] - starts["intended_ns"]).mean()) < 240e6
    assert done.check("no_lost_issuance")["verdict"] == "valid", done.wrong()
    assert done.check("no_premature_sold_out")["verdict"] == "valid", done.wrong()


def test_an_issue_that_a_poll_told_of_and_that_is_not_stored_is_lost(tmp_path: Path) -> None:
    with shop(tmp_path, stock=1_000, later_ms=100, loses=5) as url:
        done = ask(tmp_path, url, {"issue": POLLED})
    said = done.check("no_lost_issuance")
    assert said["verdict"] == "invalid", done.told
    assert done.code == 1
    assert done.check("one_per_user")["verdict"] == "valid", done.wrong()
