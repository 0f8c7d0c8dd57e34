"""Step logs laid over the attempts: what a poll told counts, and takes nothing away."""

from pathlib import Path

import numpy as np
import pytest

from gameday.core.clock import NS
from gameday.evidence.read import read
from gameday.judge.checks import no_lost_issuance
from gameday.judge.verdict import Validity, Verdict
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.step_log import POLL, STEP, StepWriter
from tests.support.rundirs import T0_NS, Answer, RunDir


def polled(folder: Path, poll_id: bytes, rows: list[tuple[int, str]]) -> Path:
    """A run of one start: accepted under the id `first`, and issued as a poll told."""
    run = RunDir(answers=[Answer(0, 7, Outcome.ACCEPTED, 0.1, 0.1, "first")], rows=rows)
    path = run.write(folder / "run")
    log = StepWriter(path / "history" / "drop-0.steps", "drop", [POLL])
    sent_ns = T0_NS + NS
    told = (0, 200, 0, Outcome.ISSUED, Reason.NONE, -1, 1, sent_ns, sent_ns + 1, poll_id)
    log.append(np.array([told], dtype=STEP).tobytes())
    log.close()
    return path


@pytest.mark.parametrize(("poll_id", "known"), [(b"", b"first"), (b"second", b"second")])
def test_a_poll_without_an_id_leaves_the_one_that_the_first_answer_told(
    tmp_path: Path, poll_id: bytes, known: bytes
) -> None:
    evidence = read(polled(tmp_path, poll_id, [(7, known.decode())]))
    assert evidence.asked.ids(np.array([0], dtype=np.intp)).tolist() == [known]
    said = no_lost_issuance.check(evidence)
    assert isinstance(said, Verdict)
    assert said.validity is Validity.VALID


def test_an_issue_of_another_id_than_was_told_first_is_lost(tmp_path: Path) -> None:
    said = no_lost_issuance.check(read(polled(tmp_path, b"", [(7, "other")])))
    assert isinstance(said, Verdict)
    assert said.validity is Validity.INVALID
