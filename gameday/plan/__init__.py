"""What a run would do, and whether it can: looked at, never acted on.

    blast      what will be touched, for how long, and what takes it back
    words      a change, and its undo, as a sentence
    load       what the traffic asks of stock, users and disk
    generator  what it asks of its generator: rate, virtual users, files, ports
    machine    what a run needs of this machine
    before     all that can be known before a stack is up
    live       proxies and Toxiproxy, service, metrics and campaign of a stack that is up
    leftovers  what earlier runs may have left broken

`gameday plan` tells all of it; `gameday run` looks at the same before anything is sent or broken.
"""
