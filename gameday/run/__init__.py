"""The controller runs one experiment: phases, faults, steps, and the order in which it ends.

    run_dir           the run directory, and the files byte by byte
    preflight         the campaign, and what is behind the proxies
    lifecycle         a run from its directory to its end
    execute           everything between the first request and the last
    fault_task        one fault, from waiting for its moment to the proof that it is gone
    verify_injection  whether the fault was really in effect
    guards            the steady-state gate, the guards, the children
    responder         who works on the incident, and what may be ordered
    teardown          closing, draining, auditing
    forced_exit       the end of a run that does not end
    child_config      what the traffic worker and the collector are started with
    locks             one run at a time, and how other terminals find it
    remote_lock       the same on a Toxiproxy that another host's runs may use
    control_socket    signals, and what other terminals say
    stop              the other end of that: a run told to end, and watched until its faults are out
    hold              no run may begin for now
    reaper_client     the lease, and the process (`reaper`) that undoes the run when it runs out
    load_test         traffic alone

Nothing is imported here: `gameday stop` needs `stop`, and none of the rest.
"""
