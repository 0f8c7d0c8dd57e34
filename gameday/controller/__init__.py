"""The controller runs one experiment: phases, faults, steps, and the order in which it ends.

inputs     the run directory, and the files byte by byte
preflight  the campaign, and what is behind the proxies
conduct    a run from its directory to its end
method     everything between the first request and the last
faults     one fault, from waiting for its moment to the proof that it is gone
watch      the steady-state gate, the guards, the children
crossed    thresholds that end a run
ending     closing, draining, auditing
briefing   what the traffic worker and the collector are told before they begin
target     one run at a time, and how other terminals find it
marker     the same on a Toxiproxy that another host's runs may use
orders     signals, and what other terminals say
stopping   the other end of that: a run told to end, and watched until its faults are out
hold       no run may begin for now
reaper     the lease, and the process that undoes the run when it runs out

Nothing is imported here: `gameday stop` needs `stopping`, and none of the rest.
"""
