"""Damage as a whole run tells it, against a shop that fails, or turns people away, for a while."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gameday.core.json_objects import Json
from gameday.evidence.failed import failed
from gameday.report import write_report
from gameday.traffic.history import read
from tests.support.foreign_runs import OUTCOMES, Finished, run, shop

BURST = [[7.0, 10.0, 500, 1.0]]
BOTS = [[2.0, 12.0, 429, 0.8]]
FAST = "histogram_quantile(0.95, sum by (le) (rate(k6_http_req_duration_seconds_bucket[5s]))) < 0.5"
SPIKE = {"fault": "traffic.spike", "id": "crowd", "rate": "60/s", "at": "6s", "duration": "4s"}
ISSUE = {"post": "/claim", "json": {"member": "{user}"}}


def drop(folder: Path, away: list[Any], gone: list[float] | None = None, **more: Any) -> Finished:
    """A run of 18 seconds, with a latency objective alone."""
    keys: Json = {"objectives": [{"name": "fast", "expr": FAST}], **more}
    traffic = {"executor": "constant-arrival-rate", "rate": "60/s", "duration": "18s"}
    issue = {**ISSUE, "outcomes": {**OUTCOMES, "refused": {"status": 429}}}
    setting: Json = {} if gone is None else {"gone": gone}
    with shop(folder, stock=100_000, turns_away=away, **setting) as url:
        return run(folder, url, issue, traffic=traffic, users=100_000, more=keys)


def test_a_burst_of_failures_is_damage_and_the_draft_says_so(tmp_path: Path) -> None:
    found = drop(tmp_path, BURST, method=[SPIKE])
    clocks = found.result["clocks"]
    assert 6.5 <= clocks["damage_at"] <= 9.0, found.told
    assert 3.0 <= clocks["recovered_after_s"] <= 9.0
    assert found.check("recovered")["evidence"][0]["objectives"] == ["answered"]
    draft = (found.dir / "postmortem.md").read_text()
    assert "No customer was seen to be affected" not in draft
    assert "`answered` is the objective on failures that the experiment does not write" in draft
    assert "Objective `answered` is **breached**" in draft
    korean = write_report(found.dir, "ko").read_text()
    assert "사용자는 관측되지 않았다" not in korean
    assert "목표 `answered` 자체는 실험 파일에 없으며" in korean


def test_people_who_are_turned_away_by_name_are_no_damage(tmp_path: Path) -> None:
    """As `bots`: the limit refuses most of what they ask."""
    found = drop(tmp_path, BOTS)
    assert found.code == 0, found.wrong() or found.told
    assert found.result["clocks"]["damage_at"] is None
    assert found.result["traffic"]["metrics"]["http_req_failed"]["rate"] > 0.3
    assert "No customer was seen to be affected" in (found.dir / "postmortem.md").read_text()


@pytest.mark.parametrize(("more", "code"), [({}, 1), ({"failures": "expected"}, 0)])
def test_without_a_fault_a_burst_is_a_weakness_unless_it_is_expected(
    tmp_path: Path, more: Json, code: int
) -> None:
    found = drop(tmp_path, BURST, **more)
    assert found.code == code, found.told
    assert [*found.wrong()] == (["objectives"] if code else [])


def test_a_service_that_is_dead_for_a_while_has_hurt_people(tmp_path: Path) -> None:
    """All that they see are refused connections, which no answer of its file names."""
    found = drop(tmp_path, [], gone=[7.0, 10.0], objectives=[])
    assert found.code == 1, found.told
    assert [*found.wrong()] == ["objectives"]
    clocks = found.result["clocks"]
    assert 6.5 <= clocks["damage_at"] <= 9.0, found.told
    assert 3.0 <= clocks["recovered_after_s"] <= 9.0
    effective = json.loads((found.dir / "inputs" / "effective.json").read_bytes())
    assert effective["failed"] == ["unknown", "unreached"]
    draft = (found.dir / "postmortem.md").read_text()
    assert "No customer was seen to be affected" not in draft
    [told] = re.findall(r"failed requests while customers were affected, [^|]*\| `?([0-9]+)", draft)
    records = read(found.dir / "history" / "drop-0.bin").records
    assert (
        int(told) == failed(records["outcome"], records["reason"], effective["failed"]).sum() > 100
    )


def test_a_fault_is_not_let_in_on_what_the_last_sample_before_it_says(tmp_path: Path) -> None:
    """It fails from half a second before the fault on: only the sample at the fault shows that."""
    found = drop(tmp_path, [[5.4, 16.0, 500, 1.0]], method=[SPIKE])
    assert found.result["ended"] == "not_steady", found.told
    assert found.code == 3
    assert found.result["faults"][0]["injected_at"] is None
    assert "it was false at 6.0 s: too many answers are described by none" in " ".join(
        found.told.split()
    )


def test_a_service_that_somebody_ends_after_the_fault_is_not_of_the_fault(tmp_path: Path) -> None:
    found = drop(tmp_path, [], gone=[13.0, 60.0], method=[SPIKE])
    draft = (found.dir / "postmortem.md").read_text()
    assert "**The cause is not known.**" in draft
    assert "The service refused connections from 1" in draft
    assert "because gameday made it" not in draft
