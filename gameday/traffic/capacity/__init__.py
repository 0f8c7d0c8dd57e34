"""The capacity of a traffic generator, known before the first request.

    demand      what scenarios ask for at their highest: starts, open requests, virtual users
    machine     what this machine allows: open files, own ports, and what was measured of it
    shortfalls  the one held against the other: what cannot work, with the arithmetic
    calibration how many requests one worker keeps on this machine, measured over loopback
    echo_server the server that is measured against

How much the network carries is not looked at: between processes of one machine it is no limit.

A load test that its generator cannot keep up with is not run, unless it is forced: then it says
up to which rate it speaks for the system.
"""
