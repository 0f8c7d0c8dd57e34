"""The plan of a run, and the checks before it: everything is looked at, nothing is changed.

    validate        the files against each other, by `rules`: warnings, or the first error
    blast_radius    what will be touched, for how long, and what takes it back
    traffic_size    what the traffic asks of stock, users and disk
    generator       what it asks of its generator: rate, virtual users, files, ports
    machine         what a run needs of this machine
    offline_checks  all that can be known before a stack is up
    proxy_checks    proxies and Toxiproxy of a stack that is up
    service_checks  its service, metrics and campaign
    running_stack   a stack that runs already, looked at all over
    leftovers       what earlier runs may have left broken

`gameday plan` tells all of it; `gameday run` looks at the same before anything is sent or broken.
"""
