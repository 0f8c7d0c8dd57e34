"""Files that people write, read into frozen models: experiments, systems, playbooks, faults.

    find               a name or a path → the file
    read               the file → a model, its short form applied, ids and seed filled in
    playbook_markdown  a playbook → front matter and steps
    inputs             all files of one run, gathered
    addresses          which hosts a run would talk to, and whether it may
    yaml               YAML with the position of every value

Nothing here touches a system or judges a file: `gameday.plan` does.
"""
