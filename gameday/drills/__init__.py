"""Drills: an incident for people, with a truth that they do not know.

In reading order:

    scenario.py    what a session is: its truth, its decoys, hints and injects
    session.py     what is said during it, and when; the same in every mode
"""
