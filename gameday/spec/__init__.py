"""Files that people write, read into frozen models: experiments, systems, playbooks, faults.

    inputs    a name or a path → the file → a model; all files of one run, gathered
    playbook  a playbook's Markdown → front matter and steps
    targets   which hosts a run would talk to, and whether it may
    yaml      YAML with the position of every value

Nothing here touches a system or judges a file: `gameday.plan` does.
"""
