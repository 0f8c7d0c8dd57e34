"""Fields of the postmortem templates of Google's SRE book, Atlassian and Datadog in our draft.

Each field of the union has the place where the draft answers it without a person: a text that the
run's own facts fill, not a question to a person. What only people can say is listed with None.
"""

import re
from pathlib import Path
from typing import Final

import pytest

from gameday.report import write_report
from tests.report.test_report import RESULT, write_run
from tests.support.rundirs import RunDir, issue

FIELDS: Final[dict[str, str | None]] = {
    # Google, Site Reliability Engineering, appendix D
    "title": r"^# Postmortem: .+ late",
    "date": r"^date: 2026-11-23$",
    "authors": None,
    "status": r"^status: draft$",
    "summary": r"## Summary[\s\S]+?`network\.latency`",
    "impact": r"## Impact in numbers[\s\S]+?\| 6,000 \|",
    "root causes": None,
    "trigger": r"## Trigger[\s\S]+?`network\.latency`",
    "resolution": r"## Recovery[\s\S]+?8\.4 s",
    "detection": r"## Detection[\s\S]+?`RedisSlow` \| yes \| hit",
    "action items: what": r"^- \[ \] .+",
    "action items: type": r"^  type: (prevent|mitigate|detect|process)$",
    "action items: owner": None,
    "action items: bug": r"^  id: k3f9-1$",  # by which `gameday action-items` follows it
    "lessons: what went well": r"### What went well[\s\S]+?- `RedisSlow` fired",
    "lessons: what went wrong": r"### What went wrong[\s\S]+?- More coupons were issued than exist",
    "lessons: where we got lucky": r"### Where we got lucky[\s\S]+?- [^\n]+\d",
    "timeline": r"## Timeline[\s\S]+?\| 15\.012 \| 08:30:23 \|",
    "supporting information": r"## Supporting data[\s\S]+?`journal\.jsonl` \| [\d,]+ \|",
    # Atlassian, Incident Management Handbook
    "lead-up": r"\| 08:30:00 \| Run ",
    "fault": r"probe: 303\.5 ms",
    "response": r"## Response[\s\S]+?took the incident at 24\.0 s",
    "recovery": r"## Recovery[\s\S]+?11\.0 s",
    "five whys": None,
    "backlog check": None,
    "recurrence": r"seed 7",  # with the experiment's name it is made to happen again at will
    "corrective actions": r"```yaml action",
    "time to detect": r"\| `IssuanceSlow` \| 2\.0 s \| 1\.0 s \| 5\.0 s \| 8\.0 s \|",
    # Datadog, incident postmortem notebook
    "severity": r"^severity: critical$",
    "start and end": r"Started 2026-11-23T08:30:00Z, ended 2026-11-23T08:31:12Z",
    "services": r"`network\.latency` \| `redis`",
    "customer impact: people": r"These were requests of 12 people \(`history/drop-0\.bin`\)",
    "contributing factors": r"## Contributing factors[\s\S]+?Evidence: [^\n]*\d",
    "responders and roles": r"\| 2 \| [^\n]*\| bot \|",
    "commands and changes": r"Step 2 begins, by bot: Take Redis out",
    "detection method": r"\| 23\.000 \| 08:30:31 \| Alert `RedisSlow` \*\*fires\*\*",
    "owner": None,
    "follow-ups": r"^  experiment: redis-slow$",
    "graphs": r"!\[[^\]]+\]\(charts/latency\.svg\)",
}
SHARE: Final = 0.8


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> str:
    bad = {**RESULT["checks"][0], "verdict": "invalid", "summary": "4,530 rows for 4,500 in stock"}
    result = {**RESULT, "checks": [bad, *RESULT["checks"][1:]], "verdict": "failed"}
    run_dir: Path = write_run(tmp_path_factory.mktemp("runs") / "run", result=result)
    (run_dir / "history").mkdir()
    late = [issue(k, k, 21 + k / 10, took_s=0.4) for k in range(12)]
    RunDir(answers=[*late, issue(12, 0, 23.0, took_s=0.4)]).write_history(
        run_dir / "history" / "drop-0.bin"
    )
    written = write_report(run_dir, "en").read_text()
    return re.sub(r"^> TODO\(person\).*$", "", written, flags=re.MULTILINE)


@pytest.mark.parametrize("field", [name for name, where in FIELDS.items() if where])
def test_a_field_is_filled_from_the_run(field: str, draft: str) -> None:
    assert re.search(FIELDS[field] or "", draft, re.MULTILINE), field


STRICT: Final = frozenset({"recurrence"})
"""Fields of which one may say that a person fills them: the draft says how it is made to recur."""


def test_four_fifths_are_filled_without_a_generous_reading(draft: str) -> None:
    found = [name for name, at in FIELDS.items() if at and re.search(at, draft, re.MULTILINE)]
    assert len({*found} - STRICT) / len(FIELDS) >= SHARE


def test_four_fifths_of_the_fields_need_nobody(draft: str) -> None:
    filled = [name for name, at in FIELDS.items() if at and re.search(at, draft, re.MULTILINE)]
    assert len(filled) / len(FIELDS) >= SHARE
