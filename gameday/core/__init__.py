"""What every other part stands on: addresses, HTTP, files, signing, settings, locks.

A part of the core knows nothing of experiments, runs or verdicts, and imports nothing but errors,
units, clocks and other parts of the core. Each place that decides about safety stands here once.
"""
