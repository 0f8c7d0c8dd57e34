"""Certificates of runs against a shop that polls, checked by the program without gameday."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gameday.core.digests import digest_of
from gameday.traffic import step_log
from gameday.traffic.history import HEAD_BYTES, Outcome
from tests.support.foreign_runs import ROOT, TICKETS, Finished, run, shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
CHECKER = ROOT / "examples" / "check_certificate.py"
LATER: dict[str, Any] = {
    "post": "/claim",
    "json": {"member": "u{user:05d}"},
    "outcomes": {"accepted": {"status": 202}, "sold_out": {"status": 409}},
    "capture": {"ticket": "ticket"},
    "poll": TICKETS,
}


def claims(folder: Path, users: int = 5_000, **setting: Any) -> Finished:
    """A run of claims that are decided after 50 ms."""
    with shop(folder, **{"stock": 500, "later_ms": 50, **setting}) as url:
        return run(folder, url, LATER, users=users)


def checked(certificate: Path) -> tuple[int, str]:
    """The exit code of the independent program, and what it says."""
    program = [sys.executable, "-I", str(CHECKER), str(certificate)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def forged(certificate: Path, **facts: Any) -> Path:
    """The same certificate with other facts, beside it, and the sums of the files as they are."""
    content = json.loads(certificate.read_text())
    sums = {name: digest_of(certificate.parent / name) for name in content["files"]}
    changed = {**content, "facts": {**content["facts"], **facts}, "files": sums}
    path = certificate.with_name("certificate-forged.json")
    path.write_text(json.dumps(changed))
    return path


def test_a_coupon_that_only_a_poll_told_of_is_proven_lost_by_its_id(tmp_path: Path) -> None:
    done = claims(tmp_path, loses=5)
    path = done.dir / "certificate-no_lost_issuance.json"
    content = json.loads(path.read_text())
    assert content["kind"] == "lost", done.told
    assert "history/drop-0.steps" in content["files"]
    answer: Mapping[str, Any] = content["facts"]["answer"]
    assert answer["issue_id"].startswith("v")
    assert checked(path) == (0, f"{content['says']}\n- proven\n")

    for user, voucher in json.loads((done.dir / "audit.json").read_text())["rows"][:3]:
        index = int(user.lstrip("u"))
        kept = {"user": user, "issue_id": voucher}
        assert checked(forged(path, answer={**answer, **kept, "index": index}))[0] == 1
        assert checked(forged(path, answer={**answer, **kept}))[0] == 1, "another number"
        assert checked(forged(path, answer={**answer, "user": user}))[0] == 1, "another user"
    assert checked(forged(path, answer={**answer, "issue_id": "v0"}))[0] == 1
    assert checked(forged(path, answer={**answer, "user": answer["user"].upper()}))[0] == 0


def test_without_the_word_of_the_poll_nothing_is_proven(tmp_path: Path) -> None:
    done = claims(tmp_path, loses=5)
    path, log = done.dir / "certificate-no_lost_issuance.json", done.dir / "history/drop-0.steps"
    content = json.loads(path.read_text())
    del content["files"]["history/drop-0.steps"]
    path.write_text(json.dumps(content))
    assert checked(path)[0] == 1, "it rests on a file that it does not name"

    records = step_log.read(log).records.copy()
    records["outcome"] = np.where(records["outcome"] == Outcome.ISSUED, Outcome.UNKNOWN, 9)
    log.write_bytes(log.read_bytes()[:HEAD_BYTES] + records.tobytes())
    content["files"]["history/drop-0.steps"] = digest_of(log)
    path.write_text(json.dumps(content))
    assert checked(path) == (1, f"{content['says']}\n- NOT proven by these files\n")


def test_two_coupons_that_polls_told_one_user_of_are_proven(tmp_path: Path) -> None:
    done = claims(tmp_path, users=20, per_member=0, loses=1)
    path = done.dir / "certificate-one_per_user.json"
    content = json.loads(path.read_text())
    assert content["kind"] == "twice", done.told
    assert checked(path)[0] == 0
    [first, second] = content["facts"]["answers"]
    other = {"user": "u00099", "index": 99}
    assert checked(forged(path, user="u00099", answers=[first | other, second | other]))[0] == 1
