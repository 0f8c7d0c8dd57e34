"""Sums of evidence: a file is read once as long as it is the same, and never longer."""

import hashlib
import os
from pathlib import Path

from gameday.core.clock import NS, wall_time_ns
from gameday.core.digests import SURE_NS, digest_of


def _of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _old(path: Path) -> None:
    """Wait until a file has not been changed for as long as a sum needs to be remembered."""
    while wall_time_ns() - path.stat().st_ctime_ns <= SURE_NS:
        os.sched_yield()


def test_a_file_that_was_changed_has_another_sum_although_size_and_time_are_the_same(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.json"
    path.write_bytes(b"one")
    os.utime(path, ns=(NS, NS))
    _old(path)
    assert digest_of(path) == digest_of(path) == _of(b"one")
    path.write_bytes(b"two")
    os.utime(path, ns=(NS, NS))
    assert digest_of(path) == _of(b"two")


def test_a_file_that_is_being_written_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    for n in range(50):
        path.write_bytes(b"%03d" % n)
        os.utime(path, ns=(NS, NS))
        assert digest_of(path) == _of(b"%03d" % n)


def test_another_file_in_its_place_has_its_own_sum(tmp_path: Path) -> None:
    path, other = tmp_path / "audit.json", tmp_path / "other"
    path.write_bytes(b"one")
    other.write_bytes(b"two")
    _old(other)
    assert digest_of(path) == _of(b"one")
    other.replace(path)
    assert digest_of(path) == _of(b"two")
