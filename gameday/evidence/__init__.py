"""A run directory as read: everything the checks, the verdict and the postmortem stand on.

`read` is tolerant: a torn journal, a missing audit or a damaged samples file never stops it.
What could not be read is named in `Evidence.problems`, and a check that asks for it gets a
`MissingEvidenceError` with the reason, which makes its verdict unknown. Everything else here is
pure: fault windows and steps come from the journal (`timeline`), the instants that clocks count
from are found in readings and history (`outages`), and what was asked and answered is one table
(`attempts`).
"""
