"""Drills: an incident for people, with a truth that they do not know.

In reading order:

    scenario.py    what a session is: its truth, its decoys, hints and injects
    session.py     what is said during it, and when; the same in every mode
    disguise.py    an experiment under names that tell nothing, as long as a session
    live.py        a session beside a real run
    detached.py    a session without a system: a run directory and a control socket
    hands.py       acts that are answered, not done
    tabletop.py    an incident that is only told
    recording.py   a recorded run, line by line
    replay.py      a recorded run that plays again
"""
