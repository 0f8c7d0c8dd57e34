"""Alerts: Prometheus' rules read and evaluated, and the contract an experiment makes about them.

`rules` reads rule files, `state` is the state machine from expression to firing alert, and
`contract` judges, from the recorded evaluations alone, which alerts fired and resolved in time.
"""
