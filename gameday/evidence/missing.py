"""The one way of saying that a run directory lacks what a statement needs."""

from gameday.core.errors import UnknownError


class MissingEvidenceError(UnknownError):
    """A part of the run directory is absent or damaged; the message says which and how."""
