"""The postmortem draft of a run: Markdown with charts, made from its run directory alone.

`write_report` reads the result, the journal, the samples and what was run (`material`), and
lets each section say its part (`opening`, `impact`, `timeline`, `detection`, `response`,
`proof`, `learning`); every number it shows comes with where it was recorded. The sentences
stand in `messages.<language>.toml`. Whatever the system under test said is escaped
(`markdown`). A draft that a person has edited is never overwritten (`keeping`).
"""

from gameday.report.postmortem import write_report

__all__ = ["write_report"]
