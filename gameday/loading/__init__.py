"""From files to a run's inputs: found, read with positions, and checked against each other.

    find       a name or a path → the file
    read       the file → a model, its short form applied, ids and seed filled in
    markdown   a playbook → front matter and steps
    validate   all inputs → warnings, or the first error with its place
    bounds     how fast the system ought to be
    addresses  which hosts a run would talk to, and whether it may
    effective  the record of what a run used

Nothing here touches a system: validating needs no network and starts nothing.
"""
