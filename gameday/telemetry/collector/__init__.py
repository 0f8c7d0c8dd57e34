"""The process that measures: scrape, fold, evaluate, write, once a second on an exact grid.

At each instant of the grid the collector asks every metrics target at once, folds the requests
that the traffic workers recorded since the last instant, puts both into one store under that
very timestamp, and evaluates every expression and alert rule of the run at it. What it saw goes
to `samples.jsonl`, whose one writer it is, and to its standard output. It knows nothing of the
experiment: all it is to do stands in the line it is started with (`settings`).

Read in this order: `settings`, `text_format`, `scrape`, `evaluation`, `samples_writer`,
`tick`, `__main__`.
"""
