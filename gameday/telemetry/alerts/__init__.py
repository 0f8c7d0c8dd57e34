"""Alerts: Prometheus' rules read and evaluated, and the contract an experiment makes about them.

`rules` reads rule files, `state` is the state machine from expression to firing alert, and
`contract` judges, from the recorded evaluations alone, which alerts fired and resolved in time.
"""

from gameday.telemetry.alerts.contract import (
    AlertStatus,
    Episode,
    Expected,
    FaultTimes,
    Policy,
    Times,
    episodes,
    judge_alerts,
)
from gameday.telemetry.alerts.rules import AlertRule, Group, RuleFile, load_rules
from gameday.telemetry.alerts.state import AlertInstance, Evaluator, RecordedAlert, RuleState

__all__ = [
    "AlertInstance",
    "AlertRule",
    "AlertStatus",
    "Episode",
    "Evaluator",
    "Expected",
    "FaultTimes",
    "Group",
    "Policy",
    "RecordedAlert",
    "RuleFile",
    "RuleState",
    "Times",
    "episodes",
    "judge_alerts",
    "load_rules",
]
