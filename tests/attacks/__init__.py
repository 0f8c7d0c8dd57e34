"""`python -m tests.attacks`: hostile files, answers, systems, terminals and users, all at once.

An attack is a function that does something hostile and asserts that gameday held. Modules named
`on_<kind>.py` hold them; a function that is given cases is one attack for each case. A sample of
them is in the suite (`tests/attacks/test_attacks.py`), the whole is a command.
"""
