"""Responders: who works on an incident, by orders alone, and what comes of them.

A responder sees what a run says and gives orders; it touches nothing by itself. In reading order:

    orders.py      what may be ordered, and by whom
    incident.py    the one place where orders are heard, journaled and carried out
    hands.py       how a step or an action is done, proven, and taken back
    bot.py         works the playbook by itself
    command.py     a program that is told the events, and whose lines are orders
    protocol.py    the lines that go to that program, and come from it
    replay.py      what a recorded run did, at the same instants

A person is a responder too: the orders come over the control socket (`gameday incident`).
"""
