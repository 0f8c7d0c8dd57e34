"""The postmortem draft of a run: Markdown with charts, made from its run directory alone.

`write_report` reads the result, the journal, the samples and what was run (`inputs`), and lets
each of the `sections` say its part; every number it shows comes with where it was recorded. The
sentences stand in `locale/<language>.toml`. Whatever the system under test said is escaped
(`markdown`). A draft that a person has edited is never overwritten (`postmortem`).
"""

from gameday.report.postmortem import write_report

__all__ = ["write_report"]
