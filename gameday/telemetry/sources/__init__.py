"""Where samples, alerts and readings come from: our own scrapes, or a real Prometheus.

The collector asks one `Source` at each instant of its grid and does not care which it is:
`scrapes.py` asks the metrics targets and lets our evaluator do the rest, `prometheus.py` asks a
Prometheus for every expression and for its alerts (`prometheus_api.py` is the client). `choice.py`
says which of them a run has. What is written to `samples.jsonl` has the same form either way.
"""
