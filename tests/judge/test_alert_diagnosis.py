"""The search for the cause of a broken alert: done once, on what the rules read, and bounded."""

from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import NS
from gameday.evidence.model import Evidence
from gameday.evidence.read import read
from gameday.judge import alert_looks
from gameday.judge.alert_replay import load_run
from gameday.judge.checks.alerts import statuses
from gameday.judge.judge import judge
from gameday.telemetry.alerts.looks import RulesSeen, look_at, steps_of
from gameday.telemetry.alerts.replay import LabelledScrape
from gameday.telemetry.alerts.rules import load_rules
from gameday.telemetry.samples import Evaluation
from tests.support.rundirs import T0_NS, RunDir, evaluation

ALERTS = 4


def missed(folder: Path, alerts: int = ALERTS, series: int = 20, step_s: float = 1.0) -> Evidence:
    """A run in which no alert fired; the rules read half of its series."""
    made = RunDir()
    names = [f"Slow{n}" for n in range(alerts)]
    made.expect(alerts=[{"alert": name, "fires_within": "5s"} for name in names])
    labels = [{"__name__": "asked" if n % 2 else "others", "n": f"{n}"} for n in range(series)]
    lines: list[dict[str, Any]] = [{"series": [[n, each] for n, each in enumerate(labels)]}]
    for at in range(round(36 / step_s)):
        t_ns = T0_NS + round(at * step_s * NS)
        lines.append({"t": t_ns, "values": [[n, float(at)] for n in range(series)], "up": {}})
        lines.append(evaluation(at * step_s))
    made.evaluations = lines
    path = made.write(folder / "run")
    (path / "inputs" / "rules").mkdir()
    rules = [
        f"  - {{alert: {name}, expr: 'max(rate(asked[10s])) > {5 + n}', for: 1s}}\n"
        for n, name in enumerate(names)
    ]
    text = "groups:\n- name: g\n  rules:\n" + "".join(rules)
    (path / "inputs" / "rules" / "alerts.yml").write_text(text)
    return read(path)


def test_all_broken_alerts_are_looked_at_in_one_pass_and_once_for_all_that_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []

    def counted(*given: Any) -> RulesSeen:
        passes.append(len(given[2]))
        return look_at(*given)

    monkeypatch.setattr(alert_looks, "look_at", counted)
    evidence = missed(tmp_path)
    judge(evidence)
    found = statuses(evidence)
    assert [each.status for each in found] == ["missed"] * ALERTS
    assert {each.cause.id for each in found if each.cause} == {"alert_cause.threshold"}
    assert passes == [ALERTS, ALERTS]  # the second: whether shorter windows would have fired


def test_where_the_search_is_too_much_work_no_cause_is_told_and_the_verdict_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = missed(tmp_path)
    told = [each.status for each in statuses(evidence)]
    monkeypatch.setattr(alert_looks, "MOST_STEPS", 1000)
    again = statuses(read(tmp_path / "run"))
    assert [each.status for each in again] == told
    assert [each.cause for each in again] == [None] * ALERTS


def test_what_a_search_would_read_is_counted_before_it(tmp_path: Path) -> None:
    evidence = missed(tmp_path)
    assert evidence.folder is not None
    run = load_run(evidence.folder, evidence)
    files = [load_rules(path) for path in run.rules]
    assert steps_of(run.samples, files, []) == 36 * (ALERTS + 1 + 10 * 40)  # one rate for all
    assert steps_of(run.samples, files, files[0].alerts) == 36 * (2 * ALERTS + 1 + 10 * 40)
    scrape = next(line for line in run.samples if isinstance(line, LabelledScrape))
    look = next(line for line in run.samples if isinstance(line, Evaluation))
    hour = [
        each
        for _ in range(3600)
        for each in (LabelledScrape(scrape.t_ns, list(scrape.values) * 100), look)
    ]
    assert steps_of(hour, files, files[0].alerts) > alert_looks.MOST_STEPS


def test_only_the_series_that_rules_name_are_read_and_all_names_are_known(tmp_path: Path) -> None:
    evidence = missed(tmp_path)
    assert evidence.folder is not None
    run = load_run(evidence.folder, evidence, frozenset({"asked"}))
    assert {dict(labels)["__name__"] for each in run.scrapes for labels, _ in each.values} == {
        "asked"
    }
    assert run.metrics == {"asked", "others"}


def test_a_name_that_is_nearly_one_that_no_rule_reads_is_told(tmp_path: Path) -> None:
    evidence = missed(tmp_path)
    assert evidence.folder is not None
    path = evidence.folder / "inputs" / "rules" / "alerts.yml"
    path.write_text(path.read_text().replace("asked", "other"))
    (cause, *_) = (each.cause for each in statuses(evidence))
    assert cause is not None
    assert cause.id == "alert_cause.no_metric"
    assert "others" in cause.text()
