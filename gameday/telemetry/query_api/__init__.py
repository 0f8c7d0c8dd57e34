"""The part of Prometheus' HTTP API that reads, over the samples of a run, on this machine alone.

Dashboards and clients ask it as they ask a Prometheus: what a run has recorded so far is read from
its `samples.jsonl`, its rules are evaluated again as the collector evaluates them, and queries are
answered by the same evaluator. Whoever asks may be careless, so everything has a bound: the text,
the points, the values, the time, and how many wait. Nothing can be written, and what is told is
what the run has on disk, where secrets are masked already.

Read in this order: `settings`, `parameters`, `database`, `encode`, `queries`, `lookups`, `rules`,
`app`, `server`. Source: Prometheus, docs/querying/api.md and web/api/v1/api.go.
"""
