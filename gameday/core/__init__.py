"""The base of every other part: errors, units, clocks, files, settings, secrets, the network.

Nothing here knows of experiments, runs or verdicts. Each place that decides about safety stands
here once.
"""
