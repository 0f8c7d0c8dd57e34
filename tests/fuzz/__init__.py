"""Fuzzers: input made by seed, given to every reader of it in this process.

`python -m tests.fuzz TARGET --minutes N --seed S` says in its last lines the seed and how many
inputs there were, and ends with 1 when something was found: an exception that is no documented
error, a hang, too much memory. A target is a module here with a function `cases`.
"""
