"""JUnit XML: the schema that readers share, and that nothing but a pass looks like one."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st

from gameday.judge.result import CheckLine, Clocks, MissingPart, Result
from gameday.judge.verdict import NotApplicable
from gameday.report.junit import junit

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
TEXT = st.text(max_size=30) | st.sampled_from(["", "]]>", "<script>", "\x00\ud800\ufffe", "a" * 9000])


def result(**fields: Any) -> Result:
    whole: dict[str, Any] = {
        "run": "20261123T083000Z-redis-slow-k3f9",
        "experiment": "redis-slow",
        "stack": "embedded",
        "seed": 7,
        "started_at": "2026-11-23T08:30:00Z",
        "ended_at": "2026-11-23T08:31:12Z",
        "verdict": "passed",
        "ended": "completed",
        "exit_code": 0,
        "checks": [CheckLine(name="generator", verdict="valid", summary="kept")],
        "faults": [],
        "alerts": [],
        "traffic": None,
        "playbook": [],
        "clocks": Clocks(),
    }
    return Result(**{**whole, **fields})


def red(raw: bytes) -> int:
    suite = ET.fromstring(raw).find("testsuite")
    assert suite is not None
    return len(suite.findall("testcase/failure")) + len(suite.findall("testcase/error"))


def test_a_run_that_passed_is_green_and_says_its_run_and_seed() -> None:
    raw = junit(result(not_applicable=[NotApplicable("thresholds", "thresholds")]))
    SCHEMA.validate(raw.decode())
    suite = ET.fromstring(raw)[0]
    assert (red(raw), suite.get("tests"), suite.get("skipped")) == (0, "3", "1")
    told = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert told["run"] == "20261123T083000Z-redis-slow-k3f9"
    assert told["seed"] == "7"
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert skipped.get("message") == "does not apply: thresholds not given"
    assert suite.get("time") == "72.000"


@pytest.mark.parametrize(("verdict", "tag"), [("unknown", "error"), ("invalid", "failure")])
def test_a_check_that_is_not_valid_is_red_with_its_reason(verdict: str, tag: str) -> None:
    line = CheckLine(name="recovered", verdict=verdict, summary="no data for 4 s")
    overall = "failed" if verdict == "invalid" else "unknown"
    suite = ET.fromstring(junit(result(checks=[line], verdict=overall)))[0]
    found = suite.find(f"testcase[@name='recovered']/{tag}")
    assert found is not None
    assert found.get("message") == "no data for 4 s"
    assert (suite.get("failures"), suite.get("errors")) == (
        ("1", "0") if tag == "failure" else ("0", "1")
    )


def test_a_run_that_did_not_go_to_its_end_is_red_without_any_check() -> None:
    raw = junit(result(checks=[], verdict="unknown", ended="unhealthy", exit_code=4))
    SCHEMA.validate(raw.decode())
    error = ET.fromstring(raw)[0].find("testcase[@name='run']/error")
    assert error is not None
    assert error.get("message") == "the run ended because the stack did not become healthy"


@given(
    names=st.lists(st.tuples(TEXT, st.sampled_from(["valid", "invalid", "unknown"]), TEXT), max_size=4),
    ended=st.sampled_from(["completed", "guard", "signal", "of later"]),
    missing=st.lists(TEXT, max_size=1),
    times=st.tuples(TEXT | st.none(), TEXT | st.none()),
)
def test_green_means_passed_and_nothing_else(
    names: list[tuple[str, str, str]],
    ended: str,
    missing: list[str],
    times: tuple[str | None, str | None],
) -> None:
    checks = [CheckLine(name=n, verdict=v, summary=s) for n, v, s in names]
    verdicts = [each.verdict for each in checks]
    clean = verdicts and ended == "completed" and not missing and set(verdicts) == {"valid"}
    overall = "failed" if "invalid" in verdicts else "passed" if clean else "unknown"
    gaps = [MissingPart(part="samples.jsonl", why=why) for why in missing]
    raw = junit(
        result(
            checks=checks,
            ended=ended,
            missing=gaps,
            verdict=overall,
            started_at=times[0],
            ended_at=times[1],
        )
    )
    SCHEMA.validate(raw.decode())
    assert (red(raw) == 0) == (overall == "passed")
