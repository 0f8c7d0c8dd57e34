"""Alerts: Prometheus' rules read and evaluated.

`rules` reads rule files, and `state` is the state machine from expression to firing alert. Which
alerts fired and resolved in time is judged from the recorded evaluations (`judge.checks.alerts`).
"""
