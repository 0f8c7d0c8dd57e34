"""The shipped experiments: valid, timed honestly, and answered by playbooks."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gameday.core.clock import NS
from gameday.core.messages import templates
from gameday.core.units import seconds
from gameday.plan.validate import validate, validate_drill
from gameday.spec.inputs import (
    find_system,
    has_drill,
    has_short,
    load_drill,
    load_experiment,
    load_inputs,
    load_playbook,
    load_system,
)
from gameday.spec.shipped import all_experiments, all_playbooks
from gameday.spec.yaml import load
from gameday.telemetry.alerts.rules import RuleFile, load_rules
from gameday.telemetry.alerts.state import Evaluator
from gameday.telemetry.promql import SeriesStore, label_set
from gameday.traffic.forecast import expected_starts, sell_out_s, traffic_end_s
from gameday.traffic.history import RECORD, Outcome, Reason
from gameday.traffic.metrics import Fold
from tests.support.rundirs import T0_NS

NAMES = {
    *("redis-slow", "redis-down", "db-slow", "db-down", "traffic-spike"),
    *("redis-slow-under-spike", "normal", "peak", "stress", "load-1500"),
}
EXPERIMENTS = all_experiments()
TRAINING = Path(__file__).parents[2] / "docs" / "training.md"


def name(path: Path) -> str:
    return path.stem


def test_the_experiments_of_the_issue_are_there() -> None:
    assert {path.stem for path in EXPERIMENTS} >= NAMES


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
@pytest.mark.parametrize("short", [False, True], ids=["whole", "short"])
def test_every_experiment_is_valid_without_warnings(path: Path, *, short: bool) -> None:
    inputs = load_inputs(str(path), short=short)
    assert validate(inputs) == []
    assert inputs.experiment.experiment.name == path.stem


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_every_experiment_has_a_short_form_of_at_most_half_a_minute(path: Path) -> None:
    loaded = load_experiment(str(path))
    assert has_short(loaded.document)
    assert traffic_end_s(load_experiment(str(path), short=True).experiment) <= 30


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_every_expected_alert_has_a_playbook_that_answers_it(path: Path) -> None:
    experiment = load_experiment(str(path)).experiment
    answered = {
        alert for each in all_playbooks() for alert in load_playbook(each).playbook.head.alerts
    }
    assert {alert.alert for alert in experiment.expect.alerts} <= answered


@pytest.mark.parametrize("path", all_playbooks(), ids=name)
def test_every_playbook_has_an_experiment_that_drills_it(path: Path) -> None:
    drilled = {load_experiment(str(each)).experiment.playbook for each in EXPERIMENTS}
    assert path.stem in drilled


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_a_sell_out_that_is_expected_comes_after_the_last_fault(path: Path) -> None:
    experiment = load_experiment(str(path)).experiment
    sold_out = sell_out_s(experiment)
    ends = [seconds(fault.at + fault.duration) for fault in experiment.method]
    assert sold_out is not None
    assert sold_out > max(ends, default=0.0)


@pytest.mark.parametrize(
    ("experiment", "starts"), [("normal", 1500), ("peak", 165_450), ("stress", 81_750)]
)
def test_the_original_scenarios_ask_for_what_they_asked_for(experiment: str, starts: int) -> None:
    loaded = load_experiment(experiment).experiment
    assert expected_starts(loaded) == pytest.approx(starts)
    assert loaded.campaign.users == 100_000


DRILLED = [path for path in EXPERIMENTS if has_drill(load(path))]
MADE_TEXTS = ("name", "hint", "question", "believed")


def test_there_are_drills_for_everybody() -> None:
    assert len(DRILLED) >= 10
    drills = [load_drill(str(path), 1).drill for path in DRILLED]
    assert Counter(each.difficulty for each in drills).keys() == {"easy", "medium", "hard"}
    assert all(10 <= each.minutes <= 30 for each in drills)


@pytest.mark.parametrize("path", DRILLED, ids=name)
def test_every_shipped_drill_is_sound(path: Path) -> None:
    drilled = load_drill(str(path), 1)
    drill = drilled.drill
    assert validate_drill(drilled, load_system(find_system(None))) == []
    assert 4 <= len(drill.hypotheses) <= 6
    assert 2 <= len(drill.hints) <= 3
    assert 2 <= len(drill.injects) <= 4
    assert drill.severity is not None
    assert drill.briefing is not None
    assert len(drill.debrief) >= 3


MEANT = {
    "redis_late": {("network.latency", "redis")},
    "redis_busy": {("redis.block", "redis")},
    "redis_gone": {("network.down", "redis")},
    "redis_full": {("redis.memory", "redis")},
    "redis_flaps": {("network.flap", "redis")},
    "db_late": {("network.latency", "postgres")},
    "db_gone": {("network.down", "postgres")},
    "db_locked": {("postgres.lock", "postgres")},
    "db_taken": {("postgres.connections", "postgres")},
    "service_dead": {("service.kill", "service")},
    "service_still": {("service.pause", "service")},
    "crowd": {("traffic.spike", "traffic")},
    "crowd_and_redis": {("traffic.spike", "traffic"), ("network.latency", "redis")},
}


def test_the_guide_tells_how_hard_and_long_each_drill_is() -> None:
    rows = re.findall(r"\| (`.*`) \| (easy|medium|hard) \| (\d+) \|", TRAINING.read_text())
    told = {name: row[1:] for row in rows for name in re.findall(r"`([\w-]+)`", row[0])}
    drills = {path.stem: load_drill(str(path), 1).drill for path in DRILLED}
    assert told == {name: (one.difficulty, str(one.minutes)) for name, one in drills.items()}


@pytest.mark.parametrize("path", DRILLED, ids=name)
def test_only_the_first_hypothesis_is_so(path: Path) -> None:
    """A decoy is no fault of the experiment; that of a crowd says that nothing is broken."""
    hypotheses = load(path).under("drill").plain()["hypotheses"]
    right, *decoys = [each["id"].removeprefix("drill.may.") for each in hypotheses]
    broken = {
        (fault.fault, fault.on) for fault in load_drill(str(path), 1).loaded.experiment.method
    }
    assert MEANT[right] == broken
    assert not [each for each in decoys if each != "crowd" and MEANT.get(each, {None}) <= broken]


@pytest.mark.parametrize("path", DRILLED, ids=name)
def test_every_text_of_a_shipped_drill_has_an_id(path: Path) -> None:
    """So that another language needs nothing but a file beside the English one."""
    written = load(path).under("drill").plain()
    texts = [written["briefing"], *written["hypotheses"], *written["debrief"]]
    texts += [each["text"] for each in [*written["hints"], *written["injects"]]]
    assert all(set(each) == {"id"} for each in texts)


def test_every_text_of_a_drill_is_used() -> None:
    written = [load(path).under("drill").root for path in DRILLED]
    used = {node.content for root in written for loc, _, node in root.walk() if loc[-1] == "id"}
    own = {id_ for id_ in templates() if id_.startswith("drill.") and id_.count(".") == 2}
    others = {id_ for id_ in own if id_.split(".")[1] in MADE_TEXTS}
    assert own - others == used


def alerts(file: RuleFile) -> list[str]:
    return [rule.alert for rule in file.alerts]


def test_the_quick_rules_are_those_of_the_system_over_shorter_windows() -> None:
    system = find_system(None)
    quick = load_rules(EXPERIMENTS[0].parent / "rules" / "quick.yml")
    drill = load_rules(system.parent / "prometheus" / "alerts.yml")
    names = [[rule.alert for rule in file.alerts] for file in (quick, drill)]
    assert names[0] == names[1]


FILES = (
    EXPERIMENTS[0].parent / "rules" / "quick.yml",
    find_system(None).parent / "prometheus" / "alerts.yml",
    find_system(None).parent / "prometheus" / "alerts.production.yml",
)
DROPPED = (Reason.SYSTEM_SATURATED, Reason.NO_FILES, Reason.NO_PORTS, Reason.LATE, Reason.NO_VUS)


@pytest.mark.parametrize("reason", DROPPED, ids=lambda reason: reason.text)
@pytest.mark.parametrize("path", FILES, ids=name)
def test_drops_that_are_not_the_services_doing_are_told(path: Path, reason: Reason) -> None:
    """Too few virtual users are the test's doing: what they did not send, nobody measured."""
    evaluator, store, fold = Evaluator([load_rules(path)]), SeriesStore(300), Fold("drop")
    fired: list[str] = []
    for t_s in range(180):
        records = np.zeros(3, dtype=RECORD)
        records["outcome"], records["reason"] = Outcome.DROPPED, reason
        t_ns = T0_NS + t_s * NS
        fold.add(records, 3 * (t_s + 1), t_ns)
        store.append(t_ns, ((label_set(labels), v) for labels, v in fold.series()), source="")
        alerts = evaluator.tick(store, t_ns)
        fired += [each.name for each in alerts if each.state == "firing"]
    assert ("LoadGeneratorDropping" in fired) == (reason is not Reason.SYSTEM_SATURATED)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_who_reads_of_drops_is_told_what_each_reason_means(path: Path) -> None:
    rule = next(rule for rule in load_rules(path).alerts if rule.alert == "LoadGeneratorDropping")
    told = dict(rule.annotations)["description"]
    assert all(each.text in told for each in DROPPED if each is not Reason.SYSTEM_SATURATED)
