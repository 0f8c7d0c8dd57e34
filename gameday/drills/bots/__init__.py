"""Bots of six characters that respond to an incident: a score must tell them apart.

`characters.py` is who they are and what they order when; `program.py` lets one of them work in a
real run (`gameday run X --responder "python -m gameday.drills.bots CHARACTER"`). The simulation
(`drills/simulation.py`) drives the very same characters through a model of a run.
"""
